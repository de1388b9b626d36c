//! The watched folder: who puts a file or a folder of them into it has brought it.
//!
//! A file is claimed by a move into `.claimed/`, taken in, and put into `imported/`; one that cannot be read goes to
//! `quarantine/`. It keeps the folders that it was in. What was not plainly imported has a `.why` beside it.
//!
//! # No file is lost, and none is there twice
//!
//! The steps of a file are: (1) move into `.claimed/`; (2) into the history; (3) `.why` beside where it will be; (4) move
//! there. Each is durable before the next begins, and a file is in one of the three folders at any time. After (1) a crash
//! leaves it in `.claimed/`, which is gone through at each start: (2) is done once more, knows the activity by its id, and
//! calls it a duplicate; (3) and (4) follow. A duplicate leaves a `.why` as it is, so a reason that was written before (4)
//! stays. Of a move the new name is durable before the old one is gone; where that leaves both, the second one is a
//! duplicate.
//!
//! # Copying takes time
//!
//! Nobody says when it ends. A file that is complete by its own word is taken when it has not changed between two looks,
//! one that is damaged when it has not changed for `settle`. One that says of itself that more must come is waited for
//! ten times as long, and then taken as cut off. Who goes on writing to it after all writes to the file in `imported/` or
//! `quarantine/`: what has changed there since its `.why` was written is taken once more, and takes the place of the half.
//! The folder is looked at every few seconds: notifications of the kernel are not made on network shares, and not worth a
//! dependency here.

use std::collections::HashMap;
use std::fs::{File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::import::blocking;
use super::whole::is_short;
use super::{HistoryError, Importer, Outcome, Scratch, Word, disk, format, look};
use crate::exit::chain;

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A claimed file that could not be taken in is tried again so often.
const AGAIN: Duration = Duration::from_secs(30);

/// How often it is looked whether somebody still writes to what was taken.
const REVISIT_EVERY: Duration = Duration::from_secs(10);

/// A file that says that more must come is waited for so many times as long as any other.
const PATIENCE: u32 = 10;

/// Names that are tried for a file whose own is taken.
const TRIES: u32 = 10_000;

/// Folders within folders.
const DEPTH_MAX: usize = 16;

/// Files that one look finds. There is another one soon.
const FILES_MAX: usize = 10_000;

const CLAIMED: &str = ".claimed";
const IMPORTED: &str = "imported";
const QUARANTINE: &str = "quarantine";

/// A folder that is watched.
pub struct Inbox {
    importer: Importer,
    folder: PathBuf,
    /// A file that is damaged is taken once it has not changed for so long.
    settle: Duration,
    /// What was there at the last look.
    seen: HashMap<PathBuf, Seen>,
    /// What was last said of the folder: it is said once.
    trouble: Option<String>,
    /// When claimed files are tried again.
    again: Option<Instant>,
    /// When what was taken is looked at once more.
    revisit: Instant,
}

/// A file that is there.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    /// Where it is in the folder that was gone through.
    place: PathBuf,
    size: u64,
    changed: Option<SystemTime>,
}

/// A file as it was when it had last changed.
struct Seen {
    size: u64,
    changed: Option<SystemTime>,
    since: Instant,
    state: State,
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was not looked into yet.
    Unknown,
    Complete,
    /// More must come.
    Short,
    Damaged,
}

