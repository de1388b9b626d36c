//! Classes and check-ins: entries of the log, from there to the sessions in the history, over crashes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/house.rs"]
mod house;
#[path = "support/buffer.rs"]
mod support;

use house::{EVENING_US, House, script, strap};
use pulsegate::clock::Script;
use pulsegate::reading::{Event, EventKind, Fact};
use pulsegate::session::{ClassId, Why};
use support::{crash_image, read_all, within};
use uuid::Uuid;

fn spin() -> ClassId {
    ClassId(Uuid::from_u128(7))
}

fn begins(minutes: u32) -> EventKind {
    EventKind::ClassBegan { class: spin(), name: "Spin".to_owned(), planned_s: minutes * 60 }
}

async fn ends_noted(house: &House) -> usize {
    let entries = read_all(&house.buffer).await;
    let noted = entries.iter().filter(|entry| {
        matches!(&entry.fact, Fact::Event(Event { kind: EventKind::ClassEnded { .. }, .. }))
    });
    noted.count()
}

/// Whose, of which class, why and how many minutes long the sessions in the history are.
fn told(house: &House) -> Vec<(String, Option<String>, Why, i64)> {
    let kept = house.kept();
    let told = kept.iter().map(|kept| {
        let session = kept.session.as_deref().unwrap();
        let class = session.class.as_ref().map(|class| class.name.clone());
        let minutes = (session.effort.elapsed_s / 60.0).round() as i64;
        (session.strap.to_string(), class, session.ended, minutes)
    });
    told.collect()
}

#[tokio::test]
async fn a_class_ends_by_itself_after_a_power_cut_and_is_told_at_the_time_a_server_puts_right() {
    let folder = tempfile::tempdir().unwrap();
    let (live, cut) = (folder.path().join("live"), folder.path().join("cut"));
    std::fs::create_dir(&live).unwrap();
    let script = script();
    let mut house = House::open(&live, 7, &script).await;
    house.athlete("Aino", Some("v1"));
    house.assign(1, "Aino");
    house.happens(begins(20)).await;
    house.pass(600, &[(1, 150)]).await;
    house.recorder.keep().await;
    house.pass(5, &[(1, 150)]).await;
    crash_image(&live, &cut);
    house.close().await;

    // Another boot, five minutes later.
    let after = Script::new(30_000_000, EVENING_US + (605 + 300) * 1_000_000);
    let mut house = House::open(&cut, 8, &after).await;
    house.pass(600, &[(1, 150)]).await;
    house.pass(200, &[]).await;
    let expected = (strap(1).to_string(), Some("Spin".to_owned()), Why::ClassEnded, 20);
    assert_eq!(told(&house), [expected]);
    let session = house.kept().remove(0).session.unwrap();
    assert_eq!(session.class.unwrap().from.0, EVENING_US / 1000);
    // For whoever reads the log, once.
    house.pass(5, &[]).await;
    assert_eq!(ends_noted(&house).await, 1);
    house.close().await;

    let mut house = House::open(&cut, 8, &after).await;
    house.pass(5, &[]).await;
    assert_eq!((ends_noted(&house).await, house.kept().len()), (1, 1));
    house.close().await;
}

#[tokio::test]
async fn whoever_gets_a_strap_and_checks_in_at_once_begins_with_the_first_heart_rate() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    let aino = house.athlete("Aino", Some("v1"));
    house.happens(begins(20)).await;
    house.assign(1, "Aino");
    house.happens(EventKind::CheckedIn { strap: strap(1), class: Some(spin()) }).await;
    house.pass(20, &[]).await;
    house.pass(4, &[(1, 150)]).await;
    assert_eq!(house.board.watch().borrow().sessions.len(), 1);
    house.happens(EventKind::CheckedOut { strap: strap(1) }).await;
    house.pass(200, &[]).await;
    let [kept] = &house.kept()[..] else { panic!() };
    let session = kept.session.as_deref().unwrap();
    assert_eq!((session.athlete, session.ended), (Some(aino), Why::CheckOut));
    assert_eq!(session.class.as_ref().map(|class| class.id), Some(spin()));
    within(house.close()).await;
}
