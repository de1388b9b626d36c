//! A recording of either kind, and what a cut leaves of it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::folder::{self, Op};
use crate::image::{Disk, Later, save};
use crate::mount::Mounted;
use crate::strace;
use crate::trace::{Kind, Trace};

/// Everything that happened, in order.
pub(crate) enum Recording {
    /// The writes and flushes of a disk.
    Disk(Trace),
    /// The calls on a folder.
    Folder(Vec<Op>),
}

impl Recording {
    pub(crate) fn load(path: &Path) -> Result<Self> {
        if path.extension().is_some_and(|extension| extension == "strace") {
            let text =
                std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            return Ok(Self::Folder(strace::parse(&String::from_utf8_lossy(&text))?));
        }
        Ok(Self::Disk(Trace::load(path)?))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Disk(trace) => trace.records.len(),
            Self::Folder(operations) => operations.len(),
        }
    }

    /// The place behind which cuts begin.
    pub(crate) fn begin(&self) -> Option<usize> {
        let begin = match self {
            Self::Disk(trace) => trace.of_kind(Kind::Begin).last().map(|(place, _)| place),
            Self::Folder(operations) => operations.iter().rposition(|op| *op == Op::Begin),
        };
        begin.map(|place| place + 1)
    }

    /// What the daemon logged, with its places.
    pub(crate) fn log(&self) -> Vec<(usize, &[u8])> {
        self.pieces(Kind::Log, |operation| match operation {
            Op::Log(text) => Some(text),
            _ => None,
        })
    }

    /// What its file sink delivered, with its places.
    pub(crate) fn delivered(&self) -> Vec<(usize, &[u8])> {
        self.pieces(Kind::Delivered, |operation| match operation {
            Op::Delivered(text) => Some(text),
            _ => None,
        })
    }

    /// Where a database takes the place of another: from the first rename to the second, and on to the removal.
    pub(crate) fn marked(&self) -> Vec<Range<usize>> {
        let is_mark = |path: &Path| path.ends_with("buffer.old") || path.ends_with("buffer.new");
        let places: Vec<usize> = match self {
            // The scenario has the calls written beside the log.
            Self::Disk(trace) => trace
                .of_kind(Kind::Log)
                .filter(|(_, record)| is_swap(&String::from_utf8_lossy(&record.data)))
                .map(|(place, _)| place)
                .collect(),
            Self::Folder(operations) => operations
                .iter()
                .enumerate()
                .filter(|(_, operation)| match operation {
                    Op::Rename(from, to) => is_mark(from) || is_mark(to),
                    Op::RemoveFolder(path) => is_mark(path),
                    _ => false,
                })
                .map(|(place, _)| place)
                .collect(),
        };
        // Three calls: away, into place, removed.
        let pairs = places.chunks(3).flat_map(|group| group.windows(2));
        pairs.map(|pair| pair[0]..pair[1]).collect()
    }

    fn pieces(&self, kind: Kind, of: impl Fn(&Op) -> Option<&Vec<u8>>) -> Vec<(usize, &[u8])> {
        match self {
            Self::Disk(trace) => {
                trace.of_kind(kind).map(|(place, record)| (place, &*record.data)).collect()
            }
            Self::Folder(operations) => operations
                .iter()
                .enumerate()
                .filter_map(|(place, operation)| Some((place, of(operation)?.as_slice())))
                .collect(),
        }
    }
}

/// A line of strace: the old database is moved away, the new one into its place, or the old one removed.
fn is_swap(line: &str) -> bool {
    let call = ["rename(", "rmdir(", "AT_REMOVEDIR"].iter().any(|call| line.contains(call));
    call && ["/buffer.old\"", "/buffer.new\""].iter().any(|name| line.contains(name))
}

/// Makes cuts, in ascending order.
pub(crate) enum Cutter<'a> {
    Disk(Disk<'a>),
    Folder(&'a [Op]),
}

/// What a cut left, ready to be looked at.
pub(crate) struct Left {
    pub(crate) data_dir: PathBuf,
    _mounted: Option<Mounted>,
}

impl<'a> Cutter<'a> {
    pub(crate) fn new(recording: &'a Recording) -> Self {
        match recording {
            Recording::Disk(trace) => Self::Disk(Disk::new(trace)),
            Recording::Folder(operations) => Self::Folder(operations),
        }
    }

    /// Cuts behind the first `cut` things that happened.
    pub(crate) fn cut(
        &mut self,
        cut: usize,
        later: Later,
        dice: &mut fastrand::Rng,
        scratch: &Path,
    ) -> Result<Left> {
        let folder = scratch.join("disk");
        let mounted = match self {
            Self::Disk(disk) => {
                let image = scratch.join("disk.img");
                save(&disk.after(cut, later, dice), &image)?;
                Some(Mounted::new(&image, &folder)?)
            }
            Self::Folder(operations) => {
                folder::build(&operations[..cut], later, dice, &folder.join("data"))?;
                None
            }
        };
        Ok(Left { data_dir: folder.join("data"), _mounted: mounted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Record;

    #[test]
    fn exchanges_are_found_in_both_kinds_of_recording() {
        let calls = [
            ("rename(\"/d/buffer/snap.1.generating\", \"/d/buffer/snap.1\") = 0", None),
            ("rename(\"/d/buffer\", \"/d/buffer.old\") = 0", Some(("buffer", "buffer.old"))),
            ("rename(\"/d/buffer.new\", \"/d/buffer\") = 0", Some(("buffer.new", "buffer"))),
            ("unlinkat(11, \"db\", 0) = 0", None),
            ("unlinkat(AT_FDCWD, \"/d/buffer.old\", AT_REMOVEDIR) = 0", Some(("buffer.old", ""))),
        ];
        let records = calls.map(|(text, _)| Record::new(Kind::Log, 0, text.as_bytes())).into();
        let disk = Recording::Disk(Trace { disk_size: 0, records });
        assert_eq!(disk.marked(), [1..2, 2..4]);
        let operation = |names: Option<(&str, &str)>| match names {
            None => Op::Unlink("buffer/snap.1".into()),
            Some((folder, "")) => Op::RemoveFolder(folder.into()),
            Some((from, to)) => Op::Rename(from.into(), to.into()),
        };
        let folder = Recording::Folder(calls.map(|(_, names)| operation(names)).into());
        assert_eq!(folder.marked(), [1..2, 2..4]);
    }
}
