//! Readings and workouts as FHIR, Open mHealth, CloudEvents.

use std::iter;

use pulsegate::format::cloudevents::CloudEvent;
use pulsegate::format::fhir::{self, Bundle};
use pulsegate::format::samples::{self, Batch};
use pulsegate::format::{EntryFormat, omh};
use pulsegate::normalize::{self, Outgoing};
use pulsegate::reading::{
    At, BootId, ClockTrust, Contact, Entry, EntryId, Event, EventKind, Fact, HeartRate,
    Measurement, Reading, RrInterval, Source, StrapId,
};
use pulsegate::timeline::Timeline;
use pulsegate::workout::{TimedRate, Workout};
use serde_json::Value;

use crate::people::{START, beats, class, rates, ride, unknown};
use crate::{Payload, pretty};

pub const GATEWAY: &str = "club-1";

fn entry(seq: u64, fact: impl FnOnce(At) -> Fact) -> Outgoing {
    let at = At {
        boot: BootId(1),
        mono_us: 250_000 + seq * 1_000_000,
        wall_offset_us: START.0 * 1000,
        trust: ClockTrust::Synced,
    };
    normalize::outgoing(Entry { id: EntryId(seq), fact: fact(at) }, &Timeline::default())
}

fn measured(seq: u64, measurement: Measurement) -> Outgoing {
    let strap = StrapId::new("9F6E5322").unwrap();
    entry(seq, |at| Fact::Reading(Reading { strap, at, measurement }))
}

pub fn heart_rate(seq: u64, bpm: u16, rr: &[u16]) -> Outgoing {
    let rr = rr.iter().copied().map(RrInterval).collect();
    let (contact, source) = (Contact::Worn, Source::Link);
    measured(seq, Measurement::HeartRate(HeartRate { bpm, contact, energy_kj: None, rr, source }))
}

pub fn started(seq: u64) -> Outgoing {
    let kind = EventKind::Started { version: "0.1.0".to_owned() };
    entry(seq, |at| Fact::Event(Event { at, kind }))
}

/// A heart rate with two beats, no beat found, a heart rate that no heart has, battery, an event.
pub fn batch() -> Vec<Outgoing> {
    vec![
        heart_rate(48_211, 95, &[647, 640]),
        heart_rate(48_212, 0, &[]),
        heart_rate(48_213, 400, &[]),
        measured(48_214, Measurement::Battery(90)),
        started(48_215),
    ]
}

