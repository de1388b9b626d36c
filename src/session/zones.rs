//! Heart-rate zones: five steps of ten percent of the maximum from 50 percent on, or where a person has them begin.

use crate::athlete::Profile;

/// Zone 1 to 5, and 0 below 50 percent of the maximum.
pub fn zone(bpm: u16, max_bpm: u16) -> u8 {
    Zones::of_max(max_bpm).zone(bpm)
}

/// Percent of the maximum, cut to whole numbers, so that a zone begins where its percentage shows.
pub fn percent_of_max(bpm: u16, max_bpm: u16) -> u16 {
    let percent = u32::from(bpm) * 100 / u32::from(max_bpm.max(1));
    u16::try_from(percent).unwrap_or(u16::MAX)
}

/// Where somebody's zones begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zones {
    from_bpm: [u16; 5],
}

impl Zones {
    /// Steps of ten percent of the maximum, each from where [`percent_of_max`] shows it.
    pub fn of_max(max_bpm: u16) -> Self {
        let max_bpm = u32::from(max_bpm.max(1));
        let from = |percent: u32| u16::try_from((max_bpm * percent).div_ceil(100));
        // Nine tenths of a u16 are one.
        let from_bpm = [50, 60, 70, 80, 90].map(|percent| from(percent).unwrap_or(u16::MAX));
        Self { from_bpm }
    }

    /// Zones 1 to 5 begin at these heart rates; `None` unless they rise.
    pub fn given(from_bpm: [u16; 5]) -> Option<Self> {
        from_bpm.is_sorted_by(|lower, upper| lower < upper).then_some(Self { from_bpm })
    }

    /// A person's own, or those of the maximum. Boundaries that do not rise count as not given.
    pub fn of(profile: &Profile, max_bpm: Option<u16>) -> Option<Self> {
        let own = profile.zones_from_bpm.and_then(Self::given);
        own.or_else(|| max_bpm.map(Self::of_max))
    }

    /// Zone 1 to 5, and 0 below zone 1.
    pub fn zone(&self, bpm: u16) -> u8 {
        // Five at most.
        self.from_bpm.iter().filter(|from| bpm >= **from).count() as u8
    }
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

    #[test]
    fn a_zone_begins_where_its_percentage_shows() {
        for max in (0..=260).chain([u16::MAX]) {
            for bpm in (0..=300).chain([u16::MAX]) {
                let tens = percent_of_max(bpm, max) / 10;
                assert_eq!(u16::from(zone(bpm, max)), tens.clamp(4, 9) - 4, "{bpm} of {max}");
            }
        }
    }

    #[test]
    fn boundaries_of_ones_own_count_before_those_of_the_maximum_if_they_rise() {
        let own = [100, 120, 140, 155, 170];
        let with = |zones| Profile { zones_from_bpm: Some(zones), ..Profile::default() };
        let zones = Zones::of(&with(own), Some(190)).unwrap();
        let told = [99, 100, 119, 120, 154, 155, 169, 170, 220].map(|bpm| zones.zone(bpm));
        assert_eq!(told, [0, 1, 1, 2, 3, 4, 4, 5, 5]);
        assert!(Zones::of(&with(own), None).is_some());
        let muddled = Zones::of(&with([100, 120, 120, 155, 170]), Some(190));
        assert_eq!(muddled, Some(Zones::of_max(190)));
        assert_eq!(Zones::of(&Profile::default(), None), None);
    }
}
