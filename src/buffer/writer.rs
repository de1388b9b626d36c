//! The thread that owns the database: takes commands, commits in groups, answers.
//!
//! What has come in is packed at once, and waits in `pending` until it is durable, so that a failed commit can be made
//! again, in another database if need be. How it is committed, and what happens when the disk refuses, is in [`commit`].

mod commit;
mod erasing;
mod opening;
mod packing;
mod read;
mod refusal;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info};

use self::packing::Packing;
use self::refusal::Refusal;
use super::audit;
use super::contents::{self, Books, Requeued};
use super::cursor::{Cursor, Span};
use super::cursors::{CursorFile, Cursors, Kept};
use super::ladder::{self, Known};
use super::letters::{self, Fate, Letter, Rejected};
use super::lock::Lock;
use super::places::Places;
use super::reserve::Reserve;
use super::retention::Lost;
use super::salvage;
use super::state::{Letters, State, Trouble};
use super::store::{Area, Store};
use super::{BufferError, Command, LOOK_AFTER, Options, Purpose, Room, SET_ASIDE, Shared, Taken};
use crate::clock::Clock;
use crate::reading::{At, Class, Entry, EntryId, Event, EventKind, Fact, GapReason};
use crate::timeline::{Boot, Timeline};

/// Commit early when so many entries are waiting: bounds what a power cut can take.
const COMMIT_AT: usize = 4096;

/// How often the free space, the age of what is kept and the shape of the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Holes in a salvaged range that are told one by one; the rest is told as one.
const HOLES_TOLD: usize = 64;

pub(super) struct Writer {
    _lock: Lock,
    options: Options,
    reserve: Reserve,
    /// `None` while the disk refuses.
    store: Option<Store>,
    refusal: Refusal,
    cursor_file: CursorFile,
    cursor_file_due: Option<Instant>,
    /// The last attempt to write it has failed: the database has to have the cursors.
    cursor_file_failed: bool,
    state: watch::Sender<State>,
    set_aside: watch::Sender<EntryId>,
    published_timeline: watch::Sender<Arc<Timeline>>,
    timeline: Timeline,
    unclean: Option<(EntryId, EntryId)>,

    /// Taken in and not durable yet.
    pending: VecDeque<(Entry, Room)>,
    /// Permits to give back with the next commit.
    room_held: usize,
    /// Place behind the last entry taken in.
    next: EntryId,
    /// Place behind the newest durable entry.
    end: EntryId,

    packing: Packing,
    books: Books,
    /// From here on every id holds something, or it is known why not.
    audit_from: EntryId,
    limit: u64,
    looked: Instant,
    nearly_full: bool,
    /// Chunks that cannot be read, and were told of.
    unreadable: BTreeSet<(Class, EntryId)>,

    cursors: Cursors,
    /// Counts the changes of cursors; the file and the database have them as they were at these.
    cursors_version: u64,
    cursors_in_file: u64,
    cursors_in_database: u64,
    /// Sinks of this run.
    registered: BTreeSet<String>,
    lost: BTreeMap<String, u64>,
    /// Losses to be told, or told by an event at this place that is not durable yet.
    untold: Vec<(Lost, Option<EntryId>)>,
    /// Places whose entries were erased, as far back as anything is kept.
    erased: Places,
    letter_bytes: u64,
    next_letter: u64,
    /// Numbers of the letters that shall be delivered once more, by sink.
    requeued: Requeued,
    /// Numbered values to write and keys to drop with the next commit, besides entries.
    notes: Notes,
    salvage: Option<JoinHandle<()>>,
    /// Counts the runs of salvaging: what an earlier one still says does not matter.
    salvage_run: u64,
    salvage_again: Option<Instant>,
    stop_salvage: Arc<AtomicBool>,
    /// The gaps that salvaging left are told before this place; whoever waits for them to be durable.
    salvage_told: Option<(EntryId, mpsc::SyncSender<()>)>,
}

/// What changes with the next commit besides entries. Kept until it is durable.
#[derive(Debug, Default)]
struct Notes {
    /// The database may be a new one: write all that is known.
    everything: bool,
    letters_dropped: bool,
    boots: BTreeMap<EntryId, Boot>,
    forgotten_boots: Vec<EntryId>,
    letters: BTreeMap<u64, Vec<u8>>,
    settled: BTreeSet<u64>,
    unused: Vec<(EntryId, EntryId)>,
    used_up: Vec<EntryId>,
    /// Pages of erased places before which nothing is kept.
    past: Vec<EntryId>,
    told: Vec<EntryId>,
}

