//! Sessions on a box that does not know the time, and straps that change hands between two heart rates.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/house.rs"]
mod house;
#[path = "support/buffer.rs"]
mod support;

use std::time::Duration;

use house::{EVENING_US, House, script};
use pulsegate::clock::{Clock, Script, SyncSource};
use pulsegate::reading::{BootId, Event, EventKind, Fact};
use support::read_all;

#[tokio::test]
async fn a_session_of_before_the_time_was_known_is_recorded_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (boxes, mark) = (folder.path().join("box"), folder.path().join("time-server"));
    std::fs::create_dir(&boxes).unwrap();
    // Seconds after 1970.
    let script = Script::new(60_000_000, 60_000_000);
    let open = async || {
        let clock = Clock::scripted(BootId(7), &script, SyncSource::MarkerFile(mark.clone()));
        House::with(clock, &script, support::options(&boxes, 1 << 30)).await
    };
    let mut house = open().await;
    house.athlete("Aino", Some("v1"));
    house.assign(1, "Aino");
    house.pass(300, &[(1, 150)]).await;
    house.pass(200, &[]).await;
    assert_eq!(house.kept(), [], "no recording says that it is of 1970");
    // Also when it is started again meanwhile.
    house.recorder.keep().await;
    house.close().await;
    let mut house = open().await;
    house.pass(10, &[]).await;
    script.step(EVENING_US);
    std::fs::File::create(&mark).unwrap().set_modified(script.wall()).unwrap();
    house.clock.asked();
    // Nothing tells in the log that the box was awake before it was started again.
    house.pass(200, &[]).await;
    let all = house.kept();
    let [kept] = &all[..] else { panic!("{all:?}") };
    assert_eq!(kept.activity.start.0, 61_000 + EVENING_US / 1000);
    let effort = &kept.session.as_ref().unwrap().effort;
    // With the year there is an age.
    assert_eq!(effort.calories_kcal.map(f64::round), Some(77.0));
    house.pass(10, &[]).await;
    let entries = read_all(&house.buffer).await;
    let told = entries.iter().filter(|entry| {
        matches!(&entry.fact, Fact::Event(Event { kind: EventKind::Activity(_), .. }))
    });
    assert_eq!(told.count(), 1);
    house.close().await;
}

#[tokio::test]
async fn a_strap_changes_hands_when_it_is_given_and_not_with_the_next_heart_rate() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    house.athlete("Aino", Some("v1"));
    house.athlete("Ben", Some("v1"));
    house.assign(1, "Aino");
    house.pass(300, &[(1, 150)]).await;
    house.script.pass(Duration::from_millis(250));
    house.assign(1, "Ben");
    house.pass(240, &[(1, 110)]).await;
    let [kept] = &house.kept()[..] else { panic!() };
    assert_eq!(kept.session.as_ref().unwrap().effort.elapsed_s, 299.25);
    house.close().await;
}
