//! What was brought, unpacked: a recording, plain or gzipped, or an archive of them. Bounded in size, number and time;
//! what it is, its bytes say.
//!
//! Everything here blocks.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::bufread::MultiGzDecoder;
use ring::digest::{Context, SHA256};
use tokio_util::sync::CancellationToken;
use zip::ZipArchive;
use zip::result::ZipError;

use super::{HistoryError, Outcome, Scratch, Word, format};
use crate::activity::{ContentDigest, FileFormat, Item};
use crate::fit::{Class, FileReport, Limits};

const GZIP: [u8; 2] = [0x1F, 0x8B];
/// An archive begins with its first file, an empty one with its end.
const ZIP: [[u8; 4]; 2] = [*b"PK\x03\x04", *b"PK\x05\x06"];

/// The end of an archive: its mark, the longest comment behind it, and where the number of files stands.
const ZIP_END: [u8; 4] = *b"PK\x05\x06";
const ZIP_END_MAX: u64 = 22 + 0xFFFF;
const ZIP_END_COUNT: usize = 10;

/// What an archive may unpack to: so many times its size, for recordings shrink to a third, or at most to a fiftieth.
const RATIO: u64 = 200;

/// Copied at once.
const PIECE: usize = 64 * 1024;

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
        if ZIP.iter().any(|mark| head.starts_with(mark)) {
            self.archive_bytes
        } else {
            self.file.bytes
        }
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
    Archive {
        archive: Box<ZipArchive<BufReader<File>>>,
        next: usize,
        /// Bytes that may still be unpacked.
        left: u64,
        /// Whether any file in it was a recording by its name.
        some: bool,
    },
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
        let content = match look(&mut source, &bounds).map_err(HistoryError::Source)? {
            Look::One => Content::One(source),
            Look::Archive(size) => open_archive(source, size)?,
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
                let mut left = self.bounds.file.bytes;
                let unpacked = unpack(BufReader::new(source), folder, &mut left, &self.bounds)?;
                self.read(self.name.clone(), unpacked).map(Some)
            }
            Content::Archive { mut archive, mut next, mut left, mut some } => {
                let (member, unpacked) = loop {
                    if next >= archive.len() {
                        return Ok((!some).then(|| Piece::Not(self.without_recordings())));
                    }
                    let place = next;
                    next += 1;
                    if let Some(member) =
                        archive.name_for_index(place).filter(|name| is_taken(name))
                    {
                        let member = format!("{}/{member}", self.name);
                        break (
                            member,
                            unpack_member(&mut archive, place, folder, &mut left, &self.bounds)?,
                        );
                    }
                };
                some = true;
                self.content = Content::Archive { archive, next, left, some };
                self.read(member, unpacked).map(Some)
            }
        }
    }

    fn without_recordings(&self) -> Outcome {
        let reason = "an archive without a recording in it".to_owned();
        Outcome { result: Word::NotAnActivity, ..Outcome::rejected(&self.name, reason) }
    }

    fn read(&self, name: String, unpacked: Unpacked) -> Result<Piece, HistoryError> {
        let (scratch, sha256) = match unpacked {
            Unpacked::Not(reason) => return Ok(Piece::Not(Outcome::rejected(&name, reason))),
            Unpacked::Whole { scratch, sha256 } => (scratch, sha256),
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
        let (format, report) = match catch_unwind(AssertUnwindSafe(reading)) {
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
        Ok(Piece::Read(Box::new(Prepared { name, scratch, sha256, format, report, contents })))
    }
}

enum Look {
    One,
    Archive(u64),
    TooMuch(String),
}

/// What an error of reading means: that the disk fails, which is not the file's fault, or that it cannot be unpacked.
fn fault(error: io::Error) -> Result<Unpacked, HistoryError> {
    if error.raw_os_error().is_some() {
        return Err(HistoryError::Source(error));
    }
    Ok(Unpacked::Not(format!("damaged: {error}")))
}

fn look(source: &mut File, bounds: &Bounds) -> io::Result<Look> {
    let mut head = [0; 4];
    let length = peek(source, &mut head)?;
    let size = source.metadata()?.len();
    let most = bounds.bytes_of(&head[..length]);
    if size > most {
        return Ok(Look::TooMuch(format!("{size} bytes, {most} are allowed")));
    }
    if !ZIP.contains(&head) {
        return Ok(Look::One);
    }
    let files = zip_files(source, size)?;
    if files > bounds.archive_files {
        let most = bounds.archive_files;
        return Ok(Look::TooMuch(format!(
            "an archive of {files} files or more, {most} are allowed"
        )));
    }
    Ok(Look::Archive(size))
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

/// How many files an archive says that it has, before room is made for them.
fn zip_files(file: &mut File, size: u64) -> io::Result<usize> {
    file.seek(SeekFrom::Start(size.saturating_sub(ZIP_END_MAX)))?;
    let mut tail = Vec::new();
    file.take(ZIP_END_MAX).read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(0))?;
    let marks = tail.windows(ZIP_END_COUNT + 2).filter(|window| window.starts_with(&ZIP_END));
    let counts = marks.map(|window| {
        usize::from(u16::from_le_bytes([window[ZIP_END_COUNT], window[ZIP_END_COUNT + 1]]))
    });
    Ok(counts.max().unwrap_or(0))
}

fn open_archive(source: File, size: u64) -> Result<Content, HistoryError> {
    // The reader has seen hostile archives, but not every one.
    let opened = catch_unwind(AssertUnwindSafe(|| ZipArchive::new(BufReader::new(source))));
    Ok(match opened {
        Ok(Ok(archive)) => {
            let left = size.saturating_mul(RATIO);
            Content::Archive { archive: Box::new(archive), next: 0, left, some: false }
        }
        Ok(Err(ZipError::Io(error))) if error.raw_os_error().is_some() => {
            return Err(HistoryError::Source(error));
        }
        Ok(Err(error)) => Content::Refused(format!("a damaged archive: {error}")),
        Err(_) => Content::Refused("a damaged archive".to_owned()),
    })
}

/// Whether a file in an archive is looked at. macOS puts something beside each file that is none.
fn is_taken(member: &str) -> bool {
    let name = member.rsplit('/').next().unwrap_or(member);
    !name.starts_with('.') && format::is_recording(name)
}

enum Unpacked {
    Whole { scratch: Scratch, sha256: String },
    Not(String),
}

fn unpack_member(
    archive: &mut ZipArchive<BufReader<File>>,
    place: usize,
    folder: &Path,
    left: &mut u64,
    bounds: &Bounds,
) -> Result<Unpacked, HistoryError> {
    let member = match archive.by_index(place) {
        Ok(member) => member,
        Err(ZipError::UnsupportedArchive(why)) => {
            return Ok(Unpacked::Not(format!("packed in a way that is not known here: {why}")));
        }
        Err(ZipError::Io(error)) => return fault(error),
        Err(error) => return Ok(Unpacked::Not(format!("damaged in the archive: {error}"))),
    };
    unpack(BufReader::new(member), folder, left, bounds)
}

/// Copies what is there, unpacked if it is gzipped, into a new file. The unpackers have seen hostile bytes, but not
/// every one.
fn unpack(
    source: impl BufRead,
    folder: &Path,
    left: &mut u64,
    bounds: &Bounds,
) -> Result<Unpacked, HistoryError> {
    let unpacking = AssertUnwindSafe(|| try_unpack(source, folder, left, bounds));
    catch_unwind(unpacking).unwrap_or_else(|_| Ok(Unpacked::Not("damaged".to_owned())))
}

fn try_unpack(
    mut source: impl BufRead,
    folder: &Path,
    left: &mut u64,
    bounds: &Bounds,
) -> Result<Unpacked, HistoryError> {
    let is_packed = match source.fill_buf() {
        Ok(head) => head.starts_with(&GZIP),
        Err(error) => return fault(error),
    };
    if is_packed {
        copy(MultiGzDecoder::new(source), folder, left, bounds)
    } else {
        copy(source, folder, left, bounds)
    }
}

fn copy(
    mut source: impl Read,
    folder: &Path,
    left: &mut u64,
    bounds: &Bounds,
) -> Result<Unpacked, HistoryError> {
    let mut scratch = Scratch::new(folder)?;
    let mut digest = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    loop {
        let length = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return fault(error),
        };
        bytes += length as u64;
        // Also of what is then refused: time was spent on it.
        let rest = left.checked_sub(length as u64);
        *left = rest.unwrap_or(0);
        if bytes > bounds.file.bytes {
            let most = bounds.file.bytes;
            return Ok(Unpacked::Not(format!("more than {most} bytes, which are allowed")));
        }
        if rest.is_none() {
            let reason =
                "the archive unpacks to more than its size can mean; nothing more is taken";
            return Ok(Unpacked::Not(reason.to_owned()));
        }
        let piece = &piece[..length];
        digest.update(piece);
        let written = scratch.file.write_all(piece);
        written.map_err(HistoryError::disk("writing", scratch.path()))?;
    }
    let digest = digest.finish();
    let sha256 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Unpacked::Whole { scratch, sha256 })
}
