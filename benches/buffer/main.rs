//! What the buffer costs, as ratios to what it is made of: `cargo bench --bench buffer`.
//!
//! Four stores do the same work in one run, turn by turn, and what counts is the median of the ratios of each round:
//! the machine may be slow and others may use it. Beside our buffer stand raw sled with the very same chunks (the
//! limit of the engine), SQLite (what one would take instead) and a preallocated log (the limit of the disk).
//!
//! `--quick` takes fewer readings; numbers select measurements (`-- 1 3`). With `PULSEGATE_BENCH_STRICT=1` a missed
//! target makes the exit code 1.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

mod cpu;
mod device;
mod log;
mod measure;
mod memory;
mod ours;
mod raw;
mod readings;
mod report;
mod space;
mod sqlite;

use std::path::Path;
use std::process::ExitCode;

use crate::report::Report;

/// How much work is done.
struct Scale {
    /// Readings in the stores that are appended to, drained and reopened.
    readings: u64,
    /// Rounds that the appending is cut into, and rounds of draining.
    rounds: usize,
    /// Openings.
    openings: usize,
    /// Commits of a second's readings, for the bytes that reach the device.
    seconds: u64,
    /// Bound of the log that is filled three times over.
    max_bytes: u64,
}

const FULL: Scale =
    Scale { readings: 1_000_000, rounds: 10, openings: 5, seconds: 6000, max_bytes: 64 << 20 };
const QUICK: Scale =
    Scale { readings: 200_000, rounds: 5, openings: 3, seconds: 1000, max_bytes: 8 << 20 };

/// What is measured, by number.
struct Wanted(Vec<u8>);

impl Wanted {
    fn has(&self, number: u8) -> bool {
        self.0.is_empty() || self.0.contains(&number)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder, readings] = args.as_slice()
        && word == memory::CHILD
    {
        memory::child(Path::new(folder), readings.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let scale = if args.iter().any(|arg| arg == "--quick") { QUICK } else { FULL };
    let wanted = Wanted(args.iter().filter_map(|arg| arg.parse().ok()).collect());
    // Beside the build, and so on a disk: /tmp may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut report = Report::default();
    if wanted.has(1) || wanted.has(2) || wanted.has(5) {
        measure::run(&folder.path().join("stores"), &scale, &wanted, &mut report);
    }
    if wanted.has(3) {
        device::run(&folder.path().join("device"), &scale, &mut report);
    }
    if wanted.has(4) {
        space::run(&folder.path().join("space"), &scale, &mut report);
    }
    if wanted.has(6) {
        memory::run(&folder.path().join("memory"), &scale, &mut report);
    }
    if wanted.has(7) {
        cpu::run(&mut report);
    }
    report.exit_code()
}
