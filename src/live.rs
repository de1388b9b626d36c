//! What is true now: one snapshot of straps, sinks and adapters that pages and the status command read.
//!
//! Readers cannot stop anybody. What is shown here may not be durable yet, and nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::reading::{
    Contact, Entry, EntryId, Event, EventKind, Fact, Measurement, Reading, StrapId, StrapInfo,
};
use crate::session::{ClassId, Classes, SessionSummary};

/// A strap not heard of for so long is not shown any more.
pub const GONE_AFTER: Duration = Duration::from_secs(60);

/// A strap not heard of for so long is not remembered any more.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Entries that a slow listener to the feed may lag behind before it misses some: two seconds of a large room.
const FEED: usize = 256;

/// How a strap is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Connected, notifications flow.
    Connected,
    /// By its advertisements only.
    Broadcast,
    /// Was connected, is not now.
    Lost,
}

/// One strap as it is now.
#[derive(Debug, Clone)]
pub struct Strap {
    /// How it is heard.
    pub link: Link,
    /// Last heart rate, with the moment it came; 0 bpm when the strap found no beat.
    pub heart_rate: Option<(u16, Contact, Instant)>,
    /// Last battery level in percent.
    pub battery_percent: Option<u8>,
    /// Last signal strength.
    pub rssi_dbm: Option<i16>,
    /// What it says of itself.
    pub info: StrapInfo,
    /// When anything was last heard of it.
    pub seen: Instant,
    /// Readings taken since the daemon started.
    pub readings: u64,
}

/// How a sink is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SinkState {
    /// Delivering, or nothing to deliver.
    Ok,
    /// The last attempt failed; another one comes by itself.
    Retrying {
        /// What the far side said.
        reason: String,
    },
    /// The far side takes nothing until somebody has mended something. It is asked again every hour.
    Parked {
        /// What has to be mended.
        reason: String,
    },
}

/// A sink as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct Sink {
    /// How it is doing.
    #[serde(flatten)]
    pub state: SinkState,
    /// Entries taken by the far side since the daemon started.
    pub delivered: u64,
    /// Entries that the far side refused for good.
    pub rejected: u64,
    /// First place that it has not had.
    pub next: EntryId,
    /// Places that drain behind the newest entries; 0 when there is one line only.
    pub backlog: u64,
}

/// An adapter as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// Address, by which it is known even when its name changes.
    pub address: String,
    /// Whether it is there and scanning.
    pub up: bool,
    /// Straps connected through it.
    pub links: usize,
}

/// A session that goes on.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// The class that it is part of.
    pub class: Option<ClassId>,
    /// What it sums up to so far.
    pub effort: SessionSummary,
}

/// Everything that is true now.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Straps by id.
    pub straps: BTreeMap<StrapId, Strap>,
    /// Sessions that go on, by strap.
    pub sessions: BTreeMap<StrapId, LiveSession>,
    /// Classes that run, and that ended not long ago.
    pub classes: Classes,
    /// How far the recorder has followed the log for these; `None` until it has come to its end.
    pub followed: Option<EntryId>,
    /// Sinks by name.
    pub sinks: BTreeMap<String, Sink>,
    /// Adapters by name (`hci0`).
    pub adapters: BTreeMap<String, Adapter>,
    /// Notifications that could not be decoded.
    pub malformed: u64,
    /// Notifications with bytes behind the last field.
    pub trailing: u64,
}

/// Keeps the snapshot, and passes on every entry as it is taken in.
#[derive(Debug, Clone)]
pub struct Board {
    snapshot: watch::Sender<Snapshot>,
    feed: broadcast::Sender<Arc<Entry>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { snapshot: watch::Sender::default(), feed: broadcast::Sender::new(FEED) }
    }
}

