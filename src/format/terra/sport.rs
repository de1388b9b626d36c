//! Sport and sub-sport of the FIT profile as Terra's `ActivityType`.

/// Terra's "Other".
const OTHER: u16 = 108;

/// FIT sport, FIT sub-sport (`None`: whatever is not in a line of its own), Terra's number.
const TYPES: &[(u8, Option<u8>, u16)] = &[
    (1, Some(1), 58),    // Treadmill Running
    (1, Some(3), 149),   // Trail Running
    (1, Some(45), 133),  // Indoor Running
    (1, None, 8),        // Running
    (2, Some(5), 17),    // Spinning
    (2, Some(6), 18),    // Stationary Biking
    (2, Some(7), 16),    // Road Biking
    (2, Some(8), 15),    // Mountain Biking
    (2, Some(9), 15),    // Mountain Biking (downhill)
    (2, Some(12), 14),   // Hand Biking
    (2, Some(28), 152),  // E-Biking
    (2, Some(46), 150),  // Gravel Cycling
    (2, Some(47), 153),  // E-Mountain Biking
    (2, None, 1),        // Biking
    (4, Some(1), 58),    // Treadmill Running
    (4, Some(14), 54),   // Rowing Machine
    (4, Some(15), 25),   // Elliptical
    (4, Some(16), 78),   // Stair Climbing Machine
    (4, None, 123),      // Cardio Training
    (5, Some(17), 83),   // Swimming in Pool
    (5, Some(18), 84),   // Open Water Swimming
    (5, None, 82),       // Swimming
    (6, None, 12),       // Basketball
    (7, None, 29),       // English Football
    (8, None, 87),       // Tennis
    (9, None, 27),       // American Football
    (10, Some(19), 125), // Stretching
    (10, Some(20), 80),  // Strength Training
    (10, Some(43), 100), // Yoga
    (10, Some(44), 49),  // Pilates
    (10, Some(62), 122), // Guided Breathing
    (10, Some(70), 114), // HIIT
    (10, None, 123),     // Cardio Training
    (11, Some(27), 95),  // Treadmill Walking
    (11, Some(31), 93),  // Walking for Fitness
    (11, None, 7),       // Walking
    (12, None, 67),      // Cross Country Skiing
    (13, Some(37), 66),  // Back Country Skiing
    (13, None, 68),      // Downhill Skiing
    (14, None, 73),      // Snowboarding
    (15, Some(14), 54),  // Rowing Machine
    (15, None, 53),      // Rowing
    (16, None, 130),     // Mountaineering
    (17, None, 35),      // Hiking
    (18, None, 151),     // Multisport
    (19, None, 129),     // Paddling
    (20, None, 143),     // Flying
    (21, None, 152),     // E-Biking
    (25, None, 32),      // Golf
    (27, None, 37),      // Horseback Riding
    (29, None, 131),     // Fishing
    (30, None, 127),     // Inline Skating
    (31, None, 52),      // Rock Climbing
    (32, None, 59),      // Sailing
    (33, None, 104),     // Ice Skating
    (34, None, 128),     // Sky Diving
    (35, None, 75),      // Snowshoeing
    (36, None, 74),      // Snowmobile
    (37, None, 79),      // Stand Up Paddleboarding
    (38, None, 81),      // Surfing
    (39, None, 92),      // Wakeboarding
    (40, None, 132),     // Water Skiing
    (41, None, 40),      // Kayaking
    (43, None, 99),      // Windsurfing
    (44, None, 43),      // Kitesurfing
    (47, None, 20),      // Boxing
    (49, None, 11),      // Baseball
    (53, None, 60),      // Scuba Diving
    (62, None, 114),     // HIIT
    (64, Some(85), 134), // Padel Tennis
    (64, Some(94), 76),  // Squash
    (64, Some(95), 10),  // Badminton
    (64, Some(96), 51),  // Racquetball
    (64, Some(97), 85),  // Table Tennis
    (67, None, 45),      // Meditation
    (71, None, 23),      // Cricket
    (72, None, 55),      // Rugby
    (73, None, 36),      // Hockey
    (74, None, 124),     // Lacrosse
    (75, None, 89),      // Volleyball
    (79, None, 119),     // Archery
    (80, None, 46),      // Mixed Martial Arts
    (83, None, 24),      // Dancing
    (84, None, 39),      // Jumping Rope
    (88, None, 140),     // Canoeing
];

/// Terra's number of a sport. What Terra has no number for is "Other", 108.
pub fn activity_type(sport: Option<u8>, sub_sport: Option<u8>) -> u16 {
    let Some(sport) = sport else { return OTHER };
    let of =
        |sub: Option<u8>| TYPES.iter().find(|(s, sub_sport, _)| (*s, *sub_sport) == (sport, sub));
    let exact = sub_sport.and_then(|sub| of(Some(sub)));
    exact.or_else(|| of(None)).map_or(OTHER, |(.., number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sport_has_the_number_that_terra_gave_it() {
        let told = [(1, 0), (1, 1), (1, 3), (2, 5), (10, 26), (10, 70), (15, 14), (2, 99), (0, 0)]
            .map(|(sport, sub_sport)| activity_type(Some(sport), Some(sub_sport)));
        assert_eq!(told, [8, 58, 149, 17, 123, 114, 54, 1, OTHER]);
        assert_eq!(activity_type(Some(11), None), 7);
        assert_eq!((activity_type(Some(200), Some(0)), activity_type(None, Some(1))), (108, 108));
    }

    #[test]
    fn every_number_is_one_that_terra_knows_under_that_name() {
        let names = include_str!("../../../tests/fixtures/terra/activity_types.json");
        let names: serde_json::Value = serde_json::from_str(names).unwrap();
        let text = include_str!("sport.rs");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("    (")).collect();
        assert_eq!(lines.len(), TYPES.len());
        for ((_, _, number), line) in TYPES.iter().zip(lines) {
            let name = names[number.to_string()].as_str().unwrap();
            let (_, comment) = line.split_once("// ").unwrap();
            assert_eq!(comment.split(" (").next().unwrap(), name, "{number}");
        }
    }
}
