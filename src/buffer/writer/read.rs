//! Reading for sinks and operators.

use std::collections::VecDeque;

use tracing::error;

use super::{Writer, area, tell_gap};
use crate::buffer::cursor::Span;
use crate::buffer::inspect::Piece;
use crate::buffer::letters::{self, Letter};
use crate::buffer::reader::{Chunk, FETCH, Fetched};
use crate::buffer::store::{Area, Bytes, Store};
use crate::buffer::{BufferError, Purpose, Shared, record};
use crate::clock::Clock;
use crate::reading::{Class, EntryId, GapReason};

/// Whether this is the chunk that begins at `first`.
fn is_at(chunk: &Result<(u64, Bytes), BufferError>, first: EntryId) -> bool {
    matches!(chunk, Ok((number, _)) if *number == first.0)
}

impl Writer {
    /// Runs something that needs the database. Should that fail, the database is opened anew.
    pub(super) fn look<T>(
        &mut self,
        look: impl FnOnce(&mut Self) -> Result<T, BufferError>,
    ) -> Result<T, BufferError> {
        if self.store.is_none() {
            return Err(self.unavailable());
        }
        look(self).map_err(|error| {
            if self.options.purpose == Purpose::Inspect {
                return error;
            }
            self.refused(&error);
            BufferError::Unavailable { reason: error.in_words() }
        })
    }

    pub(super) fn store(&self) -> Result<&Store, BufferError> {
        self.store.as_ref().ok_or(BufferError::Closed)
    }

    pub(super) fn store_mut(&mut self) -> Result<&mut Store, BufferError> {
        self.store.as_mut().ok_or(BufferError::Closed)
    }

    /// The next chunks from `from` on, of all classes.
    pub(super) fn fetch(&self, from: EntryId) -> Result<Fetched, BufferError> {
        let store = self.store()?;
        let mut lanes = Vec::with_capacity(Class::ALL.len());
        for class in Class::ALL {
            // Fused: sled would look once more at each question behind its end.
            let mut chunks = store.chunks(class, from)?.fuse();
            let next = chunks.next().transpose()?;
            lanes.push((class, next, chunks));
        }
        let (committed, generation) = {
            let state = self.state.borrow();
            (state.committed, state.generation)
        };
        let mut fetched =
            Fetched { chunks: VecDeque::new(), until: committed, more: false, generation };
        loop {
            let waiting = lanes.iter_mut().filter(|(_, next, _)| next.is_some());
            let nearest = waiting.min_by_key(|(_, next, _)| next.as_ref().map(|(first, _)| *first));
            let Some((class, next, chunks)) = nearest else { break };
            let Some((first, bytes)) = next.take() else { break };
            let first = EntryId(first);
            // What may hold `from` is wanted in any case.
            if fetched.chunks.len() >= FETCH && first > from {
                (fetched.until, fetched.more) = (first, true);
                break;
            }
            fetched.chunks.push_back(Chunk { class: *class, first, bytes });
            store.done_with(*class, first);
            *next = chunks.next().transpose()?;
        }
        Ok(fetched)
    }

    /// Tells once of a chunk that the database gives and nobody can read.
    pub(super) fn tell_unreadable(
        &mut self,
        class: Class,
        first: EntryId,
        shared: &Shared,
        clock: &Clock,
    ) {
        let Ok(store) = self.store() else { return };
        let mut chunks = store.area(area(class), first.0);
        let Some(Ok((_, bytes))) = chunks.next().filter(|chunk| is_at(chunk, first)) else {
            return;
        };
        if record::decode(&bytes).is_ok() || !self.unreadable.insert((class, first)) {
            return;
        }
        let (end, count) = match (record::header(&bytes), chunks.next()) {
            (Ok(header), _) => (header.last.plus(1), Some(header.count.into())),
            (Err(_), Some(Ok((next, _)))) => (EntryId(next), None),
            (Err(_), _) => (self.end, None),
        };
        tell_gap(Span::new(first, end), count, GapReason::Damaged, shared, clock);
    }

    pub(super) fn check(&self, class: Class, from: EntryId) -> Result<Piece, BufferError> {
        Piece::check(self.store()?.area(area(class), from.0))
    }

    /// Letters as they will be after the next commit.
    pub(super) fn letters(&self, from: u64, max: usize) -> Result<Vec<Letter>, BufferError> {
        Ok(self.letters_with_size(from, max)?.into_iter().map(|(letter, _)| letter).collect())
    }

    /// The same, with what each takes in bytes.
    pub(super) fn letters_with_size(
        &self,
        from: u64,
        max: usize,
    ) -> Result<Vec<(Letter, u64)>, BufferError> {
        let mut found = Vec::new();
        for stored in self.store()?.area(Area::Letters, from) {
            let (number, bytes) = stored?;
            if self.notes.settled.contains(&number) || self.notes.letters.contains_key(&number) {
                continue;
            }
            match with_size(number, &bytes) {
                Some(letter) => found.push(letter),
                None => error!(number, "a dead letter cannot be read"),
            }
            if found.len() >= max {
                break;
            }
        }
        let waiting = self.notes.letters.range(from..).take(max);
        found.extend(waiting.filter_map(|(number, bytes)| with_size(*number, bytes)));
        found.sort_by_key(|(letter, _)| letter.number);
        found.truncate(max);
        Ok(found)
    }

    /// One letter and its size.
    pub(super) fn letter(&self, number: u64) -> Result<Option<(Letter, u64)>, BufferError> {
        if let Some(bytes) = self.notes.letters.get(&number) {
            return Ok(with_size(number, bytes));
        }
        let stored = self.store()?.area(Area::Letters, number).next().transpose()?;
        let stored = stored.filter(|(there, _)| *there == number);
        Ok(stored.and_then(|(_, bytes)| with_size(number, &bytes)))
    }

    /// The first letter that this sink shall deliver once more.
    pub(super) fn requeued(&mut self, sink: &str) -> Result<Option<Letter>, BufferError> {
        while let Some(number) =
            self.requeued.get(sink).and_then(|numbers| numbers.first().copied())
        {
            if !self.notes.settled.contains(&number)
                && let Some((letter, _)) = self.letter(number)?
            {
                return Ok(Some(letter));
            }
            // Dropped for want of room, settled, or damaged.
            self.requeued.entry(sink.to_owned()).or_default().remove(&number);
        }
        Ok(None)
    }
}

fn with_size(number: u64, bytes: &[u8]) -> Option<(Letter, u64)> {
    Some((letters::read(number, bytes)?, bytes.len() as u64))
}
