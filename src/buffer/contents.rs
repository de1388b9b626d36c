//! What a database says of itself when it is opened, and the names under which it says so.

use std::collections::{BTreeMap, BTreeSet};

use super::BufferError;
use super::audit::{self, Audit};
use super::cursor::{Cursor, Span};
use super::cursors::Cursors;
use super::journal::index;
use super::letters::{self, Fate, Letter};
use super::places::Places;
use super::record;
use super::retention::Lost;
use super::state::Letters;
use super::store::{Area, Changes, Store};
use crate::reading::{At, Class, EntryId, GapReason};
use crate::timeline::{Boot, Timeline};

/// What layout a database has. Format 1 had one class of chunks, no letters and no boots; it is read as it is. Format 2
/// had no journal, but a file of the chunks being filled.
pub(super) const FORMAT: u64 = 3;

pub(super) const FORMAT_KEY: &str = "format";
pub(super) const SET_ASIDE_KEY: &str = "set_aside";
const BYTES_KEY: &str = "bytes";
const ENTRIES_KEY: &str = "entries";
pub(super) const AUDIT_FROM_KEY: &str = "audit_from";
pub(super) const CURSOR_PREFIX: &str = "cursor/";
/// Counts the changes of cursors, here and in the file beside the database: the higher number is the newer state.
pub(super) const CURSORS_VERSION_KEY: &str = "cursors_version";
pub(super) const LOST_PREFIX: &str = "lost/";
pub(super) const LETTERS_DROPPED_PREFIX: &str = "letters_dropped/";
/// Followed by the first dropped id in hex; the value is the loss as JSON.
pub(super) const UNTOLD_PREFIX: &str = "untold/";
/// Followed by the first unused id in hex; the value is the last.
pub(super) const UNUSED_PREFIX: &str = "unused/";
/// Followed by the first place of a page in hex; the value is a page of [`Places`] whose entries were erased.
pub(super) const ERASED_PREFIX: &str = "erased/";

/// What is stored, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Books {
    /// Bytes of all chunks.
    pub(super) bytes: u64,
    /// Entries in all chunks.
    pub(super) entries: u64,
}

impl Books {
    /// The sum of both.
    pub(super) fn with(self, added: Self) -> Self {
        Self { bytes: self.bytes + added.bytes, entries: self.entries + added.entries }
    }

    pub(super) fn put(self, changes: &mut Changes) {
        changes.put_number(BYTES_KEY, self.bytes);
        changes.put_number(ENTRIES_KEY, self.entries);
    }
}

/// Letters to be delivered once more, by sink.
pub(super) type Requeued = BTreeMap<String, BTreeSet<u64>>;

/// Everything that is known after opening.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) books: Books,
    /// Place behind the newest entry, or behind one that was erased; `None` when there is none.
    pub(super) end: Option<EntryId>,
    /// The same for each class: a commit that failed may have got one of them onto the disk, and not the other.
    pub(super) ends: [EntryId; Class::ALL.len()],
    /// When the newest entry was: the record of its boot may be minutes behind.
    pub(super) newest: Option<(EntryId, At)>,
    /// First entry of the oldest chunk of readings.
    pub(super) oldest: Option<EntryId>,
    /// From here on every id holds something, or it is known why not: what is before made room, or was set aside.
    pub(super) audit_from: EntryId,
    pub(super) set_aside: EntryId,
    pub(super) cursors: Cursors,
    pub(super) cursors_version: u64,
    pub(super) lost: BTreeMap<String, u64>,
    pub(super) unused: Vec<(EntryId, EntryId)>,
    pub(super) erased: Places,
    /// Losses whose gap events may not have become durable.
    pub(super) untold: Vec<Lost>,
    pub(super) timeline: Timeline,
    pub(super) letters: BTreeMap<String, Letters>,
    pub(super) requeued: Requeued,
    pub(super) letter_bytes: u64,
    pub(super) next_letter: u64,
}

