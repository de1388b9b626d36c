//! Receivers are told who agrees to the sending of their data, who withdraws, and when something changes about those who
//! agree: each an event in the log.
//!
//! What the log was told last is kept beside the roster, and a difference is told. So it is all the same how it came about:
//! at the desk of a running daemon, in the folder of a stopped one, just before a crash. A crash between the log and what is
//! kept tells once more; nothing is left out. What came and went before anybody looked is not told. Of somebody who never
//! agreed nothing is: an event has the number of the athlete only, and whoever sends it further asks the roster who that is.
//!
//! Kept is the number of each who was told to agree, with a checksum that shows that something has changed. Of somebody who
//! is forgotten these stay until the log was told, which is at once, or at the next start.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::people::People;
use super::{Roster, RosterError};
use crate::athlete::{Athlete, AthleteId};
use crate::buffer::{Buffer, BufferError};
use crate::clock::Clock;
use crate::exit::chain;
use crate::history::{HistoryError, Scratch};
use crate::intake::Intake;
use crate::reading::{Event, EventKind, Fact};

const NAME: &str = "told";
/// Version of the document.
const V: u8 = 1;
/// A disk that refuses is asked again so often.
const AGAIN: Duration = Duration::from_secs(10);

/// What a teller is made of.
pub struct Parts {
    /// Who is who.
    pub roster: Roster,
    /// The door into the log.
    pub intake: Intake,
    /// The log.
    pub buffer: Buffer,
    /// Now.
    pub clock: Clock,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Tells the log.
pub struct Teller {
    parts: Parts,
    /// `None` until it was read.
    told: Option<Told>,
}

/// Why something was not told yet.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The log.
    #[error("telling the log of who has agreed")]
    Log(#[from] BufferError),
    /// The disk.
    #[error("keeping what the log was told of who has agreed")]
    Kept(#[from] HistoryError),
    /// The program is stopping.
    #[error("looking who has agreed")]
    Roster(#[from] RosterError),
}

/// Who is known to receivers, each with a checksum of what may leave of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    v: u8,
    athletes: BTreeMap<AthleteId, u32>,
}

impl Told {
    /// What receivers are to know.
    fn of(people: &People) -> Self {
        let agreed = people.athletes().filter(|athlete| athlete.consent.is_some());
        Self { v: V, athletes: agreed.map(|athlete| (athlete.id, checksum(athlete))).collect() }
    }

    /// What has to be told to those who know this, so that they know `now`.
    fn news(&self, now: &Self) -> Vec<EventKind> {
        let withdrew = self.athletes.keys().filter(|id| !now.athletes.contains_key(id));
        let withdrew = withdrew.map(|athlete| EventKind::AthleteWithdrew { athlete: *athlete });
        let others = now.athletes.iter().filter_map(|(&athlete, checksum)| {
            match self.athletes.get(&athlete) {
                None => Some(EventKind::AthleteAgreed { athlete }),
                Some(told) if told != checksum => Some(EventKind::AthleteChanged { athlete }),
                Some(_) => None,
            }
        });
        withdrew.chain(others).collect()
    }

    /// One that is not there, or says nothing that is understood, says of nobody that they were told of.
    fn load(path: &Path) -> Result<Self, HistoryError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(HistoryError::disk("reading", path)(error)),
        };
        Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            warn!(file = %path.display(), %error, "cannot be understood: who has agreed is told anew");
            Self::default()
        }))
    }

    fn save(&self, path: &Path) -> Result<(), HistoryError> {
        let text = serde_json::to_vec(self).expect("plain numbers become JSON");
        let scratch = Scratch::new(path.parent().unwrap_or(Path::new(".")))?;
        scratch.handle()?.write_all(&text).map_err(HistoryError::disk("writing", path))?;
        scratch.keep(path)
    }
}

