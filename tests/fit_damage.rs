//! Damaged FIT files: whatever a careful reader would keep is kept. Recordings stand one behind the other in a file, and the one in the
//! middle is cut, changed or claims what is not so.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/fit_writer.rs"]
mod writer;

use std::io::Cursor;

use pulsegate::activity::Item;
use pulsegate::fit::{self, Class, FileReport, Limits};
use writer::Writer;

/// 2026-06-10, in seconds since 1989-12-31.
const START: u32 = 1_150_000_000;
/// Bytes of a header, and of a record.
const HEADER: usize = 14;
const RECORD: usize = 6;

/// A recording of so many records, and where the first of them begins in it.
fn recording(day: u32, records: u32) -> (Vec<u8>, usize) {
    let mut fit = Writer::default();
    fit.file_id(4);
    fit.define(1, 20, &[(253, 4, 0x86), (3, 1, 0x02)]);
    let first = HEADER + fit.len();
    for second in 0..records {
        let [a, b, c, d] = (START + day * 86_400 + second).to_le_bytes();
        fit.message(1, &[a, b, c, d, 100]);
    }
    (fit.finish(), first)
}

fn read(bytes: &[u8]) -> FileReport {
    let sink = &mut |_, _: Item| {};
    fit::read(Cursor::new(bytes), &Limits::default(), &mut || true, sink).unwrap()
}

/// Records of each activity.
fn records(report: &FileReport) -> Vec<u64> {
    report.activities.iter().map(|activity| activity.counts.records).collect()
}

/// A recording of 20 records, something, and one of 30.
fn around(middle: &[u8]) -> FileReport {
    let report = read(&[recording(0, 20).0, middle.to_vec(), recording(2, 30).0].concat());
    assert_eq!(report.result, Class::Salvaged, "{report:?}");
    assert!(report.reason.is_some(), "{report:?}");
    report
}

#[test]
fn wherever_a_recording_in_the_middle_is_cut_the_others_are_whole() {
    let (middle, first) = recording(1, 10);
    for cut in 1..middle.len() - 2 {
        let report = around(&middle[..cut]);
        let whole = (cut.saturating_sub(first) / RECORD) as u64;
        let expected = if whole == 0 { vec![20, 30] } else { vec![20, whole, 30] };
        assert_eq!(records(&report), expected, "cut at {cut}: {:?}", report.reason);
    }
}

#[test]
fn a_recording_whose_header_is_lost_does_not_take_the_next_with_it() {
    let (mut middle, _) = recording(1, 10);
    middle[9] = b'f';
    assert_eq!(records(&around(&middle)), [20, 30]);
    assert_eq!(records(&around(b"\r\n")), [20, 30]);
    assert_eq!(records(&around(&[0; 512])), [20, 30]);
}

#[test]
fn whatever_size_a_recording_in_the_middle_claims_all_are_whole() {
    let (middle, _) = recording(1, 10);
    let size = (middle.len() - HEADER - 2) as u32;
    for claimed in [0, 1, size - 1, size + 1, size + 7, size + 40, 1 << 20, u32::MAX] {
        let mut middle = middle.clone();
        middle[4..8].copy_from_slice(&claimed.to_le_bytes());
        let report = around(&middle);
        assert_eq!(records(&report), [20, 10, 30], "{claimed}: {:?}", report.reason);
    }
}

#[test]
fn a_message_that_was_never_defined_ends_its_own_recording_only() {
    let (mut middle, first) = recording(1, 10);
    middle[first + 4 * RECORD] = 9;
    assert_eq!(records(&around(&middle)), [20, 4, 30]);
    // Also when bytes are missing behind it.
    middle.drain(first + 6 * RECORD..first + 6 * RECORD + 3);
    assert_eq!(records(&around(&middle)), [20, 4, 30]);
}

#[test]
fn a_size_that_ends_between_two_messages_is_wrong_if_the_checksum_of_all_stands_behind_all() {
    let (mut file, first) = recording(1, 10);
    let claimed = (first + 4 * RECORD - HEADER) as u32;
    file[4..8].copy_from_slice(&claimed.to_le_bytes());
    assert_eq!(records(&read(&file)), [10]);
    // Nobody knows what stands there.
    file.extend([0; 64]);
    assert_eq!(records(&read(&file)), [4]);
    let (mut file, _) = recording(1, 10);
    file.extend([0; 64]);
    assert_eq!(records(&read(&file)), [10]);
}

#[test]
fn a_header_is_as_long_as_messages_begin_behind_it_whatever_it_says() {
    // What it says is where a definition seems to begin.
    let (mut file, first) = recording(1, 10);
    let place = first + 5 * RECORD + 1;
    file[0] = place as u8;
    file[place..place + 3].copy_from_slice(&[0x40, 0, 0]);
    assert_eq!(records(&read(&file)), [10]);
    let longer = [&[20], &recording(1, 10).0[1..HEADER], &[7; 6], &recording(1, 10).0[HEADER..]];
    assert_eq!(records(&read(&longer.concat())), [10]);
}
