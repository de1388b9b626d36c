//! The database, and the only file that names sled.
//!
//! Two things are not as sled's documentation says, and are made good here. Its `flush()` ends in
//! `sync_file_range`, which survives no power cut: after each flush the data file is synced through a handle of our
//! own. And pages above 128 KiB go to side files that are never synced: no value is larger than a chunk.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::BufferError;
use super::journal::{Held, Journal, Packed};
use super::record::{self, CHUNK_MAX};
use crate::reading::{Class, EntryId};

/// sled's page cache in bytes: the hot end of the log, not its history.
const CACHE: u64 = 8 << 20;
/// sled looks at what its cache holds only once a page's neighbours in it (the cache has 256 parts) were asked for so
/// often. Each chunk of a log is asked for once or twice, so that all of a log would stay in memory.
const ASKED_BEFORE_FORGOTTEN: usize = 64;
/// A page has at least so many chunks, but for the newest.
const CHUNKS_IN_PAGE: usize = 8;

/// sled frees old segments only in its own flusher thread, so that must run.
const SLED_FLUSH_MS: u64 = 1000;

/// How long a folder that is in use is waited for, and how often it is looked at.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Name of the data file in the database's folder.
pub(super) const DATA_FILE: &str = "db";

/// What is copied at once from one database into another.
const COPY_BYTES: usize = 1 << 20;

/// Stored bytes; clones are cheap.
pub(super) type Bytes = sled::IVec;

/// A part of the database: the first byte of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    /// Named values.
    Meta,
    /// Chunks by their first entry.
    Chunks(Class),
    /// Boots by the place in the log where they began.
    Boots,
    /// Refused entries by number.
    Letters,
}

impl Area {
    fn byte(self) -> u8 {
        match self {
            Self::Meta => 0,
            // All chunks of format 1.
            Self::Chunks(Class::Readings) => 1,
            Self::Chunks(Class::Events) => 2,
            Self::Boots => 3,
            Self::Letters => 4,
        }
    }

    /// The area and the number of a key; `None` for none of ours.
    pub(super) fn of(key: &[u8]) -> Option<(Self, u64)> {
        let all = [Self::Meta, Self::Boots, Self::Letters].into_iter();
        let area = all.chain(Class::ALL.map(Self::Chunks)).find(|area| area.has(key))?;
        Some((area, number_of(key)))
    }

    fn has(self, key: &[u8]) -> bool {
        key.first() == Some(&self.byte())
    }

    /// Behind all its keys.
    fn end(self) -> Vec<u8> {
        vec![self.byte() + 1]
    }

    /// The key of a numbered value.
    pub(super) fn key(self, number: u64) -> Vec<u8> {
        let mut key = vec![self.byte()];
        key.extend_from_slice(&number.to_be_bytes());
        key
    }
}

/// The key of a named value.
pub(super) fn meta_key(name: &str) -> Vec<u8> {
    let mut key = vec![Area::Meta.byte()];
    key.extend_from_slice(name.as_bytes());
    key
}

/// An open database.
pub(super) struct Store {
    // The order is the order of closing: sled first.
    tree: sled::Tree,
    db: sled::Db,
    data: File,
    /// What it holds is read as if it were in the database.
    journal: Journal,
    path: PathBuf,
}

/// What one commit changes, all or nothing.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Keys and their new values.
    pub(super) put: Vec<(Vec<u8>, Bytes)>,
    /// Keys to drop.
    pub(super) drop: Vec<Vec<u8>>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.drop.is_empty()
    }

    pub(super) fn put_number(&mut self, name: &str, value: u64) {
        self.put.push((meta_key(name), Bytes::from(&value.to_be_bytes())));
    }
}

