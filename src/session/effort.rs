//! An effort as it grows: fed with readings in order, it tells at any time what they sum up to.
//!
//! A heart rate counts for as long as it holds: until the next one, and no longer than [`HOLD_US`]; what lies beyond is a
//! gap, in which the effort is paused. What is kept is how long each heart rate lasted. Everything that depends on the person
//! is made from that when it is asked for: a weight that is corrected in the middle of a session is right from its
//! beginning. Sums are whole microseconds, so that it makes no difference in how many pieces they came.

use serde::{Deserialize, Serialize};

use super::body::Body;
use super::heard::{Ear, HOLD_US, Heard};
use super::hrv::Beats;
use super::load::{edwards_per_min, points_per_min};
use super::max_hr::{self, Held};
use super::summary::{SessionSummary, ZoneTimes};
use super::zones::Zones;
use crate::normalize::PLAUSIBLE_BPM;
use crate::reading::HeartRate;

const SECOND_US: f64 = 1e6;
const MINUTE_US: f64 = 6e7;

/// What a strap's readings sum up to so far. Times are microseconds since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// The time of the latest reading.
    latest_us: u64,
    /// Where the latest heart rate that was counted ended.
    active_to_us: u64,
    /// The heart rate that holds, and since when.
    now: Option<(u64, u16)>,
    /// When beats last came.
    beats_us: Option<u64>,
    ear: Ear,
    lasted: Lasted,
    lowest_bpm: Option<u16>,
    highest_bpm: Option<u16>,
    held: Held,
    beats: Beats,
}

impl Effort {
    /// Takes in the next reading and says what was heard in it. Readings come in order; one that is stamped earlier than
    /// the one before it counts as of the same moment.
    pub fn reading(&mut self, at_us: u64, heart_rate: &HeartRate) -> Heard {
        let at_us = at_us.max(self.latest_us);
        self.latest_us = at_us;
        let heard = self.ear.hear(at_us, heart_rate);
        match heard {
            Heard::Again => {}
            Heard::Nothing => {
                self.settle(at_us);
                self.beats.gap();
            }
            Heard::Rate(bpm) => {
                self.settle(at_us);
                self.now = Some((at_us, bpm));
                self.lowest_bpm = Some(self.lowest_bpm.map_or(bpm, |lowest| lowest.min(bpm)));
                self.highest_bpm = self.highest_bpm.max(Some(bpm));
                self.intervals(at_us, heart_rate);
            }
        }
        heard
    }

    fn intervals(&mut self, at_us: u64, heart_rate: &HeartRate) {
        if heart_rate.rr.is_empty() {
            return;
        }
        if self.beats_us.is_some_and(|us| at_us.saturating_sub(us) >= HOLD_US) {
            self.beats.gap();
        }
        self.beats_us = Some(at_us);
        heart_rate.rr.iter().for_each(|rr| self.beats.add(*rr));
    }

    /// Counts the heart rate that holds, up to here.
    fn settle(&mut self, to_us: u64) {
        let Some((from_us, bpm)) = self.now.take() else { return };
        let to_us = to_us.clamp(from_us, from_us.saturating_add(HOLD_US));
        self.lasted.add(bpm, to_us - from_us);
        self.held.add(from_us, to_us, bpm);
        self.active_to_us = to_us;
    }

    /// The heart rate at a time that is not before the latest reading.
    pub fn bpm_at(&self, at_us: u64) -> Option<u16> {
        self.now.filter(|(us, _)| at_us.saturating_sub(*us) < HOLD_US).map(|(_, bpm)| bpm)
    }

    /// Where the effort ends if nothing else comes: with its last heart rate.
    pub fn end_us(&self) -> u64 {
        self.now.map_or(self.active_to_us, |(us, _)| us.saturating_add(HOLD_US))
    }

    /// How the strap is heard.
    pub(super) fn ear(&self) -> Ear {
        self.ear
    }

