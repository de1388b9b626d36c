//! The roster: who the athletes are, which straps there are, and who wears what from when to when.
//!
//! # The promise
//!
//! What was confirmed survives `kill -9` and a power cut: a name, a strap, a change of hands. A change that was not
//! confirmed is there whole or not at all. What was true is never rewritten: a strap that changes hands at 18:30 belongs
//! to the first until 18:30, and to the second from then on. The one exception is a person who wants to be forgotten: no
//! byte of them is left here, and what they wore was worn by somebody.
//!
//! A file that cannot be read, wholly or in part, keeps nobody from starting: it is set aside, told at ERROR, and what can
//! be read of it is used.
//!
//! # How
//!
//! In `roster/` of the data folder, for the owner only, and not in the buffer's database: that one may be set aside as a
//! whole, and drops what is old; and from its file nothing can be taken out byte by byte, which a person may ask for.
//!
//! - `people`: a record a line (an athlete, a strap, a change of hands), with its version and checksum. A change is one
//!   line at the end, written and synced before it is confirmed: the evening of a large gym costs a card a few hundred
//!   pages, where a document that is written anew each time would cost it the whole of it, a hundred bytes a change, for
//!   years. A power cut can break off the last line only, and the checksum tells.
//! - `people.new`: the same without what is old, on its way into the place of `people`: written, synced, renamed, and the
//!   folder synced. That is done when half of the lines say nothing any more, after damage, and when somebody is forgotten.
//! - `damaged-N`: what was set aside, the three newest. They go with whoever is forgotten next.
//! - `told`: of whom receivers were told that they agree; [`Teller`] tells what has changed since.
//! - `lock`: one process at a time.
//!
//! It is bounded: 131072 changes, 20 MB of file and 10 MB of memory, in the largest gym the last year; then the oldest go.
//!
//! A change carries both clocks ([`crate::reading::At`]), and is placed when somebody asks ([`Wearing`]): what was noted
//! before a time server answered is right afterwards.
//!
//! Nothing here decides what a strap is connected to, computes anything of a heart, or knows a page.

pub mod desk;
mod document;
mod edit;
mod file;
mod find;
mod forget;
mod people;
mod raise;
mod told;
mod worn;

pub use document::{
    AssignBody, Assigned, AthleteDone, Listed, Named, Released, Removed, Shown, StrapBody,
    StrapDone, StrapListed, WornListed,
};
pub use edit::{Decision, Edit, Field};
pub use find::{athlete as find_athlete, on_the_floor, short};
pub use forget::{Around, Forgotten, Remains, Traces, forget, traces};
pub use people::{
    ATHLETES_MAX, CHANGES_MAX, Change, Of, People, Record, STRAPS_MAX, Strap, Wearer,
};
pub use raise::raise_max_hr;
pub use told::{Parts, TellError, Teller};
pub use worn::{Wearing, Worn};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tracing::error;

use self::file::Store;
use crate::buffer::BufferError;
use crate::history::HistoryError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
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
    /// Another process has the file.
    #[error("{} is in use by another process: a daemon that is starting or stopping, or another `pulsegate`; try again in a moment", .path.display())]
    InUse {
        /// The file that says so.
        path: PathBuf,
    },
    /// It was begun and not ended: the program is stopping.
    #[error("was broken off; ask again whether it is done")]
    BrokenOff(#[from] tokio::task::JoinError),
    /// The log. Nobody was forgotten, and it can be asked for again.
    #[error("nobody was forgotten: their readings could not be erased from the log")]
    Log(#[source] BufferError),
    /// What was recorded. Who it was is still known, so that it can be asked for again.
    #[error("not all was erased: what was recorded of them could not be looked for; ask again")]
    History(#[source] HistoryError),
    /// There is nobody, or nothing, of that name.
    #[error("{0}")]
    NotFound(String),
    /// What is asked for cannot be.
    #[error("{0}")]
    Refused(String),
}

impl RosterError {
    fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }
}

/// The roster. Clones share one.
#[derive(Debug, Clone)]
pub struct Roster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// `None` while the disk does not let it be opened.
    store: Mutex<Option<Store>>,
    people: watch::Sender<Arc<People>>,
}

