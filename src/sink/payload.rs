//! What leaves of an entry, in a format: what the format says of the entry itself, and then of what it stands for, which is
//! looked up here and nowhere else. Every sink that takes entry after entry writes by it.
//!
//! It is looked up when it leaves, so that it is true then: a day holds everything that the box knows of it by now, and is
//! sent again with each workout that it grows by (Terra's rule is that a repeat is a superset). Of somebody who does not agree
//! by now, who was forgotten, or whom nobody knows, nothing is found; of what is gone meanwhile neither.
//!
//! One piece is in memory at a time, with what it is made of: five hours of a strap are 5 MB of text, and 10 MB are the most
//! that a piece of Terra's may have.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use tokio::time::sleep;
use tracing::warn;

use super::{Context, DeliveryError};
use crate::activity::{ActivityId, UnixMs};
use crate::archive::{Archive, ArchiveError};
use crate::athlete::{Athlete, AthleteId};
use crate::exit::chain;
use crate::format::{EntryFormat, Format, Known, LeftOut, Reach};
use crate::history::HistoryError;
use crate::normalize::Outgoing;
use crate::reading::{EventKind, Fact, RequestedData};
use crate::roster::People;
use crate::workout::Workout;

/// Most days that are sent with one workout: longer ones are clocks gone mad.
const DAYS_MAX: usize = 8;

/// How often, and after how long each time, it is looked whether a workout is in the history.
const LOOKS: u32 = 40;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Writes payloads in one format.
pub(super) struct Payloads {
    gateway: Arc<str>,
    format: &'static dyn Format,
    archive: Archive,
}

/// One piece of what leaves of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// What is said of the entry itself.
    Entry,
    Workout(ActivityId),
    Day(AthleteId, Date),
    Agreed(AthleteId),
    Changed(AthleteId),
    Left(AthleteId),
}

impl Payloads {
    pub(super) fn new(format: EntryFormat, context: &Context) -> Self {
        Self {
            gateway: context.gateway.clone(),
            format: format.format(),
            archive: context.archive.clone(),
        }
    }

    /// What has to be written of an entry, in order.
    ///
    /// # Errors
    /// To be tried again, when the disk cannot be read.
    pub(super) async fn pieces(&self, outgoing: &Outgoing) -> Result<Vec<Piece>, DeliveryError> {
        let reach = self.format.reach();
        let mut pieces = vec![Piece::Entry];
        let Fact::Event(event) = &outgoing.entry.fact else { return Ok(pieces) };
        match &event.kind {
            EventKind::Activity(summary) if reach >= Reach::Workout => {
                let id = summary.activity;
                self.taken_in(id).await?;
                let Some((athlete, workout)) =
                    self.aside(move |archive| agreed(archive, id)).await?
                else {
                    return Ok(pieces);
                };
                pieces.push(Piece::Workout(id));
                if reach >= Reach::Day {
                    let days = dates(&self.archive, &workout);
                    pieces.extend(days.map(|date| Piece::Day(athlete.id, date)));
                }
            }
            EventKind::AthleteAgreed { athlete } if reach >= Reach::Day => {
                pieces.push(Piece::Agreed(*athlete));
            }
            EventKind::AthleteChanged { athlete } if reach >= Reach::Day => {
                pieces.push(Piece::Changed(*athlete));
            }
            EventKind::AthleteWithdrew { athlete } if reach >= Reach::Day => {
                pieces.push(Piece::Left(*athlete));
            }
            EventKind::Requested { data, athlete, from, to, .. } if reach >= Reach::Day => {
                let (data, athlete, range) = (*data, *athlete, *from..*to);
                if self.agreeing(athlete).is_some() {
                    let look = move |archive: &Archive| requested(archive, data, athlete, range);
                    pieces.extend(self.aside(look).await?);
                }
            }
            _ => {}
        }
        Ok(pieces)
    }

    /// Appends a piece: lines of JSON, or nothing where there is nothing to be said by now.
    ///
    /// # Errors
    /// To be tried again, when the disk cannot be read.
    pub(super) async fn write(
        &self,
        outgoing: &Outgoing,
        piece: Piece,
        out: &mut Vec<u8>,
    ) -> Result<(), DeliveryError> {
        let known = match piece {
            Piece::Entry => {
                return self
                    .format
                    .lines(&self.gateway, outgoing, out)
                    .map_err(|error| no_json(&error));
            }
            Piece::Workout(id) => self.aside(move |archive| workout(archive, id)).await?,
            Piece::Day(athlete, date) => {
                let Some(athlete) = self.agreeing(athlete) else { return Ok(()) };
                self.aside(move |archive| day(archive, athlete, date)).await?
            }
            Piece::Agreed(athlete) => self.agreeing(athlete).map(Known::Agreed),
            Piece::Changed(athlete) => self.agreeing(athlete).map(Known::Changed),
            // Whoever has agreed again by now did not leave.
            Piece::Left(athlete) => match self.agreeing(athlete) {
                Some(_) => None,
                None => Some(Known::Left(athlete)),
            },
        };
        let Some(known) = known else { return Ok(()) };
        let left_out = self
            .format
            .known(&self.gateway, outgoing, &known, out)
            .map_err(|error| no_json(&error))?;
        match left_out {
            LeftOut::Nothing => {}
            LeftOut::Beats => warn!(
                seq = %outgoing.entry.id,
                "a day is too large for one payload: it is sent without its RR intervals, which are on the box"
            ),
            LeftOut::HeartRates => warn!(
                seq = %outgoing.entry.id,
                "a workout or a day is too large for one payload: it is sent as a summary, its heart rates are on the box"
            ),
        }
        Ok(())
    }

