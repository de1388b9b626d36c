//! The cursors, kept a second time outside sled: a small file of two slots.
//!
//! Should the database ever have to be given up, sinks go on from here and do not send everything again, and no id is
//! given twice. Of the cursors it may be a moment behind (a repeat is legal), never ahead of what a sink has taken.
//!
//! A slot is `crc32 4 | generation 8 | length 2 | JSON`, at 0 and at [`SLOT`]. The slots are written in turn, so a torn
//! write spoils one and the other still stands.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use crate::reading::EntryId;

const SLOT: usize = 8192;
const HEAD: usize = 4 + 8 + 2;

/// Cursors by sink name.
pub(super) type Cursors = BTreeMap<String, Cursor>;

/// What the file keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) sinks: Cursors,
    /// Counts the changes of cursors. The database has them as well, mostly in an older state.
    #[serde(default)]
    pub(super) version: u64,
    /// First id that was never set aside.
    pub(super) set_aside: EntryId,
    /// Place behind the newest durable entry. A database that ends before has lost something.
    #[serde(default)]
    pub(super) end: EntryId,
}

/// The open file.
#[derive(Debug)]
pub(super) struct CursorFile {
    file: File,
    generation: u64,
}

impl CursorFile {
    /// Opens or creates the file and reads the newest good slot.
    pub(super) fn open(path: &Path) -> std::io::Result<(Self, Option<Kept>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let length = file.metadata()?.len();
        let missing = (2 * SLOT as u64).saturating_sub(length);
        if missing > 0 {
            // All of it now: a full disk must not keep cursors from being written later.
            file.write_all_at(&vec![0; missing as usize], length)?;
            file.sync_all()?;
        }
        let newest = [0, SLOT as u64]
            .into_iter()
            .filter_map(|offset| read_slot(&file, offset))
            .max_by_key(|(generation, _)| *generation);
        let generation = newest.as_ref().map_or(0, |(generation, _)| *generation);
        Ok((Self { file, generation }, newest.map(|(_, kept)| kept)))
    }

    /// Writes into the older slot and syncs it.
    pub(super) fn write(&mut self, kept: &Kept) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(kept)?;
        if text.len() + HEAD > SLOT {
            // Without the ranges ahead: repeats, but no loss.
            let sinks = kept.sinks.iter();
            let sinks = sinks.map(|(name, cursor)| (name.clone(), Cursor::at(cursor.next)));
            text = serde_json::to_vec(&Kept { sinks: sinks.collect(), ..kept.clone() })?;
        }
        let length = u16::try_from(text.len()).ok().filter(|_| text.len() + HEAD <= SLOT);
        let length =
            length.ok_or_else(|| std::io::Error::other("too many sinks for the cursor file"))?;
        let generation = self.generation + 1;
        let mut slot = vec![0; 4];
        slot.extend_from_slice(&generation.to_le_bytes());
        slot.extend_from_slice(&length.to_le_bytes());
        slot.extend_from_slice(&text);
        let crc = crc32fast::hash(&slot[4..]).to_le_bytes();
        slot[..4].copy_from_slice(&crc);
        self.file.write_all_at(&slot, (generation % 2) * SLOT as u64)?;
        self.file.sync_data()?;
        self.generation = generation;
        Ok(())
    }
}

fn read_slot(file: &File, offset: u64) -> Option<(u64, Kept)> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, offset).ok()?;
    let (crc, covered) = head.split_first_chunk::<4>()?;
    let (generation, length) = covered.split_first_chunk::<8>()?;
    let length = usize::from(u16::from_le_bytes(length.try_into().ok()?));
    let mut text = vec![0; length];
    file.read_exact_at(&mut text, offset + HEAD as u64).ok()?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(&text);
    if hasher.finalize().to_le_bytes() != *crc {
        return None;
    }
    let kept = serde_json::from_slice(&text).ok().or_else(|| read_format_1(&text))?;
    Some((u64::from_le_bytes(*generation), kept))
}

/// Format 1 was one map of numbers, the first free id among them.
fn read_format_1(text: &[u8]) -> Option<Kept> {
    let mut numbers: BTreeMap<String, EntryId> = serde_json::from_slice(text).ok()?;
    let set_aside = numbers.remove("#set_aside").unwrap_or_default();
    let sinks = numbers.into_iter().map(|(name, next)| (name, Cursor::at(next))).collect();
    Some(Kept { sinks, set_aside, ..Kept::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(n: u64) -> Kept {
        Kept { set_aside: EntryId(n), ..Kept::default() }
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursors");
        let (mut file, before) = CursorFile::open(&path).unwrap();
        assert_eq!(before, None);
        for n in 1..=3 {
            file.write(&kept(n)).unwrap();
        }
        assert_eq!(CursorFile::open(&path).unwrap().1, Some(kept(3)));
        // Generation 3 is in the second slot: spoil one byte of its text.
        file.file.write_all_at(b"#", (SLOT + HEAD) as u64).unwrap();
        assert_eq!(CursorFile::open(&path).unwrap().1, Some(kept(2)));
    }

    #[test]
    fn format_1_is_read() {
        let read = read_format_1(br##"{"#set_aside":16384,"club":40}"##).unwrap();
        assert_eq!(read.set_aside, EntryId(16384));
        assert_eq!(read.sinks["club"], Cursor::at(EntryId(40)));
    }
}
