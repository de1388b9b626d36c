//! Dead letters: entries that a far side refused for good, kept with the reason until an operator has looked.
//!
//! A letter holds entries that were refused together for one reason. As stored, little endian:
//!
//! ```text
//! magic 4 | crc32 4 | version 1 | length 2 | state 1 | sink: length 1, bytes | reason: length 2, bytes | chunk body
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::record::{self, ChunkBuilder};
use super::varint::Reader;
use crate::reading::Entry;

/// First bytes of every letter.
pub(super) const MAGIC: [u8; 4] = *b"PGd\x01";
const SEAL: usize = 8;
const VERSION: u8 = 1;
/// Place of the fate; what is behind it never changes.
const FATE: usize = SEAL + 3;
/// Longest reason kept, in bytes.
const REASON_MAX: usize = 400;
/// Chunks in letters are shorter than others, so that a letter is no larger than a chunk.
const CHUNK_LIMIT: usize = record::CHUNK_MAX - SEAL - 3 - 1 - 256 - 2 - REASON_MAX;

/// An entry that was refused, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// What was refused.
    pub entry: Entry,
    /// In the far side's words.
    pub reason: String,
}

/// What shall become of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Kept for an operator.
    Kept,
    /// To be delivered once more.
    Requeued,
}

/// Entries that one sink could not get rid of, for one reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    /// Its number.
    pub number: u64,
    /// Whose.
    pub sink: String,
    /// Why they were refused.
    pub reason: String,
    /// What shall become of it.
    pub fate: Fate,
    /// The entries, in order.
    pub entries: Vec<Entry>,
}

/// Packs refused entries into as few letters as they need; numbers are given later.
pub(super) fn pack(sink: &str, rejected: Vec<Rejected>) -> Vec<(u64, Vec<u8>)> {
    let mut letters: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut open: Option<(String, ChunkBuilder, u64)> = None;
    let mut close = |open: Option<(String, ChunkBuilder, u64)>| {
        if let Some((reason, chunk, count)) = open {
            let sealed = chunk.bytes();
            letters.push((count, seal(Fate::Kept, sink, &reason, record::body(&sealed))));
        }
    };
    for Rejected { entry: Entry { id, fact }, reason } in rejected {
        if let Some((same, chunk, count)) = &mut open
            && *same == reason
            && chunk.push(id, &fact)
        {
            *count += 1;
            continue;
        }
        close(open.take());
        let mut chunk = ChunkBuilder::with_limit(id, &fact, CHUNK_LIMIT);
        if chunk.push(id, &fact) {
            open = Some((reason, chunk, 1));
        }
    }
    close(open.take());
    letters
}

fn seal(fate: Fate, sink: &str, reason: &str, body: &[u8]) -> Vec<u8> {
    let sink = &sink.as_bytes()[..sink.len().min(255)];
    let mut end = reason.len().min(REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(VERSION);
    bytes.extend_from_slice(&[0; 2]);
    bytes.push(match fate {
        Fate::Kept => 0,
        Fate::Requeued => 1,
    });
    bytes.push(sink.len() as u8);
    bytes.extend_from_slice(sink);
    bytes.extend_from_slice(&(end as u16).to_le_bytes());
    bytes.extend_from_slice(&reason.as_bytes()[..end]);
    bytes.extend_from_slice(body);
    // Below CHUNK_MAX by CHUNK_LIMIT.
    let length = (bytes.len() as u16).to_le_bytes();
    bytes[SEAL + 1..SEAL + 3].copy_from_slice(&length);
    let crc = crc32fast::hash(&bytes[SEAL..]).to_le_bytes();
    bytes[4..SEAL].copy_from_slice(&crc);
    bytes
}

/// Reads a stored letter; `None` when it is damaged.
pub(super) fn read(number: u64, bytes: &[u8]) -> Option<Letter> {
    let (crc, covered) = bytes.strip_prefix(&MAGIC)?.split_first_chunk::<4>()?;
    if crc32fast::hash(covered).to_le_bytes() != *crc {
        return None;
    }
    let mut rest = Reader::new(covered);
    if rest.byte()? != VERSION || usize::from(u16::from_le_bytes(rest.array()?)) != bytes.len() {
        return None;
    }
    let fate = match rest.byte()? {
        0 => Fate::Kept,
        1 => Fate::Requeued,
        _ => return None,
    };
    let length = usize::from(rest.byte()?);
    let sink = String::from_utf8(rest.bytes(length)?.to_vec()).ok()?;
    let length = usize::from(u16::from_le_bytes(rest.array()?));
    let reason = String::from_utf8(rest.bytes(length)?.to_vec()).ok()?;
    let entries = record::decode_body(rest.bytes(rest.left())?).ok()?;
    Some(Letter { number, sink, reason, fate, entries })
}

/// Length of the letter that seems to begin here, from its first bytes.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(SEAL + 1..SEAL + 3)?;
    (bytes[..4] == MAGIC).then(|| usize::from(u16::from_le_bytes([length[0], length[1]])))
}

