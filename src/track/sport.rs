//! Sports by name, as TCX and GPX have them, and by number, as FIT has them.

/// Name in TCX (which knows three), name in GPX, FIT sport, FIT sub-sport. For a number the first line counts.
const NAMES: &[(&str, &str, u8, u8)] = &[
    ("Running", "running", 1, 0),
    ("Biking", "cycling", 2, 0),
    ("Running", "treadmill_running", 1, 1),
    ("Running", "trail_running", 1, 3),
    ("Biking", "indoor_cycling", 2, 6),
    ("Biking", "mountain_biking", 2, 8),
    ("Biking", "virtual_ride", 2, 58),
    ("Other", "walking", 11, 0),
    ("Other", "hiking", 17, 0),
    ("Other", "swimming", 5, 0),
    ("Other", "rowing", 15, 0),
    ("Other", "indoor_rowing", 15, 14),
    ("Other", "elliptical", 4, 15),
    ("Other", "fitness_equipment", 4, 0),
    ("Other", "cardio_training", 10, 26),
    ("Other", "strength_training", 10, 20),
    ("Other", "yoga", 10, 43),
    ("Other", "training", 10, 0),
    ("Other", "hiit", 62, 70),
    ("Other", "cross_country_skiing", 12, 0),
    ("Other", "alpine_skiing", 13, 0),
    ("Other", "snowboarding", 14, 0),
    ("Other", "inline_skating", 30, 0),
    ("Other", "other", 0, 0),
];

/// Other names of the same.
const ALSO: &[(&str, u8, u8)] = &[
    ("run", 1, 0),
    ("9", 1, 0),
    ("biking", 2, 0),
    ("bike", 2, 0),
    ("ride", 2, 0),
    ("1", 2, 0),
    ("ebikeride", 21, 0),
    ("mountain_bike", 2, 8),
    ("virtualride", 2, 58),
    ("walk", 11, 0),
    ("10", 11, 0),
    ("hike", 17, 0),
    ("4", 17, 0),
    ("swim", 5, 0),
    ("open_water_swimming", 5, 18),
    ("lap_swimming", 5, 17),
    ("workout", 10, 26),
    ("fitness", 10, 26),
];

/// Sport and sub-sport of a name, however it is written; `None` for what is not known.
pub fn of_name(name: &str) -> Option<(u8, u8)> {
    let name = name.trim().to_ascii_lowercase().replace([' ', '-'], "_");
    let named = NAMES.iter().find(|(tcx, gpx, ..)| *gpx == name || tcx.eq_ignore_ascii_case(&name));
    let named = named.map(|(_, _, sport, sub_sport)| (*sport, *sub_sport));
    // "Other" is not walking, which stands first.
    let named = if name == "other" { Some((0, 0)) } else { named };
    let also =
        || ALSO.iter().find(|(also, ..)| *also == name).map(|(_, sport, sub)| (*sport, *sub));
    named.or_else(also)
}

fn of_number(sport: Option<u8>, sub_sport: Option<u8>) -> (&'static str, &'static str) {
    let same = |with_sub: u8| {
        let sport = sport?;
        NAMES.iter().find(|(_, _, s, sub)| (*s, *sub) == (sport, with_sub))
    };
    let known = same(sub_sport.unwrap_or(0)).or_else(|| same(0));
    known.map_or(("Other", "other"), |(tcx, gpx, ..)| (tcx, gpx))
}

/// What TCX calls a sport: `Running`, `Biking` or `Other`.
pub fn tcx_name(sport: Option<u8>, sub_sport: Option<u8>) -> &'static str {
    of_number(sport, sub_sport).0
}

/// What Garmin writes for a sport into a GPX track.
pub fn gpx_name(sport: Option<u8>, sub_sport: Option<u8>) -> &'static str {
    of_number(sport, sub_sport).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_however_they_are_written() {
        assert_eq!(of_name("Running"), Some((1, 0)));
        assert_eq!(of_name("Trail Running"), Some((1, 3)));
        assert_eq!(of_name("Other"), Some((0, 0)));
        assert_eq!(of_name("9"), Some((1, 0)));
        assert_eq!(of_name("curling"), None);
    }

    #[test]
    fn what_is_written_is_read_as_the_same_sport() {
        for (tcx, gpx, sport, sub_sport) in NAMES {
            assert_eq!(
                of_name(gpx_name(Some(*sport), Some(*sub_sport))),
                Some((*sport, *sub_sport)),
                "{gpx}"
            );
            assert_eq!(tcx_name(Some(*sport), Some(*sub_sport)), *tcx);
        }
        assert_eq!((tcx_name(Some(2), Some(99)), gpx_name(None, None)), ("Biking", "other"));
    }
}
