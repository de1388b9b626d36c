//! sled as it is, with the same settings and the same chunks: the limit of the engine.
//!
//! A commit is what ours is (one batch, flush, `fdatasync` on the data file), without ids set aside, cursors' copies
//! and a thread of its own. A drain reads every chunk once, decodes it with the same code (a sink needs entries),
//! and commits its cursor once a second and at the end, as ours does.

use std::fs::{File, OpenOptions};
use std::path::Path;

use pulsegate::buffer::record;
use pulsegate::reading::{Entry, EntryId, Fact};

use crate::readings::{BATCH, Packer, Store, drain};

/// A reading stored by itself: what a plain encoding of the same facts takes.
const RECORD: usize = 29;

pub struct Raw {
    db: sled::Db,
    data: File,
    packer: Packer,
}

impl Raw {
    pub fn open(folder: &Path) -> Self {
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(8 << 20)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(Some(1000))
            .open()
            .unwrap();
        let data = OpenOptions::new().read(true).write(true).open(folder.join("db")).unwrap();
        Self { db, data, packer: Packer::default() }
    }

    /// The newest chunk's first entry: a store that is ready to be appended to knows it.
    pub fn newest(&self) -> u64 {
        let (_, bytes) = self.db.last().unwrap().unwrap();
        record::decode(&bytes).unwrap()[0].id.0
    }

    fn commit(&self, batch: sled::Batch) {
        self.db.apply_batch(batch).unwrap();
        self.db.flush().unwrap();
        self.data.sync_data().unwrap();
    }

    fn commit_cursor(&self, sink: &str, next: EntryId) {
        let mut batch = sled::Batch::default();
        batch.insert([b"\0", sink.as_bytes()].concat(), &next.0.to_be_bytes());
        self.commit(batch);
    }
}

fn key(id: EntryId) -> [u8; 9] {
    let mut key = [1; 9];
    key[1..].copy_from_slice(&id.0.to_be_bytes());
    key
}

impl Store for Raw {
    fn name(&self) -> &'static str {
        "raw sled"
    }

    fn append(&mut self, facts: Vec<Fact>) {
        let mut batch = sled::Batch::default();
        for (first, bytes) in self.packer.pack(&facts) {
            batch.insert(&key(first), bytes);
        }
        self.commit(batch);
    }

    fn drain(&mut self, sink: &str, take: &mut dyn FnMut(Vec<Entry>)) {
        let mut from = key(EntryId(0)).to_vec();
        let fill = |entries: &mut Vec<Entry>| {
            let mut chunks = self.db.range(from.clone()..);
            while entries.len() < BATCH
                && let Some((key, bytes)) = chunks.next().transpose().unwrap()
            {
                entries.extend(record::decode(&bytes).unwrap());
                from = [&*key, &[0]].concat();
            }
        };
        drain(fill, |next| self.commit_cursor(sink, next), take);
    }
}

/// sled with one value a commit, and in it [`RECORD`] bytes a reading: what the chunks are there to beat.
pub struct Plain {
    raw: Raw,
    next: u64,
}

impl Plain {
    pub fn open(folder: &Path) -> Self {
        Self { raw: Raw::open(folder), next: 0 }
    }
}

impl Store for Plain {
    fn name(&self) -> &'static str {
        "sled, 29-byte records"
    }

    fn append(&mut self, facts: Vec<Fact>) {
        let mut value = Vec::with_capacity(facts.len() * RECORD);
        let first = EntryId(self.next);
        for _ in facts {
            // No two alike, so that nothing can be saved on them.
            let mut record = [0; RECORD];
            record[..8].copy_from_slice(&self.next.to_be_bytes());
            fastrand::Rng::with_seed(self.next).fill(&mut record[8..]);
            value.extend_from_slice(&record);
            self.next += 1;
        }
        assert!(value.len() <= record::CHUNK_MAX, "a value as small as a chunk");
        let mut batch = sled::Batch::default();
        batch.insert(&key(first), value);
        self.raw.commit(batch);
    }

    fn drain(&mut self, _: &str, _: &mut dyn FnMut(Vec<Entry>)) {
        unreachable!("only its appends are measured");
    }
}
