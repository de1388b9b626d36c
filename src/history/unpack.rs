//! Copies what was brought into a file of its own, unpacked and within bounds, as far as it goes.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ring::digest::{Context, SHA256};

use super::inflate::{Checked, GZIP, Gzip, Inflate, Slice};
use super::zip::{Member, Packing, Zip};
use super::{HistoryError, Scratch};
use crate::activity::Checksum;
use crate::fit::{Class, FileReport};

/// Copied at once. What is read of something packed must be no less: see [`Inflate`].
const PIECE: usize = 64 * 1024;

/// What may still be unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes of one recording.
    pub(super) file: u64,
    /// Bytes of all there are.
    pub(super) left: u64,
}

/// What was unpacked.
pub(super) enum Unpacked {
    /// A recording, or as much of it as came out.
    File {
        scratch: Scratch,
        /// Digest of what came out, in hex.
        sha256: String,
        broken: Option<Broken>,
    },
    /// Nothing, and why.
    Not(String),
}

/// Where something packed breaks off.
#[derive(Debug)]
pub(super) struct Broken {
    /// Bytes that came out of it.
    at: u64,
    kind: Break,
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// What follows is missing.
    CutOff,
    /// Something in it was changed, perhaps before it could be noticed.
    Damaged,
}

impl Broken {
    /// Tells of it in the report of what came out.
    pub(super) fn tell(&self, report: &mut FileReport) {
        let inner = report.reason.take().map(|reason| format!("; {reason}")).unwrap_or_default();
        let Self { at, why, .. } = self;
        report.reason = Some(format!("the packing breaks off after {at} bytes: {why}{inner}"));
        if report.result == Class::Decoded {
            report.result = Class::Salvaged;
        }
        report.quality.broken_at.get_or_insert(*at);
        // The end is missing to the last one; what was changed may be in any.
        if let Some(last) = report.activities.last_mut() {
            last.quality.broken_at.get_or_insert(*at);
        }
        if self.kind == Break::Damaged {
            report.quality.checksum = Checksum::Bad;
            for activity in &mut report.activities {
                activity.quality.checksum = Checksum::Bad;
            }
        }
    }
}

/// Unpacks a file that was brought by itself.
pub(super) fn unpack(
    source: impl Read,
    folder: &Path,
    room: &mut Room,
) -> Result<Unpacked, HistoryError> {
    // The unpacker has seen hostile bytes, but not all.
    let unpacking = AssertUnwindSafe(|| try_unpack(source, folder, room));
    catch_unwind(unpacking).unwrap_or_else(|_| Ok(Unpacked::Not("damaged".to_owned())))
}

/// Unpacks a file of an archive.
pub(super) fn unpack_member(
    zip: &Zip,
    member: &Member,
    (from, to): (u64, u64),
    folder: &Path,
    room: &mut Room,
) -> Result<Unpacked, HistoryError> {
    let packed = Slice::new(zip.file(), from, to);
    match member.packing {
        Packing::Stored => unpack(Checked::new(packed, member.crc, member.size), folder, room),
        Packing::Deflated => {
            let inflated = Inflate::new(BufReader::new(packed));
            unpack(Checked::new(inflated, member.crc, member.size), folder, room)
        }
        Packing::Encrypted => Ok(Unpacked::Not("it is encrypted".to_owned())),
        Packing::Other(number) => {
            let reason = format!("packed in a way that is not known here (method {number})");
            Ok(Unpacked::Not(reason))
        }
    }
}

fn try_unpack(source: impl Read, folder: &Path, room: &mut Room) -> Result<Unpacked, HistoryError> {
    let mut source = BufReader::with_capacity(PIECE, source);
    // What is wrong at once is told when it is read.
    let is_packed = source.fill_buf().is_ok_and(|head| head.starts_with(&GZIP));
    if is_packed { copy(Gzip::new(source), folder, room) } else { copy(source, folder, room) }
}

fn copy(mut source: impl Read, folder: &Path, room: &mut Room) -> Result<Unpacked, HistoryError> {
    let mut scratch = Scratch::new(folder)?;
    let mut digest = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    let broken = loop {
        let length = match source.read(&mut piece) {
            Ok(0) => break None,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => break Some(broken(bytes, error)?),
        };
        bytes += length as u64;
        // Also of what is then refused: time was spent on it.
        let rest = room.left.checked_sub(length as u64);
        room.left = rest.unwrap_or(0);
        if bytes > room.file {
            let most = room.file;
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
    };
    if let Some(Broken { why, .. }) = broken.as_ref().filter(|_| bytes == 0) {
        return Ok(Unpacked::Not(format!("nothing can be unpacked: {why}")));
    }
    let digest = digest.finish();
    let sha256 = super::hex(digest.as_ref());
    Ok(Unpacked::File { scratch, sha256, broken })
}

/// What an error means: that the disk fails, which is not the file's fault, or that the packing is broken.
fn broken(at: u64, error: io::Error) -> Result<Broken, HistoryError> {
    if error.raw_os_error().is_some() {
        return Err(HistoryError::Source(error));
    }
    let kind = match error.kind() {
        ErrorKind::UnexpectedEof => Break::CutOff,
        _ => Break::Damaged,
    };
    Ok(Broken { at, kind, why: error.to_string() })
}
