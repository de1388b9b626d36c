//! Payloads for backends: what stands in them. `tests/payloads_read/run` has them judged by others.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../support/fit.rs"]
mod corpus;

mod compact;
mod doc;
mod hostile;
mod people;
mod readings;
mod recorded;
mod terra;

use std::path::PathBuf;

use serde::Serialize;

/// A payload: the name says by what it is judged (`terra.ActivityEvent.class.json`: standard, schema, which).
type Payload = (String, Vec<u8>);

fn all() -> Vec<Payload> {
    let mut all = terra::all();
    all.extend(readings::all());
    all.extend(recorded::all());
    all.extend(by_our_schemas(&all));
    all
}

/// The same, to be judged by `schemas/`, which must say of what we write what it is.
fn by_our_schemas(all: &[Payload]) -> Vec<Payload> {
    let schemas = [
        ("terra.ActivityEvent", "terra-activity"),
        ("terra.BodyEvent", "terra-body"),
        ("terra.DailyEvent", "terra-daily"),
        ("terra.AthleteEvent", "terra-athlete"),
        ("terra.AuthSuccessEvent", "terra-user-event"),
        ("terra.DeauthEvent", "terra-user-event"),
        ("terra.UserReauthEvent", "terra-user-event"),
        ("cloudevents.Event", "cloudevents-entry"),
    ];
    let of = |(name, bytes): &Payload| {
        let (_, schema) = schemas.iter().find(|(start, _)| name.starts_with(start))?;
        let which = name.trim_end_matches(".json").replace('.', "-");
        Some((format!("schemas.{schema}.{which}.json"), bytes.clone()))
    };
    let ours = readings::ours().into_iter();
    all.iter().filter_map(of).chain(ours).collect()
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    serde_json::to_writer_pretty(&mut out, value).unwrap();
    out
}

/// Written where `PULSEGATE_PAYLOADS` says, for `tests/payloads_read/run`; without it they need only come about.
#[test]
fn payloads_for_the_validators_of_others() {
    let folder = std::env::var_os("PULSEGATE_PAYLOADS").map(PathBuf::from);
    let payloads = all();
    for (name, bytes) in &payloads {
        serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        if let Some(folder) = &folder {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let mut names: Vec<_> = payloads.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), payloads.len(), "two payloads of one name");
}
