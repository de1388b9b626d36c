//! What is known of a body at a time: what each formula asks for, or nothing where something is missing.

use super::axis::year;
use super::energy::Keytel;
use super::load::Banister;
use super::max_hr::{age_years, of};
use super::zones::Zones;
use crate::athlete::{MaxHr, Profile};
use crate::timeline::Placed;

/// Weights that a scale was right about, in kilograms.
const WEIGHTS: std::ops::RangeInclusive<f64> = 15.0..=400.0;

/// A body, ready for arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Body {
    /// The highest heart rate.
    pub max: Option<MaxHr>,
    /// Where zones begin.
    pub zones: Option<Zones>,
    /// For energy: needs sex, weight and year of birth.
    pub keytel: Option<Keytel>,
    /// For Banister's training impulse: needs sex, the heart rate at rest and a maximum.
    pub banister: Option<Banister>,
}

impl Body {
    /// What a profile says at that time: the same for a session and for whoever looks at it.
    pub fn at(profile: &Profile, time: &Placed) -> Self {
        Self::new(&as_of(profile, time), year(time))
    }

    /// What a profile says in the calendar year `year`; `None` while nobody knows the date, and so no age.
    pub fn new(profile: &Profile, year: Option<i32>) -> Self {
        let age_years = profile.birth_year.zip(year).and_then(|(born, year)| age_years(born, year));
        let max = of(profile, age_years);
        let weight_kg = profile.weight_kg.filter(|kg| WEIGHTS.contains(kg));
        Self {
            max,
            zones: Zones::of(profile, max.map(|max| max.bpm)),
            keytel: profile
                .sex
                .zip(weight_kg)
                .zip(age_years)
                .map(|((sex, weight_kg), age_years)| Keytel { sex, weight_kg, age_years }),
            banister: profile
                .sex
                .zip(profile.resting_hr)
                .zip(max)
                .and_then(|((sex, resting), max)| Banister::new(sex, resting.bpm, max.bpm)),
        }
    }
}

/// A maximum that was raised and is not confirmed counts from when it was exceeded on: what began before keeps what it was
/// computed with, whenever that is done again.
fn as_of(profile: &Profile, time: &Placed) -> Profile {
    match profile.max_hr_raised {
        Some(raised) if raised.open && time.unix_us.div_euclid(1000) < raised.at.0 => {
            Profile { max_hr: raised.from.as_noted(), max_hr_raised: None, ..*profile }
        }
        _ => *profile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::athlete::{RestingHr, RestingHrOrigin, Sex};

    fn whole() -> Profile {
        Profile {
            birth_year: Some(1986),
            sex: Some(Sex::Female),
            weight_kg: Some(62.0),
            max_hr: None,
            max_hr_raised: None,
            resting_hr: Some(RestingHr { bpm: 55, origin: RestingHrOrigin::Given }),
            zones_from_bpm: None,
        }
    }

    #[test]
    fn a_whole_profile_answers_every_formula() {
        let body = Body::new(&whole(), Some(2026));
        assert_eq!(body.max.map(|max| max.bpm), Some(185));
        assert!(body.zones.is_some() && body.keytel.is_some() && body.banister.is_some());
    }

    #[test]
    fn what_lacks_a_fact_is_left_out_and_the_rest_is_there() {
        let no_sex = Body::new(&Profile { sex: None, ..whole() }, Some(2026));
        assert!(no_sex.zones.is_some() && no_sex.keytel.is_none() && no_sex.banister.is_none());
        let no_rest = Body::new(&Profile { resting_hr: None, ..whole() }, Some(2026));
        assert!(no_rest.keytel.is_some() && no_rest.banister.is_none());
        for kg in [None, Some(0.0), Some(-70.0), Some(f64::NAN), Some(7000.0)] {
            let light = Body::new(&Profile { weight_kg: kg, ..whole() }, Some(2026));
            assert!(light.keytel.is_none() && light.banister.is_some(), "{kg:?}");
        }
        let undated = Body::new(&whole(), None);
        assert_eq!(undated, Body::default());
        assert_eq!(Body::new(&Profile::default(), Some(2026)), Body::default());
    }
}
