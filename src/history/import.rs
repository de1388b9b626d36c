//! The one way into the history, behind every door: the bytes are kept, the activities noted in the log, and only then
//! is anybody told.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::identity::{Identify, Standing};
use super::parcel::{Parcel, Piece, Prepared};
use super::pending::InHand;
use super::twins::Search;
use super::{Bounds, History, HistoryError, Kept, Outcome, Scratch, V, Word, disk};
use crate::activity::{Activity, UnixMs};
use crate::athlete::AthleteId;
use crate::buffer::{Buffer, BufferError};
use crate::clock::Clock;
use crate::exit::chain;
use crate::intake::Intake;
use crate::reading::{At, EntryId, Event, EventKind, Fact};

/// A disk that refuses is asked again so often.
const AGAIN: Duration = Duration::from_secs(60);

/// What an importer is made of.
pub struct Parts {
    /// Where it keeps things.
    pub history: History,
    /// The door into the log.
    pub intake: Intake,
    /// The log itself, to wait for and to look into.
    pub buffer: Buffer,
    /// When things came in.
    pub clock: Clock,
    /// How much may be brought.
    pub bounds: Bounds,
    /// Ends whatever takes long.
    pub stop: CancellationToken,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Which athlete's.
    pub athlete: AthleteId,
    /// Whether they have agreed that it leaves the box as theirs.
    pub consent: bool,
}

/// Takes files in, one at a time. Clones are cheap.
#[derive(Clone)]
pub struct Importer(Arc<Inner>);

struct Inner {
    parts: Parts,
    /// Whether the folders are there, and what a crash left half written is not.
    ready: OnceCell<()>,
    /// Whose turn it is to write.
    turn: Mutex<InHand>,
}

