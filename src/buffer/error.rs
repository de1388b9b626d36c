//! What can go wrong with the buffer, and what then helps.

use std::path::PathBuf;

use crate::reading::EntryId;

/// Why the buffer cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum BufferError {
    /// The file system refused.
    #[error("{doing} {path:?} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// No space is left.
    #[error("no space left on the disk while {doing}")]
    Full {
        /// What was being done.
        doing: &'static str,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The disk failed under the database.
    #[error("the disk failed while {doing}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("{doing} failed in the database")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process has it open.
    #[error(
        "the buffer in {path:?} is in use: is another pulsegate running? (`systemctl stop pulsegate`)"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The files are not readable as a database.
    #[error(
        "the buffer in {path:?} is damaged: `pulsegate buffer repair` saves what can be read, and so does starting the daemon"
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
    },
    /// Entries that were durable are not there.
    #[error("the entries from {first} up to {end} are missing from the database")]
    Missing {
        /// First place that is missing.
        first: EntryId,
        /// Place behind the last of them.
        end: EntryId,
    },
    /// Written by a later release.
    #[error(
        "the buffer was written by a newer release (format {found}, this program reads up to {known})"
    )]
    TooNew {
        /// Format found.
        found: u64,
        /// Format known.
        known: u64,
    },
    /// A fact too large for a chunk.
    #[error("an entry is too large to be stored: {0}")]
    TooLarge(&'static str),
    /// The disk refuses at the moment; the buffer tries again by itself.
    #[error("the buffer cannot be used at the moment: {reason}")]
    Unavailable {
        /// What the disk said.
        reason: String,
    },
    /// The disk refused for so long that the entry had to make room in memory.
    #[error("the disk refused for too long: the entry is lost, and a gap is told")]
    NotStored,
    /// A copy of the log would not fit onto the disk.
    #[error(
        "{needed_mb} MB of free space are needed for a while, and there are {free_mb} MB: make room, and ask again"
    )]
    NoRoom {
        /// Megabytes needed.
        needed_mb: u64,
        /// Megabytes free.
        free_mb: u64,
    },
    /// What a damaged database holds comes back at the moment.
    #[error(
        "what can be read of a damaged database is being put back: ask again once `pulsegate buffer status` does not \
         say so any more"
    )]
    PuttingBack,
    /// There is no such sink.
    #[error("no sink {0:?} has ever had a cursor here")]
    NoSuchSink(String),
    /// Opened to be looked at only.
    #[error("the buffer was opened to be inspected: it takes nothing in")]
    NotCollecting,
    /// The buffer has been closed or has failed.
    #[error("the buffer is closed")]
    Closed,
}

/// What may help after a commit or a read has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Free the reserve, open the database again, drop the oldest entries.
    MakeSpace,
    /// Copy everything into a new database. What the kernel could not write it may believe written: the old file cannot
    /// be trusted any more.
    Rewrite,
}

impl BufferError {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Full { .. } => Remedy::MakeSpace,
            _ => Remedy::Rewrite,
        }
    }

    /// Whether it says that the files are bad, rather than that they cannot be had at the moment.
    pub(super) fn is_damage(&self) -> bool {
        use std::io::ErrorKind::{
            NotFound, OutOfMemory, PermissionDenied, ReadOnlyFilesystem, StorageFull, WouldBlock,
        };
        // Too many open files: EMFILE, ENFILE.
        const TOO_MANY_FILES: [i32; 2] = [24, 23];
        match self {
            Self::Store { .. } | Self::Damaged { .. } | Self::Missing { .. } => true,
            Self::Disk { source, .. } => {
                !matches!(
                    source.kind(),
                    NotFound
                        | OutOfMemory
                        | PermissionDenied
                        | ReadOnlyFilesystem
                        | StorageFull
                        | WouldBlock
                ) && !source.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
            }
            _ => false,
        }
    }

    /// The error and what is behind it, in one line.
    pub(super) fn in_words(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}
