//! Committing: everything that waits becomes one batch, and is told once it is durable.
//!
//! Nothing is taken out of `pending` or the notes before a commit has succeeded, so that it can be made again. What
//! happens when one fails is in [`super::refusal`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, trace, warn};

use super::{LOOK_EVERY, Notes, SET_ASIDE_BELOW, Writer, area, tell_gap};
use crate::buffer::contents::{
    self, AUDIT_FROM_KEY, CURSOR_PREFIX, CURSORS_VERSION_KEY, FORMAT, FORMAT_KEY,
    LETTERS_DROPPED_PREFIX, LOST_PREFIX, SET_ASIDE_KEY, UNUSED_PREFIX,
};
use crate::buffer::cursor::Span;
use crate::buffer::erase;
use crate::buffer::journal::Packed;
use crate::buffer::letters::{Fate, Letter};
use crate::buffer::retention::{self, Keep, Lost, Plan, untold_name};
use crate::buffer::store::{Area, Changes, Store, meta_key};
use crate::buffer::{BufferError, Purpose, Room, SET_ASIDE, Shared};
use crate::clock::Clock;
use crate::reading::{At, Class, EntryId};

/// Cursors on disk may lag: a repeat is legal, wearing out the card is not. The copy outside the database likewise.
const CURSORS_EVERY: Duration = Duration::from_secs(10);

/// Dead letters are kept up to so many bytes.
const LETTERS_MAX_BYTES: u64 = 8 << 20;
/// Letters looked at in one go when room is made.
const LETTERS_AT_ONCE: usize = 64;

/// A backlog of so much of the log is warned of, once; and again only after it was so much smaller.
const NEARLY_FULL_PERCENT: u64 = 80;
const RELAXED_PERCENT: u64 = 60;

/// A wall clock is believed about ages once it has been right for so long.
const STEADY_FOR: Duration = Duration::from_secs(3600);

/// A commit that has been written.
struct Written {
    plan: Plan,
    set_aside: Option<EntryId>,
    entries: usize,
    in_database: bool,
}

impl Writer {
    /// Commits what is waiting, if the disk lets us.
    ///
    /// # Errors
    /// Only when there are no more ids to give while the disk refuses, and for whoever only inspects.
    pub(super) fn commit(
        &mut self,
        shared: &Arc<Shared>,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        self.take_what_has_arrived(shared);
        if !self.come_back(shared) {
            return self.ids_are_left();
        }
        let collecting = self.options.purpose != Purpose::Inspect;
        if collecting && self.looked.elapsed() >= LOOK_EVERY {
            self.look_around();
            self.rotate_if_bloated(shared);
            if self.store.is_none() {
                return self.ids_are_left();
            }
        }
        let ahead = self.set_aside.borrow().0.saturating_sub(self.next.0);
        let set_aside = (collecting && ahead < SET_ASIDE_BELOW).then(|| self.next.plus(SET_ASIDE));
        match self.write(set_aside, Some(clock)) {
            Ok(written) => self.done(written, shared, clock),
            Err(error) if !collecting => return Err(error),
            Err(error) => self.refused(&error),
        }
        Ok(())
    }

    /// The commit before closing: ids that were set aside and not used are given back, nothing is dropped.
    pub(super) fn last_commit(
        &mut self,
        shared: &Arc<Shared>,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        self.refusal.next_try = Instant::now();
        if !self.come_back(shared) {
            error!(entries = self.pending.len(), "lost: the disk still refuses");
            return Err(self.unavailable());
        }
        let written = self.write(Some(self.next), None)?;
        self.done(written, shared, clock);
        Ok(())
    }

