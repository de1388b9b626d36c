//! Terra's webhooks.

use std::iter;

use pulsegate::activity::UnixMs;
use pulsegate::athlete::{Athlete, AthleteId};
use pulsegate::format::terra::{Activity, AthleteEvent, Body, Daily, Day, Event, User, UserEvent};
use pulsegate::workout::{TimedRate, Workout};
use serde_json::Value;
use uuid::Uuid;

use crate::people::{START, aino, beats, class, rates, ride, unknown};
use crate::{Payload, pretty};

fn activity(workout: &Workout, rates: impl Iterator<Item = TimedRate> + Clone) -> Vec<u8> {
    let user = User::new(workout.athlete.as_ref().unwrap(), None);
    pretty(&Event::activity(user, vec![Activity::new(workout, rates)]))
}

fn body(seconds: i64) -> Vec<u8> {
    let (athlete, workouts) = (aino(), [class(seconds as u64)]);
    let day = Day::of(START, Some(60));
    let body = Body::new(day, &athlete, &workouts, rates(seconds), beats(seconds));
    pretty(&Event::body(User::new(&athlete, Some(START)), vec![body]))
}

fn daily(workouts: &[Workout]) -> Vec<u8> {
    let athlete = aino();
    let day = Day::of(START, Some(60));
    pretty(&Event::daily(
        User::new(&athlete, Some(START)),
        vec![Daily::new(day, &athlete, workouts)],
    ))
}

/// One of each, short enough to be read.
pub fn examples() -> Vec<Payload> {
    let (athlete, anew) = (aino(), Athlete { id: AthleteId(Uuid::from_u128(8)), ..aino() });
    let of = |kind: &str, bytes| (format!("terra.{kind}.example.json"), bytes);
    vec![
        of("ActivityEvent", activity(&class(2917), rates(3))),
        of("BodyEvent", {
            let workouts = [class(2917)];
            let body = Body::new(Day::of(START, Some(60)), &athlete, &workouts, rates(2), beats(2));
            pretty(&Event::body(User::new(&athlete, Some(START)), vec![body]))
        }),
        of("DailyEvent", daily(&[class(2917), ride()])),
        of("AthleteEvent", pretty(&AthleteEvent::new(&athlete, None, 2026))),
        of("AuthSuccessEvent", pretty(&UserEvent::auth(User::new(&athlete, None)))),
        of("DeauthEvent", pretty(&UserEvent::deauth(User::new(&athlete, Some(START))))),
        of("UserReauthEvent", {
            let (old, new) = (User::new(&athlete, Some(START)), User::new(&anew, None));
            pretty(&UserEvent::reauth(old, new))
        }),
    ]
}

pub fn all() -> Vec<Payload> {
    let mut all = examples();
    let mut add = |name: &str, bytes| all.push((format!("terra.{name}.json"), bytes));
    add("ActivityEvent.hour", activity(&class(3600), rates(3600)));
    add("ActivityEvent.ride", activity(&ride(), rates(1200)));
    add("ActivityEvent.unknown", activity(&unknown(), iter::empty()));
    add("BodyEvent.hour", body(3600));
    add("DailyEvent.nothing", daily(&[]));
    add("DailyEvent.unknown", daily(&[unknown()]));
    all
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn an_activity_says_whose_it_is_when_it_was_and_what_was_measured() {
    let event = read(&activity(&class(2917), rates(3)));
    assert_eq!(event["type"], "activity");
    assert_eq!(event["version"], "2022-03-16");
    assert_eq!(event["user"]["user_id"], "40f7b0e1-89e2-43ac-a5b8-1e29c8d47cad");
    let activity = &event["data"][0];
    assert_eq!(activity["metadata"]["start_time"], "2026-07-01T07:04:11.000000+01:00");
    assert_eq!(activity["metadata"]["end_time"], "2026-07-01T07:52:48.000000+01:00");
    assert_eq!(activity["metadata"]["type"], 114);
    assert_eq!(activity["device_data"]["serial_number"], "9F6E5322");
    assert_eq!(activity["device_data"]["other_devices"][0]["name"], "Pulsegate");
    let second = &activity["heart_rate_data"]["detailed"]["hr_samples"][1];
    let timestamp = "2026-07-01T07:04:12.000000+01:00";
    assert_eq!((&second["timestamp"], &second["bpm"]), (&timestamp.into(), &110.into()));
    let summary = &activity["heart_rate_data"]["summary"];
    assert_eq!((&summary["avg_hr_bpm"], &summary["user_max_hr_bpm"]), (&148.2.into(), &190.into()));
}

#[test]
fn the_same_workout_sent_again_has_the_same_summary_id_and_the_legal_name_stays_here() {
    let once = read(&activity(&class(2917), rates(3)));
    let again = read(&activity(&class(2999), rates(900)));
    let id = |event: &Value| event["data"][0]["metadata"]["summary_id"].clone();
    assert!(id(&once).is_string());
    assert_eq!(id(&once), id(&again));
    for (name, bytes) in all() {
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("Virtanen"), "{name}");
    }
}

