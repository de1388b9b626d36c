//! Which recordings are of one workout, on what people have really recorded: the corpus that `PULSEGATE_FIT_CORPUS` names. In
//! it are two rides that a bike computer and Zwift have recorded both; every other pair is of two workouts.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/fit.rs"]
mod corpus;

use std::io::Cursor;

use pulsegate::activity::{Item, UnixMs};
use pulsegate::fit::{self, Limits};
use pulsegate::normalize::twin::{Curve, Proof, Verdict, Whose, compare};

/// Two recordings of one ride each.
const TWINS: [[&str; 2]; 2] = [
    ["garmin-fenix6-turbo.fit", "zwift-turbo.fit"],
    [
        "18857497810_ACTIVITY.fit",
        "Virtual_Zwift_Climb_Portal_Cauberg_at_100_Elevation_in_Watopia_12_miles.fit",
    ],
];

struct Ride {
    file: String,
    items: Vec<Item>,
    start: UnixMs,
}

impl Ride {
    /// As if it had begun so much later.
    fn curve(&self, later_ms: i64) -> Curve {
        let mut curve = Curve::default();
        for item in &self.items {
            let mut item = *item;
            match &mut item {
                Item::Sample(sample) => sample.at = sample.at.map(|at| at.plus_ms(later_ms)),
                Item::Beat(beat) => beat.after = beat.after.map(|after| after.plus_ms(later_ms)),
            }
            curve.add(&item);
        }
        curve
    }

    fn is(&self, name: &str) -> bool {
        self.file.ends_with(&format!("/{name}"))
    }
}

/// What was recorded by people, with ten minutes of heart rate and more.
fn rides() -> Vec<Ride> {
    let mut rides = Vec::new();
    for expected in corpus::everything() {
        if expected.file.starts_with("synthetic/") {
            continue;
        }
        let bytes = std::fs::read(&expected.path).unwrap();
        let mut items = Vec::new();
        let mut sink = |place: usize, item: Item| {
            if place == 0 {
                items.push(item);
            }
        };
        let read = fit::read(Cursor::new(bytes), &Limits::default(), &mut || true, &mut sink);
        let Some(activity) = read.unwrap().activities.into_iter().next() else { continue };
        if activity.counts.hr_samples > 600 {
            rides.push(Ride { file: expected.file, items, start: activity.start });
        }
    }
    rides
}

#[test]
fn a_ride_that_a_bike_computer_and_zwift_have_recorded_is_one() {
    let rides = rides();
    if rides.is_empty() {
        println!("NOTE twins: PULSEGATE_FIT_CORPUS names no folder with real FIT files");
        return;
    }
    for [one, other] in TWINS {
        let find = |name: &str| rides.iter().find(|ride| ride.is(name)).unwrap();
        let (one, other) = (find(one), find(other));
        let mut shifts = Vec::new();
        for later_s in [-40, 0, 60] {
            let verdict = compare(&one.curve(0), &other.curve(later_s * 1000), Whose::Unknown);
            let Verdict::Same { proof: Proof::Rates, shift_s } = verdict else {
                panic!("{} {}: {verdict:?}", one.file, other.file)
            };
            shifts.push(shift_s + later_s);
        }
        assert!(shifts.iter().all(|shift| *shift == shifts[0]), "{}: {shifts:?}", one.file);
    }
}

#[test]
fn of_all_that_people_have_recorded_no_two_are_taken_for_one_if_they_had_begun_together() {
    let rides = rides();
    let (mut pairs, mut alike) = (0, Vec::new());
    for (index, one) in rides.iter().enumerate() {
        let curve = one.curve(0);
        for other in &rides[index + 1..] {
            // What began in the same minute is one, or a copy.
            if (one.start.0 - other.start.0).abs() < 60_000 {
                continue;
            }
            pairs += 1;
            let moved = other.curve(one.start.0 - other.start.0);
            let verdict = compare(&curve, &moved, Whose::Unknown);
            if matches!(verdict, Verdict::Same { .. }) {
                alike.push(format!("{} {}: {verdict:?}", one.file, other.file));
            }
        }
    }
    println!("{} recordings, {pairs} pairs", rides.len());
    assert!(alike.is_empty(), "{alike:#?}");
}
