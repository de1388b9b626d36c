//! What a sink gets next: the newest entries first, and behind them what has piled up during an outage. Pure.

#[cfg(test)]
mod model;

use super::super::Order;
use crate::buffer::{Cursor, Span, State};
use crate::reading::EntryId;

/// Entries handed over at once: ten messages of a broker, one request of a webhook, 2 MB in memory at most.
pub(super) const BATCH: usize = 2000;

/// Entries of the backlog handed over at once: the newest ones never wait longer than for so many.
pub(super) const PIECE: usize = 500;

/// Which of the two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// In order, up to what was committed last. All there is while nothing has piled up.
    Newest,
    /// What has piled up, oldest first.
    Backlog,
}

/// Places to be read: up to `max` entries of `span`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) lane: Lane,
    pub(super) span: Span,
    pub(super) max: usize,
}

impl Wanted {
    /// What is done with once the entries that were read have been taken; `last` is the last of `count`.
    pub(super) fn covered(&self, count: usize, last: Option<EntryId>) -> Span {
        let end = match last {
            Some(last) if count >= self.max => last.plus(1),
            // There are no more in the span: what is left of it are holes.
            _ => self.span.end,
        };
        Span::new(self.span.first, end)
    }
}

/// Whether anything was put behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// Too little waits for that.
    No,
    /// The newest go first now.
    Yes,
}

/// The lines of one sink.
#[derive(Debug)]
pub(super) struct Lanes {
    order: Order,
    cursor: Cursor,
}

impl Lanes {
    pub(super) fn new(order: Order, cursor: Cursor) -> Self {
        Self { order, cursor }
    }

    /// First place that the sink has not had.
    pub(super) fn next(&self) -> EntryId {
        self.cursor.next
    }

    /// Places wanted in the backlog.
    pub(super) fn behind(&self) -> u64 {
        match self.order {
            Order::NewestFirst => self.cursor.wanted(self.cursor.next, self.cursor.live()),
            Order::AsKept => 0,
        }
    }

    /// After an outage, or at the start: when more than one batch waits, the newest go first from now on.
    pub(super) fn split_if_behind(&mut self, state: &State) -> Split {
        if self.order == Order::AsKept || self.waiting(state) <= BATCH as u64 {
            return Split::No;
        }
        // A little before the end, so that what is newest now is in the first batch.
        self.split(EntryId(state.committed.0.saturating_sub(PIECE as u64)));
        Split::Yes
    }

    /// What is still being put back is neither taken for missing nor waited for.
    pub(super) fn make_way_for_salvage(&mut self, state: &State) {
        if let Some(place) = state.salvaging_before
            && self.order == Order::NewestFirst
            && self.cursor.live() < place
        {
            self.split(place);
        }
    }

    /// What to read when it is the newest entries' turn.
    pub(super) fn newest(&self, state: &State) -> Option<Wanted> {
        let newest = Span::new(self.cursor.live(), state.committed);
        let span = match self.order {
            Order::NewestFirst => newest,
            Order::AsKept => self.cursor.backlog().unwrap_or(newest),
        };
        let wanted = Wanted { lane: Lane::Newest, span, max: BATCH };
        (span.places() > 0 && holds_all_of(span, state)).then_some(wanted)
    }

    /// What to read when it is the backlog's turn.
    pub(super) fn backlog(&self, state: &State) -> Option<Wanted> {
        if self.order == Order::AsKept {
            return None;
        }
        let span = self.cursor.backlog()?;
        let wanted = Wanted { lane: Lane::Backlog, span, max: PIECE };
        holds_all_of(span, state).then_some(wanted)
    }

    /// Notes that these places are done with.
    pub(super) fn taken(&mut self, span: Span) {
        self.cursor.take(span.first, span.end);
    }

    /// Entries that wait in the line of the newest.
    fn waiting(&self, state: &State) -> u64 {
        let wanted = |first: EntryId, end| {
            self.cursor.wanted(first.max(self.cursor.live()).max(state.oldest), end)
        };
        let unused: u64 =
            state.unused.iter().map(|(first, last)| wanted(*first, last.plus(1))).sum();
        wanted(state.oldest, state.committed).saturating_sub(unused)
    }

    fn split(&mut self, at: EntryId) {
        self.cursor.split(at);
        if self.cursor.live() < at {
            // One outage too many within a drain. The smallest range is delivered twice, so that the newest still go
            // first.
            let ranges = &mut self.cursor.ahead;
            if let Some(smallest) = (0..ranges.len()).min_by_key(|&n| ranges[n].places()) {
                ranges.remove(smallest);
            }
            self.cursor.split(at);
        }
    }
}