    /// Writes everything that waits; nothing is forgotten here. Without a clock nothing is dropped.
    fn write(
        &mut self,
        set_aside: Option<EntryId>,
        clock: Option<&Clock>,
    ) -> Result<Written, BufferError> {
        self.pack();
        let mut changes = Changes::default();
        let being_written = self.packing.being_written();
        let (chunks, added) = self.packing.take();
        let books = self.books.with(added);
        self.put_notes(&mut changes, set_aside)?;
        let store = self.store()?;
        let mut plan = Plan { books, ..Plan::default() };
        if let Some(clock) = clock.filter(|_| self.options.purpose == Purpose::Collect) {
            let goal = if self.refusal.make_space() && self.reserve.would_not_fit() {
                // A piece of what there is: the disk is full, not the log.
                let bytes = self.limit.min(books.bytes);
                bytes - retention::room(bytes)
            } else if books.bytes > self.limit {
                self.limit - retention::piece(self.limit)
            } else {
                self.limit
            };
            let keep = Keep { cursors: &self.cursors, registered: &self.registered, being_written };
            plan = retention::plan(store, books, goal, &keep, self.too_old(clock), &mut changes)?;
            if plan.dropped > 0 {
                let from = self.audit_from.max(plan.gone_before);
                changes.put_number(AUDIT_FROM_KEY, from.0);
            }
            for lost in &plan.lost {
                lost.put(&mut changes);
                for (sink, count) in &lost.by_sink {
                    let so_far = self.lost.get(sink).copied().unwrap_or_default();
                    changes.put_number(&format!("{LOST_PREFIX}{sink}"), so_far + count);
                }
            }
        }
        // Where sinks are waits for a commit that goes into the database anyway: the file beside it has them meanwhile.
        let cursors_moved =
            self.notes.everything || self.cursors_version > self.cursors_in_database;
        let must_have_cursors =
            cursors_moved && (self.cursor_file_failed || self.options.purpose == Purpose::Inspect);
        let in_database =
            !changes.is_empty() || must_have_cursors || !store.journal_has_room_for(chunks.len());
        if in_database {
            for (sink, cursor) in self.cursors.iter().filter(|_| cursors_moved) {
                let key = meta_key(&format!("{CURSOR_PREFIX}{sink}"));
                changes.put.push((key, cursor.to_bytes().into()));
            }
            changes.put_number(CURSORS_VERSION_KEY, self.cursors_version);
            // What is put later counts: longer versions of the same chunks.
            changes.put.extend(store.all_held());
            for Packed { class, first, bytes } in chunks {
                changes.put.push((area(class).key(first.0), bytes.into()));
            }
            plan.books.put(&mut changes);
            self.store_mut()?.commit(&changes)?;
        } else if !chunks.is_empty() {
            self.store_mut()?.write_journal(chunks)?;
        }
        Ok(Written { plan, set_aside, entries: self.pending.len(), in_database })
    }

    /// Packs what has come in.
    pub(super) fn pack(&mut self) {
        let packed = self.packing.entries();
        self.packing.pack(self.pending.range(packed..).map(|(entry, _)| entry));
    }

    fn put_notes(
        &mut self,
        changes: &mut Changes,
        set_aside: Option<EntryId>,
    ) -> Result<(), BufferError> {
        self.bound_letters()?;
        let notes = &mut self.notes;
        let all = notes.everything;
        if all {
            changes.put_number(FORMAT_KEY, FORMAT);
            changes.put_number(AUDIT_FROM_KEY, self.audit_from.0);
            notes.boots =
                self.timeline.boots().iter().map(|boot| (boot.from, boot.clone())).collect();
            notes.unused.clone_from(&self.state.borrow().unused);
        }
        if all || set_aside.is_some() {
            let set_aside = set_aside.unwrap_or(*self.set_aside.borrow());
            changes.put_number(SET_ASIDE_KEY, set_aside.0);
        }
        if all {
            for (sink, lost) in &self.lost {
                changes.put_number(&format!("{LOST_PREFIX}{sink}"), *lost);
            }
        }
        if all || notes.letters_dropped {
            for (sink, letters) in &self.state.borrow().letters {
                changes.put_number(&format!("{LETTERS_DROPPED_PREFIX}{sink}"), letters.dropped);
            }
        }
        if all {
            self.untold.iter().for_each(|(lost, _)| lost.put(changes));
            erase::put_pages(&self.erased, changes);
        }
        changes.drop.extend(notes.told.iter().map(|first| meta_key(&untold_name(*first))));
        for (first, last) in &notes.unused {
            changes.put_number(&unused_name(*first), last.0);
        }
        changes.drop.extend(notes.past.iter().map(|first| meta_key(&erase::erased_name(*first))));
        changes.drop.extend(notes.used_up.iter().map(|first| meta_key(&unused_name(*first))));
        for (from, boot) in &notes.boots {
            match serde_json::to_vec(boot) {
                Ok(text) => changes.put.push((Area::Boots.key(from.0), text.into())),
                Err(error) => error!(%error, "the record of a boot cannot be written"),
            }
        }
        changes.drop.extend(notes.forgotten_boots.iter().map(|from| Area::Boots.key(from.0)));
        for (number, bytes) in &notes.letters {
            changes.put.push((Area::Letters.key(*number), bytes.as_slice().into()));
        }
        changes.drop.extend(notes.settled.iter().map(|number| Area::Letters.key(*number)));
        Ok(())
    }

