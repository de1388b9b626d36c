//! Battery Level, characteristic 0x2A19 (Bluetooth SIG *Battery Service 1.0*, section 3.1): one byte, percent.

use super::{DecodeError, Decoded, Profile, Uuid16};
use crate::reading::Measurement;

/// The decoder of 0x2A19.
pub struct BatteryLevel;

impl Profile for BatteryLevel {
    fn characteristic(&self) -> Uuid16 {
        0x2A19
    }

    fn decode(&self, bytes: &[u8]) -> Result<Decoded, DecodeError> {
        let (&percent, rest) =
            bytes.split_first().ok_or(DecodeError::TooShort { have: 0, need: 1 })?;
        if percent > 100 {
            return Err(DecodeError::OutOfRange {
                field: "battery level",
                value: percent.into(),
                allowed: "0 to 100 percent",
            });
        }
        Ok(Decoded { measurement: Measurement::Battery(percent), trailing: rest.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_above_100_percent_is_refused() {
        assert_eq!(BatteryLevel.decode(&[97]).unwrap().measurement, Measurement::Battery(97));
        assert_eq!(BatteryLevel.decode(&[100, 1]).unwrap().trailing, 1);
        assert!(BatteryLevel.decode(&[101]).is_err());
        assert!(BatteryLevel.decode(&[]).is_err());
    }
}
