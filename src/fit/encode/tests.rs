//! What stands in a file, message by message, and what no file is written of.

#[cfg(test)]
use std::io::Cursor;

use super::*;
use crate::activity::{ActivityId, Origin, Pause, Position, Quality, Totals};
use crate::activity::{Lap, RrMillis};

/// 2026-11-24T09:00:00Z, and the same in FIT.
const START: UnixMs = UnixMs::from_seconds(1_795_510_800);
const START_FIT: u64 = 1_164_445_200;

fn creator() -> Creator {
    Creator {
        product: 7,
        serial: NonZeroU32::new(0x00C0_FFEE).unwrap(),
        name: "Pulsegate".to_owned(),
        software_version: 10,
    }
}

fn activity() -> Activity {
    let origin = Origin::default();
    Activity {
        id: ActivityId::new(&origin, START, 0, None),
        index: 0,
        origin,
        sport: Some(10),
        sub_sport: Some(26),
        sport_name: None,
        start: START,
        utc_offset_min: Some(60),
        totals: Totals::default(),
        laps: Vec::new(),
        pauses: Vec::new(),
        devices: Vec::new(),
        counts: Counts::default(),
        quality: Quality::default(),
    }
}

fn at(ms: i64) -> Option<UnixMs> {
    Some(START.plus_ms(ms))
}

fn heart(ms: i64, bpm: u8) -> Item {
    Item::Sample(Sample { at: at(ms), heart_rate_bpm: Some(bpm), ..Sample::default() })
}

fn beat(ms: u16) -> Item {
    Item::Beat(Beat { after: None, rr: RrMillis(ms) })
}

fn encode(activity: &Activity, items: &[Item]) -> Result<(Written, Vec<u8>), EncodeError> {
    let mut out = Cursor::new(Vec::new());
    let mut encoder = Encoder::new(&mut out, activity, &creator())?;
    for item in items {
        encoder.item(*item)?;
    }
    Ok((encoder.finish()?, out.into_inner()))
}

fn contradiction(activity: &Activity, items: &[Item]) -> Contradiction {
    match encode(activity, items) {
        Err(EncodeError::Contradiction(contradiction)) => contradiction,
        other => panic!("{other:?}"),
    }
}

/// A message as it stands in a file: which, and its fields as numbers (texts and arrays by their first bytes).
#[derive(Debug, Clone, PartialEq)]
struct Message {
    global: u16,
    fields: Vec<(u8, u64)>,
}

impl Message {
    fn get(&self, number: u8) -> u64 {
        self.fields
            .iter()
            .find(|field| field.0 == number)
            .unwrap_or_else(|| panic!("{number} in {self:?}"))
            .1
    }
}

fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut at = 14;
    let mut defined: Vec<Option<(u16, Vec<[u8; 2]>)>> = vec![None; 16];
    let mut found = Vec::new();
    while at < bytes.len() - 2 {
        let header = bytes[at];
        let local = usize::from(header & 15);
        if header & 0x40 != 0 {
            let global = u16::from_le_bytes([bytes[at + 3], bytes[at + 4]]);
            let count = usize::from(bytes[at + 5]);
            let fields = bytes[at + 6..at + 6 + 3 * count].chunks(3).map(|f| [f[0], f[1]]);
            assert!(defined[local].is_none(), "local type {local} is defined twice");
            defined[local] = Some((global, fields.collect()));
            at += 6 + 3 * count;
            continue;
        }
        at += 1;
        let (global, layout) = defined[local].as_ref().unwrap();
        let mut fields = Vec::new();
        for [number, size] in layout {
            let raw = &bytes[at..at + usize::from(*size)];
            let value =
                raw.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            fields.push((*number, value));
            at += usize::from(*size);
        }
        found.push(Message { global: *global, fields });
    }
    assert_eq!(at, bytes.len() - 2);
    found
}

fn written(activity: &Activity, items: &[Item]) -> Vec<Message> {
    messages(&encode(activity, items).unwrap().1)
}

fn of(all: &[Message], global: u16) -> Vec<&Message> {
    all.iter().filter(|message| message.global == global).collect()
}

