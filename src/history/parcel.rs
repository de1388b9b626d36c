//! What was brought, unpacked: a recording, plain or gzipped, or an archive of them. Bounded in size, number and time;
//! what it is, its bytes say.
//!
//! Everything here blocks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::unpack::{Room, Unpacked, unpack, unpack_member};
use super::zip::{Count, Member, Zip, ZipFault, is_archive};
use super::{HistoryError, Outcome, Scratch, Word, format};
use crate::activity::{ContentDigest, FileFormat, Item};
use crate::fit::{Class, FileReport, Limits};

/// What an archive may unpack to: so many times its size, for recordings shrink to a third, or at most to a fiftieth.
const RATIO: u64 = 200;

/// Activities of an archive: what is told of each is held until all is told.
const ACTIVITIES_MAX: usize = 20_000;

/// How much may be brought at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of one recording, unpacked.
    pub file: Limits,
    /// Bytes of an archive.
    pub archive_bytes: u64,
    /// Files in an archive.
    pub archive_files: usize,
    /// Time for one recording.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            file: Limits::default(),
            archive_bytes: 256 << 20,
            archive_files: 10_000,
            time: Duration::from_secs(60),
        }
    }
}

impl Bounds {
    /// Most bytes of something that begins so.
    pub fn bytes_of(&self, head: &[u8]) -> u64 {
        if is_archive(head) { self.archive_bytes } else { self.file.bytes }
    }
}

/// One recording, read.
pub(super) struct Prepared {
    /// Its name.
    pub(super) name: String,
    /// Its bytes, in a new file.
    pub(super) scratch: Scratch,
    /// Their digest, in hex.
    pub(super) sha256: String,
    /// What kind of file it is.
    pub(super) format: FileFormat,
    /// What it holds.
    pub(super) report: FileReport,
    /// Of each of its activities a digest of all that was measured; of those at the end that have nothing, none.
    pub(super) contents: Vec<ContentDigest>,
}

/// What came of a piece of a parcel.
pub(super) enum Piece {
    /// A recording.
    Read(Box<Prepared>),
    /// Nothing that could be read.
    Not(Outcome),
}

/// What was brought.
pub(super) struct Parcel {
    name: String,
    bounds: Bounds,
    stop: CancellationToken,
    content: Content,
}

enum Content {
    One(File),
    Archive(Box<Archive>),
    Refused(String),
    Done,
}

impl Parcel {
    /// Looks what it is.
    pub(super) fn open(
        mut source: File,
        name: &str,
        bounds: Bounds,
        stop: CancellationToken,
    ) -> Result<Self, HistoryError> {
        let content = look(&mut source, &bounds).map_err(HistoryError::Source)?;
        let content = match content {
            Look::One => Content::One(source),
            Look::Archive(size) => Archive::open(source, size, &bounds)?,
            Look::TooMuch(reason) => Content::Refused(reason),
        };
        Ok(Self { name: name.to_owned(), bounds, stop, content })
    }

    /// The next recording, unpacked into a new file in `folder`; `None` when that was all.
    pub(super) fn next(&mut self, folder: &Path) -> Result<Option<Piece>, HistoryError> {
        if self.stop.is_cancelled() {
            return Err(HistoryError::Stopping);
        }
        match std::mem::replace(&mut self.content, Content::Done) {
            Content::Done => Ok(None),
            Content::Refused(reason) => Ok(Some(Piece::Not(Outcome::rejected(&self.name, reason)))),
            Content::One(source) => {
                let bytes = self.bounds.file.bytes;
                let unpacked = unpack(source, folder, &mut Room { file: bytes, left: bytes })?;
                self.read(self.name.clone(), unpacked).map(Some)
            }
            Content::Archive(mut archive) => match archive.next(folder)? {
                Next::Member(member, unpacked) => {
                    let piece = self.read(format!("{}/{member}", self.name), unpacked)?;
                    let piece = archive.counted(piece);
                    self.content = Content::Archive(archive);
                    Ok(Some(piece))
                }
                Next::End => Ok(archive.end(&self.name).map(Piece::Not)),
            },
        }
    }

    fn read(&self, name: String, unpacked: Unpacked) -> Result<Piece, HistoryError> {
        let (scratch, sha256, broken) = match unpacked {
            Unpacked::Not(reason) => return Ok(Piece::Not(Outcome::rejected(&name, reason))),
            Unpacked::File { scratch, sha256, broken } => (scratch, sha256, broken),
        };
        let deadline = Instant::now() + self.bounds.time;
        let mut go_on = || Instant::now() < deadline && !self.stop.is_cancelled();
        let limits = &self.bounds.file;
        let mut contents: Vec<ContentDigest> = Vec::new();
        let mut sink = |place: usize, item: Item| {
            if contents.len() <= place {
                contents.resize(place + 1, ContentDigest::default());
            }
            contents[place].item(&item);
        };
        let reading = || -> io::Result<(FileFormat, FileReport)> {
            let format = format::of(&scratch.file, limits)?;
            Ok((format, format::read(format, &scratch.file, limits, &mut go_on, &mut sink)?))
        };
        let (format, mut report) = match catch_unwind(AssertUnwindSafe(reading)) {
            Err(_) => {
                let reason = "a fault of the reader; please report it, with the file if you can";
                return Ok(Piece::Not(Outcome::rejected(&name, reason)));
            }
            Ok(read) => read.map_err(HistoryError::disk("reading", scratch.path()))?,
        };
        // Not the file's fault.
        if report.result == Class::Rejected && self.stop.is_cancelled() {
            return Err(HistoryError::Stopping);
        }
        if let Some(broken) = broken {
            broken.tell(&mut report);
        }
        Ok(Piece::Read(Box::new(Prepared { name, scratch, sha256, format, report, contents })))
    }
}

