//! Heart-rate variability from RR intervals, one pass, in whole 1/1024 s until it is told.
//!
//! Measures: Task Force of the ESC and NASPE, *Heart rate variability: standards of measurement*, Circulation 93(5), 1996,
//! 1043–1065. SDNN is over all intervals (not over one less: no recording is a sample of itself), RMSSD and pNN50 over the
//! differences of neighbours.
//!
//! Artefacts: an interval outside of 300 to 2000 ms is no interval between two beats of a person who moves, and one that
//! is more than 20 percent off the median of the five around it is a missed or an extra beat (the share is that of Malik et
//! al., Eur Heart J 10, 1989; the median of five keeps one bad beat from condemning the good one behind it). They are taken
//! out and not replaced; a difference is taken between two good beats that follow each other, and never across a gap.

use serde::{Deserialize, Serialize};

use super::summary::Hrv;
use crate::reading::RrInterval;

/// Shortest and longest interval of a heart, in milliseconds.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 300..=2000;
/// An interval further off its surroundings than one in so many is an artefact: 20 percent.
const OFF_BY: u64 = 5;
/// Intervals before and behind that an interval is compared with.
const AROUND: usize = 2;
/// pNN50 counts differences over so many milliseconds.
const NN50_MS: u64 = 50;
/// Units of an RR interval in a second.
const TICKS: u64 = 1024;

/// Sums up intervals. An interval is judged when two more have come; what is not judged yet waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beats {
    /// The latest intervals without a gap between them.
    recent: Vec<u16>,
    /// How many of them wait to be judged.
    waiting: usize,
    /// The interval before the one to be judged next, if it was good.
    before: Option<u16>,
    sums: Sums,
}

/// Sums over good intervals, exact: the same whatever was taken in at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    count: u64,
    sum: u64,
    squares: u64,
    differences: u64,
    squared_differences: u64,
    over_50: u64,
    artefacts: u64,
}

impl Beats {
    /// Takes in the next interval.
    pub fn add(&mut self, rr: RrInterval) {
        self.recent.push(rr.0);
        self.waiting += 1;
        if self.waiting > AROUND {
            self.judge();
        }
        if self.recent.len() > 2 * AROUND {
            self.recent.remove(0);
        }
    }

    /// Beats were missed here: what comes next is no neighbour of what came before.
    pub fn gap(&mut self) {
        while self.waiting > 0 {
            self.judge();
        }
        self.recent.clear();
        self.before = None;
    }

    /// What the intervals tell so far; `None` while there are no two good neighbours.
    pub fn hrv(&self) -> Option<Hrv> {
        let mut all = self.clone();
        all.gap();
        all.sums.hrv()
    }

    fn judge(&mut self) {
        let at = self.recent.len() - self.waiting;
        self.waiting -= 1;
        let rr = self.recent[at];
        let to = (at + AROUND + 1).min(self.recent.len());
        let around = &self.recent[at.saturating_sub(AROUND)..to];
        if is_beat(rr) && is_near(rr, around) {
            self.sums.add(rr, self.before);
            self.before = Some(rr);
        } else {
            self.sums.artefacts += 1;
            self.before = None;
        }
    }
}

fn is_beat(rr: u16) -> bool {
    // Compared in 1/1024 ms.
    let scaled = u64::from(rr) * 1000;
    (INTERVAL_MS.start() * TICKS..=INTERVAL_MS.end() * TICKS).contains(&scaled)
}

/// Whether an interval is within 20 percent of the median of what is around it, itself included.
fn is_near(rr: u16, around: &[u16]) -> bool {
    let mut sorted: Vec<u64> =
        around.iter().filter(|rr| is_beat(**rr)).map(|rr| u64::from(*rr)).collect();
    sorted.sort_unstable();
    let (Some(upper), Some(lower)) =
        (sorted.get(sorted.len() / 2), sorted.get(sorted.len().saturating_sub(1) / 2))
    else {
        return false;
    };
    // Twice the median, so that it is a whole number.
    let twice = upper + lower;
    (2 * u64::from(rr)).abs_diff(twice) * OFF_BY <= twice
}

impl Sums {
    fn add(&mut self, rr: u16, before: Option<u16>) {
        let ticks = u64::from(rr);
        self.count += 1;
        self.sum += ticks;
        self.squares += ticks * ticks;
        if let Some(before) = before {
            let difference = ticks.abs_diff(u64::from(before));
            self.differences += 1;
            self.squared_differences += difference * difference;
            self.over_50 += u64::from(difference * 1000 > NN50_MS * TICKS);
        }
    }

