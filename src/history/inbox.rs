//! The watched folder: who puts a file into it has brought it.
//!
//! A file is claimed by a rename into `.claimed/`, taken in, and put into `imported/`; one that cannot be read goes to
//! `quarantine/`. What was not plainly imported has a `.why` beside it. A claimed file is never forgotten: what a crash,
//! a full disk or a failing one leaves in `.claimed/` is taken up again, and comes in once.
//!
//! Copying takes time, and nobody says when it ends. A file that is complete by its own word is taken when it has not
//! changed between two looks, any other when it has not changed for longer. The folder is looked at every few seconds:
//! notifications of the kernel are not made on network shares, and not worth a dependency here.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::import::blocking;
use super::{HistoryError, Importer, Outcome, Scratch, Word, disk, format, look};
use crate::exit::chain;

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A claimed file that could not be taken in is tried again so often.
const AGAIN: Duration = Duration::from_secs(30);

/// Names that are tried for a file whose own is taken.
const TRIES: u32 = 10_000;

const CLAIMED: &str = ".claimed";
const IMPORTED: &str = "imported";
const QUARANTINE: &str = "quarantine";

/// A folder that is watched.
pub struct Inbox {
    importer: Importer,
    folder: PathBuf,
    /// A file that does not seem complete is taken once it has not changed for so long.
    settle: Duration,
    /// What was there at the last look.
    seen: HashMap<PathBuf, Seen>,
    /// What was last said of the folder: it is said once.
    trouble: Option<String>,
    /// When claimed files are tried again.
    again: Option<Instant>,
}

/// A file as it was when it had last changed.
struct Seen {
    size: u64,
    changed: Option<SystemTime>,
    since: Instant,
    /// It was looked into, and is not complete.
    is_partial: bool,
}

impl Inbox {
    /// Watches this folder, once it runs.
    pub fn new(importer: Importer, folder: PathBuf, settle: Duration) -> Self {
        Self { importer, folder, settle, seen: HashMap::new(), trouble: None, again: None }
    }

    /// Takes in what is put into the folder, until it is told to stop.
    pub async fn run(mut self) {
        let stop = self.importer.stop().clone();
        info!(folder = %self.folder.display(), "files in this folder are taken in");
        while !stop.is_cancelled() {
            match self.round().await {
                Ok(()) => self.trouble = None,
                Err(HistoryError::Stopping) => break,
                Err(error) => {
                    let text = chain(&error);
                    if self.trouble.as_ref() != Some(&text) {
                        warn!(error = text, "the watched folder has to wait, will try again");
                    }
                    self.trouble = Some(text);
                    self.again = Some(Instant::now() + AGAIN);
                }
            }
            // `None` means that it is over, which the loop sees.
            let _ = stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
        }
    }

    /// Looks once. What cannot be done with one file holds up no other.
    async fn round(&mut self) -> Result<(), HistoryError> {
        let mut trouble = None;
        if self.again.is_none_or(|again| again <= Instant::now()) {
            self.again = None;
            for (path, ..) in self.files_in(self.folder.join(CLAIMED)).await? {
                put_off(&mut trouble, self.take(&path).await)?;
            }
        }
        let there = self.files_in(self.folder.clone()).await?;
        self.seen.retain(|path, _| there.iter().any(|(there, ..)| there == path));
        for (path, size, changed) in there {
            let done = self.look_at(&path, size, changed).await;
            put_off(&mut trouble, done)?;
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Claims a file and takes it in, if it is ready.
    async fn look_at(
        &mut self,
        path: &Path,
        size: u64,
        changed: Option<SystemTime>,
    ) -> Result<(), HistoryError> {
        if !self.is_ready(path, size, changed).await? {
            return Ok(());
        }
        self.seen.remove(path);
        let (path, claimed) = (path.to_owned(), self.folder.join(CLAIMED));
        let claim = move || {
            disk::make_folder(&claimed)?;
            let place = free(&path, &claimed);
            rename(&path, &place)?;
            Ok(place)
        };
        let path = blocking(claim).await?;
        self.take(&path).await
    }

    /// The files in a folder, with their size and when they changed. Links are none, and what is hidden is not looked at.
    async fn files_in(
        &self,
        folder: PathBuf,
    ) -> Result<Vec<(PathBuf, u64, Option<SystemTime>)>, HistoryError> {
        let is_watched = folder == self.folder;
        blocking(move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_watched => {
                    return Ok(Vec::new());
                }
                entries => entries.map_err(HistoryError::disk("reading the folder", &folder))?,
            };
            let mut files = Vec::new();
            for entry in entries {
                let entry = entry.map_err(HistoryError::disk("reading the folder", &folder))?;
                let name = entry.file_name();
                let is_known = name
                    .to_str()
                    .is_some_and(|name| !name.starts_with('.') && format::is_known(name));
                // It may be gone by now.
                let Ok(data) = entry.metadata() else { continue };
                if is_known && data.is_file() {
                    files.push((entry.path(), data.len(), data.modified().ok()));
                }
            }
            files.sort();
            Ok(files)
        })
        .await
    }

