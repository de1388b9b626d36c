//! Whether a database still has everything that it should have.
//!
//! sled opens damaged files, too: what it cannot read is then simply not there, in the middle of the log as well as at
//! its end. But ids have no holes that are not known: an id holds an entry, or it was never used, or a gap event tells
//! what became of it.

use super::cursor::Span;
use super::cursors::Cursors;
use super::record;
use crate::reading::{Class, Entry, EntryId, EventKind, Fact, GapReason};

/// Which places are accounted for.
#[derive(Debug, Default)]
pub(super) struct Audit {
    covered: Vec<Span>,
}

impl Audit {
    /// Accounts for the entries of a stored chunk; one that cannot be read accounts for nothing.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        let Ok(header) = record::header(bytes) else { return };
        let span = Span::new(header.first, header.last.plus(1));
        let is_one_run = span.places() == u64::from(header.count);
        if is_one_run && header.class == Class::Readings && header.one_class {
            self.span(span);
        } else {
            self.entries(&record::decode(bytes).unwrap_or_default());
        }
    }

    /// Accounts for entries, and for the gaps that they tell of.
    pub(super) fn entries(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.span(Span::new(entry.id, entry.id.plus(1)));
        }
        for entry in entries {
            if let Fact::Event(event) = &entry.fact
                && let EventKind::Gap { first, last, count, reason } = &event.kind
            {
                let span = Span::new(*first, last.plus(1));
                // Erased entries are places among others.
                if *reason != GapReason::Erased || *count == Some(span.places()) {
                    self.span(span);
                }
            }
        }
    }

    /// Accounts for places that were never used, or are no concern.
    pub(super) fn span(&mut self, span: Span) {
        match self.covered.last_mut() {
            Some(last) if last.end == span.first => last.end = span.end,
            _ => self.covered.push(span),
        }
    }

    /// The places in `wanted` that are not accounted for, in order.
    pub(super) fn missing(mut self, wanted: Span) -> Vec<Span> {
        self.covered.sort_unstable_by_key(|span| span.first);
        let mut missing = Vec::new();
        let mut next = wanted.first;
        for span in self.covered.into_iter().filter(|span| span.first < wanted.end) {
            if span.first > next {
                missing.push(Span::new(next, span.first));
            }
            next = next.max(span.end);
        }
        if next < wanted.end {
            missing.push(Span::new(next, wanted.end));
        }
        missing
    }
}

/// First place that matters to somebody.
pub(super) fn lowest(cursors: &Cursors) -> EntryId {
    cursors.values().map(|cursor| cursor.next).min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, end: u64) -> Span {
        Span::new(EntryId(first), EntryId(end))
    }

    #[test]
    fn what_is_missing_is_told_in_order() {
        let audit = || {
            let mut audit = Audit::default();
            for part in [span(20, 21), span(10, 12), span(12, 13), span(11, 12), span(15, 17)] {
                audit.span(part);
            }
            assert_eq!(audit.covered.len(), 4, "neighbours are joined");
            audit
        };
        let holes = audit().missing(span(8, 30));
        assert_eq!(holes, [span(8, 10), span(13, 15), span(17, 20), span(21, 30)]);
        assert_eq!(audit().missing(span(10, 21)), [span(13, 15), span(17, 20)]);
        assert_eq!(audit().missing(span(11, 16)), [span(13, 15)]);
        assert_eq!(Audit::default().missing(span(5, 5)), []);
    }
}
