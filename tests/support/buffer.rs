//! What the tests of the buffer share: opening, filling, crash images.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

use std::path::Path;
use std::time::Duration;

use pulsegate::buffer::{Buffer, BufferError, Keeper, Options, Purpose};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::reading::{
    At, BootId, ClockTrust, Contact, Entry, EntryId, Fact, HeartRate, Measurement, Reading,
    RrInterval, Source, StrapId,
};

/// Longest wait for anything.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits, but not for ever.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("takes longer than a minute")
}

pub fn clock() -> Clock {
    Clock::new(SyncSource::Vouched).unwrap()
}

pub fn options(folder: &Path, max_bytes: u64) -> Options {
    Options {
        data_dir: folder.to_owned(),
        commit_every: Duration::from_millis(20),
        max_bytes,
        max_age: None,
        first: EntryId(0),
        sinks: Vec::new(),
        purpose: Purpose::Collect,
    }
}

pub fn open(folder: &Path, max_bytes: u64) -> Result<(Buffer, Keeper), BufferError> {
    Buffer::open(&options(folder, max_bytes), &clock())
}

pub async fn close(buffer: &Buffer, mut keeper: Keeper) {
    buffer.close();
    within(keeper.ended()).await.unwrap();
    keeper.join();
}

/// A strap's reading at `second`, as an H10 sends it: one heart rate, one RR interval.
pub fn reading(strap: usize, second: u64) -> Fact {
    let jitter = (second * 7919 + strap as u64 * 104_729) % 30_000;
    let bpm = 120 + ((second / 3 + strap as u64) % 40) as u16;
    let rr = (61_440 / u64::from(bpm) + (second * 31) % 40) as u16;
    Fact::Reading(Reading {
        strap: StrapId::new(&format!("{:08X}", 0x9F6E_0000 + strap)).unwrap(),
        at: At {
            boot: BootId(7),
            mono_us: 1_000_000 * second + jitter + strap as u64 * 1000,
            wall_offset_us: 1_790_000_000_000_000,
            trust: ClockTrust::Synced,
        },
        measurement: Measurement::HeartRate(HeartRate {
            bpm,
            contact: Contact::Unknown,
            energy_kj: None,
            rr: vec![RrInterval(rr)],
            source: Source::Link,
        }),
    })
}

/// Appends and waits until all of it is durable.
pub async fn append_all(buffer: &Buffer, facts: impl IntoIterator<Item = Fact>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for fact in facts {
        let id = within(buffer.append(fact.clone())).await.unwrap();
        entries.push(Entry { id, fact });
    }
    if let Some(last) = entries.last() {
        buffer.flush();
        within(buffer.durable(last.id)).await.unwrap();
    }
    entries
}

pub async fn read_all(buffer: &Buffer) -> Vec<Entry> {
    buffer.read(EntryId(0), EntryId(u64::MAX), usize::MAX).await.unwrap()
}

/// Copies the folder as a crash leaves it: files as they are, no lock, nothing closed.
pub fn crash_image(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            crash_image(&from, &to);
        } else if let Err(error) = std::fs::copy(&from, &to) {
            // sled removes old snapshots while we look.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{from:?}: {error}");
        }
    }
}
