//! Heart rate that Polar straps broadcast in their advertisement, without a connection.
//!
//! Manufacturer data of company 0x006B: a run of blocks. A block whose first byte has bit 6 set is a container
//! (`type, length, length bytes`) and is skipped; the first block without bit 6 is the heart-rate block to the end:
//! flags, 5 kHz channel, fast average, slow average. The slow average is the value to show. (Polar BLE SDK,
//! `BleAdvertisementContent`, `BlePolarHrAdvertisement`; real H7 and H10 advertisements.)

use crate::reading::{Contact, HeartRate, Source};

/// Bluetooth company identifier of Polar Electro Oy.
pub const COMPANY: u16 = 0x006B;

const CONTAINER: u8 = 1 << 6;

/// A heart rate heard in an advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broadcast {
    /// Beats per minute, averaged over a short time. 0 in some models.
    pub fast_bpm: u8,
    /// Beats per minute to show.
    pub bpm: u8,
    /// Skin contact.
    pub contact: bool,
    /// 0 to 7; steps on when the value is refreshed, so the same number again is no new reading.
    pub counter: u8,
    /// Channel of the 5 kHz coil transmission.
    pub channel: u8,
}

impl Broadcast {
    /// As a heart rate: no RR intervals, no energy.
    pub fn heart_rate(&self) -> HeartRate {
        HeartRate {
            bpm: self.bpm.into(),
            contact: if self.contact { Contact::Worn } else { Contact::NotWorn },
            energy_kj: None,
            rr: Vec::new(),
            source: Source::Broadcast,
        }
    }
}

/// Finds the heart rate in the manufacturer data behind the company id; `None` when the strap broadcasts none.
pub fn decode(company: u16, data: &[u8]) -> Option<Broadcast> {
    if company != COMPANY {
        return None;
    }
    let mut rest = data;
    while rest.first()? & CONTAINER != 0 {
        let length = usize::from(*rest.get(1)?);
        rest = rest.get(2 + length..)?;
    }
    let (flags, channel, fast_bpm) = (*rest.first()?, *rest.get(1)?, *rest.get(2)?);
    Some(Broadcast {
        fast_bpm,
        bpm: rest.get(3).copied().unwrap_or(fast_bpm),
        contact: flags & (1 << 1) != 0,
        counter: (flags >> 2) & 0b111,
        channel,
    })
}
