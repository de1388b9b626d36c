//! What sinks get, and in which order, over a real buffer: after outages, over lines that break, after a rewind.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;
use pulsegate::archive::Archive;
use pulsegate::buffer::{self, Buffer, Cursor, Keeper};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::config::{self, Delivery};
use pulsegate::history::{Bounds, History};
use pulsegate::live::{Board, SinkState};
use pulsegate::reading::{
    Contact, EntryId, Fact, HeartRate, Measurement, Reading, RrInterval, Source, StrapId,
};
use pulsegate::roster::Roster;
use pulsegate::sink::{self, Context};
use serde_json::Value;
use support::mosquitto::until;
use support::{Reaction, Scripted};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The part of the daemon between the buffer and its sinks.
struct Gateway {
    context: Context,
    clock: Clock,
    tasks: JoinSet<sink::TaskEnd>,
    _keeper: Keeper,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn new(delivery: Delivery) -> Self {
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
        let (buffer, keeper) = Buffer::open(&options, &clock).unwrap();
        let context = Context {
            gateway: "box-1".into(),
            board: Board::default(),
            buffer,
            stop: CancellationToken::new(),
            archive: Archive::new(
                History::new(folder.path()),
                Roster::start(folder.path()),
                TimeZone::UTC,
                Bounds::default(),
            ),
            data_dir: folder.path().to_owned(),
            delivery,
        };
        Self { context, clock, tasks: JoinSet::new(), _keeper: keeper, folder }
    }

    fn sink(&mut self, name: &str, text: &str) {
        let config = config::parse(text).unwrap();
        sink::spawn(&mut self.tasks, name, &config.sinks[name], &self.context).unwrap();
    }

    /// Appends so many readings and waits until they are durable.
    async fn readings(&self, count: u64) {
        let buffer = &self.context.buffer;
        let mut last = EntryId(0);
        for _ in 0..count {
            let measurement = Measurement::HeartRate(HeartRate {
                bpm: 120,
                contact: Contact::Worn,
                energy_kj: None,
                rr: vec![RrInterval(512)],
                source: Source::Link,
            });
            let strap = StrapId::new("9F6E5322").unwrap();
            let reading = Reading { strap, at: self.clock.now(), measurement };
            last = buffer.append(Fact::Reading(reading)).await.unwrap();
        }
        buffer.flush();
        buffer.durable(last).await.unwrap();
    }

    fn board(&self, sink: &str) -> Option<pulsegate::live::Sink> {
        self.context.board.watch().borrow().sinks.get(sink).cloned()
    }

    async fn taken_up_to(&self, sink: &str, place: u64) {
        let wanted = Cursor::at(EntryId(place));
        until("everything taken", || {
            (self.context.buffer.state().borrow().cursors.get(sink) == Some(&wanted)).then_some(())
        })
        .await;
    }
}

fn at_once() -> Delivery {
    Delivery { backlog_share_percent: 100, backlog_per_s: 1_000_000, backlog_start_s: 0 }
}

fn broker(port: u16) -> String {
    format!("[sinks.club.mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nlive = false\n")
}

fn ids(entries: &[(u64, Value)]) -> Vec<u64> {
    entries.iter().map(|(id, _)| *id).collect()
}

#[tokio::test]
async fn over_a_line_that_breaks_newest_and_backlog_alternate_and_nothing_acknowledged_is_repeated()
{
    // A batch is three messages or more: each connection ends in the middle of one, of this line or of the other.
    let broker_there = Scripted::new(|connection, message| match (connection, message) {
        (1, 3) | (2, 4) | (3, 6) => Reaction::HangUp,
        _ => Reaction::Take,
    })
    .await;
    let mut gateway = Gateway::new(at_once());
    gateway.readings(6000).await;
    gateway.sink("club", &broker(broker_there.port));
    let mut count = 6000;
    for connection in 2..=4 {
        broker_there.connected(connection).await;
        gateway.readings(100).await;
        count += 100;
    }
    gateway.taken_up_to("club", count).await;
    let taken = ids(&broker_there.taken());
    assert_eq!(taken[0], 5500, "the newest of the moment");
    let distinct: BTreeSet<u64> = taken.iter().copied().collect();
    assert_eq!((distinct.len() as u64, taken.len() as u64), (count, count));
    let (newest, backlog): (Vec<u64>, Vec<u64>) = taken.iter().partition(|id| **id >= 5500);
    assert!(newest.is_sorted() && backlog.is_sorted());
    let last_of_backlog = taken.iter().rposition(|id| *id < 5500).unwrap();
    assert!(taken[..last_of_backlog].contains(&6000), "newer ones go in between");
}

#[tokio::test]
async fn what_a_broker_refused_for_good_is_delivered_again_when_requeued() {
    let broker_there = Scripted::new(|_, message| match message {
        1 => Reaction::Refuse(0x99),
        _ => Reaction::Take,
    })
    .await;
    let mut gateway = Gateway::new(at_once());
    gateway.readings(5).await;
    gateway.sink("club", &broker(broker_there.port));
    gateway.taken_up_to("club", 5).await;
    let sink = gateway.board("club").unwrap();
    assert_eq!((sink.delivered, sink.rejected, broker_there.taken().len()), (0, 5, 0));
    let buffer = &gateway.context.buffer;
    let letters = buffer.letters(0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].entries.len()), (1, 5), "{letters:?}");
    assert!(!letters[0].reason.is_empty());

    assert_eq!(buffer.requeue(Some("club")).await.unwrap(), 5);
    until("delivered again", || (broker_there.taken().len() == 5).then_some(())).await;
    assert_eq!(ids(&broker_there.taken()), [0, 1, 2, 3, 4]);
    let gone = |state: &buffer::State| state.letters["club"] == buffer::Letters::default();
    until("no letters", || gone(&buffer.state().borrow()).then_some(())).await;
}

#[tokio::test]
async fn a_file_is_written_in_order_after_an_outage_and_once_more_from_where_it_is_rewound_to() {
    let mut gateway = Gateway::new(at_once());
    let folder = gateway.folder.path().join("out");
    // A file where the folder should be.
    std::fs::write(&folder, "").unwrap();
    gateway.readings(3).await;
    gateway.sink("archive", "[sinks.archive.file]\npath = \"out/readings.ndjson\"\n");
    let retrying = |sink: pulsegate::live::Sink| match sink.state {
        SinkState::Retrying { reason } => Some(reason),
        _ => None,
    };
    until("the outage", || gateway.board("archive").and_then(retrying)).await;
    gateway.readings(7000).await;
    std::fs::remove_file(&folder).unwrap();
    gateway.taken_up_to("archive", 7003).await;
    let written = || {
        let text = std::fs::read_to_string(folder.join("readings.ndjson")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(written().into_iter().eq(0..7003));
    gateway.context.buffer.rewind("archive", EntryId(2000)).await.unwrap();
    let delivered = || gateway.board("archive").map(|sink| sink.delivered);
    until("once more", || (delivered() == Some(7003 + 5003)).then_some(())).await;
    assert!(written().into_iter().eq((0..7003).chain(2000..7003)));
}
