//! What the box knows of a person: whose workouts, of which time, on which local day, and what was measured.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/gym.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared between tests")]
mod gym;
#[path = "support/buffer.rs"]
mod support;

use gym::{Gym, at};
use jiff::civil::date;
use pulsegate::activity::{ActivityId, UnixMs};
use pulsegate::archive::ArchiveError;
use pulsegate::history::HistoryError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[tokio::test]
async fn workouts_of_an_athlete_that_touch_a_time_are_found_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let gym = Gym::open(folder.path());
    let (aino, ben) = (gym.somebody("Aino", Some("v1")), gym.somebody("Ben", None));
    let noon = at("2026-06-01T12:00:00Z");
    let minutes = |minutes: i64| noon.plus_ms(minutes * 60_000);
    let late = gym.session(Some(aino), minutes(60), 600).await;
    let early = gym.session(Some(aino), noon, 600).await;
    let bens = gym.session(Some(ben), noon, 600).await;
    gym.session(None, noon, 600).await;
    let archive = gym.archive();
    let found = |athlete, from, to| {
        let found = archive.workouts(athlete, from, to).unwrap();
        found.into_iter().map(|workout| workout.activity.id).collect::<Vec<_>>()
    };
    assert_eq!(found(aino, UnixMs(i64::MIN), UnixMs(i64::MAX)), [early, late]);
    assert_eq!(found(aino, minutes(9), minutes(10)), [early], "its last minute");
    assert_eq!(found(aino, minutes(10), minutes(60)), [], "it has ended, and the other not begun");
    assert_eq!(found(aino, minutes(10), minutes(61)), [late]);
    assert_eq!(found(ben, minutes(0), minutes(99)), [bens], "who has not agreed is known here too");
    let workout = archive.workout(early).unwrap().unwrap();
    assert_eq!(workout.athlete.unwrap().display_name, "Aino");
    assert_eq!(
        (workout.effort.unwrap().active_s, workout.activity.utc_offset_min),
        (600.0, Some(180))
    );
    assert!(archive.workout(ActivityId(Uuid::nil())).unwrap().is_none());
    gym.close().await;
}

#[tokio::test]
async fn what_was_measured_comes_back_with_beats_in_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let gym = Gym::open(folder.path());
    let aino = gym.somebody("Aino", Some("v1"));
    let noon = at("2026-06-01T12:00:00Z");
    let id = gym.session(Some(aino), noon, 90).await;
    let measured = gym.archive().measured(id).unwrap();
    assert_eq!((measured.rates.len(), measured.beats.len(), measured.left_out), (90, 180, 0));
    assert_eq!((measured.rates[89].at, measured.rates[89].bpm), (noon.plus_ms(89_000), 121));
    let at: Vec<_> = measured.beats[2..4].iter().map(|beat| beat.at.0 - noon.0).collect();
    assert_eq!(at, [510, 1000], "the second of a second ends with it");
    gym.close().await;
}

#[tokio::test]
async fn whoever_stops_waits_for_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let gym = Gym::open(folder.path());
    let aino = gym.somebody("Aino", Some("v1"));
    let id = gym.session(Some(aino), at("2026-06-01T12:00:00Z"), 90).await;
    let stop = CancellationToken::new();
    let archive = gym.archive().until(stop.clone());
    assert!(archive.measured(id).is_ok());
    stop.cancel();
    let broken = archive.measured(id).unwrap_err();
    assert!(matches!(broken, ArchiveError::History(HistoryError::Stopping)), "{broken}");
    gym.close().await;
}

#[tokio::test]
async fn a_workout_over_midnight_is_of_the_day_it_began_on_and_its_heart_rates_are_of_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let gym = Gym::open(folder.path());
    let aino = gym.somebody("Aino", Some("v1"));
    // Clocks are put forward on the 29th of March; the 30th begins at 21:00Z.
    gym.session(Some(aino), at("2026-03-29T20:58:00Z"), 300).await;
    gym.session(Some(aino), at("2026-04-02T10:00:00Z"), 60).await;
    let archive = gym.archive();
    let days = archive.days(aino, date(2026, 3, 1), date(2026, 4, 30)).unwrap();
    let dates: Vec<_> = days.iter().map(|on| archive.date(on.day.start())).collect();
    assert_eq!(dates, [date(2026, 3, 29), date(2026, 3, 30), date(2026, 4, 2)]);
    assert_eq!(days[0].day.start(), at("2026-03-28T22:00:00Z"));
    assert_eq!(days[0].day.end(), at("2026-03-29T21:00:00Z"), "23 hours");
    let told = |day: usize| {
        let measured = archive.measured_on(&days[day]).unwrap();
        (days[day].workouts.len(), measured.rates.len(), measured.beats.len())
    };
    // Both beats of the second that begins at midnight ended in it or with it: one is of the day before.
    assert_eq!((told(0), told(1), told(2)), ((1, 120, 241), (0, 180, 359), (1, 60, 120)));
    assert!(archive.days(aino, date(2026, 4, 3), date(2026, 4, 30)).unwrap().is_empty());
    gym.close().await;
}

#[tokio::test]
async fn one_day_is_found_without_opening_the_documents_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let gym = Gym::open(folder.path());
    let aino = gym.somebody("Aino", Some("v1"));
    let mut others = Vec::new();
    for day in 1..9 {
        let start = at(&format!("2026-06-0{day}T12:00:00Z"));
        others.push(gym.session(Some(aino), start, 20).await);
    }
    let wanted = others.remove(4);
    for id in others {
        let path = folder.path().join(format!("history/activities/{id}.json"));
        std::fs::remove_file(&path).unwrap();
        // Whoever opens it is told that it is a folder.
        std::fs::create_dir(&path).unwrap();
    }
    let archive = gym.archive();
    let found = archive.days(aino, date(2026, 6, 5), date(2026, 6, 5)).unwrap();
    assert_eq!(found[0].workouts[0].activity.id, wanted);
    assert!(
        archive.days(aino, date(2026, 6, 1), date(2026, 6, 9)).is_err(),
        "the others are asked"
    );
    gym.close().await;
}

#[tokio::test]
async fn a_line_of_the_index_that_does_not_say_whose_it_is_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let gym = Gym::open(folder.path());
    let ben = gym.somebody("Ben", None);
    let id = gym.session(Some(ben), at("2026-06-01T12:00:00Z"), 20).await;
    let index = folder.path().join("history/index.ndjson");
    let text = std::fs::read_to_string(&index).unwrap();
    let (before, after) = text.split_once("\"whose\":").unwrap();
    let old = format!("{before}{}", after.split_once(',').unwrap().1);
    std::fs::write(&index, old).unwrap();
    let found = gym.archive().workouts(ben, UnixMs(i64::MIN), UnixMs(i64::MAX)).unwrap();
    assert_eq!(found[0].activity.id, id);
    gym.close().await;
}
