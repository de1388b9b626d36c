//! Activities as TCX, GPX, CSV and JSON: what stands in the files, and that our own readers find it again.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/sessions.rs"]
mod sessions;

use std::path::PathBuf;

use proptest::prelude::*;
use pulsegate::activity::{
    Activity, Beat, Item, Lap, Pause, Position, RrMillis, Sample, Totals, UnixMs,
};
use pulsegate::fit::{Class, FileReport, Limits};
use pulsegate::format::activity_json::ActivityJson;
use pulsegate::format::csv::Csv;
use pulsegate::format::export::{ExportError, Exported};
use pulsegate::format::gpx::Gpx;
use pulsegate::format::tcx::Tcx;
use pulsegate::track;

use crate::sessions::{START, bare, hour, ride};

fn tcx(activity: &Activity, items: &[Item]) -> Result<(String, Exported), ExportError> {
    let mut out = Vec::new();
    let mut file = Tcx::new(&mut out, activity)?;
    items.iter().try_for_each(|item| file.item(*item))?;
    let exported = file.finish()?;
    Ok((String::from_utf8(out).unwrap(), exported))
}

fn gpx(activity: &Activity, items: &[Item]) -> Result<(String, Exported), ExportError> {
    let mut out = Vec::new();
    let mut file = Gpx::new(&mut out, activity)?;
    items.iter().try_for_each(|item| file.item(*item))?;
    let exported = file.finish()?;
    Ok((String::from_utf8(out).unwrap(), exported))
}

/// Keeps a file for `tests/schemas/run`, which names a folder for it.
fn kept(name: &str, activity: &Activity, items: &[Item]) {
    let Some(folder) = std::env::var_os("PULSEGATE_SCHEMA_FILES").map(PathBuf::from) else {
        return;
    };
    if let Ok((text, _)) = tcx(activity, items) {
        std::fs::write(folder.join(format!("{name}.tcx")), text).unwrap();
    }
    if let Ok((text, _)) = gpx(activity, items) {
        std::fs::write(folder.join(format!("{name}.gpx")), text).unwrap();
    }
}

#[test]
fn files_for_the_schemas() {
    for (name, (activity, items)) in [("hour", hour()), ("ride", ride()), ("small", small())] {
        kept(name, &activity, &items);
    }
}

#[test]
fn a_lap_says_nothing_that_its_schema_refuses() {
    let (mut activity, items) = ride();
    for lap in &mut activity.laps {
        lap.totals.avg_hr_bpm = Some(0);
        lap.totals.max_hr_bpm = Some(0);
        (lap.totals.avg_cadence_rpm, lap.totals.max_cadence_rpm) = (Some(255), Some(255));
    }
    for sport in [1, 2] {
        activity.sport = Some(sport);
        kept(&format!("odd_laps_{sport}"), &activity, &items);
        let (text, _) = tcx(&activity, &items).unwrap();
        assert!(!text.contains("<Value>0<") && !text.contains("Cadence>255<"), "{sport}");
    }
}

fn csv(activity: &Activity, items: &[Item]) -> String {
    let mut out = Vec::new();
    let mut file = Csv::new(&mut out, activity).unwrap();
    items.iter().for_each(|item| file.item(*item).unwrap());
    file.finish().unwrap();
    String::from_utf8(out).unwrap()
}

