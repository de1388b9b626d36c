//! What we write, read back: by our own decoder under any activity, and files for decoders of others
//! (`tests/fit_readback/run`).
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/sessions.rs"]
mod sessions;

use std::io::Cursor;
use std::num::NonZeroU32;
use std::path::PathBuf;

use proptest::prelude::*;
use pulsegate::activity::{
    Activity, Beat, Checksum, Item, Pause, Position, RrMillis, Sample, Totals, UnixMs,
};
use pulsegate::fit::encode::{Creator, Encoder, Written};
use pulsegate::fit::{self, Class, FileReport, Limits};

use crate::sessions::{START, bare, hour, ride};

fn creator() -> Creator {
    Creator {
        product: 7,
        serial: NonZeroU32::new(0x00C0_FFEE).unwrap(),
        name: "Pulsegate".to_owned(),
        software_version: 10,
    }
}

fn encode(activity: &Activity, items: &[Item]) -> (Written, Vec<u8>) {
    let mut out = Cursor::new(Vec::new());
    let mut encoder = Encoder::new(&mut out, activity, &creator()).unwrap();
    items.iter().for_each(|item| encoder.item(*item).unwrap());
    (encoder.finish().unwrap(), out.into_inner())
}

fn decode(bytes: &[u8]) -> (FileReport, Vec<Item>) {
    let mut items = Vec::new();
    let mut sink = |_, item| items.push(item);
    let report = fit::read(Cursor::new(bytes), &Limits::default(), &mut || true, &mut sink);
    (report.unwrap(), items)
}

fn samples(items: &[Item]) -> Vec<Sample> {
    items
        .iter()
        .filter_map(|item| if let Item::Sample(s) = item { Some(*s) } else { None })
        .collect()
}

fn beats(items: &[Item]) -> Vec<(Option<UnixMs>, u16)> {
    items
        .iter()
        .filter_map(|item| if let Item::Beat(b) = item { Some((b.after, b.rr.0)) } else { None })
        .collect()
}

