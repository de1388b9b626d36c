//! Made-up sessions: what a strap measures in an hour, a ride with everything.

use pulsegate::activity::{
    Activity, ActivityId, Beat, Counts, Device, Item, Lap, Origin, Pause, Position, Quality,
    RrMillis, Sample, Totals, UnixMs,
};

/// 2026-11-24T09:00:00Z.
pub const START: UnixMs = UnixMs::from_seconds(1_795_510_800);

/// A session of which nothing is known yet.
pub fn bare(sport: u8, sub_sport: u8) -> Activity {
    let origin = Origin::default();
    Activity {
        id: ActivityId::new(&origin, START, 0, None),
        index: 0,
        origin,
        sport: Some(sport),
        sub_sport: Some(sub_sport),
        sport_name: None,
        start: START,
        utc_offset_min: Some(120),
        totals: Totals::default(),
        laps: Vec::new(),
        pauses: Vec::new(),
        devices: Vec::new(),
        counts: Counts::default(),
        quality: Quality::default(),
    }
}

/// An hour under a strap: a heart rate a second, every beat, a minute without contact.
pub fn hour() -> (Activity, Vec<Item>) {
    let strap = Device {
        index: 1,
        device_type: Some(1),
        manufacturer: Some(123),
        serial: Some(0x9F6E_5322),
        product_name: Some("Polar H10 9F6E5322".to_owned()),
        source: Some(3),
        battery_percent: Some(90),
        ..Device::default()
    };
    let mut items = Vec::new();
    let mut beat_ms = 0;
    for second in 0..3600i64 {
        let bpm = (110.0 + 40.0 * (second as f64 / 300.0).sin()).round();
        let worn = !(1800..1860).contains(&second);
        items.push(Item::Sample(Sample {
            at: Some(START.plus_ms(second * 1000)),
            heart_rate_bpm: Some(if worn { bpm as u8 } else { 0 }),
            ..Sample::default()
        }));
        while worn && beat_ms < (second + 1) * 1000 {
            let rr = (60_000.0 / bpm) as u16;
            beat_ms += i64::from(rr);
            items.push(Item::Beat(Beat { after: None, rr: RrMillis(rr) }));
        }
        beat_ms = beat_ms.max((second + 1) * 1000);
    }
    let activity = Activity { devices: vec![strap], ..bare(10, 26) };
    (activity, items)
}

/// Twenty minutes on a bike with everything a record can hold, in two laps, with a pause.
pub fn ride() -> (Activity, Vec<Item>) {
    let at = |seconds: i64| START.plus_ms(seconds * 1000);
    let samples = (0..1200i64).filter(|second| !(301..400).contains(second)).map(|second| {
        let way = second as f64 * 8.25;
        Item::Sample(Sample {
            at: Some(at(second)),
            heart_rate_bpm: Some(120 + (second % 40) as u8),
            position: Position::from_degrees(48.1 + way / 1e6, 11.5 - way / 1e6),
            altitude_m: Some(520.0 + (second % 50) as f64 / 5.0),
            speed_mps: Some(8.25),
            distance_m: Some(way),
            cadence_rpm: Some(88.5),
            power_w: Some(200 + (second % 100) as u16),
            temperature_c: Some(-2),
            calories_kcal: None,
        })
    });
    let lap = |seconds, timer_s, trigger| Lap {
        start: at(seconds),
        totals: Totals { timer_s: Some(timer_s), ..Totals::default() },
        trigger,
    };
    let activity = Activity {
        totals: Totals {
            elapsed_s: Some(1200.0),
            timer_s: Some(1100.0),
            calories_kcal: Some(310),
            ascent_m: Some(35),
            ..Totals::default()
        },
        laps: vec![lap(0, 500.0, Some(0)), lap(600, 600.0, Some(7))],
        pauses: vec![Pause { from: at(300), to: at(400) }],
        ..bare(2, 0)
    };
    (activity, samples.collect())
}
