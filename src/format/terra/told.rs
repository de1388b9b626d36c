//! What events of the log become as Terra's webhooks, one a line: workouts and days of whoever agrees, and what happens to
//! users. Readings do not leave in this format one by one: they are in the workouts.
//!
//! `last_webhook_update` is `null`: nothing here remembers what was sent.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Activity, AthleteEvent, Body, Daily, Day, Event, User, UserEvent};
use crate::athlete::Athlete;
use crate::format::{Format, Known, LeftOut, Reach, line};
use crate::normalize::Outgoing;
use crate::workout::{Measured, TimedBeat, TimedRate, Workout};

/// What Terra holds as one event, in bytes.
pub const EVENT_MAX: usize = 10_000_000;

/// Workouts, days and people as Terra's webhooks.
#[derive(Debug, Clone, Copy)]
pub struct Terra;

impl Format for Terra {
    fn reach(&self) -> Reach {
        Reach::Day
    }

    fn lines(&self, _: &str, _: &Outgoing, _: &mut Vec<u8>) -> serde_json::Result<()> {
        Ok(())
    }

    fn known(
        &self,
        _: &str,
        outgoing: &Outgoing,
        known: &Known,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<LeftOut> {
        match known {
            Known::Workout { athlete, workout, measured } => {
                activity(athlete, workout, measured, EVENT_MAX, out)
            }
            Known::Day { athlete, day, workouts, measured } => {
                let left_out = match measured {
                    Some(measured) => body(athlete, *day, workouts, measured, EVENT_MAX, out)?,
                    None => LeftOut::Nothing,
                };
                let daily = Daily::new(*day, athlete, workouts);
                line(&Event::daily(User::new(athlete, None), vec![daily]), out)?;
                Ok(left_out)
            }
            Known::Agreed(athlete) => {
                line(&UserEvent::auth(User::new(athlete, None)), out)?;
                line(&AthleteEvent::new(athlete, None, year(outgoing.unix_us)), out)?;
                Ok(LeftOut::Nothing)
            }
            Known::Changed(athlete) => {
                line(&AthleteEvent::new(athlete, None, year(outgoing.unix_us)), out)?;
                Ok(LeftOut::Nothing)
            }
            Known::Left(athlete) => {
                line(&UserEvent::deauth(User::of_number(*athlete)), out)?;
                Ok(LeftOut::Nothing)
            }
        }
    }
}

/// The year of a moment, in UTC.
fn year(unix_us: i64) -> u16 {
    let time = Timestamp::from_microsecond(unix_us).unwrap_or(Timestamp::MAX);
    u16::try_from(time.to_zoned(TimeZone::UTC).year()).unwrap_or_default()
}

/// A workout; without its heart rates if it is too large with them.
fn activity(
    athlete: &Athlete,
    workout: &Workout,
    measured: &Measured,
    max: usize,
    out: &mut Vec<u8>,
) -> serde_json::Result<LeftOut> {
    let event = |rates| {
        let activity = Activity::new(workout, rates);
        Event::activity(User::new(athlete, None), vec![activity])
    };
    if line_within(&event(rates(measured)), max, out)? {
        return Ok(LeftOut::Nothing);
    }
    line(&event([].iter().copied()), out)?;
    Ok(LeftOut::HeartRates)
}

/// A day beat by beat; without the beats if it is too large with them, without heart rates if it still is. It cannot be sent
/// in parts: receivers know a body by its day, and the second would overwrite the first.
fn body(
    athlete: &Athlete,
    day: Day,
    workouts: &[Workout],
    measured: &Measured,
    max: usize,
    out: &mut Vec<u8>,
) -> serde_json::Result<LeftOut> {
    let event = |rates, beats| {
        let body = Body::new(day, athlete, workouts, rates, beats);
        Event::body(User::new(athlete, None), vec![body])
    };
    if line_within(&event(rates(measured), beats(&measured.beats)), max, out)? {
        return Ok(LeftOut::Nothing);
    }
    if line_within(&event(rates(measured), beats(&[])), max, out)? {
        return Ok(LeftOut::Beats);
    }
    line(&event([].iter().copied(), beats(&[])), out)?;
    Ok(LeftOut::HeartRates)
}

fn rates(measured: &Measured) -> std::iter::Copied<std::slice::Iter<'_, TimedRate>> {
    measured.rates.iter().copied()
}

