//! Heart Rate Measurement, characteristic 0x2A37 (Bluetooth SIG *Heart Rate Service 1.0*, section 3.1).
//!
//! Little endian: flags, heart rate (8 or 16 bit), energy expended if flagged, then as many RR intervals as fit.

use super::{DecodeError, Decoded, Profile, Uuid16};
use crate::reading::{Contact, HeartRate, Measurement, RrInterval, Source};

const WIDE: u8 = 1 << 0;
const CONTACT_DETECTED: u8 = 1 << 1;
const CONTACT_SUPPORTED: u8 = 1 << 2;
const ENERGY: u8 = 1 << 3;
const RR: u8 = 1 << 4;

/// The decoder of 0x2A37.
pub struct HeartRateMeasurement;

impl Profile for HeartRateMeasurement {
    fn characteristic(&self) -> Uuid16 {
        0x2A37
    }

    fn decode(&self, bytes: &[u8]) -> Result<Decoded, DecodeError> {
        let flags = *bytes.first().ok_or(DecodeError::TooShort { have: 0, need: 2 })?;
        let wide = flags & WIDE != 0;
        let energy = flags & ENERGY != 0;
        let need = 2 + usize::from(wide) + 2 * usize::from(energy);
        let mut rest = bytes.get(1..).unwrap_or_default();
        let short = || DecodeError::TooShort { have: bytes.len(), need };

        let bpm = if wide {
            take_u16(&mut rest).ok_or_else(short)?
        } else {
            let (first, tail) = rest.split_first().ok_or_else(short)?;
            rest = tail;
            u16::from(*first)
        };
        let energy_kj = if energy { Some(take_u16(&mut rest).ok_or_else(short)?) } else { None };
        let mut rr = Vec::new();
        if flags & RR != 0 {
            rr.reserve_exact(rest.len() / 2);
            while let Some(value) = take_u16(&mut rest) {
                rr.push(RrInterval(value));
            }
        }
        Ok(Decoded {
            measurement: Measurement::HeartRate(HeartRate {
                bpm,
                contact: contact(flags),
                energy_kj,
                rr,
                source: Source::Link,
            }),
            trailing: rest.len(),
        })
    }
}

fn contact(flags: u8) -> Contact {
    match (flags & CONTACT_SUPPORTED != 0, flags & CONTACT_DETECTED != 0) {
        // The detected bit without the supported bit means nothing.
        (false, _) => Contact::Unknown,
        (true, false) => Contact::NotWorn,
        (true, true) => Contact::Worn,
    }
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    let (value, tail) = rest.split_first_chunk::<2>()?;
    *rest = tail;
    Some(u16::from_le_bytes(*value))
}

/// Writes a 0x2A37 notification: the other direction, for virtual straps.
pub fn encode(heart_rate: &HeartRate) -> Vec<u8> {
    let wide = heart_rate.bpm > 255;
    let mut flags = if wide { WIDE } else { 0 };
    flags |= match heart_rate.contact {
        Contact::Unknown => 0,
        Contact::NotWorn => CONTACT_SUPPORTED,
        Contact::Worn => CONTACT_SUPPORTED | CONTACT_DETECTED,
    };
    if heart_rate.energy_kj.is_some() {
        flags |= ENERGY;
    }
    if !heart_rate.rr.is_empty() {
        flags |= RR;
    }
    let mut bytes = vec![flags];
    let [low, high] = heart_rate.bpm.to_le_bytes();
    bytes.push(low);
    if wide {
        bytes.push(high);
    }
    bytes.extend(heart_rate.energy_kj.iter().flat_map(|energy| energy.to_le_bytes()));
    bytes.extend(heart_rate.rr.iter().flat_map(|rr| rr.0.to_le_bytes()));
    bytes
}
