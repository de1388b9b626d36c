//! What a folder holds after the power went, by the calls that were made on it: a file system in words.
//!
//! Content is safe once its file was synced, names once anything was synced after them. Of the later changes, names are
//! kept in order up to some moment, and so is the length of each file; each page of a file is as it was at some moment of
//! its own, but no length is kept without the content that made it (ext4 with ordered data).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::{Later, PAGE, SECTOR};

/// A file, whatever its name.
pub(crate) type FileId = usize;

/// One call that has returned, or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Op {
    MakeFolder(PathBuf),
    RemoveFolder(PathBuf),
    MakeFile(PathBuf, FileId),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
    Write(FileId, u64, Vec<u8>),
    SetLength(FileId, u64),
    /// Of a file or a folder (`None`); it covers what was done before the operation of this number.
    Sync(Option<FileId>, usize),
    /// The daemon wrote to its log.
    Log(Vec<u8>),
    /// The daemon's file sink wrote to its file.
    Delivered(Vec<u8>),
    /// Cuts begin.
    Begin,
}

#[derive(Default)]
struct Folder {
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, FileId>,
    contents: BTreeMap<FileId, Content>,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    length: usize,
    /// What became of the changes after the last sync; decided with the first of them.
    fate: Option<Fate>,
}

/// Moments are counted in operations.
struct Fate {
    synced_length: usize,
    /// The moment whose length is kept.
    length: usize,
    /// The moments of the sectors of a page.
    pages: BTreeMap<usize, [usize; PAGE / SECTOR]>,
}

/// The time in which later changes may or may not have reached the disk.
struct Window<'a> {
    synced: usize,
    cut: usize,
    later: Later,
    dice: &'a mut fastrand::Rng,
}

/// Builds the folder as it is after a cut behind the first operations given.
pub(crate) fn build(
    operations: &[Op],
    later: Later,
    dice: &mut fastrand::Rng,
    target: &Path,
) -> Result<()> {
    let cut = operations.len();
    let mut synced: BTreeMap<FileId, usize> = BTreeMap::new();
    let mut names_safe = 0;
    for operation in operations {
        if let Op::Sync(file, upto) = operation {
            names_safe = names_safe.max(*upto);
            if let Some(file) = file {
                let safe = synced.entry(*file).or_default();
                *safe = (*safe).max(*upto);
            }
        }
    }
    let names_kept = Window { synced: names_safe, cut, later, dice }.moment();
    let mut folder = Folder::default();
    for (place, operation) in operations.iter().enumerate() {
        match operation {
            Op::Write(file, ..) | Op::SetLength(file, _) => {
                let synced = synced.get(file).copied().unwrap_or_default();
                let mut window = Window { synced, cut, later, dice };
                folder.contents.entry(*file).or_default().change(operation, place, &mut window);
            }
            _ if place < names_kept => folder.name(operation),
            _ => {}
        }
    }
    folder.save(target).with_context(|| format!("building the folder {}", target.display()))
}

impl Window<'_> {
    /// A moment up to which changes were kept: often an end, sometimes between.
    fn moment(&mut self) -> usize {
        match self.later {
            Later::None => self.synced,
            Later::All => self.cut,
            Later::Half => match self.dice.u8(..4) {
                0 | 1 => self.synced,
                2 => self.cut,
                _ => self.dice.usize(self.synced..=self.cut.max(self.synced)),
            },
        }
    }

    /// The moments of the sectors of a page; one page in eight is torn.
    fn page(&mut self, at_least: Option<usize>) -> [usize; PAGE / SECTOR] {
        let mut sectors = [self.moment(); PAGE / SECTOR];
        match at_least {
            Some(at_least) => sectors.map(|moment| moment.max(at_least)),
            None => {
                if self.later == Later::Half && self.dice.u8(..8) == 0 {
                    let torn = sectors.iter_mut().filter(|_| self.dice.bool());
                    torn.for_each(|moment| *moment = self.synced);
                }
                sectors
            }
        }
    }
}

impl Content {
    fn change(&mut self, operation: &Op, place: usize, window: &mut Window<'_>) {
        if place < window.synced {
            self.apply(operation, |_| true, true);
            return;
        }
        let mut fate = self.fate.take().unwrap_or_else(|| Fate {
            synced_length: self.length,
            length: window.moment(),
            pages: BTreeMap::new(),
        });
        let length_kept = place < fate.length;
        let keep = |at: usize| {
            let is_new = (at / PAGE + 1) * PAGE > fate.synced_length;
            let at_least = is_new.then_some(fate.length);
            let sectors = fate.pages.entry(at / PAGE).or_insert_with(|| window.page(at_least));
            place < sectors[at % PAGE / SECTOR]
        };
        self.apply(operation, keep, length_kept);
        self.fate = Some(fate);
    }

