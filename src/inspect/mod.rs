//! What operators ask of the buffer. `pulsegate buffer` on the folder of a stopped daemon and the local API of a running
//! one call the same functions, so that both say the same.

mod lines;
mod point;
mod select;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::buffer::{Buffer, BufferError, Cursor, Health, SinkReport};
use crate::format::samples::sample;
use crate::normalize::{self, Outgoing};
use crate::reading::{At, Class, ClockTrust, Entry, EntryId};
use crate::timeline::Timeline;

pub use lines::{LetterReport, Lines};
pub use point::{NotAPoint, Point};
pub use select::{BadParameter, Log, Selection};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no such sink.
    #[error("no sink {name:?} has ever delivered from here; there {}", known_sinks(.known))]
    NoSuchSink {
        /// As asked.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// There is no such entry.
    #[error("no entry {seq}: {why}")]
    NoSuchEntry {
        /// As asked.
        seq: EntryId,
        /// What is known of that place.
        why: String,
    },
    /// The buffer does not answer.
    #[error(transparent)]
    Buffer(#[from] BufferError),
}

fn known_sinks(known: &[String]) -> String {
    match known {
        [] => "is none yet".to_owned(),
        [one] => format!("is only {one:?}"),
        many => format!("are {}", many.join(", ")),
    }
}

/// An entry's place and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its place.
    pub seq: EntryId,
    /// Its time.
    pub ts: String,
    /// How far that can be believed.
    pub ts_quality: String,
}

/// What is kept, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How it is.
    pub health: Health,
    /// Entries kept.
    pub entries: u64,
    /// Size of the stored chunks.
    pub bytes: u64,
    /// What that size may become.
    pub limit_bytes: u64,
    /// Size of the files.
    pub bytes_on_disk: u64,
    /// First place that is not durable yet.
    pub committed: EntryId,
    /// The oldest entry; `null` when there is none, or the disk refuses.
    pub oldest: Option<Stamp>,
    /// The newest entry, likewise.
    pub newest: Option<Stamp>,
    /// How far each sink has come.
    pub sinks: Vec<SinkReport>,
}

/// One entry in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// As it leaves the box.
    pub sample: serde_json::Value,
    /// The boot that `mono_us` counts from.
    pub boot: String,
    /// Microseconds since that boot.
    pub mono_us: u64,
    /// Unix time minus `mono_us`, as the wall clock had it.
    pub wall_offset_us: i64,
    /// Whether the wall clock could be believed then.
    pub trust: ClockTrust,
    /// How long it is kept when there is no room.
    pub class: Class,
    /// By sink, whether it was taken.
    pub taken: BTreeMap<String, bool>,
}

/// What a check of every stored chunk has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Chunks read.
    pub chunks: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Entries in those that can be read.
    pub entries: u64,
    /// Those that cannot be read.
    pub bad: Vec<BadChunk>,
}

/// A stored chunk that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadChunk {
    /// Place of its first entry.
    pub first: EntryId,
    /// What is wrong with it.
    pub error: String,
}

/// Dead letters that are delivered once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requeued {
    /// Entries in them.
    pub entries: u64,
}

/// A cursor that was moved back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewound {
    /// Whose.
    pub sink: String,
    /// Where it stood.
    pub stood: Cursor,
    /// Everything from here on is delivered once more.
    pub to: EntryId,
    /// Places that the sink had taken and will get again.
    pub again: u64,
    /// Places that it will get now, all in all.
    pub waiting: u64,
}

/// What is kept, and for whom. A disk that refuses is told, and is no error. `configured_bytes` is the limit of a buffer
/// that has not looked at its disk.
///
/// # Errors
/// When the buffer is closed.
pub async fn report(buffer: &Buffer, configured_bytes: u64) -> Result<Report, BufferError> {
    let state = buffer.state().borrow().clone();
    let timeline = buffer.timeline().borrow().clone();
    let stamp = async |from: EntryId| match buffer.read(from, EntryId(u64::MAX), 1).await {
        Ok(entries) => entries.into_iter().next().map(|entry| stamp(&timeline, entry)).transpose(),
        Err(BufferError::Closed) => Err(BufferError::Closed),
        Err(_) => Ok(None),
    };
    Ok(Report {
        health: Health::of(&state),
        entries: state.entries,
        bytes: state.bytes,
        limit_bytes: if state.limit_bytes == 0 { configured_bytes } else { state.limit_bytes },
        bytes_on_disk: state.bytes_on_disk,
        committed: state.committed,
        oldest: stamp(EntryId(0)).await?,
        newest: stamp(EntryId(state.committed.0.saturating_sub(1))).await?,
        sinks: SinkReport::all(&state),
    })
}

