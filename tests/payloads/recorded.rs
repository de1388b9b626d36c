//! Every activity of the FIT files at hand, as recorded by devices of others, as backends are sent it.

use std::io::Cursor;

use pulsegate::activity::{Item, UnixMs};
use pulsegate::fit::{self, FileReport, Limits};
use pulsegate::format::fhir::Bundle;
use pulsegate::format::terra::{Activity, Body, Day, Event, User};
use pulsegate::workout::{Measured, Workout};

use crate::corpus::everything;
use crate::people::aino;
use crate::{Payload, pretty};

/// Of each: further ones are no different, and judges are slow.
const SAMPLES: usize = 600;

fn read(bytes: &[u8]) -> (FileReport, Vec<(usize, Item)>) {
    let mut items = Vec::new();
    let mut sink = |activity, item| items.push((activity, item));
    let report = fit::read(Cursor::new(bytes), &Limits::default(), &mut || true, &mut sink);
    (report.unwrap(), items)
}

/// Heart rates and beats of one activity.
fn measured(items: &[(usize, Item)], of: usize, start: UnixMs) -> Measured {
    let mut measured = Measured::default();
    for (_, item) in items.iter().filter(|(activity, _)| *activity == of) {
        measured.item(item);
    }
    measured.ended(start)
}

pub fn all() -> Vec<Payload> {
    let mut all = Vec::new();
    for (number, file) in everything().iter().enumerate() {
        let (report, items) = read(&std::fs::read(&file.path).unwrap());
        for (index, activity) in report.activities.into_iter().enumerate() {
            let Measured { rates, beats, .. } = measured(&items, index, activity.start);
            let workout = Workout { activity, athlete: Some(aino()), effort: None };
            let rates = rates.iter().copied().take(SAMPLES);
            let beats = beats.iter().copied().take(SAMPLES);
            let (athlete, which) = (aino(), format!("file-{number}-{index}"));
            let user = || User::new(&athlete, None);
            let event = Event::activity(user(), vec![Activity::new(&workout, rates.clone())]);
            all.push((format!("terra.ActivityEvent.{which}.json"), pretty(&event)));
            let day = Day::of(workout.activity.start, workout.activity.utc_offset_min);
            let workouts = [workout.clone()];
            let body = Body::new(day, &athlete, &workouts, rates.clone(), beats);
            let event = Event::body(user(), vec![body]);
            all.push((format!("terra.BodyEvent.{which}.json"), pretty(&event)));
            let bundle = Bundle::workout(&workout, rates);
            all.push((format!("fhir.Bundle.{which}.json"), pretty(&bundle)));
        }
    }
    all
}

#[test]
fn every_recorded_activity_can_be_sent() {
    assert!(all().len() >= 3 * 10, "{} payloads", all().len());
}
