//! Getting a database open, whatever state its files are in. No step needs a human.
//!
//! 1. What a stop in the middle of a rotation left behind is put right.
//! 2. What no sink has had is copied out of the data file: sled writes over what it cannot make sense of.
//! 3. The database is opened, in a thread of its own: sled may panic or hang on damaged files.
//! 4. Did it panic, or say that it is damaged: once more without sled's snapshots.
//! 5. Still not, or entries are missing: the folder is moved into `quarantine/`, and a new database is begun. What no sink has had is carved
//!    out of the old one while collecting goes on (see [`super::salvage`]).
//!
//! A process that dies again and again while opening (no memory, say) is the same as a panic: starts are counted in a
//! file that is removed once the database is open.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::BufferError;
use super::contents::Contents;
use super::salvage;
use super::store::{Changes, DATA_FILE, Store, remove_snapshots, sync_folder};
use crate::reading::EntryId;

/// A gigabyte on a slow card takes a minute.
const OPEN_LIMIT: Duration = Duration::from_secs(180);

/// Starts that did not get as far as an open database before the files are blamed.
const ATTEMPTS: u8 = 4;

/// Damaged databases kept at most; older ones make room.
const QUARANTINES: usize = 2;

const DATABASE: &str = "buffer";
const NEW: &str = "buffer.new";
const OLD: &str = "buffer.old";
const QUARANTINE: &str = "quarantine";
const ATTEMPTS_FILE: &str = "opening";
const PROBE: &str = "probe";

/// The database's folder.
pub(super) fn database(data_dir: &Path) -> PathBuf {
    data_dir.join(DATABASE)
}

/// An open database and what is in it.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) contents: Contents,
}

/// What is known of the log without its database.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// Place behind the newest durable entry.
    pub(super) end: EntryId,
    /// Where the log goes on should its database have to be set aside.
    pub(super) free: EntryId,
    /// First place that somebody has not had.
    pub(super) wanted: EntryId,
}

/// Opens the database, or sets it aside and begins a new one.
pub(super) fn open(data_dir: &Path, known: Known) -> Result<Opened, BufferError> {
    finish_rotation(data_dir)?;
    let path = database(data_dir);
    let expected = expected(data_dir, known);
    set_aside(&path, known);
    let attempts = Attempts::count(data_dir);
    let mut outcome = if attempts.so_far < ATTEMPTS {
        open_with_limit(&path, expected)
    } else {
        error!(attempts = attempts.so_far, "the daemon died each time it opened its database");
        Err(BufferError::Damaged { path: path.clone() })
    };
    if let Err(first) = &outcome
        && is_to_blame(data_dir, first)
        && attempts.so_far < ATTEMPTS
    {
        outcome = match first {
            // sled opened it, and left out what it could not read. Opening it again would not bring that back.
            BufferError::Missing { .. } => outcome,
            // Perhaps the disk was at fault, for a moment.
            BufferError::Disk { .. } => open_with_limit(&path, expected),
            first => {
                warn!(
                    error = first.in_words(),
                    "the database does not open, trying without its snapshots"
                );
                remove_snapshots(&path, "")
                    .map_err(|source| io("removing snapshots", &path, source))
                    .and_then(|()| open_with_limit(&path, expected))
            }
        };
    }
    if let Err(last) = &outcome
        && is_to_blame(data_dir, last)
    {
        error!(
            error = last.in_words(),
            "the database is damaged: set aside, a new one is begun; what can be read of the old one is put back"
        );
        quarantine(data_dir, known)?;
        outcome = open_with_limit(&path, Expected::default());
    }
    attempts.over();
    if outcome.is_ok() {
        salvage::no_longer_aside(&path);
    }
    outcome
}

/// Whether it is the files that are bad. While the disk takes nothing, sled fails on the best of files.
fn is_to_blame(data_dir: &Path, error: &BufferError) -> bool {
    let probe = data_dir.join(PROBE);
    let takes_something = || {
        let mut file = fs::File::create(&probe)?;
        file.write_all(&[0x5A; 4096])?;
        file.sync_all()?;
        fs::remove_file(&probe)
    };
    error.is_damage() && takes_something().is_ok()
}

/// Whether there is a database in this data folder.
pub(super) fn is_there(data_dir: &Path) -> bool {
    // Stopped between the two renames of a rotation, the old one has another name.
    [DATABASE, OLD].iter().any(|name| data_dir.join(name).join(DATA_FILE).exists())
}

