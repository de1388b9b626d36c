//! Which kind of file something is, and how such a file is read: the one place that a further format is added to.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::activity::{FileFormat, Item};
use crate::fit::{self, FileReport, Limits};
use crate::track;

/// How names of recordings end, in lower case; each of them may be followed by `.gz`.
const ENDINGS: [&str; 3] = [".fit", ".tcx", ".gpx"];

/// Bytes that tell whether something is XML: a mark, blanks, the first tag.
const HEAD: u64 = 256;

/// The kind of a file, by its bytes alone, and back to its beginning. Whatever is nothing else is held to be FIT, whose
/// reader sees through damaged headers and says what is wrong.
pub(super) fn of(mut file: &File, limits: &Limits) -> io::Result<FileFormat> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(HEAD).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    if !track::is_markup(&head) {
        return Ok(FileFormat::Fit);
    }
    let format = track::kind(file, limits)?;
    file.seek(SeekFrom::Start(0))?;
    // The reader of either says what it is instead, and nothing of it is kept.
    Ok(format.unwrap_or(FileFormat::Gpx))
}

/// Reads a file of this kind from its beginning.
pub(super) fn read(
    format: FileFormat,
    mut file: &File,
    limits: &Limits,
    go_on: &mut dyn FnMut() -> bool,
    sink: &mut dyn FnMut(usize, Item),
) -> io::Result<FileReport> {
    file.seek(SeekFrom::Start(0))?;
    match format {
        FileFormat::Fit => fit::read(file, limits, go_on, sink),
        FileFormat::Tcx | FileFormat::Gpx => track::read(file, limits, go_on, sink),
    }
}

/// Whether a file of this name may be a recording, plain or packed by itself.
pub(super) fn is_recording(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    ENDINGS.iter().any(|ending| plain.ends_with(ending))
}

/// Whether a file of this name may be taken in: a recording, or an archive of them.
pub fn is_known(name: &str) -> bool {
    is_recording(name) || name.to_ascii_lowercase().ends_with(".zip")
}
