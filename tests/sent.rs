//! Workouts, days and people on their way out: recorded from readings, delivered by the real runner, written by the real file
//! sink, in each format that has a place for them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

#[path = "support/house.rs"]
mod house;

use std::path::Path;

use house::{EVENING_US, House, OUT, script};
use pulsegate::activity::UnixMs;
use pulsegate::athlete::AthleteId;
use pulsegate::live::SinkState;
use pulsegate::reading::{EventKind, RequestedData};
use pulsegate::roster::desk;
use pulsegate::roster::{Edit, Field};
use serde_json::{Value, json};
use support::{crash_image, within};
use uuid::Uuid;

/// A box, somebody with a strap who has agreed, and a workout of two minutes.
async fn house_with_a_workout(folder: &Path) -> (House, AthleteId) {
    let mut house = House::open(folder, 7, &script()).await;
    let aino = house.athlete("Aino", Some("v1"));
    within(house.teller.step()).await.unwrap();
    house.assign(1, "Aino");
    workout(&mut house, 120, 150).await;
    (house, aino)
}

/// So many seconds of heart rate, and the silence that ends it.
async fn workout(house: &mut House, seconds: u64, bpm: u16) {
    house.pass(seconds, &[(1, bpm)]).await;
    house.pass(200, &[]).await;
}

fn types(sent: &[Value]) -> Vec<&str> {
    sent.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn of<'a>(sent: &'a [Value], kind: &str) -> Vec<&'a Value> {
    sent.iter().filter(|event| event["type"] == kind).collect()
}

fn rates(heart_rate_data: &Value) -> Vec<Value> {
    heart_rate_data["detailed"]["hr_samples"].as_array().unwrap().clone()
}

fn beats(body: &Value) -> Vec<Value> {
    body["data"][0]["heart_data"]["rr_interval_samples"].as_array().unwrap().clone()
}

fn withdraw(house: &House, who: &str) {
    let edit = Edit { clear: vec![Field::Consent], ..Edit::default() };
    desk::edit(&house.roster, who, &edit, &house.moment()).unwrap();
}

#[tokio::test]
async fn a_workout_arrives_as_terras_activity_then_its_day_beat_by_beat_and_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, aino) = house_with_a_workout(folder.path()).await;
    house.send("terra");
    let sent = house.sent().await;
    assert_eq!(types(&sent), ["auth", "athlete", "activity", "body", "daily"]);
    for event in &sent {
        assert_eq!(event["user"]["user_id"], aino.to_string());
        assert_eq!(event["user"]["active"], true);
    }
    assert_eq!(sent[1]["athlete"]["first_name"], "Aino");
    assert_eq!(sent[1]["athlete"]["age"], 40);
    let [kept] = &house.kept()[..] else { panic!() };
    let activity = &sent[2]["data"][0];
    assert_eq!(activity["metadata"]["summary_id"], kept.activity.id.to_string());
    assert_eq!(activity["metadata"]["start_time"], "2026-11-21T11:00:01.000000-07:00");
    let samples = rates(&activity["heart_rate_data"]);
    assert_eq!(samples.len(), 120);
    assert!(samples.iter().all(|sample| sample["bpm"] == 150));
    let body = &sent[3]["data"][0];
    assert_eq!(body["metadata"]["start_time"], "2026-11-21T00:00:00.000000-07:00");
    assert_eq!(rates(&body["heart_data"]["heart_rate_data"]).len(), 120);
    assert_eq!(beats(&sent[3]).len(), 120);
    let daily = &sent[4]["data"][0];
    let effort = &kept.session.as_ref().unwrap().effort;
    let kcal = effort.calories_kcal.unwrap().round() as u64;
    assert_eq!(daily["calories_data"]["total_burned_calories"], kcal);
    assert_eq!(daily["active_durations_data"]["activity_seconds"], effort.active_s);
    house.close().await;
}

