//! The durable buffer: one log of facts, one cursor per sink.
//!
//! # The promise
//!
//! - Once [`Buffer::durable`] has returned for an entry, that entry survives `kill -9` and a power cut.
//! - Entries are read in the order of their ids; only durable ones are ever read.
//! - An id is never given twice, not even after a crash: ids are set aside on disk before they are used. What was set
//!   aside and not used shows up in the log as a gap that receivers are told of.
//! - A cursor moves only forward, and a crash moves it back by a second at most: a sink may see an entry twice, never
//!   miss one.
//! - The log is bounded. When it is full the oldest entries make room; if a sink had not taken them yet, that is an
//!   ERROR in the log and a gap event in the stream.
//!
//! # How
//!
//! One thread owns the database. It collects what comes in and commits it as a group: at least every
//! [`Options::commit_every`], earlier when much has come. A commit is: write, flush, `fdatasync`, and only then is
//! anybody told. Sinks read through the same thread. Nothing here knows what a sink or a strap is.

mod cursors;
pub mod record;
mod store;
mod varint;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

use crate::clock::Clock;
use crate::reading::{Entry, EntryId, Event, EventKind, Fact, GapReason, Measurement};

/// Facts accepted and not yet committed: a few seconds of a full room, so that a slow card does not stop straps.
const ROOM: usize = 8192;

/// Ids set aside on disk ahead of use. More than [`ROOM`], so that setting aside never waits for itself.
const SET_ASIDE: u64 = 16_384;

/// RR intervals in one reading: what fits into the longest attribute value (512 bytes).
const RR_MAX: usize = 256;

/// Settings of the buffer.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; the database is `buffer/` in it.
    pub data_dir: PathBuf,
    /// Longest time between a fact and its commit.
    pub commit_every: Duration,
    /// Largest size of the stored chunks, in bytes. The file on disk is about twice that.
    pub max_bytes: u64,
    /// The first id of a new log. One that nobody has seen, where the folder may be new and the gateway's id is not.
    pub first: EntryId,
}

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
        "the buffer in {path:?} is damaged: move the folder away and start again; keep it for repair"
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
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
    /// The buffer has been closed or has failed.
    #[error("the buffer is closed")]
    Closed,
}

/// What is true of the buffer after a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// First place that is not durable yet.
    pub committed: EntryId,
    /// Oldest place still kept; equal to `committed` when the log is empty.
    pub oldest: EntryId,
    /// Size of the stored chunks in bytes.
    pub bytes: u64,
    /// Size of the database files in bytes.
    pub bytes_on_disk: u64,
    /// Next place that each sink wants.
    pub cursors: BTreeMap<String, EntryId>,
}

/// Whether an append holds a place of [`ROOM`], given back when it is committed. Our own gap events hold none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Held,
    Extra,
}

enum Command {
    Append(Entry, Room),
    Read { from: EntryId, max: usize, reply: oneshot::Sender<Result<Vec<Entry>, BufferError>> },
    Register { sink: String, reply: oneshot::Sender<EntryId> },
    Advance { sink: String, next: EntryId },
    Ping { reply: oneshot::Sender<()> },
    Flush,
    Close,
}

/// The door for everybody else. Clones are cheap.
#[derive(Clone)]
pub struct Buffer {
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
    set_aside: watch::Receiver<EntryId>,
}

struct Shared {
    room: Semaphore,
    queue: Mutex<Queue>,
}

struct Queue {
    sender: mpsc::Sender<Command>,
    next: EntryId,
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        // The two fields change together only in `put`, which cannot panic between them.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Gives the fact its place; the order of the ids is the order of the queue.
    fn put(&mut self, fact: Fact, room: Room) -> Result<EntryId, BufferError> {
        let id = self.next;
        self.sender
            .send(Command::Append(Entry { id, fact }, room))
            .map_err(|_| BufferError::Closed)?;
        self.next = id.plus(1);
        Ok(id)
    }
}

/// The thread that owns the database, to be watched and at last joined.
#[must_use]
pub struct Keeper {
    /// Gone once it has been told.
    ended: Option<oneshot::Receiver<Result<(), BufferError>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Keeper {
    /// Waits for the end: `Ok` after [`Buffer::close`], else what went wrong, which is told once.
    pub async fn ended(&mut self) -> Result<(), BufferError> {
        let Some(ended) = &mut self.ended else { return Ok(()) };
        // A sender dropped without a word means that the thread panicked.
        let outcome = ended.await.unwrap_or(Err(BufferError::Closed));
        self.ended = None;
        outcome
    }

    /// Joins the thread, so that the database's lock is free. Call it once `ended` has returned.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the buffer thread panicked");
        }
    }
}

