//! The highest heart rate that somebody has: given, or by age, and raised when it was plainly exceeded.
//!
//! - Nes BM et al., *Age-predicted maximal heart rate in healthy subjects: The HUNT Fitness Study*, Scand J Med Sci Sports
//!   23(6), 2013, 697–704: 211 − 0.64 × age. Taken where nothing is given.
//! - Tanaka H, Monahan KD, Seals DR, *Age-predicted maximal heart rate revisited*, J Am Coll Cardiol 37(1), 2001, 153–156:
//!   208 − 0.7 × age.
//! - 220 − age (Fox, Naughton, Haskell 1971): what everybody knows.
//!
//! A strap that rubs tells a high heart rate for seconds. So a maximum counts as exceeded when it was for thirty seconds
//! without a break, it is raised by ten at most, and somebody has to confirm it.

use serde::{Deserialize, Serialize};

use crate::athlete::{MaxHr, MaxHrOrigin, Profile};

/// Ages that the formulas are asked for. Where a year of birth was mistyped nothing is better than nonsense.
const AGES: std::ops::RangeInclusive<i32> = 5..=110;
/// So long a heart rate must hold to count as reached.
const HELD_US: u64 = 30_000_000;
/// A maximum is raised by so much at most.
const STEP_BPM: u16 = 10;

/// Age in the calendar year `year`: people tell their year of birth, not their birthday. `None` where it cannot be right.
pub fn age_years(birth_year: u16, year: i32) -> Option<f64> {
    let age = year - i32::from(birth_year);
    AGES.contains(&age).then(|| f64::from(age))
}

/// The maximum at that age by a formula, in whole beats per minute; `None` for what is no formula.
pub fn by_age(origin: MaxHrOrigin, age_years: f64) -> Option<MaxHr> {
    let bpm = match origin {
        MaxHrOrigin::Hunt => 211.0 - 0.64 * age_years,
        MaxHrOrigin::Tanaka => 208.0 - 0.7 * age_years,
        MaxHrOrigin::Age220 => 220.0 - age_years,
        MaxHrOrigin::Given | MaxHrOrigin::Exceeded => return None,
    };
    Some(MaxHr { bpm: bpm.round() as u16, origin })
}

/// Somebody's maximum: the one in the profile, or else that of the HUNT study.
pub fn of(profile: &Profile, age_years: Option<f64>) -> Option<MaxHr> {
    let given = profile.max_hr.filter(|max| max.bpm > 0);
    given.or_else(|| by_age(MaxHrOrigin::Hunt, age_years?))
}

/// What a maximum is to be raised to, when `held_bpm` was held for thirty seconds.
pub fn exceeded(max: MaxHr, held_bpm: u16) -> Option<MaxHr> {
    let bpm = held_bpm.min(max.bpm.saturating_add(STEP_BPM));
    (held_bpm > max.bpm).then_some(MaxHr { bpm, origin: MaxHrOrigin::Exceeded })
}

/// Finds the highest heart rate that was held for thirty seconds without a break.
///
/// It keeps, for each heart rate that may still become it, since when no lower one came: rising in both, a handful as a
/// rule, and never more than heart rates that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    best_bpm: Option<u16>,
    to_us: u64,
    rising: Vec<(u64, u16)>,
}

impl Held {
    /// The heart rate was `bpm` from here to there, in microseconds. What does not begin where the last one ended, comes
    /// after a break.
    pub fn add(&mut self, from_us: u64, to_us: u64, bpm: u16) {
        if from_us != self.to_us {
            self.rising.clear();
        }
        self.to_us = to_us;
        let mut since_us = from_us;
        while let Some((us, _)) = self.rising.pop_if(|(_, held)| *held >= bpm) {
            since_us = us;
        }
        if self.best_bpm.is_some_and(|best| bpm <= best) {
            return;
        }
        self.rising.push((since_us, bpm));
        // The first ones have lasted longest and are lowest.
        let reached =
            self.rising.iter().take_while(|(us, _)| to_us.saturating_sub(*us) >= HELD_US).count();
        if let Some((_, bpm)) = self.rising.drain(..reached).next_back() {
            self.best_bpm = Some(bpm);
        }
    }

