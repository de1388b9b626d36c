//! A file written ahead with zeros, chunk behind chunk, `fdatasync`: the limit of the disk, and nothing more.
//!
//! Blocks that exist already need no journal of the file system. A chunk ends with its commit: nothing is ever
//! written twice. The zeros count as written.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use pulsegate::buffer::record;
use pulsegate::reading::{Entry, EntryId, Fact};

use crate::readings::{BATCH, Packer, Store, drain};

/// Written ahead at once.
const AHEAD: u64 = 1 << 20;
const PREFIX: usize = 11;

pub struct Log {
    file: File,
    cursor: File,
    end: u64,
    prepared: u64,
    packer: Packer,
}

impl Log {
    pub fn open(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true);
            options.open(folder.join(name)).unwrap()
        };
        let (file, cursor) = (open("log"), open("cursor"));
        Self { file, cursor, end: 0, prepared: 0, packer: Packer::default() }
    }

    fn commit_cursor(&self, next: EntryId) {
        self.cursor.write_all_at(&next.0.to_le_bytes(), 0).unwrap();
        self.cursor.sync_data().unwrap();
    }

    /// The entries of the chunk at the place, and the place behind it.
    fn chunk(&self, at: u64) -> Option<(Vec<Entry>, u64)> {
        let mut prefix = [0; PREFIX];
        self.file.read_exact_at(&mut prefix, at).ok()?;
        let length = u16::from_le_bytes([prefix[9], prefix[10]]);
        let mut bytes = vec![0; usize::from(length)];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some((record::decode(&bytes).ok()?, at + u64::from(length)))
    }
}

impl Store for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn append(&mut self, facts: Vec<Fact>) {
        let bytes: Vec<u8> =
            self.packer.pack(&facts).into_iter().flat_map(|(_, bytes)| bytes).collect();
        self.packer.close();
        while self.end + bytes.len() as u64 > self.prepared {
            self.file.write_all_at(&vec![0; AHEAD as usize], self.prepared).unwrap();
            self.file.sync_all().unwrap();
            self.prepared += AHEAD;
        }
        self.file.write_all_at(&bytes, self.end).unwrap();
        self.file.sync_data().unwrap();
        self.end += bytes.len() as u64;
    }

    fn drain(&mut self, _: &str, take: &mut dyn FnMut(Vec<Entry>)) {
        let mut at = 0;
        let fill = |entries: &mut Vec<Entry>| {
            while entries.len() < BATCH
                && let Some((chunk, behind)) = self.chunk(at)
            {
                entries.extend(chunk);
                at = behind;
            }
        };
        drain(fill, |next| self.commit_cursor(next), take);
    }
}
