//! Moments as Terra writes them: local time with microseconds and the offset from UTC. And the local day.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};

use crate::activity::{Activity, Pause, UnixMs};

const DAY_MS: i64 = 86_400_000;

/// A moment, as `2026-07-01T07:04:11.000000+01:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub(super) at: UnixMs,
    /// Minutes that the local time is ahead of UTC; without them it is told in UTC.
    pub(super) utc_offset_min: Option<i16>,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Beyond the year 9999: a clock gone mad must not stop delivery.
        let time = Timestamp::from_millisecond(self.at.0).unwrap_or(Timestamp::MAX);
        let minutes = self.utc_offset_min.unwrap_or(0);
        let offset = Offset::from_seconds(i32::from(minutes) * 60).unwrap_or(Offset::UTC);
        let sign = if offset.is_negative() { '-' } else { '+' };
        let ahead = offset.seconds().unsigned_abs() / 60;
        let local = offset.to_datetime(time);
        write!(f, "{local:.6}{sign}{:02}:{:02}", ahead / 60, ahead % 60)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A local day: the period of `body` and `daily`. Terra's is always 24 hours long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    start: UnixMs,
    utc_offset_min: Option<i16>,
}

impl Day {
    /// The day of a moment, where the local time is so many minutes ahead of UTC; in UTC if nobody knows.
    pub fn of(at: UnixMs, utc_offset_min: Option<i16>) -> Self {
        let ahead_ms = i64::from(utc_offset_min.unwrap_or(0)) * 60_000;
        let since_midnight = at.0.saturating_add(ahead_ms).rem_euclid(DAY_MS);
        Self { start: at.plus_ms(-since_midnight), utc_offset_min }
    }

    /// Midnight.
    pub fn start(self) -> UnixMs {
        self.start
    }

    /// The next midnight, which is not of this day.
    pub fn end(self) -> UnixMs {
        self.start.plus_ms(DAY_MS)
    }

    /// A moment, told as on this day.
    pub(super) fn stamp(self, at: UnixMs) -> Stamp {
        Stamp { at, utc_offset_min: self.utc_offset_min }
    }

    /// 1 for local times, 0 for times in UTC (`TimestampLocalization`).
    pub(super) fn localization(self) -> u8 {
        u8::from(self.utc_offset_min.is_some())
    }
}

/// The clock of a session: its local time, and its timer, which stands still in pauses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer<'a> {
    utc_offset_min: Option<i16>,
    /// When it was started and when it stood still.
    ran: Option<(UnixMs, &'a [Pause])>,
}

impl<'a> Timer<'a> {
    pub(super) fn of(activity: &'a Activity) -> Self {
        Self {
            utc_offset_min: activity.utc_offset_min,
            ran: Some((activity.start, &activity.pauses)),
        }
    }

    /// The clock of a day, on which no timer runs.
    pub(super) fn on(day: Day) -> Self {
        Self { utc_offset_min: day.utc_offset_min, ran: None }
    }

    pub(super) fn stamp(self, at: UnixMs) -> Stamp {
        Stamp { at, utc_offset_min: self.utc_offset_min }
    }

    /// Seconds that the timer had run.
    pub(super) fn seconds(self, at: UnixMs) -> Option<f64> {
        let (start, pauses) = self.ran?;
        let since = |moment: UnixMs| moment.0.saturating_sub(start.0).max(0);
        let stood = |pause: &Pause| since(pause.to.min(at)) - since(pause.from.min(at));
        let paused = pauses.iter().map(stood).fold(0, |sum: i64, ms| sum.saturating_add(ms.max(0)));
        Some((since(at) - paused).max(0) as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-07-01T06:04:11Z.
    const AT: UnixMs = UnixMs::from_seconds(1_782_885_851);

    #[test]
    fn a_moment_is_told_in_local_time_with_microseconds_and_offset() {
        let told = |utc_offset_min| Stamp { at: AT.plus_ms(250), utc_offset_min }.to_string();
        assert_eq!(told(Some(60)), "2026-07-01T07:04:11.250000+01:00");
        assert_eq!(told(Some(-210)), "2026-07-01T02:34:11.250000-03:30");
        assert_eq!(told(None), "2026-07-01T06:04:11.250000+00:00");
    }

    #[test]
    fn a_clock_gone_mad_is_told_all_the_same() {
        for at in [i64::MIN, i64::MAX] {
            for utc_offset_min in [Some(i16::MIN), Some(i16::MAX), Some(840), None] {
                let told = Stamp { at: UnixMs(at), utc_offset_min }.to_string();
                assert!(told.len() >= 32, "{told}");
            }
        }
    }

    #[test]
    fn a_day_is_the_local_one_from_midnight_to_midnight() {
        let day = Day::of(AT, Some(-420));
        assert_eq!(day.stamp(day.start()).to_string(), "2026-06-30T00:00:00.000000-07:00");
        assert_eq!(day.stamp(day.end()).to_string(), "2026-07-01T00:00:00.000000-07:00");
        assert_eq!(Day::of(day.start(), Some(-420)), day, "midnight is of the day it begins");
        assert_ne!(Day::of(day.end(), Some(-420)), day);
        let _ = Day::of(UnixMs(i64::MIN), Some(i16::MAX));
    }

    #[test]
    fn the_timer_stands_still_in_pauses() {
        let at = |seconds: i64| AT.plus_ms(seconds * 1000);
        let pauses = [Pause { from: at(10), to: at(30) }, Pause { from: at(50), to: at(55) }];
        let timer = Timer { utc_offset_min: None, ran: Some((AT, &pauses)) };
        let told: Vec<f64> = [-5, 0, 10, 20, 30, 40, 60]
            .map(|s| timer.seconds(at(s)).unwrap())
            .into_iter()
            .collect();
        assert_eq!(told, [0.0, 0.0, 10.0, 10.0, 10.0, 20.0, 35.0]);
    }
}
