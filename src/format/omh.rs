//! Open mHealth data points: `heart-rate` 2.0, `rr-interval` 1.0, `physical-activity` 1.2.
//!
//! Each is a header and a body. The id is made of what the point says and where it comes from, so a repeat has the id of
//! the first. `creation_date_time` is when it was measured: nothing here knows a clock. The schemas are in
//! `tests/fixtures/omh/`; `physical-activity` 1.2 is the last of Open mHealth's own (IEEE 1752.1 follows it). What has no
//! place here is left out: no beat found, battery, events.

use serde::Serialize;
use uuid::Uuid;

use super::export::finite;
use super::samples::{rfc3339, round_ms};
use super::{Format, Known, LeftOut, Reach, line};
use crate::normalize::{self, Outgoing};
use crate::reading::{Fact, Measurement};
use crate::track::sport;
use crate::workout::{TimedBeat, TimedRate, Workout};

/// Namespace of data points, a UUIDv4 made once. It must never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0e_7a51_94c2_4d0f_8a37_1de6_63f2_908b);

/// Readings, and what workouts sum up to, as data points, one a line.
#[derive(Debug, Clone, Copy)]
pub struct Omh;

impl Format for Omh {
    fn lines(
        &self,
        gateway: &str,
        outgoing: &Outgoing,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        points(gateway, outgoing).iter().try_for_each(|point| line(point, out))
    }

    fn reach(&self) -> Reach {
        Reach::Workout
    }

