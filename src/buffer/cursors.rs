//! The cursors, kept a second time outside sled: a small file of two slots.
//!
//! Should the database ever have to be given up, sinks go on from here and do not send everything again. The file
//! is advisory: it may be a moment behind (a repeat is legal), never ahead of what a sink has taken.
//!
//! A slot is `crc32 4 | generation 8 | length 2 | JSON map`, at 0 and at [`SLOT`]. The slots are written in turn,
//! so a torn write spoils one and the other still stands.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::reading::EntryId;

const SLOT: usize = 8192;
const HEAD: usize = 4 + 8 + 2;

/// The open file.
#[derive(Debug)]
pub(super) struct CursorFile {
    file: File,
    generation: u64,
}

/// Cursors by sink name.
pub(super) type Cursors = BTreeMap<String, EntryId>;

impl CursorFile {
    /// Opens or creates the file and reads the newest good slot.
    pub(super) fn open(path: &Path) -> std::io::Result<(Self, Cursors)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let newest = [0, SLOT as u64]
            .into_iter()
            .filter_map(|offset| read_slot(&file, offset))
            .max_by_key(|(generation, _)| *generation);
        let (generation, cursors) = newest.unwrap_or_default();
        Ok((Self { file, generation }, cursors))
    }

    /// Writes the cursors into the older slot and syncs it.
    pub(super) fn write(&mut self, cursors: &Cursors) -> std::io::Result<()> {
        let text = serde_json::to_vec(cursors)?;
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

fn read_slot(file: &File, offset: u64) -> Option<(u64, Cursors)> {
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
    Some((u64::from_le_bytes(*generation), serde_json::from_slice(&text).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cursors");
        let (mut file, cursors) = CursorFile::open(&path).unwrap();
        assert!(cursors.is_empty());
        for n in 1..=3 {
            file.write(&Cursors::from([("club".to_owned(), EntryId(n))])).unwrap();
        }
        assert_eq!(CursorFile::open(&path).unwrap().1["club"], EntryId(3));
        // Generation 3 is in the second slot: spoil one byte of its text.
        file.file.write_all_at(b"#", (SLOT + HEAD) as u64).unwrap();
        assert_eq!(CursorFile::open(&path).unwrap().1["club"], EntryId(2));
    }
}