    /// What it sums up to until here, for this body. The end is not before the latest heart rate.
    pub fn summary(&self, until_us: u64, body: &Body) -> SessionSummary {
        let mut whole = self.clone();
        whole.settle(until_us);
        let elapsed_us = until_us.max(whole.active_to_us);
        let lasted = &whole.lasted;
        let active_us = lasted.total_us();
        let of_max = body.max;
        SessionSummary {
            elapsed_s: elapsed_us as f64 / SECOND_US,
            active_s: active_us as f64 / SECOND_US,
            paused_s: elapsed_us.saturating_sub(active_us) as f64 / SECOND_US,
            avg_bpm: lasted.mean_bpm(),
            min_bpm: self.lowest_bpm,
            max_bpm: self.highest_bpm,
            of_max,
            zones: body.zones.map(|zones| lasted.in_zones(&zones)),
            calories_kcal: body
                .keytel
                .map(|keytel| lasted.sum_per_min(|bpm| keytel.kcal_per_min(bpm))),
            trimp_banister: body
                .banister
                .map(|banister| lasted.sum_per_min(|bpm| banister.per_min(bpm))),
            trimp_edwards: of_max.map(|max| {
                // Edwards' tenths are of the maximum, wherever somebody's zones begin.
                let tenths = Zones::of_max(max.bpm);
                lasted.sum_per_min(|bpm| edwards_per_min(tenths.zone(bpm)))
            }),
            points: body
                .zones
                .map(|zones| lasted.sum_per_min(|bpm| points_per_min(zones.zone(bpm)))),
            hrv: self.beats.hrv(),
            recovery: None,
            exceeded: of_max
                .zip(whole.held.bpm())
                .and_then(|(max, held)| max_hr::exceeded(max, held)),
        }
    }
}

/// Heart rates that can be told apart.
const RATES: usize = (*PLAUSIBLE_BPM.end() - *PLAUSIBLE_BPM.start() + 1) as usize;

/// How long each heart rate lasted, in microseconds. Kept as pairs: somebody's heart has a hundred rates at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
struct Lasted(Box<[u64; RATES]>);

impl Default for Lasted {
    fn default() -> Self {
        Self(Box::new([0; RATES]))
    }
}

impl Lasted {
    fn add(&mut self, bpm: u16, us: u64) {
        let index = usize::from(bpm.saturating_sub(*PLAUSIBLE_BPM.start()));
        if let Some(lasted) = self.0.get_mut(index) {
            *lasted = lasted.saturating_add(us);
        }
    }

    /// Heart rates that came, and how long each lasted.
    fn rates(&self) -> impl Iterator<Item = (u16, u64)> {
        PLAUSIBLE_BPM.zip(*self.0).filter(|(_, us)| *us > 0)
    }

    fn total_us(&self) -> u64 {
        self.0.iter().sum()
    }

    fn mean_bpm(&self) -> Option<f64> {
        let total_us = self.total_us();
        let beats: u128 = self.rates().map(|(bpm, us)| u128::from(bpm) * u128::from(us)).sum();
        (total_us > 0).then(|| beats as f64 / total_us as f64)
    }

    fn in_zones(&self, zones: &Zones) -> ZoneTimes {
        let mut times_us = [0; 6];
        for (bpm, us) in self.rates() {
            times_us[usize::from(zones.zone(bpm))] += us;
        }
        ZoneTimes(times_us.map(|us| us as f64 / SECOND_US))
    }

    /// Adds up what comes by the minute at each heart rate.
    fn sum_per_min(&self, per_min: impl Fn(u16) -> f64) -> f64 {
        self.rates().map(|(bpm, us)| per_min(bpm) * us as f64 / MINUTE_US).sum()
    }
}

impl From<Lasted> for Vec<(u16, u64)> {
    fn from(lasted: Lasted) -> Self {
        lasted.rates().collect()
    }
}

impl TryFrom<Vec<(u16, u64)>> for Lasted {
    type Error = String;
    fn try_from(pairs: Vec<(u16, u64)>) -> Result<Self, String> {
        let mut lasted = Self::default();
        for (bpm, us) in pairs {
            if !PLAUSIBLE_BPM.contains(&bpm) {
                return Err(format!("{bpm} beats per minute were never counted"));
            }
            lasted.add(bpm, us);
        }
        Ok(lasted)
    }
}

#[cfg(test)]
mod tests;