fn json(activity: &Activity, items: &[Item]) -> serde_json::Value {
    let mut out = Vec::new();
    let mut file = ActivityJson::new(&mut out, activity).unwrap();
    items.iter().for_each(|item| file.item(*item).unwrap());
    file.finish().unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn read(text: &str) -> (FileReport, Vec<Sample>) {
    let mut samples = Vec::new();
    let mut sink = |_, item| {
        if let Item::Sample(sample) = item {
            samples.push(sample);
        }
    };
    let report = track::read(text.as_bytes(), &Limits::default(), &mut || true, &mut sink).unwrap();
    (report, samples)
}

fn samples(items: &[Item]) -> Vec<Sample> {
    items
        .iter()
        .filter_map(|item| if let Item::Sample(s) = item { Some(*s) } else { None })
        .collect()
}

#[test]
fn a_ride_comes_back_from_tcx_with_its_laps_and_pauses() {
    let (activity, items) = ride();
    let (text, exported) = tcx(&activity, &items).unwrap();
    assert_eq!(exported.samples, items.len() as u64);
    let (report, read) = read(&text);
    assert_eq!((report.result, &report.reason), (Class::Decoded, &None));
    let got = &report.activities[0];
    assert_eq!((got.start, got.sport, got.totals.timer_s), (START, Some(2), Some(1100.0)));
    assert_eq!(got.pauses, activity.pauses);
    assert_eq!(
        got.laps.iter().map(|lap| lap.start).collect::<Vec<_>>(),
        [START, START.plus_ms(600_000)]
    );
    for (sent, got) in samples(&items).iter().zip(&read) {
        let cadence_rpm = sent.cadence_rpm.map(f64::round);
        assert_eq!(*got, Sample { cadence_rpm, temperature_c: None, ..*sent });
    }
}

#[test]
fn a_ride_comes_back_from_gpx_with_its_way_and_pauses() {
    let (activity, items) = ride();
    let (text, exported) = gpx(&activity, &items).unwrap();
    assert_eq!((exported.samples, exported.samples_left_out), (items.len() as u64, 0));
    let (report, read) = read(&text);
    assert_eq!((report.result, &report.reason), (Class::Decoded, &None));
    assert_eq!(report.activities[0].pauses, activity.pauses);
    for (sent, got) in samples(&items).iter().zip(&read) {
        let cadence_rpm = sent.cadence_rpm.map(f64::round);
        assert_eq!(*got, Sample { cadence_rpm, speed_mps: None, distance_m: None, ..*sent });
    }
}

#[test]
fn a_session_in_a_room_is_tcx_but_cannot_be_gpx() {
    let (mut activity, items) = hour();
    assert!(matches!(gpx(&activity, &items), Err(ExportError::NoPosition)));
    assert!(matches!(tcx(&activity, &items), Err(ExportError::NoDuration)));
    activity.totals.elapsed_s = Some(3600.0);
    let (text, exported) = tcx(&activity, &items).unwrap();
    assert!(exported.beats_left_out > 6000 && !text.contains("<Value>0</Value>"));
    let (report, _) = read(&text);
    assert_eq!((report.counts.records, report.counts.hr_samples), (3600, 3540));
}

/// Local names of the elements directly in each `parent`, in order.
fn children(text: &str, parent: &str) -> Vec<Vec<String>> {
    let (mut found, mut depth) = (Vec::new(), None::<usize>);
    for tag in text.split('<').skip(1).map(|piece| piece.split('>').next().unwrap()) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        match (tag.starts_with('/'), depth) {
            (false, None) if name == parent => {
                found.push(Vec::new());
                depth = Some(0);
            }
            (true, Some(0)) => depth = None,
            (true, Some(n)) => depth = Some(n - 1),
            (false, Some(n)) => {
                if n == 0 {
                    found.last_mut().unwrap().push(name.to_owned());
                }
                depth = Some(n + 1);
            }
            _ => {}
        }
    }
    found
}

