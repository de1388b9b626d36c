//! Putting back what a damaged database still holds, while collecting goes on.
//!
//! The raw data file is searched for chunks by magic number and checksum; sled stores them whole and uncompressed. Each
//! chunk appears several times, as it grew: the longest counts. What no sink has had goes back into the new database
//! under its own ids; what is missing between is told as gaps. Refused entries that were kept for an operator come back,
//! too, some perhaps that were settled before. Then the damaged one is removed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use tracing::{info, warn};

use super::audit::Audit;
use super::cursor::Span;
use super::journal::{JOURNAL_FILE, TAIL_FILE};
use super::ladder::{self, Quarantined};
use super::letters;
use super::record::{self, CHUNK_MAX};
use super::reserve::free_bytes;
use super::store::DATA_FILE;
use super::{BufferError, Command, Shared};
use crate::reading::{Class, EntryId};

/// Read at once. Unreadable blocks are passed over in steps of [`BLOCK`].
const WINDOW: usize = 1 << 20;
const BLOCK: usize = 4096;

/// Chunks handed to the writer at once: a quarter of a megabyte.
const BATCH: usize = 64;

/// Chunks found at most: those of a log of many gigabytes. Bounds the memory.
const FOUND_MAX: usize = 1 << 20;

/// Letters found at most: what their bound lets be kept, each as large as a chunk.
const LETTERS_MAX: usize = 2048;

/// Copied before sled opens its file, at most.
const ASIDE_MAX: usize = 64 << 20;
const ASIDE: &str = "aside";
const ASIDE_BEING_MADE: &str = "aside.new";

/// A chunk found in a damaged file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) class: Class,
    pub(super) first: EntryId,
    pub(super) bytes: Vec<u8>,
}

/// What the salvaging thread tells the writer.
pub(super) enum Step {
    /// Put these back; the answer comes when they are durable. No answer: give up for now.
    PutBack { found: Vec<Found>, done: mpsc::SyncSender<()> },
    /// Keep these letters, as far as they are not there. No answer: give up for now.
    Letters { found: Vec<Vec<u8>>, done: mpsc::SyncSender<()> },
    /// That was all. What was searched for, and the places that were found. The answer comes when it is told.
    Over { wanted: Span, covered: Audit, done: mpsc::SyncSender<()> },
    /// Last word of this run: the damaged database is gone.
    Removed { run: u64 },
    /// Last word of this run: it did not work out.
    Ended { run: u64 },
}

/// Salvages one damaged database; `wanted` is the first place that matters.
pub(super) fn run(
    shared: &Shared,
    from: &Quarantined,
    wanted: EntryId,
    stop: &AtomicBool,
    run: u64,
) {
    let tell = |step| shared.queue().sender.send(Command::Salvage(step)).is_ok();
    let wanted = Span::new(wanted, from.end);
    let salvaged = put_back(from, wanted, stop, tell).map(|covered| {
        let Some(covered) = covered else { return false };
        let (done, answer) = mpsc::sync_channel(1);
        tell(Step::Over { wanted, covered, done }) && answer.recv().is_ok()
    });
    let removed = match salvaged {
        Ok(true) => ladder::remove_folder(&from.path),
        Ok(false) => Err(BufferError::Closed),
        Err(source) => Err(BufferError::Io { doing: "searching", path: from.path.clone(), source }),
    };
    match removed {
        Ok(()) => {
            info!(path = %from.path.display(), "what could be read of a damaged database is back in place");
            tell(Step::Removed { run });
        }
        Err(error) => {
            warn!(error = error.in_words(), "a damaged database is kept and tried again");
            tell(Step::Ended { run });
        }
    }
}

