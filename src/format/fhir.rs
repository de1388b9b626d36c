//! FHIR R4: heart rates, beats and what a workout sums up to as Observations; a workout as a transaction Bundle.
//!
//! Each Observation has an identifier that a repeat has too, and a Bundle creates only what is not there
//! (`ifNoneExist`). People and straps are named by identifier, so a server needs no resource of them. Codes are LOINC's,
//! units UCUM's; RMSSD, for which LOINC has no code, has one of ours. A heart rate that no heart has leaves with a note.
//! What has no place here is left out: no beat found, battery, events; the beats of a workout (a SampledData has one step
//! for all), which leave one by one as readings.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::samples::{rfc3339, round_ms};
use super::{Format, Known, LeftOut, Reach, line};
use crate::activity::UnixMs;
use crate::normalize::{self, Outgoing};
use crate::reading::{Fact, Measurement, StrapId};
use crate::workout::{TimedRate, Workout};

/// Namespace of a bundle's `fullUrl`s, a UUIDv4 made once.
const NAMESPACE: Uuid = Uuid::from_u128(0xd7a2_3c1e_0b95_4f68_a4d1_72c9_5e80_b36f);
const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";
/// Codes that are ours.
const OURS: &str = "urn:pulsegate:code";
/// Longest series of heart rates, in seconds: two days.
const SERIES_MAX_S: i64 = 172_800;

/// Readings as Observations and workouts as Bundles, one a line (`application/fhir+ndjson`).
#[derive(Debug, Clone, Copy)]
pub struct Fhir;

impl Format for Fhir {
    fn lines(
        &self,
        gateway: &str,
        outgoing: &Outgoing,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        observations(gateway, outgoing).iter().try_for_each(|observation| line(observation, out))
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
        if let Known::Workout { workout, measured, .. } = known {
            line(&Bundle::workout(workout, measured.rates.iter().copied()), out)?;
        }
        Ok(LeftOut::Nothing)
    }
}