fn beats(beats: &[TimedBeat]) -> std::iter::Copied<std::slice::Iter<'_, TimedBeat>> {
    beats.iter().copied()
}

/// Appends a line, if it is no longer than `max`. No more than that is ever in memory.
fn line_within(piece: &impl Serialize, max: usize, out: &mut Vec<u8>) -> serde_json::Result<bool> {
    let begun = out.len();
    let mut within = Within { out, end: begun.saturating_add(max), is_over: false };
    let written = serde_json::to_writer(&mut within, piece);
    let is_over = within.is_over;
    if is_over {
        out.truncate(begun);
        return Ok(false);
    }
    written?;
    out.push(b'\n');
    Ok(true)
}

/// Takes so many bytes and no more.
struct Within<'a> {
    out: &'a mut Vec<u8>,
    end: usize,
    is_over: bool,
}

impl std::io::Write for Within<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.out.len() + bytes.len() > self.end {
            self.is_over = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{athlete, workout};
    use super::*;
    use crate::activity::{RrMillis, UnixMs};

    fn measured(seconds: i64) -> Measured {
        let at = |second: i64| UnixMs::from_seconds(1_795_000_000 + second);
        let mut measured = Measured::default();
        measured.rates.extend((0..seconds).map(|second| TimedRate { at: at(second), bpm: 120 }));
        let beat = |second| TimedBeat { at: at(second), rr: RrMillis(500) };
        measured.beats.extend((0..2 * seconds).map(|half| beat(half / 2)));
        measured
    }

    fn count(text: &[u8], word: &str) -> usize {
        std::str::from_utf8(text).unwrap().matches(word).count()
    }

    #[test]
    fn a_day_too_large_for_one_event_leaves_without_beats_then_without_heart_rates() {
        let (athlete, measured, workouts) = (athlete(), measured(100), [workout()]);
        let day = Day::of(UnixMs::from_seconds(1_795_000_000), None);
        let told = |max| {
            let mut out = b"before\n".to_vec();
            let left_out = body(&athlete, day, &workouts, &measured, max, &mut out).unwrap();
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 2);
            (left_out, count(&out, "\"bpm\""), count(&out, "\"rr_interval_ms\""), out.len())
        };
        let (left_out, bpm, rr, whole) = told(EVENT_MAX);
        assert_eq!((left_out, bpm, rr), (LeftOut::Nothing, 100, 200));
        let length = whole - "before\n".len() - 1;
        assert_eq!(told(length).0, LeftOut::Nothing, "it just fits");
        let (left_out, bpm, rr, without) = told(length - 1);
        assert_eq!((left_out, bpm, rr), (LeftOut::Beats, 100, 0));
        let (left_out, bpm, rr, _) = told(without - "before\n".len() - 2);
        assert_eq!((left_out, bpm, rr), (LeftOut::HeartRates, 0, 0));
    }

    #[test]
    fn a_workout_too_large_for_one_event_leaves_without_its_heart_rates() {
        let (athlete, measured, workout) = (athlete(), measured(100), workout());
        let mut out = Vec::new();
        let left_out = activity(&athlete, &workout, &measured, 5000, &mut out).unwrap();
        assert_eq!((left_out, count(&out, "\"bpm\"")), (LeftOut::HeartRates, 0));
        assert_eq!(count(&out, "summary_id"), 1);
    }

    #[test]
    fn an_age_is_that_of_the_year() {
        assert_eq!(year(1_795_284_000_000_000), 2026);
        assert_eq!((year(i64::MAX), year(-1)), (9999, 1969));
    }
}
