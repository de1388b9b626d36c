//! The history: what recorded activities have come in, and the very bytes they came in as.
//!
//! # The promise
//!
//! Once a file is called imported, its bytes, its activities and their events in the log survive `kill -9` and a power
//! cut. Whatever happens in between, the same file brought once more leaves every activity once in the history and once
//! in the log.
//!
//! # How
//!
//! Beside the buffer, in `history/` of the data folder, for the owner only:
//!
//! - `originals/SHA256.fit` (`.tcx`, `.gpx`): the bytes, once, unpacked;
//! - `pending/ID.json`: an activity whose event may or may not be in the log yet;
//! - `activities/ID.json`: an activity whose event is durable, with its place in the log;
//! - `sessions.json`: the sessions of straps that go on, and how far the log was followed ([`crate::recorder`]);
//! - `index.ndjson`: what these hold, in short, for lists.
//!
//! Two recordings of one workout stay two activities. The lesser one names the better one ([`Kept::same_as`]); which is
//! which does not depend on what came first. Who comes in and is the better one has written in its pending document which ones
//! have to be linked to it; that is done when it has its place, and only then is it not pending any more. Those that are
//! linked so are told of once more, by the same steps.
//!
//! Every file is written beside its place, synced, renamed into it, and the folder synced. The order is: original,
//! pending, event in the log, line in the index, activity, pending removed. Who finds a pending one looks for its event in the log, from
//! where the log ended at the first try, before it writes one.
//!
//! What a file holds is not known here ([`crate::fit`] and [`crate::track`] read), nor where activities go from here (sinks see the events).

mod disk;
mod erase;
mod format;
mod identity;
mod import;
mod inbox;
mod index;
mod inflate;
mod outcome;
mod parcel;
mod pending;
mod record;
mod twins;
mod unpack;
mod whole;
mod zip;

pub use disk::Scratch;
pub use erase::Erased;
pub use format::is_known;
pub use import::{Importer, Owner, Parts, look};
pub use inbox::Inbox;
pub use index::Wanted;
pub use outcome::{Outcome, Session, Word};
pub use parcel::Bounds;
pub use record::Recording;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::activity::{Activity, ActivityId, FileFormat, Item, Summary, UnixMs, in_words};
use crate::athlete::AthleteId;
use crate::buffer::BufferError;
use crate::fit::{FileReport, Limits};
use crate::normalize::merge;
use crate::reading::EntryId;
use crate::workout::StrapSession;

/// Version of the stored document.
const V: u8 = 1;

/// Why something could not be taken in: never the fault of a file.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The disk.
    #[error("{doing} {path:?}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// What was brought could not be read to its end, for a reason that may pass.
    #[error("reading what was brought")]
    Source(#[source] io::Error),
    /// The log.
    #[error("noting an activity in the log")]
    Log(#[from] BufferError),
    /// The program is stopping: what was begun is finished at the next start.
    #[error("stopping; what was begun is finished at the next start")]
    Stopping,
}

impl HistoryError {
    pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }
}

/// An activity as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Version of this document.
    pub v: u8,
    /// Place of its event in the log; none while that is pending.
    pub seq: Option<EntryId>,
    /// Where the log ended when its event was first tried to be written: it is nowhere before.
    pub tried_from: EntryId,
    /// When it came in, as the wall clock had it.
    #[serde(with = "in_words")]
    pub came_in: UnixMs,
    /// Name of the file. It stays on the box.
    pub file: String,
    /// SHA-256 of the recording, in hex.
    pub sha256: String,
    /// What kind of file it is.
    pub format: FileFormat,
    /// Its place among the activities of its file, from 0; documents of before do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// The activity.
    pub activity: Activity,
    /// Of a strap's session that was recorded here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<StrapSession>>,
    /// Whose a file is that came in. Of a session, that tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub athlete: Option<AthleteId>,
    /// Whether whoever it is of had agreed that it leaves the box as theirs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub consent: bool,
    /// The better recording of the same workout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<ActivityId>,
    /// While it is pending: recordings of the same workout that have to be linked once it is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<ActivityId>,
}

impl Kept {
    /// Of which athlete it is, if that is known.
    pub fn whose(&self) -> Option<AthleteId> {
        self.session.as_ref().and_then(|session| session.athlete).or(self.athlete)
    }

    /// How good a recording it is, beside others of the same workout ([`merge::rank`]).
    pub fn rank(&self) -> impl Ord + use<> {
        merge::rank(&self.summary())
    }

