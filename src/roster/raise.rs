//! A highest heart rate that somebody has plainly exceeded: it is raised, and stays to be confirmed.
//!
//! Sessions that have been recorded keep what they were computed with.

use super::people::Record;
use super::{Roster, RosterError};
use crate::activity::UnixMs;
use crate::athlete::{Athlete, AthleteId, MaxHr, MaxHrOrigin, Raised};
use crate::session::max_hr::exceeded;

/// A session that ended then and was computed with `of_max` has exceeded it, to `reached` at most. Raises the maximum if that is
/// news: not twice for one session, and not by more than one step before somebody has confirmed it. Waits for the disk.
///
/// # Errors
/// When it cannot be kept.
pub fn raise_max_hr(
    roster: &Roster,
    who: AthleteId,
    of_max: MaxHr,
    reached: MaxHr,
    ended: UnixMs,
) -> Result<Option<MaxHr>, RosterError> {
    roster.change(|people| {
        let Some(known) = people.athlete(who) else { return Ok((Vec::new(), None)) };
        let mut athlete = Athlete::clone(known);
        let raised = raise(&mut athlete, of_max, reached, ended);
        let records = raised.map(|_| Record::Athlete(Box::new(athlete)));
        Ok((records.into_iter().collect(), raised))
    })
}

fn raise(athlete: &mut Athlete, of_max: MaxHr, reached: MaxHr, ended: UnixMs) -> Option<MaxHr> {
    let profile = &mut athlete.profile;
    let before = profile.max_hr_raised;
    if before.is_some_and(|before| before.at >= ended) {
        return None;
    }
    let now = profile.max_hr.unwrap_or(of_max);
    let from = before.filter(|before| before.open).map_or(now, |before| before.from);
    let raised = exceeded(from, reached.bpm).filter(|raised| raised.bpm > now.bpm)?;
    profile.max_hr = Some(raised);
    profile.max_hr_raised = Some(Raised { from, at: ended, open: true });
    Some(raised)
}

/// It is right, as somebody says at `now`.
pub(super) fn confirm(athlete: &mut Athlete, now: UnixMs) -> Result<(), RosterError> {
    settle(athlete, now)?;
    if let Some(max) = &mut athlete.profile.max_hr {
        max.origin = MaxHrOrigin::Given;
    }
    Ok(())
}

/// It is wrong, and as it was before.
pub(super) fn reject(athlete: &mut Athlete, now: UnixMs) -> Result<(), RosterError> {
    let from = settle(athlete, now)?.from;
    athlete.profile.max_hr = from.as_noted();
    Ok(())
}

/// Nothing is to be confirmed any more, also of sessions that ended before.
fn settle(athlete: &mut Athlete, now: UnixMs) -> Result<Raised, RosterError> {
    match &mut athlete.profile.max_hr_raised {
        Some(raised) if raised.open => {
            raised.open = false;
            raised.at = raised.at.max(now);
            Ok(*raised)
        }
        _ => Err(RosterError::Refused(format!(
            "there is nothing to confirm: the highest heart rate of {} was not raised",
            athlete.display_name
        ))),
    }
}