/// What tells a stored letter from every other, whatever its number and its fate; `None` when it is damaged.
pub(super) fn identity(bytes: &[u8]) -> Option<u64> {
    read(0, bytes)?;
    let mut hasher = DefaultHasher::new();
    bytes.get(FATE + 1..)?.hash(&mut hasher);
    Some(hasher.finish())
}

/// The letter with another fate.
pub(super) fn with_fate(letter: &Letter, fate: Fate) -> Vec<u8> {
    let mut chunk: Option<ChunkBuilder> = None;
    for Entry { id, fact } in &letter.entries {
        let chunk = chunk.get_or_insert_with(|| ChunkBuilder::with_limit(*id, fact, CHUNK_LIMIT));
        // They came out of one chunk.
        chunk.push(*id, fact);
    }
    let sealed = chunk.map(|chunk| chunk.bytes()).unwrap_or_default();
    seal(fate, &letter.sink, &letter.reason, record::body(&sealed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{At, BootId, ClockTrust, EntryId, Fact, Measurement, Reading, StrapId};

    fn rejected(id: u64, reason: &str) -> Rejected {
        let at = At { boot: BootId(1), mono_us: id, wall_offset_us: 0, trust: ClockTrust::Synced };
        let strap = StrapId::new("9F6E5322").unwrap();
        let fact = Fact::Reading(Reading { strap, at, measurement: Measurement::Battery(50) });
        Rejected { entry: Entry { id: EntryId(id), fact }, reason: reason.to_owned() }
    }

    #[test]
    fn letters_come_back_as_they_were_and_damaged_ones_not_at_all() {
        let many: Vec<_> = (0..2000).map(|id| rejected(id * 3, "quota é")).collect();
        let mut all = many.clone();
        all.push(rejected(9000, &"long".repeat(500)));
        let letters = pack("club", all.clone());
        assert!(letters.len() >= 3, "several chunks, and another reason");
        assert!(letters.iter().all(|(_, bytes)| bytes.len() <= record::CHUNK_MAX));
        let read: Vec<Letter> =
            letters.iter().map(|(_, bytes)| super::read(7, bytes).unwrap()).collect();
        let entries = read.iter().flat_map(|letter| letter.entries.clone());
        assert!(entries.eq(all.into_iter().map(|rejected| rejected.entry)));
        assert_eq!((read[0].reason.as_str(), read[0].sink.as_str()), ("quota é", "club"));
        assert_eq!(read.last().unwrap().reason.len(), REASON_MAX);
        let again = super::read(7, &with_fate(&read[0], Fate::Requeued)).unwrap();
        assert_eq!(again, Letter { fate: Fate::Requeued, ..read[0].clone() });
        let mut spoiled = letters[0].1.clone();
        spoiled[100] ^= 1;
        assert_eq!(super::read(7, &spoiled), None);
        for length in 0..letters[0].1.len() {
            assert_eq!(super::read(7, &letters[0].1[..length]), None);
        }
    }
}