impl Board {
    /// The snapshot, to read and to wait on.
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.subscribe()
    }

    /// Every entry from now on. A listener that lags misses some; the log has them all.
    pub fn feed(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.feed.subscribe()
    }

    /// Shows an entry that was taken into the log.
    pub fn show(&self, entry: Entry) {
        self.snapshot.send_modify(|snapshot| match &entry.fact {
            Fact::Reading(reading) => snapshot.show_reading(reading),
            Fact::Event(event) => snapshot.show_event(event),
        });
        // No listener is fine.
        let _ = self.feed.send(Arc::new(entry));
    }

    /// Notes the signal strength of a strap that is known already.
    pub fn heard(&self, strap: &StrapId, rssi_dbm: Option<i16>) {
        self.snapshot.send_if_modified(|snapshot| {
            if let Some(strap) = snapshot.straps.get_mut(strap) {
                strap.rssi_dbm = rssi_dbm.or(strap.rssi_dbm);
            }
            // Not worth waking anybody.
            false
        });
    }

    /// Notes the sessions and classes that go on, as the log has them up to there.
    pub fn sessions(
        &self,
        sessions: BTreeMap<StrapId, LiveSession>,
        classes: Classes,
        followed: EntryId,
    ) {
        self.snapshot.send_modify(|snapshot| {
            snapshot.sessions = sessions;
            snapshot.classes = classes;
            snapshot.followed = Some(followed);
        });
    }

    /// Notes how a sink is doing.
    pub fn sink(&self, name: &str, change: impl FnOnce(&mut Sink)) {
        self.snapshot.send_modify(|snapshot| {
            let sink = snapshot.sinks.entry(name.to_owned()).or_insert(Sink {
                state: SinkState::Ok,
                delivered: 0,
                rejected: 0,
                next: EntryId::default(),
                backlog: 0,
            });
            change(sink);
        });
    }

    /// Notes how the adapters are doing.
    pub fn adapters(&self, adapters: BTreeMap<String, Adapter>) {
        self.snapshot.send_if_modified(|snapshot| {
            let changed = snapshot.adapters != adapters;
            snapshot.adapters = adapters;
            changed
        });
    }

    /// Forgets straps that have not been heard for a day, so that passers-by do not fill the memory.
    pub fn forget_old(&self) {
        self.snapshot.send_if_modified(|snapshot| {
            let before = snapshot.straps.len();
            snapshot.straps.retain(|_, strap| strap.seen.elapsed() < FORGET_AFTER);
            snapshot.straps.len() != before
        });
    }

    /// Counts a notification that could not be decoded.
    pub fn count_malformed(&self) {
        self.snapshot.send_modify(|snapshot| snapshot.malformed += 1);
    }

    /// Counts a notification with bytes too many.
    pub fn count_trailing(&self) {
        self.snapshot.send_modify(|snapshot| snapshot.trailing += 1);
    }
}

impl Snapshot {
    fn strap(&mut self, id: &StrapId, link: Link) -> &mut Strap {
        let now = Instant::now();
        let strap = self.straps.entry(id.clone()).or_insert_with(|| Strap {
            link,
            heart_rate: None,
            battery_percent: None,
            rssi_dbm: None,
            info: StrapInfo::default(),
            seen: now,
            readings: 0,
        });
        strap.seen = now;
        strap
    }

    fn show_reading(&mut self, reading: &Reading) {
        match &reading.measurement {
            Measurement::Battery(percent) => {
                self.strap(&reading.strap, Link::Connected).battery_percent = Some(*percent);
            }
            Measurement::HeartRate(heart_rate) => {
                let link = match heart_rate.source {
                    crate::reading::Source::Link => Link::Connected,
                    crate::reading::Source::Broadcast => Link::Broadcast,
                };
                let strap = self.strap(&reading.strap, link);
                strap.link = link;
                strap.heart_rate = Some((heart_rate.bpm, heart_rate.contact, strap.seen));
                strap.readings += 1;
            }
        }
    }

    fn show_event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StrapConnected { strap, info } => {
                let strap = self.strap(strap, Link::Connected);
                strap.link = Link::Connected;
                strap.info = (**info).clone();
            }
            EventKind::StrapLost { strap, .. } => {
                if let Some(strap) = self.straps.get_mut(strap) {
                    strap.link = Link::Lost;
                }
            }
            EventKind::Started { .. }
            | EventKind::Gap { .. }
            | EventKind::Activity(_)
            | EventKind::ClassBegan { .. }
            | EventKind::ClassEnded { .. }
            | EventKind::CheckedIn { .. }
            | EventKind::CheckedOut { .. }
            | EventKind::AthleteAgreed { .. }
            | EventKind::AthleteChanged { .. }
            | EventKind::AthleteWithdrew { .. }
            | EventKind::Requested { .. }
            | EventKind::Unknown => {}
        }
    }
}
