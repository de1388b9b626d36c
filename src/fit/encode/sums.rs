//! What records sum up to: averages over time, extremes, distance. Pure arithmetic.

use crate::activity::{Sample, Totals};

/// Most seconds that a value stands for when no record follows. Watches that record when something changes leave up to
/// 8 s between two records; beyond that the sensor was away.
const HOLD_S: u32 = 10;

/// A value over time.
#[derive(Debug, Clone, Copy, Default)]
struct Weighted {
    /// Sum of value times seconds.
    sum: f64,
    seconds: f64,
    range: Option<(f64, f64)>,
}

impl Weighted {
    fn add(&mut self, value: Option<f64>, seconds: u32) {
        let Some(value) = value else { return };
        self.sum += value * f64::from(seconds);
        self.seconds += f64::from(seconds);
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.seconds += other.seconds;
        self.range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (mine, theirs) => mine.or(theirs),
        };
    }

    fn avg(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.sum / self.seconds)
    }

    fn min(&self) -> Option<f64> {
        self.range.map(|(low, _)| low)
    }

    fn max(&self) -> Option<f64> {
        self.range.map(|(_, high)| high)
    }
}

/// What the records of a lap or of a session sum up to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    heart_rate: Weighted,
    power: Weighted,
    cadence: Weighted,
    speed: Weighted,
    /// Metres since the start, as the last record that had them.
    pub distance_m: Option<f64>,
}

impl Sums {
    /// Counts `sample`, which the next record (or the end of the timer) follows after `seconds`.
    pub fn add(&mut self, sample: &Sample, seconds: u32) {
        let seconds = seconds.clamp(1, HOLD_S);
        self.heart_rate.add(sample.heart_rate_bpm.map(f64::from), seconds);
        self.power.add(sample.power_w.map(f64::from), seconds);
        self.cadence.add(sample.cadence_rpm, seconds);
        self.speed.add(sample.speed_mps, seconds);
        self.distance_m = sample.distance_m.or(self.distance_m);
    }

    /// Counts what follows: the next lap.
    pub fn merge(&mut self, next: &Self) {
        self.heart_rate.merge(&next.heart_rate);
        self.power.merge(&next.power);
        self.cadence.merge(&next.cadence);
        self.speed.merge(&next.speed);
        self.distance_m = next.distance_m.or(self.distance_m);
    }

    /// `said`, and where the device said nothing, what the records sum up to. What is filled in never contradicts what
    /// was said. `distance_m` is the way of these records alone.
    pub fn complete(&self, said: &Totals, distance_m: Option<f64>, timer_s: f64) -> Totals {
        let distance_m = said.distance_m.or(distance_m);
        let bpm = |said: Option<u8>| said.filter(|bpm| *bpm != 0);
        let (avg_hr, max_hr, min_hr) = fill(
            [bpm(said.avg_hr_bpm), bpm(said.max_hr_bpm), bpm(said.min_hr_bpm)].map(to_f64),
            &self.heart_rate,
        );
        let (avg_power, max_power, _) = fill(
            [said.avg_power_w.map(f64::from), said.max_power_w.map(f64::from), None],
            &self.power,
        );
        let (avg_cadence, max_cadence, _) =
            fill([to_f64(said.avg_cadence_rpm), to_f64(said.max_cadence_rpm), None], &self.cadence);
        let speed = distance_m.filter(|_| timer_s > 0.0).map(|metres| metres / timer_s);
        let avg_speed_mps = said.avg_speed_mps.or(speed).or(self.speed.avg());
        Totals {
            distance_m,
            avg_hr_bpm: avg_hr.map(|bpm| bpm as u8),
            max_hr_bpm: max_hr.map(|bpm| bpm as u8),
            min_hr_bpm: min_hr.map(|bpm| bpm as u8),
            avg_power_w: avg_power.map(|watts| watts as u16),
            max_power_w: max_power.map(|watts| watts as u16),
            avg_cadence_rpm: avg_cadence.map(|rpm| rpm as u8),
            max_cadence_rpm: max_cadence.map(|rpm| rpm as u8),
            avg_speed_mps,
            max_speed_mps: said.max_speed_mps.or_else(|| {
                let highest = self.speed.max()?;
                Some(avg_speed_mps.map_or(highest, |avg| avg.max(highest)))
            }),
            ..*said
        }
    }
}

fn to_f64(value: Option<u8>) -> Option<f64> {
    value.map(f64::from)
}

/// Average, highest and lowest, rounded.
fn fill(
    [avg, max, min]: [Option<f64>; 3],
    measured: &Weighted,
) -> (Option<f64>, Option<f64>, Option<f64>) {
    // What is said of the extremes binds an average that is not said.
    let avg = avg.or_else(|| {
        let avg = measured.avg()?.round();
        let avg = max.map_or(avg, |max| avg.min(max));
        Some(min.map_or(avg, |min| avg.max(min)))
    });
    let bound = |extreme: Option<f64>, take: fn(f64, f64) -> f64| {
        extreme.map(|value| avg.map_or(value, |avg| take(value.round(), avg)))
    };
    (
        avg,
        max.or_else(|| bound(measured.max(), f64::max)),
        min.or_else(|| bound(measured.min(), f64::min)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heart(bpm: Option<u8>) -> Sample {
        Sample { heart_rate_bpm: bpm, ..Sample::default() }
    }

    fn totals(sums: &Sums, said: &Totals) -> (Option<u8>, Option<u8>, Option<u8>) {
        let totals = sums.complete(said, None, 1.0);
        (totals.avg_hr_bpm, totals.max_hr_bpm, totals.min_hr_bpm)
    }

    #[test]
    fn an_average_weighs_each_value_with_the_time_it_stood() {
        let mut sums = Sums::default();
        sums.add(&heart(Some(60)), 1);
        sums.add(&heart(Some(120)), 3);
        sums.add(&heart(None), 5);
        assert_eq!(totals(&sums, &Totals::default()), (Some(105), Some(120), Some(60)));
    }

    #[test]
    fn a_value_does_not_stand_for_minutes_without_the_strap() {
        let mut sums = Sums::default();
        sums.add(&heart(Some(100)), 600);
        sums.add(&heart(Some(160)), 10);
        assert_eq!(totals(&sums, &Totals::default()).0, Some(130));
    }

    #[test]
    fn laps_sum_up_to_the_session() {
        let (mut first, mut second, mut whole) =
            (Sums::default(), Sums::default(), Sums::default());
        for (lap, bpm, seconds) in [(&mut first, 90, 4), (&mut second, 150, 2)] {
            lap.add(&heart(Some(bpm)), seconds);
            whole.add(&heart(Some(bpm)), seconds);
        }
        first.merge(&second);
        first.merge(&Sums::default());
        assert_eq!(totals(&first, &Totals::default()), totals(&whole, &Totals::default()));
        assert_eq!(totals(&first, &Totals::default()), (Some(110), Some(150), Some(90)));
    }

    #[test]
    fn what_is_filled_in_never_contradicts_what_was_said() {
        let mut sums = Sums::default();
        sums.add(&heart(Some(130)), 1);
        let said = Totals { avg_hr_bpm: Some(141), ..Totals::default() };
        assert_eq!(totals(&sums, &said), (Some(141), Some(141), Some(130)));
        let said = Totals { max_hr_bpm: Some(120), ..Totals::default() };
        assert_eq!(totals(&sums, &said), (Some(120), Some(120), Some(120)));
        let nothing = Totals { avg_hr_bpm: Some(0), ..Totals::default() };
        assert_eq!(totals(&Sums::default(), &nothing), (None, None, None));
    }
}
