//! Files made to hurt: each is bounded in memory, and nothing is ever written to stderr. A process of its own reads
//! each, so that what is measured is what reading takes.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/fit.rs"]
mod corpus;
#[path = "support/fit_writer.rs"]
mod writer;

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use pulsegate::activity::Item;
use pulsegate::fit::{self, Class, FileReport, Limits};

use crate::corpus::everything;
use crate::writer::Writer;

const MIB: u64 = 1 << 20;
/// Most memory that reading any file may take, the process around it included.
const MEMORY_MAX: u64 = 64 * MIB;
/// What reading takes of a file of 10 MiB that is made to hurt.
const USUAL: u64 = 32 * MIB;

/// Names the file that [`reads_one_file_for_the_others`] reads.
const FILE: &str = "PULSEGATE_TEST_READ_FIT";

/// What a process of its own made of a file.
struct Apart {
    peak: u64,
    /// What it wrote to stderr.
    printed: Vec<u8>,
    said: String,
}

/// Has a process of its own read a file with no limits, then within the usual ones.
fn read_apart(path: &Path) -> Apart {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "reads_one_file_for_the_others", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{path:?}: {stdout}");
    let mut lines = stdout.lines().filter_map(|line| line.split_once("peak_kb "));
    let (_, line) = lines.next().unwrap();
    let (peak, said) = line.split_once(' ').unwrap();
    let peak = 1024 * peak.parse::<u64>().unwrap();
    Apart { peak, printed: output.stderr, said: said.to_owned() }
}

#[test]
fn reads_one_file_for_the_others() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let mut said = String::new();
    for limits in [BOUNDLESS, Limits::default()] {
        let report = read(std::fs::File::open(&path).unwrap(), &limits);
        said.push_str(&format!("{:?} {:?}; ", report.result, report.reason));
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("peak_kb {} {said}", peak.split_whitespace().next().unwrap());
}

fn read(reader: impl Read + Seek, limits: &Limits) -> FileReport {
    fit::read(reader, limits, &mut || true, &mut |_, _: Item| {}).unwrap()
}

fn made(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer);
    writer.finish()
}

const TEN_MIB: usize = 10 << 20;
const BOUNDLESS: Limits =
    Limits { bytes: 1 << 40, messages: 1 << 40, definitions: 1 << 40, segments: 1024 };

#[test]
fn no_file_of_the_corpus_takes_more_memory_than_a_small_box_can_spare() {
    for expected in everything() {
        let Apart { peak, printed, .. } = read_apart(&expected.path);
        assert!(peak < MEMORY_MAX, "{}: {} MiB", expected.file, peak / MIB);
        assert!(printed.is_empty(), "{}: {} bytes on stderr", expected.file, printed.len());
    }
}

