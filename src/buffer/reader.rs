//! Reading the log piece by piece, as sinks do.
//!
//! The buffer's thread hands out chunks as they are stored, several at once; they are unpacked here, by whoever wants
//! the entries. So one question to the thread is good for many pieces, and a slow reader costs others nothing.

use std::collections::VecDeque;
use std::vec;

use tracing::error;

use super::journal::index;
use super::record;
use super::store::Bytes;
use super::{Buffer, BufferError, Command};
use crate::reading::{Class, Entry, EntryId};

/// Chunks fetched at once: some eight thousand readings, 64 KiB.
pub(super) const FETCH: usize = 16;

/// Room made for entries before it is known how many there are.
const EXPECTED: usize = 2048;

/// What the thread hands out.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Chunks in the order of their first entries.
    pub(super) chunks: VecDeque<Chunk>,
    /// All entries before this place are in them.
    pub(super) until: EntryId,
    /// Whether there were more behind it.
    pub(super) more: bool,
    /// See [`super::State::generation`].
    pub(super) generation: u64,
}

/// A stored chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) class: Class,
    pub(super) first: EntryId,
    pub(super) bytes: Bytes,
}

/// Reads entries in order, each call from where the one before ended, or from anywhere else.
pub struct Reader {
    buffer: Buffer,
    window: Option<Window>,
}

/// What was fetched and not given yet.
struct Window {
    fetched: Fetched,
    /// All entries from here to the end of what was fetched are still there.
    next: EntryId,
    /// By class, in order.
    unpacked: [vec::IntoIter<Entry>; Class::ALL.len()],
}

impl Reader {
    pub(super) fn new(buffer: Buffer) -> Self {
        Self { buffer, window: None }
    }

    /// Up to `max` durable entries from `from` up to, not including, `end`, in order. Fewer only when there are no more.
    ///
    /// # Errors
    /// As for [`Buffer::read`].
    pub async fn read(
        &mut self,
        mut from: EntryId,
        end: EntryId,
        max: usize,
    ) -> Result<Vec<Entry>, BufferError> {
        let mut entries = Vec::with_capacity(max.min(EXPECTED));
        while entries.len() < max && from < end {
            let buffer = &self.buffer;
            let generation = buffer.state.borrow().generation;
            let in_hand = self.window.take().filter(|window| window.has(from, generation));
            let is_new = in_hand.is_none();
            let mut window = match in_hand {
                Some(window) => window,
                None => Window::new(buffer.ask(|reply| Command::Fetch { from, reply }).await?),
            };
            let unreadable = window.give(from, end, max, &mut entries);
            for (class, first) in unreadable {
                // A closed buffer tells nobody anything.
                let _ = self.buffer.send(Command::Unreadable { class, first });
            }
            from = window.next;
            let at_end = is_new && !window.fetched.more && from >= window.fetched.until;
            self.window = Some(window);
            // Of one that was fetched before it is not known what has come in behind it since.
            if at_end {
                break;
            }
        }
        Ok(entries)
    }
}

impl Window {
    fn new(fetched: Fetched) -> Self {
        Self { fetched, next: EntryId(0), unpacked: Default::default() }
    }

    /// Whether the entry at `from`, if there is one, is still in here.
    fn has(&self, from: EntryId, generation: u64) -> bool {
        self.fetched.generation == generation && self.next <= from && from < self.fetched.until
    }

    /// Moves entries out until there are `max`, and goes on behind them. Returns the chunks that cannot be read.
    fn give(
        &mut self,
        from: EntryId,
        end: EntryId,
        max: usize,
        entries: &mut Vec<Entry>,
    ) -> Vec<(Class, EntryId)> {
        let end = end.min(self.fetched.until);
        let mut unreadable = Vec::new();
        for ready in &mut self.unpacked {
            skip_to(from, ready);
        }
        self.next = from;
        while self.next < end {
            let front = |ready: &vec::IntoIter<Entry>| ready.as_slice().first().map(|e| e.id);
            let nearest =
                (0..).zip(&self.unpacked).filter_map(|(n, ready)| Some((front(ready)?, n)));
            let nearest: Option<(EntryId, usize)> = nearest.min();
            let chunks = &mut self.fetched.chunks;
            let next_chunk = chunks.front().map(|chunk| chunk.first);
            if let Some(first) = next_chunk
                && nearest.is_none_or(|(id, _)| first <= id)
                && let Some(chunk) = chunks.pop_front()
            {
                match record::decode(&chunk.bytes) {
                    Ok(decoded) => {
                        let ready = &mut self.unpacked[index(chunk.class)];
                        *ready = decoded.into_iter();
                        skip_to(from, ready);
                    }
                    // The next one may be whole: a bad spot must not hold up all that follows.
                    Err(error) => {
                        error!(chunk = %chunk.first, %error, "a stored chunk cannot be read, its entries are skipped");
                        unreadable.push((chunk.class, chunk.first));
                    }
                }
                continue;
            }
            let Some((_, n)) = nearest else { break };
            // The others' entries, and those of chunks not unpacked yet, come behind.
            let others = (0..).zip(&self.unpacked).filter(|(other, _)| *other != n);
            let others = others.filter_map(|(_, ready)| front(ready)).chain(next_chunk);
            let limit = others.fold(end, EntryId::min);
            let ready = &mut self.unpacked[n];
            let before_limit = ready.as_slice().partition_point(|entry| entry.id < limit);
            let count = before_limit.min(max - entries.len());
            if count == 0 {
                break;
            }
            entries.extend(ready.by_ref().take(count));
            if entries.len() == max {
                self.next = entries.last().map_or(from, |entry| entry.id.plus(1));
                return unreadable;
            }
        }
        self.next = end.max(from);
        unreadable
    }
}

/// Drops what is before `from`.
fn skip_to(from: EntryId, ready: &mut vec::IntoIter<Entry>) {
    let before = ready.as_slice().partition_point(|entry| entry.id < from);
    ready.by_ref().take(before).for_each(drop);
}
