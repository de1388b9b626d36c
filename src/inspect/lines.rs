//! Entries and dead letters as lines of JSON, a piece at a time: however long the log is, little of it is in memory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{InspectError, Log, Selection, must_know, not_json, outgoing, place, unix_us};
use crate::buffer::{Buffer, BufferError, Fate, Letter};
use crate::format::samples::sample;
use crate::inspect::Point;
use crate::reading::{Entry, EntryId, EventKind, Fact, StrapId};
use crate::timeline::Timeline;

/// Entries read at once: half a megabyte of text.
const AT_ONCE: usize = 2000;

/// Letters read at once; one is a chunk at most.
const LETTERS_AT_ONCE: usize = 8;

/// Entries that a far side refused for good, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterReport {
    /// Its number.
    pub number: u64,
    /// Whose.
    pub sink: String,
    /// How many entries.
    pub count: u64,
    /// Place of the first.
    pub first: EntryId,
    /// Place of the last.
    pub last: EntryId,
    /// Why they were refused.
    pub reason: String,
    /// `kept`, or `requeued` to be delivered once more.
    pub state: Fate,
}

/// Lines of JSON.
pub struct Lines {
    buffer: Buffer,
    gateway: Arc<str>,
    timeline: Arc<Timeline>,
    source: Source,
    from: Option<Point>,
    to: Option<Point>,
    strap: Option<StrapId>,
    left: u64,
}

enum Source {
    Log { next: EntryId, end: EntryId },
    LetterEntries { next: u64, sink: Option<String> },
    Letters { next: u64, sink: Option<String> },
}

impl Lines {
    /// The entries that are selected and durable now, exactly as the file sink writes them.
    ///
    /// # Errors
    /// When there is no such sink, or the buffer cannot be read.
    pub async fn entries(
        buffer: &Buffer,
        gateway: &str,
        selection: Selection,
    ) -> Result<Self, InspectError> {
        let Selection { log, from, to, strap, limit } = selection;
        let source = match log {
            Log::Kept => {
                // What comes in meanwhile is left for the next time: else this would never end.
                let mut end = buffer.state().borrow().committed;
                if let Some(Point::Place(to)) = to {
                    end = end.min(to);
                }
                let next = place(buffer, from.unwrap_or(Point::Place(EntryId(0)))).await?;
                Source::Log { next, end }
            }
            Log::Rejected { sink } => {
                sink.as_deref().map_or(Ok(()), |sink| must_know(buffer, sink))?;
                Source::LetterEntries { next: 0, sink }
            }
        };
        let mut lines = Self::new(buffer, gateway, source);
        (lines.from, lines.to, lines.strap) = (from, to, strap);
        lines.left = limit.unwrap_or(u64::MAX);
        Ok(lines)
    }

    /// The dead letters of one sink, or of all: a [`LetterReport`] each.
    ///
    /// # Errors
    /// When there is no such sink.
    pub fn letters(buffer: &Buffer, sink: Option<String>) -> Result<Self, InspectError> {
        sink.as_deref().map_or(Ok(()), |sink| must_know(buffer, sink))?;
        Ok(Self::new(buffer, "", Source::Letters { next: 0, sink }))
    }

    fn new(buffer: &Buffer, gateway: &str, source: Source) -> Self {
        Self {
            buffer: buffer.clone(),
            gateway: gateway.into(),
            timeline: buffer.timeline().borrow().clone(),
            source,
            from: None,
            to: None,
            strap: None,
            left: u64::MAX,
        }
    }

    /// Some more lines, each with its end; `None` when that was all.
    ///
    /// # Errors
    /// When the buffer cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, BufferError> {
        let mut text = Vec::new();
        while text.is_empty() && self.left > 0 {
            match &mut self.source {
                Source::Log { next, end } => {
                    let entries = self.buffer.read(*next, *end, AT_ONCE).await?;
                    let Some(last) = entries.last() else { return Ok(None) };
                    *next = last.id.plus(1);
                    self.write(entries, &mut text)?;
                }
                Source::LetterEntries { next, sink } => {
                    let Some(letters) = some_letters(&self.buffer, next, sink).await? else {
                        return Ok(None);
                    };
                    for letter in letters {
                        self.write(letter.entries, &mut text)?;
                    }
                }
                Source::Letters { next, sink } => {
                    let Some(letters) = some_letters(&self.buffer, next, sink).await? else {
                        return Ok(None);
                    };
                    for letter in &letters {
                        put(&report(letter), &mut text)?;
                    }
                }
            }
        }
        Ok((!text.is_empty()).then_some(text))
    }

    fn write(&mut self, entries: Vec<Entry>, text: &mut Vec<u8>) -> Result<(), BufferError> {
        for entry in entries {
            if self.left > 0 && self.wants(&entry) {
                put(&sample(&self.gateway, &outgoing(&self.timeline, entry)), text)?;
                self.left -= 1;
            }
        }
        Ok(())
    }

    fn wants(&self, entry: &Entry) -> bool {
        let reached = |point: Point| match point {
            Point::Place(seq) => entry.id >= seq,
            Point::Time(us) => unix_us(&self.timeline, entry.fact.at()) >= us,
        };
        self.from.is_none_or(reached)
            && !self.to.is_some_and(reached)
            && self.strap.as_ref().is_none_or(|strap| strap_of(&entry.fact) == Some(strap))
    }
}

/// The next letters, those of this sink among them; `None` when there are no more.
async fn some_letters(
    buffer: &Buffer,
    next: &mut u64,
    sink: &Option<String>,
) -> Result<Option<Vec<Letter>>, BufferError> {
    let mut letters = buffer.letters(*next, LETTERS_AT_ONCE).await?;
    let Some(last) = letters.last() else { return Ok(None) };
    *next = last.number + 1;
    letters.retain(|letter| sink.as_ref().is_none_or(|sink| *sink == letter.sink));
    Ok(Some(letters))
}

fn report(letter: &Letter) -> LetterReport {
    let place = |entry: Option<&Entry>| entry.map(|entry| entry.id).unwrap_or_default();
    LetterReport {
        number: letter.number,
        sink: letter.sink.clone(),
        count: letter.entries.len() as u64,
        first: place(letter.entries.first()),
        last: place(letter.entries.last()),
        reason: letter.reason.clone(),
        state: letter.fate,
    }
}

fn put(line: &impl Serialize, text: &mut Vec<u8>) -> Result<(), BufferError> {
    serde_json::to_writer(&mut *text, line).map_err(not_json)?;
    text.push(b'\n');
    Ok(())
}

fn strap_of(fact: &Fact) -> Option<&StrapId> {
    match fact {
        Fact::Reading(reading) => Some(&reading.strap),
        Fact::Event(event) => match &event.kind {
            EventKind::StrapConnected { strap, .. }
            | EventKind::StrapLost { strap, .. }
            | EventKind::CheckedIn { strap, .. }
            | EventKind::CheckedOut { strap } => Some(strap),
            EventKind::Started { .. }
            | EventKind::Gap { .. }
            | EventKind::Activity(_)
            | EventKind::ClassBegan { .. }
            | EventKind::ClassEnded { .. }
            | EventKind::AthleteAgreed { .. }
            | EventKind::AthleteChanged { .. }
            | EventKind::AthleteWithdrew { .. }
            | EventKind::Requested { .. }
            | EventKind::Unknown => None,
        },
    }
}
