//! Reading chunks: whatever the bytes are, the answer is entries or an error.

use super::{
    BROADCAST, COLUMNS, CONTACT_SHIFT, ChunkError, ENERGY, HEADER_1, KIND_BATTERY, KIND_EVENT,
    KIND_HEART_RATE, KIND_MASK, MAGIC, Previous, RR_COUNTED, SEAL, VERSION,
};
use crate::buffer::varint::Reader;
use crate::reading::{
    At, BootId, Class, ClockTrust, Contact, Entry, EntryId, Event, Fact, HeartRate, Measurement,
    Reading, RrInterval, STRAP_ID_MAX, Source, StrapId,
};

/// What a chunk says of itself before its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its class; chunks of version 1 count as readings.
    pub class: Class,
    /// Whether it holds entries of its class only: chunks of version 1 do not.
    pub one_class: bool,
    /// Place of the first entry.
    pub first: EntryId,
    /// Place of the last entry.
    pub last: EntryId,
    /// Number of entries.
    pub count: u16,
    /// When it was begun.
    pub at: At,
}

/// Checks that bytes are a whole chunk, and reads its header.
///
/// # Errors
/// Whatever is wrong with it.
pub fn header(bytes: &[u8]) -> Result<Header, ChunkError> {
    parse(unseal(bytes)?).map(|(header, ..)| header)
}

/// Reads a stored chunk.
///
/// # Errors
/// Whatever is wrong with it; no input panics or allocates more than a few times its own size.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, ChunkError> {
    decode_body(unseal(bytes)?)
}

/// Length of the chunk that seems to begin here, from its first bytes.
pub(in crate::buffer) fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(SEAL + 1..SEAL + 3)?;
    (bytes[..4] == MAGIC).then(|| usize::from(u16::from_le_bytes([length[0], length[1]])))
}

/// The chunk without its seal, for whatever has a seal of its own.
pub(in crate::buffer) fn body(bytes: &[u8]) -> &[u8] {
    bytes.get(SEAL..).unwrap_or_default()
}

fn unseal(bytes: &[u8]) -> Result<&[u8], ChunkError> {
    if bytes.len() < HEADER_1 || length(bytes) != Some(bytes.len()) {
        return Err(ChunkError::NotAChunk);
    }
    if crc32fast::hash(body(bytes)).to_le_bytes() != bytes[4..SEAL] {
        return Err(ChunkError::Checksum);
    }
    Ok(body(bytes))
}

/// Reads the body of a chunk whose seal was checked.
pub(in crate::buffer) fn decode_body(body: &[u8]) -> Result<Vec<Entry>, ChunkError> {
    use ChunkError::Contents;
    let (header, version, mut rest) = parse(body)?;
    let cut = Contents("cut short");
    let mut straps = Vec::new();
    for _ in 0..rest.byte().ok_or(cut)? {
        let length = usize::from(rest.byte().ok_or(cut)?);
        let name = rest.bytes(length).ok_or(cut)?;
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= STRAP_ID_MAX);
        let strap = name.and_then(|name| StrapId::new(name).ok()).ok_or(Contents("strap id"))?;
        straps.push((strap, Previous::default()));
    }
    let mut columns = [(); COLUMNS].map(|()| Reader::new(&[]));
    let there = if version == 1 { COLUMNS - 1 } else { COLUMNS };
    for column in &mut columns[..there] {
        let length = rest.unsigned().and_then(|length| usize::try_from(length).ok()).ok_or(cut)?;
        *column = Reader::new(rest.bytes(length).ok_or(cut)?);
    }
    let [columns @ .., skips] = columns;
    let mut ids = Ids::new(header.first, skips)?;
    let mut decoder = Decoder { columns, straps, at: header.at };
    let mut entries = Vec::with_capacity(usize::from(header.count).min(body.len()));
    for _ in 0..header.count {
        entries.push(Entry { id: ids.next()?, fact: decoder.fact()? });
    }
    match entries.last() {
        Some(entry) if entry.id != header.last => Err(Contents("last id")),
        _ => Ok(entries),
    }
}

fn parse(body: &[u8]) -> Result<(Header, u8, Reader<'_>), ChunkError> {
    use ChunkError::{Contents, TooNew};
    let cut = Contents("cut short");
    let version = *body.first().ok_or(cut)?;
    if version == 0 || version > VERSION {
        return Err(TooNew(version));
    }
    let mut rest = Reader::new(body.get(3..).ok_or(cut)?);
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
    let (class, span) = if version == 1 {
        (Class::Readings, u64::from(count).saturating_sub(1))
    } else {
        let class = match rest.byte().ok_or(cut)? {
            0 => Class::Readings,
            1 => Class::Events,
            _ => return Err(Contents("class")),
        };
        (class, u32::from_le_bytes(rest.array().ok_or(cut)?).into())
    };
    let at = At { boot, mono_us, wall_offset_us, trust };
    let one_class = version > 1;
    Ok((Header { class, one_class, first, last: first.plus(span), count, at }, version, rest))
}

/// Gives the ids of a chunk one by one.
struct Ids<'a> {
    next: EntryId,
    /// Entries before the next skip, and how many ids it leaves out.
    skip: Option<(u64, u64)>,
    skips: Reader<'a>,
}

impl<'a> Ids<'a> {
    fn new(first: EntryId, mut skips: Reader<'a>) -> Result<Self, ChunkError> {
        let skip = Self::read(&mut skips)?;
        Ok(Self { next: first, skip, skips })
    }

    fn read(skips: &mut Reader<'a>) -> Result<Option<(u64, u64)>, ChunkError> {
        if skips.left() == 0 {
            return Ok(None);
        }
        let pair = skips.unsigned().zip(skips.unsigned());
        pair.map(Some).ok_or(ChunkError::Contents("skip column"))
    }

    fn next(&mut self) -> Result<EntryId, ChunkError> {
        match &mut self.skip {
            Some((0, skipped)) => {
                self.next = self.next.plus(*skipped);
                self.skip = Self::read(&mut self.skips)?;
                // The entry behind a skip is the first that counts for the next one.
                if let Some((before, _)) = &mut self.skip {
                    *before = before.saturating_sub(1);
                }
            }
            Some((before, _)) => *before -= 1,
            None => {}
        }
        let id = self.next;
        self.next = id.plus(1);
        Ok(id)
    }
}

struct Decoder<'a> {
    columns: [Reader<'a>; COLUMNS - 1],
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
                let count = count.ok_or(Contents("number of RR intervals"))?;
                let mut intervals = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    let interval = step(rr, &mut previous.rr).ok_or(Contents("RR column"))?;
                    intervals.push(RrInterval(interval));
                }
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
                Measurement::HeartRate(HeartRate { bpm, contact, energy_kj, rr: intervals, source })
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
