//! Recordings of one workout find each other when one of them comes in: which one is the better, and whose they are then.
//! What makes two of them one is known elsewhere ([`twin`]).

use std::cmp::Reverse;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Bounds, History, HistoryError, Kept, Listed, Wanted, disk};
use crate::activity::{ActivityId, Item};
use crate::fit::Class;
use crate::normalize::twin::{self, Curve, SHIFT_MAX_S, Verdict, Whose};
use crate::reading::EntryId;

/// Recordings that are read to find those of the same workout: as many straps as a class has. Of more, those that it has
/// most time in common with.
const READ_MAX: usize = 64;

/// Finds recordings of the same workout.
pub(super) struct Search<'a> {
    pub(super) history: &'a History,
    pub(super) bounds: &'a Bounds,
    pub(super) stop: &'a CancellationToken,
}

impl Search<'_> {
    /// Notes in something that comes in which better recording of the same workout there is, or which lesser ones there are
    /// to be linked to it; and whose it is by that. Its original has to be in its place.
    pub(super) fn link(&self, kept: &mut Kept) -> Result<(), HistoryError> {
        let near = self.near(kept)?;
        let mut twins: Vec<&Listed> = Vec::new();
        let mut ours = None;
        for listed in near.iter().filter(|listed| may_be(kept, listed)).take(READ_MAX) {
            let Some(theirs) = self.history.get(listed.summary.activity)? else { continue };
            let ours = match &ours {
                Some(ours) => ours,
                None => ours.insert(self.curve(kept)?),
            };
            let whose = match (kept.whose(), theirs.whose()) {
                (Some(one), Some(other)) if one == other => Whose::OnePersons,
                _ => Whose::Unknown,
            };
            if let Verdict::Same { .. } = twin::compare(ours, &self.curve(&theirs)?, whose) {
                twins.push(listed);
            }
        }
        let Some(first) = twins.first() else { return Ok(()) };
        let mut owners: Vec<_> = twins.iter().filter_map(|listed| listed.whose).collect();
        owners.dedup();
        if owners.len() > 1 || twins.iter().any(|one| !may_be_beside(first, one)) {
            // Whose it is would be a guess.
            info!(activity = %kept.activity.id, "may be of several workouts, is linked to none");
            return Ok(());
        }
        self.choose(kept, &near, &twins)
    }

    /// Which one is the better, and who has to be linked to it.
    fn choose(
        &self,
        kept: &mut Kept,
        near: &[Listed],
        twins: &[&Listed],
    ) -> Result<(), HistoryError> {
        let mut all: Vec<ActivityId> = Vec::new();
        for listed in twins {
            let summary = &listed.summary;
            all.push(summary.activity);
            // What they are linked to, and what is linked to them.
            all.extend(summary.same_as);
            let linked = near.iter().filter(|near| near.summary.same_as == Some(summary.activity));
            all.extend(linked.map(|near| near.summary.activity));
        }
        all.sort();
        all.dedup();
        let mut others = Vec::new();
        for id in all.into_iter().filter(|id| *id != kept.activity.id) {
            others.extend(self.history.get(id)?);
        }
        if kept.whose().is_none()
            && let Some(theirs) = others.iter().find(|other| other.whose().is_some())
        {
            (kept.athlete, kept.consent) = (theirs.whose(), theirs.consent);
        }
        let better = others.iter().max_by_key(|other| other.rank());
        let better = better.filter(|better| better.rank() > kept.rank());
        kept.same_as = better.map(|better| better.activity.id);
        let to = kept.same_as.unwrap_or(kept.activity.id);
        let is_linked = |other: &&Kept| other.activity.id == to || other.same_as == Some(to);
        let is_whole = |other: &&Kept| other.whose() == kept.whose() || other.session.is_some();
        let lesser = others.iter().filter(|other| !is_linked(other) || !is_whole(other));
        kept.links = lesser.map(|other| other.activity.id).collect();
        Ok(())
    }

    /// What overlaps with it in time, as far as clocks can be believed; that which does most first.
    fn near(&self, kept: &Kept) -> Result<Vec<Listed>, HistoryError> {
        let (start, end) = (kept.activity.start, kept.activity.end());
        let slack_ms = SHIFT_MAX_S * 1000;
        let wanted = Wanted {
            ended_after: Some(start.plus_ms(-slack_ms)),
            began_before: Some(end.plus_ms(slack_ms)),
            ..Wanted::default()
        };
        let mut near = self.history.list(&wanted)?;
        let common_ms = |listed: &Listed| {
            let summary = &listed.summary;
            let ms = summary.elapsed_s.unwrap_or(0.0) * 1000.0;
            let to = summary.start.plus_ms(ms as i64).min(end);
            to.0.saturating_sub(summary.start.max(start).0)
        };
        near.retain(|listed| listed.summary.activity != kept.activity.id);
        near.sort_by_key(|listed| (Reverse(common_ms(listed)), listed.summary.activity));
        Ok(near)
    }

    /// Reads a recording; of one that cannot be read any more there is nothing.
    fn curve(&self, kept: &Kept) -> Result<Curve, HistoryError> {
        let deadline = Instant::now() + self.bounds.time;
        let mut go_on = || Instant::now() < deadline && !self.stop.is_cancelled();
        let mut curves: Vec<Curve> = Vec::new();
        // Sessions of one file are few, and share its records.
        let own = kept.place.unwrap_or(kept.activity.index) as usize;
        let mut sink = |place: usize, item: Item| {
            if place == own {
                curves.resize_with(1, Curve::default);
                curves[0].add(&item);
            }
        };
        let read = self.history.replay(kept, &self.bounds.file, &mut go_on, &mut sink);
        if self.stop.is_cancelled() {
            return Err(HistoryError::Stopping);
        }
        let is_read = match read {
            Ok(report) => {
                report.result != Class::Rejected && kept.place_in(&report.activities) == Some(own)
            }
            Err(HistoryError::Disk { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                false
            }
            Err(error) => return Err(error),
        };
        Ok(curves.pop().filter(|_| is_read).unwrap_or_default())
    }
}