impl Notes {
    fn any(&self) -> bool {
        self.everything
            || self.letters_dropped
            || !self.boots.is_empty()
            || !self.forgotten_boots.is_empty()
            || !self.letters.is_empty()
            || !self.settled.is_empty()
            || !self.unused.is_empty()
            || !self.used_up.is_empty()
            || !self.past.is_empty()
            || !self.told.is_empty()
    }
}

impl Writer {
    /// What others may watch: the state, how far ids are set aside, and when boots were.
    pub(super) fn watch(
        &self,
    ) -> (watch::Receiver<State>, watch::Receiver<EntryId>, watch::Receiver<Arc<Timeline>>) {
        (self.state.subscribe(), self.set_aside.subscribe(), self.published_timeline.subscribe())
    }

    /// Ids set aside by a run that did not end cleanly, first and last.
    pub(super) fn unclean_gap(&self) -> Option<(EntryId, EntryId)> {
        self.unclean
    }

    /// Works until told to close, or until there are no more ids to give while the disk refuses.
    pub(super) fn run(
        mut self,
        commands: mpsc::Receiver<Command>,
        shared: &Arc<Shared>,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        if self.options.purpose != Purpose::Inspect {
            self.begin_salvage(shared);
        }
        let result = self.serve(&commands, shared, clock);
        // Whoever waits for room must learn that there will be none; the salvaging thread, that nobody answers.
        shared.room.close();
        shared.queue().close();
        self.stop_salvage.store(true, Ordering::Relaxed);
        drop(commands);
        self.salvage_told = None;
        if let Some(thread) = self.salvage.take() {
            // A panic there has been printed, and the next start tries again.
            let _ = thread.join();
        }
        result
    }

