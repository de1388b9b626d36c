//! The file: a line a record, each with its version and checksum; added to at the end, and now and then written anew.
//! [`super`] has the promise.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::RosterError;
use super::people::{CHANGES_MAX, People, Record};

/// Version of a line. A line of another version is set aside.
const V: &str = "1";

const NAME: &str = "people";
/// What is being written. One fixed name: whatever a crash leaves is written over, and cannot pile up.
const NEW: &str = "people.new";
const LOCK: &str = "lock";
/// How the names of files begin that were set aside, and how many of them are kept.
const ASIDE: &str = "damaged-";
const ASIDE_MAX: usize = 3;

/// Longest line: an athlete whose every field is as long as can be.
const LINE_MAX: u64 = 64 << 10;

/// Longest file: three times what can be in it when all is well. What is behind is not read.
const FILE_MAX: u64 = 128 << 20;

/// Lines that say nothing any more, beside as many that do, before the file is written anew.
const STALE_MAX: usize = 1000;

/// How long a file in use is waited for, and how often it is looked at.
const WAIT: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// Everything that the file says.
    people: People,
    file: File,
    /// Its length, as far as it is believed.
    length: u64,
    lines: usize,
    /// The disk refused in the middle of something: the file is written anew before anything is added.
    doubted: bool,
    _lock: File,
}

/// What was found in a file.
#[derive(Default)]
struct Found {
    people: People,
    lines: usize,
    bad: usize,
    /// Why the rest could not be read.
    broken: Option<io::Error>,
}

impl Store {
    /// Opens the file in this folder, and makes both if they are not there. What cannot be understood is set aside.
    pub(super) fn open(folder: &Path) -> Result<Self, RosterError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(RosterError::disk("making the folder", folder))?;
        let lock = lock(&folder.join(LOCK))?;
        let path = folder.join(NAME);
        let found = found(&path)?;
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(&path);
        let file = file.map_err(RosterError::disk("opening", &path))?;
        let length = file.metadata().map_err(RosterError::disk("reading", &path))?.len();
        let Found { people, lines, bad, broken } = found;
        let is_bad = bad > 0 || broken.is_some();
        let folder = folder.to_owned();
        let mut store = Self { folder, people, file, length, lines, doubted: is_bad, _lock: lock };
        remove(&store.folder.join(NEW)).map_err(RosterError::disk("removing", &path))?;
        if is_bad {
            store.set_aside(bad, broken.as_ref());
        } else if length == 0 {
            // Else a power cut could take the file itself, with what was added.
            store.sync_folder()?;
        }
        Ok(store)
    }

    /// Puts the file as it is out of the way, and what could be read in its place. A disk that refuses that is asked
    /// again before the next change; until then everything that could be read is known all the same.
    fn set_aside(&mut self, bad: usize, broken: Option<&io::Error>) {
        let aside = self.link_aside();
        let rewritten = self.rewrite();
        let aside = aside.map(|path| path.display().to_string());
        let kept = aside.unwrap_or_else(|error| format!("not at all: {error}"));
        let rest = broken.map(ToString::to_string);
        let rest = rest.as_deref();
        error!(
            lines_bad = bad,
            lines_good = self.lines,
            rest,
            set_aside = kept,
            "the file of who is who was damaged; what it says is used as far as it can be read. A last line that a power \
             cut broke off was never confirmed to anybody. Check `pulsegate athlete list` and `pulsegate strap list`"
        );
        if let Err(error) = rewritten {
            error!(
                error = crate::exit::chain(&error),
                "cannot write the file of who is who anew yet"
            );
        }
    }

    fn link_aside(&self) -> io::Result<PathBuf> {
        let mut old = asides(&self.folder)?;
        let next = old.last().map_or(1, |(number, _)| number + 1);
        let path = self.folder.join(format!("{ASIDE}{next}"));
        let name = self.folder.join(NAME);
        // Not every file system has links.
        std::fs::hard_link(&name, &path).or_else(|_| std::fs::copy(&name, &path).map(|_| ()))?;
        old.truncate((old.len() + 1).saturating_sub(ASIDE_MAX));
        old.iter().try_for_each(|(_, path)| remove(path))?;
        Ok(path)
    }

    /// What the file says.
    pub(super) fn people(&self) -> &People {
        &self.people
    }

    /// Adds records. They are there for good when this returns, all of them; after an error none of them counts.
    pub(super) fn add(&mut self, records: Vec<Record>) -> Result<(), RosterError> {
        if records.is_empty() {
            return Ok(());
        }
        if self.doubted {
            self.rewrite()?;
        }
        let lines: Vec<u8> = records.iter().flat_map(line).collect();
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // After a failed sync nobody knows what is on the disk.
            self.doubted = true;
            // It is written anew anyhow; this only makes it less likely that what did not count is read after a crash.
            let _ = self.file.set_len(self.length);
            return Err(RosterError::disk("writing", &self.folder.join(NAME))(source));
        }
        self.length += lines.len() as u64;
        self.lines += records.len();
        records.into_iter().for_each(|record| self.people.apply(record));
        self.tidy();
        Ok(())
    }

    /// Writes the file anew when it says much that is old.
    fn tidy(&mut self) {
        let gone = self.people.thin_out(CHANGES_MAX);
        if gone > 0 {
            info!(changes = gone, "the oldest changes of who wears what have made room");
        }
        if gone == 0 && self.lines < 2 * self.people.len() + STALE_MAX {
            return;
        }
        if let Err(error) = self.rewrite() {
            // Nothing is lost: the old file is there, and is written anew before the next change.
            error!(error = crate::exit::chain(&error), "cannot write the file of who is who anew");
        }
    }

    /// Replaces what the file says. No byte of the old one is left in the folder, nor of any that was set aside. Returns
    /// how many of those there were.
    pub(super) fn replace(&mut self, people: People) -> Result<usize, RosterError> {
        let failed = |error| RosterError::disk("removing old files in", &self.folder)(error);
        // First: once the file does not say any more who it was, nobody could ask for it again after a crash.
        let old = asides(&self.folder).map_err(failed)?;
        old.iter().try_for_each(|(_, path)| remove(path)).map_err(failed)?;
        self.sync_folder()?;
        let before = std::mem::replace(&mut self.people, people);
        if let Err(error) = self.rewrite() {
            self.people = before;
            return Err(error);
        }
        Ok(old.len())
    }

    /// Writes all of it into a new file, which takes the old one's place.
    fn rewrite(&mut self) -> Result<(), RosterError> {
        self.doubted = true;
        let (path, new) = (self.folder.join(NAME), self.folder.join(NEW));
        let write = || -> io::Result<(File, u64)> {
            remove(&new)?;
            let mut options = OpenOptions::new();
            let file = options.append(true).create_new(true).mode(0o600).open(&new)?;
            let mut writer = BufWriter::new(file);
            let mut length = 0;
            for record in self.people.records() {
                let line = line(&record);
                length += line.len() as u64;
                writer.write_all(&line)?;
            }
            let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok((file, length))
        };
        let written = write();
        if written.is_err() {
            // A full disk needs the room.
            let _ = remove(&new);
        }
        let (file, length) = written.map_err(RosterError::disk("writing", &new))?;
        std::fs::rename(&new, &path).map_err(RosterError::disk("renaming", &path))?;
        (self.file, self.length, self.lines) = (file, length, self.people.len());
        self.sync_folder()?;
        self.doubted = false;
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), RosterError> {
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(RosterError::disk("syncing the folder", &self.folder))
    }
}

