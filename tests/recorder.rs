//! Sessions, from the log into the history: begun, resumed, handed over, recorded once whatever happens in between.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;
#[path = "support/watch.rs"]
mod watch;

#[path = "support/house.rs"]
mod house;

#[path = "support/carve.rs"]
mod carve;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use carve::{carved, says};
use house::{EVENING_US, House, script, strap};
use jiff::tz::TimeZone;
use pulsegate::activity::{ActivityId, Item, Summary, UnixMs};
use pulsegate::archive::Archive;
use pulsegate::fit::{self, Class, Limits};
use pulsegate::history::{Bounds, History, Kept, Owner, Wanted};
use pulsegate::reading::{Entry, EntryId, Event, EventKind, Fact};
use pulsegate::roster::desk;
use pulsegate::session::Why;
use pulsegate::track;
use support::{crash_image, read_all, within};

#[tokio::test]
async fn a_session_ends_after_three_silent_minutes_and_is_in_the_history_as_somebodys() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    let aino = house.athlete("Aino", Some("v1"));
    house.assign(1, "Aino");
    house.pass(600, &[(1, 150), (2, 120)]).await;
    assert!(house.kept().is_empty(), "both go on");
    let live = house.board.watch().borrow().sessions.clone();
    // Ten minutes in zone 3, at two points a minute... of a maximum of 190 bpm, 150 are 78 percent.
    assert_eq!(live[&strap(1)].effort.points.unwrap().round(), 30.0);
    assert_eq!(live.len(), 2);
    house.pass(200, &[(2, 120)]).await;
    let [kept] = &house.kept()[..] else { panic!() };
    let session = kept.session.as_deref().unwrap();
    assert_eq!((session.athlete, &session.strap), (Some(aino), &strap(1)));
    assert_eq!(session.ended, Why::Silence);
    assert!((session.effort.elapsed_s - 600.0).abs() < 6.0, "{:?}", session.effort);
    // Keytel's men: 150 bpm, 80 kg, 40 years are 15.18 kcal a minute.
    assert!((session.effort.calories_kcal.unwrap() - 151.8).abs() < 2.0);
    let activity = &kept.activity;
    let sport = (activity.sport, activity.sub_sport);
    assert_eq!((sport, activity.totals.avg_hr_bpm), ((Some(10), Some(26)), Some(150)));
    assert_eq!((activity.counts.hr_samples, activity.counts.rr_intervals), (600, 600));
    assert_eq!(activity.start.0, (EVENING_US + 1_000_000) / 1000);
    assert_eq!(activity.utc_offset_min, Some(-420), "as its file says it");
    // Told to receivers in the order of the log.
    let told: Vec<_> = read_all(&house.buffer)
        .await
        .into_iter()
        .filter_map(|entry| match entry.fact {
            Fact::Event(Event { kind: EventKind::Activity(summary), .. }) => Some(summary),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].session.as_deref(), Some(session));
    house.close().await;
}

#[tokio::test]
async fn of_somebody_who_has_not_agreed_nothing_personal_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    house.athlete("Aino", None);
    house.assign(1, "Aino");
    house.pass(60, &[(1, 150)]).await;
    house.pass(200, &[]).await;
    let [kept] = &house.kept()[..] else { panic!() };
    assert!(kept.session.as_ref().unwrap().athlete.is_some(), "the box knows");
    let summary = house.listed().remove(0).summary;
    let session = summary.session.unwrap();
    assert_eq!(
        (session.athlete, session.effort.calories_kcal, session.effort.points),
        (None, None, None)
    );
    assert_eq!(session.effort.max_bpm, Some(150));
    house.close().await;
}

#[tokio::test]
async fn a_strap_that_changes_hands_ends_one_session_and_begins_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    let (aino, ben) = (house.athlete("Aino", Some("v1")), house.athlete("Ben", Some("v1")));
    house.assign(1, "Aino");
    house.pass(300, &[(1, 150)]).await;
    house.assign(1, "Ben");
    house.pass(240, &[(1, 110)]).await;
    house.pass(200, &[]).await;
    let whose: Vec<_> = house
        .kept()
        .iter()
        .map(|kept| {
            let session = kept.session.as_deref().unwrap();
            let bpm = session.effort.max_bpm;
            (session.athlete, bpm, session.ended, (session.effort.elapsed_s / 60.0).round() as i64)
        })
        .collect();
    let expected =
        [(Some(aino), Some(150), Why::WearerChanged, 5), (Some(ben), Some(110), Why::Silence, 4)];
    assert_eq!(whose, expected);
    house.close().await;
}

