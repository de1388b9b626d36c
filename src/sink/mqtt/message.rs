//! What is published: one message, its fate, and how a batch of entries becomes messages. Pure; no client library.
//!
//! Readings travel in runs of consecutive ones on `batch`, each event alone on `event`, in the order of the log.

use tokio::sync::oneshot;

use super::broker::Topics;
use crate::format::samples;
use crate::normalize::Outgoing;
use crate::reading::{EntryId, Fact, Measurement};

/// Readings in one message.
const MOST_READINGS: usize = 500;

/// Bytes in one message: half of what the smallest of the large brokers takes (AWS IoT: 128 KiB).
pub(super) const MOST_BYTES: usize = 64 * 1024;

/// Delivery promise of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qos {
    /// May be lost.
    AtMostOnce,
    /// Acknowledged by the broker.
    AtLeastOnce,
}

/// Whether the broker keeps the message for later subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retain {
    No,
    Yes,
}

/// What a payload is, for brokers and receivers that ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Text,
    Json,
}

impl Content {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Json => "application/json",
        }
    }
}

/// Which entries a message carries; MQTT 5 sends it along as user properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) gateway: String,
    pub(super) first: EntryId,
    pub(super) count: usize,
}

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: Qos,
    pub(super) retain: Retain,
    pub(super) content: Content,
    pub(super) about: Option<About>,
}

/// Why the broker did not take a message, though the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// It may take it later.
    Later(String),
    /// It will take nothing of the kind until somebody has mended something.
    Denied(String),
    /// It will never take this one.
    ForGood(String),
}

/// A message on its way to the broker.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) message: Message,
    /// Told when the broker has answered; dropped when the connection ends before that.
    pub(super) done: Option<oneshot::Sender<Result<(), Refused>>>,
}

impl From<Message> for Publish {
    fn from(message: Message) -> Self {
        Self { message, done: None }
    }
}

/// The entries of one message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part<'a> {
    Readings(&'a [Outgoing]),
    Event(&'a Outgoing),
}

impl<'a> Part<'a> {
    pub(super) fn entries(self) -> &'a [Outgoing] {
        match self {
            Self::Readings(entries) => entries,
            Self::Event(event) => std::slice::from_ref(event),
        }
    }

    /// # Errors
    /// When an entry cannot be written as JSON.
    pub(super) fn message(self, gateway: &str, topics: &Topics) -> serde_json::Result<Message> {
        let (topic, payload) = match self {
            Self::Readings(entries) => {
                (topics.batch(), serde_json::to_vec(&samples::Batch::new(gateway, entries))?)
            }
            Self::Event(event) => {
                (topics.event(), serde_json::to_vec(&samples::sample(gateway, event))?)
            }
        };
        let entries = self.entries();
        let about = entries.first().map(|first| About {
            gateway: gateway.to_owned(),
            first: first.entry.id,
            count: entries.len(),
        });
        Ok(Message {
            topic,
            payload,
            qos: Qos::AtLeastOnce,
            retain: Retain::No,
            content: Content::Json,
            about,
        })
    }
}

/// Splits a batch into messages of at most `most_bytes`; a single entry is never split.
pub(super) fn parts<'a>(
    mut rest: &'a [Outgoing],
    gateway: &'a str,
    most_bytes: usize,
) -> impl Iterator<Item = Part<'a>> {
    std::iter::from_fn(move || {
        let first = rest.first()?;
        if matches!(first.entry.fact, Fact::Event(_)) {
            rest = &rest[1..];
            return Some(Part::Event(first));
        }
        let mut bytes = ENVELOPE + gateway.len();
        let fits = |outgoing: &&Outgoing| match &outgoing.entry.fact {
            Fact::Event(_) => false,
            Fact::Reading(reading) => {
                bytes += at_most(&reading.measurement) + gateway.len();
                bytes <= most_bytes
            }
        };
        let count = rest.iter().take(MOST_READINGS).take_while(fits).count().max(1);
        let (run, behind) = rest.split_at(count);
        rest = behind;
        Some(Part::Readings(run))
    })
}

/// `{"v":1,"gateway":"","readings":[]}`.
const ENVELOPE: usize = 40;

