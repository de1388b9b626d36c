//! Sports in words, as numbered in the FIT profile.

const SPORTS: [(u8, &str); 73] = [
    (0, "generic"),
    (1, "running"),
    (2, "cycling"),
    (3, "transition"),
    (4, "fitness equipment"),
    (5, "swimming"),
    (6, "basketball"),
    (7, "soccer"),
    (8, "tennis"),
    (9, "american football"),
    (10, "training"),
    (11, "walking"),
    (12, "cross-country skiing"),
    (13, "alpine skiing"),
    (14, "snowboarding"),
    (15, "rowing"),
    (16, "mountaineering"),
    (17, "hiking"),
    (18, "multisport"),
    (19, "paddling"),
    (20, "flying"),
    (21, "e-biking"),
    (22, "motorcycling"),
    (23, "boating"),
    (24, "driving"),
    (25, "golf"),
    (26, "hang gliding"),
    (27, "horseback riding"),
    (28, "hunting"),
    (29, "fishing"),
    (30, "inline skating"),
    (31, "rock climbing"),
    (32, "sailing"),
    (33, "ice skating"),
    (34, "sky diving"),
    (35, "snowshoeing"),
    (36, "snowmobiling"),
    (37, "stand-up paddleboarding"),
    (38, "surfing"),
    (39, "wakeboarding"),
    (40, "water skiing"),
    (41, "kayaking"),
    (42, "rafting"),
    (43, "windsurfing"),
    (44, "kitesurfing"),
    (45, "tactical"),
    (46, "jumpmaster"),
    (47, "boxing"),
    (48, "floor climbing"),
    (49, "baseball"),
    (53, "diving"),
    (56, "shooting"),
    (58, "winter sport"),
    (59, "grinding"),
    (62, "interval training"),
    (63, "video gaming"),
    (64, "racket"),
    (65, "wheelchair, walking"),
    (66, "wheelchair, running"),
    (67, "meditation"),
    (68, "para sport"),
    (69, "disc golf"),
    (71, "cricket"),
    (72, "rugby"),
    (73, "hockey"),
    (74, "lacrosse"),
    (75, "volleyball"),
    (76, "water tubing"),
    (77, "wakesurfing"),
    (80, "mixed martial arts"),
    (82, "snorkeling"),
    (83, "dance"),
    (84, "jump rope"),
];

/// A sport in words; `-` if the recording does not say.
pub(super) fn in_words(sport: Option<u8>) -> String {
    let Some(number) = sport else { return "-".to_owned() };
    match SPORTS.binary_search_by_key(&number, |(number, _)| *number) {
        Ok(place) => SPORTS[place].1.to_owned(),
        Err(_) => format!("sport {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sport_is_found_by_its_number() {
        for (number, words) in SPORTS {
            assert_eq!(in_words(Some(number)), words);
        }
        assert_eq!(in_words(Some(200)), "sport 200");
        assert_eq!(in_words(None), "-");
    }
}