#[tokio::test]
async fn a_session_goes_on_over_a_crash_and_is_recorded_once_and_as_if_there_had_been_none() {
    let mut all = Vec::new();
    for crash in [None, Some(false), Some(true)] {
        let folder = tempfile::tempdir().unwrap();
        let (live, crashed) = (folder.path().join("live"), folder.path().join("crashed"));
        std::fs::create_dir(&live).unwrap();
        let script = script();
        let mut house = House::open(&live, 7, &script).await;
        house.athlete("Aino", Some("v1"));
        house.assign(1, "Aino");
        house.pass(300, &[(1, 150)]).await;
        if let Some(kept) = crash {
            if kept {
                house.recorder.keep().await;
                house.pass(20, &[(1, 150)]).await;
            } else {
                house.pass(20, &[(1, 150)]).await;
            }
            crash_image(&live, &crashed);
            house.close().await;
            house = House::open(&crashed, 7, &script).await;
        } else {
            house.pass(20, &[(1, 150)]).await;
        }
        house.pass(280, &[(1, 160)]).await;
        house.pass(200, &[]).await;
        // Once more, as after a crash between recording and keeping that.
        let again = folder.path().join("again");
        crash_image(if crash.is_some() { &crashed } else { &live }, &again);
        house.close().await;
        let mut house = House::open(&again, 7, &script).await;
        house.settle().await;
        let kept = house.kept();
        assert_eq!(kept.len(), 1, "{crash:?}");
        let events = read_all(&house.buffer).await;
        let told = events.iter().filter(|entry| {
            matches!(&entry.fact, Fact::Event(Event { kind: EventKind::Activity(_), .. }))
        });
        assert_eq!(told.count(), 1, "{crash:?}");
        all.push(kept[0].clone());
        house.close().await;
    }
    let told = |kept: &Kept| {
        let session = kept.session.clone().unwrap();
        (kept.activity.clone(), session.effort, session.ended, kept.sha256.clone())
    };
    assert_eq!(told(&all[0]), told(&all[1]));
    assert_eq!(told(&all[0]), told(&all[2]));
}

#[tokio::test]
async fn of_somebody_who_is_forgotten_no_session_is_left_and_none_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    let aino = house.athlete("Aino", Some("v1"));
    let ben = house.athlete("Ben", Some("v1"));
    house.assign(1, "Aino");
    house.assign(2, "Ben");
    house.pass(60, &[(1, 150), (2, 120)]).await;
    house.pass(200, &[]).await;
    let hers = house.kept();
    let is_hers = |kept: &&Kept| kept.session.as_ref().unwrap().athlete == Some(aino);
    let hers = hers.iter().find(is_hers).unwrap().activity.id;
    assert_eq!(house.kept().len(), 2);
    let later = by_the_watch().plus_ms(86_400_000);
    let owner = Some(Owner { athlete: aino, consent: true });
    house.import(&watch::ride(&watch::heart(3, 60), later, 5), owner).await;
    // In the middle of another one.
    house.pass(60, &[(1, 140), (2, 121)]).await;
    house.recorder.keep().await;
    let all = read_all(&house.buffer).await;
    let is_bens = |entry: &&Entry| matches!(&entry.fact, Fact::Reading(r) if r.strap == strap(2));
    let bens: Vec<Entry> = all.iter().filter(is_bens).cloned().collect();
    assert!(!says(folder.path(), "9F6E0001").is_empty());
    let history = folder.path().join("history");
    assert!(!says(&history, &aino.to_string()).is_empty());
    let forgotten = house.forget("Aino").await;
    assert_eq!((forgotten.sessions, forgotten.files), (1, 1));
    // Their recording is gone, that of the other is there.
    let recordings = std::fs::read_dir(history.join("originals")).unwrap().count();
    assert_eq!(recordings, 1);
    // What tells of the session and of the file.
    assert_eq!((forgotten.log.readings, forgotten.log.events), (120, 2));
    let [word] = &forgotten.remains[..] else { panic!("{:?}", forgotten.remains) };
    assert!(word.what.contains("withdrawn"), "{word:?}");
    for later in [0, 260] {
        house.pass(later, &[]).await;
        house.recorder.keep().await;
        // Not in any file of the box: the name, the id, the strap of their own, their sessions.
        for word in ["Aino", &aino.to_string(), "9F6E0001", &hers.to_string()] {
            let mut found = says(folder.path(), word);
            // That the strap was worn is known, by somebody; and that it was heard.
            let of_the_strap = ["roster/people", "history/sessions.json"];
            found.retain(|path| {
                word != "9F6E0001" || !of_the_strap.iter().any(|it| path.ends_with(it))
            });
            assert_eq!(found, Vec::<std::path::PathBuf>::new(), "{word}");
        }
        // Nor their readings, however old a version is looked at; the other's are all there.
        let carved: BTreeMap<EntryId, Entry> =
            carved(folder.path()).into_iter().map(|(_, entry)| (entry.id, entry)).collect();
        let theirs =
            all.iter().filter(|e| matches!(&e.fact, Fact::Reading(r) if r.strap == strap(1)));
        assert_eq!(theirs.filter(|entry| carved.contains_key(&entry.id)).count(), 0);
        assert!(bens.iter().all(|entry| carved.get(&entry.id) == Some(entry)));
        let left = read_all(&house.buffer).await;
        assert!(left.iter().filter(is_bens).eq(&bens));
    }
    let left = house.kept();
    let whose: Vec<_> = left.iter().map(|kept| kept.session.as_ref().unwrap().athlete).collect();
    // What went on when they were forgotten is not recorded.
    assert_eq!(whose, [Some(ben), Some(ben)]);
    house.close().await;
}

