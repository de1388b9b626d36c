//! Energy spent, from heart rate.
//!
//! Keytel LR et al., *Prediction of energy expenditure from heart rate monitoring during submaximal exercise*, Journal
//! of Sports Sciences 23(3), 2005, 289–297: the equations without fitness, kilojoules a minute over 4.184. They were fitted
//! to exercise, and below about 90 beats a minute they tell less than a body at rest spends, or less than nothing: then it is
//! nothing.

use crate::athlete::Sex;

/// Kilojoules in a kilocalorie.
const KJ_PER_KCAL: f64 = 4.184;

/// What Keytel's equations ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keytel {
    /// There is an equation for each.
    pub sex: Sex,
    /// Body mass in kilograms.
    pub weight_kg: f64,
    /// Age in years.
    pub age_years: f64,
}

impl Keytel {
    /// Kilocalories a minute at this heart rate; never less than 0.
    pub fn kcal_per_min(&self, bpm: u16) -> f64 {
        let Self { sex, weight_kg, age_years } = *self;
        let bpm = f64::from(bpm);
        let kj = match sex {
            Sex::Male => -55.0969 + 0.6309 * bpm + 0.1988 * weight_kg + 0.2017 * age_years,
            Sex::Female => -20.4022 + 0.4472 * bpm - 0.1263 * weight_kg + 0.074 * age_years,
        };
        (kj / KJ_PER_KCAL).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_an_hour(sex: Sex, weight_kg: f64, age_years: f64, bpm: u16) -> f64 {
        30.0 * Keytel { sex, weight_kg, age_years }.kcal_per_min(bpm)
    }

    /// Examples as calculators publish them: webtoolsguru.com ("Calories Burned by Heart Rate", both sexes) and
    /// clevercalculator.com ("a 75 kg man, age 35, exercising at 150 bpm for 30 minutes … about 441").
    #[test]
    fn keytel_tells_what_published_examples_tell() {
        let told = half_an_hour(Sex::Male, 75.0, 30.0, 140);
        assert!((told - 388.55).abs() < 0.005, "{told}");
        let told = half_an_hour(Sex::Female, 65.0, 30.0, 140);
        assert!((told - 259.68).abs() < 0.005, "{told}");
        let told = half_an_hour(Sex::Male, 75.0, 35.0, 150);
        assert!((told - 441.0).abs() < 0.5, "{told}");
    }

    #[test]
    fn nobody_gains_energy_by_a_slow_heart() {
        let light = Keytel { sex: Sex::Male, weight_kg: 50.0, age_years: 18.0 };
        assert!(light.kcal_per_min(50) == 0.0);
        let heavy = Keytel { sex: Sex::Female, weight_kg: 140.0, age_years: 18.0 };
        assert!(heavy.kcal_per_min(60) == 0.0);
    }
}