impl Store {
    /// Opens or creates the database in `path`. sled asserts in its recovery paths: this may panic.
    pub(super) fn open(path: &Path) -> Result<Self, BufferError> {
        let io = |doing| move |source| BufferError::Io { doing, path: path.to_owned(), source };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("creating the buffer folder"))?;
        remove_torn_snapshots(path).map_err(io("removing a torn snapshot"))?;
        let db = open_patiently(path)?;
        let tree = (*db).clone();
        db.flush().map_err(store("creating the buffer"))?;
        let data = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path.join(DATA_FILE))
            .map_err(io("opening the data file"))?;
        let journal = Journal::open(path)?;
        // The creation itself must be durable: the file, its folder, and that folder's entry in its parent.
        data.sync_all().map_err(io("syncing the data file"))?;
        for folder in [Some(path), Some(&path.join("blobs")), path.parent()].into_iter().flatten() {
            if folder.is_dir() {
                sync_folder(folder)?;
            }
        }
        let mut store = Self { tree, db, data, journal, path: path.to_owned() };
        store.release_what_is_in_the_database()?;
        Ok(store)
    }

    /// The database takes all that the journal holds, so what is not behind its newest entry is old.
    fn release_what_is_in_the_database(&mut self) -> Result<(), BufferError> {
        for class in Class::ALL {
            let area = Area::Chunks(class);
            let newest = self.tree.range(area.key(0)..area.end()).next_back().transpose();
            let Some((_, bytes)) = newest.map_err(store("reading"))? else { continue };
            let last = record::header(&bytes).map_err(|_| self.damaged())?.last;
            self.journal.release_up_to(class, last);
        }
        Ok(())
    }

    /// Whether the journal has room for a commit of so many chunks.
    pub(super) fn journal_has_room_for(&self, chunks: usize) -> bool {
        self.journal.has_room_for(chunks)
    }

    /// Writes the chunks of a commit into the journal, and returns once they would survive a power cut.
    pub(super) fn write_journal(&mut self, chunks: Vec<Packed>) -> Result<(), BufferError> {
        self.journal.write(chunks)
    }

    /// The chunks of a class that only the journal has as they are, in order.
    pub(super) fn held(&self, class: Class) -> &[Held] {
        self.journal.held(class)
    }

    /// What the journal holds, for the database.
    pub(super) fn all_held(&self) -> impl Iterator<Item = (Vec<u8>, Bytes)> {
        let held = Class::ALL.into_iter().flat_map(|class| self.held(class));
        held.map(|held| {
            (Area::Chunks(held.header.class).key(held.header.first.0), held.bytes.clone())
        })
    }

    /// Applies the changes and returns once they would survive a power cut.
    pub(super) fn commit(&mut self, changes: &Changes) -> Result<(), BufferError> {
        let mut batch = sled::Batch::default();
        for (key, value) in &changes.put {
            assert!(
                value.len() <= CHUNK_MAX,
                "a value above CHUNK_MAX would not be synced by sled"
            );
            batch.insert(key.as_slice(), value);
        }
        for key in &changes.drop {
            batch.remove(key.as_slice());
        }
        self.tree.apply_batch(batch).map_err(store("writing"))?;
        self.db.flush().map_err(store("flushing"))?;
        self.data.sync_data().map_err(|source| BufferError::Io {
            doing: "syncing the data file",
            path: self.path.join(DATA_FILE),
            source,
        })?;
        for class in Class::ALL {
            let chunks = changes.put.iter().filter(|(key, _)| Area::Chunks(class).has(key));
            chunks.for_each(|(key, _)| self.done_with_key(key));
            let in_changes = |held: &&Held| {
                let key = Area::Chunks(class).key(held.header.first.0);
                changes.put.iter().any(|(put, _)| *put == key)
            };
            let taken: Vec<EntryId> =
                self.held(class).iter().filter(in_changes).map(|held| held.header.first).collect();
            taken.into_iter().for_each(|first| self.journal.release(class, first));
        }
        self.journal.forget_format_2()
    }

    /// Says that this chunk was used and will not be wanted again soon: what its page has pushed aside is forgotten.
    pub(super) fn done_with(&self, class: Class, first: EntryId) {
        self.done_with_key(&Area::Chunks(class).key(first.0));
    }

    fn done_with_key(&self, key: &[u8]) {
        for _ in 0..ASKED_BEFORE_FORGOTTEN / CHUNKS_IN_PAGE {
            // What cannot be read is found out by whoever wants it.
            let _ = self.tree.contains_key(key);
        }
    }

    /// A named value.
    pub(super) fn meta(&self, name: &str) -> Result<Option<Bytes>, BufferError> {
        self.tree.get(meta_key(name)).map_err(store("reading"))
    }

    /// A named number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, BufferError> {
        let Some(value) = self.meta(name)? else { return Ok(None) };
        let bytes = <[u8; 8]>::try_from(&*value).map_err(|_| self.damaged())?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    /// Every named value whose name begins with `prefix`, by the rest of its name.
    pub(super) fn named(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, BufferError> {
        let pairs = self.tree.scan_prefix(meta_key(prefix)).map(|pair| {
            let (key, value) = pair.map_err(store("reading"))?;
            Ok((String::from_utf8_lossy(&key[1 + prefix.len()..]).into_owned(), value))
        });
        pairs.collect()
    }

    /// The numbered values of an area in order, from `from` on.
    pub(super) fn area(
        &self,
        area: Area,
        from: u64,
    ) -> impl DoubleEndedIterator<Item = Result<(u64, Bytes), BufferError>> + use<> {
        let held = match area {
            Area::Chunks(class) => self.held(class),
            _ => &[],
        };
        let held: Vec<(u64, Bytes)> =
            held.iter().map(|held| (held.header.first.0, held.bytes.clone())).collect();
        // The first one may be there in a shorter version.
        let replaced = held.first().map(|(first, _)| *first);
        let stored = self.tree.range(area.key(from)..area.end()).map(|pair| {
            let (key, value) = pair.map_err(store("reading"))?;
            Ok((number_of(&key), value))
        });
        let stored = stored.filter(move |pair| match pair {
            Ok((number, _)) => Some(*number) != replaced,
            Err(_) => true,
        });
        stored.chain(held.into_iter().filter(move |(first, _)| *first >= from).map(Ok))
    }

    /// The stored chunks of a class in order, from the one that may hold `from` on.
    pub(super) fn chunks(
        &self,
        class: Class,
        from: EntryId,
    ) -> Result<impl Iterator<Item = Result<(u64, Bytes), BufferError>> + use<>, BufferError> {
        let area = Area::Chunks(class);
        let holder = self.tree.range(area.key(0)..=area.key(from.0)).next_back().transpose();
        let holder = holder.map_err(store("reading"))?.map(|(key, _)| number_of(&key));
        let held = self.held(class).iter().map(|held| held.header.first.0);
        let held = held.take_while(|first| *first <= from.0).last();
        Ok(self.area(area, holder.max(held).unwrap_or(from.0)))
    }

    /// A chunk as the database itself has it.
    pub(super) fn in_database(
        &self,
        class: Class,
        first: EntryId,
    ) -> Result<Option<Bytes>, BufferError> {
        self.tree.get(Area::Chunks(class).key(first.0)).map_err(store("reading"))
    }

    /// Everything, into another database that is empty, each value once and by way of `pass`, which says what to write
    /// for it. `alive` is called after each piece: it may take minutes.
    pub(super) fn copy_into(
        &self,
        other: &mut Self,
        alive: impl Fn(),
        mut pass: impl FnMut(Vec<u8>, Bytes, &mut Changes),
    ) -> Result<(), BufferError> {
        let mut changes = Changes::default();
        let mut bytes = 0;
        // The journal has them as they are; the database perhaps a shorter version.
        let held: BTreeMap<Vec<u8>, Bytes> = self.all_held().collect();
        for pair in self.tree.iter() {
            let (key, value) = pair.map_err(store("copying"))?;
            if held.contains_key(&*key) {
                continue;
            }
            bytes += key.len() + value.len();
            pass(key.to_vec(), value, &mut changes);
            if bytes >= COPY_BYTES {
                other.commit(&std::mem::take(&mut changes))?;
                bytes = 0;
                alive();
            }
        }
        held.into_iter().for_each(|(key, value)| pass(key, value, &mut changes));
        other.commit(&changes)
    }

    /// Size of the data file: all but a few kilobytes of what is on disk.
    pub(super) fn size_on_disk(&self) -> u64 {
        self.data.metadata().map_or(0, |data| data.len())
    }

    /// What is stored cannot have been written by us.
    pub(super) fn damaged(&self) -> BufferError {
        BufferError::Damaged { path: self.path.clone() }
    }
}