/// Finds and puts back. `None`: the writer has no use for it now.
fn put_back(
    from: &Quarantined,
    wanted: Span,
    stop: &AtomicBool,
    tell: impl Fn(Step) -> bool,
) -> io::Result<Option<Audit>> {
    let Some(found) = Chunks::search(&files(&from.path), wanted, stop)? else { return Ok(None) };
    let letters = found.letters().collect::<io::Result<Vec<_>>>()?;
    let mut covered = Audit::default();
    let mut entries = 0;
    let mut chunks = found.read().peekable();
    while chunks.peek().is_some() {
        let mut batch = Vec::with_capacity(BATCH);
        for found in chunks.by_ref().take(BATCH) {
            let found = found?;
            // It was whole when it was found.
            let Ok(decoded) = record::decode(&found.bytes) else { continue };
            entries += decoded.len();
            covered.entries(&decoded);
            batch.push(found);
        }
        let (done, answer) = mpsc::sync_channel(1);
        if !tell(Step::PutBack { found: batch, done }) || answer.recv().is_err() {
            return Ok(None);
        }
    }
    info!(entries, letters = letters.len(), "put back from a damaged database");
    let (done, answer) = mpsc::sync_channel(1);
    if !tell(Step::Letters { found: letters, done }) || answer.recv().is_err() {
        return Ok(None);
    }
    Ok(Some(covered))
}

/// Where chunks may be in a database's folder: in its data file, in the journal, in what format 2 had instead of it, and
/// in what was copied before sled opened the first.
fn files(folder: &Path) -> [PathBuf; 4] {
    [DATA_FILE, JOURNAL_FILE, TAIL_FILE, ASIDE].map(|name| folder.join(name))
}

/// Copies what is wanted of the data file into a file beside it. sled, when it opens a damaged file, cuts the log off at
/// the damage and writes over what is behind.
pub(super) fn set_aside(folder: &Path, wanted: EntryId) -> io::Result<()> {
    let wanted = Span::new(wanted, EntryId(u64::MAX));
    // A copy that is there already was made before an attempt to open that did not get to its end.
    let Some(found) = Chunks::search(&files(folder), wanted, &AtomicBool::new(false))? else {
        return Ok(());
    };
    let places = found.index.values().chain(found.letters.values());
    let bytes: usize = places.map(|place| place.length).sum();
    if bytes == 0 {
        return Ok(());
    }
    if free_bytes(folder).unwrap_or(0) / 2 < bytes as u64 {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let path = folder.join(ASIDE_BEING_MADE);
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let mut writer = BufWriter::with_capacity(WINDOW, file);
    let mut left = ASIDE_MAX;
    for letter in found.letters() {
        let bytes = letter?;
        left = left.saturating_sub(bytes.len());
        writer.write_all(&bytes)?;
    }
    // The newest first: should there be too much, the oldest is left to what sled makes of it.
    for chunk in found.read().rev() {
        let bytes = chunk?.bytes;
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            break;
        }
        writer.write_all(&bytes)?;
    }
    writer.into_inner()?.sync_all()?;
    fs::rename(path, folder.join(ASIDE))
}

/// Removes the copy once the database is known to be whole.
pub(super) fn no_longer_aside(folder: &Path) {
    for name in [ASIDE, ASIDE_BEING_MADE] {
        // Mostly not there. One that stays is searched together with the data file the next time.
        let _ = fs::remove_file(folder.join(name));
    }
}

/// The chunks in some files with something wanted in them, each as long as it is to be had.
struct Chunks {
    files: Vec<File>,
    index: BTreeMap<(EntryId, Class), Place>,
    /// Letters by what tells them apart.
    letters: BTreeMap<u64, Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    file: usize,
    count: u16,
    offset: u64,
    length: usize,
    last: EntryId,
}

