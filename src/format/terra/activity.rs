//! Terra's `Activity`: one workout.
//!
//! Heart rates leave as they were measured. What the device summed up stands where Terra has a place for it; of a strap's
//! session what was worked out on the box. RR intervals have no place here: they are in [`Body`](super::Body). Nor have
//! effort points, Edwards' TRIMP and heart-rate recovery; positions, power and cadence are told as summaries only.

use serde::Serialize;

use super::device::{DeviceData, Recorded};
use super::heart::{Detailed, HeartRateData, HrSamples, Summary};
use super::sport::activity_type;
use super::time::{Stamp, Timer};
use super::{UPLOADED_BY_DEVICE, rounded};
use crate::activity::{Activity as Recording, Lap, Totals};
use crate::workout::{TimedRate, Workout};

/// One workout. `R` are its heart rates, in order; none at all (`iter::empty()`) for what Terra calls `with_samples=false`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Activity"))]
#[derive(Debug, Clone, Serialize)]
#[serde(bound(serialize = "R: Iterator<Item = TimedRate> + Clone"))]
pub struct Activity<'a, R> {
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_data: Option<DeviceData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_durations_data: Option<ActiveDurations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calories_data: Option<Calories>,
    heart_rate_data: HeartRateData<'a, R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_data: Option<Distance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    movement_data: Option<Movement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_data: Option<Power>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lap_data: Option<Laps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_enrichment: Option<Enrichment>,
}

/// Terra's `ActivityMetadata`. `summary_id` is the id of the activity: the same workout sent again overwrites.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Serialize)]
pub struct Metadata<'a> {
    summary_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(rename = "type")]
    activity_type: u16,
    start_time: Stamp,
    end_time: Stamp,
    upload_type: u8,
    timestamp_localization: u8,
}

/// Terra's `ActiveDurationsData`, as far as it is known.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ActiveDurations {
    /// Seconds with a heart rate; for a recording of another device, seconds that its timer ran.
    pub(super) activity_seconds: f64,
}

/// Terra's `CaloriesData`, as far as it is known. Whole: Terra's Python client 1.1 takes no fractions.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Calories {
    pub(super) total_burned_calories: u32,
}

/// Terra's `DistanceData`, without samples.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distance {
    summary: DistanceSummary,
}

/// Terra's `DistanceDataSummary`, as far as it is known.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DistanceSummary {
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_meters: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elevation: Option<Elevation>,
}

/// Terra's `ElevationData`, as far as it is known.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Elevation {
    #[serde(skip_serializing_if = "Option::is_none")]
    gain_actual_meters: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_actual_meters: Option<u16>,
}

/// Terra's `MovementData`, without samples. Cadence is in revolutions (running: strides) per minute.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Movement {
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_speed_meters_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_speed_meters_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_cadence_rpm: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cadence_rpm: Option<u8>,
}

/// Terra's `PowerData`, without samples.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Power {
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_watts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_watts: Option<u16>,
}

/// Terra's `LapData`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Laps {
    laps: Vec<LapSample>,
}

/// Terra's `LapSample`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LapSample {
    start_time: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_duration_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_meters: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calories: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_hr_bpm: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_speed_meters_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_watts: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_method: Option<&'static str>,
}

/// Terra's `DataEnrichment`, as far as it is known: Banister's training impulse.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Enrichment {
    trimp_score: f64,
}

impl<'a, R> Activity<'a, R> {
    /// A workout and its heart rates.
    pub fn new(workout: &'a Workout, rates: R) -> Self {
        let Workout { activity, effort, .. } = workout;
        let totals = &activity.totals;
        let timer = Timer::of(activity);
        let recorded = if effort.is_some() { Recorded::ByUs } else { Recorded::ByDevice };
        let effort = effort.as_ref();
        let trimp = rounded(effort.and_then(|effort| effort.trimp_banister));
        Self {
            metadata: metadata(workout, timer),
            device_data: DeviceData::of(activity, recorded),
            active_durations_data: active_seconds(workout)
                .map(|activity_seconds| ActiveDurations { activity_seconds }),
            calories_data: calories(workout).map(Calories::new),
            heart_rate_data: HeartRateData {
                summary: Summary::of(workout),
                detailed: Detailed { hr_samples: HrSamples { rates, timer } },
            },
            distance_data: distance(totals),
            movement_data: movement(totals),
            power_data: power(totals),
            lap_data: laps(activity, timer),
            data_enrichment: trimp.map(|trimp_score| Enrichment { trimp_score }),
        }
    }
}