    /// After a commit: what was written is forgotten here and told there.
    fn done(&mut self, written: Written, shared: &Arc<Shared>, clock: &Clock) {
        let Written { plan, set_aside, entries, in_database } = written;
        self.books = plan.books;
        self.audit_from = self.audit_from.max(plan.gone_before);
        let cursors_written = in_database && self.cursors_version > self.cursors_in_database;
        if in_database {
            self.notes = Notes::default();
            self.cursors_in_database = self.cursors_version;
        }
        self.refusal.over();
        if let Some((newest, _)) = self.pending.get(entries.wrapping_sub(1)) {
            self.end = newest.id.plus(1);
        }
        let held = self.pending.drain(..entries).filter(|(_, room)| *room == Room::Held).count();
        self.room_held += held;
        if plan.dropped > 0 {
            debug!(chunks = plan.dropped, "the oldest chunks made room");
            self.forget_what_is_gone();
        }
        let due = match self.options.purpose {
            // Whoever looks writes nothing, unless a cursor was moved.
            Purpose::Inspect => cursors_written,
            _ => self.cursor_file_due.is_none_or(|due| due <= Instant::now()),
        };
        if due || set_aside.is_some() {
            self.write_cursor_file(set_aside);
        }
        if let Some(set_aside) = set_aside {
            self.give_ids_up_to(set_aside, shared);
        }
        for lost in &plan.lost {
            self.count_loss(lost);
        }
        self.tell();
        if entries > 0 {
            trace!(entries, "committed up={}", self.end.0.saturating_sub(1));
        }
        shared.room.add_permits(std::mem::take(&mut self.room_held));
        self.untold.extend(plan.lost.into_iter().map(|lost| (lost, None)));
        self.tell_losses(shared, clock);
        if self.salvage_told.as_ref().is_some_and(|(place, _)| *place <= self.next)
            && let Some((_, told)) = self.salvage_told.take()
        {
            // Nobody there any more: the next start searches again.
            let _ = told.send(());
        }
    }

    fn tell(&mut self) {
        let bytes_on_disk = self.bytes_on_disk();
        if let Some(trouble) = self.state.borrow().trouble.clone() {
            let seconds = trouble.since.elapsed().as_secs();
            info!(seconds, "the disk takes entries again, what was held in memory is safe");
        }
        self.state.send_modify(|state| {
            state.committed = self.next;
            state.oldest = state.oldest.min(self.next);
            state.entries = self.books.entries;
            state.bytes = self.books.bytes;
            state.limit_bytes = self.limit;
            state.bytes_on_disk = bytes_on_disk;
            state.cursors.clone_from(&self.cursors);
            state.lost.clone_from(&self.lost);
            state.trouble = None;
        });
        self.warn_when_nearly_full();
    }

    /// Appends gap events, and forgets the losses whose events are durable.
    fn tell_losses(&mut self, shared: &Arc<Shared>, clock: &Clock) {
        for (lost, told_at) in &mut self.untold {
            if told_at.is_none() {
                let span = Span::new(lost.first, lost.last.plus(1));
                *told_at = tell_gap(span, Some(lost.count), lost.reason, shared, clock);
            }
        }
        let durable = |told_at: &Option<EntryId>| told_at.is_some_and(|place| place < self.end);
        self.notes
            .told
            .extend(self.untold.iter().filter(|(_, at)| durable(at)).map(|(lost, _)| lost.first));
        let end = self.end;
        self.untold.retain(|(_, told_at)| told_at.is_none_or(|place| place >= end));
    }

    fn count_loss(&mut self, lost: &Lost) {
        let Lost { first, last, reason, by_sink, .. } = lost;
        for (sink, count) in by_sink {
            error!(sink, %first, %last, count, ?reason, "entries were dropped before this sink had them");
            *self.lost.entry(sink.clone()).or_default() += count;
        }
    }

    fn forget_what_is_gone(&mut self) {
        let Ok(store) = self.store() else { return };
        let first = |class| contents::first(store, class);
        let (Ok(reading), Ok(event)) = (first(Class::Readings), first(Class::Events)) else {
            return;
        };
        let oldest = reading.unwrap_or(self.next);
        let before = event.map_or(oldest, |event| event.min(oldest));
        self.notes.forgotten_boots = self.timeline.forget_before(before);
        self.notes.past.extend(self.erased.forget_before(before));
        let used_up = &mut self.notes.used_up;
        self.state.send_modify(|state| {
            state.oldest = oldest;
            state.unused.retain(|(first, last)| {
                let keep = *last >= before;
                if !keep {
                    used_up.push(*first);
                }
                keep
            });
        });
    }

