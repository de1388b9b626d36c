//! What is made of a FIT file: identity, time zone, pauses, sessions, developer fields, times; and any bytes at all.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/fit.rs"]
mod corpus;
#[path = "support/fit_writer.rs"]
mod writer;

use std::io::Cursor;
use std::sync::LazyLock;

use proptest::prelude::*;
use pulsegate::activity::{Checksum, Item, Pause, UnixMs};
use pulsegate::fit::{self, Class, FileKind, FileReport, Limits};

use crate::corpus::everything;
use crate::writer::Writer;

/// 2026-06-10, in seconds since 1989-12-31 and since 1970.
const START: u32 = 1_150_000_000;
const START_UNIX: i64 = 1_781_065_600;

fn read(bytes: &[u8]) -> (FileReport, Vec<(usize, Item)>) {
    let mut items = Vec::new();
    let mut sink = |activity, item| items.push((activity, item));
    let report = fit::read(Cursor::new(bytes), &Limits::default(), &mut || true, &mut sink);
    (report.unwrap(), items)
}

fn activity_file(work: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut fit = Writer::default();
    fit.file_id(4);
    work(&mut fit);
    fit.finish()
}

fn at(seconds: u32) -> [u8; 4] {
    (START + seconds).to_le_bytes()
}

fn moment(seconds: i64) -> UnixMs {
    UnixMs::from_seconds(START_UNIX + seconds)
}

/// Records of so many seconds, with a heart rate of 100 and the second's last digit.
fn records(fit: &mut Writer, seconds: std::ops::Range<u32>) {
    fit.define(1, 20, &[(253, 4, 0x86), (3, 1, 0x02)]);
    for second in seconds {
        let [a, b, c, d] = at(second);
        fit.message(1, &[a, b, c, d, 100 + (second % 10) as u8]);
    }
}

fn session(fit: &mut Writer, start: u32, elapsed: u32, sport: u8) {
    fit.define(2, 18, &[(253, 4, 0x86), (2, 4, 0x86), (7, 4, 0x86), (8, 4, 0x86), (5, 1, 0)]);
    let mut bytes = at(start + elapsed).to_vec();
    bytes.extend(at(start));
    bytes.extend((elapsed * 1000).to_le_bytes());
    bytes.extend((elapsed * 1000).to_le_bytes());
    bytes.push(sport);
    fit.message(2, &bytes);
}

#[test]
fn records_and_beats_come_in_the_order_of_the_file() {
    let (report, items) = read(&activity_file(|fit| {
        for second in 0..100 {
            records(fit, second..second + 1);
            fit.define(3, 78, &[(0, 4, 0x84)]);
            let [a, b] = (600 + second as u16).to_le_bytes();
            fit.message(3, &[a, b, 0xFF, 0xFF]);
        }
    }));
    assert_eq!(report.counts.rr_intervals, 100);
    for (second, pair) in items.chunks(2).enumerate() {
        let [(0, Item::Sample(sample)), (0, Item::Beat(beat))] = pair else { panic!("{pair:?}") };
        assert_eq!(sample.at, Some(moment(second as i64)));
        assert_eq!(sample.heart_rate_bpm, Some(100 + (second % 10) as u8));
        assert_eq!((beat.after, usize::from(beat.rr.0)), (sample.at, 600 + second));
    }
}

