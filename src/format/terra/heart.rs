//! `heart_rate_data`, which activity, body and daily share, and the RR intervals of body.
//!
//! Lists are written from iterators while they are serialised: five hours are 18,000 heart rates and 45,000 beats.

use serde::{Serialize, Serializer};

use super::rounded;
use super::time::{Stamp, Timer};
use crate::athlete::Athlete;
use crate::session::{SessionSummary, ZoneTimes};
use crate::workout::{TimedBeat, TimedRate, Workout};

/// `HeartRateContext`: measured during activity.
const ACTIVE: u8 = 1;

/// Terra's `HeartRateData`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HeartRateData"))]
#[derive(Debug, Clone, Serialize)]
#[serde(bound(serialize = "R: Iterator<Item = TimedRate> + Clone"))]
pub struct HeartRateData<'a, R> {
    pub(super) summary: Summary,
    pub(super) detailed: Detailed<'a, R>,
}

/// Terra's `HeartRateDataDetailed`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HeartRateDataDetailed"))]
#[derive(Debug, Clone, Serialize)]
#[serde(bound(serialize = "R: Iterator<Item = TimedRate> + Clone"))]
pub struct Detailed<'a, R> {
    pub(super) hr_samples: HrSamples<'a, R>,
}

/// Terra's `HeartRateDataSummary`. Variability is in milliseconds.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HeartRateDataSummary"))]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avg_hr_bpm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_hr_bpm: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_hr_bpm: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resting_hr_bpm: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_max_hr_bpm: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avg_hrv_rmssd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) avg_hrv_sdnn: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hr_zone_data: Vec<Zone>,
}

/// Terra's `HeartRateZoneData`: zone 1 has the index 0.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HeartRateZoneData"))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Zone {
    zone: u8,
    /// Percent of the maximum that it begins at.
    start_percentage: f64,
    /// Percent of the maximum that it ends at.
    end_percentage: f64,
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
}

impl Summary {
    /// What a workout sums up to: what was worked out for the session of a strap, else what the device says.
    pub(super) fn of(workout: &Workout) -> Self {
        let totals = &workout.activity.totals;
        let effort = workout.effort.as_ref();
        let hrv = effort.and_then(|effort| effort.hrv);
        let mean = effort.and_then(|effort| effort.avg_bpm);
        Self {
            avg_hr_bpm: rounded(mean.or(totals.avg_hr_bpm.map(f64::from))),
            max_hr_bpm: effort.and_then(|e| e.max_bpm).or(totals.max_hr_bpm.map(u16::from)),
            min_hr_bpm: effort.and_then(|e| e.min_bpm).or(totals.min_hr_bpm.map(u16::from)),
            avg_hrv_rmssd: rounded(hrv.map(|hrv| hrv.rmssd_ms)),
            avg_hrv_sdnn: rounded(hrv.map(|hrv| hrv.sdnn_ms)),
            hr_zone_data: effort
                .and_then(|effort| zones(effort, workout.athlete.as_ref()))
                .unwrap_or_default(),
            ..Self::of_person(workout.athlete.as_ref(), effort)
        }
    }

    /// What is known of the person.
    pub(super) fn of_person(athlete: Option<&Athlete>, effort: Option<&SessionSummary>) -> Self {
        let max_hr = effort.and_then(|effort| effort.of_max);
        let max_hr = max_hr.or(athlete.and_then(|athlete| athlete.profile.max_hr));
        Self {
            resting_hr_bpm: athlete.and_then(|athlete| athlete.profile.resting_hr).map(|r| r.bpm),
            user_max_hr_bpm: max_hr.map(|max_hr| max_hr.bpm),
            ..Self::default()
        }
    }
}

const NAMES: [&str; 5] = ["Zone 1", "Zone 2", "Zone 3", "Zone 4", "Zone 5"];