/// One entry in full.
///
/// # Errors
/// When there is none at this place, or the buffer cannot be read.
pub async fn entry(buffer: &Buffer, gateway: &str, seq: EntryId) -> Result<Shown, InspectError> {
    let state = buffer.state().borrow().clone();
    let timeline = buffer.timeline().borrow().clone();
    let found = buffer.read(seq, seq.plus(1), 1).await?;
    let Some(entry) = found.into_iter().next() else {
        let oldest = buffer.read(EntryId(0), EntryId(u64::MAX), 1).await?;
        let why = match oldest.first() {
            None => "nothing is kept".to_owned(),
            Some(_) if seq >= state.committed => {
                format!("the log ends before {}", state.committed)
            }
            Some(oldest) if seq < oldest.id => {
                format!("it was dropped; the oldest that is kept is {}", oldest.id)
            }
            Some(_) => "this place holds nothing; an event `gap` in the log tells why".to_owned(),
        };
        return Err(InspectError::NoSuchEntry { seq, why });
    };
    let at = *entry.fact.at();
    let class = entry.fact.class();
    let outgoing = outgoing(&timeline, entry);
    let sample = serde_json::to_value(sample(gateway, &outgoing)).map_err(not_json)?;
    let taken = state.cursors.iter().map(|(name, cursor)| (name.clone(), !cursor.wants(seq)));
    Ok(Shown {
        sample,
        boot: at.boot.to_string(),
        mono_us: at.mono_us,
        wall_offset_us: at.wall_offset_us,
        trust: at.trust,
        class,
        taken: taken.collect(),
    })
}

/// Reads every stored chunk.
///
/// # Errors
/// When the database itself cannot be read.
pub async fn verify(buffer: &Buffer) -> Result<Checked, InspectError> {
    let verified = buffer.verify().await?;
    let bad = verified.bad.iter();
    let bad = bad.map(|bad| BadChunk { first: bad.first, error: bad.error.to_string() });
    Ok(Checked {
        chunks: verified.chunks,
        bytes: verified.bytes,
        entries: verified.entries,
        bad: bad.collect(),
    })
}

/// Has the dead letters of one sink, or of all, delivered once more.
///
/// # Errors
/// When there is no such sink, or the buffer cannot be used.
pub async fn requeue(buffer: &Buffer, sink: Option<&str>) -> Result<Requeued, InspectError> {
    if let Some(sink) = sink {
        must_know(buffer, sink)?;
    }
    Ok(Requeued { entries: buffer.requeue(sink).await? })
}

/// Has everything from a place or a time on delivered to this sink once more.
///
/// # Errors
/// When there is no such sink, or the buffer cannot be used.
pub async fn rewind(buffer: &Buffer, sink: &str, to: Point) -> Result<Rewound, InspectError> {
    must_know(buffer, sink)?;
    let to = place(buffer, to).await?;
    let stood = buffer.rewind(sink, to).await?;
    let state = buffer.state().borrow().clone();
    let waiting = state.waiting(sink);
    let mut before = state;
    before.cursors.insert(sink.to_owned(), stood.clone());
    let again = waiting.saturating_sub(before.waiting(sink));
    Ok(Rewound { sink: sink.to_owned(), stood, to, again, waiting })
}

/// The first place at a point.
async fn place(buffer: &Buffer, point: Point) -> Result<EntryId, BufferError> {
    match point {
        Point::Place(seq) => Ok(seq),
        Point::Time(unix_us) => buffer.place_at(unix_us).await,
    }
}

/// A sink without a cursor may have dead letters all the same: of a configuration before.
fn must_know(buffer: &Buffer, name: &str) -> Result<(), InspectError> {
    let state = buffer.state();
    let state = state.borrow();
    if state.cursors.contains_key(name) || state.letters.contains_key(name) {
        return Ok(());
    }
    let known = state.cursors.keys().cloned().collect();
    Err(InspectError::NoSuchSink { name: name.to_owned(), known })
}

fn stamp(timeline: &Timeline, entry: Entry) -> Result<Stamp, BufferError> {
    let seq = entry.id;
    let sample = serde_json::to_value(sample("", &outgoing(timeline, entry))).map_err(not_json)?;
    let text = |key: &str| sample[key].as_str().unwrap_or_default().to_owned();
    Ok(Stamp { seq, ts: text("ts"), ts_quality: text("ts_quality") })
}

/// The entry as sinks get it.
fn outgoing(timeline: &Timeline, entry: Entry) -> Outgoing {
    normalize::outgoing(entry, timeline)
}

/// When something was, in Unix microseconds, by corrected time.
fn unix_us(timeline: &Timeline, at: &At) -> i64 {
    timeline.place(at).unix_us
}

fn not_json(error: serde_json::Error) -> BufferError {
    BufferError::Store { doing: "writing an entry as JSON", source: Box::new(error) }
}
