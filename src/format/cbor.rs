//! A batch of readings as CBOR (RFC 8949): what [`samples`](super::samples) says, in a fifth of the bytes.
//!
//! For links that are paid by the byte. There are no names, places have meanings; times count from the first of the batch,
//! straps are numbered, RR intervals are as the strap sent them (1/1024 s), so nothing is rounded.
//!
//! ```text
//! batch      = [1, gateway: text, first_seq: uint, base_ms: int, straps: [* text], entries: [* entry]]
//! entry      = heart-rate / battery / event
//! heart-rate = [0, seq, at, quality, strap: uint, bpm: uint / null, contact, source, suspect: bool, kj: uint / null, [* rr: uint]]
//! battery    = [1, seq, at, quality, strap: uint, percent: uint]
//! event      = [2, seq, at, quality, json: text]
//! ```
//!
//! `seq` counts from `first_seq`, `at` in milliseconds from `base_ms` (Unix time), `strap` is a place in `straps`.
//! `quality`: 0 synced, 1 corrected, 2 bounded, 3 restored, 4 unset. `contact`: null unknown, false not worn, true worn.
//! `source`: 0 link, 1 broadcast. An event is its JSON object, from `event` on. The leading 1 is the version: within it
//! entries may become longer at their end, and further kinds of entries may come; a reader passes over both.

use serde::{Serialize, Serializer};

use crate::normalize::Outgoing;
use crate::reading::{
    Contact, EventKind, Fact, HeartRate, Measurement, RrInterval, Source, StrapId,
};
use crate::timeline::TimeQuality;

/// Version of this format.
const V: u8 = 1;

/// A batch of these entries, in the order of `seq`.
pub fn batch(gateway: &str, entries: &[Outgoing]) -> Vec<u8> {
    let mut straps: Vec<&str> = entries.iter().filter_map(strap).map(StrapId::as_str).collect();
    straps.sort_unstable();
    straps.dedup();
    let first = entries.first();
    let base = Base {
        seq: first.map_or(0, |entry| entry.entry.id.0),
        ms: first.map_or(0, |entry| entry.unix_us.div_euclid(1000)),
        straps: &straps,
    };
    let told: Vec<Entry<'_>> = entries.iter().map(|outgoing| base.entry(outgoing)).collect();
    let mut bytes = Vec::with_capacity(64 + entries.len() * 24);
    ciborium::into_writer(&(V, gateway, base.seq, base.ms, &straps, &told), &mut bytes)
        .expect("writing numbers and text into memory does not fail");
    bytes
}

fn strap(outgoing: &Outgoing) -> Option<&StrapId> {
    match &outgoing.entry.fact {
        Fact::Reading(reading) => Some(&reading.strap),
        Fact::Event(_) => None,
    }
}

/// What every entry begins with: its kind, then `seq`, `at` and `quality`.
type Beginning = (u8, u64, i64, u8);

enum Entry<'a> {
    HeartRate { begin: Beginning, strap: usize, suspect: bool, heart_rate: &'a HeartRate },
    Battery { begin: Beginning, strap: usize, percent: u8 },
    Event { begin: Beginning, kind: &'a EventKind },
}

/// What entries are told relative to.
struct Base<'a> {
    seq: u64,
    ms: i64,
    /// In order.
    straps: &'a [&'a str],
}

impl Base<'_> {
    fn entry<'a>(&self, outgoing: &'a Outgoing) -> Entry<'a> {
        let quality = match outgoing.quality {
            TimeQuality::Synced => 0,
            TimeQuality::Corrected => 1,
            TimeQuality::Bounded => 2,
            TimeQuality::Restored => 3,
            TimeQuality::Unset => 4,
        };
        let seq = outgoing.entry.id.0.saturating_sub(self.seq);
        let at = outgoing.unix_us.div_euclid(1000).saturating_sub(self.ms);
        let begin = |kind| (kind, seq, at, quality);
        let reading = match &outgoing.entry.fact {
            Fact::Event(event) => return Entry::Event { begin: begin(2), kind: &event.kind },
            Fact::Reading(reading) => reading,
        };
        let place = self.straps.binary_search(&reading.strap.as_str());
        let strap = place.expect("the list was made of these entries");
        match &reading.measurement {
            Measurement::HeartRate(heart_rate) => {
                Entry::HeartRate { begin: begin(0), strap, suspect: outgoing.suspect, heart_rate }
            }
            Measurement::Battery(percent) => {
                Entry::Battery { begin: begin(1), strap, percent: *percent }
            }
        }
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Battery { begin: (kind, seq, at, quality), strap, percent } => {
                (kind, seq, at, quality, strap, percent).serialize(serializer)
            }
            Self::Event { begin: (code, seq, at, quality), kind } => {
                let json = serde_json::to_string(kind).map_err(serde::ser::Error::custom)?;
                (code, seq, at, quality, json).serialize(serializer)
            }
            Self::HeartRate { begin: (kind, seq, at, quality), strap, suspect, heart_rate } => {
                let bpm = (heart_rate.bpm != 0).then_some(heart_rate.bpm);
                let contact = match heart_rate.contact {
                    Contact::Unknown => None,
                    Contact::NotWorn => Some(false),
                    Contact::Worn => Some(true),
                };
                let source = match heart_rate.source {
                    Source::Link => 0u8,
                    Source::Broadcast => 1,
                };
                let rr: Vec<u16> = heart_rate.rr.iter().map(|RrInterval(rr)| *rr).collect();
                let kj = heart_rate.energy_kj;
                (kind, seq, at, quality, strap, bpm, contact, source, suspect, kj, rr)
                    .serialize(serializer)
            }
        }
    }
}