    /// The highest heart rate held, in beats per minute.
    pub fn bpm(&self) -> Option<u16> {
        self.best_bpm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bpm(origin: MaxHrOrigin, age: f64) -> u16 {
        by_age(origin, age).unwrap().bpm
    }

    /// heart-rate-calculator.com on the HUNT formula ("20-year-old … around 198 bpm; 50 … 179; 80 … 160"); 180 at forty by
    /// 220 − age and by Tanaka, as its paper's table has it.
    #[test]
    fn formulas_tell_what_published_examples_tell() {
        assert_eq!([20.0, 50.0, 80.0].map(|age| bpm(MaxHrOrigin::Hunt, age)), [198, 179, 160]);
        assert_eq!([20.0, 40.0, 60.0].map(|age| bpm(MaxHrOrigin::Tanaka, age)), [194, 180, 166]);
        assert_eq!([20.0, 40.0, 60.0].map(|age| bpm(MaxHrOrigin::Age220, age)), [200, 180, 160]);
        assert_eq!(by_age(MaxHrOrigin::Given, 40.0), None);
    }

    #[test]
    fn a_given_maximum_counts_before_the_age_and_without_either_there_is_none() {
        let given = Some(MaxHr { bpm: 191, origin: MaxHrOrigin::Tanaka });
        let profile = Profile { max_hr: given, ..Profile::default() };
        assert_eq!(of(&profile, Some(50.0)), given);
        assert_eq!(of(&Profile::default(), Some(50.0)).unwrap().bpm, 179);
        assert_eq!(of(&Profile::default(), None), None);
    }

    #[test]
    fn an_age_that_nobody_has_is_not_known() {
        assert_eq!(age_years(1986, 2026), Some(40.0));
        for born in [2026, 1900, 0, u16::MAX] {
            assert_eq!(age_years(born, 2026), None, "{born}");
        }
        assert_eq!(age_years(1986, 1970), None, "a clock that was never set");
    }

    #[test]
    fn a_maximum_is_raised_to_what_was_held_and_by_ten_at_most() {
        let max = MaxHr { bpm: 180, origin: MaxHrOrigin::Hunt };
        let raised = |held| exceeded(max, held).map(|raised| raised.bpm);
        assert_eq!([179, 180, 181, 190, 191, 240].map(raised)[..3], [None, None, Some(181)]);
        assert_eq!([190, 191, 240].map(raised), [Some(190); 3]);
        assert_eq!(exceeded(max, 185).unwrap().origin, MaxHrOrigin::Exceeded);
    }

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_heart_rate_must_hold_for_thirty_seconds_without_a_break() {
        let mut held = Held::default();
        held.add(0, 29 * SECOND, 190);
        held.add(29 * SECOND, 31 * SECOND, 185);
        assert_eq!(held.bpm(), Some(185), "185 and more for 31 seconds");
        held.add(32 * SECOND, 61 * SECOND, 200);
        held.add(62 * SECOND, 91 * SECOND, 200);
        assert_eq!(held.bpm(), Some(185), "broken by a second each time");
        held.add(91 * SECOND, 92 * SECOND, 210);
        assert_eq!(held.bpm(), Some(200));
    }

    /// Against the plain definition, second by second.
    #[test]
    fn what_was_held_is_the_best_of_all_half_minutes() {
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let mut seconds = Vec::new();
            let mut bpm = 150;
            for _ in 0..dice.usize(0..200) {
                bpm = (bpm + dice.i32(-3..=3)).clamp(140, 160);
                // 0 is a break.
                seconds.push(if dice.u8(..) < 3 { 0 } else { bpm as u16 });
            }
            let mut held = Held::default();
            for (second, bpm) in (0..).zip(&seconds).filter(|(_, bpm)| **bpm > 0) {
                held.add(second * SECOND, (second + 1) * SECOND, *bpm);
            }
            let lowest = |half_minute: &[u16]| half_minute.iter().copied().min().unwrap_or(0);
            let best = seconds.windows(30).map(lowest).max().filter(|bpm| *bpm > 0);
            assert_eq!(held.bpm(), best, "{seconds:?}");
        }
    }
}
