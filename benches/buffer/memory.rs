//! Peak memory: of a process that does nothing but append, and of the daemon that then delivers all of it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Scale;
use crate::ours::Ours;
use crate::readings::{Store, readings};
use crate::report::{Report, Target};

/// First argument of the process that appends.
pub const CHILD: &str = "append-only";
/// Readings in a commit.
const COMMIT: u64 = 50;
const DELIVERED_WITHIN: Duration = Duration::from_secs(120);

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
    let peak = of_daemon(folder, count);
    let what = format!("6 the daemon's peak memory, opening and delivering {count} readings, MB");
    report.judge(&what, peak, &Target::AtMost(32.0));
}

/// Starts the daemon on the folder, with fifty straps and a file that takes everything.
fn of_daemon(folder: &Path, count: u64) -> f64 {
    let lines = folder.join("readings.ndjson");
    let config = folder.join("pulsegate.toml");
    let text = format!(
        "data_dir = {folder:?}\n[gateway]\nid = \"bench\"\n[web]\nlisten = \"\"\n[sinks.out.file]\npath = {lines:?}\n\
         rotate_mb = 1024\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulsegate"));
    command.args(["run", "--simulate", "50", "--config"]).arg(&config);
    let daemon = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let status = format!("/proc/{}/status", daemon.0.id());
    let deadline = Instant::now() + DELIVERED_WITHIN;
    // Each line is longer than this.
    while lines.metadata().map_or(0, |file| file.len()) < count * 100 {
        assert!(Instant::now() < deadline, "the daemon does not deliver");
        std::thread::park_timeout(Duration::from_millis(200));
    }
    std::thread::park_timeout(Duration::from_secs(5));
    high_water(&status)
}

/// A process that does not outlive us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most memory that was ever resident, in megabytes of 1000 kilobytes, as `ps` has them.
fn high_water(status: &str) -> f64 {
    let status = std::fs::read_to_string(status).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1000.0
}

/// Appends, and prints the most memory that was ever resident.
pub fn child(folder: &Path, count: u64) {
    let mut ours = Ours::open(folder, u64::MAX);
    for first in (0..count).step_by(COMMIT as usize) {
        ours.append(readings(first..first + COMMIT));
    }
    ours.close();
    println!("{:.1} MB", high_water("/proc/self/status"));
}
