//! What reading a FIT file costs, as ratios to what it is made of: `cargo bench --bench fit`.
//!
//! Ours reads twice over the file, checks it, and gives every record and beat; beside it stands fitparser's `from_bytes`
//! on the same file, in the same run, turn by turn; what counts is the median of the ratios of user CPU. Two files: the
//! largest in the folder that `PULSEGATE_FIT_CORPUS` names (else in the fixtures), and a ride of 48 MB that is made
//! here. `fitdecode` (Python; `PULSEGATE_BENCH_PYTHON` names an interpreter that has it) and `fit-file-parser` (Node;
//! `NODE_PATH`) stand in the same table where they are installed. Each reader has a process of its own, whose peak
//! memory is told too.
//!
//! `--quick` takes a ride of 5 MB. With `PULSEGATE_BENCH_STRICT=1` a missed target makes the exit code 1.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

mod others;
#[path = "../buffer/report.rs"]
mod report;
mod ride;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use pulsegate::activity::Item;
use pulsegate::fit::{self, Class, Limits};

use crate::report::{Report, Target, median};

/// First argument of the process that reads.
const CHILD: &str = "read-only";
/// User CPU of a process that reads in seconds, so that its ticks of 10 ms do not matter.
const ENOUGH: f64 = 0.5;

/// What one process found out about itself.
struct Cost {
    /// Seconds of user CPU for one reading.
    seconds: f64,
    /// Most kilobytes that were ever resident.
    peak_kb: u64,
    /// Records and their heart rates: everybody must find the same.
    found: String,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, reader, file] = args.as_slice()
        && word == CHILD
    {
        child(reader, Path::new(file));
        return ExitCode::SUCCESS;
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let made = folder.path().join("ride.fit");
    ride::write(&made, if quick { 5_000_000 } else { 48_100_000 });
    let mut report = Report::default();
    let largest = largest();
    compare(&mut report, "1 largest real file", &largest, if quick { 3 } else { 7 });
    others::note(&report, &largest);
    let peak = compare(&mut report, "2 ride made here", &made, 3);
    report.judge("3 ride made here, peak MiB", peak as f64 / 1024.0, &Target::AtMost(24.0));
    report.exit_code()
}

/// Has both readers read a file in turn, and gives our peak memory in kilobytes.
fn compare(report: &mut Report, what: &str, file: &Path, rounds: usize) -> u64 {
    let mut costs = Vec::new();
    for round in 0..rounds {
        let ours = || measure("ours", file);
        let theirs = || measure("from_bytes", file);
        let (ours, theirs) = if round % 2 == 0 {
            let ours = ours();
            (ours, theirs())
        } else {
            let theirs = theirs();
            (ours(), theirs)
        };
        assert_eq!(ours.found, theirs.found, "both must find the same");
        costs.push((ours, theirs));
    }
    let ratio = median(costs.iter().map(|(ours, theirs)| theirs.seconds / ours.seconds));
    report.judge(&format!("{what}, user CPU of from_bytes / ours"), ratio, &Target::AtLeast(3.0));
    let bytes = std::fs::metadata(file).unwrap().len() as f64;
    report.note(&format!("{} ({:.2} MB): {}", name(file), bytes / 1e6, costs[0].0.found));
    let (ours, theirs): (Vec<Cost>, Vec<Cost>) = costs.into_iter().unzip();
    line(report, "from_bytes", bytes, &theirs);
    line(report, "ours", bytes, &ours)
}

/// Prints what a reader costs, and gives its peak memory in kilobytes.
fn line(report: &Report, name: &str, bytes: f64, costs: &[Cost]) -> u64 {
    let seconds = median(costs.iter().map(|cost| cost.seconds));
    let peak = costs.iter().map(|cost| cost.peak_kb).max().unwrap();
    let rate = bytes / 1e6 / seconds;
    report.note(&format!("{name:16} {seconds:7.3} s {rate:7.1} MB/s {:6} MiB peak", peak / 1024));
    peak
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

fn measure(reader: &str, file: &Path) -> Cost {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, reader])
        .arg(file)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let text = String::from_utf8(child.stdout).unwrap();
    let mut words = text.trim().splitn(3, ' ');
    Cost {
        seconds: words.next().unwrap().parse().unwrap(),
        peak_kb: words.next().unwrap().parse().unwrap(),
        found: words.next().unwrap().to_owned(),
    }
}

/// Reads until there is something to measure, and prints what it cost.
fn child(reader: &str, file: &Path) {
    let read = match reader {
        "ours" => ours,
        _ => theirs,
    };
    let before = user_seconds();
    let mut readings = 0;
    let mut found;
    let spent = loop {
        found = read(file);
        readings += 1;
        let spent = user_seconds() - before;
        if spent >= ENOUGH {
            break spent;
        }
    };
    println!("{} {} {found}", spent / f64::from(readings), peak_kb());
}

fn ours(path: &Path) -> String {
    let (mut records, mut sum) = (0u64, 0u64);
    let limits = Limits { bytes: 1 << 30, messages: 1 << 30, ..Limits::default() };
    let file = File::open(path).unwrap();
    let report = fit::read(file, &limits, &mut || true, &mut |_, item| {
        if let Item::Sample(sample) = item {
            records += 1;
            sum += u64::from(sample.heart_rate_bpm.unwrap_or(0));
        }
    });
    assert_eq!(report.unwrap().result, Class::Decoded);
    format!("{records} records, {sum} bpm")
}

fn theirs(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let (mut records, mut sum) = (0u64, 0u64);
    for message in fitparser::from_bytes(&bytes).unwrap() {
        if message.kind() == fitparser::profile::MesgNum::Record {
            records += 1;
            let rate = message.fields().iter().find(|field| field.name() == "heart_rate");
            if let Some(fitparser::Value::UInt8(rate)) = rate.map(fitparser::FitDataField::value) {
                sum += u64::from(*rate);
            }
        }
    }
    format!("{records} records, {sum} bpm")
}

fn user_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let behind_name = stat.rsplit(')').next().unwrap();
    // Field 14 of the line, in ticks of 1/100 s.
    behind_name.split_whitespace().nth(11).unwrap().parse::<f64>().unwrap() / 100.0
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// The largest file that fitparser can read as well.
fn largest() -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fit");
    let corpus = std::env::var_os("PULSEGATE_FIT_CORPUS").map_or(fixtures, PathBuf::from);
    let mut files = Vec::new();
    let mut folders = vec![corpus.join("files")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push((entry.metadata().unwrap().len(), entry.path()));
            }
        }
    }
    files.sort();
    let readable = |path: &PathBuf| fitparser::from_bytes(&std::fs::read(path).unwrap()).is_ok();
    files.into_iter().rev().map(|(_, path)| path).find(readable).unwrap()
}
