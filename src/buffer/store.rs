//! The database, and the only file that names sled.
//!
//! Two things are not as sled's documentation says, and are made good here. Its `flush()` ends in
//! `sync_file_range`, which survives no power cut: after each flush the data file is synced through a handle of our
//! own. And pages above 128 KiB go to side files that are never synced: no value is larger than a chunk.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::BufferError;
use super::record::CHUNK_MAX;
use crate::reading::EntryId;

/// sled's page cache in bytes: the hot end of the log, not its history.
const CACHE: u64 = 8 << 20;
/// sled frees old segments only in its own flusher thread, so that must run.
const SLED_FLUSH_MS: u64 = 1000;

/// How long a folder that is in use is waited for, and how often it is looked at.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(20);

const META: u8 = 0;
const CHUNK: u8 = 1;

/// An open database.
pub(super) struct Store {
    // The order is the order of closing: sled first.
    tree: sled::Tree,
    db: sled::Db,
    data: File,
    path: PathBuf,
}

/// What one commit changes, all or nothing.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Chunks to write, by first entry.
    pub(super) chunks: Vec<(EntryId, Vec<u8>)>,
    /// Chunks to drop.
    pub(super) drop: Vec<EntryId>,
    /// Named numbers to set.
    pub(super) meta: Vec<(String, u64)>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.drop.is_empty() && self.meta.is_empty()
    }
}

impl Store {
    /// Opens or creates the database in `path`.
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
            .open(path.join("db"))
            .map_err(io("opening the data file"))?;
        // The creation itself must be durable: the file, its folder, and that folder's entry in its parent.
        data.sync_all().map_err(io("syncing the data file"))?;
        for folder in [Some(path), Some(&path.join("blobs")), path.parent()].into_iter().flatten() {
            if folder.is_dir() {
                let synced = File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(io("syncing a folder"))?;
            }
        }
        Ok(Self { tree, db, data, path: path.to_owned() })
    }

    /// Applies the changes and returns once they would survive a power cut.
    pub(super) fn commit(&mut self, changes: Changes) -> Result<(), BufferError> {
        let mut batch = sled::Batch::default();
        for (id, bytes) in changes.chunks {
            assert!(
                bytes.len() <= CHUNK_MAX,
                "a chunk above CHUNK_MAX would not be synced by sled"
            );
            batch.insert(&chunk_key(id), bytes);
        }
        for id in changes.drop {
            batch.remove(&chunk_key(id));
        }
        for (name, value) in changes.meta {
            batch.insert(meta_key(&name), &value.to_be_bytes());
        }
        self.tree.apply_batch(batch).map_err(store("writing"))?;
        self.db.flush().map_err(store("flushing"))?;
        self.data.sync_data().map_err(|source| BufferError::Io {
            doing: "syncing the data file",
            path: self.path.join("db"),
            source,
        })
    }

    /// Every named number that begins with `prefix`, without the prefix.
    pub(super) fn meta(&self, prefix: &str) -> Result<Vec<(String, u64)>, BufferError> {
        let mut found = Vec::new();
        for pair in self.tree.scan_prefix(meta_key(prefix)) {
            let (key, value) = pair.map_err(store("reading"))?;
            let name = String::from_utf8_lossy(&key[1 + prefix.len()..]).into_owned();
            let value = <[u8; 8]>::try_from(&*value).map(u64::from_be_bytes);
            found
                .push((name, value.map_err(|_| BufferError::Damaged { path: self.path.clone() })?));
        }
        Ok(found)
    }

    /// The stored chunks in order, from the one that holds `from` (or the first behind it) on.
    pub(super) fn chunks(
        &self,
        from: EntryId,
    ) -> Result<impl Iterator<Item = Result<(EntryId, sled::IVec), BufferError>>, BufferError> {
        let holder = self.tree.get_lt(chunk_key(from.plus(1))).map_err(store("reading"))?;
        let start = match holder {
            Some((key, _)) if key[0] == CHUNK => key.to_vec(),
            _ => chunk_key(from).to_vec(),
        };
        Ok(self.tree.range(start..).map(|pair| {
            let (key, value) = pair.map_err(store("reading"))?;
            Ok((chunk_id(&key), value))
        }))
    }

    /// The newest chunk.
    pub(super) fn newest(&self) -> Result<Option<(EntryId, sled::IVec)>, BufferError> {
        let last = self.tree.last().map_err(store("reading"))?;
        Ok(last.filter(|(key, _)| key[0] == CHUNK).map(|(key, value)| (chunk_id(&key), value)))
    }

    /// Bytes on disk, data file and snapshots.
    pub(super) fn size_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

/// Opens sled. Its background threads give the lock back a moment after it was closed, so a folder that is in use is
/// tried again for a short while.
fn open_patiently(path: &Path) -> Result<sled::Db, BufferError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        let open = || {
            sled::Config::new()
                .path(path)
                .cache_capacity(CACHE)
                .mode(sled::Mode::LowSpace)
                .flush_every_ms(Some(SLED_FLUSH_MS))
                .open()
        };
        // sled asserts in its recovery paths.
        match catch_unwind(AssertUnwindSafe(open)) {
            Err(_) => return Err(BufferError::Damaged { path: path.to_owned() }),
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(sled::Error::Io(error))) if error.to_string().contains("lock") => {
                if Instant::now() >= deadline {
                    return Err(BufferError::InUse { path: path.to_owned() });
                }
                std::thread::park_timeout(LOCK_RETRY);
            }
            Ok(Err(error)) => return Err(store("opening the buffer")(error)),
        }
    }
}

fn store(doing: &'static str) -> impl FnOnce(sled::Error) -> BufferError {
    move |source| BufferError::Store { doing, source: Box::new(source) }
}

fn chunk_key(id: EntryId) -> [u8; 9] {
    let mut key = [CHUNK; 9];
    key[1..].copy_from_slice(&id.0.to_be_bytes());
    key
}

fn chunk_id(key: &[u8]) -> EntryId {
    let mut id = [0; 8];
    if let Some(bytes) = key.get(1..9) {
        id.copy_from_slice(bytes);
    }
    EntryId(u64::from_be_bytes(id))
}

fn meta_key(name: &str) -> Vec<u8> {
    let mut key = vec![META];
    key.extend_from_slice(name.as_bytes());
    key
}

/// A snapshot torn by a power cut (`snap.….generating`) would make every later open fail.
fn remove_torn_snapshots(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