impl Inbox {
    /// Watches this folder, once it runs.
    pub fn new(importer: Importer, folder: PathBuf, settle: Duration) -> Self {
        let revisit = Instant::now();
        Self { importer, folder, settle, seen: HashMap::new(), trouble: None, again: None, revisit }
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
            for found in self.files_in(Within::Claimed).await? {
                put_off(&mut trouble, self.take(&found.path, &found.place).await)?;
            }
        }
        let mut there = self.files_in(Within::Watched).await?;
        if self.revisit <= Instant::now() {
            self.revisit = Instant::now() + REVISIT_EVERY;
            for place in [IMPORTED, QUARANTINE] {
                there.extend(self.files_in(Within::Taken(place)).await?);
            }
            self.seen.retain(|path, _| there.iter().any(|found| found.path == *path));
        }
        for found in there {
            let done = self.look_at(&found).await;
            put_off(&mut trouble, done)?;
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Claims a file and takes it in, if it is ready.
    async fn look_at(&mut self, found: &Found) -> Result<(), HistoryError> {
        if !self.is_ready(found).await? {
            return Ok(());
        }
        self.seen.remove(&found.path);
        let (path, place, folder) = (found.path.clone(), found.place.clone(), self.folder.clone());
        let claim = move || {
            let to = free(&folder.join(CLAIMED), &place)?;
            disk::move_file(&path, &to)?;
            Ok(to)
        };
        let path = blocking(claim).await?;
        self.take(&path, &found.place).await
    }

    async fn files_in(&self, within: Within) -> Result<Vec<Found>, HistoryError> {
        let folder = self.folder.clone();
        blocking(move || {
            let mut found = Vec::new();
            within.walk(&folder, &mut found)?;
            found.sort_by(|one, other| one.path.cmp(&other.path));
            Ok(found)
        })
        .await
    }

    async fn is_ready(&mut self, found: &Found) -> Result<bool, HistoryError> {
        let Found { path, size, changed, .. } = found;
        let known = self.seen.get(path);
        let Some(seen) = known.filter(|seen| (seen.size, seen.changed) == (*size, *changed)) else {
            let (size, changed, since) = (*size, *changed, Instant::now());
            let seen = Seen { size, changed, since, state: State::Unknown };
            self.seen.insert(path.clone(), seen);
            return Ok(false);
        };
        let (since, mut state) = (seen.since, seen.state);
        if state == State::Unknown {
            state = self.state_of(path).await?;
            if let Some(seen) = self.seen.get_mut(path) {
                seen.state = state;
            }
        }
        Ok(match state {
            State::Unknown => false,
            State::Complete => true,
            State::Damaged => since.elapsed() >= self.settle,
            State::Short => since.elapsed() >= self.settle * PATIENCE,
        })
    }

    async fn state_of(&self, path: &Path) -> Result<State, HistoryError> {
        // One that cannot be opened is told of when it is taken.
        let Ok(file) = open(path) else { return Ok(State::Damaged) };
        let (limits, copy) = (self.importer.bounds().file, file.try_clone());
        let is_short = blocking(move || Ok(copy.and_then(|file| is_short(&file, &limits))));
        if is_short.await?.map_err(HistoryError::disk("reading", path))? {
            return Ok(State::Short);
        }
        let outcomes = look(file, "", self.importer.bounds()).await?;
        let is_whole =
            |outcome: &Outcome| !matches!(outcome.result, Word::Salvaged | Word::Rejected);
        let is_whole = outcomes.iter().all(is_whole);
        Ok(if is_whole { State::Complete } else { State::Damaged })
    }

    /// Takes in a claimed file and puts it where it belongs.
    async fn take(&self, path: &Path, place: &Path) -> Result<(), HistoryError> {
        let name = place.to_string_lossy().into_owned();
        let file = open(path).map_err(HistoryError::disk("opening", path))?;
        let before = file.metadata().map_err(HistoryError::disk("reading", path))?;
        let outcomes = self.importer.import(file, &name).await?;
        let is_bad = outcomes.iter().any(|outcome| outcome.result == Word::Rejected);
        if is_bad {
            warn!(file = name, "cannot be read, is in quarantine with its reason beside it");
        }
        let to = if is_bad { QUARANTINE } else { IMPORTED };
        let (from, place, folder) = (path.to_owned(), place.to_owned(), self.folder.clone());
        blocking(move || archive(&folder, &from, to, &place, (&before, &outcomes))).await
    }
}

/// Puts a file that was taken where it belongs: steps (3) and (4).
fn archive(
    folder: &Path,
    from: &Path,
    to: &str,
    place: &Path,
    (before, outcomes): (&Metadata, &[Outcome]),
) -> Result<(), HistoryError> {
    let to = free(&folder.join(to), place)?;
    let beside = why_beside(&to);
    match why(outcomes) {
        // A crash came after the reason was written, or nothing has changed in it after all.
        Some(_) if is_known(outcomes) && beside.exists() => {}
        Some(why) => write(&beside, &why)?,
        None => disk::remove(&beside)?,
    }
    disk::move_file(from, &to)?;
    // Moving is a change, too. Without this the file would be taken once more.
    if let Ok(beside) = OpenOptions::new().write(true).open(&beside) {
        let now = FileTimes::new().set_modified(SystemTime::now());
        beside.set_times(now).map_err(HistoryError::disk("touching", &to))?;
        // What was written to it while it was taken would be missed now: so its time of change is made later again.
        let now = to.metadata().map_err(HistoryError::disk("reading", &to))?;
        if (now.len(), now.modified().ok()) != (before.len(), before.modified().ok()) {
            std::fs::set_permissions(&to, now.permissions())
                .map_err(HistoryError::disk("touching", &to))?;
        }
    }
    // It may have been elsewhere before somebody went on writing to it.
    for other in [IMPORTED, QUARANTINE].map(|other| folder.join(other).join(place)) {
        if other != to && !other.exists() {
            disk::remove(&why_beside(&other))?;
        }
    }
    // Those that hold more stay.
    let claimed = folder.join(CLAIMED);
    let emptied = from.ancestors().skip(1).take_while(|folder| **folder != *claimed);
    for emptied in emptied {
        let _ = std::fs::remove_dir(emptied);
    }
    Ok(())
}

/// Which files.
#[derive(Debug, Clone, Copy)]
enum Within {
    /// Those that were put into the folder.
    Watched,
    Claimed,
    /// Those that were taken, are in this folder, and have changed since.
    Taken(&'static str),
}

impl Within {
    fn walk(self, folder: &Path, found: &mut Vec<Found>) -> Result<(), HistoryError> {
        let (top, is_there) = match self {
            Self::Watched => (folder.to_owned(), true),
            Self::Claimed => (folder.join(CLAIMED), false),
            Self::Taken(name) => (folder.join(name), false),
        };
        match self.walk_in(&top, Path::new(""), found) {
            Err(HistoryError::Disk { source, .. })
                if source.kind() == io::ErrorKind::NotFound && !is_there =>
            {
                Ok(())
            }
            walked => walked,
        }
    }