    /// `keep` is asked for each sector, by its place in the file.
    fn apply(&mut self, operation: &Op, mut keep: impl FnMut(usize) -> bool, length: bool) {
        match operation {
            Op::Write(_, offset, data) => {
                let from = *offset as usize;
                let end = from + data.len();
                self.bytes.resize(self.bytes.len().max(end), 0);
                let mut at = from;
                while at < end {
                    let to = ((at / SECTOR + 1) * SECTOR).min(end);
                    if keep(at) {
                        self.bytes[at..to].copy_from_slice(&data[at - from..to - from]);
                    }
                    at = to;
                }
                if length {
                    self.length = self.length.max(end);
                }
            }
            Op::SetLength(_, new) if length => {
                self.length = *new as usize;
                self.bytes.resize(self.length, 0);
            }
            _ => {}
        }
    }
}

impl Folder {
    fn name(&mut self, operation: &Op) {
        match operation {
            Op::MakeFolder(path) => {
                self.folders.insert(path.clone());
            }
            Op::RemoveFolder(path) => {
                self.folders.remove(path);
            }
            Op::MakeFile(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            Op::Rename(from, to) => {
                rename(&mut self.files, from, to);
                let folders = std::mem::take(&mut self.folders);
                self.folders = folders.into_iter().map(|path| moved(path, from, to)).collect();
            }
            Op::Unlink(path) => {
                self.files.remove(path);
            }
            _ => {}
        }
    }

    fn save(&self, target: &Path) -> std::io::Result<()> {
        if target.exists() {
            std::fs::remove_dir_all(target)?;
        }
        std::fs::create_dir_all(target)?;
        for folder in &self.folders {
            std::fs::create_dir_all(target.join(folder))?;
        }
        for (path, file) in &self.files {
            let target = std::fs::File::create(target.join(path))?;
            if let Some(content) = self.contents.get(file) {
                let length = content.length.min(content.bytes.len());
                target.write_all_at(&content.bytes[..length], 0)?;
                target.set_len(content.length as u64)?;
            }
        }
        Ok(())
    }
}

/// Gives files another name, and all files below a folder.
pub(crate) fn rename(files: &mut BTreeMap<PathBuf, FileId>, from: &Path, to: &Path) {
    let (named, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::mem::take(files).into_iter().partition(|(path, _)| path.starts_with(from));
    *files = others;
    files.extend(named.into_iter().map(|(path, file)| (moved(path, from, to), file)));
}

fn moved(path: PathBuf, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        // `join("")` would add a slash.
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files after a cut behind these operations, by name.
    fn after(operations: &[Op], later: Later) -> Vec<(String, String)> {
        let target = std::env::temp_dir().join(format!("powercut-folder-{}", fastrand::u64(..)));
        build(operations, later, &mut fastrand::Rng::with_seed(1), &target).unwrap();
        let mut found: Vec<_> = std::fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(&path).unwrap())
            })
            .collect();
        std::fs::remove_dir_all(&target).unwrap();
        found.sort();
        found
    }

    fn files(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn only_what_was_synced_is_sure() {
        let operations = [
            Op::MakeFile("a".into(), 0),
            Op::Write(0, 0, b"one".to_vec()),
            Op::Sync(Some(0), 2),
            Op::Write(0, 3, b" two".to_vec()),
            Op::Rename("a".into(), "b".into()),
        ];
        assert_eq!(after(&operations[..2], Later::None), []);
        assert_eq!(after(&operations, Later::None), files(&[("a", "one")]));
        assert_eq!(after(&operations, Later::All), files(&[("b", "one two")]));
    }

    #[test]
    fn half_of_the_later_writes_never_leave_a_hole_in_what_was_appended() {
        let operations: Vec<Op> = [Op::MakeFile("a".into(), 0), Op::Sync(None, 1)]
            .into_iter()
            .chain((0..40).map(|n| Op::Write(0, n * 1000, vec![1; 1000])))
            .collect();
        let target = std::env::temp_dir().join(format!("powercut-holes-{}", std::process::id()));
        let mut lengths = BTreeSet::new();
        for seed in 0..50 {
            let mut dice = fastrand::Rng::with_seed(seed);
            build(&operations, Later::Half, &mut dice, &target).unwrap();
            let content = std::fs::read(target.join("a")).unwrap();
            assert!(content.iter().all(|byte| *byte == 1));
            lengths.insert(content.len());
        }
        std::fs::remove_dir_all(&target).unwrap();
        assert!(lengths.len() > 5 && lengths.contains(&0) && lengths.contains(&40_000));
    }

    #[test]
    fn a_sync_covers_what_was_done_before_it_began_and_of_its_file_only() {
        let operations = [
            Op::MakeFile("a".into(), 0),
            Op::MakeFile("b".into(), 1),
            Op::Write(0, 0, b"a".to_vec()),
            Op::Write(1, 0, b"b".to_vec()),
            Op::Write(0, 1, b"late".to_vec()),
            Op::Sync(Some(0), 4),
        ];
        assert_eq!(after(&operations, Later::None), files(&[("a", "a"), ("b", "")]));
    }
}