/// Opens the database as it is, to look at it.
pub(super) fn open_as_it_is(data_dir: &Path, known: Known) -> Result<Opened, BufferError> {
    finish_swap(data_dir)?;
    let path = database(data_dir);
    set_aside(&path, known);
    match open_with_limit(&path, expected(data_dir, known)) {
        Ok(opened) => {
            salvage::no_longer_aside(&path);
            Ok(opened)
        }
        Err(error) if error.is_damage() => Err(BufferError::Damaged { path }),
        Err(error) => Err(error),
    }
}

fn set_aside(path: &Path, known: Known) {
    if let Err(error) = salvage::set_aside(path, known.wanted) {
        // A full disk, mostly. Then the file itself has to do, should it be damaged.
        debug!(%error, "nothing was copied before opening the database");
    }
}

/// Where a whole database must at least reach: sled opens damaged files too, without what it could not read.
fn expected(data_dir: &Path, known: Known) -> Expected {
    // One that was begun lately has perhaps nothing in it yet, and what was before is being put back.
    match quarantined(data_dir).last() {
        Some(damaged) if damaged.end >= known.end => {
            Expected { end: EntryId(0), floor: damaged.end }
        }
        Some(damaged) => Expected { end: known.end, floor: damaged.end },
        None => Expected { end: known.end, floor: EntryId(0) },
    }
}

/// What a whole database must have.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    /// It must reach up to here.
    end: EntryId,
    /// What is missing before this is searched for elsewhere.
    floor: EntryId,
}

fn open_with_limit(path: &Path, expected: Expected) -> Result<Opened, BufferError> {
    let (report, opened) = mpsc::sync_channel(1);
    let folder = path.to_owned();
    let opening = std::thread::Builder::new().name("buffer-open".into()).spawn(move || {
        let opened = Store::open(&folder).and_then(|store| {
            let contents = Contents::read(&store)?;
            let end = contents.end.unwrap_or_default();
            if end < expected.end {
                return Err(BufferError::Missing { first: end, end: expected.end });
            }
            contents.audit(&store, expected.floor)?;
            Ok(Opened { store, contents })
        });
        // Too late, and nobody listens: the database is closed again.
        let _ = report.send(opened);
    });
    opening.map_err(|source| io("starting a thread to open", path, source))?;
    match opened.recv_timeout(OPEN_LIMIT) {
        Ok(opened) => opened,
        // A panic drops the sender; a thread that hangs is left behind with the folder that will be moved away.
        Err(_) => Err(BufferError::Damaged { path: path.to_owned() }),
    }
}

/// Copies everything into a new database and puts that in the old one's place. The caller has closed the old one.
///
/// What cannot be read of the old one is carved out later, like what is in quarantine. `alive` is called every so often.
pub(super) fn rewrite(
    data_dir: &Path,
    known: Known,
    alive: impl Fn(),
) -> Result<Opened, BufferError> {
    replace(data_dir, known, |old, new| {
        let keep = |key, value, changes: &mut Changes| changes.put.push((key, value));
        old.store.copy_into(new, alive, keep)?;
        // What only the journal had is in the new database, and counted there.
        let mut books = Changes::default();
        old.contents.books.put(&mut books);
        new.commit(&books)
    })
}

/// Makes a new database out of the old one, and puts that in its place. The caller has closed the old one. After an error
/// the old one is as it was; where it was damaged it is set aside, and what is returned is an empty one.
pub(super) fn replace(
    data_dir: &Path,
    known: Known,
    copy: impl FnOnce(&Opened, &mut Store) -> Result<(), BufferError>,
) -> Result<Opened, BufferError> {
    let old = open(data_dir, known)?;
    let end = old.contents.end.unwrap_or_default();
    let (path, new) = (database(data_dir), data_dir.join(NEW));
    remove_folder(&new)?;
    let copied = Store::open(&new).and_then(|mut new| copy(&old, &mut new));
    drop(old);
    match copied {
        Ok(()) => {
            rename(&path, &data_dir.join(OLD))?;
            rename(&new, &path)?;
            remove_folder(&data_dir.join(OLD))?;
            sync_folder(data_dir)?;
            open_with_limit(&path, Expected { end, ..expected(data_dir, known) })
        }
        Err(error) => {
            // It may be the old file's fault or the disk's. The old one is still whole in the second case.
            let _ = fs::remove_dir_all(&new);
            if error.is_damage() {
                error!(
                    error = error.in_words(),
                    "the database cannot be read to its end: set aside"
                );
                quarantine(data_dir, known)?;
                return open_with_limit(&path, Expected::default());
            }
            Err(error)
        }
    }
}