/// What the file in this folder says, without a claim to it: it is only ever added to, or replaced as a whole.
pub(super) fn look(folder: &Path) -> Result<People, RosterError> {
    Ok(found(&folder.join(NAME))?.people)
}

fn found(path: &Path) -> Result<Found, RosterError> {
    match File::open(path) {
        Ok(file) => Ok(read(&file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::default()),
        Err(error) => Err(RosterError::disk("opening", path)(error)),
    }
}

/// Held as long as the file is open.
fn lock(path: &Path) -> Result<File, RosterError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(RosterError::disk("opening", path))?;
    let deadline = Instant::now() + WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::park_timeout(RETRY);
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(RosterError::InUse { path: path.to_owned() });
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(RosterError::disk("locking", path)(error));
            }
        }
    }
}

/// Removes a file; one that is gone is well.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The files that were set aside, by number.
fn asides(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(ASIDE).and_then(|number| number.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

/// A record as a line: version, checksum of the rest, and the record.
fn line(record: &Record) -> Vec<u8> {
    let text = serde_json::to_string(record).expect("plain numbers and texts become JSON");
    format!("{V} {} {text}\n", checksum_of(&text)).into_bytes()
}

/// CRC-32 in eight hex digits.
fn checksum_of(record: &str) -> String {
    format!("{:08x}", crc32fast::hash(record.as_bytes()))
}

/// Reads a line without its end; `None` if it is not as it was written, or of a later release.
fn parse(line: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(line).ok()?;
    let mut parts = text.splitn(3, ' ');
    let (version, checksum, record) = (parts.next()?, parts.next()?, parts.next()?);
    if version != V || checksum != checksum_of(record) {
        return None;
    }
    serde_json::from_str(record).ok()
}

/// Reads everything that can be, a line at a time: whatever is in the file, little of it is in memory.
fn read(file: &File) -> Found {
    let mut reader = BufReader::new(file.take(FILE_MAX));
    let mut found = Found::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                found.broken = Some(error);
                break;
            }
        }
        match bytes.strip_suffix(b"\n").and_then(parse) {
            Some(record) => {
                found.people.apply(record);
                found.lines += 1;
            }
            None => found.bad += 1,
        }
    }
    if file.metadata().is_ok_and(|file| file.len() > FILE_MAX) {
        found.bad += 1;
    }
    found.people.thin_out(CHANGES_MAX);
    found
}
