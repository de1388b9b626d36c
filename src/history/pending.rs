//! Activities whose event may or may not be in the log yet: how they are brought to their end.

use std::collections::HashMap;

use tracing::{info, warn};

use super::import::blocking;
use super::{HistoryError, Importer, Kept, Listed, disk};
use crate::activity::ActivityId;
use crate::buffer::BufferError;
use crate::reading::{EntryId, Event, EventKind, Fact};

/// Entries read at once.
const AT_ONCE: usize = 2000;

/// What has been given a place in the log by this process, and is perhaps not durable yet.
#[derive(Debug, Default)]
pub(super) struct InHand(HashMap<ActivityId, (String, EntryId)>);

impl Importer {
    /// Brings everything that is pending to its end: of a crash, or of a door that was closed half way.
    pub(super) async fn settle(&self, in_hand: &mut InHand) -> Result<(), HistoryError> {
        let history = self.history().clone();
        let found = blocking(move || {
            let mut found = Vec::new();
            for path in disk::documents(&history.pending())? {
                match disk::load(&path)? {
                    Some(kept) => found.push(kept),
                    // Written by a later release: it stays for that.
                    None => warn!(path = %path.display(), "cannot be understood, stays"),
                }
            }
            // What was being linked first: then who has it linked finds that done.
            found.sort_by_key(|kept: &Kept| !kept.links.is_empty());
            Ok(found)
        })
        .await?;
        for kept in found {
            let place = match in_hand.of(&kept) {
                Some(place) => Some(place),
                None => self.place_in_log(&kept).await?,
            };
            match place {
                Some(seq) => info!(activity = %kept.activity.id, %seq, "was in the log already"),
                None => info!(activity = %kept.activity.id, "was not in the log yet"),
            }
            self.finish(kept, place, in_hand).await?;
        }
        Ok(())
    }

    /// Notes an activity in the log, if it is not there, waits until that is durable, and then gives it its place in the
    /// history, and links to it what it is the better recording of.
    pub(super) async fn finish(
        &self,
        mut kept: Kept,
        place: Option<EntryId>,
        in_hand: &mut InHand,
    ) -> Result<(), HistoryError> {
        let (id, links) = (kept.activity.id, std::mem::take(&mut kept.links));
        let better = kept.same_as.unwrap_or(id);
        self.put(kept, place, in_hand).await?;
        for lesser in links {
            let history = self.history().clone();
            let tried_from = self.buffer().state().borrow().committed;
            let begin = move || history.begin_link(lesser, better, tried_from);
            let Some(kept) = blocking(begin).await? else { continue };
            self.put(kept, None, in_hand).await?;
            self.settled(lesser).await?;
            info!(activity = %lesser, same_as = %better, "is of the same workout");
        }
        self.settled(id).await
    }

    /// Gives a pending activity its place in the log and in the history.
    async fn put(
        &self,
        mut kept: Kept,
        place: Option<EntryId>,
        in_hand: &mut InHand,
    ) -> Result<(), HistoryError> {
        let place = match place {
            Some(place) => place,
            None => {
                let kind = EventKind::Activity(Box::new(kept.summary()));
                let place = self.tell(kind).await?;
                in_hand.0.insert(kept.activity.id, (kept.sha256.clone(), place));
                place
            }
        };
        self.buffer().flush();
        let durable = self.buffer().durable(place).await;
        if matches!(durable, Err(BufferError::NotStored)) {
            in_hand.0.remove(&kept.activity.id);
        }
        durable?;
        kept.seq = Some(place);
        let id = kept.activity.id;
        let history = self.history().clone();
        blocking(move || {
            history.note(&Listed::from(&kept))?;
            disk::save(&history.activities().join(format!("{id}.json")), &kept)
        })
        .await?;
        in_hand.0.remove(&id);
        Ok(())
    }

    /// It is not pending any more.
    async fn settled(&self, id: ActivityId) -> Result<(), HistoryError> {
        let path = self.history().pending().join(format!("{id}.json"));
        blocking(move || disk::remove(&path)).await
    }

    /// Looks for the event of an activity in the log, from where the log ended before it was first written.
    async fn place_in_log(&self, kept: &Kept) -> Result<Option<EntryId>, HistoryError> {
        let mut state = self.buffer().state();
        // It may be among what is still being put back out of a damaged database.
        let searched = state.wait_for(|state| {
            state.salvaging_before.is_none_or(|before| before <= kept.tried_from)
        });
        let until = match self.stop().run_until_cancelled(searched).await {
            None => return Err(HistoryError::Stopping),
            Some(state) => state.map_err(|_| BufferError::Closed)?.committed,
        };
        let mut reader = self.buffer().reader();
        let mut from = kept.tried_from;
        loop {
            let entries = reader.read(from, until, AT_ONCE).await?;
            let Some(last) = entries.last() else { return Ok(None) };
            from = last.id.plus(1);
            let mine = entries.iter().find(|entry| match &entry.fact {
                Fact::Event(Event { kind: EventKind::Activity(summary), .. }) => {
                    let of = (summary.activity, &summary.sha256, summary.same_as);
                    of == (kept.activity.id, &kept.sha256, kept.same_as)
                }
                _ => false,
            });
            if let Some(entry) = mine {
                return Ok(Some(entry.id));
            }
        }
    }
}

impl InHand {
    fn of(&self, kept: &Kept) -> Option<EntryId> {
        let (sha256, place) = self.0.get(&kept.activity.id)?;
        (*sha256 == kept.sha256).then_some(*place)
    }
}
