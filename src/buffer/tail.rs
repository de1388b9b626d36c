//! The chunks being filled, in a file of their own.
//!
//! A chunk grows with each commit. In the database every version of it would be written two or three times over, with
//! the page that it is in; here a commit is four kilobytes and one `fdatasync`. Each class has two slots, written in
//! turn: a torn write spoils one, and the version before still stands. Chunks carry their own checksum.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::BufferError;
use super::record::{self, CHUNK_MAX, Header};
use crate::reading::Class;

const SLOT: u64 = CHUNK_MAX as u64;
const SLOTS_EACH: u64 = 2;

/// Name of the file in the database's folder.
pub(super) const TAIL_FILE: &str = "tail";

/// The open file.
#[derive(Debug)]
pub(super) struct TailFile {
    file: File,
    path: PathBuf,
    /// The slot of each class that is written next.
    turn: [u64; Class::ALL.len()],
}

/// A chunk as it is stored in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
}

impl TailFile {
    /// Opens or creates the file. Returns the newest version of each class's chunk.
    pub(super) fn open(
        folder: &Path,
    ) -> Result<(Self, [Option<Stored>; Class::ALL.len()]), BufferError> {
        let path = folder.join(TAIL_FILE);
        let opened = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path)?;
            let whole = SLOT * SLOTS_EACH * Class::ALL.len() as u64;
            let length = file.metadata()?.len();
            if length < whole {
                // All of it now: a commit then changes no metadata, and a full disk does not keep it from being written.
                file.write_all_at(&vec![0; (whole - length) as usize], length)?;
                file.sync_all()?;
            }
            Ok(file)
        };
        let file = opened().map_err(|source| BufferError::Io {
            doing: "opening",
            path: path.clone(),
            source,
        })?;
        let mut tails = Self { file, path, turn: [0; Class::ALL.len()] };
        let newest = Class::ALL.map(|class| {
            let slots = (0..SLOTS_EACH).filter_map(|slot| Some((tails.read(class, slot)?, slot)));
            let (newest, slot) = slots.max_by_key(|(stored, _)| stored.header.last)?;
            tails.turn[index(class)] = (slot + 1) % SLOTS_EACH;
            Some(newest)
        });
        Ok((tails, newest))
    }

    /// Writes chunks and returns once they would survive a power cut.
    pub(super) fn write(&mut self, chunks: &[(Class, Vec<u8>)]) -> Result<(), BufferError> {
        let written = chunks.iter().try_for_each(|(class, bytes)| {
            let turn = &mut self.turn[index(*class)];
            let offset = place(*class, *turn);
            *turn = (*turn + 1) % SLOTS_EACH;
            self.file.write_all_at(bytes, offset)
        });
        written.and_then(|()| self.file.sync_data()).map_err(|source| BufferError::Io {
            doing: "writing",
            path: self.path.clone(),
            source,
        })
    }

    fn read(&self, class: Class, slot: u64) -> Option<Stored> {
        let mut bytes = vec![0; CHUNK_MAX];
        self.file.read_exact_at(&mut bytes, place(class, slot)).ok()?;
        bytes.truncate(record::length(&bytes)?);
        let header = record::header(&bytes).ok().filter(|header| header.class == class)?;
        Some(Stored { header, bytes })
    }
}

fn place(class: Class, slot: u64) -> u64 {
    (index(class) as u64 * SLOTS_EACH + slot) * SLOT
}

/// Where a class is in what is kept per class.
pub(super) fn index(class: Class) -> usize {
    match class {
        Class::Readings => 0,
        Class::Events => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::record::ChunkBuilder;
    use crate::reading::{At, BootId, ClockTrust, EntryId, Fact, Measurement, Reading, StrapId};

    #[test]
    fn a_torn_slot_leaves_the_version_before() {
        let folder = tempfile::tempdir().unwrap();
        let at = At { boot: BootId(1), mono_us: 1, wall_offset_us: 0, trust: ClockTrust::Synced };
        let strap = StrapId::new("9F6E5322").unwrap();
        let fact = Fact::Reading(Reading { strap, at, measurement: Measurement::Battery(50) });
        let mut chunk = ChunkBuilder::new(EntryId(5), &fact);
        let (mut file, newest) = TailFile::open(folder.path()).unwrap();
        assert_eq!(newest, [None, None]);
        for id in 5..9 {
            assert!(chunk.push(EntryId(id), &fact));
            file.write(&[(Class::Readings, chunk.bytes())]).unwrap();
            let (_, [readings, events]) = TailFile::open(folder.path()).unwrap();
            assert_eq!(readings.unwrap().bytes, chunk.bytes());
            assert_eq!(events, None);
        }
        // The fourth version is in the second slot.
        file.file.write_all_at(b"#", SLOT + 20).unwrap();
        let (mut file, [readings, _]) = TailFile::open(folder.path()).unwrap();
        assert_eq!(readings.unwrap().header.last, EntryId(7));
        // The spoiled slot is the next one to be written, not the one that is whole.
        file.file.write_all_at(b"#", 20).unwrap();
        file.write(&[(Class::Readings, chunk.bytes())]).unwrap();
        let (_, [readings, _]) = TailFile::open(folder.path()).unwrap();
        assert_eq!(readings.unwrap().header.last, EntryId(8));
    }
}