/// Of what leaves of an athlete beside workouts.
fn checksum(athlete: &Athlete) -> u32 {
    let Athlete { display_name, reference_id, profile, .. } = athlete;
    let leaves = (display_name, reference_id, profile.birth_year, profile.sex);
    let text = serde_json::to_vec(&leaves).expect("plain numbers and texts become JSON");
    crc32fast::hash(&text)
}

impl Teller {
    /// A teller that goes on where the one before it was.
    pub fn new(parts: Parts) -> Self {
        Self { parts, told: None }
    }

    /// Tells what changes until it is told to stop.
    pub async fn run(mut self) {
        let stop = self.parts.stop.clone();
        let mut people = self.parts.roster.watch();
        loop {
            people.mark_unchanged();
            let told = match stop.run_until_cancelled(self.step()).await {
                None | Some(Err(TellError::Log(BufferError::Closed))) => return,
                Some(told) => told,
            };
            let wait = async {
                match told {
                    // The roster is held here: it does not end.
                    Ok(()) => people.changed().await.unwrap_or_default(),
                    Err(error) => {
                        warn!(error = chain(&error), "will try again");
                        sleep(AGAIN).await;
                    }
                }
            };
            if stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// Tells what the log does not know yet. When this returns, that is durable and kept.
    ///
    /// # Errors
    /// The log's and the disk's; then it has to be called again.
    pub async fn step(&mut self) -> Result<(), TellError> {
        let path = self.path();
        let told = match self.told.take() {
            Some(told) => told,
            None => self.aside(move |_| Told::load(&path)).await?,
        };
        // Nobody is known while the roster cannot be opened, which is no reason to say that all of them have withdrawn.
        let known = self.parts.roster.aside(|roster| Ok(roster.known())).await?;
        let now = known.map_or_else(|| told.clone(), |people| Told::of(&people));
        let news = told.news(&now);
        if news.is_empty() {
            self.told = Some(told);
            return Ok(());
        }
        debug!(events = news.len(), "telling of who has agreed");
        let mut last = None;
        for kind in news {
            let event = Event { at: self.parts.clock.now(), kind };
            last = Some(self.parts.intake.take(Fact::Event(event)).await?);
        }
        if let Some(last) = last {
            self.parts.buffer.flush();
            self.parts.buffer.durable(last).await?;
        }
        let (path, kept) = (self.path(), now.clone());
        self.aside(move |_| kept.save(&path)).await?;
        self.told = Some(now);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.parts.roster.folder().join(NAME)
    }

    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Roster) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, TellError> {
        Ok(self.parts.roster.aside(move |roster| Ok(work(roster))).await??)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn told(athletes: &[(u128, u32)]) -> Told {
        let athletes =
            athletes.iter().map(|(id, checksum)| (AthleteId(Uuid::from_u128(*id)), *checksum));
        Told { v: V, athletes: athletes.collect() }
    }

    #[test]
    fn what_is_new_is_told_and_what_was_told_is_not() {
        let before = told(&[(1, 10), (2, 20), (3, 30)]);
        let news = before.news(&told(&[(2, 20), (3, 31), (4, 40)]));
        let id = |id| AthleteId(Uuid::from_u128(id));
        let expected = [
            EventKind::AthleteWithdrew { athlete: id(1) },
            EventKind::AthleteChanged { athlete: id(3) },
            EventKind::AthleteAgreed { athlete: id(4) },
        ];
        assert_eq!(news, expected);
        assert_eq!(before.news(&before), []);
    }

    #[test]
    fn a_document_that_cannot_be_understood_says_of_nobody_that_they_were_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert_eq!(Told::load(&path).unwrap(), Told::default());
        let kept = told(&[(1, 10)]);
        kept.save(&path).unwrap();
        assert_eq!(Told::load(&path).unwrap(), kept);
        std::fs::write(&path, "{\"v\":1,\"athl").unwrap();
        assert_eq!(Told::load(&path).unwrap(), Told::default());
    }
}
