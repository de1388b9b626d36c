//! What the box knows of a person: workouts, what was measured in them, and the local days they fall on. For whoever tells
//! backends of people: sinks, and the API that they ask.
//!
//! Made of the history and the roster. It reads, waits for the disk, and changes nothing. It gives what there is of an
//! athlete, agreed or not: whether that may leave the box is asked by whoever sends it (`Athlete.consent`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::activity::{ActivityId, UnixMs};
use crate::athlete::AthleteId;
use crate::fit::Class;
use crate::format::terra::{Day, utc_offset_min};
use crate::history::{Bounds, History, HistoryError, Kept, Listed, Wanted};
use crate::normalize::merge::{self, Merged};
use crate::roster::{People, Roster};
use crate::workout::{Measured, Workout};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The recording does not hold any more what was read of it when it came in.
    #[error("the recording of {activity} cannot be read any more: {reason}")]
    Unreadable {
        /// Which.
        activity: ActivityId,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading it took longer than is allowed.
    #[error("reading the recording of {activity} took longer than {} s", .limit.as_secs())]
    TooSlow {
        /// Which.
        activity: ActivityId,
        /// What is allowed.
        limit: Duration,
    },
}

/// Recordings of one workout begin and end so far from each other at most.
const AROUND_MS: i64 = 36 * 3_600_000;
/// The length of a session is told in more places than one, and not rounded in all of them.
const ROUNDED_MS: i64 = 1000;

/// A workout, and what of it is from which recording.
struct Recorded {
    workout: Workout,
    from: merge::From,
}

/// What the box knows. Clones share it.
#[derive(Debug, Clone)]
pub struct Archive {
    history: History,
    roster: Roster,
    zone: TimeZone,
    bounds: Bounds,
    stop: CancellationToken,
}

/// A day on which something of a person was recorded.
#[derive(Debug, Clone)]
pub struct OnDay {
    /// Which.
    pub day: Day,
    /// The workouts that began on it, in order.
    pub workouts: Vec<Workout>,
    /// What touches it, of the days before as well.
    touching: Vec<ActivityId>,
}

impl Archive {
    /// Of this history and these people, in a time zone. `bounds` are those of reading a recording.
    pub fn new(history: History, roster: Roster, zone: TimeZone, bounds: Bounds) -> Self {
        Self { history, roster, zone, bounds, stop: CancellationToken::new() }
    }

    /// The same, and reading breaks off when this is cancelled: a program that stops waits for no recording.
    #[must_use]
    pub fn until(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// Everybody who is known now.
    pub fn people(&self) -> Arc<People> {
        self.roster.people()
    }

    /// The local date of a moment.
    pub fn date(&self, at: UnixMs) -> Date {
        Day::date(at, &self.zone)
    }

    /// A date as a local day; `None` for the last days that a calendar has.
    pub fn day(&self, date: Date) -> Option<Day> {
        Day::on(date, &self.zone)
    }

    /// The workouts of an athlete that touch this range of time, in order of their start, each of all its recordings. Waits
    /// for the disk: it reads the index of the history, and the documents of these workouts only.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn workouts(
        &self,
        athlete: AthleteId,
        from: UnixMs,
        to: UnixMs,
    ) -> Result<Vec<Workout>, ArchiveError> {
        let mut found = Vec::new();
        for recordings in self.recordings(Some(athlete), from, to)?.into_values() {
            let Some(Recorded { workout, .. }) = self.merged(recordings) else { continue };
            // One of no length touches what it is in.
            let touches = workout.activity.start < to
                && (workout.end() > from || workout.activity.start >= from);
            found.extend(Some(workout).filter(|_| touches));
        }
        found.sort_by_key(|workout| (workout.activity.start, workout.activity.id));
        Ok(found)
    }