/// An Observation. Its value may be a series, which is written while it is serialised.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase", bound(serialize = "R: Iterator<Item = TimedRate> + Clone"))]
pub struct Observation<R> {
    resource_type: &'static str,
    identifier: [Identifier; 1],
    status: &'static str,
    category: [Concept; 1],
    code: Concept,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Reference>,
    #[serde(flatten)]
    effective: Effective,
    #[serde(flatten)]
    value: Value<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<[Note; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Reference>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Identifier {
    system: &'static str,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: &'static str,
    identifier: Identifier,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Concept {
    coding: [Coding; 1],
    text: &'static str,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Coding {
    system: &'static str,
    code: &'static str,
}

const fn concept(system: &'static str, code: &'static str, text: &'static str) -> Concept {
    Concept { coding: [Coding { system, code }], text }
}

const CATEGORIES: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const VITAL_SIGNS: Concept = concept(CATEGORIES, "vital-signs", "Vital Signs");
const ACTIVITY: Concept = concept(CATEGORIES, "activity", "Activity");
const HEART_RATE: Concept = concept(LOINC, "8867-4", "Heart rate");
const RR_INTERVAL: Concept = concept(LOINC, "8637-1", "R-R interval");

#[derive(Debug, Clone, Copy, Serialize)]
struct Note {
    text: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
enum Effective {
    #[serde(rename = "effectiveDateTime")]
    At(String),
    #[serde(rename = "effectivePeriod")]
    Period { start: String, end: String },
}

#[derive(Debug, Clone, Serialize)]
#[serde(bound(serialize = "R: Iterator<Item = TimedRate> + Clone"))]
enum Value<R> {
    #[serde(rename = "valueQuantity")]
    Quantity(Quantity),
    #[serde(rename = "valueSampledData")]
    Series { origin: Quantity, period: u16, dimensions: u8, data: Series<R> },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Quantity {
    value: f64,
    unit: &'static str,
    system: &'static str,
    code: &'static str,
}

fn per_minute(value: f64) -> Quantity {
    Quantity { value, unit: "beats/minute", system: UCUM, code: "/min" }
}

fn milliseconds(value: f64) -> Quantity {
    Quantity { value, unit: "ms", system: UCUM, code: "ms" }
}

/// No series.
type Single = std::iter::Empty<TimedRate>;

/// The Observations of an entry: its heart rate, then its beats, each at the moment that ends the interval.
pub fn observations(gateway: &str, outgoing: &Outgoing) -> Vec<Observation<Single>> {
    let Fact::Reading(reading) = &outgoing.entry.fact else { return Vec::new() };
    let Measurement::HeartRate(heart_rate) = &reading.measurement else { return Vec::new() };
    let key = format!("{gateway}/{}", outgoing.entry.id);
    let measured = |identifier, code, unix_us, quantity| Observation {
        resource_type: "Observation",
        identifier: [Identifier { system: "urn:pulsegate:reading", value: identifier }],
        status: "final",
        category: [VITAL_SIGNS],
        code,
        subject: None,
        effective: Effective::At(rfc3339(unix_us)),
        value: Value::Quantity(quantity),
        note: None,
        device: Some(strap(&reading.strap)),
    };
    let rate = (heart_rate.bpm != 0).then(|| Observation {
        note: outgoing.suspect.then_some([Note { text: "Outside of what a heart does." }]),
        ..measured(key.clone(), HEART_RATE, outgoing.unix_us, per_minute(f64::from(heart_rate.bpm)))
    });
    let beats = normalize::beats(outgoing).enumerate().map(|(index, (unix_us, rr))| {
        measured(
            format!("{key}/{index}"),
            RR_INTERVAL,
            unix_us,
            milliseconds(round_ms(rr.millis())),
        )
    });
    rate.into_iter().chain(beats).collect()
}

fn strap(strap: &StrapId) -> Reference {
    let identifier = Identifier { system: "urn:pulsegate:strap", value: strap.to_string() };
    Reference { kind: "Device", identifier }
}

/// A transaction Bundle: send it to the base of a FHIR server as `application/fhir+json`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase", bound(serialize = "R: Iterator<Item = TimedRate> + Clone"))]
pub struct Bundle<R> {
    resource_type: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    entry: Vec<Entry<R>>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase", bound(serialize = "R: Iterator<Item = TimedRate> + Clone"))]
struct Entry<R> {
    full_url: String,
    resource: Observation<R>,
    request: Request,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: &'static str,
    url: &'static str,
    if_none_exist: String,
}

impl<R> From<Observation<R>> for Entry<R> {
    fn from(resource: Observation<R>) -> Self {
        let [Identifier { system, value }] = &resource.identifier;
        let key = format!("{system}|{value}");
        Self {
            full_url: Uuid::new_v5(&NAMESPACE, key.as_bytes()).urn().to_string(),
            request: Request {
                method: "POST",
                url: "Observation",
                if_none_exist: format!("identifier={key}"),
            },
            resource,
        }
    }
}

impl Bundle<Single> {
    /// Readings.
    pub fn readings(gateway: &str, batch: &[Outgoing]) -> Self {
        let observations = batch.iter().flat_map(|outgoing| observations(gateway, outgoing));
        Self::transaction(observations.map(Entry::from).collect())
    }
}

impl<R: Iterator<Item = TimedRate> + Clone> Bundle<R> {
    fn transaction(entry: Vec<Entry<R>>) -> Self {
        Self { resource_type: "Bundle", kind: "transaction", entry }
    }

    /// A workout: its heart rates as one series of a value a second, and what it sums up to.
    pub fn workout(workout: &Workout, rates: R) -> Self {
        let Workout { activity, athlete, effort } = workout;
        let effort = effort.as_ref();
        let totals = &activity.totals;
        let utc = |at: UnixMs| rfc3339(at.0.saturating_mul(1000));
        let (start, end) = (utc(activity.start), utc(workout.end()));
        let observation = |part: &str, category, code, value| Observation {
            resource_type: "Observation",
            identifier: [Identifier {
                system: "urn:pulsegate:workout",
                value: format!("{}/{part}", activity.id),
            }],
            status: "final",
            category: [category],
            code,
            subject: athlete.as_ref().map(|athlete| Reference {
                kind: "Patient",
                identifier: Identifier {
                    system: "urn:pulsegate:athlete",
                    value: athlete.id.to_string(),
                },
            }),
            effective: Effective::Period { start: start.clone(), end: end.clone() },
            value,
            note: None,
            device: None,
        };
        let sum = |part: &str, category, code, quantity: Option<Quantity>| {
            let value = Value::Quantity(quantity.filter(|quantity| quantity.value.is_finite())?);
            Some(observation(part, category, code, value))
        };
        let has_rates = rates.clone().any(|rate| rate.at >= activity.start);
        let data = Series { rates, start: activity.start };
        let series = Value::Series { origin: per_minute(0.0), period: 1000, dimensions: 1, data };
        let series = has_rates.then(|| observation("series", VITAL_SIGNS, HEART_RATE, series));
        let minutes = |seconds: f64| Quantity {
            value: round_ms(seconds / 60.0),
            unit: "min",
            system: UCUM,
            code: "min",
        };
        let kcal = |value| Quantity { value, unit: "kcal", system: UCUM, code: "kcal" };
        let mean = effort.and_then(|e| e.avg_bpm).or(totals.avg_hr_bpm.map(f64::from));
        let peak = effort.and_then(|e| e.max_bpm).or(totals.max_hr_bpm.map(u16::from));
        let hrv = effort.and_then(|e| e.hrv);
        let calories = effort.and_then(|e| e.calories_kcal);
        let calories = calories.or(totals.calories_kcal.map(f64::from));
        let active = effort.map(|e| e.active_s).or(totals.timer_s);
        let sums = [
            sum("duration", ACTIVITY, DURATION, active.map(minutes)),
            sum("calories", ACTIVITY, CALORIES, calories.map(kcal)),
            sum("mean", ACTIVITY, MEAN, mean.map(round_ms).map(per_minute)),
            sum("peak", ACTIVITY, PEAK, peak.map(f64::from).map(per_minute)),
            sum("sdnn", VITAL_SIGNS, SDNN, hrv.map(|h| milliseconds(round_ms(h.sdnn_ms)))),
            sum("rmssd", VITAL_SIGNS, RMSSD, hrv.map(|h| milliseconds(round_ms(h.rmssd_ms)))),
        ];
        let observations = series.into_iter().chain(sums.into_iter().flatten());
        Self::transaction(observations.map(Entry::from).collect())
    }
}

const DURATION: Concept = concept(LOINC, "55411-3", "Duration of exercise");
const CALORIES: Concept = concept(LOINC, "55424-6", "Calories burned in activity");
const MEAN: Concept = concept(LOINC, "55425-3", "Mean heart rate in activity");
const PEAK: Concept = concept(LOINC, "55426-1", "Peak heart rate in activity");
const SDNN: Concept = concept(LOINC, "80404-7", "SDNN of R-R intervals");
const RMSSD: Concept = concept(OURS, "rmssd", "RMSSD of R-R intervals");

/// Heart rates as the text of a SampledData: one for each second from the start, `E` where there is none.
#[derive(Debug, Clone)]
struct Series<R> {
    rates: R,
    start: UnixMs,
}

impl<R: Iterator<Item = TimedRate> + Clone> fmt::Display for Series<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for rate in self.rates.clone() {
            let second = rate.at.0.saturating_sub(self.start.0).div_euclid(1000);
            // Before the start, beyond the end of all sessions, or a second value of one second.
            if second < written || second >= SERIES_MAX_S {
                continue;
            }
            let space = if written == 0 && second == 0 { "" } else { " " };
            for missing in written..second {
                f.write_str(if missing == 0 { "E" } else { " E" })?;
            }
            write!(f, "{space}{}", rate.bpm)?;
            written = second + 1;
        }
        Ok(())
    }
}

impl<R: Iterator<Item = TimedRate> + Clone> Serialize for Series<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