#[test]
fn elements_stand_in_the_order_of_the_schemas() {
    let orders: [(&str, &[&str]); 6] = [
        ("Activity", &["Id", "Lap", "Notes", "Training", "Creator", "Extensions"]),
        (
            "Lap",
            &[
                "TotalTimeSeconds",
                "DistanceMeters",
                "MaximumSpeed",
                "Calories",
                "AverageHeartRateBpm",
                "MaximumHeartRateBpm",
                "Intensity",
                "Cadence",
                "TriggerMethod",
                "Track",
                "Notes",
                "Extensions",
            ],
        ),
        (
            "Trackpoint",
            &[
                "Time",
                "Position",
                "AltitudeMeters",
                "DistanceMeters",
                "HeartRateBpm",
                "Cadence",
                "SensorState",
                "Extensions",
            ],
        ),
        ("ns3:TPX", &["ns3:Speed", "ns3:RunCadence", "ns3:Watts"]),
        (
            "ns3:LX",
            &[
                "ns3:AvgSpeed",
                "ns3:MaxBikeCadence",
                "ns3:AvgRunCadence",
                "ns3:MaxRunCadence",
                "ns3:Steps",
                "ns3:AvgWatts",
                "ns3:MaxWatts",
            ],
        ),
        ("Creator", &["Name", "UnitId", "ProductID", "Version"]),
    ];
    let full = Totals {
        elapsed_s: Some(1200.0),
        timer_s: Some(1100.0),
        distance_m: Some(9891.75),
        calories_kcal: Some(310),
        avg_hr_bpm: Some(139),
        max_hr_bpm: Some(159),
        avg_speed_mps: Some(8.25),
        max_speed_mps: Some(9.0),
        avg_power_w: Some(249),
        max_power_w: Some(299),
        avg_cadence_rpm: Some(88),
        max_cadence_rpm: Some(90),
        ..Totals::default()
    };
    let (mut activity, items) = ride();
    activity.origin.product_name = Some("<Edge>".to_owned());
    activity.laps.clear();
    activity.totals = full;
    for sport in [1, 2] {
        activity.sport = Some(sport);
        let (text, _) = tcx(&activity, &items).unwrap();
        for (parent, order) in orders {
            let all = children(&text, parent);
            assert!(!all.is_empty(), "no {parent}");
            for found in all {
                let places: Vec<_> =
                    found.iter().map(|name| order.iter().position(|o| o == name)).collect();
                assert!(
                    places.iter().all(Option::is_some) && places.is_sorted(),
                    "{parent}: {found:?}"
                );
            }
        }
    }
    let (text, _) = gpx(&activity, &items).unwrap();
    for (parent, order) in [
        ("trk", &["name", "type", "trkseg"][..]),
        ("trkpt", &["ele", "time", "extensions"]),
        ("gpxtpx:TrackPointExtension", &["gpxtpx:atemp", "gpxtpx:hr", "gpxtpx:cad"]),
    ] {
        for found in children(&text, parent) {
            let places: Vec<_> =
                found.iter().map(|name| order.iter().position(|o| o == name)).collect();
            assert!(
                places.iter().all(Option::is_some) && places.is_sorted(),
                "{parent}: {found:?}"
            );
        }
    }
}

fn small() -> (Activity, Vec<Item>) {
    let beat = |rr| Item::Beat(Beat { after: None, rr: RrMillis(rr) });
    let first = Sample {
        at: Some(START),
        heart_rate_bpm: Some(61),
        position: Position::from_degrees(45.0, -90.0),
        altitude_m: Some(12.5),
        power_w: Some(200),
        temperature_c: Some(-3),
        ..Sample::default()
    };
    let second =
        Sample { at: Some(START.plus_ms(1250)), heart_rate_bpm: Some(0), ..Sample::default() };
    (bare(10, 26), vec![beat(990), Item::Sample(first), beat(980), beat(970), Item::Sample(second)])
}

#[test]
fn csv_has_a_line_for_each_sample_with_the_beats_behind_it() {
    let (activity, items) = small();
    let text = csv(&activity, &items);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[1], ",,,,,,,,,,,,990");
    assert_eq!(
        lines[2],
        "2026-11-24T09:00:00.000Z,0,61,45.00000000,-90.00000000,12.5,,,,200,-3,,980 970"
    );
    assert_eq!(lines[3..], ["2026-11-24T09:00:01.250Z,1.25,,,,,,,,,,,", ""]);
    assert!(lines.iter().take(4).all(|line| line.matches(',').count() == 12));
}