impl Importer {
    /// An importer into this history. The disk is not asked before something comes in.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner { parts, ready: OnceCell::new(), turn: Mutex::default() }))
    }

    pub(super) async fn ready(&self) -> Result<(), HistoryError> {
        let history = self.history().clone();
        let make = || {
            blocking(move || {
                disk::make_folder(&history.folder)?;
                disk::sweep(&history.folder)?;
                for folder in [history.originals(), history.activities(), history.pending()] {
                    disk::make_folder(&folder)?;
                    disk::sweep(&folder)?;
                }
                history.tidy_index()
            })
        };
        self.0.ready.get_or_try_init(make).await.copied()
    }

    /// The history.
    pub fn history(&self) -> &History {
        &self.0.parts.history
    }

    /// How much may be brought.
    pub fn bounds(&self) -> &Bounds {
        &self.0.parts.bounds
    }

    pub(super) fn buffer(&self) -> &Buffer {
        &self.0.parts.buffer
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.parts.stop
    }

    /// Waits for the turn to write.
    pub(super) async fn turn(&self) -> MutexGuard<'_, InHand> {
        self.0.turn.lock().await
    }

    /// When things come in.
    pub(super) fn now(&self) -> At {
        self.0.parts.clock.now()
    }

    /// A new file for something that is on its way.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn scratch(&self) -> Result<Scratch, HistoryError> {
        self.ready().await?;
        Scratch::new(&self.history().originals())
    }

    /// Brings to its end what a crash left half done. Whatever comes in does so first, too.
    ///
    /// # Errors
    /// As for [`Importer::import`].
    pub async fn resume(&self) -> Result<(), HistoryError> {
        self.ready().await?;
        self.settle(&mut *self.turn().await).await
    }

    /// Resumes, trying again for as long as the disk refuses, and then rests until it is told to stop.
    pub async fn tend(&self) {
        let stop = self.stop();
        while let Err(error) = self.resume().await {
            warn!(error = chain(&error), "files half taken in cannot be finished, will try again");
            if stop.run_until_cancelled(sleep(AGAIN)).await.is_none() {
                return;
            }
        }
        stop.cancelled().await;
    }

    /// Takes in a file of this name, which may be an archive of several. When it returns, what is called imported or
    /// salvaged in the outcomes survives a power cut.
    ///
    /// # Errors
    /// Only what is not the file's fault: then it was perhaps taken in in part, and can be brought again.
    pub async fn import(&self, source: File, name: &str) -> Result<Vec<Outcome>, HistoryError> {
        self.import_for(source, name, None).await
    }

    /// The same with whose it is. What is in the history as nobody's is theirs then.
    ///
    /// # Errors
    /// As for [`Importer::import`].
    pub async fn import_for(
        &self,
        source: File,
        name: &str,
        owner: Option<Owner>,
    ) -> Result<Vec<Outcome>, HistoryError> {
        self.ready().await?;
        let Parts { bounds, stop, .. } = &self.0.parts;
        let folder = self.history().originals();
        let mut reading = Reading::start(source, name, bounds, stop).await?;
        let mut outcomes = Vec::new();
        while let Some(piece) = reading.next(&folder).await? {
            outcomes.push(match piece {
                Piece::Not(outcome) => outcome,
                Piece::Read(prepared) => self.take(*prepared, owner).await?,
            });
        }
        Ok(outcomes)
    }

    async fn take(
        &self,
        prepared: Prepared,
        owner: Option<Owner>,
    ) -> Result<Outcome, HistoryError> {
        let mut outcome = Outcome::of(&prepared.name, &prepared.report);
        if !matches!(outcome.result, Word::Imported | Word::Salvaged) {
            return Ok(outcome);
        }
        let mut in_hand = self.turn().await;
        self.settle(&mut in_hand).await?;
        let history = self.history().clone();
        let tried_from = self.buffer().state().borrow().committed;
        let came_in = UnixMs(self.now().unix_us().div_euclid(1000));
        let (bounds, stop) = (self.0.parts.bounds, self.stop().clone());
        let begin = move || {
            let standings = identify(&history, &prepared, &bounds, &stop)?;
            let search = Search { history: &history, bounds: &bounds, stop: &stop };
            let begun = begin(&search, prepared, &standings, owner, (tried_from, came_in))?;
            Ok((standings, begun))
        };
        let (standings, begun) = blocking(begin).await?;
        for (session, standing) in outcome.sessions.iter_mut().zip(&standings) {
            session.id = standing.id();
        }
        if !standings.iter().any(Standing::is_new) {
            let known = standings.iter().filter_map(|standing| standing.since()).min();
            outcome.result = Word::Duplicate;
            outcome.reason = known.map(|since| {
                let now = if begun.is_empty() { "" } else { "; from now on with whose it is" };
                format!("in the history since {since}{now}")
            });
        }
        for kept in begun {
            let (id, same_as) = (kept.activity.id, kept.same_as);
            self.finish(kept, None, &mut in_hand).await?;
            let same_as = same_as.map(tracing::field::display);
            info!(activity = %id, same_as, "imported");
        }
        Ok(outcome)
    }

    /// Takes an event into the log.
    pub(super) async fn tell(&self, kind: EventKind) -> Result<EntryId, BufferError> {
        let Parts { intake, clock, .. } = &self.0.parts;
        intake.take(Fact::Event(Event { at: clock.now(), kind })).await
    }
}

/// Reads a file and says what would become of it, keeping nothing.
///
/// # Errors
/// When there is no room for what it unpacks to.
pub async fn look(source: File, name: &str, bounds: &Bounds) -> Result<Vec<Outcome>, HistoryError> {
    let mut reading = Reading::start(source, name, bounds, &CancellationToken::new()).await?;
    let mut outcomes = Vec::new();
    while let Some(piece) = reading.next(&std::env::temp_dir()).await? {
        outcomes.push(match piece {
            Piece::Not(outcome) => outcome,
            Piece::Read(prepared) => Outcome::of(&prepared.name, &prepared.report),
        });
    }
    Ok(outcomes)
}

