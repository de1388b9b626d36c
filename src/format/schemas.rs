//! JSON Schemas of what we write, made from the types: `schemas/` at the top level. In tests only: the box needs none.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::cloudevents::CloudEvent;
use super::samples::{Batch, Sample};
use super::terra;
use crate::workout::{TimedBeat, TimedRate};

/// The iterators that samples come from: a schema knows of none.
struct Rates;
struct Beats;

impl Iterator for Rates {
    type Item = TimedRate;
    fn next(&mut self) -> Option<TimedRate> {
        None
    }
}

impl Iterator for Beats {
    type Item = TimedBeat;
    fn next(&mut self) -> Option<TimedBeat> {
        None
    }
}

macro_rules! never_seen {
    ($($iterator:ty),*) => {$(
        impl JsonSchema for $iterator {
            fn schema_name() -> Cow<'static, str> {
                stringify!($iterator).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                unreachable!("it stands in no schema")
            }
        }
    )*};
}
never_seen!(Rates, Beats);

impl JsonSchema for terra::Stamp {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Stamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

impl<R> JsonSchema for terra::HrSamples<'_, R> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "HrSamples".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<terra::HrSample>::json_schema(generator)
    }
}

impl<B> JsonSchema for terra::RrSamples<B> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "RrSamples".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<terra::RrSample>::json_schema(generator)
    }
}

fn schema<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<T>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

fn all() -> Vec<(&'static str, String)> {
    vec![
        ("samples-batch", schema::<Batch<'static>>()),
        ("samples-entry", schema::<Sample<'static>>()),
        ("cloudevents-entry", schema::<CloudEvent<Sample<'static>>>()),
        ("terra-activity", schema::<terra::Event<'static, terra::Activity<'static, Rates>>>()),
        ("terra-body", schema::<terra::Event<'static, terra::Body<Rates, Beats>>>()),
        ("terra-daily", schema::<terra::Event<'static, terra::Daily>>()),
        ("terra-athlete", schema::<terra::AthleteEvent<'static>>()),
        ("terra-user-event", schema::<terra::UserEvent<'static>>()),
    ]
}

#[test]
fn the_schemas_in_the_folder_are_those_of_the_types() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut stale = Vec::new();
    for (name, schema) in all() {
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("PULSEGATE_RENEW").is_some() {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&path, &schema).expect("the schema can be written");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != schema {
            stale.push(name);
        }
    }
    let renew = "PULSEGATE_RENEW=1 cargo test --lib format::schemas";
    assert!(stale.is_empty(), "what is written has changed: {stale:?}; renew schemas/ by\n{renew}");
    let files = std::fs::read_dir(&folder).expect("the folder is there").count();
    assert_eq!(files, all().len(), "a schema too many in {}", folder.display());
}
