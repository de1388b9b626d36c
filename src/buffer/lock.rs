//! One process at a time: a lock on the data folder.
//!
//! sled locks its own file, but that is closed for a moment whenever the database is made anew, and what a rotation was
//! about to leave behind must not be tidied up by somebody else.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::BufferError;

const NAME: &str = "lock";

/// How long a folder that is in use is waited for, and how often it is looked at.
const WAIT: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);

/// Held as long as the value lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; a daemon that is just ending is waited for.
    pub(super) fn take(data_dir: &Path) -> Result<Self, BufferError> {
        let path = data_dir.join(NAME);
        let io = |source| BufferError::Io { doing: "locking", path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        let deadline = Instant::now() + WAIT;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::park_timeout(RETRY);
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(BufferError::InUse { path: data_dir.to_owned() });
                }
                Err(error) => return Err(io(error.into())),
            }
        }
    }
}
