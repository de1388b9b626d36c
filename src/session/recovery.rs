//! Heart-rate recovery: how far the heart rate falls in the first and the second minute after the end.
//!
//! Cole CR et al., *Heart-rate recovery immediately after exercise as a predictor of mortality*, N Engl J Med 341, 1999,
//! 1351–1357: the heart rate at the end less that one minute later; the second minute is that of Shetler K et al., J Am
//! Coll Cardiol 38, 2001, 1980–1987. It is taken where a strap goes on sending after a check-out or the end of a class.

use serde::{Deserialize, Serialize};

use super::heard::HOLD_US;
use super::summary::Recovery;

/// When the fall is taken, in microseconds after the end.
const MARKS_US: [u64; 2] = [60_000_000, 120_000_000];

/// Watches a heart rate after its session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    end_us: u64,
    from_bpm: u16,
    /// The latest heart rate and its time.
    latest: Option<(u64, u16)>,
    falls: [Option<i16>; 2],
    /// Marks that have passed.
    passed: usize,
}

impl Watch {
    /// The session ended here with this heart rate.
    pub fn new(end_us: u64, from_bpm: u16) -> Self {
        let latest = Some((end_us, from_bpm));
        Self { end_us, from_bpm, latest, falls: [None; 2], passed: 0 }
    }

    /// From here on the heart rate is this, or there is none.
    pub fn heart_rate(&mut self, at_us: u64, bpm: Option<u16>) {
        self.pass(at_us);
        self.latest = bpm.map(|bpm| (at_us, bpm));
    }

    /// So far nothing else came. True when there is nothing more to wait for. At a mark itself something still may come,
    /// and is the heart rate there.
    pub fn pass(&mut self, to_us: u64) -> bool {
        while let Some(mark_us) =
            MARKS_US.get(self.passed).map(|mark| self.end_us.saturating_add(*mark))
            && mark_us < to_us
        {
            let held = self.latest.filter(|(us, _)| mark_us.saturating_sub(*us) < HOLD_US);
            let fall = |bpm: u16| i32::from(self.from_bpm) - i32::from(bpm);
            self.falls[self.passed] = held.and_then(|(_, bpm)| i16::try_from(fall(bpm)).ok());
            self.passed += 1;
        }
        self.passed == MARKS_US.len()
    }

    /// What was seen; `None` when it was neither minute.
    pub fn recovery(&self) -> Option<Recovery> {
        let [after_60_s, after_120_s] = self.falls;
        let recovery = Recovery { from_bpm: self.from_bpm, after_60_s, after_120_s };
        self.falls.iter().any(Option::is_some).then_some(recovery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn watched(seconds: impl Iterator<Item = u64>) -> Watch {
        let mut watch = Watch::new(0, 170);
        for second in seconds {
            watch.heart_rate(second * SECOND, Some(170 - second as u16 / 3));
        }
        watch
    }

    #[test]
    fn the_fall_is_taken_at_one_minute_and_at_two() {
        let mut watch = watched(1..=119);
        assert!(!watch.pass(120 * SECOND));
        assert!(watch.pass(120 * SECOND + 1));
        let told = watch.recovery().unwrap();
        assert_eq!((told.from_bpm, told.after_60_s, told.after_120_s), (170, Some(20), Some(39)));
        assert_eq!(watched(1..=121).recovery().unwrap().after_120_s, Some(40));
    }

    #[test]
    fn a_mark_without_a_heart_rate_is_not_guessed() {
        let mut watch = watched((1..=50).chain(118..=130));
        watch.pass(200 * SECOND);
        let told = watch.recovery().unwrap();
        assert_eq!((told.after_60_s, told.after_120_s), (None, Some(40)));
        let mut watch = watched(1..=50);
        watch.heart_rate(59 * SECOND, Some(150));
        watch.heart_rate(60 * SECOND - 1, None);
        watch.pass(200 * SECOND);
        assert_eq!(watch.recovery(), None);
    }

    #[test]
    fn a_heart_rate_that_rises_is_told_as_such() {
        let mut watch = Watch::new(0, 100);
        watch.heart_rate(58 * SECOND, Some(112));
        watch.pass(61 * SECOND);
        assert_eq!(watch.recovery().unwrap().after_60_s, Some(-12));
    }
}