#[test]
fn json_tells_the_sums_and_every_sample() {
    let (mut activity, items) = small();
    activity.laps = vec![Lap { start: START, totals: Totals::default(), trigger: Some(7) }];
    activity.pauses = vec![Pause { from: START, to: START.plus_ms(500) }];
    activity.totals = Totals { timer_s: Some(1.5), calories_kcal: Some(7), ..Totals::default() };
    activity.counts.rr_intervals = 3;
    let json = json(&activity, &items);
    let told = &json["activity"];
    assert_eq!((&told["sport"], &told["sub_sport"]), (&10.into(), &26.into()));
    let totals = &told["totals"];
    assert_eq!((&totals["timer_s"], &totals["calories_kcal"]), (&1.5.into(), &7.into()));
    assert_eq!(told["counts"]["rr_intervals"], 3);
    assert_eq!((&json["v"], &json["activity"]["id"]), (&1.into(), &activity.id.to_string().into()));
    assert_eq!(json["activity"]["start"], "2026-11-24T09:00:00.000Z");
    assert_eq!(json["activity"]["laps"][0]["start"], "2026-11-24T09:00:00.000Z");
    assert_eq!(json["activity"]["pauses"][0]["to"], "2026-11-24T09:00:00.500Z");
    let expected = serde_json::json!([
        { "rr_ms": [990] },
        { "ts": "2026-11-24T09:00:00.000Z", "heart_rate_bpm": 61, "latitude_deg": 45.0, "longitude_deg": -90.0, "altitude_m": 12.5,
          "power_w": 200, "temperature_c": -3, "rr_ms": [980, 970] },
        { "ts": "2026-11-24T09:00:01.250Z", "heart_rate_bpm": null },
    ]);
    assert_eq!(json["samples"], expected);
    assert!(self::json(&activity, &[])["samples"].as_array().unwrap().is_empty());
}

fn sample() -> impl Strategy<Value = Sample> {
    let maybe = |range: std::ops::Range<f64>| proptest::option::of(range);
    (
        (proptest::option::of(1..=255u8), (-90.0..90.0, -180.0..180.0)),
        (maybe(-500.0..9000.0), maybe(0.0..100.0), maybe(0.0..1e6)),
        (proptest::option::of(0..255u8), any::<Option<u16>>(), any::<Option<i8>>()),
    )
        .prop_map(
            |(
                (bpm, (lat, lon)),
                (altitude_m, speed_mps, distance_m),
                (rpm, power_w, temperature_c),
            )| Sample {
                at: None,
                heart_rate_bpm: bpm,
                position: Position::from_degrees(lat, lon),
                altitude_m,
                speed_mps,
                distance_m,
                cadence_rpm: rpm.map(f64::from),
                power_w,
                temperature_c,
                calories_kcal: None,
            },
        )
}

proptest! {
    #[test]
    fn any_samples_come_back_from_tcx_and_gpx(
        made in proptest::collection::vec((sample(), 1..100_000i64), 1..40),
        sport in 0..6u8,
        name in any::<String>(),
    ) {
        let mut at = START;
        let mut items = Vec::new();
        for (sample, gap) in made {
            items.push(Item::Sample(Sample { at: Some(at), ..sample }));
            at = at.plus_ms(gap);
        }
        let mut activity = bare(sport, 0);
        activity.totals.elapsed_s = Some((at.0 - START.0) as f64 / 1000.0);
        activity.sport_name = Some(name.clone());
        activity.origin.product_name = Some(name);
        let sent = samples(&items);
        kept(&format!("any_{:016x}", fastrand::u64(..)), &activity, &items);

        let (report, got) = read(&tcx(&activity, &items).unwrap().0);
        prop_assert_eq!((report.result, report.activities.len()), (Class::Decoded, 1), "{:?}", report.reason);
        let expected: Vec<Sample> = sent.iter().map(|s| Sample { temperature_c: None, ..*s }).collect();
        prop_assert_eq!(got, expected);
        prop_assert_eq!(report.activities[0].totals.elapsed_s, activity.totals.elapsed_s);

        let (report, got) = read(&gpx(&activity, &items).unwrap().0);
        prop_assert_eq!((report.result, report.activities.len()), (Class::Decoded, 1), "{:?}", report.reason);
        let expected: Vec<Sample> =
            sent.iter().map(|s| Sample { speed_mps: None, distance_m: None, ..*s }).collect();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn moments_that_no_calendar_reaches_do_not_stop_an_export() {
    let far = Sample { at: Some(UnixMs(i64::MAX)), ..Sample::default() };
    let (mut activity, _) = small();
    activity.totals.elapsed_s = Some(1.0);
    tcx(&activity, &[Item::Sample(far)]).unwrap();
    csv(&activity, &[Item::Sample(far)]);
}
