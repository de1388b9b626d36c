//! Opening: what the disk says becomes a writer, and ids are set aside before anybody is told one.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::packing::Packing;
use super::refusal::Refusal;
use super::{Notes, Writer};
use crate::buffer::contents::Contents;
use crate::buffer::cursors::{CursorFile, Kept};
use crate::buffer::ladder::{self, Known, Opened};
use crate::buffer::lock::Lock;
use crate::buffer::reserve::Reserve;
use crate::buffer::state::State;
use crate::buffer::{BufferError, Options, Purpose, SET_ASIDE, Shared, audit, salvage};
use crate::clock::Clock;
use crate::reading::EntryId;

/// A disk that was full may take the second attempt, one that failed the third.
const FIRST_ATTEMPTS: usize = 3;

impl Writer {
    pub(in crate::buffer) fn open(options: &Options) -> Result<Self, BufferError> {
        let data_dir = &options.data_dir;
        if options.purpose != Purpose::Inspect {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
            made.map_err(|source| BufferError::Io {
                doing: "creating",
                path: data_dir.clone(),
                source,
            })?;
        }
        if options.purpose == Purpose::Inspect {
            ladder::is_there(data_dir).then_some(()).ok_or_else(|| BufferError::Io {
                doing: "looking for a buffer in",
                path: data_dir.clone(),
                source: std::io::ErrorKind::NotFound.into(),
            })?;
        }
        let lock = Lock::take(data_dir)?;
        let reserve = Reserve::new(data_dir, options.max_bytes);
        let cursor_path = data_dir.join("cursors");
        let (cursor_file, kept) = CursorFile::open(&cursor_path).map_err(|source| {
            BufferError::Io { doing: "opening", path: cursor_path.clone(), source }
        })?;
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| {
            // Ids that were given and not stored are behind the newest entry, by no more than was set aside.
            let end = salvage::end(&ladder::database(data_dir));
            let set_aside = end.map_or(EntryId(0), |end| end.plus(2 * SET_ASIDE));
            Kept { set_aside, ..Kept::default() }
        });
        let mut of_this_run = kept.sinks.clone();
        of_this_run.retain(|sink, _| options.sinks.is_empty() || options.sinks.contains(sink));
        let wanted = audit::lowest(&of_this_run);
        let from_file = Known { end: kept.end, free: kept.set_aside, wanted };
        let opened = match options.purpose {
            Purpose::Inspect => ladder::open_as_it_is(data_dir, from_file)?,
            Purpose::Collect | Purpose::Repair => match ladder::open(data_dir, from_file) {
                Err(BufferError::Full { .. }) => {
                    reserve.release();
                    ladder::open(data_dir, from_file)?
                }
                opened => opened?,
            },
        };
        let Opened { store, mut contents } = opened;
        let quarantined = ladder::quarantined(data_dir);
        let begun = quarantined.last().map_or(EntryId(0), |damaged| damaged.end);
        let set_aside = match known {
            true => contents.set_aside.max(kept.set_aside).max(begun),
            // Made up for the case that there was no database.
            false if contents.end.is_some() => contents.set_aside.max(begun),
            false => kept.set_aside.max(begun),
        };
        let nothing_yet = contents.end.is_none() && quarantined.is_empty();
        let newest = match contents.end {
            Some(end) => end,
            None if nothing_yet && !known => options.first,
            // Killed before the first entry was stored, or the database was taken away: what was set aside last holds
            // nothing.
            None if nothing_yet => kept.end.max(EntryId(set_aside.0.saturating_sub(SET_ASIDE))),
            // The log was begun anew: whatever is missing is told when the old one has been searched.
            None => set_aside,
        };
        if nothing_yet {
            contents.audit_from = contents.audit_from.max(newest);
        }
        let next = newest.max(set_aside);
        let unclean = (next > newest).then(|| (newest, EntryId(next.0 - 1)));
        let version = kept.version.max(contents.cursors_version);
        if kept.version > contents.cursors_version {
            contents.cursors.extend(kept.sinks);
        } else {
            for (sink, cursor) in kept.sinks {
                contents.cursors.entry(sink).or_insert(cursor);
            }
        }
        let Contents { books, oldest, cursors, lost, unused, timeline, letters, .. } = contents;
        let mut writer = Self {
            _lock: lock,
            options: options.clone(),
            reserve,
            refusal: Refusal::new(),
            cursor_file,
            cursor_file_due: None,
            cursor_file_failed: false,
            state: watch::Sender::new(State {
                committed: if options.purpose == Purpose::Inspect { newest } else { next },
                oldest: oldest.unwrap_or(next),
                entries: books.entries,
                bytes: books.bytes,
                bytes_on_disk: store.size_on_disk(),
                cursors: cursors.clone(),
                lost: lost.clone(),
                unused,
                letters,
                ..State::default()
            }),
            set_aside: watch::Sender::new(next),
            published_timeline: watch::Sender::new(Arc::new(timeline.clone())),
            timeline,
            unclean: None,
            pending: VecDeque::new(),
            room_held: 0,
            next,
            end: contents.end.unwrap_or_default(),
            packing: Packing::default(),
            books,
            audit_from: contents.audit_from,
            limit: options.max_bytes,
            looked: Instant::now(),
            nearly_full: false,
            unreadable: BTreeSet::new(),
            cursors,
            cursors_version: version,
            cursors_in_file: kept.version,
            cursors_in_database: contents.cursors_version,
            registered: options.sinks.iter().cloned().collect(),
            lost,
            untold: contents.untold.into_iter().map(|lost| (lost, None)).collect(),
            erased: contents.erased,
            letter_bytes: contents.letter_bytes,
            next_letter: contents.next_letter,
            requeued: contents.requeued,
            notes: Notes::default(),
            salvage: None,
            salvage_run: 0,
            salvage_again: None,
            stop_salvage: Arc::default(),
            salvage_told: None,
            store: Some(store),
        };
        if let Some((id, at)) = contents.newest {
            writer.note_time(id, &at);
        }
        if options.purpose != Purpose::Inspect {
            if let Some((first, last)) = unclean {
                writer.unclean = unclean;
                writer.notes.unused.push((first, last));
                writer.state.send_modify(|state| {
                    state.unused.retain(|(before, _)| *before < first);
                    state.unused.push((first, last));
                });
            }
            writer.notes.everything = true;
        }
        Ok(writer)
    }

    /// Sets ids aside and makes sure that the disk takes something, before anybody relies on it.
    pub(in crate::buffer) fn begin(
        &mut self,
        shared: &Arc<Shared>,
        clock: &Clock,
    ) -> Result<(), BufferError> {
        if self.options.purpose == Purpose::Inspect {
            return Ok(());
        }
        self.look_around();
        for _ in 0..FIRST_ATTEMPTS {
            self.refusal.next_try = Instant::now();
            self.commit(shared, clock)?;
            if self.store.is_some() {
                return Ok(());
            }
        }
        // Nothing can be stored at the moment. Where at least the small file beside the database takes what ids are set
        // aside (it has its blocks already), collecting begins in memory.
        let set_aside = self.next.plus(SET_ASIDE);
        if !self.write_cursor_file(Some(set_aside)) {
            return Err(self.unavailable());
        }
        self.give_ids_up_to(set_aside, shared);
        Ok(())
    }

    /// Ids are set aside on disk up to here, and may be given.
    pub(super) fn give_ids_up_to(&self, set_aside: EntryId, shared: &Shared) {
        shared.queue().limit = set_aside;
        self.set_aside.send_replace(set_aside);
    }

    pub(in crate::buffer) fn next(&self) -> EntryId {
        self.next
    }
}