/// Whichever step a rotation had reached, exactly one whole database is in place afterwards.
fn finish_rotation(data_dir: &Path) -> Result<(), BufferError> {
    finish_swap(data_dir)?;
    remove_folder(&data_dir.join(NEW))?;
    remove_folder(&data_dir.join(OLD))
}

/// Stopped between the two renames of a rotation there is no database in place.
fn finish_swap(data_dir: &Path) -> Result<(), BufferError> {
    let (path, new, old) = (database(data_dir), data_dir.join(NEW), data_dir.join(OLD));
    if !path.exists() && old.exists() {
        // The new one is complete, or else the old one would not have been moved.
        if new.exists() {
            rename(&new, &path)?;
        } else {
            rename(&old, &path)?;
        }
        info!("finished a rotation of the database that was interrupted");
    }
    Ok(())
}

/// Moves the damaged database away. The name says where the log goes on.
fn quarantine(data_dir: &Path, known: Known) -> Result<(), BufferError> {
    let new_log_begins = known.free;
    let folder = data_dir.join(QUARANTINE);
    fs::create_dir_all(&folder).map_err(|source| io("creating", &folder, source))?;
    let mut kept = quarantined(data_dir);
    if !kept.is_empty() && !salvage::holds_something(&database(data_dir)) {
        // Begun a moment ago in place of a damaged one: nothing to be searched, and no reason to give up that.
        return remove_folder(&database(data_dir));
    }
    while kept.len() >= QUARANTINES {
        let oldest = kept.remove(0);
        error!(path = %oldest.path.display(), "too many damaged databases, the oldest is given up");
        remove_folder(&oldest.path)?;
    }
    let mut target = folder.join(new_log_begins.to_string());
    for n in 1.. {
        if !target.exists() {
            break;
        }
        target = folder.join(format!("{new_log_begins}.{n}"));
    }
    rename(&database(data_dir), &target)?;
    sync_folder(&folder)
}

/// A damaged database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quarantined {
    /// First place of the log that was begun instead.
    pub(super) end: EntryId,
    pub(super) path: PathBuf,
}

/// The damaged databases that are kept, oldest first.
pub(super) fn quarantined(data_dir: &Path) -> Vec<Quarantined> {
    let folder = fs::read_dir(data_dir.join(QUARANTINE)).into_iter().flatten();
    let mut found: Vec<_> = folder
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let end = name.split('.').next()?.parse().ok()?;
            Some(Quarantined { end: EntryId(end), path: entry.path() })
        })
        .collect();
    found.sort();
    found
}

/// Starts that were not followed by an open database.
struct Attempts {
    so_far: u8,
    file: PathBuf,
}

impl Attempts {
    /// Counts this one. A disk that cannot keep the count is no reason not to start.
    fn count(data_dir: &Path) -> Self {
        let file = data_dir.join(ATTEMPTS_FILE);
        let so_far = fs::read(&file).ok().and_then(|bytes| bytes.first().copied()).unwrap_or(0);
        let _ = fs::write(&file, [so_far.saturating_add(1)]);
        Self { so_far, file }
    }

    /// This process has not died of it. A count that stayed would be added to by each later try.
    fn over(self) {
        if fs::remove_file(&self.file).is_err_and(|error| error.kind() != ErrorKind::NotFound) {
            let _ = fs::write(&self.file, [0]);
        }
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), BufferError> {
    fs::rename(from, to).map_err(|source| io("moving", from, source))?;
    to.parent().map_or(Ok(()), sync_folder)
}

pub(super) fn remove_folder(path: &Path) -> Result<(), BufferError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(io("removing", path, source)),
        _ => Ok(()),
    }
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> BufferError {
    BufferError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::is_kept_in;

    #[test]
    fn between_the_renames_of_a_rotation_there_is_a_buffer_to_look_at() {
        for complete in [NEW, OLD] {
            let folder = tempfile::tempdir().unwrap();
            let data_dir = folder.path();
            drop(Store::open(&data_dir.join(OLD)).unwrap());
            drop(Store::open(&data_dir.join(complete)).unwrap());
            assert!(is_kept_in(data_dir));
            assert!(open_as_it_is(data_dir, Known::default()).is_ok());
            assert!(database(data_dir).exists() && !data_dir.join(complete).exists());
        }
    }
}
