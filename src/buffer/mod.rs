//! The durable buffer: one log of facts, one cursor per sink.
//!
//! # The promise
//!
//! - Once [`Buffer::durable`] has returned for an entry, that entry survives `kill -9` and a power cut.
//! - Entries are read in the order of their ids; only durable ones are ever read.
//! - An id is never given twice, not even after a crash: ids are set aside on disk before they are used. What was set
//!   aside and not used shows up in the log as a gap that receivers are told of.
//! - What a sink has taken is noted after it has taken it: after a crash a sink may see an entry twice, never miss one.
//! - The log is bounded, in bytes and in days. When it is full the oldest entries of the lowest class make room; if a
//!   sink had not taken them yet, that is an ERROR in the log and a gap event in the stream.
//! - What is erased ([`Buffer::erase`]) is in no file any more; everything else is, whatever happens meanwhile.
//! - No state of the disk needs a human: a full or failing disk is waited for with entries held in memory, a damaged
//!   database is set aside, and what no sink has had is carved out of it while collecting goes on.
//!
//! # How
//!
//! One thread owns the database ([`writer`]). It collects what comes in and commits it as a group: at least every
//! [`Options::commit_every`], earlier when much has come. A commit is: write, flush, `fdatasync`, and only then is
//! anybody told. Sinks read through the same thread. Nothing here knows what a sink or a strap is.

mod audit;
mod contents;
mod cursor;
mod cursors;
mod erase;
mod error;
mod inspect;
mod journal;
mod ladder;
mod letters;
mod lock;
mod places;
mod reader;
pub mod record;
mod report;
mod reserve;
mod retention;
mod salvage;
mod state;
mod store;
mod varint;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

use crate::clock::Clock;
use crate::reading::{At, Class, Entry, EntryId, Event, EventKind, Fact, GapReason, Measurement};
use crate::timeline::Timeline;

pub use cursor::{Cursor, Span};
pub use erase::Erased;
pub use error::BufferError;
pub use inspect::{Bad, Verified, is_kept_in, is_there_something_of, set_aside_in};
pub use letters::{Fate, Letter, Rejected};
pub use places::Places;
pub use reader::Reader;
pub use report::{Health, SinkReport};
pub use state::{Letters, State, Trouble};

/// Facts accepted and not yet committed: ten minutes of fifty straps, so that a slow or refusing disk does not stop
/// them. Some 200 bytes each.
const ROOM: usize = 32_768;

/// Ids set aside on disk ahead of use. Far more than [`ROOM`]: as many as a hundred straps use in three hours, so that
/// ids do not run out while the disk refuses.
const SET_ASIDE: u64 = 1 << 20;

/// Entries that arrive before the thread is woken once more. Few enough that packing them does not hold up a commit.
const LOOK_AFTER: usize = 256;

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
    /// Entries older than this are dropped.
    pub max_age: Option<Duration>,
    /// The first id of a new log. One that nobody has seen, where the folder may be new and the gateway's id is not.
    pub first: EntryId,
    /// Sinks of this run. What only others have not had is dropped without a word when room is needed.
    pub sinks: Vec<String>,
    /// What it is opened for.
    pub purpose: Purpose,
}

/// What a buffer is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To take entries in. Whatever is wrong with the files is dealt with.
    Collect,
    /// To deal with whatever is wrong with the files, and to drop nothing.
    Repair,
    /// To look at what is kept and to move cursors. Damage is an error, and nothing can be appended.
    Inspect,
}

/// Whether an append holds a place of [`ROOM`], given back when it is committed. Our own gap events hold none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Held,
    Extra,
}

/// An answer that comes later.
type Reply<T> = oneshot::Sender<Result<T, BufferError>>;

enum Command {
    /// There is something in [`Queue::arrived`] or [`Queue::taken`].
    Arrived,
    Fetch {
        from: EntryId,
        reply: Reply<reader::Fetched>,
    },
    Unreadable {
        class: Class,
        first: EntryId,
    },
    Register {
        sink: String,
        reply: Reply<Cursor>,
    },
    Anchor(At),
    Letters {
        from: u64,
        max: usize,
        reply: Reply<Vec<Letter>>,
    },
    Requeue {
        sink: Option<String>,
        reply: Reply<u64>,
    },
    Requeued {
        sink: String,
        reply: Reply<Option<Letter>>,
    },
    Settle {
        letter: u64,
        sink: String,
        rejected: Vec<Rejected>,
    },
    Rewind {
        sink: String,
        to: EntryId,
        reply: Reply<Cursor>,
    },
    Check {
        class: Class,
        from: EntryId,
        reply: Reply<inspect::Piece>,
    },
    Rotate {
        reply: Reply<()>,
    },
    Erase {
        places: Places,
        reply: Reply<Erased>,
    },
    NotErased {
        entries: Vec<Entry>,
        reply: Reply<Vec<Entry>>,
    },
    Salvage(salvage::Step),
    Ping {
        reply: oneshot::Sender<()>,
    },
    Flush,
    Close,
}

