//! Packing what has come in into chunks, as it comes in: a commit then finds most of the work done.
//!
//! What is packed here stays in the writer's `pending` as well until it is durable. When a commit fails, all of this is
//! thrown away, and packed once more for whatever database comes next.

use tracing::error;

use crate::buffer::contents::Books;
use crate::buffer::journal::{Packed, index};
use crate::buffer::record::ChunkBuilder;
use crate::reading::{Class, Entry, EntryId};

/// The chunks of the next commit.
#[derive(Debug, Default)]
pub(super) struct Packing {
    /// A chunk goes on growing in later commits, each of which replaces it by its longer self.
    growing: [Option<Growing>; Class::ALL.len()],
    full: Vec<Packed>,
    /// Entries in them, from the oldest that is pending.
    entries: usize,
    /// What the full ones add to what is stored.
    added: Books,
}

#[derive(Debug)]
struct Growing {
    chunk: ChunkBuilder,
    /// What is stored of it.
    stored_len: usize,
    /// It has grown since it was stored.
    grown: bool,
}

impl Growing {
    fn new(entry: &Entry) -> Self {
        let chunk = ChunkBuilder::new(entry.id, &entry.fact);
        Self { chunk, stored_len: 0, grown: false }
    }

    fn packed(&self, class: Class) -> Packed {
        Packed { class, first: self.chunk.first(), bytes: self.chunk.bytes() }
    }
}

impl Packing {
    /// How many of the pending entries are packed.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Packs further entries, in order.
    pub(super) fn pack<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) {
        for entry in entries {
            self.entries += 1;
            let class = entry.fact.class();
            let growing = self.growing[index(class)].get_or_insert_with(|| Growing::new(entry));
            if !growing.chunk.push(entry.id, &entry.fact) {
                let full = std::mem::replace(growing, Growing::new(entry));
                let packed = full.packed(class);
                self.added.bytes += (packed.bytes.len() - full.stored_len) as u64;
                self.full.push(packed);
                if !growing.chunk.push(entry.id, &entry.fact) {
                    // Refused at the door already: see `check_size`.
                    error!(id = %entry.id, "an entry does not fit into a chunk and is lost");
                    continue;
                }
            }
            growing.grown = true;
            self.added.entries += 1;
        }
    }

    /// The chunks that a commit writes now, and what they add to what is stored.
    pub(super) fn take(&mut self) -> (Vec<Packed>, Books) {
        self.entries = 0;
        let mut chunks = std::mem::take(&mut self.full);
        let mut added = std::mem::take(&mut self.added);
        for class in Class::ALL {
            let growing = self.growing[index(class)].as_mut().filter(|growing| growing.grown);
            if let Some(growing) = growing {
                let packed = growing.packed(class);
                added.bytes += (packed.bytes.len() - growing.stored_len) as u64;
                growing.stored_len = packed.bytes.len();
                growing.grown = false;
                chunks.push(packed);
            }
        }
        (chunks, added)
    }

    /// For each class the first chunk that must stay, because it is being written.
    pub(super) fn being_written(&self) -> [EntryId; Class::ALL.len()] {
        Class::ALL.map(|class| {
            let full = self.full.iter().filter(|packed| packed.class == class);
            let growing = self.growing[index(class)].iter().map(|growing| growing.chunk.first());
            full.map(|packed| packed.first).chain(growing).min().unwrap_or(EntryId(u64::MAX))
        })
    }
}
