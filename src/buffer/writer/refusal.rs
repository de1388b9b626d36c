//! When the disk refuses: collecting goes on in memory, and the database is got back.
//!
//! After a failed commit the database is closed. A full disk gets its reserve back and the oldest entries make room.
//! After any other failure what the kernel believes written cannot be trusted (an `fdatasync` that failed once may
//! succeed the next time without having written anything): everything is copied into a new database, and what waits is
//! committed there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracing::{debug, error, info};

use super::packing::Packing;
use super::{Writer, area};
use crate::backoff::Backoff;
use crate::buffer::cursor::Span;
use crate::buffer::error::Remedy;
use crate::buffer::journal::index;
use crate::buffer::ladder::{self, Opened};
use crate::buffer::letters;
use crate::buffer::retention::Lost;
use crate::buffer::salvage::Found;
use crate::buffer::store::Changes;
use crate::buffer::{BufferError, ROOM, Room, Shared, record, reserve};
use crate::reading::{Class, EntryId, GapReason};

/// Before the database is tried again.
const LEAST_DELAY: Duration = Duration::from_millis(500);
const MOST_DELAY: Duration = Duration::from_secs(30);
/// Without trouble for so long, the next failure is a new story.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// Entries held while the disk refuses. The rest of [`ROOM`] stays free, so that nobody has to wait.
const RING: usize = ROOM / 4 * 3;
/// What makes room at once when that is too many.
const RING_PIECE: usize = ROOM / 4;

/// Spans that [`crate::buffer::State::not_stored`] remembers.
const NOT_STORED_MAX: usize = 64;

/// Files so much larger than what is in them are made anew.
const ROTATE_FACTOR: u64 = 4;
const ROTATE_LEAST_BYTES: u64 = 64 << 20;

/// How the disk has refused lately.
pub(super) struct Refusal {
    pub(super) next_try: Instant,
    /// How often in a row the disk was full. The reserve is given back the first time; the second time that was not
    /// enough.
    full: u8,
    remedy: Remedy,
    backoff: Backoff,
    last: Option<Instant>,
}

impl Refusal {
    pub(super) fn new() -> Self {
        Self {
            next_try: Instant::now(),
            full: 0,
            remedy: Remedy::Rewrite,
            backoff: Backoff::new(LEAST_DELAY, MOST_DELAY),
            last: None,
        }
    }

    /// Whether the next commit has to drop the oldest entries, whatever the limit says.
    pub(super) fn make_space(&self) -> bool {
        self.full > 1
    }

    /// A commit has succeeded.
    pub(super) fn over(&mut self) {
        self.full = 0;
    }
}

impl Writer {
    /// The disk refuses: the database is closed, and opened again after a while. What waits stays in memory.
    pub(super) fn refused(&mut self, error: &BufferError) {
        self.store = None;
        self.packing = Packing::default();
        let refusal = &mut self.refusal;
        refusal.remedy = error.remedy();
        if refusal.remedy == Remedy::MakeSpace {
            refusal.full = refusal.full.saturating_add(1);
        }
        refusal.next_try = Instant::now();
        if refusal.last.is_none_or(|last| last.elapsed() >= FORGIVEN_AFTER) {
            refusal.backoff.reset();
        } else {
            refusal.next_try += refusal.backoff.next_delay();
        }
        refusal.last = Some(Instant::now());
        let reason = error.in_words();
        if self.state.borrow().trouble.is_none() {
            error!(reason, "the disk refuses, will retry; what comes in is held in memory");
        } else {
            debug!(reason, "the disk still refuses");
        }
        self.trouble(reason);
    }

    /// What to tell whoever asks while the disk refuses.
    pub(super) fn unavailable(&self) -> BufferError {
        let trouble = self.state.borrow().trouble.clone();
        BufferError::Unavailable { reason: trouble.map(|t| t.reason).unwrap_or_default() }
    }

    /// An error when no further id can be given: only a new start helps then.
    pub(super) fn ids_are_left(&self) -> Result<(), BufferError> {
        if self.next < *self.set_aside.borrow() {
            return Ok(());
        }
        let reason = "the disk refuses, and there are no more numbers for new entries".to_owned();
        Err(BufferError::Unavailable { reason })
    }

    /// Whether there is a database; tries to get it back when it is time.
    pub(super) fn come_back(&mut self, shared: &Arc<Shared>) -> bool {
        if self.store.is_some() {
            return true;
        }
        if Instant::now() < self.refusal.next_try {
            return false;
        }
        match self.refusal.remedy {
            Remedy::MakeSpace => {
                self.reserve.release();
                let opened = ladder::open(&self.options.data_dir, self.known());
                self.go_on_with(opened, shared)
            }
            Remedy::Rewrite => self.rewrite(shared),
        }
    }

