//! The newest chunks, in a file of their own until the database takes them.
//!
//! A chunk grows with each commit. In the database every version of it would be written two or three times over, with
//! the page that it is in; here a commit is a page or two and one `fdatasync`. Chunks that are full gather here, too,
//! and go into the database a leaf's worth at a time.
//!
//! The file is [`SLOTS`] slots, written in turn. A slot holds one chunk and says which commit wrote it:
//!
//! ```text
//! magic 4 | crc32 4 | commit 8 | part 1 | parts 1 | chunk
//! ```
//!
//! A slot is free once its chunk is in the database, or stands in a later slot in a longer version. A commit writes to
//! free slots only, and the next one begins when it is durable. So at most the newest commit can be torn, and then it
//! counts as if it had never been, in all its parts: what was before is all there.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::BufferError;
use super::record::{self, CHUNK_MAX, Header, JOURNAL_HEAD};
use super::store::{Bytes, sync_folder};
use crate::reading::{Class, EntryId};

const SLOT: usize = CHUNK_MAX;
/// Twice [`GATHER`]: what is held, and a whole commit beside it.
const SLOTS: usize = 32;
/// Chunks that gather before the database takes them: a leaf of it has room for as many.
const GATHER: usize = 16;

const MAGIC: [u8; 4] = *b"PGj\x01";
const SEAL: usize = 8;

/// Name of the file in the database's folder.
pub(super) const JOURNAL_FILE: &str = "journal";
/// What databases of format 2 had instead.
pub(super) const TAIL_FILE: &str = "tail";

/// A chunk that the database does not have, or has in a shorter version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) header: Header,
    pub(super) bytes: Bytes,
    /// `None`: it is in the file of a database of format 2.
    slot: Option<usize>,
}

impl Held {
    fn read(bytes: &[u8], slot: Option<usize>) -> Option<Self> {
        let header = record::header(bytes).ok()?;
        Some(Self { header, bytes: bytes.into(), slot })
    }
}

/// A chunk as it goes into a slot.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub(super) class: Class,
    pub(super) first: EntryId,
    pub(super) bytes: Vec<u8>,
}

/// The open file, and what it holds.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    /// Number of the newest commit.
    commit: u64,
    /// The slot that is looked at first.
    turn: usize,
    /// By class, in order.
    held: [Vec<Held>; Class::ALL.len()],
}

impl Journal {
    /// Opens or creates the file. A torn commit is removed.
    pub(super) fn open(folder: &Path) -> Result<Self, BufferError> {
        let path = folder.join(JOURNAL_FILE);
        let opened = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let file = options.open(&path)?;
            let whole = (SLOTS * SLOT) as u64;
            let length = file.metadata()?.len();
            if length < whole {
                // All of it now: a commit then changes no metadata, and a full disk does not keep it from being written.
                file.write_all_at(&vec![0; (whole - length) as usize], length)?;
                file.sync_all()?;
            }
            let (commit, slots) = whole_commits(&file)?;
            Ok((file, commit, slots))
        };
        let (file, commit, slots) = opened().map_err(|source| BufferError::Io {
            doing: "opening",
            path: path.clone(),
            source,
        })?;
        let mut journal = Self { file, path, commit, turn: 0, held: Default::default() };
        journal.turn = slots.iter().max_by_key(|slot| slot.commit).map_or(0, |slot| slot.slot + 1);
        let chunks = slots.into_iter().filter_map(|slot| Held::read(&slot.chunk, Some(slot.slot)));
        for held in tail_of_format_2(folder).into_iter().chain(chunks) {
            journal.hold(held);
        }
        Ok(journal)
    }

    /// Chunks of a class, in order.
    pub(super) fn held(&self, class: Class) -> &[Held] {
        &self.held[index(class)]
    }

    /// Whether a commit of so many chunks may go here: else it is the database's turn.
    pub(super) fn has_room_for(&self, chunks: usize) -> bool {
        self.held.iter().map(Vec::len).sum::<usize>() + chunks <= GATHER
    }

    /// Writes the chunks of one commit, and returns once they would survive a power cut, all of them or none. The caller
    /// has asked whether there is room.
    pub(super) fn write(&mut self, chunks: Vec<Packed>) -> Result<(), BufferError> {
        let parts = chunks.len() as u8;
        let commit = self.commit + 1;
        let mut written = Vec::with_capacity(chunks.len());
        let mut write = || {
            for (part, chunk) in (0..).zip(&chunks) {
                let slot = self.free_slot(&written)?;
                let sealed = seal(commit, part, parts, &chunk.bytes);
                self.file.write_all_at(&sealed, (slot * SLOT) as u64)?;
                written.push(slot);
            }
            self.file.sync_data()
        };
        let outcome = write();
        outcome.map_err(|source| BufferError::Io {
            doing: "writing",
            path: self.path.clone(),
            source,
        })?;
        self.commit = commit;
        self.turn = written.last().map_or(self.turn, |slot| slot + 1);
        for (Packed { bytes, .. }, slot) in chunks.into_iter().zip(written) {
            // We have made it ourselves.
            if let Some(held) = Held::read(&bytes, Some(slot)) {
                self.hold(held);
            }
        }
        Ok(())
    }

    /// The database has this chunk.
    pub(super) fn release(&mut self, class: Class, first: EntryId) {
        self.held[index(class)].retain(|held| held.header.first != first);
    }

    /// Forgets what the database has up to here.
    pub(super) fn release_up_to(&mut self, class: Class, last: EntryId) {
        self.held[index(class)].retain(|held| held.header.last > last);
    }

    /// Removes the file of a database of format 2, once nothing in it is needed.
    pub(super) fn forget_format_2(&self) -> Result<(), BufferError> {
        let path = self.path.with_file_name(TAIL_FILE);
        if self.held.iter().flatten().any(|held| held.slot.is_none()) || !path.exists() {
            return Ok(());
        }
        fs::remove_file(&path).map_err(|source| BufferError::Io {
            doing: "removing",
            path: path.clone(),
            source,
        })?;
        path.parent().map_or(Ok(()), sync_folder)
    }

    /// Of two versions of a chunk the longer one counts.
    fn hold(&mut self, new: Held) {
        let held = &mut self.held[index(new.header.class)];
        let place = held.partition_point(|held| held.header.first < new.header.first);
        match held.get_mut(place).filter(|held| held.header.first == new.header.first) {
            Some(known) if known.header.count > new.header.count => {}
            Some(known) => *known = new,
            None => held.insert(place, new),
        }
    }

    fn free_slot(&self, taken: &[usize]) -> std::io::Result<usize> {
        let is_free = |slot: &usize| {
            !taken.contains(slot) && !self.held.iter().flatten().any(|h| h.slot == Some(*slot))
        };
        let mut slots = (self.turn..self.turn + SLOTS).map(|slot| slot % SLOTS);
        slots.find(is_free).ok_or_else(|| std::io::Error::other("no slot is free"))
    }
}