    async fn is_ready(
        &mut self,
        path: &Path,
        size: u64,
        changed: Option<SystemTime>,
    ) -> Result<bool, HistoryError> {
        let known = self.seen.get(path);
        let Some(seen) = known.filter(|seen| (seen.size, seen.changed) == (size, changed)) else {
            let seen = Seen { size, changed, since: Instant::now(), is_partial: false };
            self.seen.insert(path.to_owned(), seen);
            return Ok(false);
        };
        if !seen.is_partial {
            if self.is_complete(path).await? {
                return Ok(true);
            }
            if let Some(seen) = self.seen.get_mut(path) {
                seen.is_partial = true;
            }
        }
        Ok(self.seen.get(path).is_some_and(|seen| seen.since.elapsed() >= self.settle))
    }

    async fn is_complete(&self, path: &Path) -> Result<bool, HistoryError> {
        // One that cannot be opened is told of when it is taken.
        let Ok(file) = open(path) else { return Ok(false) };
        let outcomes = look(file, "", self.importer.bounds()).await?;
        let is_whole =
            |outcome: &Outcome| !matches!(outcome.result, Word::Salvaged | Word::Rejected);
        Ok(outcomes.iter().all(is_whole))
    }

    /// Takes in a claimed file and puts it where it belongs.
    async fn take(&self, path: &Path) -> Result<(), HistoryError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = open(path).map_err(HistoryError::disk("opening", path))?;
        let outcomes = self.importer.import(file, &name).await?;
        let is_bad = outcomes.iter().any(|outcome| outcome.result == Word::Rejected);
        let place = if is_bad { QUARANTINE } else { IMPORTED };
        if is_bad {
            warn!(file = name, "cannot be read, is in quarantine with its reason beside it");
        }
        let (from, folder, why) = (path.to_owned(), self.folder.join(place), why(&outcomes));
        blocking(move || {
            disk::make_folder(&folder)?;
            let to = free(&from, &folder);
            if let Some(why) = why {
                write_beside(&to, &why)?;
            }
            rename(&from, &to)
        })
        .await
    }
}

/// Opens a file, and neither a link to one nor something that would be waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Keeps the first error for later; a stop is none.
fn put_off(
    trouble: &mut Option<HistoryError>,
    done: Result<(), HistoryError>,
) -> Result<(), HistoryError> {
    match done {
        Err(HistoryError::Stopping) => Err(HistoryError::Stopping),
        Err(error) => {
            trouble.get_or_insert(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// A place for a file in a folder, under its own name or, where that is taken, one with a number.
fn free(path: &Path, folder: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (1..TRIES).map(|number| format!("{number}-{name}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    let free = names.find(|name| !folder.join(name).exists());
    folder.join(free.unwrap_or(name))
}

fn rename(from: &Path, to: &Path) -> Result<(), HistoryError> {
    std::fs::rename(from, to).map_err(HistoryError::disk("moving", from))
}

/// What is to be said of a file, unless it was plainly taken in.
fn why(outcomes: &[Outcome]) -> Option<String> {
    let mut text = String::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.result != Word::Imported) {
        let word = outcome.result.in_words();
        let reason = outcome.reason.as_deref().unwrap_or("");
        text += &format!("{}: {word}: {reason}\n", outcome.file);
    }
    (!text.is_empty()).then_some(text)
}

fn write_beside(path: &Path, why: &str) -> Result<(), HistoryError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".why");
    let place = path.with_file_name(name);
    let mut scratch = Scratch::new(path.parent().unwrap_or(Path::new(".")))?;
    scratch.file.write_all(why.as_bytes()).map_err(HistoryError::disk("writing", &place))?;
    scratch.keep(&place)
}