    /// Waits until a workout is in the history: the log has its event a moment earlier.
    async fn taken_in(&self, id: ActivityId) -> Result<(), DeliveryError> {
        for _ in 0..LOOKS {
            if !self.aside(move |archive| archive.is_pending(id)).await? {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        let reason =
            format!("the activity {id} is not in the history yet; that is tried until it is");
        Err(DeliveryError::retry(reason))
    }

    fn agreeing(&self, athlete: AthleteId) -> Option<Arc<Athlete>> {
        agreeing(&self.archive.people(), athlete)
    }

    /// Looks something up where the disk may be waited for.
    async fn aside<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Archive) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, DeliveryError> {
        let archive = self.archive.clone();
        let looked = tokio::task::spawn_blocking(move || look(&archive)).await;
        let looked =
            looked.map_err(|error| DeliveryError::retry(format!("looking up: {error}")))?;
        looked.map_err(|error| DeliveryError::retry(chain(&error)))
    }
}

/// What leaves of an entry, as far as that depends on who has agreed by now: a session of somebody who has not, or who was
/// forgotten, is nobody's.
pub(super) fn as_agreed(outgoing: &mut Outgoing, people: &People) {
    let Fact::Event(event) = &mut outgoing.entry.fact else { return };
    let EventKind::Activity(summary) = &mut event.kind else { return };
    let Some(session) = summary.session.take() else { return };
    let agrees = session.athlete.is_none_or(|athlete| agreeing(people, athlete).is_some());
    summary.session = Some(if agrees { session } else { session.without_the_person().into() });
}

fn agreeing(people: &People, athlete: AthleteId) -> Option<Arc<Athlete>> {
    people.athlete(athlete).filter(|athlete| athlete.consent.is_some()).cloned()
}

/// A workout of somebody who agrees.
fn agreed(
    archive: &Archive,
    id: ActivityId,
) -> Result<Option<(Arc<Athlete>, Workout)>, ArchiveError> {
    let Some(workout) = archive.workout(id)? else { return Ok(None) };
    let athlete = workout.athlete.as_ref().and_then(|whose| agreeing(&archive.people(), whose.id));
    Ok(athlete.map(|athlete| (athlete, workout)))
}

/// What a backend has asked for. It gets it with all samples and whole days, whatever it asked: what is sent takes the place
/// of what was sent before, and less would take something away.
fn requested(
    archive: &Archive,
    data: RequestedData,
    athlete: AthleteId,
    range: Range<UnixMs>,
) -> Result<Vec<Piece>, ArchiveError> {
    if data == RequestedData::Athlete {
        return Ok(vec![Piece::Changed(athlete)]);
    }
    let workouts = archive.workouts(athlete, range.start, range.end)?;
    if data == RequestedData::Activity {
        return Ok(workouts.iter().map(|workout| Piece::Workout(workout.activity.id)).collect());
    }
    let dates: BTreeSet<Date> =
        workouts.iter().flat_map(|workout| dates(archive, workout)).collect();
    let asked = archive.date(range.start)..=archive.date(range.end.plus_ms(-1));
    let dates = dates.into_iter().filter(|date| asked.contains(date));
    Ok(dates.map(|date| Piece::Day(athlete, date)).collect())
}

/// The local dates that a workout touches.
fn dates(archive: &Archive, workout: &Workout) -> impl Iterator<Item = Date> {
    let start = workout.activity.start;
    // Its last moment, which is not that of its end.
    let last = archive.date(workout.end().plus_ms(-1).max(start));
    archive.date(start).series(1.day()).take(DAYS_MAX).take_while(move |date| *date <= last)
}

fn workout(archive: &Archive, id: ActivityId) -> Result<Option<Known>, ArchiveError> {
    let Some((athlete, workout)) = agreed(archive, id)? else { return Ok(None) };
    let measured = readable(archive.measured(id))?;
    Ok(measured.map(|measured| Known::Workout { athlete, workout: workout.into(), measured }))
}

fn day(
    archive: &Archive,
    athlete: Arc<Athlete>,
    date: Date,
) -> Result<Option<Known>, ArchiveError> {
    let Some(on) = archive.days(athlete.id, date, date)?.pop() else { return Ok(None) };
    let measured = readable(archive.measured_on(&on))?;
    Ok(Some(Known::Day { athlete, day: on.day, workouts: on.workouts, measured }))
}

/// What was read; `None` of a recording that cannot be read any more, which is no reason to wait for ever. What has left of it
/// before stays as it is: less would take its place.
fn readable<T>(read: Result<T, ArchiveError>) -> Result<Option<T>, ArchiveError> {
    let is_gone = match &read {
        Err(ArchiveError::Unreadable { .. }) => true,
        Err(ArchiveError::History(HistoryError::Disk { source, .. })) => {
            source.kind() == std::io::ErrorKind::NotFound
        }
        _ => false,
    };
    match read {
        Err(error) if is_gone => {
            warn!(error = chain(&error), "what was measured cannot be sent");
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn no_json(error: &serde_json::Error) -> DeliveryError {
    DeliveryError::halt(format!("an entry cannot be written as JSON: {error}"))
}