#[test]
fn a_recording_of_another_device_keeps_that_device_and_its_own_sums() {
    let event = read(&activity(&ride(), rates(1200)));
    let activity = &event["data"][0];
    assert_eq!(activity["device_data"]["manufacturer"], "Garmin");
    assert_eq!(activity["device_data"]["software_version"], "21.06");
    assert_eq!(activity["distance_data"]["summary"]["distance_meters"], 9601.0);
    assert_eq!(activity["lap_data"]["laps"][1]["trigger_method"], "SESSION_END");
    assert_eq!(activity["active_durations_data"]["activity_seconds"], 1100.0);
    // The timer stood still for 100 s.
    let samples = &activity["heart_rate_data"]["detailed"]["hr_samples"];
    assert_eq!(samples[1199]["timer_duration_seconds"], 1099.0);
}

#[test]
fn a_body_holds_every_beat_of_its_local_day() {
    let event = read(&body(60));
    let day = &event["data"][0];
    assert_eq!(day["metadata"]["start_time"], "2026-07-01T00:00:00.000000+01:00");
    assert_eq!(day["metadata"]["end_time"], "2026-07-02T00:00:00.000000+01:00");
    let told: Vec<u64> = day["heart_data"]["rr_interval_samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| sample["rr_interval_ms"].as_u64().unwrap())
        .collect();
    let measured: Vec<u64> = beats(60).map(|beat| u64::from(beat.rr.0)).collect();
    assert_eq!(told, measured);
}

#[test]
fn a_day_sums_up_its_workouts_and_weighs_heart_rates_by_time() {
    let event = read(&daily(&[class(2917), ride()]));
    let day = &event["data"][0];
    assert_eq!(day["calories_data"]["total_burned_calories"], 823);
    assert_eq!(day["active_durations_data"]["activity_seconds"], 4017.0);
    let summary = &day["heart_rate_data"]["summary"];
    assert_eq!((&summary["max_hr_bpm"], &summary["min_hr_bpm"]), (&181.into(), &88.into()));
    let mean = (148.2 * 2917.0 + 139.0 * 1100.0) / 4017.0;
    assert!((summary["avg_hr_bpm"].as_f64().unwrap() - mean).abs() < 0.001, "{summary}");
}

#[test]
fn five_hours_stay_below_the_ten_megabytes_of_one_event() {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (athlete, workouts) = (aino(), [class(18_000)]);
    let day = Day::of(UnixMs(START.0), Some(60));
    let body = Body::new(day, &athlete, &workouts, rates(18_000), beats(18_000));
    let mut count = Count(0);
    let event = Event::body(User::new(&athlete, None), vec![body]);
    serde_json::to_writer(&mut count, &event).unwrap();
    assert!((1_000_000..10_000_000).contains(&count.0), "{} bytes", count.0);
}

#[test]
fn a_user_who_left_is_inactive_and_one_entered_anew_replaces_the_old() {
    let athlete = aino();
    let left = read(&pretty(&UserEvent::deauth(User::new(&athlete, None))));
    assert_eq!((&left["type"], &left["user"]["active"]), (&"deauth".into(), &false.into()));
    let anew = Athlete { id: AthleteId(Uuid::from_u128(8)), ..aino() };
    let event = UserEvent::reauth(User::new(&athlete, None), User::new(&anew, None));
    let event = read(&pretty(&event));
    assert_eq!(event["type"], "user_reauth");
    assert_eq!(event["old_user"]["active"], false);
    assert_eq!(event["new_user"]["user_id"], "00000000-0000-0000-0000-000000000008");
}