impl Contents {
    pub(super) fn read(store: &Store) -> Result<Self, BufferError> {
        let format = store.number(FORMAT_KEY)?;
        if let Some(found) = format.filter(|&found| found > FORMAT) {
            return Err(BufferError::TooNew { found, known: FORMAT });
        }
        let books = match (store.number(BYTES_KEY)?, store.number(ENTRIES_KEY)?) {
            (Some(bytes), Some(entries)) => with_journal(store, Books { bytes, entries })?,
            _ => count(store)?,
        };
        let mut newest = [None; Class::ALL.len()];
        for class in Class::ALL {
            newest[index(class)] = newest_of(store, class)?;
        }
        let ends = newest.map(|last| last.map_or(EntryId(0), |(last, _)| last.plus(1)));
        let newest = newest.into_iter().flatten().max_by_key(|(last, _)| *last);
        let mut contents = Self {
            books,
            end: newest.map(|(last, _)| last.plus(1)),
            ends,
            newest,
            oldest: first(store, Class::Readings)?,
            set_aside: EntryId(store.number(SET_ASIDE_KEY)?.unwrap_or(0)),
            cursors_version: store.number(CURSORS_VERSION_KEY)?.unwrap_or(0),
            lost: numbers(store, LOST_PREFIX)?.into_iter().collect(),
            timeline: boots(store)?,
            ..Self::default()
        };
        if format.is_none() && contents.end.is_some() {
            // The first commit says what layout it has: the database is gone, and the journal is left.
            return Err(store.damaged());
        }
        contents.audit_from = match store.number(AUDIT_FROM_KEY)? {
            Some(from) => EntryId(from),
            // Format 1 did not say.
            None => contents.oldest.unwrap_or_default(),
        };
        for (sink, value) in store.named(CURSOR_PREFIX)? {
            let cursor = Cursor::from_bytes(&value).ok_or_else(|| store.damaged())?;
            contents.cursors.insert(sink, cursor);
        }
        for (first, last) in numbers(store, UNUSED_PREFIX)? {
            let first = u64::from_str_radix(&first, 16).map_err(|_| store.damaged())?;
            contents.unused.push((EntryId(first), EntryId(last)));
        }
        for (first, page) in store.named(ERASED_PREFIX)? {
            let first = u64::from_str_radix(&first, 16).map_err(|_| store.damaged())?;
            let added = contents.erased.add_page(EntryId(first), &page);
            added.ok_or_else(|| store.damaged())?;
        }
        contents.end = contents.end.max(contents.erased.end());
        for (_, text) in store.named(UNTOLD_PREFIX)? {
            contents.untold.push(serde_json::from_slice(&text).map_err(|_| store.damaged())?);
        }
        contents.read_letters(store)?;
        Ok(contents)
    }

    /// Fails when something is missing that somebody has not had. What is before `floor` is searched for elsewhere.
    pub(super) fn audit(&self, store: &Store, floor: EntryId) -> Result<(), BufferError> {
        let Some(end) = self.end else { return Ok(()) };
        let wanted = Span::new(audit::lowest(&self.cursors).max(self.audit_from).max(floor), end);
        let mut audit = Audit::default();
        for (first, last) in &self.unused {
            audit.span(Span::new(*first, last.plus(1)));
        }
        self.erased.within(wanted).into_iter().for_each(|run| audit.span(run));
        // Of what was erased the pages tell, place by place.
        for lost in self.untold.iter().filter(|lost| lost.reason != GapReason::Erased) {
            audit.span(Span::new(lost.first, lost.last.plus(1)));
        }
        for class in Class::ALL {
            for chunk in store.chunks(class, wanted.first)? {
                let (first, bytes) = chunk?;
                audit.chunk(&bytes);
                store.done_with(class, EntryId(first));
            }
        }
        match audit.missing(wanted).first() {
            None => Ok(()),
            Some(hole) => Err(BufferError::Missing { first: hole.first, end: hole.end }),
        }
    }