    fn hrv(&self) -> Option<Hrv> {
        if self.differences == 0 {
            return None;
        }
        let ms = |ticks: f64| ticks * 1000.0 / TICKS as f64;
        let count = u128::from(self.count);
        // n² times the variance, a whole number.
        let spread = count * u128::from(self.squares) - u128::from(self.sum) * u128::from(self.sum);
        let mean_square = self.squared_differences as f64 / self.differences as f64;
        Some(Hrv {
            rmssd_ms: ms(mean_square.sqrt()),
            sdnn_ms: ms((spread as f64).sqrt() / self.count as f64),
            pnn50_percent: 100.0 * self.over_50 as f64 / self.differences as f64,
            beats: self.count,
            artefacts: self.artefacts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hrv(intervals: &[u16]) -> Option<Hrv> {
        let mut beats = Beats::default();
        intervals.iter().for_each(|rr| beats.add(RrInterval(*rr)));
        beats.hrv()
    }

    /// Published examples are in whole milliseconds, which straps do not send. RMSSD and SDNN grow with what they are of: so
    /// the same numbers are taken as 1/1024 s, and told in them.
    fn in_ticks(ms: f64) -> f64 {
        ms * 1.024
    }

    /// calculatorlib.com ("800, 810, 790, 805, 795 … RMSSD 14.36 … SDNN 7.07") and SOMA ("How SDNN is calculated": 800, 810,
    /// 820, 830, 840 … 14.14).
    #[test]
    fn variability_is_what_published_examples_tell() {
        let told = hrv(&[800, 810, 790, 805, 795]).unwrap();
        assert!((in_ticks(told.rmssd_ms) - 14.36).abs() < 0.005, "{told:?}");
        assert!((in_ticks(told.sdnn_ms) - 7.07).abs() < 0.005, "{told:?}");
        let told = hrv(&[800, 810, 820, 830, 840]).unwrap();
        assert!((in_ticks(told.sdnn_ms) - 14.14).abs() < 0.005, "{told:?}");
        assert_eq!((told.beats, told.artefacts), (5, 0));
    }

    #[test]
    fn pnn50_counts_differences_over_fifty_milliseconds() {
        // 51 and 52 units are 49.8 and 50.8 ms.
        let told = hrv(&[1000, 1051, 1000, 1052, 1000]).unwrap();
        assert!((told.pnn50_percent - 50.0).abs() < 1e-9, "{told:?}");
    }

    #[test]
    fn a_missed_and_an_extra_beat_are_taken_out_and_nothing_is_compared_across_them() {
        let told = hrv(&[800, 810, 800, 1610, 805, 800, 400, 410, 800, 810, 805]).unwrap();
        assert_eq!((told.beats, told.artefacts), (8, 3));
        // Neighbours that are left: 10, 10, 5, 10 and 5 apart.
        assert!((in_ticks(told.rmssd_ms) - 70.0f64.sqrt()).abs() < 1e-9, "{told:?}");
    }

    #[test]
    fn an_interval_a_fifth_off_its_surroundings_is_one_and_one_further_off_is_an_artefact() {
        for (odd, artefacts) in [(1200, 0), (1201, 1), (800, 0), (799, 1)] {
            let told = hrv(&[1000, 1000, 1000, odd, 1000, 1000, 1000]).unwrap();
            assert_eq!(told.artefacts, artefacts, "{odd}");
        }
    }

    #[test]
    fn what_no_heart_does_is_an_artefact_even_when_it_lasts() {
        let told = hrv(&[800, 800, 240, 244, 240, 246, 800, 810, 2100, 2100, 2100, 2100]).unwrap();
        assert_eq!((told.beats, told.artefacts), (4, 8));
        assert_eq!(hrv(&[307, 307, 307]), None, "299.8 ms");
        assert_eq!(hrv(&[308, 308, 308]).unwrap().beats, 3);
        assert_eq!(hrv(&[2048, 2048]).unwrap().beats, 2);
        assert_eq!(hrv(&[2049, 2049]), None);
    }

    #[test]
    fn a_heart_that_changes_its_pace_is_followed() {
        let told = hrv(&[[1000; 20], [700; 20]].concat()).unwrap();
        assert_eq!((told.beats, told.artefacts), (40, 0));
    }

    #[test]
    fn nothing_is_compared_across_a_gap() {
        let mut beats = Beats::default();
        [800, 800, 800].into_iter().for_each(|rr| beats.add(RrInterval(rr)));
        beats.gap();
        [600, 600].into_iter().for_each(|rr| beats.add(RrInterval(rr)));
        let told = beats.hrv().unwrap();
        assert_eq!((told.beats, told.artefacts), (5, 0));
        assert!(told.rmssd_ms == 0.0);
    }

    #[test]
    fn one_beat_tells_nothing() {
        assert_eq!(hrv(&[]), None);
        assert_eq!(hrv(&[800]), None);
        assert_eq!(hrv(&[0, u16::MAX, 0]), None);
    }
}