/// What the real binary prints of the latest session in a stopped box.
fn exported(folder: &Path, format: &str) -> Vec<u8> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pulsegate"))
        .args(["export", "last", "--output", "-", "--format", format, "--data-dir"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn a_recorded_session_is_exported_as_fit_tcx_csv_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    house.athlete("Aino", Some("v1"));
    house.assign(1, "Aino");
    house.pass(120, &[(1, 150)]).await;
    // A minute out of reach is a pause.
    house.pass(60, &[]).await;
    house.pass(120, &[(1, 160)]).await;
    house.pass(200, &[]).await;
    house.close().await;

    let fit = exported(folder.path(), "fit");
    let (mut rates, mut beats) = (Vec::new(), 0);
    let report =
        fit::read(Cursor::new(&fit), &Limits::default(), &mut || true, &mut |_, item| match item {
            Item::Sample(sample) => rates.extend(sample.heart_rate_bpm),
            Item::Beat(_) => beats += 1,
        });
    let report = report.unwrap();
    assert_eq!((report.result, beats), (Class::Decoded, 240));
    let expected = std::iter::repeat_n(150, 120).chain(std::iter::repeat_n(160, 120));
    assert!(rates.into_iter().eq(expected));
    let [activity] = &report.activities[..] else { panic!() };
    let [pause] = &activity.pauses[..] else { panic!("{:?}", activity.pauses) };
    // A heart rate holds for five seconds.
    assert_eq!((pause.to.0 - pause.from.0) / 1000, 56);
    assert_eq!(
        activity.devices.iter().find_map(|d| d.serial.filter(|s| *s == 0x9F6E_0001)),
        Some(0x9F6E_0001)
    );

    let (mut rates, limits) = (0, Limits::default());
    let tcx = exported(folder.path(), "tcx");
    let read = track::read(Cursor::new(&tcx), &limits, &mut || true, &mut |_, _| rates += 1);
    assert_eq!((read.unwrap().result, rates), (Class::Decoded, 240));
    assert!(String::from_utf8(exported(folder.path(), "csv")).unwrap().lines().count() > 240);
    let json: serde_json::Value = serde_json::from_slice(&exported(folder.path(), "json")).unwrap();
    assert_eq!(json["samples"].as_array().map(Vec::len), Some(240), "{}", json.to_string().len());

    // It comes back from where it was sent to.
    let file = folder.path().join("from-elsewhere.fit");
    std::fs::write(&file, &fit).unwrap();
    let again = std::process::Command::new(env!("CARGO_BIN_EXE_pulsegate"))
        .args(["import", "--json", "--data-dir"])
        .args([folder.path(), &file])
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(told["result"], "duplicate", "{told}");
    let listed = History::new(folder.path()).list(&Wanted::default()).unwrap();
    assert_eq!(told["sessions"][0]["id"], listed[0].summary.activity.to_string());
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn a_strap_that_was_handed_back_just_before_the_box_went_off_goes_on_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let script = script();
    let mut house = House::open(folder.path(), 7, &script).await;
    let aino = house.athlete("Aino", Some("v1"));
    house.assign(1, "Aino");
    house.pass(120, &[(1, 150)]).await;
    house.recorder.keep().await;
    house.script.pass(Duration::from_secs(5));
    desk::release(&house.roster, strap(1).as_str(), &house.moment()).unwrap();
    house.close().await;

    let mut house = House::open(folder.path(), 7, &script).await;
    house.pass(120, &[(1, 110)]).await;
    house.pass(200, &[]).await;
    let whose: Vec<_> = house
        .kept()
        .iter()
        .map(|kept| {
            let session = kept.session.as_deref().unwrap();
            (session.athlete, session.effort.max_bpm, session.ended)
        })
        .collect();
    // What is sent right after it was handed back is the end of it, and no new session.
    assert_eq!(whose, [(Some(aino), Some(150), Why::WearerChanged)]);
    house.close().await;
}

/// What the log tells of an activity, in order.
async fn told_of(house: &House, id: ActivityId) -> Vec<Summary> {
    let entries = read_all(&house.buffer).await.into_iter();
    let told = entries.filter_map(|entry| match entry.fact {
        Fact::Event(Event { kind: EventKind::Activity(summary), .. }) => Some(*summary),
        _ => None,
    });
    told.filter(|summary| summary.activity == id).collect()
}

/// When the watch of a test says that the first second of the evening was: it is 20 s ahead.
fn by_the_watch() -> UnixMs {
    UnixMs(EVENING_US / 1000 + 21_000)
}

#[tokio::test]
async fn a_strap_and_a_watch_on_one_person_are_one_workout_whichever_comes_first() {
    for watch_first in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut house = House::open(folder.path(), 7, &script()).await;
        let aino = house.athlete("Aino", Some("v1"));
        house.athlete("Ben", Some("v1"));
        house.assign(1, "Aino");
        house.assign(2, "Ben");
        let heart = watch::heart(1, 1200);
        let ride = watch::ride(&heart, by_the_watch(), 5);
        house.work(1, &heart).await;
        let mut watched = None;
        if watch_first {
            watched = Some(house.import(&ride, None).await);
        }
        house.pass(200, &[(2, 120)]).await;
        let watched = match watched {
            Some(watched) => watched,
            None => house.import(&ride, None).await,
        };
        house.pass(200, &[]).await;
        let kept = house.kept();
        let session = kept.iter().find(|kept| kept.whose() == Some(aino) && kept.session.is_some());
        let session = session.unwrap();
        let watched = house.history.get(watched).unwrap().unwrap();
        assert_eq!(kept.len(), 3, "nothing is deleted");
        assert_eq!((session.same_as, watched.same_as), (None, Some(session.activity.id)));
        assert_eq!((watched.whose(), watched.consent), (Some(aino), true));
        // Receivers are told last what is true.
        let told = told_of(&house, watched.activity.id).await;
        assert_eq!(told.len(), if watch_first { 2 } else { 1 });
        let last = told.last().unwrap();
        assert_eq!((last.same_as, last.athlete), (watched.same_as, Some(aino)));
        let told = told_of(&house, session.activity.id).await;
        assert_eq!((told.len(), told[0].same_as), (1, None));
        // The line of the list says what the document says.
        let listed = house.listed().into_iter();
        let listed: Vec<_> = listed.map(|one| (one.summary.same_as, one.whose)).collect();
        let of_kept: Vec<_> = kept.iter().map(|kept| (kept.same_as, kept.whose())).collect();
        assert_eq!(listed, of_kept);

        let zone = TimeZone::UTC;
        let (history, roster) = (house.history.clone(), house.roster.clone());
        let archive = Archive::new(history, roster, zone, Bounds::default());
        let all = archive.workouts(aino, UnixMs(0), UnixMs(i64::MAX)).unwrap();
        let [one] = &all[..] else { panic!("{} workouts", all.len()) };
        assert_eq!(one.activity.id, session.activity.id);
        let (totals, strap) = (&one.activity.totals, &session.activity.totals);
        assert_eq!((totals.distance_m, totals.avg_power_w), (Some(9600.0), Some(180)));
        assert_eq!((totals.avg_hr_bpm, totals.max_hr_bpm), (strap.avg_hr_bpm, strap.max_hr_bpm));
        assert_eq!((one.activity.sport, one.activity.start), (Some(2), session.activity.start));
        // Work that was measured.
        assert_eq!(one.effort.as_ref().unwrap().calories_kcal, Some(222.0));
        // A day of it counts it once.
        let day = archive.date(session.activity.start);
        let days = archive.days(aino, day, day).unwrap();
        assert_eq!(days[0].workouts.len(), 1);
        let measured = archive.measured_on(&days[0]).unwrap();
        assert_eq!((measured.rates.len(), measured.beats.len()), (1200, 1200));
        let asked = archive.workout(watched.activity.id).unwrap();
        assert_eq!(asked.as_ref(), Some(one), "whichever of the two is asked for");
        house.close().await;
    }
}

