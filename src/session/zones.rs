//! Heart-rate zones: five steps of ten percent of the maximum, from 50 percent on.

/// Zone 1 to 5, and 0 below 50 percent of the maximum.
pub fn zone(bpm: u16, max_bpm: u16) -> u8 {
    match percent_of_max(bpm, max_bpm) {
        ..50 => 0,
        50..60 => 1,
        60..70 => 2,
        70..80 => 3,
        80..90 => 4,
        _ => 5,
    }
}

/// Percent of the maximum, cut to whole numbers, so that a zone begins where its percentage shows.
pub fn percent_of_max(bpm: u16, max_bpm: u16) -> u16 {
    let percent = u32::from(bpm) * 100 / u32::from(max_bpm.max(1));
    u16::try_from(percent).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_zone_begins_at_its_ten_percent() {
        let zones = [
            (94, 0),
            (95, 1),
            (113, 1),
            (114, 2),
            (132, 2),
            (133, 3),
            (152, 4),
            (171, 5),
            (250, 5),
            (0, 0),
        ];
        for (bpm, expected) in zones {
            assert_eq!(zone(bpm, 190), expected, "{bpm}");
        }
        assert_eq!(zone(60, 0), 5, "no maximum is no reason to panic");
    }
}
