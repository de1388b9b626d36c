//! Peak memory of a process that does nothing but append.

use std::path::Path;
use std::process::Command;

use crate::Scale;
use crate::ours::Ours;
use crate::readings::{Store, readings};
use crate::report::Report;

/// First argument of the process that appends.
pub const CHILD: &str = "append-only";
/// Readings in a commit.
const COMMIT: u64 = 50;

pub fn run(folder: &Path, scale: &Scale, report: &mut Report) {
    let child = Command::new(std::env::current_exe().unwrap())
        .arg(CHILD)
        .arg(folder)
        .arg(scale.readings.to_string())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let count = scale.readings;
    let peak = String::from_utf8(child.stdout).unwrap();
    report.note(&format!("6 peak memory of {count} appends, {COMMIT} a commit: {}", peak.trim()));
}

/// Appends, and prints the most memory that was ever resident.
pub fn child(folder: &Path, count: u64) {
    let mut ours = Ours::open(folder, u64::MAX);
    for first in (0..count).step_by(COMMIT as usize) {
        ours.append(readings(first..first + COMMIT));
    }
    ours.close();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim());
}
