//! What is stored: chunks of facts, packed column by column, each a world of its own.
//!
//! A chunk holds entries of one class, one boot and one clock offset in the order of their ids, at most [`CHUNK_MAX`]
//! bytes. It begins with a magic number and carries its length and a CRC, so that chunks can be found in a damaged file.
//!
//! ```text
//! magic 4 | crc32 4 | version 1 | length 2 | first id 8 | count 2 | boot 16 | wall offset 8 | trust 1 | mono 8
//! class 1 | last id minus first id 4                                                         (since version 2)
//! strap names: count 1, then (length 1, bytes) each
//! columns, each with its length as varint: strap, head, time, heart rate, rr, energy, events, skips (since version 2)
//! ```
//!
//! Skips tell where ids are left out, because they belong to another class: pairs of varints, entries since the last
//! skip and ids left out. Version 1 had neither classes nor skips: one run of ids, all kinds of facts in one chunk.
//!
//! Integers are little endian. `crc32` covers everything behind itself. Times, heart rates, RR intervals and energy
//! are zigzag varint differences to the value before (of the same strap, but for the time). One heart rate with
//! one RR interval at 1 Hz takes 7 to 8 bytes.

mod decode;

use super::varint::{put_signed, put_unsigned};
use crate::reading::{
    At, Class, ClockTrust, Contact, EntryId, EventKind, Fact, HeartRate, Measurement, Reading,
    Source, StrapId,
};

pub use decode::{Header, decode, header};
pub(super) use decode::{body, decode_body, length};

/// Largest stored chunk in bytes. sled keeps larger pages in files that it never syncs.
pub const CHUNK_MAX: usize = 4096;

/// What the journal puts before a chunk.
pub(super) const JOURNAL_HEAD: usize = 18;

/// A chunk is full at this size: it fits into a page of the journal.
const FULL: usize = CHUNK_MAX - JOURNAL_HEAD;

/// First bytes of every chunk.
pub const MAGIC: [u8; 4] = *b"PGc\x01";

/// The version written; every version up to this one is read.
pub const VERSION: u8 = 2;

/// Straps in one chunk; 0 in the strap column means "none".
const STRAPS_MAX: usize = 250;
/// Magic and checksum.
const SEAL: usize = 8;
const HEADER_1: usize = SEAL + 1 + 2 + 8 + 2 + 16 + 8 + 1 + 8;
const HEADER: usize = HEADER_1 + 1 + 4;
const COLUMNS: usize = 8;
/// Lengths of the columns, two bytes each at most for a chunk of this size, and the strap count.
const FRAME: usize = HEADER + 1 + COLUMNS * 2;
/// An event's text is cut by its maker; this is the last line of defence.
const EVENT_MAX: usize = 2048;

const KIND_HEART_RATE: u8 = 0;
const KIND_BATTERY: u8 = 1;
const KIND_EVENT: u8 = 2;
const KIND_MASK: u8 = 0b111;
const CONTACT_SHIFT: u8 = 3;
const BROADCAST: u8 = 1 << 5;
const ENERGY: u8 = 1 << 6;
/// Set unless there is exactly one RR interval; then their number comes first in the RR column.
const RR_COUNTED: u8 = 1 << 7;

/// Why bytes are no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Cut short, or not one of ours.
    #[error("not a chunk")]
    NotAChunk,
    /// Bits have changed since it was written.
    #[error("checksum differs")]
    Checksum,
    /// Written by a later release.
    #[error("chunk version {0} is newer than this program reads ({VERSION})")]
    TooNew(u8),
    /// The checksum fits, the contents do not: a fault in the writer.
    #[error("chunk contents make no sense: {0}")]
    Contents(&'static str),
}

#[derive(Debug, Default, Clone, Copy)]
struct Previous {
    bpm: i64,
    rr: i64,
    energy: i64,
}

/// A chunk being filled.
#[derive(Debug)]
pub struct ChunkBuilder {
    class: Class,
    limit: usize,
    first: EntryId,
    next: EntryId,
    count: u16,
    /// Entries before the last skip.
    skipped_at: u16,
    opened: At,
    mono_us: u64,
    straps: Vec<(StrapId, Previous)>,
    names: usize,
    /// The strap of the newest reading: straps send in turn, so the next one is likely to be behind it.
    turn: usize,
    columns: Columns,
}