#[test]
fn each_sport_is_an_activity_and_every_record_belongs_to_one() {
    let (report, items) = read(&activity_file(|fit| {
        records(fit, 0..300);
        session(fit, 200, 100, 1);
        session(fit, 5, 100, 5);
        session(fit, 110, 80, 2);
    }));
    let sports: Vec<_> = report.activities.iter().map(|activity| activity.sport.unwrap()).collect();
    let records: Vec<_> =
        report.activities.iter().map(|activity| activity.counts.records).collect();
    assert_eq!((sports, records), (vec![5, 2, 1], vec![110, 90, 100]));
    assert_eq!(items[0].0, 0, "what is before the first session belongs to it");
    assert_eq!(items[109].0, 0, "what is between two belongs to the one before");
    assert_eq!(items[110].0, 1);
    let ids: std::collections::HashSet<_> =
        report.activities.iter().map(|activity| activity.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_same_ride_under_another_name_or_exported_again_is_the_same_activity() {
    let once = activity_file(|fit| {
        records(fit, 0..60);
        session(fit, 0, 60, 2);
    });
    // Exported again: other messages around, fields in another order, another checksum.
    let again = activity_file(|fit| {
        session(fit, 0, 60, 2);
        fit.define(7, 65_283, &[(1, 3, 2)]);
        fit.message(7, &[1, 2, 3]);
        records(fit, 0..60);
    });
    let id = read(&once).0.activities[0].id;
    assert_eq!(id, read(&again).0.activities[0].id);
    // Another second of the start is another ride, and so is another device.
    let later = activity_file(|fit| session(fit, 1, 60, 2));
    assert_ne!(id, read(&later).0.activities[0].id);
}

#[test]
fn recordings_that_do_not_say_who_made_them_are_told_apart_by_what_they_hold() {
    let anonymous = |bpm: u8| {
        let mut fit = Writer::default();
        fit.define(1, 20, &[(253, 4, 0x86), (3, 1, 0x02)]);
        for second in 0..10 {
            let [a, b, c, d] = at(second);
            fit.message(1, &[a, b, c, d, bpm]);
        }
        read(&fit.finish()).0.activities[0].id
    };
    assert_eq!(anonymous(100), anonymous(100));
    assert_ne!(anonymous(100), anonymous(101));
}

#[test]
fn a_segment_begins_a_recording_if_it_begins_with_a_file_id() {
    let mut begun = Writer::default();
    begun.file_id(4);
    records(&mut begun, 0..50);
    begun.file_id(4);
    records(&mut begun, 50..60);
    session(&mut begun, 0, 60, 5);
    let mut went_on = Writer::default();
    records(&mut went_on, 60..100);
    let mut another = Writer::default();
    another.file_id(4);
    records(&mut another, 200..220);
    session(&mut another, 200, 20, 1);
    let bytes = [begun.finish(), went_on.finish(), another.finish()].concat();
    let (report, _) = read(&bytes);
    let counts: Vec<_> = report.activities.iter().map(|one| one.counts.records).collect();
    assert_eq!((report.result, counts), (Class::Decoded, vec![100, 20]));
}

#[test]
fn the_time_zone_is_what_the_wall_clock_was_ahead_to_a_quarter_of_an_hour() {
    let offset = |seconds: i64| {
        let bytes = activity_file(|fit| {
            session(fit, 0, 60, 2);
            fit.define(3, 34, &[(253, 4, 0x86), (5, 4, 0x86)]);
            let mut bytes = at(60).to_vec();
            bytes.extend((i64::from(START + 60) + seconds).to_le_bytes().into_iter().take(4));
            fit.message(3, &bytes);
        });
        read(&bytes).0.activities[0].utc_offset_min
    };
    assert_eq!(offset(7200), Some(120));
    assert_eq!(offset(7200 + 7), Some(120));
    assert_eq!(offset(-16_200), Some(-270));
    assert_eq!(offset(20_700 - 3), Some(345));
    assert_eq!(offset(15 * 3600), None);
}

#[test]
fn a_pause_is_from_stop_to_start_and_a_crash_leaves_a_session_made_from_records() {
    let (report, _) = read(&activity_file(|fit| {
        fit.define(4, 21, &[(253, 4, 0x86), (0, 1, 0), (1, 1, 0)]);
        let event = |fit: &mut Writer, second: u32, kind: u8| {
            let [a, b, c, d] = at(second);
            fit.message(4, &[a, b, c, d, 0, kind]);
        };
        event(fit, 0, 0);
        records(fit, 0..30);
        event(fit, 30, 4);
        event(fit, 90, 0);
        records(fit, 90..101);
        event(fit, 100, 4);
    }));
    let activity = &report.activities[0];
    assert_eq!(activity.pauses, [Pause { from: moment(30), to: moment(90) }]);
    assert!(activity.quality.synthesised);
    assert_eq!((activity.totals.elapsed_s, activity.totals.timer_s), (Some(100.0), Some(40.0)));
    assert_eq!(activity.start, moment(0));
    assert_eq!(report.reason.as_deref(), Some("no session in it: made from its records"));
}

#[test]
fn a_developer_field_fills_a_gap_and_never_overrules_the_device() {
    let power = |native: bool| {
        let bytes = activity_file(|fit| {
            fit.describe(0, 9, 0x84, 7);
            let fields: &[_] =
                if native { &[(253, 4, 0x86), (7, 2, 0x84)] } else { &[(253, 4, 0x86)] };
            fit.define_with(1, 20, fields, &[(3, 1, 0), (9, 2, 0)]);
            for second in 0..40u32 {
                let mut bytes = at(second).to_vec();
                bytes.extend(if native { &[200, 0][..] } else { &[] });
                bytes.extend([1, 250, 0]);
                fit.message(1, &bytes);
            }
        });
        let (_, items) = read(&bytes);
        let Item::Sample(sample) = items[35].1 else { panic!() };
        (sample.power_w, sample.heart_rate_bpm)
    };
    assert_eq!(power(true), (Some(200), None));
    assert_eq!(power(false), (Some(250), None));
}

#[test]
fn enhanced_fields_go_before_legacy_ones_in_each_record() {
    let (_, items) = read(&activity_file(|fit| {
        fit.define(1, 20, &[(2, 2, 0x84), (78, 4, 0x86), (6, 2, 0x84), (73, 4, 0x86)]);
        let both = [0x28, 0x0A, 0xB8, 0x0B, 0, 0, 0xE8, 3, 0xD0, 7, 0, 0];
        let legacy = [0x28, 0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xE8, 3, 0xFF, 0xFF, 0xFF, 0xFF];
        fit.message(1, &both);
        fit.message(1, &legacy);
    }));
    let found: Vec<_> = items
        .iter()
        .map(|(_, item)| {
            let Item::Sample(sample) = item else { panic!() };
            (sample.altitude_m.unwrap(), sample.speed_mps.unwrap())
        })
        .collect();
    assert_eq!(found, [(100.0, 2.0), (20.0, 1.0)]);
}

#[test]
fn what_is_no_activity_says_what_it_is() {
    for (number, kind) in [
        (2, FileKind::Settings),
        (5, FileKind::Workout),
        (6, FileKind::Course),
        (9, FileKind::Weight),
        (15, FileKind::Monitoring),
        (28, FileKind::Monitoring),
        (32, FileKind::Monitoring),
        (49, FileKind::Sleep),
        (77, FileKind::Other(77)),
    ] {
        let mut fit = Writer::default();
        fit.file_id(number);
        records(&mut fit, 0..5);
        let (report, items) = read(&fit.finish());
        assert_eq!((report.result, report.kind), (Class::NotAnActivity, kind));
        assert!(report.reason.is_some() && items.is_empty() && report.counts.records == 5);
    }
}

#[test]
fn damage_is_told_where_it_is_and_what_stands_before_it_is_kept() {
    let whole = activity_file(|fit| {
        records(fit, 0..100);
        session(fit, 0, 100, 2);
    });
    let cut = &whole[..whole.len() / 2];
    let (report, _) = read(cut);
    assert_eq!(report.result, Class::Salvaged);
    assert_eq!(report.quality.checksum, Checksum::Absent);
    let broken_at = report.quality.broken_at.unwrap();
    assert!(broken_at <= cut.len() as u64 && broken_at + 6 > cut.len() as u64);
    assert_eq!(report.reason, Some(format!("the file is cut off (at byte {broken_at})")));
    // One bit of a heart rate: everything is there, and it is known that something is wrong.
    let mut flipped = whole.clone();
    flipped[300] ^= 1;
    let (report, _) = read(&flipped);
    assert_eq!((report.result, report.quality.checksum), (Class::Salvaged, Checksum::Bad));
    assert_eq!((report.counts.records, report.quality.broken_at), (100, None));
    assert_eq!(read(&whole).0.quality.checksum, Checksum::Good);
}

#[test]
fn a_header_that_was_never_completed_costs_nothing() {
    let whole = activity_file(|fit| records(fit, 0..100));
    for size in [0u32, 40, u32::MAX] {
        let mut broken = whole.clone();
        broken[4..8].copy_from_slice(&size.to_le_bytes());
        let (report, _) = read(&broken);
        assert_eq!((report.result, report.counts.records), (Class::Salvaged, 100), "{size}");
        assert_eq!(report.quality.checksum, Checksum::Good, "the messages are as they were");
    }
}

#[test]
fn a_header_of_a_size_to_come_is_passed_and_a_damaged_one_is_seen_through() {
    let whole = activity_file(|fit| records(fit, 0..100));
    let mut longer = whole[..12].to_vec();
    longer[0] = 20;
    longer.extend([0; 8]);
    longer.extend(&whole[14..whole.len() - 2]);
    let sum = writer::checksum(&longer).to_le_bytes();
    longer.extend(sum);
    let (report, _) = read(&longer);
    assert_eq!((report.result, report.counts.records), (Class::Decoded, 100));
    for size in [1, 13, 15, 255] {
        let mut broken = whole.clone();
        broken[0] = size;
        let (report, _) = read(&broken);
        assert_eq!((report.result, report.counts.records), (Class::Salvaged, 100), "{size}");
        let said = format!("the header claims a size of {size} bytes (at byte 0)");
        assert_eq!(report.reason, Some(said));
    }
}

/// Real and synthetic files, not too long.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut files: Vec<Vec<u8>> =
        everything().iter().map(|known| std::fs::read(&known.path).unwrap()).collect();
    files.retain(|bytes| (1..60_000).contains(&bytes.len()));
    files
});

