//! Whatever a recording claims, a payload comes about, and no number in it is none.

use proptest::prelude::*;
use pulsegate::activity::{Lap, Pause, RrMillis, Totals, UnixMs};
use pulsegate::format::cloudevents::CloudEvent;
use pulsegate::format::fhir::Bundle;
use pulsegate::format::omh;
use pulsegate::format::terra::{Activity, Body, Daily, Day, Event, User};
use pulsegate::session::{Hrv, ZoneTimes};
use pulsegate::workout::{TimedBeat, TimedRate, Workout};
use serde_json::Value;

use crate::people::{aino, class, ride};

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), Just(-0.0), 0.0..1e6]
}

fn moment() -> impl Strategy<Value = UnixMs> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), 0..4_000_000_000_000i64]
        .prop_map(UnixMs)
}

prop_compose! {
    fn totals()(
        some in any::<bool>(),
        (elapsed, timer, distance) in (number(), number(), number()),
        (avg_speed, max_speed) in (number(), number()),
    ) -> Totals {
        Totals {
            elapsed_s: some.then_some(elapsed),
            timer_s: some.then_some(timer),
            distance_m: Some(distance),
            avg_speed_mps: Some(avg_speed),
            max_speed_mps: Some(max_speed),
            ..Totals::default()
        }
    }
}

prop_compose! {
    fn workout()(
        of_a_strap in any::<bool>(),
        start in moment(),
        utc_offset_min in any::<Option<i16>>(),
        (sum, lap_sum, lap_start) in (totals(), totals(), moment()),
        pauses in prop::collection::vec((moment(), moment()), 0..4),
        numbers in prop::array::uniform7(number()),
        zones in prop::array::uniform6(number()),
        (max_bpm, zones_from_bpm) in (any::<u16>(), any::<Option<[u16; 5]>>()),
    ) -> Workout {
        let mut workout = if of_a_strap { class(60) } else { ride() };
        let activity = &mut workout.activity;
        (activity.start, activity.utc_offset_min, activity.totals) = (start, utc_offset_min, sum);
        activity.pauses = pauses.into_iter().map(|(from, to)| Pause { from, to }).collect();
        activity.laps = vec![Lap { start: lap_start, totals: lap_sum, trigger: Some(99) }];
        if let Some(effort) = &mut workout.effort {
            let [elapsed, active, mean, kcal, trimp, rmssd, sdnn] = numbers;
            (effort.elapsed_s, effort.active_s, effort.avg_bpm) = (elapsed, active, Some(mean));
            (effort.calories_kcal, effort.trimp_banister) = (Some(kcal), Some(trimp));
            effort.zones = Some(ZoneTimes(zones));
            let hrv = effort.hrv.unwrap();
            effort.hrv = Some(Hrv { rmssd_ms: rmssd, sdnn_ms: sdnn, ..hrv });
            effort.of_max.as_mut().unwrap().bpm = max_bpm;
        }
        workout.athlete.as_mut().unwrap().profile.zones_from_bpm = zones_from_bpm;
        workout
    }
}

/// `null` is what becomes of a number that JSON cannot write.
fn has_no_null(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(parts) => parts.iter().all(has_no_null),
        // Nothing was sent before: Terra's word for it.
        Value::Object(parts) => {
            parts.iter().all(|(name, part)| name == "last_webhook_update" || has_no_null(part))
        }
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_recording_keeps_a_payload_from_coming_about(
        workout in workout(),
        measured in prop::collection::vec((moment(), any::<u16>()), 0..5),
    ) {
        let rates = measured.iter().map(|(at, bpm)| TimedRate { at: *at, bpm: *bpm });
        let beats = measured.iter().map(|(at, rr)| TimedBeat { at: *at, rr: RrMillis(*rr) });
        let athlete = aino();
        let user = || User::new(&athlete, None);
        let day = Day::of(workout.activity.start, workout.activity.utc_offset_min);
        let workouts = [workout.clone(), class(9)];
        let activity = Activity::new(&workout, rates.clone());
        let event = Event::activity(user(), vec![activity]);
        let body = Body::new(day, &athlete, &workouts, rates.clone(), beats.clone());
        let mut payloads = vec![
            serde_json::to_value(CloudEvent::workout("g", &workout, &event)),
            serde_json::to_value(Event::body(user(), vec![body])),
            serde_json::to_value(Event::daily(user(), vec![Daily::new(day, &athlete, &workouts)])),
            serde_json::to_value(Bundle::workout(&workout, rates.clone())),
        ];
        payloads.extend(omh::workout(&workout).iter().map(serde_json::to_value));
        payloads.extend(omh::heart_rates(&workout, rates).map(serde_json::to_value));
        payloads.extend(omh::rr_intervals(&workout, beats).map(serde_json::to_value));
        for payload in payloads {
            let payload = payload.unwrap();
            prop_assert!(has_no_null(&payload), "{payload:#}");
        }
    }
}
