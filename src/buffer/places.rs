//! Sets of places in the log, small enough to be kept: those whose entries were erased.
//!
//! Somebody's places among those of fifty others are many and apart. They are kept in pages of runs, two bytes a run for
//! the most part. Stored, a page is varints: places in the run, places between it and the next, and so on, ending with a
//! run; where the first begins is its key.

use std::collections::BTreeMap;

use super::cursor::Span;
use super::varint::{Reader, put_unsigned};
use crate::reading::EntryId;

/// A page is closed at this size, in bytes: it is a value of the database.
const PAGE: usize = 1024;

/// Places, in any order and as many as there are entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// By the first place. Pages that were not filled in one go may reach over each other.
    pages: BTreeMap<EntryId, Page>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    /// Place behind the last.
    end: EntryId,
    /// All runs but the last, each with what is between it and the next.
    closed: Vec<u8>,
    /// Places in the last run.
    run: u64,
}

impl Places {
    /// Adds a place. In order they take the least room.
    pub fn add(&mut self, place: EntryId) {
        let behind = self.pages.last_key_value().is_none_or(|(_, page)| page.end <= place);
        if !behind && self.holds(place) {
            return;
        }
        if behind && let Some(mut last) = self.pages.last_entry() {
            let page = last.get_mut();
            let between = place.0 - page.end.0;
            if between == 0 {
                page.run += 1;
                page.end = place.plus(1);
                return;
            }
            if page.closed.len() < PAGE {
                put_unsigned(&mut page.closed, page.run);
                put_unsigned(&mut page.closed, between);
                page.run = 1;
                page.end = place.plus(1);
                return;
            }
        }
        self.pages.insert(place, Page { end: place.plus(1), closed: Vec::new(), run: 1 });
    }

    /// Adds places that are none of them yet.
    pub(super) fn add_span(&mut self, span: Span) {
        let page = Page { end: span.end, closed: Vec::new(), run: span.places() };
        if page.run > 0 {
            self.pages.insert(span.first, page);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Whether the place is one of them.
    pub fn holds(&self, place: EntryId) -> bool {
        !self.within(Span::new(place, place.plus(1))).is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.pages.iter().flat_map(|(first, page)| page.runs(*first)).map(|run| run.places()).sum()
    }

    /// Place behind the last.
    pub(super) fn end(&self) -> Option<EntryId> {
        self.pages.values().map(|page| page.end).max()
    }

    /// The runs that touch a span, in order.
    pub(super) fn within(&self, span: Span) -> Vec<Span> {
        let touching = self.pages.range(..span.end).filter(|(_, page)| page.end > span.first);
        let runs = touching.flat_map(|(first, page)| page.runs(*first));
        let mut runs: Vec<Span> =
            runs.filter(|run| run.first < span.end && span.first < run.end).collect();
        runs.sort_unstable_by_key(|run| run.first);
        runs
    }

    /// As stored: where each page begins, and its bytes.
    pub(super) fn pages(&self) -> impl Iterator<Item = (EntryId, Vec<u8>)> {
        self.pages.iter().map(|(first, page)| {
            let mut bytes = page.closed.clone();
            put_unsigned(&mut bytes, page.run);
            (*first, bytes)
        })
    }

    /// Adds a page as it was stored; `None` when it makes no sense.
    pub(super) fn add_page(&mut self, first: EntryId, bytes: &[u8]) -> Option<()> {
        let mut rest = Reader::new(bytes);
        let mut place = first.0;
        loop {
            let before = bytes.len() - rest.left();
            let run = rest.unsigned().filter(|run| *run > 0)?;
            place = place.checked_add(run)?;
            if rest.left() == 0 {
                let closed = bytes[..before].to_vec();
                self.pages.insert(first, Page { end: EntryId(place), closed, run });
                return Some(());
            }
            place = place.checked_add(rest.unsigned()?)?;
        }
    }

    /// Adds all of another set that has none in common with this one.
    pub(super) fn add_all(&mut self, other: Self) {
        self.pages.extend(other.pages);
    }

    /// Forgets the pages that end before a place. Returns where each began.
    pub(super) fn forget_before(&mut self, place: EntryId) -> Vec<EntryId> {
        let gone: Vec<EntryId> = self
            .pages
            .iter()
            .filter(|(_, page)| page.end <= place)
            .map(|(first, _)| *first)
            .collect();
        gone.iter().for_each(|first| drop(self.pages.remove(first)));
        gone
    }
}

impl Page {
    fn runs(&self, first: EntryId) -> impl Iterator<Item = Span> + use<'_> {
        let mut rest = Reader::new(&self.closed);
        let mut place = first.0;
        let closed = std::iter::from_fn(move || {
            let (run, between) = (rest.unsigned()?, rest.unsigned()?);
            let span = Span::new(EntryId(place), EntryId(place + run));
            place += run + between;
            Some(span)
        });
        let last = Span::new(EntryId(self.end.0 - self.run), self.end);
        closed.chain(std::iter::once(last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn listed(places: &Places) -> Vec<u64> {
        let all = places.within(Span::new(EntryId(0), EntryId(u64::MAX)));
        all.into_iter().flat_map(|run| run.first.0..run.end.0).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_was_added_is_there_once_and_comes_back_from_its_pages(
            steps in proptest::collection::vec(1..400u64, 0..2000),
            late in proptest::collection::vec(0..400_000u64, 0..20),
            gone in 0..400_000u64,
        ) {
            let mut places = Places::default();
            let mut expected = BTreeSet::new();
            let mut place = 0;
            // Every third is a neighbour of the one before.
            for (n, step) in steps.into_iter().enumerate() {
                place += if n % 3 == 0 { 1 } else { step };
                places.add(EntryId(place));
                expected.insert(place);
            }
            for place in late {
                places.add(EntryId(place));
                expected.insert(place);
            }
            prop_assert_eq!(listed(&places), expected.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(places.count(), expected.len() as u64);
            prop_assert_eq!(places.end().map_or(0, |end| end.0), expected.last().map_or(0, |last| last + 1));
            for place in expected.iter().take(20) {
                prop_assert!(places.holds(EntryId(*place)));
            }
            let mut again = Places::default();
            for (first, bytes) in places.pages() {
                prop_assert!(bytes.len() < PAGE + 64);
                again.add_page(first, &bytes).unwrap();
            }
            prop_assert_eq!(&again, &places);
            places.forget_before(EntryId(gone));
            let left = listed(&places);
            prop_assert!(expected.range(gone..).all(|place| left.binary_search(place).is_ok()));
        }

        #[test]
        fn a_page_of_any_bytes_is_places_or_nothing(
            first: u64,
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut places = Places::default();
            if places.add_page(EntryId(first), &bytes).is_some() {
                prop_assert!(places.holds(EntryId(first)) && places.count() > 0);
            }
        }
    }
}