/// Pairs of beats, packed as the field has them.
fn packed(beats: [u64; 4]) -> u64 {
    beats[0] | beats[1] << 16 | beats[2] << 32 | beats[3] << 48
}

#[test]
fn a_session_stands_in_the_order_that_devices_write() {
    let session = Activity {
        devices: vec![Device {
            index: 1,
            device_type: Some(1),
            manufacturer: Some(123),
            serial: Some(0x9F6E_5322),
            product_name: Some("Polar H10 9F6E5322".to_owned()),
            source: Some(3),
            battery_percent: Some(90),
            ..Device::default()
        }],
        ..activity()
    };
    let items = [heart(0, 61), beat(981), heart(1000, 62), beat(968), beat(970), heart(2000, 63)];
    let all = written(&session, &items);
    let order: Vec<u16> = all.iter().map(|message| message.global).collect();
    assert_eq!(order, [0, 49, 23, 23, 21, 20, 78, 20, 78, 20, 21, 19, 18, 34]);

    let head =
        [(0, 4), (1, 255), (2, 7), (3, 0x00C0_FFEE), (4, START_FIT), (8, 0x7461_6765_736C_7550)];
    assert_eq!(all[0].fields, head);
    assert_eq!(all[1].fields, [(0, 10)]);
    let (own, strap) = (&all[2], &all[3]);
    assert_eq!([0, 2, 3, 25].map(|n| own.get(n)), [0, 255, 0x00C0_FFEE, 5]);
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 25, 32].map(|n| strap.get(n)),
        [1, 1, 123, 0x9F6E_5322, 0xFFFF, 0xFFFF, 3, 90]
    );
    assert_eq!(all[4].fields, [(253, START_FIT), (0, 0), (1, 0), (4, 0)]);
    assert_eq!(all[5].fields, [(253, START_FIT), (3, 61)]);
    assert_eq!(all[6].fields, [(0, packed([981, 0xFFFF, 0xFFFF, 0xFFFF]))]);
    assert_eq!(all[8].fields, [(0, packed([968, 970, 0xFFFF, 0xFFFF]))]);
    assert_eq!(all[10].fields, [(253, START_FIT + 2), (0, 0), (1, 4), (4, 0)]);

    let lap = &all[11];
    assert_eq!([254, 253, 2, 7, 8].map(|n| lap.get(n)), [0, START_FIT + 2, START_FIT, 2000, 2000]);
    assert_eq!([15, 16, 63, 24, 0, 1, 25, 39].map(|n| lap.get(n)), [62, 63, 61, 7, 9, 1, 10, 26]);
    assert_eq!(
        [9, 11].map(|n| lap.get(n)),
        [0xFFFF_FFFF, 0xFFFF],
        "nothing is known of a distance"
    );
    let session = &all[12];
    assert_eq!(
        [254, 253, 2, 5, 6, 7, 8].map(|n| session.get(n)),
        [0, START_FIT + 2, START_FIT, 10, 26, 2000, 2000]
    );
    assert_eq!([16, 17, 64, 25, 26, 28, 0, 1].map(|n| session.get(n)), [62, 63, 61, 0, 1, 0, 8, 1]);
    let expected =
        [(253, START_FIT + 2), (0, 2000), (1, 1), (2, 0), (3, 26), (4, 1), (5, START_FIT + 3602)];
    assert_eq!(all[13].fields, expected);
}

#[test]
fn no_beat_is_left_out_and_never_a_heart_rate_of_zero() {
    let items =
        [heart(0, 60), heart(1000, 0), heart(2000, 255), heart(3000, 90), beat(0), beat(u16::MAX)];
    let (written, bytes) = encode(&activity(), &items).unwrap();
    let rates: Vec<u64> = of(&messages(&bytes), 20).iter().map(|record| record.get(3)).collect();
    assert_eq!(rates, [60, 0xFF, 0xFF, 90]);
    assert_eq!((written.counts.hr_samples, written.counts.hr_sum), (2, 150.0));
    assert_eq!((written.counts.rr_intervals, written.beats_left_out), (0, 2));
    assert_eq!(of(&messages(&bytes), 18)[0].get(16), 75);
}