    /// Links are neither files nor folders here, and what is hidden is not looked at.
    fn walk_in(
        self,
        top: &Path,
        within: &Path,
        found: &mut Vec<Found>,
    ) -> Result<(), HistoryError> {
        let folder = top.join(within);
        let failed = || HistoryError::disk("reading the folder", &folder);
        for entry in std::fs::read_dir(&folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            // It may be gone by now.
            let Ok(data) = entry.metadata() else { continue };
            let place = within.join(name);
            if data.is_dir() && place.components().count() <= DEPTH_MAX && self.enters(&place) {
                // One that may not be read, or is gone, keeps nobody from the others.
                if let Err(error) = self.walk_in(top, &place, found) {
                    tracing::debug!(error = chain(&error), "a folder is passed over");
                }
            } else if data.is_file() && format::is_known(name) && self.wants(&entry.path(), &data) {
                if found.len() == FILES_MAX {
                    return Ok(());
                }
                let (path, size, changed) = (entry.path(), data.len(), data.modified().ok());
                found.push(Found { path, place, size, changed });
            }
        }
        Ok(())
    }

    fn enters(self, place: &Path) -> bool {
        let ours = [IMPORTED, QUARANTINE].map(Path::new);
        !matches!(self, Self::Watched) || !ours.contains(&place)
    }

    fn wants(self, path: &Path, data: &Metadata) -> bool {
        let when = |data: &Metadata| (data.ctime(), data.ctime_nsec());
        match self {
            Self::Watched | Self::Claimed => true,
            Self::Taken(_) => why_beside(path)
                .symlink_metadata()
                .is_ok_and(|beside| beside.is_file() && when(data) > when(&beside)),
        }
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

/// A place for a file in a folder of ours, under its own name or, where that is taken, one with a number. The folders on
/// the way are made, and are there for good.
fn free(root: &Path, place: &Path) -> Result<PathBuf, HistoryError> {
    let folder = root.join(place.parent().unwrap_or(Path::new("")));
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.is_dir()).collect();
    disk::make_folder(&folder)?;
    for made in missing {
        disk::sync_folder_of(made)?;
    }
    let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (1..TRIES).map(|number| format!("{number}-{name}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    let free = names.find(|name| !folder.join(name).exists());
    Ok(folder.join(free.unwrap_or(name)))
}

/// Whether all of it was there before.
fn is_known(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| outcome.result == Word::Duplicate)
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

/// Where the reason of a file stands.
fn why_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".why");
    path.with_file_name(name)
}

fn write(path: &Path, why: &str) -> Result<(), HistoryError> {
    let mut scratch = Scratch::new(path.parent().unwrap_or(Path::new(".")))?;
    scratch.file.write_all(why.as_bytes()).map_err(HistoryError::disk("writing", path))?;
    scratch.keep(path)
}
