//! Bytes from straps become measurements here, by pure functions that know no clock and no radio.
//!
//! One file per characteristic or advertisement. To add a sensor type: a new file with a [`Profile`], and two
//! lines below. Bad bytes are an error that the caller counts; no input may panic.

mod battery;
pub mod device_information;
mod heart_rate;
pub mod polar_broadcast;
pub mod polar_name;

pub use battery::BatteryLevel;
pub use heart_rate::{HeartRateMeasurement, encode as encode_heart_rate};

use crate::reading::Measurement;

/// A Bluetooth SIG assigned 16-bit UUID, such as `0x2A37`.
pub type Uuid16 = u16;

/// The Heart Rate Service, by which a strap of any maker is known.
pub const HEART_RATE_SERVICE: Uuid16 = 0x180D;

/// One characteristic that a strap notifies, and its decoder.
pub trait Profile: Send + Sync {
    /// The characteristic.
    fn characteristic(&self) -> Uuid16;

    /// Decodes one notification.
    ///
    /// # Errors
    /// When the bytes do not hold what their own flags announce.
    fn decode(&self, bytes: &[u8]) -> Result<Decoded, DecodeError>;
}

/// A decoded notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// What it says.
    pub measurement: Measurement,
    /// Bytes behind the last field; they are ignored, and counted.
    pub trailing: usize,
}

/// Why a notification says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The fields that the flags announce need more bytes.
    #[error("{have} bytes, the announced fields need {need}")]
    TooShort {
        /// Bytes there are.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// A value outside what its field may hold.
    #[error("{field} is {value}, allowed is {allowed}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: u32,
        /// What it may hold.
        allowed: &'static str,
    },
}

/// Every characteristic that we subscribe to, where a strap has it.
pub const PROFILES: [&dyn Profile; 2] = [&HeartRateMeasurement, &BatteryLevel];

/// The profile of a characteristic.
pub fn profile(characteristic: Uuid16) -> Option<&'static dyn Profile> {
    PROFILES.into_iter().find(|profile| profile.characteristic() == characteristic)
}
