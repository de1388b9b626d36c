//! Which kind of file something is, and how such a file is read: the one place that a further format is added to.

use std::fs::File;
use std::io;

use crate::activity::FileFormat;
use crate::fit::{self, FileReport, Limits};

/// How names of recordings end, in lower case; each of them may be followed by `.gz`.
const ENDINGS: [&str; 1] = [".fit"];

/// The kind of a file that begins with these bytes. Whatever is nothing else is held to be FIT, whose reader sees
/// through damaged headers and says what is wrong.
pub(super) fn of(_head: &[u8]) -> FileFormat {
    FileFormat::Fit
}

/// Reads a file of this kind.
pub(super) fn read(
    format: FileFormat,
    file: &File,
    limits: &Limits,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<FileReport> {
    match format {
        FileFormat::Fit => fit::read(file, limits, go_on, &mut |_, _| {}),
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