    fn warn_when_nearly_full(&mut self) {
        let state = self.state.borrow();
        let behind = self.registered.iter().map(|sink| (state.waiting(sink), sink)).max();
        let Some((waiting, sink)) = behind else { return };
        let bytes = waiting.min(state.entries) * state.bytes / state.entries.max(1);
        let percent = bytes * 100 / self.limit.max(1);
        if percent >= NEARLY_FULL_PERCENT && !self.nearly_full {
            warn!(
                sink,
                waiting,
                percent,
                "the buffer is nearly full of entries that this sink has not had; the oldest will make room"
            );
        }
        let threshold = if self.nearly_full { RELAXED_PERCENT } else { NEARLY_FULL_PERCENT };
        self.nearly_full = percent >= threshold;
    }

    /// Whether something stamped so is older than entries are to be kept. Only a clock that has been right for a while is
    /// believed: one that has just jumped ahead must not empty the log.
    fn too_old(&self, clock: &Clock) -> impl Fn(&At) -> bool + use<'_> {
        let steady = clock.steady_for().is_some_and(|steady| steady >= STEADY_FOR);
        let now_us = clock.now().unix_us();
        let max_age = self.options.max_age.filter(|_| steady);
        let max_us = max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        move |at| {
            max_us.is_some_and(|max| now_us.saturating_sub(self.timeline.place(at).unix_us) > max)
        }
    }

    /// Free space, and what it means for the log.
    pub(super) fn look_around(&mut self) {
        self.looked = Instant::now();
        self.reserve.hold();
        let configured = self.options.max_bytes;
        let limit = retention::limit(configured, &self.options.data_dir, self.bytes_on_disk());
        if limit < configured && self.limit == configured {
            warn!(
                limit,
                configured,
                "little space is left on the disk: the buffer keeps less than configured"
            );
        }
        self.limit = limit;
    }

    pub(super) fn bytes_on_disk(&self) -> u64 {
        self.store.as_ref().map_or(0, Store::size_on_disk)
    }

    /// Drops the oldest letters when there are too many.
    fn bound_letters(&mut self) -> Result<(), BufferError> {
        let most = LETTERS_MAX_BYTES.min(self.options.max_bytes / 4);
        let mut from = 0;
        while self.letter_bytes > most {
            let oldest = self.letters_with_size(from, LETTERS_AT_ONCE)?;
            let Some((last, _)) = oldest.last() else {
                self.letter_bytes = 0;
                break;
            };
            from = last.number + 1;
            for (letter, bytes) in oldest {
                if self.letter_bytes <= most {
                    break;
                }
                self.drop_letter(&letter, bytes);
            }
        }
        Ok(())
    }

    fn drop_letter(&mut self, letter: &Letter, bytes: u64) {
        self.letter_bytes = self.letter_bytes.saturating_sub(bytes);
        let count = letter.entries.len() as u64;
        if self.state.borrow().letters.get(&letter.sink).is_none_or(|l| l.dropped == 0) {
            error!(sink = letter.sink, "too many refused entries are kept, the oldest are dropped");
        }
        self.count_letters(&letter.sink, |letters| {
            match letter.fate {
                Fate::Kept => letters.kept = letters.kept.saturating_sub(count),
                Fate::Requeued => letters.requeued = letters.requeued.saturating_sub(count),
            }
            letters.dropped += count;
        });
        self.notes.letters.remove(&letter.number);
        self.notes.settled.insert(letter.number);
        self.notes.letters_dropped = true;
    }

    /// Says whether it worked.
    pub(super) fn write_cursor_file(&mut self, set_aside: Option<EntryId>) -> bool {
        let mut kept = self.kept();
        kept.set_aside = set_aside.unwrap_or(kept.set_aside);
        self.cursor_file_due = Some(Instant::now() + CURSORS_EVERY);
        let written = self.cursor_file.write(&kept);
        self.cursor_file_failed = written.is_err();
        match &written {
            Ok(()) => self.cursors_in_file = kept.version,
            Err(error) => {
                warn!(%error, "the file of the cursors could not be written, the database takes them");
            }
        }
        written.is_ok()
    }
}

fn unused_name(first: EntryId) -> String {
    format!("{UNUSED_PREFIX}{:016x}", first.0)
}