#[tokio::test]
async fn a_second_workout_sends_the_whole_day_again_and_nothing_of_the_first_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, _) = house_with_a_workout(folder.path()).await;
    house.send("terra");
    house.sent().await;
    workout(&mut house, 60, 110).await;
    let sent = house.sent().await;
    assert_eq!(types(&sent)[5..], ["activity", "body", "daily"]);
    let ids: Vec<_> =
        of(&sent, "activity").iter().map(|a| &a["data"][0]["metadata"]["summary_id"]).collect();
    assert_ne!(ids[0], ids[1]);
    let bodies = of(&sent, "body");
    let day = |body: &Value| body["data"][0]["metadata"]["start_time"].clone();
    assert_eq!(day(bodies[0]), day(bodies[1]), "the second overwrites the first");
    let all = |body: &Value| rates(&body["data"][0]["heart_data"]["heart_rate_data"]);
    let (first, second) = (all(bodies[0]), all(bodies[1]));
    assert_eq!((first.len(), second.len()), (120, 180));
    assert_eq!(first[..], second[..120]);
    assert_eq!(beats(bodies[0])[..], beats(bodies[1])[..120]);
    let seconds = |daily: &Value| {
        daily["data"][0]["active_durations_data"]["activity_seconds"].as_f64().unwrap()
    };
    let told: Vec<f64> = of(&sent, "daily").into_iter().map(seconds).collect();
    let active: Vec<f64> =
        house.kept().iter().map(|k| k.session.as_ref().unwrap().effort.active_s).collect();
    assert_eq!(told, [active[0], active[0] + active[1]]);
    house.close().await;
}

#[tokio::test]
async fn of_whoever_has_not_agreed_and_of_whoever_nobody_knows_nothing_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), 7, &script()).await;
    house.athlete("Aino", None);
    house.assign(1, "Aino");
    within(house.teller.step()).await.unwrap();
    house.pass(60, &[(1, 150), (2, 120)]).await;
    house.pass(200, &[]).await;
    assert_eq!(house.kept().len(), 2);
    house.send("terra");
    assert_eq!(house.sent().await, [Value::Null; 0]);
    house.close().await;
}

#[tokio::test]
async fn of_whoever_withdraws_between_recording_and_delivery_leaves_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, aino) = house_with_a_workout(folder.path()).await;
    withdraw(&house, "Aino");
    within(house.teller.step()).await.unwrap();
    house.send("terra");
    let sent = house.sent().await;
    let [deauth] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(deauth["type"], "deauth");
    assert_eq!(
        (&deauth["user"]["user_id"], &deauth["user"]["active"]),
        (&json!(aino), &json!(false))
    );
    house.close().await;
}

#[tokio::test]
async fn what_the_log_says_of_a_session_leaves_as_nobodys_once_its_athlete_has_withdrawn() {
    for forgotten in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (mut house, aino) = house_with_a_workout(folder.path()).await;
        if forgotten {
            house.forget("Aino").await;
        } else {
            withdraw(&house, "Aino");
        }
        within(house.teller.step()).await.unwrap();
        house.send("samples");
        let sent = house.sent().await;
        let event = |kind| sent.iter().find(|event| event["event"] == kind);
        if forgotten {
            assert_eq!(event("activity"), None, "it is erased");
        } else {
            let session = &event("activity").unwrap()["session"];
            assert_eq!(session.get("athlete"), None, "{session}");
            assert_eq!(session["effort"]["calories_kcal"], Value::Null);
            assert_eq!(session["effort"]["max_bpm"], 150);
        }
        assert_eq!(event("athlete_withdrew").unwrap()["athlete"], aino.to_string());
        house.close().await;
    }
}

#[tokio::test]
async fn of_whoever_was_forgotten_nothing_leaves_but_that_they_left() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, aino) = house_with_a_workout(folder.path()).await;
    house.forget("Aino").await;
    within(house.teller.step()).await.unwrap();
    house.send("terra");
    let sent = house.sent().await;
    assert_eq!(types(&sent), ["deauth"]);
    let user = json!({
        "user_id": aino, "provider": "POLAR", "active": false, "created_at": null, "last_webhook_update": null
    });
    assert_eq!(sent[0]["user"], user);
    house.close().await;
}

#[tokio::test]
async fn whoever_agrees_again_before_the_withdrawal_is_delivered_does_not_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, _) = house_with_a_workout(folder.path()).await;
    withdraw(&house, "Aino");
    within(house.teller.step()).await.unwrap();
    let again = Edit { consent: Some("v2".to_owned()), ..Edit::default() };
    desk::edit(&house.roster, "Aino", &again, &house.moment()).unwrap();
    within(house.teller.step()).await.unwrap();
    house.send("terra");
    let sent = house.sent().await;
    let auth = ["auth", "athlete"];
    assert_eq!(types(&sent), [&auth[..], &["activity", "body", "daily"], &auth].concat());
    house.close().await;
}

