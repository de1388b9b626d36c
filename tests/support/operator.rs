//! `pulsegate buffer` as an operator types it, and folders for it: of a daemon that ran, or filled by hand.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use pulsegate::buffer::{Buffer, Keeper, Options, Purpose};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::reading::{
    At, BootId, ClockTrust, Entry, EntryId, Fact, Measurement, Reading, StrapId,
};
use serde_json::Value;

use crate::daemon::{Daemon, LIMIT, output};

/// A configuration with one file sink.
pub(crate) const CONFIG: &str = r#"
[buffer]
commit_every_ms = 100
[web]
listen = ""
[sinks.out.file]
path = "readings.ndjson"
"#;

/// `pulsegate buffer …` for this data folder and the configuration beside it.
pub(crate) fn buffer(data_dir: &Path, arguments: &[&str]) -> Output {
    let config = data_dir.with_file_name("pulsegate.toml");
    let mut all = vec!["buffer"];
    all.extend(arguments);
    all.extend(["--data-dir", data_dir.to_str().unwrap()]);
    if config.exists() {
        all.extend(["--config", config.to_str().unwrap()]);
    }
    output(&all)
}

/// Bytes as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it prints when all is well.
pub(crate) fn told(data_dir: &Path, arguments: &[&str]) -> String {
    let output = buffer(data_dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What it says when it fails with this code.
pub(crate) fn refused(data_dir: &Path, arguments: &[&str], code: i32) -> String {
    let output = buffer(data_dir, arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// What `status --json` says.
pub(crate) fn status(data_dir: &Path) -> Value {
    serde_json::from_str(&told(data_dir, &["status", "--json"])).unwrap()
}

/// The lines of the file sink.
pub(crate) fn file_sink(data_dir: &Path) -> String {
    std::fs::read_to_string(data_dir.join("readings.ndjson")).unwrap_or_default()
}

/// The place that a line tells.
pub(crate) fn seq(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()
}

/// A daemon that has delivered some entries at least.
pub(crate) fn started(folder: &Path) -> Daemon {
    let daemon = Daemon::start(folder, CONFIG, &["--simulate", "6"]);
    daemon.wait_committed(40);
    wait_until(|| file_sink(daemon.data_dir()).lines().count() > 30);
    daemon
}

/// The folder of a daemon that was stopped.
pub(crate) fn stopped(folder: &Path) -> PathBuf {
    let daemon = started(folder);
    let data_dir = daemon.data_dir().to_owned();
    assert!(daemon.stop().success());
    data_dir
}

/// Waits until it is so.
pub(crate) fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Opens a folder in this process.
pub(crate) fn open(data_dir: &Path, purpose: Purpose) -> (Buffer, Keeper) {
    let options = Options {
        data_dir: data_dir.to_owned(),
        commit_every: Duration::from_millis(20),
        max_bytes: 256 << 20,
        max_age: None,
        first: EntryId(0),
        sinks: Vec::new(),
        purpose,
    };
    Buffer::open(&options, &Clock::new(SyncSource::Vouched).unwrap()).unwrap()
}

/// Closes it again.
pub(crate) async fn close(buffer: Buffer, mut keeper: Keeper) {
    buffer.close();
    tokio::time::timeout(LIMIT, keeper.ended()).await.unwrap().unwrap();
    keeper.join();
}

fn battery(strap: &StrapId, second: u64, percent: u8) -> Fact {
    let at = At {
        boot: BootId(7),
        mono_us: second * 1_000_000,
        wall_offset_us: 1_790_000_000_000_000,
        trust: ClockTrust::Synced,
    };
    Fact::Reading(Reading { strap: strap.clone(), at, measurement: Measurement::Battery(percent) })
}

/// A folder with so many entries of as many straps: their names fill the chunks.
pub(crate) async fn filled(data_dir: &Path, count: u64) -> Vec<Entry> {
    let (buffer, keeper) = open(data_dir, Purpose::Collect);
    let mut entries = Vec::new();
    for n in 0..count {
        let strap = StrapId::new(&format!("STRAP-{:020}", n * 7919)).unwrap();
        let fact = battery(&strap, n, (n % 100) as u8);
        let id = tokio::time::timeout(LIMIT, buffer.append(fact.clone())).await.unwrap().unwrap();
        entries.push(Entry { id, fact });
        if n % 64 == 0 {
            buffer.flush();
            tokio::time::timeout(LIMIT, buffer.durable(id)).await.unwrap().unwrap();
        }
    }
    close(buffer, keeper).await;
    std::fs::write(data_dir.join("gateway-id"), "club-1\n").unwrap();
    entries
}
