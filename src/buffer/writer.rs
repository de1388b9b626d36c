//! The thread that owns the database: group commit, reads, cursors, and room when the log is full.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info, trace, warn};

use super::cursors::{CursorFile, Cursors};
use super::record::{self, ChunkBuilder};
use super::store::{Changes, Store};
use super::{BufferError, Command, Options, Room, SET_ASIDE, Shared, State};
use crate::clock::Clock;
use crate::reading::{Entry, EntryId, Event, EventKind, Fact, GapReason};

/// Stored beside the data: what layout the database has.
const FORMAT: u64 = 1;
/// Commit early when this much is waiting: bounds the memory and what a power cut can take.
const COMMIT_BYTES: usize = 64 << 10;
/// The copy of the cursors outside the database may lag: a repeat is legal, wearing out the card is not.
const CURSOR_FILE_EVERY: Duration = Duration::from_secs(10);
/// What is freed at once when the log is full, as a share of its size: gaps are told in large pieces.
const FREE_SHARE: u64 = 20;
/// And at most so much: nobody else is served meanwhile.
const FREE_MOST: u64 = 8 << 20;

const FORMAT_KEY: &str = "format";
const SET_ASIDE_KEY: &str = "set_aside";
const BYTES_KEY: &str = "bytes";
const CURSOR_PREFIX: &str = "cursor/";
/// In the cursor file; no sink has this name.
const SET_ASIDE_IN_FILE: &str = "#set_aside";

pub(super) struct Writer {
    store: Store,
    cursor_file: CursorFile,
    options: Options,
    state: watch::Sender<State>,
    set_aside: watch::Sender<EntryId>,
    unclean: Option<(EntryId, EntryId)>,
    /// The chunk being filled. It is stored with each commit and replaced by its longer self with the next.
    open: Option<Open>,
    /// Chunks full since the last commit.
    full: Vec<(EntryId, Vec<u8>)>,
    /// Appends since the last commit.
    waiting: usize,
    /// Permits to give back with the next commit.
    room_held: usize,
    waiting_bytes: usize,
    next: EntryId,
    bytes: u64,
    cursors: Cursors,
    cursors_changed: bool,
    /// Sinks of this run. Cursors of sinks that were taken out of the configuration hold nothing.
    registered: BTreeSet<String>,
    cursor_file_due: Option<Instant>,
}

struct Open {
    chunk: ChunkBuilder,
    stored_len: usize,
    changed: bool,
}

impl Writer {
    pub(super) fn open(options: &Options) -> Result<Self, BufferError> {
        let path = options.data_dir.join("buffer");
        let store = Store::open(&path)?;
        let cursor_path = options.data_dir.join("cursors");
        let (cursor_file, mut kept) = CursorFile::open(&cursor_path).map_err(|source| {
            BufferError::Io { doing: "opening", path: cursor_path.clone(), source }
        })?;
        let file_set_aside = kept.remove(SET_ASIDE_IN_FILE).unwrap_or_default();

        let number = |name: &str| -> Result<Option<u64>, BufferError> {
            Ok(store
                .meta(name)?
                .into_iter()
                .find(|(rest, _)| rest.is_empty())
                .map(|(_, value)| value))
        };
        if let Some(found) = number(FORMAT_KEY)?.filter(|&found| found > FORMAT) {
            return Err(BufferError::TooNew { found, known: FORMAT });
        }
        let newest = match store.newest()? {
            None if file_set_aside > EntryId::default() => EntryId::default(),
            None => options.first,
            Some((first, bytes)) => match record::decode(&bytes) {
                Ok(entries) => first.plus(entries.len() as u64),
                Err(source) => {
                    return Err(BufferError::Store {
                        doing: "reading the newest chunk",
                        source: Box::new(source),
                    });
                }
            },
        };
        let set_aside = EntryId(number(SET_ASIDE_KEY)?.unwrap_or(0)).max(file_set_aside);
        let next = newest.max(set_aside);
        let unclean = (next > newest).then(|| (newest, EntryId(next.0 - 1)));
        let mut cursors = store
            .meta(CURSOR_PREFIX)?
            .into_iter()
            .map(|(sink, next)| (sink, EntryId(next)))
            .collect::<Cursors>();
        for (sink, cursor) in kept {
            cursors.entry(sink).or_insert(cursor);
        }
        let bytes = number(BYTES_KEY)?.unwrap_or(0);
        let oldest = match store.chunks(EntryId(0))?.next() {
            None => next,
            Some(chunk) => chunk?.0,
        };
        let state = State {
            committed: next,
            oldest,
            bytes,
            bytes_on_disk: store.size_on_disk(),
            cursors: cursors.clone(),
        };
        let mut writer = Self {
            store,
            cursor_file,
            options: options.clone(),
            state: watch::Sender::new(state),
            set_aside: watch::Sender::new(next),
            unclean,
            open: None,
            full: Vec::new(),
            waiting: 0,
            room_held: 0,
            waiting_bytes: 0,
            next,
            bytes,
            cursors,
            cursors_changed: false,
            registered: BTreeSet::new(),
            cursor_file_due: None,
        };
        writer.set_aside_more()?;
        Ok(writer)
    }