fn metadata<'a>(workout: &'a Workout, timer: Timer<'_>) -> Metadata<'a> {
    let activity = &workout.activity;
    Metadata {
        summary_id: activity.id.to_string(),
        name: activity.sport_name.as_deref(),
        activity_type: activity_type(activity.sport, activity.sub_sport),
        start_time: timer.stamp(activity.start),
        end_time: timer.stamp(workout.end()),
        upload_type: UPLOADED_BY_DEVICE,
        timestamp_localization: u8::from(activity.utc_offset_min.is_some()),
    }
}

/// Seconds that somebody was active.
pub(super) fn active_seconds(workout: &Workout) -> Option<f64> {
    let active = workout.effort.as_ref().map(|effort| effort.active_s);
    rounded(active.or(workout.activity.totals.timer_s))
}

/// Kilocalories.
pub(super) fn calories(workout: &Workout) -> Option<f64> {
    let worked_out = workout.effort.as_ref().and_then(|effort| effort.calories_kcal);
    worked_out.or(workout.activity.totals.calories_kcal.map(f64::from))
}

impl Calories {
    pub(super) fn new(kcal: f64) -> Self {
        Self { total_burned_calories: kcal.round() as u32 }
    }
}

fn distance(totals: &Totals) -> Option<Distance> {
    let climbed = totals.ascent_m.is_some() || totals.descent_m.is_some();
    let elevation = climbed.then_some(Elevation {
        gain_actual_meters: totals.ascent_m,
        loss_actual_meters: totals.descent_m,
    });
    let distance_meters = rounded(totals.distance_m);
    let is_known = distance_meters.is_some() || elevation.is_some();
    is_known.then_some(Distance { summary: DistanceSummary { distance_meters, elevation } })
}

fn movement(totals: &Totals) -> Option<Movement> {
    let movement = Movement {
        avg_speed_meters_per_second: rounded(totals.avg_speed_mps),
        max_speed_meters_per_second: rounded(totals.max_speed_mps),
        avg_cadence_rpm: totals.avg_cadence_rpm,
        max_cadence_rpm: totals.max_cadence_rpm,
    };
    let is_known = movement.avg_speed_meters_per_second.is_some()
        || movement.max_speed_meters_per_second.is_some()
        || movement.avg_cadence_rpm.is_some()
        || movement.max_cadence_rpm.is_some();
    is_known.then_some(movement)
}

fn power(totals: &Totals) -> Option<Power> {
    let power = Power { avg_watts: totals.avg_power_w, max_watts: totals.max_power_w };
    (power.avg_watts.is_some() || power.max_watts.is_some()).then_some(power)
}

fn laps(activity: &Recording, timer: Timer<'_>) -> Option<Laps> {
    let lap = |lap: &Lap| {
        let end = |seconds: f64| lap.start.plus_ms((seconds * 1000.0).round() as i64);
        LapSample {
            start_time: timer.stamp(lap.start),
            end_time: lap.totals.elapsed_s.map(|seconds| timer.stamp(end(seconds))),
            active_duration_seconds: lap.totals.timer_s.map(|seconds| seconds.round() as u64),
            distance_meters: rounded(lap.totals.distance_m),
            calories: lap.totals.calories_kcal,
            avg_hr_bpm: lap.totals.avg_hr_bpm,
            avg_speed_meters_per_second: rounded(lap.totals.avg_speed_mps),
            avg_watts: lap.totals.avg_power_w,
            trigger_method: lap.trigger.map(trigger_method),
        }
    };
    let laps: Vec<_> = activity.laps.iter().map(lap).collect();
    (!laps.is_empty()).then_some(Laps { laps })
}

/// FIT's `lap_trigger` in Terra's words.
fn trigger_method(trigger: u8) -> &'static str {
    const WORDS: [&str; 9] = [
        "MANUAL",
        "TIME",
        "DISTANCE",
        "POSITION_START",
        "POSITION_LAP",
        "POSITION_WAYPOINT",
        "POSITION_MARKED",
        "SESSION_END",
        "FITNESS_EQUIPMENT",
    ];
    WORDS.get(usize::from(trigger)).copied().unwrap_or("UNSPECIFIED")
}