/// Zones 1 to 5. Time below zone 1 has no place: it is what is missing from the active time.
fn zones(effort: &SessionSummary, athlete: Option<&Athlete>) -> Option<Vec<Zone>> {
    let ZoneTimes([_, times @ ..]) = effort.zones?;
    let max_bpm = f64::from(effort.of_max?.bpm.max(1));
    let begin_percent = match athlete.and_then(|athlete| athlete.profile.zones_from_bpm) {
        Some(from) => from.map(|bpm| (f64::from(bpm) * 1000.0 / max_bpm).round() / 10.0),
        None => [50.0, 60.0, 70.0, 80.0, 90.0],
    };
    let begin_percent = begin_percent.map(|percent| percent.min(100.0));
    let end = |index: usize| begin_percent.get(index + 1).copied().unwrap_or(100.0);
    let zone = |index: usize| Zone {
        zone: index as u8,
        start_percentage: begin_percent[index],
        end_percentage: end(index),
        name: NAMES[index],
        duration_seconds: rounded(Some(times[index])),
    };
    Some((0..NAMES.len()).map(zone).collect())
}

/// `hr_samples`: each heart rate as measured.
#[derive(Debug, Clone)]
pub struct HrSamples<'a, R> {
    pub(super) rates: R,
    pub(super) timer: Timer<'a>,
}

/// Terra's `HeartRateDataSample`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HeartRateDataSample"))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HrSample {
    timestamp: Stamp,
    bpm: u16,
    /// Seconds of the session's timer; on a day there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    timer_duration_seconds: Option<f64>,
    context: u8,
}

impl<R: Iterator<Item = TimedRate> + Clone> Serialize for HrSamples<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rates.clone().map(|rate| HrSample {
            timestamp: self.timer.stamp(rate.at),
            bpm: rate.bpm,
            timer_duration_seconds: self.timer.seconds(rate.at),
            context: ACTIVE,
        }))
    }
}

/// `rr_interval_samples`: each beat as measured, artefacts too.
#[derive(Debug, Clone)]
pub struct RrSamples<B> {
    pub(super) beats: B,
    pub(super) timer: Timer<'static>,
}

/// Terra's `RRIntervalSample`, at the moment of the beat that ends the interval.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RRIntervalSample"))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RrSample {
    timestamp: Stamp,
    rr_interval_ms: u16,
}

impl<B: Iterator<Item = TimedBeat> + Clone> Serialize for RrSamples<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.beats.clone().map(|beat| RrSample {
            timestamp: self.timer.stamp(beat.at),
            rr_interval_ms: beat.rr.0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::athlete::{MaxHr, MaxHrOrigin};

    fn effort(zones: [f64; 6]) -> SessionSummary {
        SessionSummary {
            elapsed_s: 100.0,
            active_s: 90.0,
            paused_s: 10.0,
            avg_bpm: None,
            min_bpm: None,
            max_bpm: None,
            of_max: Some(MaxHr { bpm: 190, origin: MaxHrOrigin::Given }),
            zones: Some(ZoneTimes(zones)),
            calories_kcal: None,
            trimp_banister: None,
            trimp_edwards: None,
            points: None,
            hrv: None,
            recovery: None,
            exceeded: None,
        }
    }

    #[test]
    fn zone_one_has_index_zero_and_time_below_it_is_left_out() {
        let told = zones(&effort([5.0, 10.0, 20.0, 30.0, 25.0, 0.0]), None).unwrap();
        let short: Vec<_> = told
            .iter()
            .map(|z| (z.zone, z.start_percentage, z.duration_seconds.unwrap()))
            .collect();
        assert_eq!(
            short,
            [(0, 50.0, 10.0), (1, 60.0, 20.0), (2, 70.0, 30.0), (3, 80.0, 25.0), (4, 90.0, 0.0)]
        );
        assert_eq!((told[4].end_percentage, told[4].name), (100.0, "Zone 5"));
    }

    #[test]
    fn zones_given_in_beats_are_told_in_percent_and_never_beyond_a_hundred() {
        let mut athlete = super::super::tests::athlete();
        athlete.profile.zones_from_bpm = Some([95, 120, 140, 160, 200]);
        let told = zones(&effort([0.0; 6]), Some(&athlete)).unwrap();
        let starts: Vec<_> = told.iter().map(|z| z.start_percentage).collect();
        assert_eq!(starts, [50.0, 63.2, 73.7, 84.2, 100.0]);
    }

    #[test]
    fn without_a_maximum_there_are_no_zones() {
        assert_eq!(zones(&SessionSummary { of_max: None, ..effort([1.0; 6]) }, None), None);
    }
}