    fn summary(&self) -> Summary {
        let session = self.session.clone().map(|session| match self.consent {
            true => session,
            false => Box::new(session.without_the_person()),
        });
        let athlete = self.athlete.filter(|_| self.consent);
        let same_as = self.same_as;
        let short = Summary::new(&self.activity, &self.sha256, self.format);
        Summary { session, athlete, same_as, ..short }
    }

    /// Its place among the activities of its file, when that was read again. Ids do not tell: it may have been given another.
    pub fn place_in(&self, activities: &[Activity]) -> Option<usize> {
        let kept = &self.activity;
        let is_it = |read: &Activity| {
            (read.index, read.start, &read.origin) == (kept.index, kept.start, &kept.origin)
        };
        match self.place {
            Some(place) => Some(place as usize).filter(|place| *place < activities.len()),
            None => activities.iter().position(is_it),
        }
    }
}

/// Whether the recording could be read from its beginning to its end, as it was written.
fn is_whole(activity: &Activity) -> bool {
    let quality = &activity.quality;
    quality.broken_at.is_none() && quality.checksum != crate::activity::Checksum::Bad
}

/// An activity in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Place of its event in the log.
    pub seq: Option<EntryId>,
    /// When it came in.
    #[serde(with = "in_words")]
    pub came_in: UnixMs,
    /// Name of the file it came in.
    pub file: String,
    /// Of which athlete it is, agreed or not: this list stays on the box.
    pub whose: Option<AthleteId>,
    /// What it is, as receivers are told.
    #[serde(flatten)]
    pub summary: Summary,
}

impl From<&Kept> for Listed {
    fn from(kept: &Kept) -> Self {
        let Kept { seq, came_in, file, .. } = kept;
        let (file, whose, summary) = (file.clone(), kept.whose(), kept.summary());
        Self { seq: *seq, came_in: *came_in, file, whose, summary }
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

impl History {
    /// The history in this data folder. Nothing is made before something comes in.
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("history") }
    }

    fn originals(&self) -> PathBuf {
        self.folder.join("originals")
    }

    fn activities(&self) -> PathBuf {
        self.folder.join("activities")
    }

    fn pending(&self) -> PathBuf {
        self.folder.join("pending")
    }

    fn original(&self, sha256: &str, format: FileFormat) -> PathBuf {
        self.originals().join(format!("{sha256}.{}", format.extension()))
    }

    /// What was kept of the sessions that go on; `None` if nothing was.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load_sessions(&self) -> Result<Option<Vec<u8>>, HistoryError> {
        let path = self.sessions();
        match std::fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HistoryError::disk("reading", &path)(error)),
        }
    }

    /// Keeps what is known of the sessions that go on. It is there for good when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save_sessions(&self, text: &[u8]) -> Result<(), HistoryError> {
        let path = self.sessions();
        disk::make_folder(&self.folder)?;
        let scratch = Scratch::new(&self.folder)?;
        scratch.handle()?.write_all(text).map_err(HistoryError::disk("writing", &path))?;
        scratch.keep(&path)
    }

    fn sessions(&self) -> PathBuf {
        self.folder.join("sessions.json")
    }

    /// One activity in full; `None` if there is none of that id, or it cannot be understood.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, id: ActivityId) -> Result<Option<Kept>, HistoryError> {
        disk::load(&self.activities().join(format!("{id}.json")))
    }

    /// Whether an activity of this id is being taken in: its event may be in the log, and what is kept under its id is not
    /// yet what that tells of.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn is_pending(&self, id: ActivityId) -> Result<bool, HistoryError> {
        Ok(disk::load(&self.pending().join(format!("{id}.json")))?.is_some())
    }

    /// The file of an activity, as it came in.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open_original(&self, kept: &Kept) -> Result<std::fs::File, HistoryError> {
        let path = self.original(&kept.sha256, kept.format);
        std::fs::File::open(&path).map_err(HistoryError::disk("opening", &path))
    }

    /// Reads the file of an activity once more. Samples and beats go to `sink`, with the place of their activity in the
    /// report, as the readers of [`crate::fit`] and [`crate::track`] tell them; `go_on` is asked now and then.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn replay(
        &self,
        kept: &Kept,
        limits: &Limits,
        go_on: &mut dyn FnMut() -> bool,
        sink: &mut dyn FnMut(usize, Item),
    ) -> Result<FileReport, HistoryError> {
        let file = self.open_original(kept)?;
        let path = self.original(&kept.sha256, kept.format);
        let report = format::read(kept.format, &file, limits, go_on, sink);
        report.map_err(HistoryError::disk("reading", &path))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
