//! Reading for sinks and operators.

use std::collections::VecDeque;
use std::iter::Fuse;

use tracing::error;

use super::{Writer, area};
use crate::buffer::inspect::Piece;
use crate::buffer::letters::{self, Letter};
use crate::buffer::store::{Area, Store};
use crate::buffer::{BufferError, Purpose, record};
use crate::reading::{Class, Entry, EntryId};

/// Parts of chunks that are kept: a few readers that each go on where they stopped.
const LEFT_OVER_MAX: usize = 4;

/// What the last reads decoded and did not take, the newest last.
pub(super) type LeftOver = VecDeque<Rest>;

/// The rest of a chunk. It is known by the chunk's bytes: one that has grown since then is another one.
pub(super) struct Rest {
    chunk: Box<[u8]>,
    /// Every entry of the chunk from here on is there.
    from: EntryId,
    entries: VecDeque<Entry>,
}

/// The entries of one class, decoded chunk by chunk as they are needed.
struct Lane<I, B> {
    /// Fused: sled would look once more at each question behind its end.
    chunks: Fuse<I>,
    /// The chunk that `ready` is of.
    chunk: Option<B>,
    ready: VecDeque<Entry>,
}

impl<I, B> Lane<I, B>
where
    I: Iterator<Item = Result<(u64, B), BufferError>>,
    B: AsRef<[u8]>,
{
    fn new(chunks: I) -> Self {
        Self { chunks: chunks.fuse(), chunk: None, ready: VecDeque::new() }
    }

    /// The id of the next entry from `from` on.
    fn peek(
        &mut self,
        from: EntryId,
        left_over: &mut LeftOver,
    ) -> Result<Option<EntryId>, BufferError> {
        loop {
            while self.ready.front().is_some_and(|entry| entry.id < from) {
                self.ready.pop_front();
            }
            if let Some(entry) = self.ready.front() {
                return Ok(Some(entry.id));
            }
            let Some((first, bytes)) = self.chunks.next().transpose()? else { return Ok(None) };
            let known = |rest: &Rest| rest.from <= from && *rest.chunk == *bytes.as_ref();
            if let Some(rest) = left_over.iter().rposition(known).and_then(|n| left_over.remove(n))
            {
                self.ready = rest.entries;
                self.chunk = Some(bytes);
                continue;
            }
            match record::decode(bytes.as_ref()) {
                Ok(entries) => {
                    self.ready = entries.into();
                    self.chunk = Some(bytes);
                }
                // The next chunk may be whole: one bad spot must not hold up all that follows.
                Err(error) => {
                    error!(chunk = first, %error, "a stored chunk cannot be read, its entries are skipped");
                }
            }
        }
    }

    /// Keeps what is left of the last chunk for whoever reads on from `from`.
    fn keep(self, from: EntryId, left_over: &mut LeftOver) {
        let Some(chunk) = self.chunk.filter(|_| !self.ready.is_empty()) else { return };
        if left_over.len() == LEFT_OVER_MAX {
            left_over.pop_front();
        }
        left_over.push_back(Rest { chunk: chunk.as_ref().into(), from, entries: self.ready });
    }
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

    pub(super) fn read(
        &mut self,
        from: EntryId,
        end: EntryId,
        max: usize,
    ) -> Result<Vec<Entry>, BufferError> {
        let store = self.store()?;
        let mut lanes = Vec::with_capacity(Class::ALL.len());
        for class in Class::ALL {
            lanes.push(Lane::new(store.chunks(class, from)?));
        }
        let mut entries = Vec::new();
        while entries.len() < max {
            let mut nearest: Option<(EntryId, usize)> = None;
            for (n, lane) in lanes.iter_mut().enumerate() {
                let next = lane.peek(from, &mut self.left_over)?.map(|id| (id, n));
                nearest = [nearest, next].into_iter().flatten().min();
            }
            let Some((_, n)) = nearest.filter(|(id, _)| *id < end) else { break };
            entries.extend(lanes[n].ready.pop_front());
        }
        let next = entries.last().map_or(from, |entry| entry.id.plus(1));
        lanes.into_iter().for_each(|lane| lane.keep(next, &mut self.left_over));
        Ok(entries)
    }

    pub(super) fn check(&self, class: Class, from: EntryId) -> Result<Piece, BufferError> {
        Piece::check(self.store()?.area(area(class), from.0))
    }

    /// Letters as they will be after the next commit.
    pub(super) fn letters(&self, from: u64, max: usize) -> Result<Vec<Letter>, BufferError> {
        let mut found = Vec::new();
        for stored in self.store()?.area(Area::Letters, from) {
            let (number, bytes) = stored?;
            if self.notes.settled.contains(&number) || self.notes.letters.contains_key(&number) {
                continue;
            }
            match letters::read(number, &bytes) {
                Some(letter) => found.push(letter),
                None => error!(number, "a dead letter cannot be read"),
            }
            if found.len() >= max {
                break;
            }
        }
        let waiting = self.notes.letters.range(from..);
        found.extend(waiting.filter_map(|(number, bytes)| letters::read(*number, bytes)));
        found.sort_by_key(|letter| letter.number);
        found.truncate(max);
        Ok(found)
    }

    /// One letter and its size.
    pub(super) fn letter(&self, number: u64) -> Result<Option<(Letter, u64)>, BufferError> {
        let with_size = |bytes: &[u8]| Some((letters::read(number, bytes)?, bytes.len() as u64));
        if let Some(bytes) = self.notes.letters.get(&number) {
            return Ok(with_size(bytes));
        }
        let stored = self.store()?.area(Area::Letters, number).next().transpose()?;
        Ok(stored.filter(|(there, _)| *there == number).and_then(|(_, bytes)| with_size(&bytes)))
    }

    pub(super) fn oldest_letter(&self) -> Result<Option<(Letter, u64)>, BufferError> {
        match self.letters(0, 1)?.first() {
            Some(letter) => self.letter(letter.number),
            None => Ok(None),
        }
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