/// A value to the nearest step of its field.
fn near(a: Option<f64>, b: Option<f64>, step: f64) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= step,
        (a, b) => a == b,
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    let maybe = |range: std::ops::Range<f64>| proptest::option::of(range);
    (
        (proptest::option::of(1..255u8), proptest::option::of((-90.0..90.0, -180.0..180.0))),
        (maybe(-500.0..9000.0), maybe(0.0..100.0), maybe(0.0..1e6), maybe(0.0..254.0)),
        (proptest::option::of(0..2000u16), proptest::option::of(-40..60i8)),
        proptest::option::of(0..5000u16),
    )
        .prop_map(
            |((bpm, place), (altitude, speed, distance, cadence), (power, temperature), kcal)| {
                Sample {
                    at: None,
                    heart_rate_bpm: bpm,
                    position: place.and_then(|(lat, lon)| Position::from_degrees(lat, lon)),
                    altitude_m: altitude,
                    speed_mps: speed,
                    distance_m: distance,
                    cadence_rpm: cadence,
                    power_w: power,
                    temperature_c: temperature,
                    calories_kcal: kcal,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        made in proptest::collection::vec((sample(), 1..30i64, proptest::collection::vec(1..u16::MAX, 0..8)), 1..60),
        more_ms in 0..5000i64,
        pause in proptest::option::of((0..100i64, 1..100i64)),
        offset in proptest::option::of(-48..56i16),
    ) {
        let mut items = Vec::new();
        let mut at = START;
        for (index, (sample, gap, beats)) in made.iter().enumerate() {
            at = if index == 0 { START } else { at.plus_ms(gap * 1000) };
            items.push(Item::Sample(Sample { at: Some(at), ..*sample }));
            items.extend(beats.iter().map(|rr| Item::Beat(Beat { after: Some(at), rr: RrMillis(*rr) })));
        }
        let elapsed_ms = at.0 - START.0 + more_ms;
        let pauses: Vec<Pause> = pause
            .map(|(from, length)| Pause { from: START.plus_ms(from * 1000), to: START.plus_ms((from + length) * 1000) })
            .filter(|pause| pause.to.0 - START.0 <= elapsed_ms)
            .into_iter()
            .collect();
        let paused_ms: i64 = pauses.iter().map(|pause| pause.to.0 - pause.from.0).sum();
        let activity = Activity {
            utc_offset_min: offset.map(|quarters| quarters * 15),
            totals: Totals { elapsed_s: Some(elapsed_ms as f64 / 1000.0), ..Totals::default() },
            pauses,
            ..bare(10, 26)
        };

        let (written, bytes) = encode(&activity, &items);
        let (report, read) = decode(&bytes);

        prop_assert_eq!(report.result, Class::Decoded, "{:?}", report.reason);
        prop_assert_eq!(report.quality.checksum, Checksum::Good);
        let [got] = &report.activities[..] else { panic!("{} activities", report.activities.len()) };
        prop_assert_eq!(got.counts, written.counts);
        prop_assert_eq!(beats(&read), beats(&items));
        let (sent, read) = (samples(&items), samples(&read));
        prop_assert_eq!(sent.len(), read.len());
        for (a, b) in sent.iter().zip(&read) {
            prop_assert_eq!((a.at, a.heart_rate_bpm, a.position), (b.at, b.heart_rate_bpm, b.position));
            prop_assert_eq!(
                (a.power_w, a.temperature_c, a.calories_kcal),
                (b.power_w, b.temperature_c, b.calories_kcal)
            );
            prop_assert!(near(a.altitude_m, b.altitude_m, 0.1001), "{a:?} {b:?}");
            prop_assert!(near(a.speed_mps, b.speed_mps, 0.000_501), "{a:?} {b:?}");
            prop_assert!(near(a.distance_m, b.distance_m, 0.005_001), "{a:?} {b:?}");
            prop_assert!(near(a.cadence_rpm, b.cadence_rpm, 0.008), "{a:?} {b:?}");
        }
        prop_assert_eq!((got.start, got.sport, got.sub_sport), (START, Some(10), Some(26)));
        prop_assert_eq!(got.utc_offset_min, activity.utc_offset_min);
        prop_assert_eq!(&got.pauses, &activity.pauses);
        prop_assert_eq!(got.totals.elapsed_s, activity.totals.elapsed_s);
        prop_assert_eq!(got.totals.timer_s, Some((elapsed_ms - paused_ms) as f64 / 1000.0));
        let rates: Vec<u8> = sent.iter().filter_map(|sample| sample.heart_rate_bpm).collect();
        prop_assert_eq!(got.totals.max_hr_bpm, rates.iter().max().copied());
        prop_assert_eq!(got.totals.min_hr_bpm, rates.iter().min().copied());
        prop_assert_eq!(got.laps.len(), 1);
        prop_assert_eq!(got.laps[0].totals.timer_s, got.totals.timer_s);
        prop_assert_eq!(got.laps[0].totals.avg_hr_bpm, got.totals.avg_hr_bpm);
    }
}

#[test]
fn an_hour_under_a_strap_is_read_back_with_every_beat_and_the_strap() {
    let (activity, items) = hour();
    let (written, bytes) = encode(&activity, &items);
    let (report, read) = decode(&bytes);
    assert_eq!(report.counts, written.counts);
    assert_eq!((written.counts.records, written.counts.hr_samples), (3600, 3540));
    assert_eq!(beats(&read).len() as u64, written.counts.rr_intervals);
    assert!(written.counts.rr_intervals > 6000, "{written:?}");
    let devices = &report.activities[0].devices;
    assert_eq!(devices.len(), 2, "{devices:?}");
    let strap = &devices[1];
    assert_eq!(
        (strap.manufacturer, strap.serial, strap.source),
        (Some(123), Some(0x9F6E_5322), Some(3))
    );
    assert_eq!(strap.product_name.as_deref(), Some("Polar H10 9F6E5322"));
}

/// In the folder that `PULSEGATE_FIT_READBACK` names, else in one that is thrown away: files, and beside each what a
/// decoder must find in it.
#[test]
fn files_for_the_decoders_of_others() {
    let thrown_away = tempfile::tempdir().unwrap();
    let named = std::env::var_os("PULSEGATE_FIT_READBACK").map(PathBuf::from);
    let folder = named.as_deref().unwrap_or(thrown_away.path());
    for (name, (activity, items)) in [("hour", hour()), ("ride", ride())] {
        let (written, bytes) = encode(&activity, &items);
        let (report, read) = decode(&bytes);
        assert_eq!((report.result, report.counts), (Class::Decoded, written.counts), "{name}");
        let rr: Vec<u16> = beats(&read).iter().map(|beat| beat.1).collect();
        let all = samples(&read);
        let sum = |value: fn(&Sample) -> Option<f64>| all.iter().filter_map(value).sum::<f64>();
        let (got, counts) = (&report.activities[0], written.counts);
        let expected = serde_json::json!({
            "records": counts.records,
            "hr_samples": counts.hr_samples,
            "hr_sum": counts.hr_sum,
            "rr_intervals": counts.rr_intervals,
            "rr_sum_ms": rr.iter().map(|rr| u64::from(*rr)).sum::<u64>(),
            "start_unix": got.start.seconds(),
            "elapsed_s": got.totals.elapsed_s,
            "timer_s": got.totals.timer_s,
            "local_offset_s": i32::from(got.utc_offset_min.unwrap()) * 60,
            "sport": got.sport,
            "sub_sport": got.sub_sport,
            "laps": got.laps.len(),
            "avg_hr_bpm": got.totals.avg_hr_bpm,
            "max_hr_bpm": got.totals.max_hr_bpm,
            "min_hr_bpm": got.totals.min_hr_bpm,
            "timer_events": 2 + 2 * got.pauses.len(),
            "power_sum_w": sum(|sample| sample.power_w.map(f64::from)),
            "altitude_sum_m": sum(|sample| sample.altitude_m),
            "distance_m": all.iter().filter_map(|sample| sample.distance_m).next_back(),
        });
        std::fs::write(folder.join(format!("{name}.fit")), bytes).unwrap();
        let text = serde_json::to_string_pretty(&expected).unwrap();
        std::fs::write(folder.join(format!("{name}.json")), text).unwrap();
    }
}