impl Buffer {
    /// Opens the buffer and starts its thread.
    ///
    /// # Errors
    /// When the folder cannot be used; see [`BufferError`].
    pub fn open(options: &Options, clock: &Clock) -> Result<(Self, Keeper), BufferError> {
        let opened = writer::Writer::open(options)?;
        let (sender, commands) = mpsc::channel();
        let next = opened.next();
        let queue = Mutex::new(Queue { sender, next });
        let shared = Arc::new(Shared { room: Semaphore::new(ROOM), queue });
        let (state, set_aside) = (opened.state(), opened.set_aside());
        let unclean = opened.unclean_gap();
        let (report, ended) = oneshot::channel();
        let for_thread = shared.clone();
        let clock_for_thread = clock.clone();
        let thread = std::thread::Builder::new()
            .name("buffer".into())
            .spawn(move || {
                // Nobody listening is no reason to fail: the daemon is on its way out.
                let _ = report.send(opened.run(&commands, &for_thread, &clock_for_thread));
            })
            .map_err(|source| BufferError::Io {
                doing: "starting the buffer thread for",
                path: options.data_dir.clone(),
                source,
            })?;
        let buffer = Self { shared, state, set_aside };
        if let Some((first, last)) = unclean {
            tracing::warn!(%first, %last, "stopped uncleanly last time; ids set aside are skipped");
            let kind = EventKind::Gap { first, last, reason: GapReason::UncleanStop };
            buffer.shared.queue().put(Fact::Event(Event { at: clock.now(), kind }), Room::Extra)?;
        }
        Ok((buffer, Keeper { ended: Some(ended), thread }))
    }

    /// Takes a fact into the log and gives it its place. It is not safe yet: see [`Buffer::durable`].
    /// Waits while the disk is behind by more than a few thousand facts.
    ///
    /// # Errors
    /// When the buffer is closed, or the fact is larger than any strap can send.
    pub async fn append(&self, fact: Fact) -> Result<EntryId, BufferError> {
        check_size(&fact)?;
        let permit = self.shared.room.acquire().await.map_err(|_| BufferError::Closed)?;
        let mut set_aside = self.set_aside.clone();
        loop {
            let limit = *set_aside.borrow_and_update();
            {
                let mut queue = self.shared.queue();
                if queue.next < limit {
                    let id = queue.put(fact, Room::Held)?;
                    // Given back by the thread once the fact is committed.
                    permit.forget();
                    return Ok(id);
                }
            }
            set_aside.changed().await.map_err(|_| BufferError::Closed)?;
        }
    }

    /// Waits until the entry would survive a power cut.
    ///
    /// # Errors
    /// When the buffer was closed before that: the entry may be lost.
    pub async fn durable(&self, id: EntryId) -> Result<(), BufferError> {
        let mut state = self.state.clone();
        state.wait_for(|state| state.committed > id).await.map_err(|_| BufferError::Closed)?;
        Ok(())
    }

    /// Commits what is waiting now instead of at the end of the interval; [`Buffer::durable`] tells when it is done.
    pub fn flush(&self) {
        // A closed buffer has nothing left to flush.
        let _ = self.shared.queue().sender.send(Command::Flush);
    }

    /// The cursor of a sink. A new sink begins with the oldest entry that is kept.
    ///
    /// # Errors
    /// When the buffer is closed.
    pub async fn register(&self, sink: &str) -> Result<EntryId, BufferError> {
        self.ask(|reply| Command::Register { sink: sink.to_owned(), reply }).await
    }

    /// Up to `max` durable entries from `from` on, in order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(&self, from: EntryId, max: usize) -> Result<Vec<Entry>, BufferError> {
        self.ask(|reply| Command::Read { from, max, reply }).await?
    }

    /// Returns when the buffer's thread has answered: a sign of life.
    ///
    /// # Errors
    /// When the buffer is closed.
    pub async fn responds(&self) -> Result<(), BufferError> {
        self.ask(|reply| Command::Ping { reply }).await
    }

    /// Notes that a sink has taken everything before `next`. Written with one of the next commits.
    pub fn advance(&self, sink: &str, next: EntryId) {
        // A cursor that is not written costs a repeat, nothing else.
        let _ = self.shared.queue().sender.send(Command::Advance { sink: sink.to_owned(), next });
    }

    /// What is true after each commit.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Commits everything and closes the database; the thread then ends. Later calls fail.
    pub fn close(&self) {
        let _ = self.shared.queue().sender.send(Command::Close);
    }

    /// Waits until the thread has ended.
    pub async fn closed(&self) {
        let mut state = self.state.clone();
        while state.changed().await.is_ok() {}
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, BufferError> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue().sender.send(make(reply)).map_err(|_| BufferError::Closed)?;
        answer.await.map_err(|_| BufferError::Closed)
    }
}

fn check_size(fact: &Fact) -> Result<(), BufferError> {
    match fact {
        Fact::Reading(reading) => match &reading.measurement {
            Measurement::HeartRate(heart_rate) if heart_rate.rr.len() > RR_MAX => {
                Err(BufferError::TooLarge("more RR intervals than fit into a notification"))
            }
            _ => Ok(()),
        },
        Fact::Event(event) if record::event_fits(&event.kind) => Ok(()),
        Fact::Event(_) => Err(BufferError::TooLarge("an event of more than 2 KiB")),
    }
}