#[derive(Debug, Default, Clone)]
struct Columns {
    strap: Vec<u8>,
    head: Vec<u8>,
    time: Vec<u8>,
    heart_rate: Vec<u8>,
    rr: Vec<u8>,
    energy: Vec<u8>,
    events: Vec<u8>,
    skips: Vec<u8>,
}

impl Columns {
    fn all(&self) -> [&Vec<u8>; COLUMNS] {
        [
            &self.strap,
            &self.head,
            &self.time,
            &self.heart_rate,
            &self.rr,
            &self.energy,
            &self.events,
            &self.skips,
        ]
    }

    fn lengths(&self) -> [usize; COLUMNS] {
        self.all().map(Vec::len)
    }

    fn truncate(&mut self, lengths: [usize; COLUMNS]) {
        let columns = [
            &mut self.strap,
            &mut self.head,
            &mut self.time,
            &mut self.heart_rate,
            &mut self.rr,
            &mut self.energy,
            &mut self.events,
            &mut self.skips,
        ];
        for (column, length) in columns.into_iter().zip(lengths) {
            column.truncate(length);
        }
    }
}

impl ChunkBuilder {
    /// An empty chunk for entries from `first` on, of its class and stamped like it.
    pub fn new(first: EntryId, fact: &Fact) -> Self {
        Self::with_limit(first, fact, FULL)
    }

    /// The same, for a chunk of at most so many bytes.
    pub(super) fn with_limit(first: EntryId, fact: &Fact, limit: usize) -> Self {
        let at = fact.at();
        Self {
            class: fact.class(),
            limit: limit.min(FULL),
            first,
            next: first,
            count: 0,
            skipped_at: 0,
            opened: *at,
            mono_us: at.mono_us,
            straps: Vec::new(),
            names: 0,
            turn: 0,
            columns: Columns::default(),
        }
    }

    /// Place of the first entry.
    pub fn first(&self) -> EntryId {
        self.first
    }

    /// Adds a fact, if it belongs into this chunk and fits; says whether it did.
    pub fn push(&mut self, id: EntryId, fact: &Fact) -> bool {
        let at = fact.at();
        let same_clock = at.boot == self.opened.boot
            && at.wall_offset_us == self.opened.wall_offset_us
            && at.trust == self.opened.trust;
        let skipped = id.0.checked_sub(self.next.0);
        let in_reach = u32::try_from(id.0.wrapping_sub(self.first.0)).is_ok();
        let (Some(skipped), true, true) = (skipped, in_reach, same_clock) else { return false };
        if fact.class() != self.class || self.count == u16::MAX || (self.count == 0 && skipped > 0)
        {
            return false;
        }
        let lengths = self.columns.lengths();
        let (straps, names) = (self.straps.len(), self.names);
        let slot = self.slot_of(fact);
        let before = self.straps.get(slot).map(|(_, previous)| *previous);
        if skipped > 0 {
            put_unsigned(&mut self.columns.skips, (self.count - self.skipped_at).into());
            put_unsigned(&mut self.columns.skips, skipped);
        }
        if !self.write(fact, at, slot) || self.len() > self.limit {
            // Take it back to the last byte: the chunk is stored as it was.
            self.columns.truncate(lengths);
            self.straps.truncate(straps);
            self.names = names;
            if let Some(previous) = before {
                self.straps[slot].1 = previous;
            }
            return false;
        }
        if skipped > 0 {
            self.skipped_at = self.count;
        }
        self.mono_us = at.mono_us;
        self.count += 1;
        self.next = id.plus(1);
        true
    }

    /// The place of the fact's strap among the straps: behind the last one, if it is new or there is none.
    fn slot_of(&self, fact: &Fact) -> usize {
        let known = self.straps.len();
        let Fact::Reading(reading) = fact else { return known };
        let behind = (self.turn + 1).min(known);
        let mut slots = (behind..known).chain(0..behind);
        slots.find(|&slot| self.straps[slot].0 == reading.strap).unwrap_or(known)
    }

    fn write(&mut self, fact: &Fact, at: &At, slot: usize) -> bool {
        put_signed(&mut self.columns.time, at.mono_us.wrapping_sub(self.mono_us).cast_signed());
        match fact {
            Fact::Reading(reading) => self.write_reading(reading, slot),
            Fact::Event(event) => self.write_event(&event.kind),
        }
    }