/// The door for everybody else. Clones are cheap.
#[derive(Clone)]
pub struct Buffer {
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
    timeline: watch::Receiver<Arc<Timeline>>,
    set_aside: watch::Receiver<EntryId>,
    purpose: Purpose,
}

struct Shared {
    room: Semaphore,
    queue: Mutex<Queue>,
    /// Pieces of long work that the thread has done, when it cannot answer in between.
    pieces: AtomicU64,
}

struct Queue {
    sender: mpsc::Sender<Command>,
    next: EntryId,
    /// First id that is not set aside on disk.
    limit: EntryId,
    /// Taken in, and not yet seen by the thread. It looks whenever it is woken: for the first, and every so often.
    arrived: Vec<(Entry, Room)>,
    /// What sinks have taken, not yet seen by the thread either.
    taken: Vec<Taken>,
    /// Nobody looks any more.
    closed: bool,
}

/// What a sink has taken, and what its far side refused of it.
struct Taken {
    sink: String,
    span: Span,
    rejected: Vec<Rejected>,
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        // What belongs together changes in `put` and `close` only, which cannot panic in between.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Gives the fact its place; the order of the ids is the order of the queue.
    fn put(&mut self, fact: Fact, room: Room) -> Result<EntryId, BufferError> {
        if self.closed {
            return Err(BufferError::Closed);
        }
        let id = self.next;
        self.arrived.push((Entry { id, fact }, room));
        self.next = id.plus(1);
        if self.arrived.len() % LOOK_AFTER == 1 {
            self.sender.send(Command::Arrived).map_err(|_| BufferError::Closed)?;
        }
        Ok(id)
    }

    /// Takes nothing in any more; gives what is left.
    fn close(&mut self) -> Vec<(Entry, Room)> {
        self.closed = true;
        std::mem::take(&mut self.arrived)
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
        let mut opened = writer::Writer::open(options)?;
        let (sender, commands) = mpsc::channel();
        let next = opened.next();
        let queue = Queue {
            sender,
            next,
            limit: next,
            arrived: Vec::new(),
            taken: Vec::new(),
            closed: false,
        };
        let queue = Mutex::new(queue);
        let shared =
            Arc::new(Shared { room: Semaphore::new(ROOM), queue, pieces: AtomicU64::new(0) });
        let (state, set_aside, timeline) = opened.watch();
        let unclean = opened.unclean_gap();
        opened.begin(&shared, clock)?;
        let (report, ended) = oneshot::channel();
        let for_thread = shared.clone();
        let clock_for_thread = clock.clone();
        let thread = std::thread::Builder::new()
            .name("buffer".into())
            .spawn(move || {
                // Nobody listening is no reason to fail: the daemon is on its way out.
                let _ = report.send(opened.run(commands, &for_thread, &clock_for_thread));
            })
            .map_err(|source| BufferError::Io {
                doing: "starting the buffer thread for",
                path: options.data_dir.clone(),
                source,
            })?;
        let buffer = Self { shared, state, timeline, set_aside, purpose: options.purpose };
        if let Some((first, last)) = unclean {
            tracing::warn!(%first, %last, "stopped uncleanly last time; ids set aside are skipped");
            let kind = EventKind::Gap { first, last, count: None, reason: GapReason::UncleanStop };
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
        if self.purpose == Purpose::Inspect {
            return Err(BufferError::NotCollecting);
        }
        check_size(&fact)?;
        let permit = match self.shared.room.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.shared.room.acquire().await.map_err(|_| BufferError::Closed)?,
        };
        loop {
            let limit = {
                let mut queue = self.shared.queue();
                if queue.next < queue.limit {
                    let id = queue.put(fact, Room::Held)?;
                    // Given back by the thread once the fact is committed.
                    permit.forget();
                    return Ok(id);
                }
                queue.limit
            };
            // Ids have run out, which is rare: only then a receiver of our own is made.
            let mut set_aside = self.set_aside.clone();
            let more = set_aside.wait_for(|set_aside| *set_aside > limit).await;
            more.map_err(|_| BufferError::Closed)?;
        }
    }