fn seal(commit: u64, part: u8, parts: u8, chunk: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(JOURNAL_HEAD + chunk.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&commit.to_le_bytes());
    bytes.extend_from_slice(&[part, parts]);
    bytes.extend_from_slice(chunk);
    let crc = crc32fast::hash(&bytes[SEAL..]).to_le_bytes();
    bytes[4..SEAL].copy_from_slice(&crc);
    bytes
}

/// A slot that holds something.
struct Slot {
    slot: usize,
    commit: u64,
    part: u8,
    parts: u8,
    chunk: Vec<u8>,
}

impl Slot {
    fn read(slot: usize, bytes: &[u8]) -> Option<Self> {
        let (head, chunk) = bytes.split_at_checked(JOURNAL_HEAD)?;
        let chunk = chunk.get(..record::length(chunk)?)?;
        let (crc, covered) = bytes.strip_prefix(&MAGIC)?.split_first_chunk::<4>()?;
        let covered = covered.get(..JOURNAL_HEAD - SEAL + chunk.len())?;
        if crc32fast::hash(covered).to_le_bytes() != *crc {
            return None;
        }
        let (number, parts) = head[SEAL..].split_first_chunk::<8>()?;
        let &[part, parts] = parts else { return None };
        let commit = u64::from_le_bytes(*number);
        Some(Self { slot, commit, part, parts, chunk: chunk.to_vec() })
    }
}

/// What the file holds, and the number of the newest commit. A torn one is wiped out: it must not look whole once there
/// is a newer one.
fn whole_commits(file: &File) -> std::io::Result<(u64, Vec<Slot>)> {
    let mut bytes = vec![0; SLOTS * SLOT];
    file.read_exact_at(&mut bytes, 0)?;
    let slots = bytes.chunks_exact(SLOT).enumerate();
    let mut slots: Vec<Slot> = slots.filter_map(|(slot, bytes)| Slot::read(slot, bytes)).collect();
    let newest = slots.iter().map(|slot| slot.commit).max().unwrap_or_default();
    let parts: Vec<&Slot> = slots.iter().filter(|slot| slot.commit == newest).collect();
    let whole = parts
        .first()
        .is_none_or(|one| (0..one.parts).all(|part| parts.iter().any(|slot| slot.part == part)));
    if !whole {
        for torn in parts {
            file.write_all_at(&[0; SLOT], (torn.slot * SLOT) as u64)?;
        }
        file.sync_data()?;
        slots.retain(|slot| slot.commit != newest);
    }
    Ok((newest, slots))
}

