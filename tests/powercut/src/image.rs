//! What a disk holds after the power went: everything up to the last flush, and of the later writes what the disk's
//! cache happened to have written out.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::trace::{Kind, Record, Trace};

/// The smallest piece that a disk writes whole.
pub(crate) const SECTOR: usize = 512;
/// The piece that a page cache writes.
pub(crate) const PAGE: usize = 4096;
/// An image file has holes where pieces of this size are zeros.
const HOLE: usize = 1 << 16;

/// What became of the writes after the last flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Later {
    /// None was written out.
    None,
    /// All were: a disk without a cache.
    All,
    /// A random half, some of it torn.
    Half,
}

impl Later {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::All, Self::Half];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none of the later writes",
            Self::All => "all later writes",
            Self::Half => "a random half of the later writes",
        }
    }
}

/// The disk, moved forward through a trace.
pub(crate) struct Disk<'a> {
    trace: &'a Trace,
    /// Up to the last flush before the cut.
    durable: Vec<u8>,
    /// How many records are in `durable`.
    applied: usize,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(trace: &'a Trace) -> Self {
        Self { trace, durable: vec![0; trace.disk_size], applied: 0 }
    }

    /// The disk after a cut behind the first `cut` records. Cuts must be asked for in ascending order.
    pub(crate) fn after(&mut self, cut: usize, later: Later, dice: &mut fastrand::Rng) -> Vec<u8> {
        let records = &self.trace.records;
        let flushed = records[self.applied..cut]
            .iter()
            .rposition(|record| record.kind == Kind::Flush)
            .map_or(self.applied, |place| self.applied + place);
        for record in writes(&records[self.applied..flushed]) {
            put(&mut self.durable, record.offset as usize, &record.data);
        }
        self.applied = flushed;
        let mut image = self.durable.clone();
        for record in writes(&records[flushed..cut]) {
            match later {
                Later::None => {}
                Later::All => put(&mut image, record.offset as usize, &record.data),
                Later::Half => half(&mut image, record, dice),
            }
        }
        image
    }
}

fn writes(records: &[Record]) -> impl Iterator<Item = &Record> {
    records.iter().filter(|record| record.kind == Kind::Write)
}

/// Pages stay or go; one in eight of those that stay is torn.
fn half(image: &mut [u8], record: &Record, dice: &mut fastrand::Rng) {
    for (index, page) in record.data.chunks(PAGE).enumerate() {
        if dice.bool() {
            continue;
        }
        let torn = dice.u8(..8) == 0;
        for (sector, bytes) in page.chunks(SECTOR).enumerate() {
            if !torn || dice.bool() {
                put(image, record.offset as usize + index * PAGE + sector * SECTOR, bytes);
            }
        }
    }
}

fn put(image: &mut [u8], offset: usize, bytes: &[u8]) {
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Writes an image to a new file, with holes.
pub(crate) fn save(image: &[u8], path: &Path) -> Result<()> {
    let write = || {
        // A new file each time: a loop device may still hold the old one.
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        let file = File::create_new(path)?;
        file.set_len(image.len() as u64)?;
        for (index, piece) in image.chunks(HOLE).enumerate() {
            if piece.iter().any(|byte| *byte != 0) {
                file.write_all_at(piece, (index * HOLE) as u64)?;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    write().with_context(|| format!("writing the image {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        let write = |offset, byte| Record::new(Kind::Write, offset, &[byte; PAGE]);
        let flush = || Record::new(Kind::Flush, 0, &[]);
        let records = vec![write(0, 1), flush(), write(0, 2), write(4096, 3), flush(), write(0, 4)];
        Trace { disk_size: 2 * PAGE, records }
    }

    /// First and last byte of both pages.
    fn pages(image: &[u8]) -> [u8; 4] {
        [image[0], image[PAGE - 1], image[PAGE], image[2 * PAGE - 1]]
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_is_up_to_the_disk() {
        let trace = trace();
        let mut dice = fastrand::Rng::with_seed(1);
        for (later, before, behind) in
            [(Later::None, [1, 1, 0, 0], [2, 2, 3, 3]), (Later::All, [2, 2, 3, 3], [4, 4, 3, 3])]
        {
            let mut disk = Disk::new(&trace);
            assert_eq!(pages(&disk.after(4, later, &mut dice)), before);
            assert_eq!(pages(&disk.after(6, later, &mut dice)), behind);
        }
    }

    #[test]
    fn half_of_the_later_writes_are_there_and_some_are_torn() {
        let trace = Trace {
            disk_size: 1000 * PAGE,
            records: vec![Record::new(Kind::Write, 0, &vec![1; 1000 * PAGE])],
        };
        let image = Disk::new(&trace).after(1, Later::Half, &mut fastrand::Rng::with_seed(1));
        let sum = |page: &[u8]| page.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        let kept = image.chunks(PAGE).filter(|page| sum(page) > 0).count();
        let torn = image.chunks(PAGE).filter(|page| (1..PAGE).contains(&sum(page))).count();
        assert!((400..600).contains(&kept) && (30..100).contains(&torn), "{kept} {torn}");
    }
}
