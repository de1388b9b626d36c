//! The buffer and a plain list side by side: whatever is done to the one, the other says what must come out.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use pulsegate::buffer::{Buffer, Cursor, Keeper, Options, Reader, Rejected, Span};
use pulsegate::reading::{Class, Entry, EntryId, Event, EventKind, Fact, GapReason};
use support::{clock, close, crash_image, options, reading, within};

const SINKS: [&str; 2] = ["club", "archive"];

#[derive(Debug, Clone)]
enum Step {
    /// So many facts of this strap; every so often an event among them.
    Append {
        strap: usize,
        count: u64,
    },
    /// Waits until everything is durable.
    Commit,
    /// Reads from the first up to the second share (percent) of the log.
    Read {
        from: u64,
        to: u64,
    },
    /// Reads on from where it was, or from this share of the log, with what was read ahead before.
    ReadOn {
        from: Option<u64>,
        count: usize,
    },
    /// A sink takes the next entries, or some behind; of these a share is refused.
    Take {
        sink: usize,
        count: u64,
        ahead: u64,
        refused: bool,
    },
    Requeue,
    Rewind {
        sink: usize,
        to: u64,
    },
    Rotate,
    Close,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4usize, 1..1500u64).prop_map(|(strap, count)| Step::Append { strap, count }),
        4 => Just(Step::Commit),
        4 => (0..100u64, 0..120u64).prop_map(|(from, to)| Step::Read { from, to }),
        6 => (proptest::option::weighted(0.2, 0..100u64), 1..3000usize)
            .prop_map(|(from, count)| Step::ReadOn { from, count }),
        4 => (0..2usize, 1..2000u64, 0..2000u64, any::<bool>()).prop_map(
            |(sink, count, ahead, refused)| Step::Take { sink, count, ahead, refused }
        ),
        1 => Just(Step::Requeue),
        1 => (0..2usize, 0..100u64).prop_map(|(sink, to)| Step::Rewind { sink, to }),
        1 => Just(Step::Rotate),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ]
}

/// What must be true.
#[derive(Default)]
struct Model {
    /// Everything that was ever durable.
    durable: Vec<Entry>,
    /// Appended, not known to be durable.
    waiting: Vec<Entry>,
    cursors: BTreeMap<&'static str, Cursor>,
    refused: BTreeMap<EntryId, String>,
}

struct Bench {
    folder: tempfile::TempDir,
    round: usize,
    max_bytes: u64,
    second: u64,
    model: Model,
    /// Where reading goes on.
    on: EntryId,
}

