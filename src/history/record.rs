//! Sessions of straps as activities of the history: the box is their recorder, and their file is written here.
//!
//! The id of such an activity is its session's, so that one that is told again takes its own place.

use std::io::Write;

use ring::digest::{SHA256, digest};
use tracing::info;

use super::import::blocking;
use super::twins::Search;
use super::{HistoryError, Importer, Kept, Scratch, V, disk, format, hex};
use crate::activity::{Activity, FileFormat, UnixMs};
use crate::reading::EntryId;
use crate::workout::StrapSession;

/// A session, to be kept.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The FIT file.
    pub bytes: Vec<u8>,
    /// The session as an activity.
    pub activity: Activity,
    /// Whose it is, and what it amounts to.
    pub session: StrapSession,
    /// Whether they have agreed that it leaves the box as theirs.
    pub consent: bool,
}

impl Importer {
    /// Keeps a session and tells the log of it. When it returns, that survives a power cut. One that is there already is
    /// not told again; one of the same id with other bytes is replaced.
    ///
    /// # Errors
    /// As for [`Importer::import`].
    pub async fn record(&self, recording: Recording) -> Result<(), HistoryError> {
        self.ready().await?;
        let mut in_hand = self.turn().await;
        self.settle(&mut in_hand).await?;
        let history = self.history().clone();
        let tried_from = self.buffer().state().borrow().committed;
        let came_in = UnixMs(self.now().unix_us().div_euclid(1000));
        let (bounds, stop) = (*self.bounds(), self.stop().clone());
        let begin = move || {
            let search = Search { history: &history, bounds: &bounds, stop: &stop };
            begin(&search, recording, tried_from, came_in)
        };
        let Some((kept, before)) = blocking(begin).await? else { return Ok(()) };
        let id = kept.activity.id;
        self.finish(kept, None, &mut in_hand).await?;
        if let Some(before) = before {
            let history = self.history().clone();
            blocking(move || disk::remove(&history.original(&before.sha256, before.format)))
                .await?;
        }
        info!(activity = %id, "a session was recorded");
        Ok(())
    }
}

/// Has it pending; with what it replaces. `None` if it is there.
fn begin(
    search: &Search<'_>,
    recording: Recording,
    tried_from: EntryId,
    came_in: UnixMs,
) -> Result<Option<(Kept, Option<Kept>)>, HistoryError> {
    let Recording { bytes, activity, session, consent } = recording;
    let Search { history, bounds, .. } = search;
    let sha256 = hex(digest(&SHA256, &bytes).as_ref());
    let before = history.get(activity.id)?;
    if before.as_ref().is_some_and(|kept| kept.sha256 == sha256) {
        return Ok(None);
    }
    let scratch = Scratch::new(&history.originals())?;
    let mut file = scratch.handle()?;
    file.write_all(&bytes).map_err(HistoryError::disk("writing", scratch.path()))?;
    // What others read of it is what the history says of it.
    let report = format::read(FileFormat::Fit, &file, &bounds.file, &mut || true, &mut |_, _| {});
    let report = report.map_err(HistoryError::disk("reading", scratch.path()))?;
    let read = report.activities.into_iter().next();
    let activity = read.map_or(activity.clone(), |read| Activity { id: activity.id, ..read });
    scratch.keep(&history.original(&sha256, FileFormat::Fit))?;
    let mut kept = Kept {
        v: V,
        seq: None,
        tried_from,
        came_in,
        file: format!("{}.fit", activity.id),
        sha256,
        format: FileFormat::Fit,
        place: Some(0),
        activity,
        session: Some(Box::new(session)),
        athlete: None,
        consent,
        same_as: None,
        links: Vec::new(),
    };
    search.link(&mut kept)?;
    disk::save(&history.pending().join(format!("{}.json", kept.activity.id)), &kept)?;
    Ok(Some((kept, before)))
}
