//! Files that are there whole or not at all: written beside their place, synced, renamed, and the folder synced.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{HistoryError, Kept};

/// How names of files begin that are being written.
const NEW: &str = ".new-";

/// Names that are tried for a new file; they are random.
const TRIES: u32 = 16;

/// Makes a folder for the owner only, and those around it.
pub(super) fn make_folder(path: &Path) -> Result<(), HistoryError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(HistoryError::disk("making the folder", path))
}

/// Makes the names in the folder of this file durable.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), HistoryError> {
    // Of a bare name it is empty.
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(HistoryError::disk("syncing the folder", folder))
}

/// Moves a file for good. The new name is durable before the old one is gone: on a disk that keeps no journal a power cut
/// may leave both, never none.
pub(super) fn move_file(from: &Path, to: &Path) -> Result<(), HistoryError> {
    std::fs::rename(from, to).map_err(HistoryError::disk("moving", from))?;
    sync_folder_of(to)?;
    sync_folder_of(from)
}

/// Removes what a crash left half written.
pub(super) fn sweep(folder: &Path) -> Result<(), HistoryError> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(NEW.as_bytes()) {
            std::fs::remove_file(&path).map_err(HistoryError::disk("removing", &path))?;
        }
    }
    Ok(())
}

/// The documents in a folder, by name.
pub(super) fn documents(folder: &Path) -> Result<Vec<PathBuf>, HistoryError> {
    let mut found = entries(folder)?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, HistoryError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(HistoryError::disk("reading the folder", folder)),
    }
}

/// Reads a document; `None` if it is not there or says nothing that is understood.
pub(super) fn load(path: &Path) -> Result<Option<Kept>, HistoryError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HistoryError::disk("reading", path)(error)),
    };
    Ok(serde_json::from_slice(&text).ok())
}

/// Writes a document. It is there for good when this returns.
pub(super) fn save(path: &Path, kept: &Kept) -> Result<(), HistoryError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut scratch = Scratch::new(folder)?;
    let mut text = serde_json::to_vec(kept).expect("plain numbers and texts become JSON");
    text.push(b'\n');
    scratch.file.write_all(&text).map_err(HistoryError::disk("writing", path))?;
    scratch.keep(path)
}

/// Removes a document; one that is gone is well.
pub(super) fn remove(path: &Path) -> Result<(), HistoryError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HistoryError::disk("removing", path)(error))
        }
        _ => Ok(()),
    }
}

/// A file that is being written. It is gone with the value, unless it was kept.
#[derive(Debug)]
pub struct Scratch {
    pub(super) file: File,
    path: PathBuf,
}

impl Scratch {
    /// A new file in this folder, for the owner only.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: &Path) -> Result<Self, HistoryError> {
        let mut tries = 0;
        loop {
            let path = folder.join(format!("{NEW}{:016x}", fastrand::u64(..)));
            let made =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
            match made {
                Ok(file) => return Ok(Self { file, path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {
                    tries += 1;
                }
                Err(error) => return Err(HistoryError::disk("making", &path)(error)),
            }
        }
    }

    /// The file, for whoever fills it.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn handle(&self) -> Result<File, HistoryError> {
        self.file.try_clone().map_err(HistoryError::disk("opening", &self.path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its place for good; what was there is replaced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep(self, place: &Path) -> Result<(), HistoryError> {
        self.file.sync_all().map_err(HistoryError::disk("syncing", place))?;
        std::fs::rename(&self.path, place).map_err(HistoryError::disk("renaming", place))?;
        sync_folder_of(place)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Kept ones have another name by now; what cannot be removed is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
