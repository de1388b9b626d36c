//! Erasing entries for good: whoever is forgotten leaves no byte behind.
//!
//! sled keeps old values in its file until their segments are used again, and so does the journal in its slots. So
//! nothing is deleted: everything else is copied into a new database, which takes the old one's place as in a rotation
//! ([`super::ladder::replace`]). Cut short anywhere, either the old one is whole or the new one is. What comes in
//! meanwhile waits in memory, as it does whenever the database is made anew.
//!
//! Places stay what they are: ids are not used again, cursors hold. The erased ones are noted in the new database
//! ([`Places`]), so that nobody takes them for damage, and are told as a gap.
//!
//! What is to be erased is not known here: whoever asks names the places.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::error;

use super::contents::{Books, ERASED_PREFIX};
use super::cursor::Span;
use super::journal::index;
use super::ladder::Opened;
use super::letters::{self, Letter, Rejected};
use super::places::Places;
use super::record::{self, ChunkBuilder};
use super::retention::Lost;
use super::store::{Area, Bytes, Changes, Store, meta_key};
use super::{Buffer, BufferError, Command};
use crate::reading::{Class, Entry, EntryId, Fact, GapReason};

/// Entries further apart are told as gaps of their own: an hour of ten straps.
const GAP_APART: u64 = 36_000;
/// Gaps that are told one by one; the rest is told as one.
const GAPS_TOLD: usize = 64;

/// How long a damaged database that is being searched is waited for.
const SALVAGE_WAIT: Duration = Duration::from_secs(60);

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Readings in the log.
    pub readings: u64,
    /// Events in the log.
    pub events: u64,
    /// Entries among the dead letters, which mostly were in the log as well.
    pub refused: u64,
}

impl Erased {
    /// The sum of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            readings: self.readings + other.readings,
            events: self.events + other.events,
            refused: self.refused + other.refused,
        }
    }
}

impl Buffer {
    /// Erases the entries at these places for good, from the log and from the dead letters, and every byte that was
    /// dropped before and still lies in the files. When it returns, no file of the buffer has them, power cut or not; a
    /// sink that had not had them will not get them, and a gap is told. Takes as long as copying the log.
    ///
    /// # Errors
    /// When there is no room for a copy, when the disk refuses, or while a damaged database is being put back. Then
    /// nothing was erased.
    pub async fn erase(&self, places: Places) -> Result<Erased, BufferError> {
        let mut state = self.state.clone();
        let put_back = state.wait_for(|state| state.salvaging_before.is_none());
        match timeout(SALVAGE_WAIT, put_back).await {
            Ok(over) => drop(over.map_err(|_| BufferError::Closed)?),
            Err(_) => return Err(BufferError::PuttingBack),
        }
        self.ask(|reply| Command::Erase { places, reply }).await
    }

    /// Those of some entries, read a while ago, that were not erased since. See [`super::State::erasures`].
    ///
    /// # Errors
    /// When the buffer is closed.
    pub async fn not_erased(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, BufferError> {
        self.ask(|reply| Command::NotErased { entries, reply }).await
    }
}

/// Copies a database without some entries.
pub(super) struct Eraser<'a> {
    places: &'a Places,
    /// Places of chunks that nobody can read: whose they are nobody can tell, so they go.
    unreadable: Places,
    books: Books,
    erased: Erased,
    /// Told once it is done.
    gaps: Vec<Lost>,
    next_letter: u64,
    /// Letters that became two, under new numbers.
    further: Vec<Vec<u8>>,
}

impl<'a> Eraser<'a> {
    pub(super) fn new(places: &'a Places) -> Self {
        Self {
            places,
            unreadable: Places::default(),
            books: Books::default(),
            erased: Erased::default(),
            gaps: gaps(places),
            next_letter: 0,
            further: Vec::new(),
        }
    }

    /// Copies everything else into a new database.
    pub(super) fn copy(
        &mut self,
        old: &Opened,
        new: &mut Store,
        alive: impl Fn(),
    ) -> Result<(), BufferError> {
        self.next_letter = old.contents.next_letter;
        old.store.copy_into(new, alive, |key, value, changes| self.pass(key, value, changes))?;
        let mut last = Changes::default();
        for bytes in std::mem::take(&mut self.further) {
            last.put.push((Area::Letters.key(self.next_letter), bytes.into()));
            self.next_letter += 1;
        }
        self.gaps.retain(|gap| gap.count > 0);
        self.gaps.iter().for_each(|gap| gap.put(&mut last));
        put_pages(self.places, &mut last);
        put_pages(&self.unreadable, &mut last);
        self.books.put(&mut last);
        new.commit(&last)
    }

    /// What was erased, the gaps to tell, and the places to keep in mind.
    pub(super) fn done(self) -> (Erased, Vec<Lost>, Places) {
        let mut places = self.places.clone();
        places.add_all(self.unreadable);
        (self.erased, self.gaps, places)
    }

    /// What becomes of one value.
    fn pass(&mut self, key: Vec<u8>, value: Bytes, changes: &mut Changes) {
        match Area::of(&key) {
            Some((Area::Chunks(_), first)) => self.chunk(key, EntryId(first), value, changes),
            Some((Area::Letters, number)) => self.letter(key, number, value, changes),
            Some((Area::Meta | Area::Boots, _)) | None => changes.put.push((key, value)),
        }
    }

