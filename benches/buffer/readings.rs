//! What is stored: readings as straps send them, and their chunks; and what a store can do.

use std::time::{Duration, Instant};

use pulsegate::buffer::record::ChunkBuilder;
use pulsegate::reading::{
    At, BootId, ClockTrust, Contact, Entry, EntryId, Fact, HeartRate, Measurement, Reading,
    RrInterval, Source, StrapId,
};

/// Straps in the room: so many readings a second.
pub const STRAPS: u64 = 50;
/// What a sink takes at once.
pub const BATCH: usize = 500;
/// How often a drain's cursor is made durable: by our buffer's normal commits, and by the others as often.
pub const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// A store under test. Whatever fails, panics.
pub trait Store {
    fn name(&self) -> &'static str;
    /// Takes the facts in; they are durable on return.
    fn append(&mut self, facts: Vec<Fact>);
    /// Reads everything in batches of [`BATCH`] and commits the sink's cursor once a second and at the end.
    fn drain(&mut self, sink: &str, take: &mut dyn FnMut(Vec<Entry>));
}

/// The `n`th reading in the log, as an H10 sends it: one heart rate, one RR interval.
pub fn reading(n: u64) -> Fact {
    let (second, strap) = (n / STRAPS, n % STRAPS);
    let jitter = (second * 7919 + strap * 104_729) % 20_000;
    let bpm = 120 + ((second / 3 + strap) % 40) as u16;
    let rr = (61_440 / u64::from(bpm) + (second * 31) % 40) as u16;
    Fact::Reading(Reading {
        strap: StrapId::new(&format!("{:08X}", 0x9F6E_0000 + strap)).unwrap(),
        at: At {
            boot: BootId(7),
            mono_us: 1_000_000 * second + jitter + strap * 20_000,
            wall_offset_us: 1_790_000_000_000_000,
            trust: ClockTrust::Synced,
        },
        measurement: Measurement::HeartRate(HeartRate {
            bpm,
            contact: Contact::Unknown,
            energy_kj: None,
            rr: vec![RrInterval(rr)],
            source: Source::Link,
        }),
    })
}

pub fn readings(range: std::ops::Range<u64>) -> Vec<Fact> {
    range.map(reading).collect()
}

/// Fills chunks one after the other, as our buffer does.
#[derive(Default)]
pub struct Packer {
    open: Option<ChunkBuilder>,
    next: EntryId,
}

impl Packer {
    /// The chunks that hold the facts: those that became full, and the one being filled, to be stored in place of
    /// what was stored of it before.
    pub fn pack(&mut self, facts: &[Fact]) -> Vec<(EntryId, Vec<u8>)> {
        let mut chunks = Vec::new();
        for fact in facts {
            let next = self.next;
            let open = self.open.get_or_insert_with(|| ChunkBuilder::new(next, fact));
            if !open.push(next, fact) {
                chunks.push((open.first(), open.bytes()));
                *open = ChunkBuilder::new(next, fact);
                assert!(open.push(next, fact), "one reading fits into a chunk");
            }
            self.next = next.plus(1);
        }
        chunks.extend(self.open.as_ref().map(|open| (open.first(), open.bytes())));
        chunks
    }

    /// Lets the next facts begin a chunk of their own.
    pub fn close(&mut self) {
        self.open = None;
    }
}

/// Drains a store in batches of [`BATCH`]. `fill` adds the next chunks' entries until there are enough, each chunk
/// once; between two calls a sink would wait for the far side, so that each is a look-up of its own.
pub fn drain(
    mut fill: impl FnMut(&mut Vec<Entry>),
    commit: impl Fn(EntryId),
    take: &mut dyn FnMut(Vec<Entry>),
) {
    let mut next = EntryId(0);
    let mut committed = Instant::now();
    let mut decoded = Vec::new();
    loop {
        fill(&mut decoded);
        let rest = decoded.split_off(decoded.len().min(BATCH));
        let entries = std::mem::replace(&mut decoded, rest);
        let Some(last) = entries.last() else { break };
        next = last.id.plus(1);
        take(entries);
        if committed.elapsed() >= COMMIT_EVERY {
            commit(next);
            committed = Instant::now();
        }
    }
    commit(next);
}