#[tokio::test]
async fn somebody_elses_watch_and_two_straps_side_by_side_are_workouts_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    house.athlete("Aino", Some("v1"));
    let ben = house.athlete("Ben", None);
    house.assign(1, "Aino");
    let heart = watch::heart(1, 600);
    for bpm in &heart {
        // The second strap hears the very same: nobody's, so it may be anybody's.
        house.second(&[(1, *bpm), (2, *bpm)]).await;
    }
    house.settle().await;
    house.pass(200, &[]).await;
    let stranger = house.import(&watch::ride(&watch::heart(2, 600), by_the_watch(), 5), None).await;
    let owner = Some(Owner { athlete: ben, consent: false });
    let bens = house.import(&watch::ride(&heart, by_the_watch().plus_ms(1000), 6), owner).await;
    let kept = house.kept();
    assert_eq!(kept.len(), 4);
    let get = |id| house.history.get(id).unwrap().unwrap();
    assert_eq!((get(stranger).same_as, get(stranger).whose()), (None, None));
    // Ben's is of the workout of nobody's strap, and not of Aino's.
    let nobodys = kept.iter().find(|kept| kept.session.is_some() && kept.whose().is_none());
    assert_eq!(get(bens).same_as, Some(nobodys.unwrap().activity.id));
    // He has not agreed: nothing that is told says that it is his.
    let told = told_of(&house, bens).await;
    assert_eq!((told[0].athlete, house.listed().len()), (None, 4));
    assert!(house.listed().iter().any(|one| one.whose == Some(ben)));
    house.close().await;
}