/// Has something sent again, as a backend asks for it; says what kinds of payloads arrive.
async fn asked(
    house: &mut House,
    who: AthleteId,
    data: RequestedData,
    from: i64,
    to: i64,
) -> Vec<String> {
    let before = house.sent().await.len();
    house
        .happens(EventKind::Requested {
            reference: Uuid::from_u128(5),
            data,
            athlete: who,
            from: UnixMs(from),
            to: UnixMs(to),
            with_samples: false,
        })
        .await;
    house.sent().await[before..]
        .iter()
        .map(|sent| sent["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_a_backend_asks_for_is_sent_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, aino) = house_with_a_workout(folder.path()).await;
    workout(&mut house, 60, 140).await;
    house.send("terra");
    let (start, day) = (EVENING_US / 1000, 86_400_000);
    let (all, none) = ((start - day, start + day), (start - day, start));
    for (data, range, arrives) in [
        (RequestedData::Activity, all, &["activity", "activity"][..]),
        (RequestedData::Activity, none, &[]),
        (RequestedData::Body, all, &["body", "daily"]),
        (RequestedData::Daily, all, &["body", "daily"]),
        (RequestedData::Daily, (start + day, start + 2 * day), &[]),
        (RequestedData::Athlete, none, &["athlete"]),
    ] {
        assert_eq!(asked(&mut house, aino, data, range.0, range.1).await, arrives, "{data:?}");
    }
    // A repeat takes the place of what was sent before: it has all that this had.
    let sent = house.sent().await;
    let activities = of(&sent, "activity");
    assert_eq!(activities[0], activities[2]);
    withdraw(&house, "Aino");
    assert_eq!(asked(&mut house, aino, RequestedData::Activity, all.0, all.1).await, [""; 0]);
    house.close().await;
}

#[tokio::test]
async fn a_crash_between_batches_repeats_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (live, crashed) = (folder.path().join("live"), folder.path().join("crashed"));
    std::fs::create_dir(&live).unwrap();
    let (mut house, _) = house_with_a_workout(&live).await;
    let script = house.script.clone();
    house.send("terra");
    let before = house.sent().await;
    // The cursor has not reached the disk. The next batch was begun when the power went.
    crash_image(&live, &crashed);
    house.close().await;
    let torn = "{\"type\":\"activity\",\"versi";
    let mut text = std::fs::read_to_string(crashed.join(OUT)).unwrap();
    text.push_str(torn);
    std::fs::write(crashed.join(OUT), text).unwrap();

    let mut house = House::open(&crashed, 7, &script).await;
    workout(&mut house, 60, 110).await;
    house.send("terra");
    house.delivered().await;
    let text = std::fs::read_to_string(crashed.join(OUT)).unwrap();
    let (whole, broken): (Vec<_>, Vec<_>) =
        text.lines().map(serde_json::from_str::<Value>).partition(Result::is_ok);
    assert_eq!(broken.len(), 1, "the torn line stands alone");
    let sent: Vec<Value> = whole.into_iter().map(Result::unwrap).collect();
    assert_eq!(sent[..5], before);
    // The same again, then what is new; the day is by now that of both.
    assert_eq!(sent[5..8], before[..3]);
    let rest = ["body", "daily", "activity", "body", "daily"];
    assert_eq!(types(&sent)[8..], rest);
    assert_eq!(rates(&sent[8]["data"][0]["heart_data"]["heart_rate_data"]).len(), 180);
    house.close().await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_is_asked_again_and_what_is_gone_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, _) = house_with_a_workout(folder.path()).await;
    workout(&mut house, 60, 110).await;
    let documents: Vec<_> = house
        .kept()
        .iter()
        .map(|kept| folder.path().join(format!("history/activities/{}.json", kept.activity.id)))
        .collect();
    let gone = house.kept()[0].activity.id;
    std::fs::remove_file(&documents[0]).unwrap();
    // Not a file, so it cannot be read as one.
    let away = folder.path().join("away");
    std::fs::rename(&documents[1], &away).unwrap();
    std::fs::create_dir(&documents[1]).unwrap();
    house.send("terra");
    house.sink(|sink| matches!(sink.state, SinkState::Retrying { .. })).await;
    std::fs::remove_dir(&documents[1]).unwrap();
    std::fs::rename(&away, &documents[1]).unwrap();
    let sent = house.sent().await;
    assert_eq!(types(&sent), ["auth", "athlete", "activity", "body", "daily"]);
    assert_ne!(sent[2]["data"][0]["metadata"]["summary_id"], gone.to_string());
    house.close().await;
}

