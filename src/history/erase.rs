//! Taking a person out of the history: their sessions, their files, and what is of the same workout and nobody else's.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::path::PathBuf;

use super::{History, HistoryError, Kept, disk};
use crate::activity::{ActivityId, FileFormat};
use crate::athlete::AthleteId;

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Sessions, with their recordings.
    pub sessions: usize,
    /// Activities that came in as files, with these files.
    pub files: usize,
    /// Of those, how many have left their bytes: another activity, of somebody else, is in the same file.
    pub shared: usize,
}

impl AddAssign for Erased {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.files += other.files;
        self.shared += other.shared;
    }
}

impl History {
    /// Erases the sessions of an athlete and what came in as theirs, with the files. What is of the same workout, and is not
    /// known to be somebody else's, is theirs. What is known of sessions that go on is given up when they are in it: the log
    /// has it, and knows them no more.
    ///
    /// # Errors
    /// When the disk refuses; then some are left.
    pub fn erase(&self, athlete: AthleteId) -> Result<Erased, HistoryError> {
        let kept = self.pieces()?;
        let pieces: Vec<&Piece> = kept.iter().map(|(_, piece)| piece).collect();
        let theirs = workouts_of(athlete, &pieces);
        let mut erased = Erased::default();
        for (path, piece) in kept.iter().filter(|(_, piece)| theirs.contains(&piece.id)) {
            let is_same_file =
                |other: &&&Piece| (&other.sha256, other.format) == (&piece.sha256, piece.format);
            let mut beside = pieces.iter().filter(is_same_file);
            if beside.any(|other| !theirs.contains(&other.id)) {
                erased.shared += 1;
            } else {
                disk::remove(&self.original(&piece.sha256, piece.format))?;
            }
            disk::remove(path)?;
            if piece.is_session {
                erased.sessions += 1;
            } else {
                erased.files += 1;
            }
        }
        if erased != Erased::default() {
            self.renew_index()?;
        }
        let id = athlete.to_string();
        let is_named = |text: &Vec<u8>| text.windows(id.len()).any(|part| part == id.as_bytes());
        if self.load_sessions()?.as_ref().is_some_and(is_named) {
            disk::remove(&self.sessions())?;
        }
        Ok(erased)
    }

    /// What [`History::erase`] would erase, what is half taken in among it.
    ///
    /// # Errors
    /// When the disk does not let it be read.
    pub fn activities_of(&self, athlete: AthleteId) -> Result<BTreeSet<ActivityId>, HistoryError> {
        let kept = self.pieces()?;
        let pieces: Vec<&Piece> = kept.iter().map(|(_, piece)| piece).collect();
        Ok(workouts_of(athlete, &pieces))
    }

    fn pieces(&self) -> Result<Vec<(PathBuf, Piece)>, HistoryError> {
        let mut kept = Vec::new();
        for folder in [self.pending(), self.activities()] {
            for path in disk::documents(&folder)? {
                kept.extend(disk::load(&path)?.map(|kept| (path, Piece::of(&kept))));
            }
        }
        Ok(kept)
    }
}

/// What has to be known of an activity to erase it: of thousands, all are looked at.
struct Piece {
    id: ActivityId,
    whose: Option<AthleteId>,
    same_as: Option<ActivityId>,
    sha256: String,
    format: FileFormat,
    is_session: bool,
}

impl Piece {
    fn of(kept: &Kept) -> Self {
        Self {
            id: kept.activity.id,
            whose: kept.whose(),
            same_as: kept.same_as,
            sha256: kept.sha256.clone(),
            format: kept.format,
            is_session: kept.session.is_some(),
        }
    }
}

/// The recordings of somebody's workouts.
fn workouts_of(athlete: AthleteId, pieces: &[&Piece]) -> BTreeSet<ActivityId> {
    let is_theirs = |piece: &&&Piece| piece.whose == Some(athlete);
    let mut theirs: BTreeSet<ActivityId> =
        pieces.iter().filter(is_theirs).map(|piece| piece.id).collect();
    loop {
        let is_linked = |piece: &&&Piece| {
            let links_here = piece.same_as.is_some_and(|better| theirs.contains(&better));
            let is_linked_from =
                |other: &&Piece| other.same_as == Some(piece.id) && theirs.contains(&other.id);
            piece.whose.is_none()
                && !theirs.contains(&piece.id)
                && (links_here || pieces.iter().any(is_linked_from))
        };
        let more: Vec<ActivityId> = pieces.iter().filter(is_linked).map(|piece| piece.id).collect();
        if more.is_empty() {
            return theirs;
        }
        theirs.extend(more);
    }
}