/// Whether whatever was ever kept in these places is there, as far as it is not gone for good.
pub(super) fn holds_all_of(span: Span, state: &State) -> bool {
    state.salvaging_before.is_none_or(|place| span.first >= place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(committed: u64) -> State {
        State { committed: EntryId(committed), ..State::default() }
    }

    fn span(first: u64, end: u64) -> Span {
        Span::new(EntryId(first), EntryId(end))
    }

    fn spans(lanes: &Lanes, state: &State) -> [Option<Span>; 2] {
        [lanes.newest(state), lanes.backlog(state)].map(|wanted| wanted.map(|wanted| wanted.span))
    }

    #[test]
    fn after_an_outage_the_newest_go_first_and_a_second_one_puts_more_behind() {
        let mut lanes = Lanes::new(Order::NewestFirst, Cursor::at(EntryId(100)));
        assert_eq!(lanes.split_if_behind(&state(2100)), Split::No, "one batch");
        assert_eq!(spans(&lanes, &state(2100)), [Some(span(100, 2100)), None]);
        assert_eq!(lanes.split_if_behind(&state(9000)), Split::Yes);
        assert_eq!(spans(&lanes, &state(9000)), [Some(span(8500, 9000)), Some(span(100, 8500))]);
        lanes.taken(span(8500, 9000));
        lanes.taken(span(100, 600));
        assert_eq!((lanes.behind(), lanes.next()), (7900, EntryId(600)));
        assert_eq!(lanes.split_if_behind(&state(20_000)), Split::Yes);
        assert_eq!(
            spans(&lanes, &state(20_000)),
            [Some(span(19_500, 20_000)), Some(span(600, 8500))]
        );
        lanes.taken(span(600, 8500));
        assert_eq!(lanes.backlog(&state(20_000)).unwrap().span, span(9000, 19_500));
    }

    #[test]
    fn holes_and_what_is_gone_are_no_backlog() {
        let mut lanes = Lanes::new(Order::NewestFirst, Cursor::at(EntryId(100)));
        let mut state = state(2_000_000);
        state.unused.push((EntryId(1100), EntryId(1_999_000)));
        assert_eq!(lanes.split_if_behind(&state), Split::No);
        state.unused.clear();
        state.oldest = EntryId(1_998_000);
        assert_eq!(lanes.split_if_behind(&state), Split::No);
        state.oldest = EntryId(1_997_999);
        assert_eq!(lanes.split_if_behind(&state), Split::Yes);
    }

    #[test]
    fn while_entries_are_put_back_only_what_is_behind_them_is_delivered() {
        let mut lanes = Lanes::new(Order::NewestFirst, Cursor::at(EntryId(100)));
        let mut state = state(2000);
        state.salvaging_before = Some(EntryId(700));
        assert_eq!(spans(&lanes, &state), [None, None]);
        lanes.make_way_for_salvage(&state);
        assert_eq!(spans(&lanes, &state), [Some(span(700, 2000)), None]);
        lanes.taken(span(700, 2000));
        assert_eq!(spans(&lanes, &state), [None, None]);
        state.salvaging_before = None;
        assert_eq!(spans(&lanes, &state), [None, Some(span(100, 700))]);
    }

    #[test]
    fn a_sink_that_wants_order_has_one_line_and_waits_for_what_is_put_back() {
        let mut cursor = Cursor::at(EntryId(100));
        cursor.take(EntryId(3000), EntryId(4000));
        let mut lanes = Lanes::new(Order::AsKept, cursor);
        let mut state = state(9000);
        assert_eq!(lanes.split_if_behind(&state), Split::No);
        assert_eq!(spans(&lanes, &state), [Some(span(100, 3000)), None]);
        state.salvaging_before = Some(EntryId(101));
        lanes.make_way_for_salvage(&state);
        assert_eq!((spans(&lanes, &state), lanes.behind()), ([None, None], 0));
        state.salvaging_before = None;
        lanes.taken(span(100, 3000));
        assert_eq!(spans(&lanes, &state), [Some(span(4000, 9000)), None]);
    }

    #[test]
    fn more_outages_within_a_drain_than_ranges_are_remembered_still_let_the_newest_first() {
        let mut lanes = Lanes::new(Order::NewestFirst, Cursor::default());
        for outage in 1..20 {
            let state = state(outage * 10_000);
            assert_eq!(lanes.split_if_behind(&state), Split::Yes);
            let newest = lanes.newest(&state).unwrap().span;
            assert_eq!(newest.end.0 - newest.first.0, PIECE as u64, "outage {outage}");
            lanes.taken(newest);
        }
    }
}
