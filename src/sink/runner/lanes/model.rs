//! The lines against a model of the log: outages, rewinds, crashes and salvaging in any order.

#[cfg(test)]
use proptest::prelude::*;

use super::{Lane, Lanes, PIECE, Split, Wanted};
use crate::buffer::{Cursor, Span, State};
use crate::reading::EntryId;
use crate::sink::Order;

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Unused(u64),
    /// Everything since the last delivery failed, and now they succeed again.
    Recover,
    Newest,
    Backlog,
    Rewind(u64),
    /// The daemon is killed: only what the buffer was told is left.
    Restart,
    /// The entries before are missing for a while.
    Salvage,
    PutBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..6000u64).prop_map(Step::Append),
        1 => (1..9000u64).prop_map(Step::Unused),
        3 => Just(Step::Recover),
        6 => Just(Step::Newest),
        6 => Just(Step::Backlog),
        1 => (0..60_000u64).prop_map(Step::Rewind),
        1 => Just(Step::Restart),
        1 => Just(Step::Salvage),
        1 => Just(Step::PutBack),
    ]
}

struct Model {
    order: Order,
    lanes: Lanes,
    /// As the buffer has it.
    kept: Cursor,
    state: State,
    /// By place: whether there is an entry, and whether it was delivered since it was last wanted.
    entries: Vec<(Present, bool)>,
    last: [Option<u64>; 2],
}

#[derive(Clone, Copy, PartialEq)]
enum Present {
    Never,
    Now,
    Later,
}

impl Model {
    fn new(order: Order) -> Self {
        let kept = Cursor::default();
        let lanes = Lanes::new(order, kept.clone());
        let state = State::default();
        Self { order, lanes, kept, state, entries: Vec::new(), last: [None; 2] }
    }

    fn commit(&mut self, count: u64, present: Present) {
        self.entries.extend((0..count).map(|_| (present, false)));
        self.state.committed = EntryId(self.entries.len() as u64);
    }

    fn register(&mut self) {
        self.lanes = Lanes::new(self.order, self.kept.clone());
        self.lanes.make_way_for_salvage(&self.state);
        self.split();
        self.last = [None; 2];
    }

    fn split(&mut self) {
        if self.lanes.split_if_behind(&self.state) == Split::Yes {
            let newest = self.lanes.newest(&self.state);
            let at_once = Span { first: self.state.committed, end: self.state.committed };
            // The newest of all is in the first batch, and that is short.
            let span = newest.map_or(at_once, |wanted| wanted.span);
            assert!(span.end == self.state.committed && span.places() <= PIECE as u64);
        }
    }

    fn deliver(&mut self, wanted: Option<Wanted>) {
        let Some(wanted) = wanted else { return };
        let places = wanted.span.first.0 as usize..wanted.span.end.0 as usize;
        let read: Vec<usize> = places
            .filter(|&place| self.entries[place].0 == Present::Now)
            .take(wanted.max)
            .collect();
        let lane = usize::from(wanted.lane == Lane::Backlog);
        for &place in &read {
            self.entries[place].1 = true;
            assert!(self.last[lane].is_none_or(|last| last < place as u64), "order");
            self.last[lane] = Some(place as u64);
        }
        let covered = wanted.covered(read.len(), read.last().map(|&place| EntryId(place as u64)));
        self.lanes.taken(covered);
        self.kept.take(covered.first, covered.end);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(count) => self.commit(*count, Present::Now),
            Step::Unused(count) => {
                let first = self.state.committed;
                self.commit(*count, Present::Never);
                self.state.unused.push((first, EntryId(self.state.committed.0 - 1)));
            }
            Step::Recover => self.split(),
            Step::Newest => self.deliver(self.lanes.newest(&self.state)),
            Step::Backlog => self.deliver(self.lanes.backlog(&self.state)),
            Step::Rewind(to) => {
                self.kept.rewind(EntryId(*to));
                for (_, delivered) in self.entries.iter_mut().skip(*to as usize) {
                    *delivered = false;
                }
                self.register();
            }
            Step::Restart => self.register(),
            Step::Salvage => {
                self.state.salvaging_before = Some(self.state.committed);
                for (present, delivered) in &mut self.entries {
                    if *present == Present::Now && !*delivered {
                        *present = Present::Later;
                    }
                }
            }
            Step::PutBack => {
                self.state.salvaging_before = None;
                for (present, _) in &mut self.entries {
                    if *present == Present::Later {
                        *present = Present::Now;
                    }
                }
            }
        }
        self.lanes.make_way_for_salvage(&self.state);
    }

    fn claims_only_what_was_delivered(&self) {
        for cursor in [&self.lanes.cursor, &self.kept] {
            for (place, (present, delivered)) in self.entries.iter().enumerate() {
                let claimed = !cursor.wants(EntryId(place as u64));
                assert!(!claimed || *delivered || *present == Present::Never, "{place}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 100,
        ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_happens_every_entry_is_delivered_in_its_line_and_nothing_else_is_claimed(
        order in prop_oneof![3 => Just(Order::NewestFirst), 1 => Just(Order::AsKept)],
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut model = Model::new(order);
        for step in &steps {
            model.step(step);
        }
        model.claims_only_what_was_delivered();
        model.step(&Step::PutBack);
        for _ in 0..1000 {
            model.step(&Step::Newest);
            model.step(&Step::Backlog);
        }
        let all = model.entries.iter().all(|(present, delivered)| *present == Present::Never || *delivered);
        prop_assert!(all);
        prop_assert_eq!(&model.kept, &Cursor::at(model.state.committed));
        prop_assert_eq!(&model.lanes.cursor, &model.kept);
    }
}
