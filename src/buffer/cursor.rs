//! How far a sink has come: everything before one place, and ranges beyond it.
//!
//! After an outage a sink takes the newest entries first and what has piled up behind them: its cursor then has
//! ranges ahead. They close up as the backlog drains.

use serde::{Deserialize, Serialize};

use crate::reading::EntryId;

/// Ranges ahead that are remembered; beyond that the smallest is forgotten, which costs repeats.
const AHEAD_MAX: usize = 8;

/// Places from `first` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First place.
    pub first: EntryId,
    /// Place behind the last.
    pub end: EntryId,
}

impl Span {
    /// A span; empty when `end` is not behind `first`.
    pub fn new(first: EntryId, end: EntryId) -> Self {
        Self { first, end: end.max(first) }
    }

    /// Number of places.
    pub fn places(&self) -> u64 {
        self.end.0 - self.first.0
    }

    fn within(&self, first: EntryId, end: EntryId) -> Self {
        Self::new(self.first.max(first), self.end.min(end))
    }
}

/// What a sink has taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Everything before this is taken.
    pub next: EntryId,
    /// Taken as well: ranges behind `next`, in order, apart from each other. An empty one at the end marks where the
    /// newest entries begin, before the first of them is taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<Span>,
}

impl Cursor {
    /// Everything before `next`, nothing beyond.
    pub fn at(next: EntryId) -> Self {
        Self { next, ahead: Vec::new() }
    }

    /// Where the newest entries that are wanted begin: behind everything taken.
    pub fn live(&self) -> EntryId {
        self.ahead.last().map_or(self.next, |span| span.end)
    }

    /// The places at the back that are still wanted, when newer ones go first; `None` when there is one line only.
    pub fn backlog(&self) -> Option<Span> {
        self.ahead.first().map(|span| Span { first: self.next, end: span.first })
    }

    /// Lets the newest entries go first from `at` on; what is before becomes backlog.
    pub fn split(&mut self, at: EntryId) {
        if at > self.live() && self.ahead.len() < AHEAD_MAX {
            self.ahead.retain(|span| span.places() > 0);
            self.ahead.push(Span { first: at, end: at });
        }
    }

    /// Notes that the places from `first` up to, not including, `end` are taken.
    pub fn take(&mut self, first: EntryId, end: EntryId) {
        let mut span = Span::new(first, end);
        if span.places() == 0 {
            return;
        }
        self.ahead.retain(|other| {
            let apart = other.end < span.first || span.end < other.first;
            if !apart {
                span = Span { first: span.first.min(other.first), end: span.end.max(other.end) };
            }
            apart
        });
        if span.first <= self.next {
            self.next = self.next.max(span.end);
        } else {
            let place = self.ahead.partition_point(|other| other.first < span.first);
            self.ahead.insert(place, span);
        }
        while self.ahead.first().is_some_and(|span| span.first <= self.next) {
            self.next = self.next.max(self.ahead.remove(0).end);
        }
        if self.ahead.len() > AHEAD_MAX {
            let smallest = (0..self.ahead.len()).min_by_key(|&n| self.ahead[n].places());
            self.ahead.remove(smallest.unwrap_or(0));
        }
    }

    /// Wants everything from `place` on once more.
    pub fn rewind(&mut self, place: EntryId) {
        if place < self.next {
            *self = Self::at(place);
        } else {
            self.ahead.retain_mut(|span| {
                span.end = span.end.min(place);
                span.first < span.end
            });
        }
    }

    /// Whether the sink has not had this place yet.
    pub fn wants(&self, place: EntryId) -> bool {
        place >= self.next && !self.ahead.iter().any(|span| span.first <= place && place < span.end)
    }

    /// Number of places that are wanted, from `first` up to, not including, `end`.
    pub fn wanted(&self, first: EntryId, end: EntryId) -> u64 {
        let taken: u64 = self.ahead.iter().map(|span| span.within(first, end).places()).sum();
        Span::new(first.max(self.next), end).places().saturating_sub(taken)
    }

    /// As stored: numbers of eight bytes, the next place and then the ranges.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let ahead = self.ahead.iter().flat_map(|span| [span.first, span.end]);
        std::iter::once(self.next).chain(ahead).flat_map(|id| id.0.to_be_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else { return None };
        let mut ids = numbers.iter().map(|bytes| EntryId(u64::from_be_bytes(*bytes)));
        let mut cursor = Self::at(ids.next()?);
        while let Some(first) = ids.next() {
            cursor.ahead.push(Span::new(first, ids.next()?));
        }
        Some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(first: u64, end: u64) -> Span {
        Span { first: EntryId(first), end: EntryId(end) }
    }

    #[test]
    fn newest_first_leaves_a_backlog_that_closes_up() {
        let mut cursor = Cursor::at(EntryId(100));
        cursor.split(EntryId(500));
        assert_eq!(cursor.backlog(), Some(span(100, 500)));
        assert_eq!(cursor.live(), EntryId(500));
        cursor.take(EntryId(500), EntryId(510));
        cursor.take(EntryId(100), EntryId(300));
        assert_eq!(cursor.backlog(), Some(span(300, 500)));
        assert_eq!(cursor.wanted(EntryId(0), EntryId(600)), 200 + 90);
        cursor.take(EntryId(300), EntryId(500));
        assert_eq!(cursor, Cursor::at(EntryId(510)));
    }

    #[test]
    fn rewinding_wants_everything_from_there_on_and_nothing_before() {
        let mut cursor = Cursor { next: EntryId(100), ahead: vec![span(200, 300), span(400, 500)] };
        cursor.rewind(EntryId(250));
        assert_eq!(cursor, Cursor { next: EntryId(100), ahead: vec![span(200, 250)] });
        cursor.rewind(EntryId(40));
        assert_eq!(cursor, Cursor::at(EntryId(40)));
        cursor.rewind(EntryId(70));
        assert_eq!(cursor, Cursor::at(EntryId(40)), "never forward");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_cursor_knows_what_was_taken_and_never_claims_more(
            spans in proptest::collection::vec((0..200u64, 0..20u64), 0..40),
        ) {
            let mut cursor = Cursor::default();
            let mut taken = [false; 256];
            for (first, length) in spans {
                cursor.take(EntryId(first), EntryId(first + length));
                taken[first as usize..(first + length) as usize].fill(true);
                for (place, taken) in taken.iter().enumerate() {
                    prop_assert!(cursor.wants(EntryId(place as u64)) || *taken);
                }
                let wanted = (0..256).filter(|&place| cursor.wants(EntryId(place))).count();
                prop_assert_eq!(cursor.wanted(EntryId(0), EntryId(256)), wanted as u64);
                prop_assert!(cursor.ahead.windows(2).all(|pair| pair[0].end < pair[1].first));
                prop_assert_eq!(Cursor::from_bytes(&cursor.to_bytes()), Some(cursor.clone()));
            }
        }
    }
}
