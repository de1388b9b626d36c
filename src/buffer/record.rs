//! What is stored: chunks of facts, packed column by column, each a world of its own.
//!
//! A chunk holds consecutive entries of one boot under one clock offset, at most [`CHUNK_MAX`] bytes. It begins
//! with a magic number and carries its length and a CRC, so that chunks can be found in a damaged file.
//!
//! ```text
//! magic 4 | crc32 4 | version 1 | length 2 | first id 8 | count 2 | boot 16 | wall offset 8 | trust 1 | mono 8
//! strap names: count 1, then (length 1, bytes) each
//! columns, each with its length as varint: strap, head, time, heart rate, rr, energy, events
//! ```
//!
//! Integers are little endian. `crc32` covers everything behind itself. Times, heart rates, RR intervals and energy
//! are zigzag varint differences to the value before (of the same strap, but for the time). One heart rate with
//! one RR interval at 1 Hz takes 7 to 8 bytes.

use super::varint::{Reader, put_signed, put_unsigned};
use crate::reading::{
    At, BootId, ClockTrust, Contact, Entry, EntryId, Event, EventKind, Fact, HeartRate,
    Measurement, Reading, RrInterval, STRAP_ID_MAX, Source, StrapId,
};

/// Largest stored chunk in bytes. sled keeps larger pages in files that it never syncs.
pub const CHUNK_MAX: usize = 4096;

/// First bytes of every chunk.
pub const MAGIC: [u8; 4] = *b"PGc\x01";

/// The version written; every version up to this one is read.
pub const VERSION: u8 = 1;

/// Straps in one chunk; 0 in the strap column means "none".
const STRAPS_MAX: usize = 250;
const HEADER: usize = 4 + 4 + 1 + 2 + 8 + 2 + 16 + 8 + 1 + 8;
/// Lengths of the seven columns, two bytes each at most for a chunk of this size, and the strap count.
const FRAME: usize = HEADER + 1 + 7 * 2;
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
    first: EntryId,
    count: u16,
    opened: At,
    mono_us: u64,
    straps: Vec<(StrapId, Previous)>,
    names: usize,
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
}

impl Columns {
    fn all(&self) -> [&Vec<u8>; 7] {
        [
            &self.strap,
            &self.head,
            &self.time,
            &self.heart_rate,
            &self.rr,
            &self.energy,
            &self.events,
        ]
    }

    fn lengths(&self) -> [usize; 7] {
        self.all().map(Vec::len)
    }

    fn truncate(&mut self, lengths: [usize; 7]) {
        let columns = [
            &mut self.strap,
            &mut self.head,
            &mut self.time,
            &mut self.heart_rate,
            &mut self.rr,
            &mut self.energy,
            &mut self.events,
        ];
        for (column, length) in columns.into_iter().zip(lengths) {
            column.truncate(length);
        }
    }
}

impl ChunkBuilder {
    /// An empty chunk for entries from `first` on, stamped like `at`.
    pub fn new(first: EntryId, at: &At) -> Self {
        Self {
            first,
            count: 0,
            opened: *at,
            mono_us: at.mono_us,
            straps: Vec::new(),
            names: 0,
            columns: Columns::default(),
        }
    }

    /// Place of the first entry.
    pub fn first(&self) -> EntryId {
        self.first
    }

    /// Place behind the last entry.
    pub fn next(&self) -> EntryId {
        self.first.plus(self.count.into())
    }

    /// Adds a fact, if it belongs into this chunk and fits; says whether it did.
    pub fn push(&mut self, id: EntryId, fact: &Fact) -> bool {
        let at = fact.at();
        let same_clock = at.boot == self.opened.boot
            && at.wall_offset_us == self.opened.wall_offset_us
            && at.trust == self.opened.trust;
        if id != self.next() || !same_clock || self.count == u16::MAX {
            return false;
        }
        let lengths = self.columns.lengths();
        let (straps, names) = (self.straps.len(), self.names);
        let before = self.strap_of(fact).and_then(|slot| self.straps.get(slot)).map(|(_, p)| *p);
        if !self.write(fact, at) || self.len() > CHUNK_MAX {
            // Take it back to the last byte: the chunk is stored as it was.
            self.columns.truncate(lengths);
            self.straps.truncate(straps);
            self.names = names;
            if let (Some(slot), Some(previous)) = (self.strap_of(fact), before) {
                self.straps[slot].1 = previous;
            }
            return false;
        }
        self.mono_us = at.mono_us;
        self.count += 1;
        true
    }

    fn strap_of(&self, fact: &Fact) -> Option<usize> {
        let Fact::Reading(reading) = fact else { return None };
        self.straps.iter().position(|(strap, _)| *strap == reading.strap)
    }