impl Roster {
    /// The roster in this data folder.
    ///
    /// # Errors
    /// When its file can be neither opened nor made, or is in use.
    pub fn open(data_dir: &Path) -> Result<Self, RosterError> {
        let folder = folder(data_dir);
        let store = Store::open(&folder)?;
        let people = watch::Sender::new(Arc::new(store.people().clone()));
        Ok(Self(Arc::new(Inner { folder, store: Mutex::new(Some(store)), people })))
    }

    /// The same for a daemon, whom nothing here keeps from starting: what does not open is told, nobody is known, and it is
    /// tried again with the first change.
    pub fn start(data_dir: &Path) -> Self {
        Self::open(data_dir).unwrap_or_else(|error| {
            let error = crate::exit::chain(&error);
            error!(error, "cannot open the file of who is who: straps are shown without names");
            let people = watch::Sender::default();
            Self(Arc::new(Inner { folder: folder(data_dir), store: Mutex::new(None), people }))
        })
    }

    /// Everybody and everything known now.
    pub fn people(&self) -> Arc<People> {
        self.0.people.borrow().clone()
    }

    /// The same; `None` while the file cannot be opened. Waits for the disk.
    fn known(&self) -> Option<People> {
        self.store().as_ref().map(|store| store.people().clone())
    }

    /// Where its files are.
    fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The same, to wait on.
    pub fn watch(&self) -> watch::Receiver<Arc<People>> {
        self.0.people.subscribe()
    }

    /// Makes a change: `plan` says which, knowing all that went before. What it returns is true for good when this does.
    /// Waits for the disk.
    ///
    /// # Errors
    /// Those of the plan, and of the disk; then nothing has changed.
    pub fn change<T>(
        &self,
        plan: impl FnOnce(&People) -> Result<(Vec<Record>, T), RosterError>,
    ) -> Result<T, RosterError> {
        self.with(|store| {
            let (records, told) = plan(store.people())?;
            store.add(records)?;
            Ok(told)
        })
    }

    /// Replaces everything, so that nothing is left of what was. Returns what `plan` does, and how many damaged files went
    /// as well. Waits for the disk.
    ///
    /// # Errors
    /// As for [`Roster::change`].
    fn replace<T>(
        &self,
        plan: impl FnOnce(&mut People) -> Result<T, RosterError>,
    ) -> Result<(T, usize), RosterError> {
        self.with(|store| {
            let mut people = store.people().clone();
            let told = plan(&mut people)?;
            Ok((told, store.replace(people)?))
        })
    }

    /// Does something where the disk may be waited for.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RosterError> + Send + 'static,
    ) -> Result<T, RosterError> {
        let roster = self.clone();
        tokio::task::spawn_blocking(move || work(&roster)).await?
    }

    fn with<T>(
        &self,
        change: impl FnOnce(&mut Store) -> Result<T, RosterError>,
    ) -> Result<T, RosterError> {
        let mut held = self.store();
        let store = match &mut *held {
            Some(store) => store,
            None => held.insert(Store::open(&self.0.folder)?),
        };
        let done = change(store);
        self.0.people.send_replace(Arc::new(store.people().clone()));
        done
    }

    /// A change that panicked has written nothing, or is read again as it was written.
    fn store(&self) -> MutexGuard<'_, Option<Store>> {
        self.0.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is known in this data folder, by its file as it stands, whether a daemon has it or not. Nothing is changed: what cannot
/// be understood is passed over.
///
/// # Errors
/// When the file is there and cannot be opened.
pub fn people_in(data_dir: &Path) -> Result<People, RosterError> {
    file::look(&folder(data_dir))
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("roster")
}