    fn serve(
        &mut self,
        commands: &mpsc::Receiver<Command>,
        shared: &Arc<Shared>,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        let mut due: Option<Instant> = None;
        loop {
            let command = match due {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => commands.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match command {
                Ok(Command::Arrived) => {
                    if shared.queue().arrived.len() >= LOOK_AFTER {
                        self.take_what_has_arrived(shared);
                    }
                    due.get_or_insert(Instant::now() + self.options.commit_every);
                }
                Ok(Command::Flush) => {
                    self.take_what_has_arrived(shared);
                    if self.cursors_version > self.cursors_in_file {
                        self.cursor_file_due = None;
                    }
                    due = Some(Instant::now());
                }
                Ok(Command::Close) | Err(RecvTimeoutError::Disconnected) => {
                    return self.close(commands, shared, clock);
                }
                Ok(command) => {
                    // What was said before comes first.
                    self.take_what_has_arrived(shared);
                    self.obey(command, shared, clock);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if self.salvage_again.is_some_and(|again| again <= now) && self.store.is_some() {
                self.begin_salvage(shared);
            }
            if self.pending.len() >= COMMIT_AT && self.store.is_some() {
                due = Some(now);
            }
            if due.is_some_and(|due| due <= now) {
                self.commit(shared, clock)?;
                due = None;
            }
            let work = !self.pending.is_empty()
                || self.notes.any()
                || self.cursors_version > self.cursors_in_file.max(self.cursors_in_database)
                || self.salvage_told.is_some();
            if self.store.is_none() {
                due = Some(self.refusal.next_try);
            } else if due.is_none() && work {
                due = Some(Instant::now() + self.options.commit_every);
            }
        }
    }

    // A reader that went away is not our concern: answers that cannot be given are dropped.
    fn obey(&mut self, command: Command, shared: &Arc<Shared>, clock: &Clock) {
        match command {
            Command::Anchor(at) => self.note_time(self.next, &at),
            Command::Fetch { from, reply } => {
                let _ = reply.send(self.look(|writer| writer.fetch(from)));
            }
            Command::Unreadable { class, first } => {
                self.tell_unreadable(class, first, shared, clock);
            }
            Command::Register { sink, reply } => {
                let _ = reply.send(Ok(self.register(sink)));
            }
            Command::Letters { from, max, reply } => {
                let _ = reply.send(self.look(|writer| writer.letters(from, max)));
            }
            Command::Requeue { sink, reply } => {
                let _ = reply.send(self.look(|writer| writer.requeue(sink.as_deref())));
            }
            Command::Requeued { sink, reply } => {
                let _ = reply.send(self.look(|writer| writer.requeued(&sink)));
            }
            Command::Settle { letter, sink, rejected } => self.settle(letter, &sink, rejected),
            Command::Rewind { sink, to, reply } => {
                let _ = reply.send(self.rewind(sink, to));
            }
            Command::Check { class, from, reply } => {
                let _ = reply.send(self.look(|writer| writer.check(class, from)));
            }
            Command::Rotate { reply } => {
                let _ = reply.send(self.rotate(shared, clock));
            }
            Command::Erase { places, reply } => {
                let _ = reply.send(self.erase(&places, shared, clock));
            }
            Command::NotErased { mut entries, reply } => {
                entries.retain(|entry| !self.erased.holds(entry.id));
                let _ = reply.send(Ok(entries));
            }
            Command::Salvage(step) => self.salvage_step(step, shared, clock),
            Command::Ping { reply } => {
                let _ = reply.send(());
            }
            // Handled by whoever calls this.
            Command::Arrived | Command::Flush | Command::Close => {}
        }
    }

    pub(super) fn take_what_has_arrived(&mut self, shared: &Shared) {
        let (arrived, taken) = {
            let mut queue = shared.queue();
            (std::mem::take(&mut queue.arrived), std::mem::take(&mut queue.taken))
        };
        self.append(arrived, shared);
        taken.into_iter().for_each(|taken| self.taken(taken));
    }

    fn append(&mut self, arrived: Vec<(Entry, Room)>, shared: &Shared) {
        let Some((newest, _)) = arrived.last() else { return };
        self.next = newest.id.plus(1);
        self.note_times(&arrived);
        self.pending.extend(arrived);
        if self.store.is_some() {
            self.pack();
        } else {
            self.drop_what_memory_cannot_hold(shared);
        }
    }

    /// Notes the earliest and the latest of each run under one clock.
    fn note_times(&mut self, arrived: &[(Entry, Room)]) {
        let same_clock = |(a, _): &(Entry, Room), (b, _): &(Entry, Room)| {
            let (a, b) = (a.fact.at(), b.fact.at());
            (a.boot, a.wall_offset_us, a.trust) == (b.boot, b.wall_offset_us, b.trust)
        };
        for run in arrived.chunk_by(same_clock) {
            let mono_us = |(entry, _): &&(Entry, Room)| entry.fact.at().mono_us;
            let (earliest, latest) =
                (run.iter().min_by_key(mono_us), run.iter().max_by_key(mono_us));
            for (entry, _) in [earliest, latest].into_iter().flatten() {
                self.note_time(run[0].0.id, entry.fact.at());
            }
        }
    }

    fn note_time(&mut self, id: EntryId, at: &At) {
        if let Some(boot) = self.timeline.note(id, at) {
            if self.options.purpose != Purpose::Inspect {
                self.notes.boots.insert(boot.from, boot.clone());
            }
            self.published_timeline.send_replace(Arc::new(self.timeline.clone()));
        }
    }

    fn taken(&mut self, taken: Taken) {
        let Taken { sink, span, rejected } = taken;
        let cursor = self.cursors.entry(sink.clone()).or_default();
        cursor.take(span.first, span.end);
        self.cursors_version += 1;
        self.keep_letters(&sink, rejected);
    }

    fn register(&mut self, sink: String) -> Cursor {
        let event =
            self.store.as_ref().and_then(|store| contents::first(store, Class::Events).ok());
        let reading = self.state.borrow().oldest;
        let oldest = event.flatten().map_or(reading, |event| event.min(reading));
        self.registered.insert(sink.clone());
        self.cursors_version += 1;
        self.cursors.entry(sink).or_insert_with(|| Cursor::at(oldest)).clone()
    }

    fn rewind(&mut self, sink: String, to: EntryId) -> Result<Cursor, BufferError> {
        let Some(cursor) = self.cursors.get_mut(&sink) else {
            return Err(BufferError::NoSuchSink(sink));
        };
        let before = cursor.clone();
        cursor.rewind(to);
        self.cursors_version += 1;
        // An operator's word is not repeated by itself.
        self.cursor_file_due = None;
        let cursors = self.cursors.clone();
        info!(sink, %to, was = %before.next, "rewound: everything from there on is delivered once more");
        self.state.send_modify(|state| {
            state.cursors = cursors;
            *state.rewound.entry(sink).or_default() += 1;
        });
        Ok(before)
    }

    fn keep_letters(&mut self, sink: &str, mut rejected: Vec<Rejected>) {
        // Handed over before they were erased.
        rejected.retain(|rejected| !self.erased.holds(rejected.entry.id));
        for (count, bytes) in letters::pack(sink, rejected) {
            self.letter_bytes += bytes.len() as u64;
            self.notes.letters.insert(self.next_letter, bytes);
            self.next_letter += 1;
            self.count_letters(sink, |letters| letters.kept += count);
        }
    }

    /// Keeps letters that were found in a damaged database, durable with the next commit.
    fn put_letters_back(&mut self, found: Vec<Vec<u8>>) -> Result<(), BufferError> {
        let stored = self.store()?.area(Area::Letters, 0);
        let stored = stored.map(|letter| Ok(letters::identity(&letter?.1)));
        let mut known: BTreeSet<u64> =
            stored.filter_map(Result::transpose).collect::<Result<_, BufferError>>()?;
        known.extend(self.notes.letters.values().filter_map(|bytes| letters::identity(bytes)));
        for bytes in found {
            let number = self.next_letter;
            let Some(letter) = letters::read(number, &bytes) else { continue };
            if !letters::identity(&bytes).is_some_and(|identity| known.insert(identity)) {
                continue;
            }
            self.letter_bytes += bytes.len() as u64;
            self.notes.letters.insert(number, letters::with_fate(&letter, Fate::Kept));
            self.next_letter += 1;
            let count = letter.entries.len() as u64;
            self.count_letters(&letter.sink, |letters| letters.kept += count);
        }
        Ok(())
    }

    fn settle(&mut self, number: u64, sink: &str, rejected: Vec<Rejected>) {
        let letter = self.look(|writer| writer.letter(number)).ok().flatten();
        if let Some((letter, bytes)) = letter {
            let count = letter.entries.len() as u64;
            self.letter_bytes = self.letter_bytes.saturating_sub(bytes);
            self.count_letters(sink, |letters| {
                letters.requeued = letters.requeued.saturating_sub(count);
            });
        }
        if let Some(requeued) = self.requeued.get_mut(sink) {
            requeued.remove(&number);
        }
        self.notes.letters.remove(&number);
        self.notes.settled.insert(number);
        self.keep_letters(sink, rejected);
    }

    fn requeue(&mut self, sink: Option<&str>) -> Result<u64, BufferError> {
        let mut requeued = 0;
        let letters = self.letters(0, usize::MAX)?;
        let wanted = |letter: &Letter| {
            letter.fate == Fate::Kept && sink.is_none_or(|sink| sink == letter.sink)
        };
        for letter in letters.into_iter().filter(wanted) {
            let count = letter.entries.len() as u64;
            requeued += count;
            self.requeued.entry(letter.sink.clone()).or_default().insert(letter.number);
            self.notes.letters.insert(letter.number, letters::with_fate(&letter, Fate::Requeued));
            self.count_letters(&letter.sink, |letters| {
                letters.kept = letters.kept.saturating_sub(count);
                letters.requeued += count;
            });
        }
        Ok(requeued)
    }

    fn count_letters(&self, sink: &str, change: impl FnOnce(&mut Letters)) {
        self.state.send_modify(|state| change(state.letters.entry(sink.to_owned()).or_default()));
    }

    fn rotate(&mut self, shared: &Arc<Shared>, clock: &Clock) -> Result<(), BufferError> {
        self.commit(shared, clock)?;
        if self.rewrite(shared) { Ok(()) } else { Err(self.unavailable()) }
    }

    pub(super) fn known(&self) -> Known {
        let free = self.pending.front().map_or(self.next, |(entry, _)| entry.id);
        Known { end: self.end, free, wanted: audit::lowest(&self.cursors) }
    }

    fn begin_salvage(&mut self, shared: &Arc<Shared>) {
        if self.salvage.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let Some(damaged) = ladder::quarantined(&self.options.data_dir).into_iter().next() else {
            self.state.send_modify(|state| state.salvaging_before = None);
            return;
        };
        // Places that every sink has had matter to nobody.
        let wanted = audit::lowest(&self.cursors);
        let end = damaged.end;
        self.state.send_modify(|state| state.salvaging_before = Some(end));
        self.salvage_run += 1;
        self.salvage_again = None;
        let run = self.salvage_run;
        let (shared, stop) = (shared.clone(), self.stop_salvage.clone());
        let spawned = std::thread::Builder::new()
            .name("buffer-salvage".into())
            .spawn(move || salvage::run(&shared, &damaged, wanted, &stop, run));
        match spawned {
            Ok(thread) => self.salvage = Some(thread),
            Err(error) => {
                error!(%error, "a damaged database cannot be searched now");
                self.state.send_modify(|state| state.salvaging_before = None);
            }
        }
    }

    fn salvage_step(&mut self, step: salvage::Step, shared: &Arc<Shared>, clock: &Clock) {
        match step {
            salvage::Step::PutBack { found, done } => {
                if self.put_back(found).is_ok() {
                    let _ = done.send(());
                }
            }
            salvage::Step::Letters { found, done } => {
                if self.look(|writer| writer.put_letters_back(found)).is_ok() {
                    let _ = done.send(());
                }
            }
            salvage::Step::Over { wanted, covered, done } => {
                let mut holes = covered.missing(wanted);
                if holes.len() > HOLES_TOLD {
                    let rest = holes.split_off(HOLES_TOLD - 1);
                    holes.extend(rest.into_iter().reduce(|a, b| Span::new(a.first, b.end)));
                }
                for hole in holes {
                    error!(first = %hole.first, end = %hole.end, "entries could not be read from a damaged database");
                    tell_gap(hole, None, GapReason::Damaged, shared, clock);
                }
                // What was before is not put back: nobody is to miss it.
                self.audit_from = self.audit_from.max(wanted.first);
                self.notes.everything = true;
                // Durable before the damaged one is removed: a gap told twice is better than never.
                self.salvage_told = Some((shared.queue().next, done));
            }
            salvage::Step::Ended { run } if run == self.salvage_run => {
                self.join_salvage();
                // Sinks go on waiting for what is in it: passing over it would mean that they had had it.
                self.salvage_again = Some(Instant::now() + LOOK_EVERY);
            }
            salvage::Step::Removed { run } if run == self.salvage_run => {
                self.join_salvage();
                // There may be another one.
                self.begin_salvage(shared);
            }
            salvage::Step::Ended { .. } | salvage::Step::Removed { .. } => {}
        }
    }

    fn join_salvage(&mut self) {
        if let Some(thread) = self.salvage.take() {
            // It has said its last word.
            let _ = thread.join();
        }
    }

    /// The last commit. Ids set aside and not used are given back, so that a clean stop leaves no gap.
    fn close(
        &mut self,
        commands: &mpsc::Receiver<Command>,
        shared: &Arc<Shared>,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        // What came in before the last word, gaps told by ourselves included.
        shared.room.close();
        while let Ok(command) = commands.try_recv() {
            self.obey(command, shared, clock);
        }
        self.take_what_has_arrived(shared);
        self.append(shared.queue().close(), shared);
        let result = if self.options.purpose == Purpose::Inspect {
            self.commit(shared, clock)
        } else {
            self.last_commit(shared, clock)
        };
        self.store = None;
        result
    }

    fn kept(&self) -> Kept {
        Kept {
            sinks: self.cursors.clone(),
            version: self.cursors_version,
            set_aside: *self.set_aside.borrow(),
            end: self.end,
        }
    }

    fn trouble(&self, reason: String) {
        self.state.send_modify(|state| {
            let since = tokio::time::Instant::now();
            let trouble = state.trouble.get_or_insert(Trouble { reason: String::new(), since });
            trouble.reason = reason;
        });
    }
}

/// The area of a class's chunks.
fn area(class: Class) -> Area {
    Area::Chunks(class)
}

/// Ids that are set aside when there are less than this.
const SET_ASIDE_BELOW: u64 = SET_ASIDE / 2;

/// Appends a gap event: it comes back to us with a place of its own. `None` on the way out: what matters is told after
/// the next start.
fn tell_gap(
    span: Span,
    count: Option<u64>,
    reason: GapReason,
    shared: &Shared,
    clock: &Clock,
) -> Option<EntryId> {
    let (first, last) = (span.first, EntryId(span.end.0.saturating_sub(1)));
    let kind = EventKind::Gap { first, last, count, reason };
    shared.queue().put(Fact::Event(Event { at: clock.now(), kind }), Room::Extra).ok()
}
