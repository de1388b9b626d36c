//! How much is kept: the limit, and what goes when it is reached.
//!
//! The oldest of the lowest class goes first, a piece at a time, so that gaps are told in large pieces.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::BufferError;
use super::contents::{Books, UNTOLD_PREFIX, header};
use super::cursor::Cursor;
use super::cursors::Cursors;
use super::record;
use super::reserve::free_bytes;
use super::store::{Area, Changes, Store, meta_key};
use crate::reading::{At, Class, EntryId, GapReason};

/// What is freed at once when the log is full, as a share of its limit. Larger pieces would be fewer gaps to tell of, and
/// larger files: they never get smaller by themselves.
const FREE_SHARE: u64 = 200;
/// And when the disk is full.
const ROOM_SHARE: u64 = 20;
/// And at most so much: nobody else is served meanwhile.
const FREE_MOST: u64 = 8 << 20;
/// The database's files are up to two and a half times as large as its chunks.
const FILE_FACTOR_TENTHS: u64 = 25;
/// The log may take so much of what is free on the disk.
const FREE_SPACE_SHARE: u64 = 4;
/// However full the disk is, some minutes are always kept.
const LEAST_LIMIT: u64 = 1 << 20;

/// How large the log may be now: as configured, or less when the disk has no room for that. What its files have already
/// it keeps.
pub(super) fn limit(configured: u64, data_dir: &Path, bytes_on_disk: u64) -> u64 {
    let Some(free) = free_bytes(data_dir) else { return configured };
    let affordable =
        (bytes_on_disk + free / FREE_SPACE_SHARE).saturating_mul(10) / FILE_FACTOR_TENTHS;
    configured.min(affordable.max(bytes_on_disk / 2)).max(LEAST_LIMIT.min(configured))
}

/// What is freed at once of a full log.
pub(super) fn piece(limit: u64) -> u64 {
    (limit / FREE_SHARE).min(FREE_MOST)
}

/// What is freed at once on a full disk, of so many bytes.
pub(super) fn room(bytes: u64) -> u64 {
    (bytes / ROOM_SHARE).min(FREE_MOST)
}

/// Entries that were dropped before somebody had them. Stored with the commit that drops them, until the gap event that
/// tells of them is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lost {
    pub(super) first: EntryId,
    pub(super) last: EntryId,
    pub(super) count: u64,
    pub(super) reason: GapReason,
    /// Counted when it happened.
    #[serde(skip)]
    pub(super) by_sink: BTreeMap<String, u64>,
}

impl Lost {
    /// To be told, from this commit on and until it is.
    pub(super) fn put(&self, changes: &mut Changes) {
        // A few numbers and names of sinks: it can be written.
        if let Ok(text) = serde_json::to_vec(self) {
            changes.put.push((meta_key(&untold_name(self.first)), text.into()));
        }
    }
}

/// The name under which a loss is kept until it is told.
pub(super) fn untold_name(first: EntryId) -> String {
    format!("{UNTOLD_PREFIX}{:016x}", first.0)
}

/// What goes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) books: Books,
    pub(super) dropped: u64,
    /// Everything of a class before this is gone, when something is dropped.
    pub(super) gone_before: EntryId,
    pub(super) lost: Vec<Lost>,
}

/// Who wants what, and what must stay.
pub(super) struct Keep<'a> {
    pub(super) cursors: &'a Cursors,
    /// Sinks of this run; cursors of sinks that were taken out of the configuration hold nothing.
    pub(super) registered: &'a BTreeSet<String>,
    /// Chunks that this commit writes: they stay.
    pub(super) being_written: [EntryId; Class::ALL.len()],
}

/// Chooses what to drop until at most `goal` bytes are left, and whatever `too_old` says. `books` are those with this
/// commit's changes.
pub(super) fn plan(
    store: &Store,
    books: Books,
    goal: u64,
    keep: &Keep<'_>,
    too_old: impl Fn(&At) -> bool,
    changes: &mut Changes,
) -> Result<Plan, BufferError> {
    let mut plan = Plan { books, ..Plan::default() };
    for (class, being_written) in Class::ALL.into_iter().zip(keep.being_written) {
        let area = Area::Chunks(class);
        let mut chunks = store.area(area, 0).peekable();
        loop {
            let full = plan.books.bytes > goal;
            let Some((first, bytes)) = chunks.next().transpose()? else { break };
            // The newest one always stays: it tells where the log goes on.
            let Some(Ok((next, behind))) = chunks.peek() else { break };
            if EntryId(first) >= being_written {
                break;
            }
            let reason = if full {
                GapReason::BufferFull
            } else if header(behind).is_ok_and(|behind| too_old(&behind.at)) {
                GapReason::TooOld
            } else {
                break;
            };
            plan.books.bytes = plan.books.bytes.saturating_sub(bytes.len() as u64);
            plan.note_loss(&bytes, reason, keep);
            changes.drop.push(area.key(first));
            plan.dropped += 1;
            plan.gone_before = plan.gone_before.max(EntryId(*next));
        }
    }
    Ok(plan)
}

impl Plan {
    fn note_loss(&mut self, bytes: &[u8], reason: GapReason, keep: &Keep<'_>) {
        // One that cannot be read was lost before.
        let Ok(header) = record::header(bytes) else { return };
        self.books.entries = self.books.entries.saturating_sub(header.count.into());
        let end = header.last.plus(1);
        let wanting: Vec<(&String, &Cursor)> = keep
            .cursors
            .iter()
            .filter(|(sink, _)| keep.registered.contains(*sink))
            .filter(|(_, cursor)| cursor.wanted(header.first, end) > 0)
            .collect();
        if wanting.is_empty() {
            return;
        }
        let ids: Vec<EntryId> =
            record::decode(bytes).into_iter().flatten().map(|entry| entry.id).collect();
        let wanted = |id: &&EntryId| wanting.iter().any(|(_, cursor)| cursor.wants(**id));
        let (Some(first), Some(last)) = (ids.iter().find(wanted), ids.iter().rfind(wanted)) else {
            return;
        };
        let fresh = Lost { first: *first, last: *last, count: 0, reason, by_sink: BTreeMap::new() };
        let at = self.lost.iter().position(|lost| lost.reason == reason);
        let at = at.unwrap_or_else(|| {
            self.lost.push(fresh);
            self.lost.len() - 1
        });
        let lost = &mut self.lost[at];
        lost.first = lost.first.min(*first);
        lost.last = lost.last.max(*last);
        lost.count += ids.iter().filter(wanted).count() as u64;
        for (sink, cursor) in wanting {
            let count = ids.iter().filter(|id| cursor.wants(**id)).count() as u64;
            *lost.by_sink.entry(sink.clone()).or_default() += count;
        }
    }
}