#[test]
fn there_is_one_record_a_second_and_it_takes_what_the_others_of_its_second_know() {
    let place = Position { lat: 5, lon: -5 };
    let more = Sample {
        at: at(1900),
        heart_rate_bpm: Some(99),
        position: Some(place),
        ..Sample::default()
    };
    let untimed = Item::Sample(Sample { heart_rate_bpm: Some(200), ..Sample::default() });
    let items =
        [heart(0, 60), heart(1100, 61), beat(900), Item::Sample(more), untimed, heart(3000, 62)];
    let (written, bytes) = encode(&activity(), &items).unwrap();
    let all = messages(&bytes);
    let records = of(&all, 20);
    let times: Vec<u64> = records.iter().map(|record| record.get(253) - START_FIT).collect();
    assert_eq!(times, [0, 1, 3]);
    assert_eq!((records[1].get(3), records[1].get(0), records[1].get(1)), (61, 5, 0xFFFF_FFFB));
    assert_eq!((written.merged, written.untimed, written.counts.records), (1, 1, 3));
    assert_eq!(of(&all, 78).len(), 1);
}

#[test]
fn many_beats_of_one_second_are_all_written_behind_its_record() {
    let mut items = vec![heart(0, 60)];
    items.extend((1..=12).map(|n| beat(300 + n)));
    items.extend([heart(500, 61), beat(400), heart(1000, 62)]);
    let (written, bytes) = encode(&activity(), &items).unwrap();
    let order: Vec<u16> = messages(&bytes)[4..].iter().map(|message| message.global).collect();
    assert_eq!(order, [20, 78, 78, 78, 20, 21, 19, 18, 34]);
    assert_eq!(written.counts.rr_intervals, 13);
}

#[test]
fn a_session_begins_with_a_record_even_if_the_strap_is_late() {
    for first in [heart(5000, 60), beat(800)] {
        let (written, bytes) = encode(&activity(), &[first, heart(6000, 61)]).unwrap();
        let all = messages(&bytes);
        assert_eq!(of(&all, 20)[0].fields, [(253, START_FIT), (3, 0xFF)]);
        assert_eq!(written.counts.records, of(&all, 20).len() as u64);
    }
}

#[test]
fn pauses_stop_the_timer_and_lie_between_the_records() {
    let pause = |from, to| Pause { from: START.plus_ms(from), to: START.plus_ms(to) };
    let paused = Activity {
        pauses: vec![pause(2000, 10_000), pause(11_500, 12_000)],
        totals: Totals { elapsed_s: Some(20.0), ..Totals::default() },
        ..activity()
    };
    let items =
        [heart(0, 100), heart(2000, 140), beat(430), heart(10_000, 100), heart(13_000, 100)];
    let all = written(&paused, &items);
    let story: Vec<(u16, u64)> = all[3..all.len() - 3]
        .iter()
        .map(|m| {
            if m.global == 78 {
                (78, 0)
            } else {
                (
                    m.global * 10 + if m.global == 21 { m.get(1) as u16 } else { 0 },
                    m.get(253) - START_FIT,
                )
            }
        })
        .collect();
    let expected = [
        (210, 0),
        (200, 0),
        (200, 2),
        (78, 0),
        (214, 2),
        (210, 10),
        (200, 10),
        (214, 11),
        (210, 12),
        (200, 13),
        (214, 20),
    ];
    assert_eq!(story, expected);
    let session = of(&all, 18)[0];
    assert_eq!((session.get(7), session.get(8)), (20_000, 11_500));
    assert_eq!(of(&all, 34)[0].get(0), 11_500);
    // 140 stood for a second, 100 for 2 + 1 + 7.
    assert_eq!(session.get(16), 104);
}

