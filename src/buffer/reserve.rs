//! Space held back, so that a full disk still lets the daemon make room.
//!
//! A file of real blocks beside the database. When the disk is full it is removed; the database then has space to drop
//! entries and to go on, and the file is made again once there is room.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tracing::{debug, warn};

const NAME: &str = "reserve";
/// For a log of this size or more; smaller ones hold back a part of theirs.
const MOST_BYTES: u64 = 16 << 20;
const SHARE: u64 = 4;
const LEAST_BYTES: u64 = 1 << 20;

/// The space held back.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    pub(super) fn new(data_dir: &Path, max_bytes: u64) -> Self {
        let bytes = (max_bytes / SHARE).clamp(LEAST_BYTES, MOST_BYTES);
        Self { path: data_dir.join(NAME), bytes }
    }

    /// Makes the file, unless it is there, or the disk would be nearly full with it.
    pub(super) fn hold(&self) {
        let there = fs::metadata(&self.path).is_ok_and(|meta| meta.len() >= self.bytes);
        let free = self.path.parent().and_then(free_bytes).unwrap_or(0);
        if there || free < 2 * self.bytes {
            return;
        }
        if let Err(error) = self.make() {
            warn!(%error, path = %self.path.display(), "no space can be held back for a full disk");
            self.release();
        }
    }

    fn make(&self) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.path)?;
        fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?;
        file.sync_all()?;
        debug!(bytes = self.bytes, "space held back for a full disk");
        Ok(())
    }

    /// Whether there is less room than is held back otherwise.
    pub(super) fn would_not_fit(&self) -> bool {
        self.path.parent().and_then(free_bytes).unwrap_or(0) < self.bytes
    }

    /// Gives the space back.
    pub(super) fn release(&self) {
        // Not there, or not removable: then there is nothing to gain.
        let _ = fs::remove_file(&self.path);
    }
}

/// Bytes that may still be written to the file system of `folder`.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}