/// The chunks being filled of a database of format 2: two slots a class, written in turn, nothing but the chunk in each.
fn tail_of_format_2(folder: &Path) -> Vec<Held> {
    let bytes = fs::read(folder.join(TAIL_FILE)).unwrap_or_default();
    let chunks = bytes.chunks_exact(CHUNK_MAX);
    chunks.filter_map(|slot| Held::read(slot.get(..record::length(slot)?)?, None)).collect()
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
    use crate::reading::{
        At, BootId, ClockTrust, Event, EventKind, Fact, Measurement, Reading, StrapId,
    };

    fn fact(class: Class) -> Fact {
        let at = At { boot: BootId(1), mono_us: 1, wall_offset_us: 0, trust: ClockTrust::Synced };
        match class {
            Class::Readings => {
                let strap = StrapId::new("9F6E5322").unwrap();
                Fact::Reading(Reading { strap, at, measurement: Measurement::Battery(50) })
            }
            Class::Events => {
                Fact::Event(Event { at, kind: EventKind::Started { version: "1".into() } })
            }
        }
    }

    /// A chunk of so many entries from `first` on.
    fn chunk(class: Class, first: u64, count: u64) -> Packed {
        let fact = fact(class);
        let mut chunk = ChunkBuilder::new(EntryId(first), &fact);
        for id in first..first + count {
            assert!(chunk.push(EntryId(id), &fact));
        }
        Packed { class, first: EntryId(first), bytes: chunk.bytes() }
    }

    fn held(folder: &Path) -> Vec<(Class, u64, u16)> {
        let journal = Journal::open(folder).unwrap();
        let held = journal.held.iter().flatten();
        held.map(|held| (held.header.class, held.header.first.0, held.header.count)).collect()
    }

    #[test]
    fn a_commit_is_there_in_all_its_parts_or_in_none() {
        use Class::{Events, Readings};
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write(vec![chunk(Readings, 0, 5), chunk(Events, 5, 1)]).unwrap();
        let before = fs::read(folder.path().join(JOURNAL_FILE)).unwrap();
        journal
            .write(vec![chunk(Readings, 0, 9), chunk(Readings, 20, 3), chunk(Events, 5, 2)])
            .unwrap();
        let after = fs::read(folder.path().join(JOURNAL_FILE)).unwrap();
        let pages: Vec<usize> = (0..SLOTS)
            .filter(|slot| before[slot * SLOT..][..SLOT] != after[slot * SLOT..][..SLOT])
            .collect();
        assert_eq!(pages.len(), 3);
        let old = [(Readings, 0, 5), (Events, 5, 1)];
        let new = [(Readings, 0, 9), (Readings, 20, 3), (Events, 5, 2)];
        // Whatever the disk had written of the commit when the power went, page by page.
        for written in 0..1 << (2 * pages.len()) {
            let mut image = before.clone();
            for (n, page) in pages.iter().enumerate() {
                let length = [0, 60, 512, SLOT][written >> (2 * n) & 3];
                image[page * SLOT..][..length].copy_from_slice(&after[page * SLOT..][..length]);
            }
            fs::write(folder.path().join(JOURNAL_FILE), &image).unwrap();
            // 512 bytes are more than any of the three has.
            let all = (0..pages.len()).all(|n| written >> (2 * n) & 3 > 1);
            let expected: &[_] = if all { &new } else { &old };
            assert_eq!(held(folder.path()), expected, "{written:06b}");
            // What comes later does not bring the torn one back.
            let mut journal = Journal::open(folder.path()).unwrap();
            journal.write(vec![chunk(Readings, 40, 1)]).unwrap();
            let mut expected = expected.to_vec();
            expected.insert(expected.len() - 1, (Readings, 40, 1));
            assert_eq!(held(folder.path()), expected, "{written:06b}");
        }
    }

    #[test]
    fn no_slot_is_written_while_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.write(vec![chunk(Class::Events, 0, 1)]).unwrap();
        // Full chunks gather, and one grows.
        let mut first = 1;
        while journal.has_room_for(2) {
            journal
                .write(vec![chunk(Class::Readings, first, 7), chunk(Class::Readings, first + 7, 1)])
                .unwrap();
            first += 7;
        }
        for count in 2..3 * SLOTS as u64 {
            journal.write(vec![chunk(Class::Readings, first, count)]).unwrap();
            let held = held(folder.path());
            assert_eq!(held.len(), GATHER - 1);
            assert!(
                held.contains(&(Class::Events, 0, 1)) && held.contains(&(Class::Readings, 1, 7))
            );
            assert!(held.contains(&(Class::Readings, first, count as u16)));
        }
    }

    #[test]
    fn a_spoiled_slot_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        for count in 5..9 {
            journal.write(vec![chunk(Class::Readings, 0, count)]).unwrap();
        }
        journal.file.write_all_at(b"#", 3 * SLOT as u64 + 40).unwrap();
        assert_eq!(held(folder.path()), [(Class::Readings, 0, 7)]);
    }
}
