//! Erasing entries: the database is made anew without them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::info;

use super::Writer;
use super::packing::Packing;
use crate::buffer::erase::{Erased, Eraser};
use crate::buffer::ladder;
use crate::buffer::places::Places;
use crate::buffer::reserve::free_bytes;
use crate::buffer::{BufferError, Purpose, Shared};
use crate::clock::Clock;

/// A new database's files are up to so many times as large as what is in them, while they are filled.
const ROOM_FACTOR: u64 = 3;
/// What an empty one takes.
const ROOM_LEAST: u64 = 4 << 20;

impl Writer {
    /// Makes the database anew without the entries at these places.
    pub(super) fn erase(
        &mut self,
        places: &Places,
        shared: &Arc<Shared>,
        clock: &Clock,
    ) -> Result<Erased, BufferError> {
        if self.options.purpose == Purpose::Inspect {
            return Err(BufferError::NotCollecting);
        }
        // What waits is in the old database, so that the new one is all there is.
        self.commit(shared, clock)?;
        if self.store.is_none() {
            return Err(self.unavailable());
        }
        self.can_be_made_anew()?;
        self.store = None;
        self.packing = Packing::default();
        let mut eraser = Eraser::new(places);
        let alive = || {
            shared.pieces.fetch_add(1, Ordering::Relaxed);
        };
        let data_dir = &self.options.data_dir;
        let copied =
            ladder::replace(data_dir, self.known(), |old, new| eraser.copy(old, new, alive));
        let opened = match copied {
            Ok(opened) => opened,
            Err(error) => {
                // The old one is as it was, unless the disk fails altogether.
                let old = ladder::open(data_dir, self.known());
                self.go_on_with(old, shared);
                return Err(error);
            }
        };
        let is_damaged = !ladder::quarantined(data_dir).is_empty();
        let oldest = opened.contents.oldest.unwrap_or(self.next);
        let (erased, gaps, erased_places) = eraser.done();
        if !is_damaged {
            self.erased.add_all(erased_places);
            self.untold.extend(gaps.into_iter().map(|gap| (gap, None)));
        }
        self.adopt(opened, shared);
        if is_damaged {
            return Err(BufferError::PuttingBack);
        }
        let books = self.books;
        self.state.send_modify(|state| {
            state.erasures += 1;
            state.oldest = oldest;
            (state.entries, state.bytes) = (books.entries, books.bytes);
        });
        // Numbers only: whoever was forgotten is not told of in a log.
        info!(readings = erased.readings, events = erased.events, "entries were erased for good");
        Ok(erased)
    }

    fn can_be_made_anew(&self) -> Result<(), BufferError> {
        let data_dir = &self.options.data_dir;
        if !ladder::quarantined(data_dir).is_empty() {
            return Err(BufferError::PuttingBack);
        }
        let needed = ROOM_FACTOR * self.books.bytes + ROOM_LEAST;
        match free_bytes(data_dir) {
            Some(free) if free < needed => Err(BufferError::NoRoom {
                needed_mb: needed.div_ceil(1 << 20),
                free_mb: free >> 20,
            }),
            _ => Ok(()),
        }
    }
}
