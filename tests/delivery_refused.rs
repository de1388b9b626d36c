//! Delivery while the disk refuses. A test of its own: it limits the size of files for the whole process.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::time::Duration;

use jiff::tz::TimeZone;
use pulsegate::archive::Archive;
use pulsegate::buffer::{self, Buffer, BufferError};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::config::{self, Delivery};
use pulsegate::history::{Bounds, History};
use pulsegate::live::{Board, SinkState};
use pulsegate::reading::{EntryId, Event, EventKind, Fact, Measurement, Reading, StrapId};
use pulsegate::roster::Roster;
use pulsegate::sink::{self, Context};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::mosquitto::until;
use support::{Reaction, Scripted};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SIGXFSZ: i32 = 25;

const READINGS: usize = 24_000;

#[tokio::test]
async fn a_buffer_that_cannot_be_read_for_a_while_does_not_end_delivery() {
    // Handled, so that a write beyond the limit fails instead of ending the process.
    let _too_large = signal(SignalKind::from_raw(SIGXFSZ)).unwrap();
    let broker = Scripted::new(|_, _| Reaction::Take).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(SyncSource::Vouched).unwrap();
    let options = buffer::Options {
        data_dir: folder.path().to_owned(),
        commit_every: Duration::from_millis(50),
        max_bytes: 64 << 20,
        max_age: None,
        sinks: Vec::new(),
        first: EntryId(0),
        purpose: buffer::Purpose::Collect,
    };
    let (buffer, _keeper) = Buffer::open(&options, &clock).unwrap();
    let mut last = EntryId(0);
    // More than what is read ahead: that is delivered whatever the disk does.
    for _ in 0..READINGS {
        let strap = StrapId::new("9F6E5322").unwrap();
        let measurement = Measurement::Battery(50);
        let reading = Reading { strap, at: clock.now(), measurement };
        last = buffer.append(Fact::Reading(reading)).await.unwrap();
    }
    buffer.flush();
    buffer.durable(last).await.unwrap();

    let board = Board::default();
    let context = Context {
        gateway: "box-1".into(),
        board: board.clone(),
        buffer: buffer.clone(),
        stop: CancellationToken::new(),
        archive: Archive::new(
            History::new(folder.path()),
            Roster::start(folder.path()),
            TimeZone::UTC,
            Bounds::default(),
        ),
        data_dir: folder.path().to_owned(),
        // Slow enough to be interrupted: five seconds and more.
        delivery: Delivery {
            backlog_share_percent: 100,
            backlog_per_s: 10_000,
            backlog_start_s: 0,
        },
    };
    let text =
        format!("[sinks.club.mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\nlive = false\n", broker.port);
    let config = config::parse(&text).unwrap();
    let mut tasks = JoinSet::new();
    sink::spawn(&mut tasks, "club", &config.sinks["club"], &context).unwrap();
    until("the drain", || (broker.taken_so_far() >= 1000).then_some(())).await;

    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), ..limit }).unwrap();
    let kind = EventKind::Started { version: "x".into() };
    let held = buffer.append(Fact::Event(Event { at: clock.now(), kind })).await.unwrap();
    let retrying = || {
        let snapshot = board.watch();
        let state = snapshot.borrow().sinks["club"].state.clone();
        matches!(state, SinkState::Retrying { reason } if reason.contains("the buffer"))
            .then_some(())
    };
    until("the refusal is shown", retrying).await;
    let refused = buffer.read(EntryId(0), last, 1).await;
    assert!(matches!(refused, Err(BufferError::Unavailable { .. })), "{refused:?}");
    setrlimit(Resource::Fsize, limit).unwrap();
    until("everything", || (broker.taken_so_far() > READINGS).then_some(())).await;
    let mut taken: Vec<u64> = broker.taken().iter().map(|(id, _)| *id).collect();
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..=held.0));
    assert_eq!(board.watch().borrow().sinks["club"].state, SinkState::Ok);
    assert_eq!(tasks.len(), 1);
}