fn lines(format: EntryFormat, entry: &Outgoing) -> Vec<Value> {
    let mut out = Vec::new();
    format.format().lines(GATEWAY, entry, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bundle(workout: &Workout, rates: impl Iterator<Item = TimedRate> + Clone) -> Vec<u8> {
    pretty(&Bundle::workout(workout, rates))
}

/// The schema that a data point says it is of.
fn omh_name(point: &Value, which: &str) -> String {
    let id = &point["header"]["schema_id"];
    format!("omh.{}-{}.{which}.json", id["name"].as_str().unwrap(), id["version"].as_str().unwrap())
}

/// One of each, short enough to be read.
pub fn examples() -> Vec<Payload> {
    let reading = heart_rate(48_211, 95, &[647]);
    let mut all = vec![
        (
            "fhir.Observation.example.json".to_owned(),
            pretty(&fhir::observations(GATEWAY, &reading)[0]),
        ),
        ("fhir.Bundle.example.json".to_owned(), bundle(&class(2917), rates(5))),
    ];
    let workout = omh::workout(&class(2917)).into_iter().take(1);
    let points = omh::points(GATEWAY, &reading).into_iter().chain(workout);
    all.extend(points.map(|point| {
        let value = serde_json::to_value(&point).unwrap();
        (omh_name(&value, "example"), pretty(&point))
    }));
    let event = pretty(&CloudEvent::entry(GATEWAY, &reading));
    all.push(("cloudevents.Event.example.json".to_owned(), event));
    all
}

pub fn all() -> Vec<Payload> {
    let mut all = examples();
    for (index, entry) in batch().iter().enumerate() {
        for (n, observation) in lines(EntryFormat::Fhir, entry).iter().enumerate() {
            all.push((format!("fhir.Observation.{index}-{n}.json"), pretty(observation)));
        }
        for (n, point) in lines(EntryFormat::Omh, entry).iter().enumerate() {
            all.push((omh_name(point, &format!("{index}-{n}")), pretty(point)));
        }
        let event = &lines(EntryFormat::CloudEvents, entry)[0];
        all.push((format!("cloudevents.Event.{index}.json"), pretty(event)));
    }
    all.push((
        "fhir.Bundle.readings.json".to_owned(),
        pretty(&Bundle::readings(GATEWAY, &batch())),
    ));
    all.push(("fhir.Bundle.hour.json".to_owned(), bundle(&class(3600), rates(3600))));
    all.push(("fhir.Bundle.ride.json".to_owned(), bundle(&ride(), rates(1200).skip(7))));
    all.push(("fhir.Bundle.unknown.json".to_owned(), bundle(&unknown(), iter::empty())));
    for (which, workout) in [("class", class(2917)), ("ride", ride()), ("unknown", unknown())] {
        let points = omh::workout(&workout).into_iter();
        let points = points.chain(omh::heart_rates(&workout, rates(2)));
        let points = points.chain(omh::rr_intervals(&workout, beats(2)));
        for (n, point) in points.enumerate() {
            let point = serde_json::to_value(point).unwrap();
            all.push((omh_name(&point, &format!("{which}-{n}")), pretty(&point)));
        }
    }
    all
}

/// A reading as we write it.
pub fn samples() -> Vec<Payload> {
    let reading = heart_rate(48_211, 95, &[647]);
    vec![("samples.Entry.example.json".to_owned(), pretty(&samples::sample(GATEWAY, &reading)))]
}

/// Our own, for which `schemas/` is the only judge.
pub fn ours() -> Vec<Payload> {
    let entries = batch();
    let one = |(index, entry)| {
        let sample = pretty(&lines(EntryFormat::Samples, entry)[0]);
        (format!("schemas.samples-entry.{index}.json"), sample)
    };
    let mut all: Vec<_> = entries.iter().enumerate().map(one).collect();
    let batch = pretty(&Batch::new(GATEWAY, &entries));
    all.push(("schemas.samples-batch.all.json".to_owned(), batch));
    all
}

#[test]
fn each_beat_has_its_own_time_and_the_last_came_with_the_reading() {
    let observations = lines(EntryFormat::Fhir, &heart_rate(0, 95, &[1024, 512]));
    let told = |index: usize| {
        let observation = &observations[index];
        (
            observation["effectiveDateTime"].as_str().unwrap(),
            observation["valueQuantity"]["value"].as_f64().unwrap(),
        )
    };
    assert_eq!(told(0), ("2026-07-01T06:04:11.250Z", 95.0));
    assert_eq!(told(1), ("2026-07-01T06:04:10.750Z", 1000.0));
    assert_eq!(told(2), ("2026-07-01T06:04:11.250Z", 500.0));
    let points = lines(EntryFormat::Omh, &heart_rate(0, 95, &[1024, 512]));
    let frame = &points[1]["body"]["effective_time_frame"]["date_time"];
    assert_eq!(frame, "2026-07-01T06:04:10.750Z");
}

#[test]
fn what_a_format_has_no_place_for_is_left_out_and_ours_leaves_nothing_out() {
    let count = |format| batch().iter().map(|e| lines(format, e).len()).collect::<Vec<_>>();
    assert_eq!(count(EntryFormat::Fhir), [3, 0, 1, 0, 0]);
    assert_eq!(count(EntryFormat::Omh), [3, 0, 1, 0, 0]);
    assert_eq!(count(EntryFormat::Samples), [1; 5]);
    assert_eq!(count(EntryFormat::CloudEvents), [1; 5]);
    let impossible = &lines(EntryFormat::Fhir, &batch()[2])[0];
    assert_eq!(impossible["note"][0]["text"], "Outside of what a heart does.");
}

#[test]
fn a_repeat_is_the_same_to_the_letter_and_no_two_pieces_share_an_identity() {
    let mut identities = Vec::new();
    for entry in batch() {
        for format in [EntryFormat::Fhir, EntryFormat::Omh, EntryFormat::CloudEvents] {
            let once = lines(format, &entry);
            assert_eq!(once, lines(format, &entry));
            identities.extend(once.iter().map(|piece| {
                format!("{}{}{}", piece["identifier"], piece["header"]["id"], piece["id"])
            }));
        }
    }
    let count = identities.len();
    identities.sort();
    identities.dedup();
    assert_eq!(identities.len(), count);
}

#[test]
fn a_bundle_creates_only_what_is_not_there() {
    let once: Value = serde_json::from_slice(&bundle(&class(2917), rates(5))).unwrap();
    let again: Value = serde_json::from_slice(&bundle(&class(2917), rates(9))).unwrap();
    let conditions = |bundle: &Value| {
        let entries = bundle["entry"].as_array().unwrap().iter();
        entries.map(|entry| entry["request"]["ifNoneExist"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(conditions(&once).len(), 7);
    assert_eq!(conditions(&once), conditions(&again));
    let id = class(1).activity.id;
    let series = format!("identifier=urn:pulsegate:workout|{id}/series");
    assert_eq!(conditions(&once)[0], series);
    assert_eq!(once["entry"][0]["resource"]["identifier"][0]["value"], format!("{id}/series"));
}

#[test]
fn a_series_has_one_place_for_each_second_and_an_e_where_nothing_was_measured() {
    let series = |seconds: &[(i64, u16)]| {
        let rates = seconds
            .iter()
            .map(|(second, bpm)| TimedRate { at: START.plus_ms(second * 1000), bpm: *bpm });
        let bundle: Value = serde_json::from_slice(&bundle(&class(9), rates)).unwrap();
        bundle["entry"][0]["resource"]["valueSampledData"]["data"].clone()
    };
    assert_eq!(series(&[(0, 95), (1, 96), (3, 98)]), "95 96 E 98");
    assert_eq!(series(&[(2, 95), (2, 96)]), "E E 95");
    assert_eq!(series(&[(-5, 70), (0, 95), (i64::MAX / 1_000_000, 96)]), "95");
    assert!(series(&[]).is_null(), "no rates, no series");
}

#[test]
fn an_envelope_says_what_is_inside_in_both_modes() {
    let reading = heart_rate(48_211, 95, &[647]);
    let event = CloudEvent::entry(GATEWAY, &reading);
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(json["id"], "48211");
    assert_eq!(
        (&json["type"], &json["source"]),
        (&"pulsegate.reading".into(), &"/pulsegate/club-1".into())
    );
    assert_eq!(json["data"]["bpm"], 95);
    let binary = event.binary();
    assert_eq!(binary.content_type, "application/json");
    let headers = binary.http_headers();
    assert_eq!(headers[0], ("ce-specversion".to_owned(), "1.0".to_owned()));
    assert_eq!(headers.len(), 6);
    for (name, value) in &binary.attributes {
        assert_eq!(json[name], **value);
    }
    assert_eq!(serde_json::to_value(binary.body).unwrap(), json["data"]);
}

#[test]
fn every_heart_rate_and_beat_of_a_workout_can_be_a_data_point() {
    let workout = class(60);
    assert_eq!(omh::heart_rates(&workout, rates(60)).count(), 60);
    assert_eq!(omh::rr_intervals(&workout, beats(60)).count(), beats(60).count());
    assert!(fhir::observations(GATEWAY, &started(1)).is_empty());
}