/// Whatever was read, what streamed is what was counted.
fn reads(bytes: &[u8]) {
    let (report, items) = read(bytes);
    let counted: u64 =
        report.activities.iter().map(|one| one.counts.records + one.counts.rr_intervals).sum();
    assert_eq!(items.len() as u64, counted);
    assert!(
        report.activities.is_empty() != matches!(report.result, Class::Decoded | Class::Salvaged)
    );
    serde_json::to_string(&report).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        reads(&bytes);
        // The same behind a header, so that they are taken for messages.
        let mut fit = vec![14, 0x20, 0, 0, 0, 0, 0, 0, b'.', b'F', b'I', b'T', 0, 0];
        fit.extend(&bytes);
        reads(&fit);
        // And behind a definition of records, so that some of them are records.
        let mut records = fit[..14].to_vec();
        for local in 0x40..0x50 {
            records.extend([local, 0, 0, 20, 0, 2, 253, 4, 0x86, 3, 1, 2]);
        }
        records.extend(&bytes);
        reads(&records);
    }

    #[test]
    fn changed_files_are_read_to_an_end(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
        doubled in any::<bool>(),
    ) {
        let mut bytes = file.get(&FILES).clone();
        if doubled {
            bytes.extend(bytes.clone());
        }
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        reads(&bytes);
    }
}