impl Chunks {
    /// Searches files, as far as they are there; `None` when told to stop.
    fn search(paths: &[PathBuf], wanted: Span, stop: &AtomicBool) -> io::Result<Option<Self>> {
        let mut chunks =
            Self { files: Vec::new(), index: BTreeMap::new(), letters: BTreeMap::new() };
        let mut window = vec![0; WINDOW + CHUNK_MAX];
        for path in paths {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let size = file.metadata()?.len();
            for start in (0..size).step_by(WINDOW) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let length = read_what_can_be_read(&file, &mut window, start);
                chunks.note(&window[..length], start, wanted);
                chunks.note_letters(&window[..length], start);
            }
            chunks.files.push(file);
        }
        Ok(Some(chunks))
    }

    /// Notes the chunks that begin in a window. They may reach over its end, into what the next one begins with.
    fn note(&mut self, window: &[u8], start: u64, wanted: Span) {
        for at in starts(window, record::MAGIC).take_while(|&at| at < WINDOW) {
            let rest = &window[at..];
            let whole = record::length(rest).and_then(|length| rest.get(..length));
            let Some(bytes) = whole.filter(|_| self.index.len() < FOUND_MAX) else { continue };
            let Ok(header) = record::header(bytes) else { continue };
            if header.last < wanted.first || header.first >= wanted.end {
                continue;
            }
            let place = Place {
                file: self.files.len(),
                count: header.count,
                offset: start + at as u64,
                length: bytes.len(),
                last: header.last,
            };
            let known = self.index.entry((header.first, header.class)).or_insert(place);
            if place.count > known.count {
                *known = place;
            }
        }
    }

    fn note_letters(&mut self, window: &[u8], start: u64) {
        for at in starts(window, letters::MAGIC).take_while(|&at| at < WINDOW) {
            let rest = &window[at..];
            let whole = letters::length(rest).and_then(|length| rest.get(..length));
            let Some(bytes) = whole.filter(|_| self.letters.len() < LETTERS_MAX) else { continue };
            let Some(identity) = letters::identity(bytes) else { continue };
            let (offset, length) = (start + at as u64, bytes.len());
            let place =
                Place { file: self.files.len(), count: 0, offset, length, last: EntryId(0) };
            self.letters.insert(identity, place);
        }
    }

    fn letters(&self) -> impl Iterator<Item = io::Result<Vec<u8>>> {
        self.letters.values().map(|place| {
            let mut bytes = vec![0; place.length];
            self.files[place.file].read_exact_at(&mut bytes, place.offset)?;
            Ok(bytes)
        })
    }

    /// The chunks, in order.
    fn read(self) -> impl DoubleEndedIterator<Item = io::Result<Found>> {
        let Self { files, index, .. } = self;
        index.into_iter().map(move |((first, class), place)| {
            let mut bytes = vec![0; place.length];
            files[place.file].read_exact_at(&mut bytes, place.offset)?;
            Ok(Found { class, first, bytes })
        })
    }
}

fn starts(bytes: &[u8], magic: [u8; 4]) -> impl Iterator<Item = usize> {
    let ends = bytes.len().saturating_sub(magic.len() - 1);
    (0..ends).filter(move |&at| bytes[at..at + magic.len()] == magic)
}

/// Fills the window from `start`; blocks that the disk does not give are left as zeros. Returns how much there is.
fn read_what_can_be_read(file: &File, window: &mut [u8], start: u64) -> usize {
    let mut filled = 0;
    while filled < window.len() {
        match file.read_at(&mut window[filled..], start + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                let bad = BLOCK - (start as usize + filled) % BLOCK;
                let end = (filled + bad).min(window.len());
                window[filled..end].fill(0);
                filled = end;
            }
        }
    }
    filled
}

/// Whether there is any chunk in a database's folder.
pub(super) fn holds_something(folder: &Path) -> bool {
    let everything = Span::new(EntryId(0), EntryId(u64::MAX));
    let found = Chunks::search(&files(folder), everything, &AtomicBool::new(false));
    // What cannot be searched now may be searched later.
    found.map_or(true, |found| found.is_some_and(|found| !found.index.is_empty()))
}

/// Place behind the newest entry in a database's files: for when nothing else tells where ids may go on.
pub(super) fn end(folder: &Path) -> Option<EntryId> {
    let everything = Span::new(EntryId(0), EntryId(u64::MAX));
    let found = Chunks::search(&files(folder), everything, &AtomicBool::new(false)).ok()??;
    found.index.into_values().map(|place| place.last.plus(1)).max()
}
