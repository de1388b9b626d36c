//! Terra's `Body` and `Daily`: what is known of one person's day.
//!
//! Receivers know both by user and local date, and a newer one overwrites. So each must hold *everything* of its day,
//! not only what is new: Terra's rule is that a repeat is a superset.

use serde::Serialize;

use super::activity::{ActiveDurations, Calories, active_seconds, calories};
use super::device::{DeviceData, Recorded};
use super::heart::{Detailed, HeartRateData, HrSamples, RrSamples, Summary};
use super::time::{Day, Stamp, Timer};
use super::{UPLOADED_BY_DEVICE, rounded};
use crate::athlete::Athlete;
use crate::workout::{TimedBeat, TimedRate, Workout};

/// The heart of one day: every heart rate `R` and every beat `B`, in order.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Body"))]
#[derive(Debug, Clone, Serialize)]
#[serde(bound(
    serialize = "R: Iterator<Item = TimedRate> + Clone, B: Iterator<Item = TimedBeat> + Clone"
))]
pub struct Body<R, B> {
    metadata: BodyMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_data: Option<DeviceData>,
    heart_data: HeartData<R, B>,
}

/// Terra's `BodyMetadata`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BodyMetadata {
    start_time: Stamp,
    end_time: Stamp,
    timestamp_localization: u8,
}

/// Terra's `HeartData`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HeartData"))]
#[derive(Debug, Clone, Serialize)]
#[serde(bound(
    serialize = "R: Iterator<Item = TimedRate> + Clone, B: Iterator<Item = TimedBeat> + Clone"
))]
pub struct HeartData<R, B> {
    heart_rate_data: HeartRateData<'static, R>,
    rr_interval_samples: RrSamples<B>,
}

impl<R, B> Body<R, B> {
    /// The day of one person: `workouts` are all of that day, `rates` and `beats` all that was measured on it.
    pub fn new(day: Day, athlete: &Athlete, workouts: &[Workout], rates: R, beats: B) -> Self {
        let timer = Timer::on(day);
        Self {
            metadata: BodyMetadata {
                start_time: day.stamp(day.start()),
                end_time: day.stamp(day.end()),
                timestamp_localization: day.localization(),
            },
            device_data: device(workouts),
            heart_data: HeartData {
                heart_rate_data: HeartRateData {
                    summary: summary(athlete, workouts),
                    detailed: Detailed { hr_samples: HrSamples { rates, timer } },
                },
                rr_interval_samples: RrSamples { beats, timer },
            },
        }
    }
}

/// What one day sums up to.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Daily {
    metadata: DailyMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_data: Option<DeviceData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_durations_data: Option<ActiveDurations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calories_data: Option<Calories>,
    heart_rate_data: DailyHeart,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_data: Option<DailyDistance>,
}

/// Terra's `DailyMetadata`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DailyMetadata {
    start_time: Stamp,
    end_time: Stamp,
    upload_type: u8,
    timestamp_localization: u8,
}

/// Terra's `HeartRateData`, without samples: those are in the body of the same day.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DailyHeart {
    summary: Summary,
}

/// Terra's `DailyDistanceData`, as far as it is known.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DailyDistance {
    distance_meters: f64,
}

impl Daily {
    /// The day of one person: `workouts` are all of that day.
    pub fn new(day: Day, athlete: &Athlete, workouts: &[Workout]) -> Self {
        let distance = |workout: &Workout| workout.activity.totals.distance_m;
        Self {
            metadata: DailyMetadata {
                start_time: day.stamp(day.start()),
                end_time: day.stamp(day.end()),
                upload_type: UPLOADED_BY_DEVICE,
                timestamp_localization: day.localization(),
            },
            device_data: device(workouts),
            active_durations_data: sum(workouts, active_seconds)
                .map(|activity_seconds| ActiveDurations { activity_seconds }),
            calories_data: sum(workouts, calories).map(Calories::new),
            heart_rate_data: DailyHeart { summary: summary(athlete, workouts) },
            distance_data: sum(workouts, distance)
                .map(|distance_meters| DailyDistance { distance_meters }),
        }
    }
}

/// The sum of what is known of some; `None` if it is known of none.
fn sum(workouts: &[Workout], of: impl Fn(&Workout) -> Option<f64>) -> Option<f64> {
    rounded(workouts.iter().filter_map(of).reduce(|a, b| a + b))
}

/// The device of the latest workout.
fn device(workouts: &[Workout]) -> Option<DeviceData> {
    workouts.iter().rev().find_map(|workout| {
        let recorded = if workout.effort.is_some() { Recorded::ByUs } else { Recorded::ByDevice };
        DeviceData::of(&workout.activity, recorded)
    })
}

/// Heart rates over the workouts of a day. Variability belongs to each of them, and is not averaged.
fn summary(athlete: &Athlete, workouts: &[Workout]) -> Summary {
    let summaries: Vec<Summary> = workouts.iter().map(Summary::of).collect();
    let weigh = |(workout, summary): (&Workout, &Summary)| {
        let seconds = active_seconds(workout).filter(|seconds| *seconds > 0.0)?;
        Some((summary.avg_hr_bpm? * seconds, seconds))
    };
    let weighed = workouts.iter().zip(&summaries).filter_map(weigh);
    let (beats, seconds) = weighed.fold((0.0, 0.0), |(b, s), (beats, secs)| (b + beats, s + secs));
    let latest = workouts.iter().rev().find_map(|workout| workout.effort.as_ref());
    Summary {
        avg_hr_bpm: rounded((seconds > 0.0).then_some(beats / seconds)),
        max_hr_bpm: summaries.iter().filter_map(|summary| summary.max_hr_bpm).max(),
        min_hr_bpm: summaries.iter().filter_map(|summary| summary.min_hr_bpm).min(),
        ..Summary::of_person(Some(athlete), latest)
    }
}