    pub(super) fn next(&self) -> EntryId {
        self.next
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn set_aside(&self) -> watch::Receiver<EntryId> {
        self.set_aside.subscribe()
    }

    /// Ids set aside by a run that did not end cleanly, first and last.
    pub(super) fn unclean_gap(&self) -> Option<(EntryId, EntryId)> {
        self.unclean
    }

    /// Works until told to close, or until the disk fails.
    pub(super) fn run(
        mut self,
        commands: &mpsc::Receiver<Command>,
        shared: &Shared,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        let result = self.serve(commands, shared, clock);
        // Whoever waits for room must learn that there will be none.
        shared.room.close();
        result
    }

    fn serve(
        &mut self,
        commands: &mpsc::Receiver<Command>,
        shared: &Shared,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        let mut due: Option<Instant> = None;
        loop {
            let command = match due {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => commands.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match command {
                Ok(Command::Append(entry, room)) => {
                    self.append(&entry)?;
                    self.room_held += usize::from(room == Room::Held);
                    if self.waiting_bytes >= COMMIT_BYTES {
                        due = Some(Instant::now());
                    }
                }
                Ok(Command::Advance { sink, next }) => self.advance(sink, next),
                Ok(Command::Read { from, max, reply }) => {
                    // A reader that went away is not our concern.
                    let _ = reply.send(self.read(from, max));
                    continue;
                }
                Ok(Command::Register { sink, reply }) => {
                    let _ = reply.send(self.register(sink));
                }
                Ok(Command::Ping { reply }) => {
                    let _ = reply.send(());
                    continue;
                }
                Ok(Command::Flush) => due = Some(Instant::now()),
                Ok(Command::Close) | Err(RecvTimeoutError::Disconnected) => {
                    return self.close(shared);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                self.commit(shared, clock)?;
                due = None;
            } else if due.is_none() && (self.waiting > 0 || self.cursors_changed) {
                due = Some(Instant::now() + self.options.commit_every);
            }
        }
    }

    fn append(&mut self, entry: &Entry) -> Result<(), BufferError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::new(entry),
        };
        let before = open.chunk.len();
        if !open.chunk.push(entry.id, &entry.fact) {
            let bytes = open.chunk.bytes();
            self.bytes += (bytes.len() - open.stored_len) as u64;
            self.full.push((open.chunk.first(), bytes));
            open = Open::new(entry);
            if !open.chunk.push(entry.id, &entry.fact) {
                return Err(BufferError::TooLarge("a single entry does not fit into a chunk"));
            }
            self.waiting_bytes += open.chunk.len();
        } else {
            self.waiting_bytes += open.chunk.len() - before;
        }
        open.changed = true;
        self.next = open.chunk.next();
        self.open = Some(open);
        self.waiting += 1;
        Ok(())
    }

    fn commit(&mut self, shared: &Shared, clock: &Clock) -> Result<(), BufferError> {
        let mut changes = self.take_changes();
        let lost = self.make_room(&mut changes)?;
        let ahead = self.set_aside.borrow().0.saturating_sub(self.next.0);
        let set_aside = (ahead < SET_ASIDE / 2).then(|| self.next.plus(SET_ASIDE));
        if let Some(set_aside) = set_aside {
            changes.meta.push((SET_ASIDE_KEY.to_owned(), set_aside.0));
        }
        if !changes.is_empty() {
            changes.meta.push((BYTES_KEY.to_owned(), self.bytes));
            self.store.commit(changes)?;
        }
        if let Some(set_aside) = set_aside {
            self.set_aside.send_replace(set_aside);
        }
        self.tell();
        trace!(entries = self.waiting, "committed up={}", self.next.0.saturating_sub(1));
        shared.room.add_permits(std::mem::take(&mut self.room_held));
        self.waiting = 0;
        self.waiting_bytes = 0;
        self.write_cursor_file(false);
        if let Some((first, last)) = lost {
            let kind = EventKind::Gap { first, last, reason: GapReason::BufferFull };
            // It comes back to us as an append.
            shared.queue().put(Fact::Event(Event { at: clock.now(), kind }), Room::Extra)?;
        }
        Ok(())
    }

    /// Everything since the last commit, the growing chunk included.
    fn take_changes(&mut self) -> Changes {
        let mut changes = Changes { chunks: std::mem::take(&mut self.full), ..Changes::default() };
        if let Some(open) = self.open.as_mut().filter(|open| open.changed) {
            let bytes = open.chunk.bytes();
            self.bytes += (bytes.len() - open.stored_len) as u64;
            open.stored_len = bytes.len();
            open.changed = false;
            changes.chunks.push((open.chunk.first(), bytes));
        }
        if std::mem::take(&mut self.cursors_changed) {
            let cursors = self.cursors.iter();
            changes
                .meta
                .extend(cursors.map(|(sink, next)| (format!("{CURSOR_PREFIX}{sink}"), next.0)));
        }
        changes
    }

    fn tell(&self) {
        self.state.send_modify(|state| {
            state.committed = self.next;
            state.oldest = state.oldest.min(self.next);
            state.bytes = self.bytes;
            state.bytes_on_disk = self.store.size_on_disk();
            state.cursors.clone_from(&self.cursors);
        });
    }

    /// Drops the oldest chunks when the log is full. Returns the range that some sink had not taken yet.
    fn make_room(
        &mut self,
        changes: &mut Changes,
    ) -> Result<Option<(EntryId, EntryId)>, BufferError> {
        if self.bytes <= self.options.max_bytes {
            return Ok(None);
        }
        let piece = (self.options.max_bytes / FREE_SHARE).min(FREE_MOST);
        let goal = self.options.max_bytes - piece;
        let of_this_run = self.cursors.iter().filter(|(sink, _)| self.registered.contains(*sink));
        let slowest = of_this_run.map(|(_, cursor)| *cursor).min().unwrap_or(EntryId(u64::MAX));
        let mut lost: Option<(EntryId, EntryId)> = None;
        let being_written = changes.chunks.first().map_or(EntryId(u64::MAX), |(first, _)| *first);
        let mut chunks = self.store.chunks(EntryId(0))?.peekable();
        while self.bytes > goal {
            let Some((id, bytes)) = chunks.next().transpose()? else { break };
            // The chunk behind tells where this one ends; the newest stored one always stays, and so does one whose
            // longer self is on its way.
            let Some(Ok((behind, _))) = chunks.peek() else { break };
            if id >= being_written {
                break;
            }
            let last = EntryId(behind.0 - 1);
            if last >= slowest {
                let first = lost.map_or(id.max(slowest), |(first, _)| first);
                lost = Some((first, last));
            }
            self.bytes = self.bytes.saturating_sub(bytes.len() as u64);
            let oldest = *behind;
            changes.drop.push(id);
            self.state.send_modify(|state| state.oldest = oldest);
        }
        drop(chunks);
        info!(chunks = changes.drop.len(), "buffer full, the oldest entries made room");
        if let Some((first, last)) = lost {
            let registered = &self.registered;
            let overtaken = self
                .cursors
                .iter_mut()
                .filter(|(sink, cursor)| **cursor <= last && registered.contains(*sink));
            for (sink, cursor) in overtaken {
                error!(sink, first = %first.max(*cursor), %last, "buffer full: entries were dropped before this sink had them");
                *cursor = last.plus(1);
                self.cursors_changed = true;
            }
        }
        Ok(lost)
    }

    fn set_aside_more(&mut self) -> Result<(), BufferError> {
        let set_aside = self.next.plus(SET_ASIDE);
        self.store.commit(Changes {
            meta: vec![(SET_ASIDE_KEY.to_owned(), set_aside.0), (FORMAT_KEY.to_owned(), FORMAT)],
            ..Changes::default()
        })?;
        self.set_aside.send_replace(set_aside);
        self.write_cursor_file(true);
        Ok(())
    }

    fn advance(&mut self, sink: String, next: EntryId) {
        let cursor = self.cursors.entry(sink).or_default();
        if next > *cursor {
            *cursor = next;
            self.cursors_changed = true;
        }
    }

    fn register(&mut self, sink: String) -> EntryId {
        let oldest = self.state.borrow().oldest;
        self.registered.insert(sink.clone());
        if let Some(cursor) = self.cursors.get(&sink) {
            return *cursor;
        }
        self.cursors.insert(sink, oldest);
        self.cursors_changed = true;
        oldest
    }

    fn read(&self, from: EntryId, max: usize) -> Result<Vec<Entry>, BufferError> {
        let mut entries = Vec::new();
        for chunk in self.store.chunks(from)? {
            let (id, bytes) = chunk?;
            match record::decode(&bytes) {
                Ok(chunk) => entries.extend(chunk.into_iter().filter(|entry| entry.id >= from)),
                // The next chunk may be whole: one bad spot must not hold up all that follows.
                Err(error) => {
                    error!(chunk = %id, %error, "a stored chunk cannot be read, its entries are skipped");
                }
            }
            if entries.len() >= max {
                break;
            }
        }
        entries.truncate(max);
        Ok(entries)
    }

    fn write_cursor_file(&mut self, now: bool) {
        let due = self.cursor_file_due.is_none_or(|due| due <= Instant::now());
        if !now && !due {
            return;
        }
        let mut cursors = self.cursors.clone();
        cursors.insert(SET_ASIDE_IN_FILE.to_owned(), *self.set_aside.borrow());
        if let Err(error) = self.cursor_file.write(&cursors) {
            warn!(%error, "the copy of the cursors could not be written, the database has them");
        }
        self.cursor_file_due = Some(Instant::now() + CURSOR_FILE_EVERY);
    }

    /// The last commit. Ids set aside and not used are given back, so that a clean stop leaves no gap.
    fn close(&mut self, shared: &Shared) -> Result<(), BufferError> {
        let mut changes = self.take_changes();
        changes.meta.push((SET_ASIDE_KEY.to_owned(), self.next.0));
        changes.meta.push((BYTES_KEY.to_owned(), self.bytes));
        self.store.commit(changes)?;
        self.set_aside.send_replace(self.next);
        self.tell();
        shared.room.close();
        self.write_cursor_file(true);
        Ok(())
    }
}

impl Open {
    fn new(entry: &Entry) -> Self {
        Self { chunk: ChunkBuilder::new(entry.id, entry.fact.at()), stored_len: 0, changed: false }
    }
}
