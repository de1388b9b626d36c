//! Training load: what an effort costs, as one number.
//!
//! - Banister EW, *Modeling elite athletic performance* (in MacDougall et al., Physiological Testing of Elite Athletes,
//!   1991; with the weights of Morton, Fitz-Clarke and Banister, J Appl Physiol 69, 1990): minutes × share of the
//!   heart-rate reserve × a weight that rises like blood lactate. Banister took the mean of a session; here every heart
//!   rate counts for as long as it lasted, so that intervals count for what they are. For a steady effort it is the same.
//! - Edwards S, *The Heart Rate Monitor Book* (1993): minutes in each ten percent of the maximum from 50 percent on, times
//!   1, 2, 3, 4 and 5.
//! - Effort points: minutes in zones 1 to 5, times 1, 2, 3, 4 and 4. To go all out is not rewarded more than to go hard.

use crate::athlete::Sex;

/// Points a minute below zone 1 and in zones 1 to 5.
const POINTS: [f64; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 4.0];
/// Edwards' load a minute below 50 percent of the maximum and in the tenths from there.
const EDWARDS: [f64; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

/// What Banister's training impulse asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Banister {
    sex: Sex,
    resting_bpm: u16,
    max_bpm: u16,
}

impl Banister {
    /// `None` where there is no reserve: a maximum that is not above the heart rate at rest.
    pub fn new(sex: Sex, resting_bpm: u16, max_bpm: u16) -> Option<Self> {
        (max_bpm > resting_bpm).then_some(Self { sex, resting_bpm, max_bpm })
    }

    /// Load of a minute at this heart rate. Below the heart rate at rest it is 0, above the maximum it goes on rising.
    pub fn per_min(&self, bpm: u16) -> f64 {
        let above_rest = f64::from(bpm.saturating_sub(self.resting_bpm));
        let reserve = above_rest / f64::from(self.max_bpm - self.resting_bpm);
        let weight = match self.sex {
            Sex::Male => 0.64 * (1.92 * reserve).exp(),
            Sex::Female => 0.86 * (1.67 * reserve).exp(),
        };
        reserve * weight
    }
}

/// Edwards' load of a minute in this tenth of the maximum: 0 below 50 percent, 1 to 5 from there.
pub fn edwards_per_min(zone: u8) -> f64 {
    EDWARDS[usize::from(zone.min(5))]
}

/// Effort points of a minute in this zone: 0 below zone 1.
pub fn points_per_min(zone: u8) -> f64 {
    POINTS[usize::from(zone.min(5))]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// calculatorhub.com ("45 min, exercise HR 150, resting 60, maximum 190, male … 75.36") and afitpilot.com ("60-minute
    /// run, average HR 155, resting HR 55, max HR 190 … ≈ 118"), both from rounded steps.
    #[test]
    fn banister_tells_what_published_examples_tell() {
        let told = 45.0 * Banister::new(Sex::Male, 60, 190).unwrap().per_min(150);
        assert!((told - 75.36).abs() < 0.05, "{told}");
        let told = 60.0 * Banister::new(Sex::Male, 55, 190).unwrap().per_min(155);
        assert!((told - 118.0).abs() < 0.5, "{told}");
    }

    /// The weights of both sexes at a reserve of 0 and 1, as Morton's paper has them.
    #[test]
    fn banister_has_a_weight_for_each_sex() {
        let at_max = |sex| Banister::new(sex, 60, 190).unwrap().per_min(190);
        assert!((at_max(Sex::Male) - 0.64 * 6.820_958).abs() < 1e-6);
        assert!((at_max(Sex::Female) - 0.86 * 5.312_168).abs() < 1e-6);
        assert!(Banister::new(Sex::Female, 60, 190).unwrap().per_min(50) == 0.0);
        assert_eq!(Banister::new(Sex::Male, 60, 60), None);
    }

    /// The table of coefficients at trainingimpulse.com/edwards-trimp and Myzone's points a minute.
    #[test]
    fn zones_weigh_what_their_authors_say() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(edwards_per_min), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!([0, 1, 2, 3, 4, 5].map(points_per_min), [0.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
    }
}
