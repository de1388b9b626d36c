//! Who agrees to the sending of their data is told to the log: once, in order, whatever happens in between, and of nobody else.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

#[path = "support/house.rs"]
mod house;

use std::path::Path;

use house::{House, script};
use pulsegate::athlete::AthleteId;
use pulsegate::reading::{Event, EventKind, Fact};
use pulsegate::roster::desk;
use pulsegate::roster::{Edit, Field, Roster};
use support::{read_all, within};

/// What the log was told of people, in order.
async fn told(house: &House) -> Vec<(&'static str, AthleteId)> {
    let entries = read_all(&house.buffer).await;
    let of = |fact: Fact| match fact {
        Fact::Event(Event { kind: EventKind::AthleteAgreed { athlete }, .. }) => {
            Some(("agreed", athlete))
        }
        Fact::Event(Event { kind: EventKind::AthleteChanged { athlete }, .. }) => {
            Some(("changed", athlete))
        }
        Fact::Event(Event { kind: EventKind::AthleteWithdrew { athlete }, .. }) => {
            Some(("withdrew", athlete))
        }
        _ => None,
    };
    entries.into_iter().filter_map(|entry| of(entry.fact)).collect()
}

fn note(house: &House, who: &str, edit: &Edit) {
    desk::edit(&house.roster, who, edit, &house.moment()).unwrap();
}

fn consent(text: &str) -> Edit {
    Edit { consent: Some(text.to_owned()), ..Edit::default() }
}

fn withdrawal() -> Edit {
    Edit { clear: vec![Field::Consent], ..Edit::default() }
}

fn name(name: &str) -> Edit {
    Edit { display_name: Some(name.to_owned()), ..Edit::default() }
}

/// Opens the folder of a stopped daemon as the command line does.
fn at_the_desk_of_a_stopped_box(folder: &Path, work: impl FnOnce(&Roster)) {
    let roster = Roster::open(folder).unwrap();
    work(&roster);
}

#[tokio::test]
async fn who_agrees_changes_and_withdraws_is_told_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    let aino = house.athlete("Aino", None);
    within(house.teller.step()).await.unwrap();
    assert_eq!(told(&house).await, [], "whoever has not agreed is not told of");
    note(&house, "Aino", &consent("v1"));
    within(house.teller.step()).await.unwrap();
    // A newer text is no other agreement, and a weight leaves with no event.
    note(&house, "Aino", &Edit { weight_kg: Some(61.0), ..consent("v2") });
    within(house.teller.step()).await.unwrap();
    note(&house, "Aino", &name("Aino V."));
    within(house.teller.step()).await.unwrap();
    within(house.teller.step()).await.unwrap();
    note(&house, "Aino", &withdrawal());
    within(house.teller.step()).await.unwrap();
    note(&house, "Aino", &name("Somebody else"));
    within(house.teller.step()).await.unwrap();
    let expected = [("agreed", aino), ("changed", aino), ("withdrew", aino)];
    assert_eq!(told(&house).await, expected);
    house.close().await;
}

#[tokio::test]
async fn whoever_is_forgotten_has_withdrawn_and_whoever_never_agreed_leaves_no_word() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    let aino = house.athlete("Aino", Some("v1"));
    house.athlete("Ben", None);
    within(house.teller.step()).await.unwrap();
    house.forget("Aino").await;
    house.forget("Ben").await;
    within(house.teller.step()).await.unwrap();
    // That they agreed is erased with everything that was theirs.
    assert_eq!(told(&house).await, [("withdrew", aino)]);
    let kept = std::fs::read_to_string(folder.path().join("roster/told")).unwrap();
    assert!(!kept.contains(&aino.to_string()), "{kept}");
    house.close().await;
}

#[tokio::test]
async fn what_was_changed_in_the_folder_of_a_stopped_daemon_is_told_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let script = script();
    let mut house = House::open(folder.path(), 7, &script).await;
    let (aino, ben) = (house.athlete("Aino", Some("v1")), house.athlete("Ben", None));
    within(house.teller.step()).await.unwrap();
    let moment = house.moment();
    house.close().await;

    at_the_desk_of_a_stopped_box(folder.path(), |roster| {
        desk::edit(roster, "Aino", &withdrawal(), &moment).unwrap();
        desk::edit(roster, "Ben", &consent("v1"), &moment).unwrap();
    });
    let mut house = House::open(folder.path(), 8, &script).await;
    within(house.teller.step()).await.unwrap();
    assert_eq!(told(&house).await, [("agreed", aino), ("withdrew", aino), ("agreed", ben)]);
    house.close().await;
}

#[tokio::test]
async fn a_crash_before_the_log_was_told_leaves_nothing_out_and_one_after_it_tells_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let script = script();
    let (live, before, after) =
        (folder.path().join("live"), folder.path().join("before"), folder.path().join("after"));
    std::fs::create_dir(&live).unwrap();
    let mut house = House::open(&live, 7, &script).await;
    let aino = house.athlete("Aino", Some("v1"));
    // The desk was answered, the log has not heard of it.
    support::crash_image(&live, &before);
    within(house.teller.step()).await.unwrap();
    // The log has heard of it, and that was not kept.
    support::crash_image(&live, &after);
    std::fs::remove_file(after.join("roster/told")).unwrap();
    house.close().await;
    for (crashed, times) in [(before, 1), (after, 2)] {
        let mut house = House::open(&crashed, 7, &script).await;
        within(house.teller.step()).await.unwrap();
        within(house.teller.step()).await.unwrap();
        assert_eq!(told(&house).await, vec![("agreed", aino); times]);
        house.close().await;
    }
}

#[tokio::test]
async fn a_roster_that_cannot_be_opened_is_no_reason_to_say_that_all_have_withdrawn() {
    let folder = tempfile::tempdir().unwrap();
    let script = script();
    let mut house = House::open(folder.path(), 7, &script).await;
    let aino = house.athlete("Aino", Some("v1"));
    within(house.teller.step()).await.unwrap();
    house.close().await;

    // Not a file, so it cannot be opened as one.
    let (people, away) = (folder.path().join("roster/people"), folder.path().join("away"));
    std::fs::rename(&people, &away).unwrap();
    std::fs::create_dir(&people).unwrap();
    let mut house = House::open(folder.path(), 8, &script).await;
    within(house.teller.step()).await.unwrap();
    assert_eq!(told(&house).await, [("agreed", aino)]);
    // The disk is mended, and the first change opens it.
    std::fs::remove_dir(&people).unwrap();
    std::fs::rename(&away, &people).unwrap();
    let ben = house.athlete("Ben", Some("v1"));
    within(house.teller.step()).await.unwrap();
    assert_eq!(told(&house).await, [("agreed", aino), ("agreed", ben)]);
    house.close().await;
}