/// A parcel that is read on threads that may block.
struct Reading(Option<Parcel>);

impl Reading {
    async fn start(
        source: File,
        name: &str,
        bounds: &Bounds,
        stop: &CancellationToken,
    ) -> Result<Self, HistoryError> {
        let (name, bounds, stop) = (name.to_owned(), *bounds, stop.clone());
        let parcel = blocking(move || Parcel::open(source, &name, bounds, stop)).await?;
        Ok(Self(Some(parcel)))
    }

    async fn next(&mut self, folder: &Path) -> Result<Option<Piece>, HistoryError> {
        let Some(mut parcel) = self.0.take() else { return Ok(None) };
        let folder = folder.to_owned();
        let (parcel, piece) = blocking(move || {
            let piece = parcel.next(&folder)?;
            Ok((parcel, piece))
        })
        .await?;
        self.0 = Some(parcel);
        Ok(piece)
    }
}

/// Does something that waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, HistoryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down.
            Err(_) => Err(HistoryError::Stopping),
        },
    }
}

/// What the activities of a file are.
fn identify(
    history: &History,
    prepared: &Prepared,
    bounds: &Bounds,
    stop: &CancellationToken,
) -> Result<Vec<Standing>, HistoryError> {
    let mut identify = Identify::new(history, prepared, bounds, stop);
    (0..prepared.report.activities.len()).map(|place| identify.standing(place)).collect()
}

/// Keeps the bytes of a file, if anything in it is new, and has that pending; and what was nobody's, and has an owner now.
fn begin(
    search: &Search<'_>,
    prepared: Prepared,
    standings: &[Standing],
    owner: Option<Owner>,
    (tried_from, came_in): (EntryId, UnixMs),
) -> Result<Vec<Kept>, HistoryError> {
    let Prepared { name, scratch, sha256, format, report, .. } = prepared;
    let history = search.history;
    if standings.iter().any(Standing::is_new) {
        scratch.keep(&history.original(&sha256, format))?;
    }
    let mut begun = Vec::new();
    for (place, (activity, standing)) in (0..).zip(report.activities.into_iter().zip(standings)) {
        let before = history.get(standing.id())?;
        let kept = match standing {
            Standing::Twice(_) => None,
            Standing::Known(..) => before.and_then(|kept| owned(kept, owner, tried_from)),
            Standing::Taken(_) => {
                // A better copy is of the same person, and what is linked to it stays so.
                let athlete = owner.map(|owner| (owner.athlete, owner.consent));
                let known = before.as_ref().and_then(|kept| Some((kept.athlete?, kept.consent)));
                let athlete = known.or(athlete);
                Some(Kept {
                    v: V,
                    seq: None,
                    tried_from,
                    came_in,
                    file: name.clone(),
                    sha256: sha256.clone(),
                    format,
                    place: Some(place),
                    activity: Activity { id: standing.id(), ..activity },
                    session: None,
                    athlete: athlete.map(|(athlete, _)| athlete),
                    consent: athlete.is_some_and(|(_, consent)| consent),
                    same_as: before.and_then(|kept| kept.same_as),
                    links: Vec::new(),
                })
            }
        };
        let Some(mut kept) = kept else { continue };
        search.link(&mut kept)?;
        disk::save(&history.pending().join(format!("{}.json", kept.activity.id)), &kept)?;
        begun.push(kept);
    }
    Ok(begun)
}

/// What came in as nobody's, as its owner's; `None` if it is somebody's.
fn owned(kept: Kept, owner: Option<Owner>, tried_from: EntryId) -> Option<Kept> {
    let owner = owner.filter(|_| kept.session.is_none() && kept.whose().is_none())?;
    let (athlete, consent) = (Some(owner.athlete), owner.consent);
    Some(Kept { seq: None, tried_from, athlete, consent, ..kept })
}