impl Bench {
    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join(self.round.to_string())
    }

    async fn open(&mut self) -> (Buffer, Keeper) {
        let sinks = SINKS.map(str::to_owned).to_vec();
        // No commit but those asked for: a crash image is of one moment.
        let commit_every = Duration::from_secs(3600);
        let options = Options { sinks, commit_every, ..options(&self.path(), self.max_bytes) };
        let (buffer, keeper) = Buffer::open(&options, &clock()).unwrap();
        for sink in SINKS {
            let cursor = buffer.register(sink).await.unwrap();
            let known = self.model.cursors.entry(sink).or_insert_with(|| cursor.clone());
            // What was told and not yet written is taken again: never the other way round.
            for entry in &self.model.durable {
                assert!(cursor.wants(entry.id) || !known.wants(entry.id), "{sink} {}", entry.id);
            }
            *known = cursor;
        }
        (buffer, keeper)
    }

    async fn append(&mut self, buffer: &Buffer, strap: usize, count: u64) {
        for n in 0..count {
            self.second += 1;
            let fact = if n % 97 == 96 {
                let kind = EventKind::Started { version: self.second.to_string() };
                Fact::Event(Event { at: clock().now(), kind })
            } else {
                reading(strap, self.second)
            };
            let id = within(buffer.append(fact.clone())).await.unwrap();
            let newest = self.model.waiting.last().or(self.model.durable.last());
            assert!(newest.is_none_or(|newest| id > newest.id), "ids only grow");
            self.model.waiting.push(Entry { id, fact });
        }
    }

    async fn commit(&mut self, buffer: &Buffer) {
        let Some(last) = self.model.waiting.last() else { return };
        buffer.flush();
        within(buffer.durable(last.id)).await.unwrap();
        self.model.durable.append(&mut self.model.waiting);
    }

    async fn read(&self, buffer: &Buffer, from: EntryId, end: EntryId) {
        let all = buffer.read(from, end, usize::MAX).await.unwrap();
        let durable = &self.model.durable;
        assert!(all.is_sorted_by_key(|entry| entry.id));
        assert!(all.iter().all(|entry| from <= entry.id && entry.id < end));
        let known: BTreeMap<EntryId, &Fact> =
            durable.iter().chain(&self.model.waiting).map(|e| (e.id, &e.fact)).collect();
        for entry in &all {
            match known.get(&entry.id) {
                Some(fact) => assert_eq!(*fact, &entry.fact, "never a wrong value"),
                None => assert!(is_gap(entry), "from nowhere: {entry:?}"),
            }
        }
        // Of each class the oldest may be gone, to make room; nothing else.
        for class in Class::ALL {
            let here = |entry: &&Entry| entry.fact.class() == class;
            let oldest = buffer.read(EntryId(0), EntryId(u64::MAX), usize::MAX).await.unwrap();
            let Some(oldest) = oldest.iter().filter(|e| known.contains_key(&e.id)).find(here)
            else {
                continue;
            };
            let expected = durable
                .iter()
                .filter(here)
                .filter(|entry| entry.id >= oldest.id && from <= entry.id && entry.id < end);
            for entry in expected {
                assert!(
                    all.binary_search_by_key(&entry.id, |e| e.id).is_ok(),
                    "{} is gone",
                    entry.id
                );
            }
        }
    }

    async fn read_on(&mut self, buffer: &Buffer, reader: &mut Reader, count: usize) {
        let given = reader.read(self.on, EntryId(u64::MAX), count).await.unwrap();
        assert!(given.len() <= count && given.is_sorted_by_key(|entry| entry.id));
        assert!(given.iter().all(|entry| entry.id >= self.on));
        let behind = given.last().map_or(self.on, |entry| entry.id.plus(1));
        let end = if given.len() == count { behind } else { EntryId(u64::MAX) };
        let there = buffer.read(self.on, end, usize::MAX).await.unwrap();
        for entry in &there {
            let found = given.binary_search_by_key(&entry.id, |entry| entry.id);
            assert_eq!(found.map(|n| &given[n]), Ok(entry), "what is there is not left out");
        }
        let known = self.model.durable.iter().chain(&self.model.waiting);
        let known: BTreeMap<EntryId, &Fact> = known.map(|entry| (entry.id, &entry.fact)).collect();
        for entry in &given {
            assert!(known.get(&entry.id) == Some(&&entry.fact) || is_gap(entry), "{entry:?}");
        }
        self.on = behind;
    }

    /// Whatever a sink wants and will not get is told in the log, and counted for it.
    async fn check_losses(&self, buffer: &Buffer) {
        let all = buffer.read(EntryId(0), EntryId(u64::MAX), usize::MAX).await.unwrap();
        let told: Vec<(EntryId, EntryId)> = all
            .iter()
            .filter_map(|entry| match &entry.fact {
                Fact::Event(Event { kind: EventKind::Gap { first, last, reason, .. }, .. }) => {
                    (*reason == GapReason::BufferFull).then_some((*first, *last))
                }
                _ => None,
            })
            .collect();
        let lost = buffer.state().borrow().lost.clone();
        for (sink, cursor) in &self.model.cursors {
            for entry in self.model.durable.iter().filter(|entry| cursor.wants(entry.id)) {
                if all.binary_search_by_key(&entry.id, |e| e.id).is_err() {
                    let told =
                        told.iter().any(|(first, last)| (*first..=*last).contains(&entry.id));
                    assert!(told, "{sink} misses {} and is not told", entry.id);
                    assert!(lost.get(*sink).is_some_and(|lost| *lost > 0));
                }
            }
        }
    }

    fn place(&self, percent: u64) -> EntryId {
        let end = self.model.durable.last().map_or(0, |entry| entry.id.0);
        EntryId(u128::from(end).saturating_mul(percent.into()).saturating_div(100) as u64)
    }

    async fn take(
        &mut self,
        buffer: &Buffer,
        sink: &'static str,
        count: u64,
        ahead: u64,
        refused: bool,
    ) {
        let cursor = self.model.cursors.get_mut(sink).unwrap();
        let from = cursor.live().plus(ahead);
        let durable = self.model.durable.iter().filter(|entry| entry.id >= from);
        let batch: Vec<Entry> = durable.take(count as usize).cloned().collect();
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return };
        let rejected: Vec<Rejected> = batch
            .iter()
            .filter(|entry| refused && entry.id.0 % 5 == 0)
            .map(|entry| Rejected { entry: entry.clone(), reason: format!("{sink} says no") })
            .collect();
        if sink == SINKS[0] {
            let refused = rejected.iter().map(|r| (r.entry.id, r.reason.clone()));
            self.model.refused.extend(refused);
        }
        cursor.take(first.id, last.id.plus(1));
        let rejected = if sink == SINKS[0] { rejected } else { Vec::new() };
        buffer.taken(sink, Span::new(first.id, last.id.plus(1)), rejected);
        within(buffer.responds()).await.unwrap();
    }

    async fn check_letters(&self, buffer: &Buffer) {
        let letters = buffer.letters(0, usize::MAX).await.unwrap();
        let kept: BTreeMap<EntryId, String> = letters
            .iter()
            .flat_map(|letter| letter.entries.iter().map(|e| (e.id, letter.reason.clone())))
            .collect();
        let dropped = buffer.state().borrow().letters.get(SINKS[0]).map_or(0, |l| l.dropped);
        for (id, reason) in &self.model.refused {
            assert!(kept.get(id) == Some(reason) || dropped > 0, "the letter about {id} is gone");
        }
    }

    async fn run(&mut self, steps: Vec<Step>) {
        let (mut buffer, mut keeper) = self.open().await;
        let mut reader = buffer.reader();
        for step in steps {
            match step {
                Step::Append { strap, count } => self.append(&buffer, strap, count).await,
                Step::Commit => self.commit(&buffer).await,
                Step::Read { from, to } => {
                    self.read(&buffer, self.place(from), self.place(to).plus(1)).await;
                }
                Step::ReadOn { from, count } => {
                    self.on = from.map_or(self.on, |from| self.place(from));
                    self.read_on(&buffer, &mut reader, count).await;
                }
                Step::Take { sink, count, ahead, refused } => {
                    self.take(&buffer, SINKS[sink], count, ahead, refused).await;
                }
                Step::Requeue => {
                    buffer.requeue(Some(SINKS[0])).await.unwrap();
                    while let Some(letter) = buffer.requeued(SINKS[0]).await.unwrap() {
                        buffer.settle(&letter, Vec::new());
                        for entry in &letter.entries {
                            self.model.refused.remove(&entry.id);
                        }
                    }
                }
                Step::Rewind { sink, to } => {
                    let place = self.place(to);
                    buffer.rewind(SINKS[sink], place).await.unwrap();
                    self.model.cursors.get_mut(SINKS[sink]).unwrap().rewind(place);
                }
                Step::Rotate => within(buffer.rotate()).await.unwrap(),
                Step::Close => {
                    close(&buffer, keeper).await;
                    // Closing commits.
                    self.model.durable.append(&mut self.model.waiting);
                    (buffer, keeper) = self.open().await;
                    reader = buffer.reader();
                }
                Step::Kill => {
                    // Cursors and letters reach the disk with a commit.
                    self.append(&buffer, 0, 1).await;
                    self.commit(&buffer).await;
                    self.append(&buffer, 1, 3).await;
                    within(buffer.responds()).await.unwrap();
                    let before = self.path();
                    self.round += 1;
                    crash_image(&before, &self.path());
                    close(&buffer, keeper).await;
                    std::fs::remove_dir_all(before).unwrap();
                    (buffer, keeper) = self.open().await;
                    reader = buffer.reader();
                    // The last three may have made it.
                    let there =
                        buffer.read(EntryId(0), EntryId(u64::MAX), usize::MAX).await.unwrap();
                    let made_it = |e: &Entry| there.binary_search_by_key(&e.id, |e| e.id).is_ok();
                    let waiting = std::mem::take(&mut self.model.waiting);
                    self.model.durable.extend(waiting.into_iter().filter(made_it));
                }
            }
        }
        // Losses are told with the commit behind.
        for _ in 0..4 {
            self.append(&buffer, 0, 1).await;
            self.commit(&buffer).await;
        }
        self.read(&buffer, EntryId(0), EntryId(u64::MAX)).await;
        self.check_losses(&buffer).await;
        self.check_letters(&buffer).await;
        let state = buffer.state().borrow().clone();
        let verified = buffer.verify().await.unwrap();
        assert_eq!((state.bytes, state.entries), (verified.bytes, verified.entries));
        assert!(state.bytes <= self.max_bytes + 4096, "{} bytes", state.bytes);
        close(&buffer, keeper).await;
    }
}

fn is_gap(entry: &Entry) -> bool {
    matches!(&entry.fact, Fact::Event(Event { kind: EventKind::Gap { .. }, .. }))
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: std::env::var("PULSEGATE_MODEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24),
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_buffer_does_what_a_list_would_do(
        steps in proptest::collection::vec(step(), 1..40),
        small in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut bench = Bench {
            folder: tempfile::tempdir().unwrap(),
            round: 0,
            // Room for some eight thousand readings, or for all.
            max_bytes: if small { 64 << 10 } else { 1 << 30 },
            second: 0,
            model: Model::default(),
            on: EntryId(0),
        };
        runtime.block_on(bench.run(steps));
    }
}