    fn read_letters(&mut self, store: &Store) -> Result<(), BufferError> {
        for (sink, dropped) in numbers(store, LETTERS_DROPPED_PREFIX)? {
            self.letters.entry(sink).or_default().dropped = dropped;
        }
        for stored in store.area(Area::Letters, 0) {
            let (number, bytes) = stored?;
            self.next_letter = number + 1;
            self.letter_bytes += bytes.len() as u64;
            // One bad letter is shown as such by a check; it must not keep the log from opening.
            let Some(letter) = letters::read(number, &bytes) else { continue };
            self.count_letter(&letter);
        }
        Ok(())
    }

    /// Counts a letter in.
    pub(super) fn count_letter(&mut self, letter: &Letter) {
        let of_sink = self.letters.entry(letter.sink.clone()).or_default();
        let count = letter.entries.len() as u64;
        match letter.fate {
            Fate::Kept => of_sink.kept += count,
            Fate::Requeued => {
                of_sink.requeued += count;
                self.requeued.entry(letter.sink.clone()).or_default().insert(letter.number);
            }
        }
    }
}

fn numbers(store: &Store, prefix: &str) -> Result<Vec<(String, u64)>, BufferError> {
    let named = store.named(prefix)?.into_iter().map(|(name, value)| {
        let bytes = <[u8; 8]>::try_from(&*value).map_err(|_| store.damaged())?;
        Ok((name, u64::from_be_bytes(bytes)))
    });
    named.collect()
}

fn boots(store: &Store) -> Result<Timeline, BufferError> {
    let boots = store.area(Area::Boots, 0).map(|stored| {
        let (_, text) = stored?;
        serde_json::from_slice::<Boot>(&text).map_err(|_| store.damaged())
    });
    Ok(Timeline::new(boots.collect::<Result<_, BufferError>>()?))
}

fn newest_of(store: &Store, class: Class) -> Result<Option<(EntryId, At)>, BufferError> {
    let Some(chunk) = store.area(Area::Chunks(class), 0).next_back() else { return Ok(None) };
    let entries = record::decode(&chunk?.1).map_err(|source| BufferError::Store {
        doing: "reading the newest chunk",
        source: Box::new(source),
    })?;
    Ok(entries.last().map(|entry| (entry.id, *entry.fact.at())))
}

pub(super) fn first(store: &Store, class: Class) -> Result<Option<EntryId>, BufferError> {
    let first = store.area(Area::Chunks(class), 0).next().transpose()?;
    Ok(first.map(|(first, _)| EntryId(first)))
}

/// The database's own count, and what only the journal has.
fn with_journal(store: &Store, mut books: Books) -> Result<Books, BufferError> {
    for class in Class::ALL {
        for held in store.held(class) {
            let (mut bytes, mut entries) = (held.bytes.len() as u64, u64::from(held.header.count));
            if let Some(shorter) = store.in_database(class, held.header.first)? {
                bytes = bytes.saturating_sub(shorter.len() as u64);
                entries = entries.saturating_sub(header(&shorter)?.count.into());
            }
            books.bytes += bytes;
            books.entries += entries;
        }
    }
    Ok(books)
}

/// For databases of format 1, which did not count their entries.
fn count(store: &Store) -> Result<Books, BufferError> {
    let mut books = Books::default();
    for class in Class::ALL {
        for chunk in store.area(Area::Chunks(class), 0) {
            let (_, bytes) = chunk?;
            books.bytes += bytes.len() as u64;
            books.entries += u64::from(header(&bytes)?.count);
        }
    }
    Ok(books)
}

/// The header of a stored chunk, or damage.
pub(super) fn header(bytes: &[u8]) -> Result<record::Header, BufferError> {
    record::header(bytes)
        .map_err(|source| BufferError::Store { doing: "reading a chunk", source: Box::new(source) })
}