#[test]
fn laps_cover_the_session_and_their_timers_make_its_timer() {
    let lap = |ms, timer_s| Lap {
        start: START.plus_ms(ms),
        totals: Totals { timer_s, ..Totals::default() },
        trigger: None,
    };
    let lapped = Activity {
        totals: Totals { elapsed_s: Some(30.0), timer_s: Some(29.9), ..Totals::default() },
        laps: vec![lap(0, Some(10.0)), lap(10_000, None), lap(20_000, Some(9.7))],
        ..activity()
    };
    let sample = |ms, distance_m, bpm| {
        Item::Sample(Sample {
            at: at(ms),
            distance_m: Some(distance_m),
            heart_rate_bpm: Some(bpm),
            ..Sample::default()
        })
    };
    let items = [
        sample(0, 0.0, 100),
        sample(9000, 40.5, 110),
        sample(10_000, 45.0, 120),
        sample(21_000, 100.0, 130),
    ];
    let all = written(&lapped, &items);
    let laps = of(&all, 19);
    assert_eq!(laps.iter().map(|lap| lap.get(254)).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(laps.iter().map(|lap| lap.get(2) - START_FIT).collect::<Vec<_>>(), [0, 10, 20]);
    assert_eq!(laps.iter().map(|lap| lap.get(8)).collect::<Vec<_>>(), [10_000, 10_000, 9900]);
    assert_eq!(laps.iter().map(|lap| lap.get(24)).collect::<Vec<_>>(), [0, 0, 7]);
    assert_eq!(laps.iter().map(|lap| lap.get(9)).collect::<Vec<_>>(), [4050, 450, 5500]);
    assert_eq!(laps.iter().map(|lap| lap.get(16)).collect::<Vec<_>>(), [110, 120, 130]);
    let session = of(&all, 18)[0];
    assert_eq!([7, 8, 9, 26, 124].map(|n| session.get(n)), [30_000, 29_900, 10_000, 3, 3344]);
}

#[test]
fn everything_that_was_measured_is_in_the_record() {
    let sample = Sample {
        at: at(0),
        heart_rate_bpm: Some(150),
        position: Position::from_degrees(48.137, 11.575),
        altitude_m: Some(519.4),
        speed_mps: Some(8.333),
        distance_m: Some(12_345.67),
        cadence_rpm: Some(88.5),
        power_w: Some(251),
        temperature_c: Some(-3),
        calories_kcal: Some(640),
    };
    let all = written(&activity(), &[Item::Sample(sample), heart(1000, 151)]);
    let records = of(&all, 20);
    let expected = [
        (253, START_FIT),
        (3, 150),
        (0, 574_296_780),
        (1, 138_095_129),
        (5, 1_234_567),
        (73, 8333),
        (78, 5097),
        (4, 88),
        (53, 64),
        (7, 251),
        (13, 0xFD),
        (33, 640),
    ];
    assert_eq!(records[0].fields.len(), expected.len());
    for (number, value) in expected {
        assert_eq!(records[0].get(number), value, "field {number}");
    }
    assert_eq!(records[1].fields, [(253, START_FIT + 1), (3, 151)]);
    assert_eq!(of(&all, 18)[0].get(21), 251);
}

#[test]
fn what_no_field_can_hold_is_left_out() {
    let sample = Sample {
        at: at(0),
        altitude_m: Some(-501.0),
        speed_mps: Some(f64::NAN),
        distance_m: Some(1e12),
        cadence_rpm: Some(300.0),
        ..Sample::default()
    };
    let all = written(&activity(), &[Item::Sample(sample)]);
    assert_eq!(
        [78, 73, 5, 4, 53].map(|n| of(&all, 20)[0].get(n)),
        [0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFF, 0xFF]
    );
}

#[test]
fn what_the_device_said_of_itself_is_written_as_it_said_it() {
    let totals = Totals {
        elapsed_s: Some(3.5),
        timer_s: Some(3.0),
        calories_kcal: Some(512),
        avg_hr_bpm: Some(70),
        max_hr_bpm: Some(80),
        ascent_m: Some(12),
        ..Totals::default()
    };
    let all = written(&Activity { totals, ..activity() }, &[heart(0, 61)]);
    for (global, numbers) in [(19, [7, 8, 11, 15, 16, 63, 21]), (18, [7, 8, 11, 16, 17, 64, 22])] {
        assert_eq!(numbers.map(|n| of(&all, global)[0].get(n)), [3500, 3000, 512, 70, 80, 61, 12]);
    }
}

#[test]
fn an_activity_that_begins_within_a_second_begins_with_the_whole_second() {
    let totals = Totals { elapsed_s: Some(10.2), timer_s: Some(10.2), ..Totals::default() };
    let fraction = Activity { start: START.plus_ms(900), totals, ..activity() };
    let all = written(&fraction, &[heart(950, 61), heart(11_050, 62)]);
    let session = of(&all, 18)[0];
    assert_eq!([2, 7, 8].map(|n| session.get(n)), [START_FIT, 11_100, 11_100]);
    assert!(of(&all, 20)[1].get(253) * 1000 <= START_FIT * 1000 + session.get(7));
}

#[test]
fn each_contradiction_is_told_by_its_name() {
    let elapsed = |elapsed_s| Totals { elapsed_s: Some(elapsed_s), ..Totals::default() };
    let good = [heart(0, 60), heart(1000, 61)];
    let of_totals = |totals| contradiction(&Activity { totals, ..activity() }, &good);

    assert_eq!(contradiction(&activity(), &[]), Contradiction::NoRecord);
    let backwards = [heart(2000, 60), heart(1000, 61)];
    let expected =
        Contradiction::Backwards { at: START.plus_ms(1000), before: START.plus_ms(2000) };
    assert_eq!(contradiction(&activity(), &backwards), expected);
    let text = "the sample of 2026-11-24T09:00:01Z comes after that of 2026-11-24T09:00:02Z";
    assert_eq!(expected.to_string(), text);

    assert!(matches!(
        contradiction(&activity(), &[heart(-1000, 60)]),
        Contradiction::Outside { .. }
    ));
    assert!(matches!(of_totals(elapsed(0.5)), Contradiction::Outside { .. }));
    let early = Activity { start: UnixMs::from_seconds(800_000_000), ..activity() };
    assert!(matches!(contradiction(&early, &good), Contradiction::NoDate(_)));
    assert!(matches!(
        contradiction(&activity(), &[heart(i64::MAX / 2, 60)]),
        Contradiction::NoDate(_)
    ));

    let timer = Totals { timer_s: Some(10.5), ..elapsed(10.0) };
    assert_eq!(of_totals(timer), Contradiction::Timer { timer_ms: 10_500, elapsed_ms: 10_000 });
    let rates = Totals { avg_hr_bpm: Some(90), max_hr_bpm: Some(80), ..elapsed(10.0) };
    assert!(matches!(of_totals(rates), Contradiction::HeartRates { of: SummaryOf::Lap(0), .. }));

    let lap = |ms, timer_s| Lap {
        start: START.plus_ms(ms),
        totals: Totals { timer_s, ..Totals::default() },
        trigger: None,
    };
    let of_laps = |laps, totals| contradiction(&Activity { laps, totals, ..activity() }, &good);
    assert_eq!(of_laps(vec![lap(1000, None)], elapsed(9.0)), Contradiction::Lap(0));
    assert_eq!(of_laps(vec![lap(0, None), lap(0, None)], elapsed(9.0)), Contradiction::Lap(1));
    assert_eq!(of_laps(vec![lap(0, None), lap(10_000, None)], elapsed(9.0)), Contradiction::Lap(1));
    let said = Totals { timer_s: Some(9.0), ..elapsed(9.0) };
    let expected = Contradiction::LapTimers { laps_ms: 3000, session_ms: 9000 };
    assert_eq!(of_laps(vec![lap(0, Some(1.0)), lap(4000, Some(2.0))], said), expected);

    let pause = |from, to| Pause { from: START.plus_ms(from), to: START.plus_ms(to) };
    let of_pauses =
        |pauses| contradiction(&Activity { pauses, totals: elapsed(9.0), ..activity() }, &good);
    assert_eq!(of_pauses(vec![pause(1000, 500)]), Contradiction::Pause(0));
    assert_eq!(of_pauses(vec![pause(100, 500), pause(400, 600)]), Contradiction::Pause(1));
    assert_eq!(of_pauses(vec![pause(8000, 9001)]), Contradiction::Pause(0));
}

#[test]
fn an_hour_of_heart_rate_takes_less_than_twenty_two_kilobytes() {
    let items: Vec<Item> = (0..3600).map(|second| heart(second * 1000, 100)).collect();
    let (written, bytes) = encode(&activity(), &items).unwrap();
    assert_eq!(written.bytes, bytes.len() as u64);
    assert!(bytes.len() < 22_500, "{}", bytes.len());
}
