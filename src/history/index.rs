//! What the history holds, in short: so that a list of thousands of activities reads one file, and not thousands.
//!
//! `index.ndjson` has a line for each activity; of several of the same the last one counts. It is written to, and synced,
//! before an activity takes its place, and it is only ever believed of activities that have one: a line without a
//! document says nothing, and a document without a line is read itself. So a crash at any moment, a torn line, or no index
//! at all make a list slower, never wrong. It is written anew when it lacks an activity or is mostly of the past.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tracing::warn;

use super::{History, HistoryError, Listed, Scratch, disk};
use crate::activity::{ActivityId, UnixMs, in_words};
use crate::athlete::AthleteId;

/// Lines of the past that are not worth writing it anew.
const SPARE: usize = 256;

/// Which activities a list shall hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Those that began then or later.
    pub since: Option<UnixMs>,
    /// So many of them, the latest.
    pub limit: Option<usize>,
    /// Those that ended after this.
    pub ended_after: Option<UnixMs>,
    /// Those that began before this.
    pub began_before: Option<UnixMs>,
    /// Those of this athlete.
    pub whose: Option<AthleteId>,
}

impl Wanted {
    fn holds(&self, head: &Head) -> bool {
        self.since.is_none_or(|since| head.start >= since)
            && self.ended_after.is_none_or(|after| head.end() > after)
            && self.began_before.is_none_or(|before| head.start < before)
            && self.whose.is_none_or(|whose| head.whose == Some(whose))
    }
}

/// What is looked at of each line.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Head {
    activity: ActivityId,
    #[serde(with = "in_words")]
    start: UnixMs,
    elapsed_s: Option<f64>,
    /// It has to be there: a line of a release that did not write it says nothing, and its document is asked.
    #[serde(deserialize_with = "Option::deserialize")]
    whose: Option<AthleteId>,
}

impl Head {
    fn end(&self) -> UnixMs {
        let ms = self.elapsed_s.unwrap_or(0.0) * 1000.0;
        // What is rounded in one place and not in the other is still looked at.
        self.start.plus_ms((ms.ceil() as i64).saturating_add(1))
    }
}

impl From<&Listed> for Head {
    fn from(listed: &Listed) -> Self {
        let Listed { whose, summary, .. } = listed;
        let (activity, start) = (summary.activity, summary.start);
        Self { activity, start, elapsed_s: summary.elapsed_s, whose: *whose }
    }
}

/// Where an activity is told of.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In the index: from which byte, how many.
    Line { at: u64, length: usize },
    /// Only in its own document.
    Document,
}

/// The index, open.
struct Index {
    file: Option<File>,
    lines: usize,
    places: HashMap<ActivityId, (Head, Place)>,
}

impl Index {
    /// Reads where each activity is told of. What is no line of it is passed over.
    fn read(path: &Path) -> Result<Self, HistoryError> {
        let mut index = Self { file: None, lines: 0, places: HashMap::new() };
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(index),
            opened => opened.map_err(HistoryError::disk("opening", path))?,
        };
        let (mut reader, mut at, mut line) = (BufReader::new(&file), 0, Vec::new());
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line);
            let length = read.map_err(HistoryError::disk("reading", path))?;
            if length == 0 {
                break;
            }
            if let Ok(head) = serde_json::from_slice::<Head>(&line) {
                index.lines += 1;
                index.places.insert(head.activity, (head, Place::Line { at, length }));
            }
            at += length as u64;
        }
        index.file = Some(file);
        Ok(index)
    }

    fn line(&self, path: &Path, at: u64, length: usize) -> Result<Vec<u8>, HistoryError> {
        let mut line = vec![0; length];
        if let Some(file) = &self.file {
            file.read_exact_at(&mut line, at).map_err(HistoryError::disk("reading", path))?;
        }
        Ok(line)
    }
}

impl History {
    fn index(&self) -> PathBuf {
        self.folder.join("index.ndjson")
    }

    /// The latest activities first. One that cannot be understood is left out, with a warning.
    ///
    /// # Errors
    /// When the folder cannot be read. One that is not there is empty.
    pub fn list(&self, wanted: &Wanted) -> Result<Vec<Listed>, HistoryError> {
        let path = self.index();
        let index = Index::read(&path)?;
        let mut found = Vec::new();
        for id in self.ids()? {
            let known = index.places.get(&id).copied();
            let known = match known {
                Some(known) => Some(known),
                None => self.document(id)?.map(|listed| (Head::from(&listed), Place::Document)),
            };
            found.extend(known.filter(|(head, _)| wanted.holds(head)));
        }
        found.sort_by_key(|(head, _)| std::cmp::Reverse((head.start, head.activity)));
        found.truncate(wanted.limit.unwrap_or(usize::MAX));
        let mut listed = Vec::with_capacity(found.len());
        for (Head { activity: id, .. }, place) in found {
            let line = match place {
                Place::Line { at, length } => index.line(&path, at, length)?,
                Place::Document => Vec::new(),
            };
            match serde_json::from_slice(&line) {
                Ok(line) => listed.push(line),
                // Its document knows better.
                Err(_) => listed.extend(self.document(id)?),
            }
        }
        Ok(listed)
    }

    /// Adds what is told of an activity. It is durable when this returns.
    pub(super) fn note(&self, listed: &Listed) -> Result<(), HistoryError> {
        let path = self.index();
        let mut options = OpenOptions::new();
        let opened = options.append(true).create(true).mode(0o600).open(&path);
        let mut file = opened.map_err(HistoryError::disk("opening", &path))?;
        // What a crash has torn ends here; an empty line says nothing.
        let text = format!("\n{}", line(listed));
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(HistoryError::disk("writing", &path))
    }

    /// Writes the index anew, if it lacks an activity or is mostly of the past.
    pub(super) fn tidy_index(&self) -> Result<(), HistoryError> {
        let path = self.index();
        let index = Index::read(&path)?;
        let ids = self.ids()?;
        let is_complete = ids.iter().all(|id| index.places.contains_key(id));
        if is_complete && index.lines <= 2 * ids.len() + SPARE {
            return Ok(());
        }
        self.renew_index()
    }

    /// Writes the index anew, of what has a document.
    pub(super) fn renew_index(&self) -> Result<(), HistoryError> {
        let path = self.index();
        let index = Index::read(&path)?;
        let ids = self.ids()?;
        let scratch = Scratch::new(&self.folder)?;
        let mut out = BufWriter::new(&scratch.file);
        for id in ids {
            let text = match index.places.get(&id) {
                Some((_, Place::Line { at, length })) => index.line(&path, *at, *length)?,
                _ => {
                    self.document(id)?.map(|listed| line(&listed).into_bytes()).unwrap_or_default()
                }
            };
            out.write_all(&text).map_err(HistoryError::disk("writing", &path))?;
        }
        out.flush().map_err(HistoryError::disk("writing", &path))?;
        drop(out);
        scratch.keep(&path)
    }

    /// The activities that have a document, by the names of those.
    fn ids(&self) -> Result<Vec<ActivityId>, HistoryError> {
        let paths = disk::documents(&self.activities())?;
        let id = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok().map(ActivityId);
        Ok(paths.iter().filter_map(id).collect())
    }

    fn document(&self, id: ActivityId) -> Result<Option<Listed>, HistoryError> {
        let kept = self.get(id)?;
        if kept.is_none() {
            warn!(activity = %id, "cannot be understood, is left out");
        }
        Ok(kept.as_ref().map(Listed::from))
    }
}

fn line(listed: &Listed) -> String {
    serde_json::to_string(listed).expect("plain numbers and texts become JSON") + "\n"
}