    fn write(&mut self, fact: &Fact, at: &At) -> bool {
        put_signed(&mut self.columns.time, at.mono_us.wrapping_sub(self.mono_us).cast_signed());
        match fact {
            Fact::Reading(reading) => self.write_reading(reading),
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

    fn write_reading(&mut self, reading: &Reading) -> bool {
        let slot = self.straps.iter().position(|(strap, _)| *strap == reading.strap);
        let slot = match slot {
            Some(slot) => slot,
            None if self.straps.len() == STRAPS_MAX => return false,
            None => {
                self.names += 1 + reading.strap.as_str().len();
                self.straps.push((reading.strap.clone(), Previous::default()));
                self.straps.len() - 1
            }
        };
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

/// Reads a stored chunk.
///
/// # Errors
/// Whatever is wrong with it; no input panics or allocates more than a few times its own size.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, ChunkError> {
    use ChunkError::{Checksum, Contents, NotAChunk, TooNew};
    if bytes.len() < HEADER || bytes[..4] != MAGIC {
        return Err(NotAChunk);
    }
    if usize::from(u16::from_le_bytes([bytes[9], bytes[10]])) != bytes.len() {
        return Err(NotAChunk);
    }
    if crc32fast::hash(&bytes[8..]).to_le_bytes() != bytes[4..8] {
        return Err(Checksum);
    }
    if bytes[8] > VERSION {
        return Err(TooNew(bytes[8]));
    }
    let mut rest = Reader::new(&bytes[11..]);
    let cut = Contents("cut short");
    let first = EntryId(u64::from_le_bytes(rest.array().ok_or(cut)?));
    let count = u16::from_le_bytes(rest.array().ok_or(cut)?);
    let boot = BootId(u128::from_le_bytes(rest.array().ok_or(cut)?));
    let wall_offset_us = i64::from_le_bytes(rest.array().ok_or(cut)?);
    let trust = match rest.byte().ok_or(cut)? {
        0 => ClockTrust::Unset,
        1 => ClockTrust::Restored,
        2 => ClockTrust::Synced,
        _ => return Err(Contents("clock trust")),
    };
    let mono_us = u64::from_le_bytes(rest.array().ok_or(cut)?);
    let mut straps = Vec::new();
    for _ in 0..rest.byte().ok_or(cut)? {
        let length = usize::from(rest.byte().ok_or(cut)?);
        let name = rest.bytes(length).ok_or(cut)?;
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= STRAP_ID_MAX);
        let strap = name.and_then(|name| StrapId::new(name).ok()).ok_or(Contents("strap id"))?;
        straps.push((strap, Previous::default()));
    }
    let mut columns = [(); 7].map(|()| Reader::new(&[]));
    for column in &mut columns {
        let length = rest.unsigned().and_then(|length| usize::try_from(length).ok()).ok_or(cut)?;
        *column = Reader::new(rest.bytes(length).ok_or(cut)?);
    }
    let mut decoder = Decoder { columns, straps, at: At { boot, mono_us, wall_offset_us, trust } };
    (0..u64::from(count)).map(|n| Ok(Entry { id: first.plus(n), fact: decoder.fact()? })).collect()
}

struct Decoder<'a> {
    columns: [Reader<'a>; 7],
    straps: Vec<(StrapId, Previous)>,
    at: At,
}

impl Decoder<'_> {
    fn fact(&mut self) -> Result<Fact, ChunkError> {
        use ChunkError::Contents;
        let [strap, head, time, heart_rate, rr, energy, events] = &mut self.columns;
        let strap = strap.byte().ok_or(Contents("strap column"))?;
        let head = head.byte().ok_or(Contents("head column"))?;
        let delta = time.signed().ok_or(Contents("time column"))?;
        self.at.mono_us = self.at.mono_us.wrapping_add_signed(delta);
        if head & KIND_MASK == KIND_EVENT {
            let length = events.unsigned().and_then(|length| usize::try_from(length).ok());
            let text =
                length.and_then(|length| events.bytes(length)).ok_or(Contents("event column"))?;
            let kind = serde_json::from_slice(text).map_err(|_| Contents("event text"))?;
            return Ok(Fact::Event(Event { at: self.at, kind }));
        }
        let slot = usize::from(strap).checked_sub(1).and_then(|slot| self.straps.get_mut(slot));
        let (strap, previous) = slot.ok_or(Contents("strap number"))?;
        let measurement = match head & KIND_MASK {
            KIND_BATTERY => Measurement::Battery(energy.byte().ok_or(Contents("battery"))?),
            KIND_HEART_RATE => {
                let bpm =
                    step(heart_rate, &mut previous.bpm).ok_or(Contents("heart rate column"))?;
                let count = if head & RR_COUNTED == 0 { Some(1) } else { rr.unsigned() };
                // Each takes a byte at least: a count beyond that is a lie, and must not allocate.
                let count = count.filter(|&count| count <= rr.left() as u64);
                let rr = (0..count.ok_or(Contents("number of RR intervals"))?)
                    .map(|_| step(rr, &mut previous.rr).map(RrInterval))
                    .collect::<Option<Vec<_>>>()
                    .ok_or(Contents("RR column"))?;
                let energy_kj = if head & ENERGY == 0 {
                    None
                } else {
                    Some(step(energy, &mut previous.energy).ok_or(Contents("energy column"))?)
                };
                let contact = match (head >> CONTACT_SHIFT) & 0b11 {
                    0 => Contact::Unknown,
                    1 => Contact::NotWorn,
                    2 => Contact::Worn,
                    _ => return Err(Contents("contact")),
                };
                let source = if head & BROADCAST == 0 { Source::Link } else { Source::Broadcast };
                Measurement::HeartRate(HeartRate { bpm, contact, energy_kj, rr, source })
            }
            _ => return Err(Contents("kind of entry")),
        };
        Ok(Fact::Reading(Reading { strap: strap.clone(), at: self.at, measurement }))
    }
}

fn step(column: &mut Reader<'_>, previous: &mut i64) -> Option<u16> {
    let value = previous.checked_add(column.signed()?)?;
    *previous = value;
    u16::try_from(value).ok()
}

/// Whether an event's text is short enough to be stored.
pub(super) fn event_fits(kind: &EventKind) -> bool {
    serde_json::to_vec(kind).is_ok_and(|text| text.len() <= EVENT_MAX)
}