    /// Copies everything into a new database.
    pub(super) fn rewrite(&mut self, shared: &Arc<Shared>) -> bool {
        self.store = None;
        let alive = || {
            shared.pieces.fetch_add(1, Ordering::Relaxed);
        };
        let opened = ladder::rewrite(&self.options.data_dir, self.known(), alive);
        self.go_on_with(opened, shared)
    }

    pub(super) fn go_on_with(
        &mut self,
        opened: Result<Opened, BufferError>,
        shared: &Arc<Shared>,
    ) -> bool {
        match opened {
            Ok(opened) => {
                self.adopt(opened, shared);
                true
            }
            Err(error) => {
                self.refused(&error);
                false
            }
        }
    }

    /// Goes on with this database. What is known here is newer than what it says.
    pub(super) fn adopt(&mut self, opened: Opened, shared: &Arc<Shared>) {
        let Opened { store, mut contents } = opened;
        self.books = contents.books;
        self.packing = Packing::default();
        self.notes.everything = true;
        self.next_letter = self.next_letter.max(contents.next_letter);
        self.letter_bytes = contents.letter_bytes;
        for (number, bytes) in &self.notes.letters {
            self.letter_bytes += bytes.len() as u64;
            if let Some(letter) = letters::read(*number, bytes) {
                contents.count_letter(&letter);
            }
        }
        self.requeued = contents.requeued;
        self.state.send_modify(|state| state.letters = contents.letters);
        self.end = self.end.max(contents.end.unwrap_or_default());
        // A commit that failed may have been stored all the same, or one class of it.
        let room_held = &mut self.room_held;
        self.pending.retain(|(entry, room)| {
            let stored = entry.id < contents.ends[index(entry.fact.class())];
            *room_held += usize::from(stored && *room == Room::Held);
            !stored
        });
        self.store = Some(store);
        self.look_anew();
        self.begin_salvage(shared);
    }

    /// What readers hold in hand may have holes that are filled now.
    fn look_anew(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    pub(super) fn rotate_if_bloated(&mut self, shared: &Arc<Shared>) {
        let bytes_on_disk = self.bytes_on_disk();
        let bytes = self.books.bytes;
        if bytes_on_disk >= ROTATE_LEAST_BYTES && bytes_on_disk / ROTATE_FACTOR > bytes {
            let free = reserve::free_bytes(&self.options.data_dir).unwrap_or(0);
            if free > 3 * bytes {
                info!(bytes_on_disk, bytes, "the database's files are mostly empty: made anew");
                self.rewrite(shared);
            }
        }
    }

    /// While the disk refuses, memory holds the newest: the oldest readings make room.
    pub(super) fn drop_what_memory_cannot_hold(&mut self, shared: &Shared) {
        if self.pending.len() < RING {
            return;
        }
        let mut left = RING_PIECE;
        let (mut dropped, mut held) = (0, 0);
        let mut span: Option<Span> = None;
        self.pending.retain(|(entry, room)| {
            if left == 0 || entry.fact.class() != Class::Readings {
                return true;
            }
            left -= 1;
            dropped += 1;
            held += usize::from(*room == Room::Held);
            let first = span.map_or(entry.id, |span| span.first);
            span = Some(Span::new(first, entry.id.plus(1)));
            false
        });
        shared.room.add_permits(held);
        let Some(Span { first, end }) = span else { return };
        error!(dropped, %first, "the disk refuses for too long, the oldest entries in memory are lost");
        let last = EntryId(end.0 - 1);
        let reason = GapReason::NotStored;
        // Stored with the next commit, and told by an event of its own behind it.
        let by_sink = BTreeMap::new();
        self.untold.push((Lost { first, last, count: dropped, reason, by_sink }, None));
        self.state.send_modify(|state| {
            if state.not_stored.len() == NOT_STORED_MAX {
                state.not_stored.remove(0);
            }
            state.not_stored.push(Span::new(first, end));
        });
    }

    /// Puts chunks back that were found in a damaged database.
    pub(super) fn put_back(&mut self, found: Vec<Found>) -> Result<(), BufferError> {
        self.look(|writer| {
            let mut changes = Changes::default();
            let mut books = writer.books;
            let mut oldest = writer.state.borrow().oldest;
            for Found { class, first, bytes } in found {
                let Ok(header) = record::header(&bytes) else { continue };
                // Put back before, by a search that did not get to its end.
                let there = writer.store()?.area(area(class), first.0).next().transpose()?;
                if there.is_some_and(|(there, _)| there == first.0) {
                    continue;
                }
                books.bytes += bytes.len() as u64;
                books.entries += u64::from(header.count);
                if class == Class::Readings {
                    oldest = oldest.min(first);
                }
                writer.note_time(first, &header.at);
                changes.put.push((area(class).key(first.0), bytes.into()));
            }
            books.put(&mut changes);
            writer.store_mut()?.commit(&changes)?;
            writer.books = books;
            writer.state.send_modify(|state| {
                state.oldest = oldest;
                state.entries = books.entries;
                state.bytes = books.bytes;
            });
            writer.look_anew();
            Ok(())
        })
    }
}
