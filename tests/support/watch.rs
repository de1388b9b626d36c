//! A heart at work, and what a watch makes of it: its FIT file, with a clock of its own, errors, distance and power.
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

use std::io::Cursor;

use pulsegate::activity::{
    Activity, ActivityId, Counts, Item, Origin, Position, Quality, Sample, Totals, UnixMs,
};
use pulsegate::fit::encode::{Creator, Encoder};
use uuid::Uuid;

/// Heart rates of somebody at work, second by second: steps of effort, and what no other heart has.
pub fn heart(seed: u64, seconds: usize) -> Vec<u16> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut bpm, mut asked) = (120.0, 140.0);
    (0..seconds)
        .map(|second| {
            if second % 150 == 0 {
                asked = 110.0 + 65.0 * dice.f64();
            }
            bpm += (asked - bpm) / 25.0 + (dice.f64() - 0.5) * 1.6;
            f64::round(bpm) as u16
        })
        .collect()
}

/// The file of a watch that was worn by who had this heart, from `start` on by its own clock.
pub fn ride(heart: &[u16], start: UnixMs, seed: u64) -> Vec<u8> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let seconds = heart.len() as u64;
    let elapsed_s = Some(seconds as f64);
    let activity = Activity {
        id: ActivityId(Uuid::nil()),
        index: 0,
        origin: Origin { created: Some(start), ..Origin::default() },
        sport: Some(2),
        sub_sport: Some(6),
        sport_name: None,
        start,
        utc_offset_min: Some(120),
        totals: Totals {
            elapsed_s,
            timer_s: elapsed_s,
            distance_m: Some(8.0 * seconds as f64),
            calories_kcal: Some(222),
            avg_hr_bpm: Some(99),
            max_hr_bpm: Some(199),
            avg_power_w: Some(180),
            max_power_w: Some(420),
            avg_speed_mps: Some(8.0),
            ..Totals::default()
        },
        laps: Vec::new(),
        pauses: Vec::new(),
        devices: Vec::new(),
        counts: Counts { records: seconds, hr_samples: seconds, ..Counts::default() },
        quality: Quality::default(),
    };
    let mut bytes = Cursor::new(Vec::new());
    let creator = Creator::of("a watch", None);
    let mut encoder = Encoder::new(&mut bytes, &activity, &creator).unwrap();
    let mut error = 0.0;
    for second in 0..heart.len() {
        // Late and smoothed, as at the wrist.
        let to = second.saturating_sub(3);
        let from = to.saturating_sub(4);
        let sum: f64 = heart[from..=to].iter().map(|bpm| f64::from(*bpm)).sum();
        error = 0.9 * error + 0.8 * (dice.f64() - 0.5);
        let bpm = sum / (to - from + 1) as f64 + error;
        let sample = Sample {
            at: Some(start.plus_ms(second as i64 * 1000)),
            heart_rate_bpm: Some(bpm.round() as u8),
            position: Some(Position { lat: 600_000_000 + 700 * second as i32, lon: 100_000_000 }),
            distance_m: Some(8.0 * second as f64),
            power_w: Some(150 + dice.u16(0..60)),
            ..Sample::default()
        };
        encoder.item(Item::Sample(sample)).unwrap();
    }
    encoder.finish().unwrap();
    bytes.into_inner()
}