    fn write_event(&mut self, kind: &EventKind) -> bool {
        let Ok(text) = serde_json::to_vec(kind) else { return false };
        if text.len() > EVENT_MAX {
            return false;
        }
        self.columns.strap.push(0);
        self.columns.head.push(KIND_EVENT);
        put_unsigned(&mut self.columns.events, text.len() as u64);
        self.columns.events.extend_from_slice(&text);
        true
    }

    fn write_reading(&mut self, reading: &Reading, slot: usize) -> bool {
        if slot == STRAPS_MAX {
            return false;
        }
        if slot == self.straps.len() {
            self.names += 1 + reading.strap.as_str().len();
            self.straps.push((reading.strap.clone(), Previous::default()));
        }
        self.turn = slot;
        let columns = &mut self.columns;
        // Below 251 by STRAPS_MAX.
        columns.strap.push((slot + 1) as u8);
        let previous = &mut self.straps[slot].1;
        match &reading.measurement {
            Measurement::Battery(percent) => {
                columns.head.push(KIND_BATTERY);
                columns.energy.push(*percent);
            }
            Measurement::HeartRate(heart_rate) => {
                columns.head.push(head(heart_rate));
                let bpm = i64::from(heart_rate.bpm);
                put_signed(&mut columns.heart_rate, bpm - previous.bpm);
                previous.bpm = bpm;
                if heart_rate.rr.len() != 1 {
                    put_unsigned(&mut columns.rr, heart_rate.rr.len() as u64);
                }
                for rr in &heart_rate.rr {
                    let rr = i64::from(rr.0);
                    put_signed(&mut columns.rr, rr - previous.rr);
                    previous.rr = rr;
                }
                if let Some(energy) = heart_rate.energy_kj.map(i64::from) {
                    put_signed(&mut columns.energy, energy - previous.energy);
                    previous.energy = energy;
                }
            }
        }
        true
    }

    /// Most bytes that the chunk takes as it stands; stored it is up to seven shorter.
    pub fn len(&self) -> usize {
        FRAME + self.names + self.columns.lengths().iter().sum::<usize>()
    }

    /// Whether it holds nothing yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The chunk as stored. Filling may go on afterwards; the longer chunk then replaces this one.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.push(VERSION);
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.opened.boot.0.to_le_bytes());
        bytes.extend_from_slice(&self.opened.wall_offset_us.to_le_bytes());
        bytes.push(match self.opened.trust {
            ClockTrust::Unset => 0,
            ClockTrust::Restored => 1,
            ClockTrust::Synced => 2,
        });
        bytes.extend_from_slice(&self.opened.mono_us.to_le_bytes());
        bytes.push(match self.class {
            Class::Readings => 0,
            Class::Events => 1,
        });
        // Within 32 bits by `push`.
        let span = self.next.0.saturating_sub(self.first.0).saturating_sub(1) as u32;
        bytes.extend_from_slice(&span.to_le_bytes());
        bytes.push(self.straps.len() as u8);
        for (strap, _) in &self.straps {
            bytes.push(strap.as_str().len() as u8);
            bytes.extend_from_slice(strap.as_str().as_bytes());
        }
        for column in self.columns.all() {
            put_unsigned(&mut bytes, column.len() as u64);
            bytes.extend_from_slice(column);
        }
        // At most CHUNK_MAX by `push`.
        let length = (bytes.len() as u16).to_le_bytes();
        bytes[9..11].copy_from_slice(&length);
        let crc = crc32fast::hash(&bytes[8..]).to_le_bytes();
        bytes[4..8].copy_from_slice(&crc);
        bytes
    }
}

fn head(heart_rate: &HeartRate) -> u8 {
    let contact = match heart_rate.contact {
        Contact::Unknown => 0,
        Contact::NotWorn => 1,
        Contact::Worn => 2,
    };
    let mut head = KIND_HEART_RATE | contact << CONTACT_SHIFT;
    if heart_rate.source == Source::Broadcast {
        head |= BROADCAST;
    }
    if heart_rate.energy_kj.is_some() {
        head |= ENERGY;
    }
    if heart_rate.rr.len() != 1 {
        head |= RR_COUNTED;
    }
    head
}

/// Whether an event's text is short enough to be stored.
pub(super) fn event_fits(kind: &EventKind) -> bool {
    serde_json::to_vec(kind).is_ok_and(|text| text.len() <= EVENT_MAX)
}
