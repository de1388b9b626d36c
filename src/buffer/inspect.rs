//! Looking at what is kept, and moving cursors by hand: what `pulsegate buffer` does.

use std::path::Path;

use super::ladder;
use super::letters::Letter;
use super::record::{self, ChunkError, Header};
use super::{Buffer, BufferError, Command, Cursor};
use crate::reading::{At, Class, EntryId};

/// A stored chunk that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// Place of its first entry.
    pub first: EntryId,
    /// What is wrong with it.
    pub error: ChunkError,
}

/// What a check of every stored chunk has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Chunks read.
    pub chunks: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Entries in them.
    pub entries: u64,
    /// Those that cannot be read.
    pub bad: Vec<Bad>,
}

/// Whether there is a buffer in this data folder.
pub fn is_kept_in(data_dir: &Path) -> bool {
    ladder::is_there(data_dir)
}

/// Whether there is anything in this data folder that a buffer could be made good from.
pub fn is_there_something_of(data_dir: &Path) -> bool {
    is_kept_in(data_dir) || set_aside_in(data_dir) > 0
}

/// How many damaged databases were set aside in this data folder and are not yet put back.
pub fn set_aside_in(data_dir: &Path) -> usize {
    ladder::quarantined(data_dir).len()
}

/// Some chunks of one class, checked; where the next ones begin.
pub(super) struct Piece {
    pub(super) headers: Vec<Header>,
    pub(super) bytes: u64,
    pub(super) bad: Vec<Bad>,
    pub(super) next: Option<EntryId>,
}

/// Entries read at once when a place is looked for.
const READ_AT_ONCE: usize = 2000;

/// Chunks checked at once: nobody else is served meanwhile.
const PIECE: usize = 512;

impl Piece {
    pub(super) fn check(
        chunks: impl Iterator<Item = Result<(u64, impl AsRef<[u8]>), BufferError>>,
    ) -> Result<Self, BufferError> {
        let mut piece = Self { headers: Vec::new(), bytes: 0, bad: Vec::new(), next: None };
        for chunk in chunks {
            let (first, bytes) = chunk?;
            if piece.headers.len() + piece.bad.len() == PIECE {
                piece.next = Some(EntryId(first));
                break;
            }
            let bytes = bytes.as_ref();
            piece.bytes += bytes.len() as u64;
            match record::header(bytes).and_then(|header| Ok((header, record::decode(bytes)?))) {
                Ok((header, _)) => piece.headers.push(header),
                Err(error) => piece.bad.push(Bad { first: EntryId(first), error }),
            }
        }
        Ok(piece)
    }
}

impl Buffer {
    /// Reads every stored chunk.
    ///
    /// # Errors
    /// When the database itself cannot be read.
    pub async fn verify(&self) -> Result<Verified, BufferError> {
        let mut verified = Verified::default();
        self.each_piece(|piece| {
            verified.chunks += (piece.headers.len() + piece.bad.len()) as u64;
            verified.bytes += piece.bytes;
            verified.entries +=
                piece.headers.iter().map(|header| u64::from(header.count)).sum::<u64>();
            verified.bad.extend(piece.bad);
        })
        .await?;
        Ok(verified)
    }

    /// The first place whose chunk may hold something from `unix_us` (microseconds) on, by corrected time.
    ///
    /// # Errors
    /// As for [`Buffer::verify`].
    pub async fn place_at(&self, unix_us: i64) -> Result<EntryId, BufferError> {
        let timeline = self.timeline().borrow().clone();
        let reached = |at: &At| timeline.place(at).unix_us >= unix_us;
        // The chunk before the first that begins late enough may hold the place.
        let mut start = EntryId(u64::MAX);
        for class in Class::ALL {
            let mut before = None;
            let mut from = Some(EntryId(0));
            while let Some(piece_start) = from {
                let piece =
                    self.ask(|reply| Command::Check { class, from: piece_start, reply }).await?;
                let late = piece.headers.iter().position(|header| reached(&header.at));
                let earlier = &piece.headers[..late.unwrap_or(piece.headers.len())];
                before = earlier.last().map(|header| header.first).or(before);
                let first_late = late.map(|late| piece.headers[late].first);
                before = before.or(first_late);
                from = if late.is_some() { None } else { piece.next };
            }
            start = before.map_or(start, |before| start.min(before));
        }
        loop {
            let entries = self.read(start, EntryId(u64::MAX), READ_AT_ONCE).await?;
            let found = entries.iter().find(|entry| reached(entry.fact.at()));
            match (found, entries.last()) {
                (Some(found), _) => return Ok(found.id),
                (None, Some(last)) => start = last.id.plus(1),
                (None, None) => return Ok(self.state().borrow().committed),
            }
        }
    }

    /// Wants everything from `to` on delivered to this sink once more. Returns where it stood.
    ///
    /// # Errors
    /// When there is no such sink, or the buffer is closed.
    pub async fn rewind(&self, sink: &str, to: EntryId) -> Result<Cursor, BufferError> {
        self.ask(|reply| Command::Rewind { sink: sink.to_owned(), to, reply }).await
    }

    /// Dead letters, from a number on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn letters(&self, from: u64, max: usize) -> Result<Vec<Letter>, BufferError> {
        self.ask(|reply| Command::Letters { from, max, reply }).await
    }

    /// Has the dead letters of a sink, or of all, delivered once more. Returns how many entries that are.
    ///
    /// # Errors
    /// When the buffer is closed.
    pub async fn requeue(&self, sink: Option<&str>) -> Result<u64, BufferError> {
        self.ask(|reply| Command::Requeue { sink: sink.map(str::to_owned), reply }).await
    }

    /// Copies everything into a new database: gives space back that the old one's files hold.
    ///
    /// # Errors
    /// When there is no room for a copy. The old one then stays.
    pub async fn rotate(&self) -> Result<(), BufferError> {
        self.ask(|reply| Command::Rotate { reply }).await
    }

    async fn each_piece(&self, mut each: impl FnMut(Piece)) -> Result<(), BufferError> {
        for class in Class::ALL {
            let mut from = Some(EntryId(0));
            while let Some(start) = from {
                let piece = self.ask(|reply| Command::Check { class, from: start, reply }).await?;
                from = piece.next;
                each(piece);
            }
        }
        Ok(())
    }
}