    /// Waits until the entry would survive a power cut.
    ///
    /// # Errors
    /// When the buffer was closed before that: the entry may be lost.
    pub async fn durable(&self, id: EntryId) -> Result<(), BufferError> {
        let mut state = self.state.clone();
        let reached = state.wait_for(|state| state.committed > id).await;
        let reached = reached.map_err(|_| BufferError::Closed)?;
        let dropped = reached.not_stored.iter().any(|span| span.first <= id && id < span.end);
        if dropped { Err(BufferError::NotStored) } else { Ok(()) }
    }

    /// Commits what is waiting now instead of at the end of the interval; [`Buffer::durable`] tells when it is done.
    pub fn flush(&self) {
        // A closed buffer has nothing left to flush.
        let _ = self.send(Command::Flush);
    }

    /// How far a sink has come. A new sink begins with the oldest entry that is kept.
    ///
    /// # Errors
    /// When the buffer is closed.
    pub async fn register(&self, sink: &str) -> Result<Cursor, BufferError> {
        self.ask(|reply| Command::Register { sink: sink.to_owned(), reply }).await
    }

    /// Up to `max` durable entries from `from` up to, not including, `end`, in order.
    ///
    /// # Errors
    /// [`BufferError::Unavailable`] while the disk refuses: ask again later.
    pub async fn read(
        &self,
        from: EntryId,
        end: EntryId,
        max: usize,
    ) -> Result<Vec<Entry>, BufferError> {
        self.reader().read(from, end, max).await
    }

    /// Reads one piece after the other.
    pub fn reader(&self) -> Reader {
        Reader::new(self.clone())
    }

    /// Returns when the buffer's thread has answered: a sign of life.
    ///
    /// # Errors
    /// When the buffer is closed.
    pub async fn responds(&self) -> Result<(), BufferError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Ping { reply })?;
        answer.await.map_err(|_| BufferError::Closed)
    }

    /// Counts up while the thread is at work on something so long that it does not answer: copying a database.
    pub fn pieces_done(&self) -> u64 {
        self.shared.pieces.load(Ordering::Relaxed)
    }

    /// Notes that a sink has taken these places, but for what its far side refused for good, which becomes dead letters.
    /// Written with one of the next commits.
    pub fn taken(&self, sink: &str, span: Span, rejected: Vec<Rejected>) {
        let mut queue = self.shared.queue();
        queue.taken.push(Taken { sink: sink.to_owned(), span, rejected });
        if queue.taken.len() == 1 {
            // A closed buffer writes nothing more, which costs a repeat, nothing else.
            let _ = queue.sender.send(Command::Arrived);
        }
    }

    /// Notes how the clocks stand, so that what was stamped before can be placed better.
    pub fn anchor(&self, at: At) {
        // A closed buffer is not read any more.
        let _ = self.send(Command::Anchor(at));
    }

    /// When each boot was, as far as it is known now.
    pub fn timeline(&self) -> watch::Receiver<Arc<Timeline>> {
        self.timeline.clone()
    }

    /// The next letter that the sink shall deliver once more. See [`Buffer::settle`].
    ///
    /// # Errors
    /// As for [`Buffer::read`].
    pub async fn requeued(&self, sink: &str) -> Result<Option<Letter>, BufferError> {
        self.ask(|reply| Command::Requeued { sink: sink.to_owned(), reply }).await
    }

    /// Notes that a requeued letter was taken, but for what was refused again.
    pub fn settle(&self, letter: &Letter, rejected: Vec<Rejected>) {
        let (letter, sink) = (letter.number, letter.sink.clone());
        // As for `taken`.
        let _ = self.send(Command::Settle { letter, sink, rejected });
    }

    /// What is true after each commit.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Commits everything and closes the database; the thread then ends. Later calls fail.
    pub fn close(&self) {
        let _ = self.send(Command::Close);
    }

    /// Waits until the thread has ended.
    pub async fn closed(&self) {
        let mut state = self.state.clone();
        while state.changed().await.is_ok() {}
    }

    fn send(&self, command: Command) -> Result<(), BufferError> {
        self.shared.queue().sender.send(command).map_err(|_| BufferError::Closed)
    }

    async fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Command) -> Result<T, BufferError> {
        let (reply, answer) = oneshot::channel();
        self.send(make(reply))?;
        answer.await.map_err(|_| BufferError::Closed)?
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