#[test]
fn no_file_that_is_made_to_hurt_takes_memory_or_prints() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in hostile() {
        let path = folder.path().join("hostile.fit");
        std::fs::write(&path, bytes).unwrap();
        let begun = std::time::Instant::now();
        let Apart { peak, printed, said } = read_apart(&path);
        println!("{name}: {} MiB in {:.1} s, {said}", peak / MIB, begun.elapsed().as_secs_f64());
        assert!(peak < USUAL, "{name}: {} MiB", peak / MIB);
        assert!(printed.is_empty(), "{name}: {} bytes on stderr", printed.len());
    }
}

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let many = |fields: &[(u8, u8, u8)], message: u16| {
        made(|fit| {
            fit.file_id(4);
            fit.define(1, message, fields);
            let size: usize = fields.iter().map(|field| usize::from(field.1)).sum();
            let one = vec![7; size];
            while fit.len() < TEN_MIB {
                fit.message(1, &one);
            }
        })
    };
    let every = |size: u8, base: u8| -> Vec<(u8, u8, u8)> {
        (0..255).map(|number| (number, size, base)).collect()
    };
    vec![
        ("records of one byte", many(&[(3, 1, 2)], 20)),
        ("records without a field", many(&[], 20)),
        ("sessions", many(&every(1, 2), 18)),
        ("laps", many(&[(2, 4, 0x86), (7, 4, 0x86)], 19)),
        ("events", many(&[(253, 4, 0x86), (0, 1, 0), (1, 1, 0)], 21)),
        ("devices", many(&[(0, 1, 2), (27, 100, 7)], 23)),
        ("heart rates that a strap kept", many(&[(253, 4, 0x86), (6, 1, 2), (9, 4, 0x86)], 132)),
        ("arrays of 255 bytes, 255 of them", many(&every(255, 0x0D), 20)),
        ("numbers in fields too small for them", many(&every(3, 0x86), 20)),
        ("texts", many(&every(255, 7), 18)),
        ("descriptions of developer fields", many(&every(1, 2), 206)),
        ("beats", many(&[(0, 254, 0x84)], 78)),
        (
            "developer fields, 255 of them",
            made(|fit| {
                fit.file_id(4);
                for number in 0..255 {
                    fit.describe(0, number, 0x84, 3);
                }
                let developer: Vec<_> = (0..255).map(|number| (number, 255, 0)).collect();
                fit.define_with(1, 20, &[(253, 4, 0x86)], &developer);
                let one = vec![7; 4 + 255 * 255];
                while fit.len() < TEN_MIB {
                    fit.message(1, &one);
                }
            }),
        ),
        (
            "definitions",
            made(|fit| {
                fit.file_id(4);
                let fields = every(1, 0x86);
                while fit.len() < TEN_MIB {
                    fit.define(1, 20, &fields);
                }
            }),
        ),
        (
            "developer fields that nobody described, and one message each",
            made(|fit| {
                fit.file_id(4);
                while fit.len() < TEN_MIB {
                    fit.define_with(1, 20, &[(253, 3, 0x86)], &[(1, 3, 9)]);
                    fit.message(1, &[1, 2, 3, 4, 5, 6]);
                }
            }),
        ),
        (
            "segments",
            made(|fit| {
                let one = {
                    let mut one = Writer::default();
                    one.file_id(4);
                    one.define(1, 20, &[(3, 1, 2)]);
                    one.message(1, &[100]);
                    one.finish()
                };
                while fit.len() < TEN_MIB {
                    fit.raw(&one);
                }
            }),
        ),
    ]
}

#[test]
fn each_limit_is_told_by_name() {
    let limits = Limits { bytes: 1 << 20, messages: 10, definitions: 3, segments: 2 };
    let refused = |file: Vec<u8>| {
        let report = read(Cursor::new(file), &limits);
        assert_eq!(report.result, Class::Rejected);
        report.reason.unwrap()
    };
    let one = |work: &dyn Fn(&mut Writer)| {
        let mut fit = Writer::default();
        fit.file_id(4);
        work(&mut fit);
        fit.finish()
    };
    let many = one(&|fit| {
        fit.define(1, 20, &[(3, 1, 2)]);
        (0..8).for_each(|_| fit.message(1, &[1]));
    });
    assert_eq!(refused(many), "the file holds more than 10 messages, which is the limit");
    let defined = one(&|fit| (0..4).for_each(|_| fit.define(1, 20, &[(3, 1, 2)])));
    assert_eq!(refused(defined), "the file holds more than 3 definitions, which is the limit");
    let chained = one(&|_| {}).repeat(3);
    assert_eq!(refused(chained), "the file holds more than 2 segments, which is the limit");
    let large = vec![0; (1 << 20) + 1];
    assert_eq!(refused(large), "the file holds more than 1048576 bytes, which is the limit");
}

#[test]
fn a_deadline_ends_the_reading_of_any_file() {
    let mut fit = Writer::default();
    fit.file_id(4);
    fit.define(1, 20, &[(3, 1, 2)]);
    (0..100_000).for_each(|_| fit.message(1, &[100]));
    let bytes = fit.finish();
    for turns in [0, 1, 60, 150] {
        let mut left = turns;
        let mut go_on = || {
            left -= 1;
            left >= 0
        };
        let report =
            fit::read(Cursor::new(&bytes), &Limits::default(), &mut go_on, &mut |_, _: Item| {});
        let report = report.unwrap();
        assert_eq!(report.result, Class::Rejected, "after {turns} turns");
        assert_eq!(report.reason.as_deref(), Some("reading took longer than is allowed"));
    }
}

#[test]
fn a_disk_that_fails_is_no_bad_file() {
    struct Failing(u64);
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk fell out"))
        }
    }
    impl Seek for Failing {
        fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
            Ok(self.0)
        }
    }
    let failed = fit::read(Failing(1000), &Limits::default(), &mut || true, &mut |_, _: Item| {});
    assert_eq!(failed.unwrap_err().to_string(), "the disk fell out");
}