/// Opens sled. Its background threads give the lock back a moment after it was closed, so a folder that is in use is
/// tried again for a short while.
fn open_patiently(path: &Path) -> Result<sled::Db, BufferError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        let opened = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(Some(SLED_FLUSH_MS))
            .open();
        match opened {
            Ok(db) => return Ok(db),
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                if Instant::now() >= deadline {
                    return Err(BufferError::InUse { path: path.to_owned() });
                }
                std::thread::park_timeout(LOCK_RETRY);
            }
            Err(error) => return Err(store("opening the buffer")(error)),
        }
    }
}

fn store(doing: &'static str) -> impl FnOnce(sled::Error) -> BufferError {
    move |error| match error {
        sled::Error::Io(error)
            if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            BufferError::Full { doing, source: error }
        }
        sled::Error::Io(error) => BufferError::Disk { doing, source: error },
        error => BufferError::Store { doing, source: Box::new(error) },
    }
}

fn number_of(key: &[u8]) -> u64 {
    key.get(1..9).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// Makes new and changed names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), BufferError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| BufferError::Io {
        doing: "syncing the folder",
        path: folder.to_owned(),
        source,
    })
}

/// A snapshot torn by a power cut (`snap.….generating`) would make every later open fail.
fn remove_torn_snapshots(path: &Path) -> std::io::Result<()> {
    remove_snapshots(path, ".generating")
}

/// Removes snapshots whose name ends so: all of them with an empty `ending`. sled then reads its whole log.
pub(super) fn remove_snapshots(path: &Path, ending: &str) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(ending) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
