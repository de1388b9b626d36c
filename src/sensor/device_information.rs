//! Device Information (service 0x180A) and Body Sensor Location (0x2A38): read once after connecting.

use super::Uuid16;
use crate::reading::StrapInfo;

/// The characteristics worth reading, in the order in which they are read.
pub const CHARACTERISTICS: [Uuid16; 7] = [0x2A24, 0x2A29, 0x2A25, 0x2A26, 0x2A27, 0x2A28, 0x2A38];

/// Longest text taken over; a strap's strings are far shorter.
const TEXT_MAX: usize = 64;

/// Notes the value of one characteristic of [`CHARACTERISTICS`]; others are ignored.
pub fn note(info: &mut StrapInfo, characteristic: Uuid16, value: &[u8]) {
    match characteristic {
        0x2A24 => info.model = text(value),
        0x2A25 => info.serial = text(value),
        0x2A26 => info.firmware = text(value),
        0x2A27 => info.hardware = text(value),
        0x2A28 => info.software = text(value),
        0x2A29 => info.manufacturer = text(value),
        0x2A38 => info.location = body_sensor_location(value).map(str::to_owned),
        _ => {}
    }
}

/// UTF-8, trailing NUL and space cut, control characters dropped, at most 64 bytes; `None` when nothing is left.
fn text(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&value[..value.len().min(TEXT_MAX)]);
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Body Sensor Location, one byte (*Heart Rate Service 1.0*, section 3.2). 7 to 255 are reserved.
fn body_sensor_location(value: &[u8]) -> Option<&'static str> {
    Some(match value.first()? {
        0 => "other",
        1 => "chest",
        2 => "wrist",
        3 => "finger",
        4 => "hand",
        5 => "ear_lobe",
        6 => "foot",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_lose_their_nul_and_locations_get_words() {
        let mut info = StrapInfo::default();
        note(&mut info, 0x2A29, b"Polar Electro Oy\0");
        note(&mut info, 0x2A24, b"H10 \0");
        note(&mut info, 0x2A25, b"\0");
        note(&mut info, 0x2A38, &[1]);
        assert_eq!(info.manufacturer.as_deref(), Some("Polar Electro Oy"));
        assert_eq!(info.model.as_deref(), Some("H10"));
        assert_eq!(info.serial, None);
        assert_eq!(info.location.as_deref(), Some("chest"));
        note(&mut info, 0x2A38, &[7]);
        assert_eq!(info.location, None);
        note(&mut info, 0x2A24, &[0xff; 300]);
        assert!(info.model.is_some_and(|model| model.chars().count() <= TEXT_MAX));
    }
}