    /// When the latest workout of an athlete ended. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn latest(&self, athlete: AthleteId) -> Result<Option<UnixMs>, ArchiveError> {
        let wanted = Wanted { limit: Some(1), whose: Some(athlete), ..Wanted::default() };
        let Some(listed) = self.history.list(&wanted)?.pop() else { return Ok(None) };
        Ok(self.workout(listed.summary.activity)?.map(|workout| workout.end()))
    }

    /// The recordings of each workout that may touch this range, by the id of the best one.
    fn recordings(
        &self,
        whose: Option<AthleteId>,
        from: UnixMs,
        to: UnixMs,
    ) -> Result<BTreeMap<ActivityId, Vec<Kept>>, ArchiveError> {
        let wanted = Wanted {
            ended_after: Some(from.plus_ms(-AROUND_MS)),
            began_before: Some(to.plus_ms(AROUND_MS)),
            whose,
            ..Wanted::default()
        };
        let listed = self.history.list(&wanted)?;
        let best_of = |listed: &Listed| listed.summary.same_as.unwrap_or(listed.summary.activity);
        let touches = |listed: &&Listed| {
            let ms = listed.summary.elapsed_s.unwrap_or(0.0) * 1000.0;
            let end = listed.summary.start.plus_ms(ms as i64 + ROUNDED_MS);
            listed.summary.start < to.plus_ms(ROUNDED_MS) && end >= from
        };
        let wanted: BTreeSet<_> = listed.iter().filter(touches).map(best_of).collect();
        let mut found: BTreeMap<ActivityId, Vec<Kept>> = BTreeMap::new();
        for best in &wanted {
            let others = listed.iter().filter(|listed| best_of(listed) == *best);
            let ids = others.map(|listed| listed.summary.activity).filter(|id| id != best);
            // It may be nobody's, or have been erased meanwhile.
            for id in std::iter::once(*best).chain(ids) {
                found.entry(*best).or_default().extend(self.history.get(id)?);
            }
        }
        Ok(found)
    }

    /// Whether a workout is just being taken in, so that it is not told of yet. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn is_pending(&self, id: ActivityId) -> Result<bool, ArchiveError> {
        Ok(self.history.is_pending(id)?)
    }

    /// One workout, of all its recordings, whichever of them is asked for; `None` if there is none of that id. Waits for the
    /// disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn workout(&self, id: ActivityId) -> Result<Option<Workout>, ArchiveError> {
        Ok(self.recorded(id)?.map(|recorded| recorded.workout))
    }

    fn recorded(&self, id: ActivityId) -> Result<Option<Recorded>, ArchiveError> {
        let Some(mut kept) = self.history.get(id)? else { return Ok(None) };
        if let Some(better) = kept.same_as {
            kept = self.history.get(better)?.unwrap_or(kept);
        }
        let (start, end) = (kept.activity.start, kept.activity.end());
        let mut all = self.recordings(kept.whose(), start, end)?;
        let recordings = all.remove(&kept.activity.id);
        Ok(self.merged(recordings.unwrap_or_else(|| vec![kept])))
    }

    /// What was measured in a workout; nothing, if it is gone. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses, or its recording cannot be read any more.
    pub fn measured(&self, id: ActivityId) -> Result<Measured, ArchiveError> {
        let Some(recorded) = self.recorded(id)? else { return Ok(Measured::default()) };
        let heart = recorded.from.heart_rate.unwrap_or(recorded.workout.activity.id);
        let Some(kept) = self.history.get(heart)? else { return Ok(Measured::default()) };
        // Its number is its place, unless its file is made of several recordings: then one more look tells.
        let number = kept.place.unwrap_or(kept.activity.index) as usize;
        let (measured, place) = self.read(&kept, number)?;
        if place == number {
            return Ok(measured);
        }
        Ok(self.read(&kept, place)?.0)
    }

    /// The days of these dates on which anything of an athlete was recorded, in order. Waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn days(
        &self,
        athlete: AthleteId,
        first: Date,
        last: Date,
    ) -> Result<Vec<OnDay>, ArchiveError> {
        let (Some(begin), Some(end)) = (self.day(first), self.day(last)) else {
            return Ok(Vec::new());
        };
        let mut days: BTreeMap<Date, OnDay> = BTreeMap::new();
        for workout in self.workouts(athlete, begin.start(), end.end())? {
            let (id, start) = (workout.activity.id, workout.activity.start);
            // Its last moment, which is not that of its end.
            let (began, ended) =
                (self.date(start), self.date(workout.end().plus_ms(-1).max(start)));
            let dates =
                began.max(first).series(1.day()).take_while(|date| *date <= ended.min(last));
            for (date, day) in dates.filter_map(|date| Some((date, self.day(date)?))) {
                let empty = || OnDay { day, workouts: Vec::new(), touching: Vec::new() };
                days.entry(date).or_insert_with(empty).touching.push(id);
            }
            if let Some(on) = days.get_mut(&began) {
                on.workouts.push(workout);
            }
        }
        Ok(days.into_values().collect())
    }

    /// What was measured on a day, of workouts that go on from the day before as well; in order. Waits for the disk.
    ///
    /// # Errors
    /// As for [`Archive::measured`].
    pub fn measured_on(&self, on: &OnDay) -> Result<Measured, ArchiveError> {
        let is_on_it = |at: UnixMs| (on.day.start()..on.day.end()).contains(&at);
        let mut all = Measured::default();
        for id in &on.touching {
            let one = self.measured(*id)?;
            all.rates.extend(one.rates.into_iter().filter(|rate| is_on_it(rate.at)));
            all.beats.extend(one.beats.into_iter().filter(|beat| is_on_it(beat.at)));
            all.left_out += one.left_out;
        }
        // Of two recordings at once.
        all.rates.sort_by_key(|rate| rate.at);
        all.beats.sort_by_key(|beat| beat.at);
        Ok(all)
    }

    /// Recordings of one workout as that, with what is known today of whose it is. What does not say where it was, was here.
    fn merged(&self, mut recordings: Vec<Kept>) -> Option<Recorded> {
        recordings.sort_by_cached_key(|kept| std::cmp::Reverse(kept.rank()));
        let (best, others) = recordings.split_first()?;
        let activities: Vec<_> = others.iter().map(|kept| &kept.activity).collect();
        let Merged { mut activity, from } = merge::merge(&best.activity, &activities);
        let people = self.roster.people();
        let whose = recordings.iter().find_map(Kept::whose);
        let athlete = whose.and_then(|id| people.athlete(id)).map(|known| (**known).clone());
        let here = || utc_offset_min(activity.start, &self.zone);
        activity.utc_offset_min = activity.utc_offset_min.or_else(here);
        let mut effort = best.session.as_ref().map(|session| session.effort.clone());
        if let Some(effort) =
            effort.as_mut().filter(|_| from.calories.is_some_and(|id| id != activity.id))
        {
            effort.calories_kcal = activity.totals.calories_kcal.map(f64::from);
        }
        Some(Recorded { workout: Workout { activity, athlete, effort }, from })
    }

    /// What stands at a place in the file of an activity, and at which place that is.
    fn read(&self, kept: &Kept, number: usize) -> Result<(Measured, usize), ArchiveError> {
        let activity = kept.activity.id;
        let limit = self.bounds.time;
        let deadline = Instant::now() + limit;
        let stop = &self.stop;
        let mut in_time = true;
        let mut measured = Measured::default();
        let report = self.history.replay(
            kept,
            &self.bounds.file,
            &mut || {
                in_time = in_time && Instant::now() < deadline;
                in_time && !stop.is_cancelled()
            },
            &mut |place, item| {
                if place == number {
                    measured.item(&item);
                }
            },
        )?;
        if stop.is_cancelled() {
            return Err(HistoryError::Stopping.into());
        }
        if !in_time {
            return Err(ArchiveError::TooSlow { activity, limit });
        }
        if report.result == Class::Rejected {
            let reason = report.reason.unwrap_or_default();
            return Err(ArchiveError::Unreadable { activity, reason });
        }
        let place = kept.place_in(&report.activities).ok_or_else(|| {
            let reason = "it is not in it".to_owned();
            ArchiveError::Unreadable { activity, reason }
        })?;
        Ok((measured.ended(kept.activity.start), place))
    }
}