/// An archive, and how far it was unpacked.
struct Archive {
    zip: Zip,
    count: Count,
    /// Place in its directory of the file that comes next.
    next: u64,
    room: Room,
    /// Activities that may still come out of it.
    activities: usize,
    /// From where to where the files go that were unpacked: none shares its bytes with another.
    taken: BTreeMap<u64, u64>,
    /// Whether any file in it was a recording by its name.
    some: bool,
}

enum Next {
    Member(String, Unpacked),
    End,
}

impl Archive {
    fn open(source: File, size: u64, bounds: &Bounds) -> Result<Content, HistoryError> {
        let most = bounds.archive_files;
        let opened = Zip::open(source).and_then(|zip| Ok((zip.count(most)?, zip)));
        Ok(match opened {
            Ok((Count::TooMany, _)) => {
                Content::Refused(format!("an archive of more than {most} files, which are allowed"))
            }
            Ok((count, zip)) => Content::Archive(Box::new(Self {
                count,
                next: zip.first(),
                zip,
                room: Room { file: bounds.file.bytes, left: size.saturating_mul(RATIO) },
                activities: ACTIVITIES_MAX,
                taken: BTreeMap::new(),
                some: false,
            })),
            Err(ZipFault::Io(error)) => return Err(HistoryError::Source(error)),
            Err(ZipFault::Damaged(why)) => Content::Refused(format!("a damaged archive: {why}")),
        })
    }

    fn next(&mut self, folder: &Path) -> Result<Next, HistoryError> {
        loop {
            let member = self.zip.member(self.next);
            let Some((member, next)) = sound(member)?.ok().flatten() else { return Ok(Next::End) };
            self.next = next;
            if member.has_long_name {
                self.some = true;
                let unpacked = Unpacked::Not("its name is longer than any name may be".to_owned());
                return Ok(Next::Member(member.name, unpacked));
            }
            if is_taken(&member.name) {
                self.some = true;
                let unpacked = self.unpack(&member, folder)?;
                return Ok(Next::Member(member.name, unpacked));
            }
        }
    }

    fn unpack(&mut self, member: &Member, folder: &Path) -> Result<Unpacked, HistoryError> {
        let (from, to) = match sound(self.zip.bytes_of(member))? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Unpacked::Not(format!("damaged in the archive: {why}"))),
        };
        let before = self.taken.range(..=from).next_back();
        let is_shared = before.is_some_and(|(_, end)| *end > from)
            || self.taken.range(from..to).next().is_some();
        if is_shared {
            return Ok(Unpacked::Not("it shares its bytes with another in the archive".to_owned()));
        }
        self.taken.insert(from, to);
        unpack_member(&self.zip, member, (from, to), folder, &mut self.room)
    }

    /// What came of a file, if no more than may be came out of all of them.
    fn counted(&mut self, piece: Piece) -> Piece {
        let Piece::Read(prepared) = piece else { return piece };
        match self.activities.checked_sub(prepared.report.activities.len()) {
            Some(left) => {
                self.activities = left;
                Piece::Read(prepared)
            }
            None => {
                let reason = format!("the archive holds more than {ACTIVITIES_MAX} activities");
                Piece::Not(Outcome::rejected(&prepared.name, reason))
            }
        }
    }

    /// What is to be said of it as a whole.
    fn end(&self, name: &str) -> Option<Outcome> {
        if self.count == Count::Some {
            let reason = "a damaged archive: it holds other files than it says; those that are there were looked at";
            return Some(Outcome::rejected(name, reason));
        }
        (!self.some).then(|| {
            let reason = "an archive without a recording in it".to_owned();
            Outcome { result: Word::NotAnActivity, ..Outcome::rejected(name, reason) }
        })
    }
}

/// Tells what the disk refuses from what is wrong with an archive.
fn sound<T>(done: Result<T, ZipFault>) -> Result<Result<T, &'static str>, HistoryError> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(ZipFault::Damaged(why)) => Ok(Err(why)),
        Err(ZipFault::Io(error)) => Err(HistoryError::Source(error)),
    }
}

enum Look {
    One,
    Archive(u64),
    TooMuch(String),
}

fn look(source: &mut File, bounds: &Bounds) -> io::Result<Look> {
    let mut head = [0; 4];
    let length = peek(source, &mut head)?;
    let size = source.metadata()?.len();
    let most = bounds.bytes_of(&head[..length]);
    if size > most {
        return Ok(Look::TooMuch(format!("{size} bytes, {most} are allowed")));
    }
    Ok(if is_archive(&head[..length]) { Look::Archive(size) } else { Look::One })
}

/// The first bytes, and back to the beginning.
fn peek(file: &mut File, head: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(0))?;
    let mut length = 0;
    while length < head.len() {
        match file.read(&mut head[length..])? {
            0 => break,
            read => length += read,
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(length)
}

/// Whether a file in an archive is looked at. macOS puts something beside each file that is none.
fn is_taken(member: &str) -> bool {
    let name = member.rsplit('/').next().unwrap_or(member);
    !name.starts_with('.') && format::is_recording(name)
}