#[tokio::test]
async fn a_crash_between_a_session_and_what_is_linked_to_it_leaves_both_linked_and_told_once() {
    for told_before in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let script = script();
        let mut house = House::open(folder.path(), 7, &script).await;
        house.athlete("Aino", Some("v1"));
        house.assign(1, "Aino");
        let heart = watch::heart(1, 600);
        house.work(1, &heart).await;
        let watched = house.import(&watch::ride(&heart, by_the_watch(), 5), None).await;
        let before = std::fs::read(activity(folder.path(), "activities", watched)).unwrap();
        house.pass(200, &[]).await;
        let linked = house.history.get(watched).unwrap().unwrap();
        let session = linked.same_as.unwrap();
        assert_eq!(told_of(&house, watched).await.len(), 2);
        house.close().await;

        let path = activity(folder.path(), "activities", session);
        let mut pending: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        pending["seq"] = serde_json::Value::Null;
        pending["links"] = serde_json::json!([watched]);
        let place = activity(folder.path(), "pending", session);
        std::fs::write(place, pending.to_string()).unwrap();
        if told_before {
            let mut again = linked.clone();
            again.seq = None;
            let text = serde_json::to_string(&again).unwrap();
            std::fs::write(activity(folder.path(), "pending", watched), text).unwrap();
        }
        std::fs::write(activity(folder.path(), "activities", watched), before).unwrap();

        let house = House::open(folder.path(), 8, &script).await;
        within(house.importer.resume()).await.unwrap();
        let linked = house.history.get(watched).unwrap().unwrap();
        assert_eq!(linked.same_as, Some(session));
        let pending = std::fs::read_dir(folder.path().join("history/pending")).unwrap();
        assert_eq!(pending.count(), 0);
        assert_eq!(told_of(&house, session).await.len(), 1);
        let told = told_of(&house, watched).await;
        // What was told already is found in the log; what was not known to be told is told once more.
        assert_eq!(told.len(), if told_before { 2 } else { 3 });
        assert_eq!(told.last().unwrap().same_as, Some(session));
        house.close().await;
    }
}

fn activity(folder: &Path, kind: &str, id: ActivityId) -> std::path::PathBuf {
    folder.join(format!("history/{kind}/{id}.json"))
}