/// Whether two recordings may be of one person at all: nobody wears two straps for two people, and the sessions of one
/// file come one after the other.
fn may_be(kept: &Kept, listed: &Listed) -> bool {
    let own = Listed::from(kept);
    kept.sha256 != listed.summary.sha256 && may_be_beside(&own, listed)
}

fn may_be_beside(one: &Listed, other: &Listed) -> bool {
    let is_same = one.summary.activity == other.summary.activity;
    match (one.whose, other.whose) {
        (Some(one), Some(other)) => one == other,
        // Two straps of one box, of which nobody says that one person wore both.
        _ => is_same || one.summary.session.is_none() || other.summary.session.is_none(),
    }
}

impl History {
    /// Has a recording pending once more, as one of the same workout as `better`; `None` if it is so already, or gone.
    pub(super) fn begin_link(
        &self,
        id: ActivityId,
        better: ActivityId,
        tried_from: EntryId,
    ) -> Result<Option<Kept>, HistoryError> {
        let (Some(mut kept), Some(other)) = (self.get(id)?, self.get(better)?) else {
            return Ok(None);
        };
        let before = (kept.same_as, kept.athlete);
        if id != better {
            kept.same_as = Some(better);
        }
        if kept.whose().is_none() && kept.session.is_none() {
            (kept.athlete, kept.consent) = (other.whose(), other.consent);
        }
        if (kept.same_as, kept.athlete) == before {
            return Ok(None);
        }
        (kept.seq, kept.tried_from) = (None, tried_from);
        disk::save(&self.pending().join(format!("{id}.json")), &kept)?;
        Ok(Some(kept))
    }
}
