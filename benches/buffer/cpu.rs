//! What packing and unpacking costs the processor: nothing is stored.

use std::hint::black_box;
use std::time::Instant;

use pulsegate::buffer::record::{self, ChunkBuilder};
use pulsegate::reading::EntryId;

use crate::readings::readings;
use crate::report::{Report, median};

/// Readings in a round.
const READINGS: u64 = 20_000;
const ROUNDS: usize = 41;

pub fn run(report: &mut Report) {
    let facts = readings(0..READINGS);
    let mut chunks = Vec::new();
    let mut pack = |_| {
        chunks.clear();
        let start = Instant::now();
        let mut open = ChunkBuilder::new(EntryId(0), &facts[0]);
        for (n, fact) in (0..).zip(&facts) {
            if !open.push(EntryId(n), fact) {
                chunks.push(open.bytes());
                open = ChunkBuilder::new(EntryId(n), fact);
                assert!(open.push(EntryId(n), fact), "one reading fits into a chunk");
            }
        }
        chunks.push(open.bytes());
        each(start)
    };
    let packing = median((0..ROUNDS).map(&mut pack));
    let unpack = |_| {
        let start = Instant::now();
        for chunk in &chunks {
            black_box(record::decode(chunk).unwrap());
        }
        each(start)
    };
    let unpacking = median((0..ROUNDS).map(unpack));
    report
        .note(&format!("7 nanoseconds a reading: packing {packing:.0}, unpacking {unpacking:.0}"));
}

fn each(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / READINGS as f64
}