    fn known(
        &self,
        _: &str,
        _: &Outgoing,
        known: &Known,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<LeftOut> {
        if let Known::Workout { workout: of, .. } = known {
            workout(of).iter().try_for_each(|point| line(point, out))?;
        }
        Ok(LeftOut::Nothing)
    }
}

/// One data point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataPoint {
    header: Header,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Header {
    id: Uuid,
    creation_date_time: String,
    schema_id: SchemaId,
    acquisition_provenance: Provenance,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct SchemaId {
    namespace: &'static str,
    name: &'static str,
    version: &'static str,
}

const fn schema(name: &'static str, version: &'static str) -> SchemaId {
    SchemaId { namespace: "omh", name, version }
}

const HEART_RATE: SchemaId = schema("heart-rate", "2.0");
const RR_INTERVAL: SchemaId = schema("rr-interval", "1.0");
const PHYSICAL_ACTIVITY: SchemaId = schema("physical-activity", "1.2");

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Provenance {
    source_name: String,
    source_creation_date_time: String,
    modality: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Body {
    HeartRate {
        heart_rate: UnitValue,
        effective_time_frame: TimeFrame,
        #[serde(skip_serializing_if = "Option::is_none")]
        descriptive_statistic: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        temporal_relationship_to_physical_activity: Option<&'static str>,
    },
    RrInterval {
        rr_interval: UnitValue,
        effective_time_frame: TimeFrame,
    },
    PhysicalActivity {
        activity_name: String,
        effective_time_frame: TimeFrame,
        #[serde(skip_serializing_if = "Option::is_none")]
        distance: Option<UnitValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kcal_burned: Option<UnitValue>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct UnitValue {
    value: f64,
    unit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum TimeFrame {
    DateTime(String),
    TimeInterval { start_date_time: String, end_date_time: String },
}

/// Where data points come from: what makes their ids, and whose they are.
struct Source {
    /// Part of every id.
    key: String,
    name: String,
    user_id: Option<String>,
}

impl Source {
    /// `part` tells the points of one source and one schema apart.
    fn point(&self, schema: SchemaId, part: &str, at: String, body: Body) -> DataPoint {
        let id = format!("{}/{}/{part}", self.key, schema.name);
        DataPoint {
            header: Header {
                id: Uuid::new_v5(&NAMESPACE, id.as_bytes()),
                creation_date_time: at.clone(),
                schema_id: schema,
                acquisition_provenance: Provenance {
                    source_name: self.name.clone(),
                    source_creation_date_time: at,
                    modality: "sensed",
                },
                user_id: self.user_id.clone(),
            },
            body,
        }
    }

    fn of(workout: &Workout) -> Self {
        let activity = &workout.activity;
        let mut names = activity.devices.iter().filter_map(|device| device.product_name.clone());
        Self {
            key: activity.id.to_string(),
            name: names.next_back().unwrap_or_else(|| "Pulsegate".to_owned()),
            user_id: workout.athlete.as_ref().map(|athlete| athlete.id.to_string()),
        }
    }

    fn heart_rate(
        &self,
        part: &str,
        unix_us: i64,
        bpm: u16,
        during: Option<&'static str>,
    ) -> DataPoint {
        let at = rfc3339(unix_us);
        let body = Body::HeartRate {
            heart_rate: bpm_value(f64::from(bpm)),
            effective_time_frame: TimeFrame::DateTime(at.clone()),
            descriptive_statistic: None,
            temporal_relationship_to_physical_activity: during,
        };
        self.point(HEART_RATE, part, at, body)
    }

    /// The time of a beat is that of its R wave, which ends the interval.
    fn rr_interval(&self, part: &str, unix_us: i64, ms: f64) -> DataPoint {
        let at = rfc3339(unix_us);
        let body = Body::RrInterval {
            rr_interval: UnitValue { value: ms, unit: "ms" },
            effective_time_frame: TimeFrame::DateTime(at.clone()),
        };
        self.point(RR_INTERVAL, part, at, body)
    }
}

fn bpm_value(value: f64) -> UnitValue {
    UnitValue { value, unit: "beats/min" }
}

const DURING: Option<&str> = Some("during exercise");

/// The data points of an entry: its heart rate, then its beats.
pub fn points(gateway: &str, outgoing: &Outgoing) -> Vec<DataPoint> {
    let Fact::Reading(reading) = &outgoing.entry.fact else { return Vec::new() };
    let Measurement::HeartRate(heart_rate) = &reading.measurement else { return Vec::new() };
    let source = Source {
        key: format!("{gateway}/{}", outgoing.entry.id),
        name: format!("{} by {gateway}", reading.strap),
        user_id: None,
    };
    let rate = (heart_rate.bpm != 0)
        .then(|| source.heart_rate("", outgoing.unix_us, heart_rate.bpm, None))
        .into_iter();
    let beats = normalize::beats(outgoing).enumerate().map(|(index, (unix_us, rr))| {
        source.rr_interval(&index.to_string(), unix_us, round_ms(rr.millis()))
    });
    rate.chain(beats).collect()
}

/// What a workout sums up to: `physical-activity`, then the average, highest and lowest heart rate that are known.
pub fn workout(workout: &Workout) -> Vec<DataPoint> {
    let Workout { activity, effort, .. } = workout;
    let (totals, effort) = (&activity.totals, effort.as_ref());
    let source = Source::of(workout);
    let [start, end] = [activity.start, workout.end()].map(|at| rfc3339(at.0.saturating_mul(1000)));
    let frame =
        || TimeFrame::TimeInterval { start_date_time: start.clone(), end_date_time: end.clone() };
    let kcal = effort.and_then(|effort| effort.calories_kcal);
    let body = Body::PhysicalActivity {
        activity_name: activity.sport_name.clone().unwrap_or_else(|| {
            sport::gpx_name(activity.sport, activity.sub_sport).replace('_', " ")
        }),
        effective_time_frame: frame(),
        distance: finite(totals.distance_m).map(|value| UnitValue { value, unit: "m" }),
        kcal_burned: finite(kcal.or(totals.calories_kcal.map(f64::from)))
            .map(|value| UnitValue { value, unit: "kcal" }),
    };
    let mut points = vec![source.point(PHYSICAL_ACTIVITY, "", end.clone(), body)];
    let whole = |ours: Option<u16>, theirs: Option<u8>| {
        ours.map_or(theirs.map(f64::from), |bpm| Some(f64::from(bpm)))
    };
    let statistics = [
        ("average", effort.and_then(|e| e.avg_bpm).or(totals.avg_hr_bpm.map(f64::from))),
        ("maximum", whole(effort.and_then(|e| e.max_bpm), totals.max_hr_bpm)),
        ("minimum", whole(effort.and_then(|e| e.min_bpm), totals.min_hr_bpm)),
    ];
    points.extend(statistics.into_iter().filter_map(|(statistic, value)| {
        let body = Body::HeartRate {
            heart_rate: bpm_value(finite(value)?),
            effective_time_frame: frame(),
            descriptive_statistic: Some(statistic),
            temporal_relationship_to_physical_activity: DURING,
        };
        Some(source.point(HEART_RATE, statistic, end.clone(), body))
    }));
    points
}

/// Every heart rate of a workout.
pub fn heart_rates(
    workout: &Workout,
    rates: impl Iterator<Item = TimedRate>,
) -> impl Iterator<Item = DataPoint> {
    let source = Source::of(workout);
    rates.map(move |rate| {
        let unix_us = rate.at.0.saturating_mul(1000);
        source.heart_rate(&unix_us.to_string(), unix_us, rate.bpm, DURING)
    })
}

/// Every beat of a workout.
pub fn rr_intervals(
    workout: &Workout,
    beats: impl Iterator<Item = TimedBeat>,
) -> impl Iterator<Item = DataPoint> {
    let source = Source::of(workout);
    beats.map(move |beat| {
        let unix_us = beat.at.0.saturating_mul(1000);
        source.rr_interval(&unix_us.to_string(), unix_us, f64::from(beat.rr.0))
    })
}
