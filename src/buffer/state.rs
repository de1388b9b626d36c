//! What is true of the buffer: what sinks, pages and operators are told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::cursor::{Cursor, Span};
use crate::reading::EntryId;

/// What is true of the buffer after a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// First place that is not durable yet.
    pub committed: EntryId,
    /// Oldest reading still kept; equal to `committed` when there is none. Events may be older.
    pub oldest: EntryId,
    /// Entries kept.
    pub entries: u64,
    /// Size of the stored chunks in bytes.
    pub bytes: u64,
    /// What that size may become now: as configured, or less when the disk has no room.
    pub limit_bytes: u64,
    /// Size of the database files in bytes.
    pub bytes_on_disk: u64,
    /// How far each sink has come.
    pub cursors: BTreeMap<String, Cursor>,
    /// Counts up when an operator has moved this sink's cursor.
    pub rewound: BTreeMap<String, u64>,
    /// Places that were never used, first and last: what a crash skipped.
    pub unused: Vec<(EntryId, EntryId)>,
    /// Places whose entries the disk refused for so long that memory could not hold them; the latest such spans.
    pub not_stored: Vec<Span>,
    /// Entries dropped before this sink had them, since the log began.
    pub lost: BTreeMap<String, u64>,
    /// Entries that the far side of this sink refused for good.
    pub letters: BTreeMap<String, Letters>,
    /// Counts up when entries have come back, or the database is another one: what was read ahead may have holes.
    pub generation: u64,
    /// Counts up when entries were erased: of what was read before, some must not be handed on
    /// ([`super::Buffer::not_erased`]).
    pub erasures: u64,
    /// Entries before this place are being put back from a damaged file: wait before claiming to have had them.
    pub salvaging_before: Option<EntryId>,
    /// Set while the disk refuses.
    pub trouble: Option<Trouble>,
}

/// Refused entries of one sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letters {
    /// Kept for an operator to look at.
    pub kept: u64,
    /// To be delivered once more.
    pub requeued: u64,
    /// Dropped for want of room.
    pub dropped: u64,
}

/// The disk refuses; what comes in is held in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it said.
    pub reason: String,
    /// Since when: the age of the oldest entry that is not safe.
    pub since: Instant,
}

impl State {
    /// Places that the sink has not had, as far as they hold something.
    pub fn waiting(&self, sink: &str) -> u64 {
        let from_oldest = Cursor::at(self.oldest);
        let cursor = self.cursors.get(sink).unwrap_or(&from_oldest);
        let unused = self
            .unused
            .iter()
            .map(|(first, last)| cursor.wanted((*first).max(self.oldest), last.plus(1)));
        cursor.wanted(self.oldest, self.committed).saturating_sub(unused.sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_what_is_kept_behind_the_cursor_and_no_hole() {
        let mut state = State { committed: EntryId(1100), oldest: EntryId(40), ..State::default() };
        state.unused.push((EntryId(100), EntryId(1099)));
        assert_eq!(state.waiting("club"), 60);
        state.cursors.insert("club".into(), Cursor::at(EntryId(90)));
        assert_eq!(state.waiting("club"), 10);
        state.cursors.insert("club".into(), Cursor::at(EntryId(3)));
        assert_eq!(state.waiting("club"), 60);
        state.cursors.insert("club".into(), Cursor::at(EntryId(1100)));
        assert_eq!(state.waiting("club"), 0);
    }
}
