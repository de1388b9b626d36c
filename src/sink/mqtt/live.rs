//! What is shown of the present while there is a connection: heart rates at once, straps, health. No promise: what the
//! broker misses here it gets from the log, or with the next value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::debug;

use super::broker::Topics;
use super::documents::{Health, Info, StrapInfo, Straps, V, Waiting, load1, rss_kb};
use super::message::{Content, Message, Publish, Qos, Retain};
use crate::format::samples;
use crate::live::{Link, Strap};
use crate::normalize;
use crate::reading::{Entry, Fact, Measurement, StrapId};
use crate::sink::Context;

/// What changes without an event (a battery) is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const HEALTH_EVERY: Duration = Duration::from_secs(60);

/// Whether heart rates are shown one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeartRates {
    Shown,
    Hidden,
}

/// Shows what is true now.
pub(super) struct Live {
    sink: String,
    context: Context,
    topics: Topics,
    heart_rates: HeartRates,
    started: Instant,
}

/// What a strap's retained topics say, as far as this connection has told them.
#[derive(Debug, Default, PartialEq)]
struct Told {
    online: bool,
    info: Vec<u8>,
}

impl Live {
    pub(super) fn new(
        sink: &str,
        context: &Context,
        topics: &Topics,
        heart_rates: HeartRates,
    ) -> Self {
        Self {
            sink: sink.to_owned(),
            context: context.clone(),
            topics: topics.clone(),
            heart_rates,
            started: Instant::now(),
        }
    }

    /// Name of the sink, for the log.
    pub(super) fn sink(&self) -> &str {
        &self.sink
    }

    /// Who the box is.
    pub(super) fn info(&self) -> Message {
        let version = env!("CARGO_PKG_VERSION");
        let info = Info { v: V, gateway: &self.context.gateway, version };
        json(self.topics.info(), &info, Qos::AtLeastOnce, Retain::Yes)
    }

    /// Shows what happens until the queue is closed.
    pub(super) async fn show(&self, queue: &mpsc::Sender<Publish>) {
        let mut feed = self.context.board.feed();
        let mut look = interval(LOOK_EVERY);
        let mut minute = interval(HEALTH_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = BTreeMap::new();
        let mut missed: u64 = 0;
        loop {
            tokio::select! {
                entry = feed.recv() => match entry {
                    Ok(entry) if matches!(entry.fact, Fact::Event(_)) => {
                        self.show_straps(queue, &mut told).await;
                    }
                    Ok(entry) => {
                        // Never waits: a value that comes late is worth nothing.
                        if let Some(message) = self.heart_rate(&entry) {
                            missed += u64::from(queue.try_send(message.into()).is_err());
                        }
                    }
                    Err(RecvError::Lagged(count)) => missed += count,
                    Err(RecvError::Closed) => return,
                },
                _ = look.tick() => self.show_straps(queue, &mut told).await,
                _ = minute.tick() => {
                    if missed > 0 {
                        debug!(sink = self.sink, missed, "live values not shown; the log has them");
                        missed = 0;
                    }
                    send(queue, self.health()).await;
                }
            }
            if queue.is_closed() {
                return;
            }
        }
    }

    fn heart_rate(&self, entry: &Arc<Entry>) -> Option<Message> {
        if self.heart_rates == HeartRates::Hidden {
            return None;
        }
        let Fact::Reading(reading) = &entry.fact else { return None };
        let Measurement::HeartRate(_) = &reading.measurement else { return None };
        let topic = self.topics.strap(reading.strap.as_str(), "hr");
        let timeline = self.context.buffer.timeline();
        let outgoing = normalize::outgoing(Entry::clone(entry), &timeline.borrow());
        let sample = samples::sample(&self.context.gateway, &outgoing);
        Some(json(topic, &sample, Qos::AtMostOnce, Retain::No))
    }

    /// Tells what has changed of the straps that are or were connected. From the board, not from single events: a
    /// missed event then cannot leave a strap online for ever. Straps heard only by their advertisements have no state:
    /// nothing ever says that they went.
    async fn show_straps(&self, queue: &mpsc::Sender<Publish>, told: &mut BTreeMap<StrapId, Told>) {
        for message in self.changes(told) {
            send(queue, message).await;
        }
    }

    fn changes(&self, told: &mut BTreeMap<StrapId, Told>) -> Vec<Message> {
        let watch = self.context.board.watch();
        let snapshot = watch.borrow();
        let mut messages = Vec::new();
        for (id, strap) in &snapshot.straps {
            if strap.link == Link::Broadcast && !told.contains_key(id) {
                continue;
            }
            let online = strap.link == Link::Connected;
            match told.get_mut(id) {
                Some(told) if told.online == online => {}
                Some(told) => {
                    told.online = online;
                    messages.push(self.strap_state(id, online));
                }
                None => {
                    told.insert(id.clone(), Told { online, info: Vec::new() });
                    messages.push(self.strap_state(id, online));
                }
            }
            messages.extend(self.strap_info(id, strap, told));
        }
        for (id, told) in told.iter_mut() {
            if told.online && !snapshot.straps.contains_key(id) {
                told.online = false;
                messages.push(self.strap_state(id, false));
            }
        }
        messages
    }

    fn strap_state(&self, id: &StrapId, online: bool) -> Message {
        let word = if online { "online" } else { "offline" };
        Message {
            topic: self.topics.strap(id.as_str(), "state"),
            payload: word.into(),
            qos: Qos::AtLeastOnce,
            retain: Retain::Yes,
            content: Content::Text,
            about: None,
        }
    }

    /// What a strap is, when that is news. Its signal strength alone is none: it changes with every breath.
    fn strap_info(
        &self,
        id: &StrapId,
        strap: &Strap,
        told: &mut BTreeMap<StrapId, Told>,
    ) -> Option<Message> {
        let gateway = &self.context.gateway;
        let mut steady = strap.clone();
        steady.rssi_dbm = None;
        let news = to_json(&StrapInfo::new(gateway, id, &steady));
        let told = told.get_mut(id)?;
        if told.info == news {
            return None;
        }
        told.info = news;
        let topic = self.topics.strap(id.as_str(), "info");
        Some(json(topic, &StrapInfo::new(gateway, id, strap), Qos::AtMostOnce, Retain::Yes))
    }

    fn health(&self) -> Message {
        let snapshot = self.context.board.watch().borrow().clone();
        let waiting = Waiting::new(&self.context.buffer.state().borrow(), &self.sink);
        // Made by the kernel as they are read: no disk to wait for.
        let proc = |path| std::fs::read_to_string(path).ok();
        let health = Health {
            v: V,
            gateway: &self.context.gateway,
            ts: samples::rfc3339(jiff::Timestamp::now().as_microsecond()),
            uptime_s: self.started.elapsed().as_secs(),
            rss_kb: proc("/proc/self/status").as_deref().and_then(rss_kb),
            load1: proc("/proc/loadavg").as_deref().and_then(load1),
            buffer: waiting,
            sinks: &snapshot.sinks,
            straps: Straps::new(&snapshot),
        };
        json(self.topics.health(), &health, Qos::AtLeastOnce, Retain::Yes)
    }
}

async fn send(queue: &mpsc::Sender<Publish>, message: Message) {
    // Fails when the client has ended; the next connection tells everything anew.
    let _ = queue.send(message.into()).await;
}

fn json(topic: String, value: &impl Serialize, qos: Qos, retain: Retain) -> Message {
    Message { topic, payload: to_json(value), qos, retain, content: Content::Json, about: None }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs with text keys can always be written")
}