/// No reading is longer as JSON, its gateway aside. Reckoned instead of written, so that each one is written once.
fn at_most(measurement: &Measurement) -> usize {
    // All keys and the longest of all other values, see `samples`.
    const FIXED: usize = 288;
    // `1234.567,`, and twice that for the longest interval a strap can send: `63999.023,`.
    const RR: usize = 10;
    match measurement {
        Measurement::HeartRate(heart_rate) => FIXED + RR * heart_rate.rr.len(),
        Measurement::Battery(_) => FIXED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::outgoing;
    use crate::reading::{
        At, BootId, ClockTrust, Contact, Entry, Event, EventKind, HeartRate, Reading, RrInterval,
        Source, StrapId,
    };
    use crate::timeline::Timeline;

    fn at() -> At {
        At { boot: BootId(1), mono_us: 5, wall_offset_us: 1 << 50, trust: ClockTrust::Restored }
    }

    fn reading(id: u64, rr: usize) -> Outgoing {
        let measurement = Measurement::HeartRate(HeartRate {
            bpm: u16::MAX,
            contact: Contact::NotWorn,
            energy_kj: Some(u16::MAX),
            rr: vec![RrInterval(u16::MAX); rr],
            source: Source::Broadcast,
        });
        let strap = StrapId::new(&"F".repeat(32)).unwrap();
        let fact = Fact::Reading(Reading { strap, at: at(), measurement });
        outgoing(Entry { id: EntryId(id), fact }, &Timeline::default())
    }

    fn event(id: u64) -> Outgoing {
        let kind = EventKind::Started { version: "1".into() };
        let fact = Fact::Event(Event { at: at(), kind });
        outgoing(Entry { id: EntryId(id), fact }, &Timeline::default())
    }

    fn ids(part: Part<'_>) -> Vec<u64> {
        part.entries().iter().map(|outgoing| outgoing.entry.id.0).collect()
    }

    #[test]
    fn runs_of_readings_end_at_events_and_nothing_is_left_out() {
        let batch = [event(1), reading(2, 0), reading(3, 1), event(4), event(5), reading(9, 0)];
        let parts: Vec<_> = parts(&batch, "g", MOST_BYTES).collect();
        assert_eq!(
            parts.iter().map(|part| ids(*part)).collect::<Vec<_>>(),
            [vec![1], vec![2, 3], vec![4], vec![5], vec![9]]
        );
        assert!(matches!(parts[0], Part::Event(_)) && matches!(parts[1], Part::Readings(_)));
    }

    #[test]
    fn a_message_holds_500_readings_or_64_kib() {
        let gateway = "g".repeat(64);
        let batch: Vec<_> = (0..2000).map(|id| reading(id, (id % 40) as usize)).collect();
        let topics = Topics::new("p", &gateway);
        for most_bytes in [MOST_BYTES, 2000] {
            let mut next = 0;
            for part in parts(&batch, &gateway, most_bytes) {
                let length = part.message(&gateway, &topics).unwrap().payload.len();
                assert!(length <= most_bytes, "{length} bytes of at most {most_bytes}");
                assert!(length > most_bytes / 4 || next > 1900, "{length} bytes is wasteful");
                for id in ids(part) {
                    assert_eq!(id, next);
                    next += 1;
                }
            }
            assert_eq!(next, 2000);
        }
        let small: Vec<_> = (0..501).map(|id| reading(id, 0)).collect();
        let counts: Vec<_> = parts(&small, "g", 1 << 20).map(|part| part.entries().len()).collect();
        assert_eq!(counts, [500, 1]);
    }

    #[test]
    fn one_entry_larger_than_the_limit_still_travels() {
        let batch = [reading(1, 256), reading(2, 256)];
        assert_eq!(parts(&batch, "g", 100).map(ids).collect::<Vec<_>>(), [[1], [2]]);
    }

    #[test]
    fn a_message_says_which_entries_it_carries() {
        let batch = [reading(7, 0), reading(8, 0)];
        let message = Part::Readings(&batch).message("club", &Topics::new("a/b", "club")).unwrap();
        assert_eq!(message.topic, "a/b/club/batch");
        let about = About { gateway: "club".into(), first: EntryId(7), count: 2 };
        assert_eq!(message.about, Some(about));
        let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(json["readings"][1]["seq"], 8);
    }
}