    fn chunk(&mut self, key: Vec<u8>, first: EntryId, value: Bytes, changes: &mut Changes) {
        let header = record::header(&value).ok();
        let end = header.map_or(first, |header| header.last).plus(1);
        let runs = self.places.within(Span::new(first, end));
        let count = header.map_or(0, |header| header.count);
        let entries = match (header, record::decode(&value)) {
            (Some(_), Ok(_)) if runs.is_empty() => {
                self.keep(key, value, count, changes);
                return;
            }
            (Some(_), Ok(entries)) => entries,
            _ => {
                error!(chunk = %first, "a stored chunk cannot be read: it is not taken along");
                self.unreadable.add_span(Span::new(first, end));
                return;
            }
        };
        // One for each class: chunks of format 1 hold both.
        let mut open: [Option<(ChunkBuilder, u16)>; Class::ALL.len()] = [None, None];
        for Entry { id, fact } in entries {
            if is_in(&runs, id) {
                self.note(id, &fact);
                continue;
            }
            let open = &mut open[index(fact.class())];
            if let Some((chunk, count)) = open
                && chunk.push(id, &fact)
            {
                *count += 1;
                continue;
            }
            let mut chunk = ChunkBuilder::new(id, &fact);
            // It came out of a chunk, so that it fits into one.
            chunk.push(id, &fact);
            if let Some((full, count)) = open.replace((chunk, 1)) {
                self.keep_chunk(&full, count, fact.class(), changes);
            }
        }
        for (class, open) in Class::ALL.into_iter().zip(open) {
            if let Some((chunk, count)) = open {
                self.keep_chunk(&chunk, count, class, changes);
            }
        }
    }

    fn keep_chunk(&mut self, chunk: &ChunkBuilder, count: u16, class: Class, to: &mut Changes) {
        let key = Area::Chunks(class).key(chunk.first().0);
        self.keep(key, chunk.bytes().into(), count, to);
    }

    fn keep(&mut self, key: Vec<u8>, value: Bytes, count: u16, changes: &mut Changes) {
        let added = Books { bytes: value.len() as u64, entries: count.into() };
        self.books = self.books.with(added);
        changes.put.push((key, value));
    }

    fn note(&mut self, id: EntryId, fact: &Fact) {
        match fact {
            Fact::Reading(_) => self.erased.readings += 1,
            Fact::Event(_) => self.erased.events += 1,
        }
        let gap = self.gaps.partition_point(|gap| gap.last < id);
        if let Some(gap) = self.gaps.get_mut(gap) {
            gap.count += 1;
        }
    }

    fn letter(&mut self, key: Vec<u8>, number: u64, value: Bytes, changes: &mut Changes) {
        let Some(letter) = letters::read(number, &value) else {
            error!(number, "a dead letter cannot be read: it is not taken along");
            return;
        };
        let is_erased = |entry: &Entry| self.places.holds(entry.id);
        let (gone, rest): (Vec<_>, Vec<_>) = letter.entries.into_iter().partition(is_erased);
        if gone.is_empty() {
            changes.put.push((key, value));
            return;
        }
        self.erased.refused += gone.len() as u64;
        let reason = &letter.reason;
        let rest = rest.into_iter().map(|entry| Rejected { entry, reason: reason.clone() });
        let mut packed =
            letters::pack(&letter.sink, rest.collect()).into_iter().map(|(_, bytes)| {
                let same = letters::read(number, &bytes);
                let fate = |same: Letter| letters::with_fate(&same, letter.fate);
                same.map_or(bytes, fate)
            });
        if let Some(bytes) = packed.next() {
            changes.put.push((key, bytes.into()));
        }
        self.further.extend(packed);
    }
}

/// Notes which places were erased.
pub(super) fn put_pages(places: &Places, changes: &mut Changes) {
    for (first, bytes) in places.pages() {
        changes.put.push((meta_key(&erased_name(first)), bytes.into()));
    }
}

/// The name under which a page of erased places is kept.
pub(super) fn erased_name(first: EntryId) -> String {
    format!("{ERASED_PREFIX}{:016x}", first.0)
}

fn is_in(runs: &[Span], place: EntryId) -> bool {
    let behind = runs.partition_point(|run| run.first <= place);
    behind.checked_sub(1).is_some_and(|n| place < runs[n].end)
}

/// The places as few gaps, none of which has an entry yet.
fn gaps(places: &Places) -> Vec<Lost> {
    let mut spans: Vec<Span> = Vec::new();
    for run in places.within(Span::new(EntryId(0), EntryId(u64::MAX))) {
        match spans.last_mut() {
            Some(last) if run.first.0.saturating_sub(last.end.0) < GAP_APART => last.end = run.end,
            _ => spans.push(run),
        }
    }
    if spans.len() > GAPS_TOLD {
        let rest = spans.split_off(GAPS_TOLD - 1);
        spans.extend(rest.into_iter().reduce(|a, b| Span::new(a.first, b.end)));
    }
    let lost = |span: Span| Lost {
        first: span.first,
        last: EntryId(span.end.0 - 1),
        count: 0,
        reason: GapReason::Erased,
        by_sink: BTreeMap::new(),
    };
    spans.into_iter().map(lost).collect()
}