/// What the sink has written in each format, by what it is to be judged.
async fn sent_in_each_format() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for format in ["terra", "fhir", "omh", "cloudevents", "samples"] {
        let folder = tempfile::tempdir().unwrap();
        let (mut house, _) = house_with_a_workout(folder.path()).await;
        workout(&mut house, 60, 110).await;
        withdraw_after(&mut house, format).await;
        for (n, line) in house.sent().await.into_iter().enumerate() {
            all.push((named(format, n, &line), line));
        }
        house.close().await;
    }
    all
}

/// What was recorded is sent before its athlete withdraws.
async fn withdraw_after(house: &mut House, format: &str) {
    house.send(format);
    house.sent().await;
    house.forget("Aino").await;
    within(house.teller.step()).await.unwrap();
}

fn named(format: &str, n: usize, line: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = match format {
        "terra" => match line["type"].as_str().unwrap() {
            "auth" => "AuthSuccessEvent",
            "deauth" => "DeauthEvent",
            "athlete" => "AthleteEvent",
            "activity" => "ActivityEvent",
            "body" => "BodyEvent",
            "daily" => "DailyEvent",
            other => panic!("{other}"),
        }
        .to_owned(),
        "fhir" => text(&line["resourceType"]),
        "omh" => {
            let id = &line["header"]["schema_id"];
            format!("{}-{}", text(&id["name"]), text(&id["version"]))
        }
        "cloudevents" => "Event".to_owned(),
        _ => return format!("schemas.samples-entry.sent-{n}.json"),
    };
    format!("{format}.{of}.sent-{n}.json")
}

#[tokio::test]
async fn sent_payloads_for_the_validators_of_others() {
    let sent = sent_in_each_format().await;
    // One of each kind and the first dozen of it: further ones are no different, and judges are slow.
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    let folder = std::env::var_os("PULSEGATE_PAYLOADS").map(std::path::PathBuf::from);
    for (name, line) in &sent {
        let kind = name.split(".sent-").next().unwrap().to_owned();
        let count = counts.entry(kind).or_default();
        *count += 1;
        // Closed, as the judge does it, our schema of an event refuses what a summary adds to it.
        let is_summary = name.starts_with("schemas") && line["event"] == "activity";
        let is_many = name.starts_with("cloudevents") || name.starts_with("schemas");
        let is_judged = !is_summary && (*count <= 12 || is_many);
        if let Some(folder) = folder.as_ref().filter(|_| is_judged) {
            std::fs::write(folder.join(name), line.to_string()).unwrap();
        }
    }
    let kinds = |of: &str| -> Vec<(&str, usize)> {
        let mine = counts.iter().filter_map(|(kind, n)| Some((kind.strip_prefix(of)?, *n)));
        mine.filter(|(kind, _)| !["Observation", "rr-interval-1.0"].contains(kind)).collect()
    };
    let terra = [
        ("ActivityEvent", 2),
        ("AthleteEvent", 1),
        ("AuthSuccessEvent", 1),
        ("BodyEvent", 2),
        ("DailyEvent", 2),
        ("DeauthEvent", 1),
    ];
    assert_eq!(kinds("terra."), terra);
    assert_eq!(kinds("fhir."), [("Bundle", 2)]);
    // A heart rate a second; of each workout the average, the highest, the lowest.
    assert_eq!(kinds("omh."), [("heart-rate-2.0", 186), ("physical-activity-1.2", 2)]);
    let workouts = sent.iter().filter(|(_, line)| line["type"] == "pulsegate.workout");
    let summaries: Vec<_> = workouts.map(|(_, line)| &line["data"]["type"]).collect();
    assert_eq!(summaries, ["activity", "activity"]);
}

#[tokio::test]
async fn a_workout_whose_event_is_in_the_log_before_the_history_has_it_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (mut house, _) = house_with_a_workout(folder.path()).await;
    // As a crash between the two leaves it.
    let name = format!("{}.json", house.kept()[0].activity.id);
    let history = folder.path().join("history");
    let (kept, pending) =
        (history.join("activities").join(&name), history.join("pending").join(&name));
    std::fs::rename(&kept, &pending).unwrap();
    house.send("terra");
    house.sink(|sink| matches!(sink.state, SinkState::Retrying { .. })).await;
    std::fs::rename(&pending, &kept).unwrap();
    assert_eq!(types(&house.sent().await)[2..], ["activity", "body", "daily"]);
    house.close().await;
}
