//! Moments as Terra writes them: local time with microseconds and the offset from UTC. And the local day.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
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

impl Stamp {
    /// A moment, told in UTC.
    pub fn utc(at: UnixMs) -> Self {
        Self { at, utc_offset_min: None }
    }
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

/// A local day: the period of `body` and `daily`, from midnight to midnight. Terra's is always 24 hours long; where clocks
/// are put forward or back on it, it is 23 or 25, for every moment is of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    start: UnixMs,
    end: UnixMs,
    utc_offset_min: Option<i16>,
    /// From when on the local time is another, and how far that is ahead.
    then: Option<(UnixMs, i16)>,
}

impl Day {
    /// The day of a moment, where the local time is so many minutes ahead of UTC; in UTC if nobody knows.
    pub fn of(at: UnixMs, utc_offset_min: Option<i16>) -> Self {
        let ahead_ms = i64::from(utc_offset_min.unwrap_or(0)) * 60_000;
        let since_midnight = at.0.saturating_add(ahead_ms).rem_euclid(DAY_MS);
        let start = at.plus_ms(-since_midnight);
        Self { start, end: start.plus_ms(DAY_MS), utc_offset_min, then: None }
    }

    /// This date in a time zone; `None` for the last days that a calendar has.
    pub fn on(date: Date, zone: &TimeZone) -> Option<Self> {
        let start = zone.to_zoned(date.to_datetime(jiff::civil::Time::midnight())).ok()?;
        let next = date.checked_add(1.day()).ok()?;
        let end = zone.to_zoned(next.to_datetime(jiff::civil::Time::midnight())).ok()?;
        let (start, end) = (start.timestamp(), end.timestamp());
        let change = zone.following(start).next().filter(|change| change.timestamp() <= end);
        Some(Self {
            start: UnixMs(start.as_millisecond()),
            end: UnixMs(end.as_millisecond()),
            utc_offset_min: Some(minutes(zone.to_offset(start))),
            then: change.map(|change| {
                (UnixMs(change.timestamp().as_millisecond()), minutes(change.offset()))
            }),
        })
    }

    /// The date of a moment in a time zone; of a clock gone mad, the first or the last that there is.
    pub fn date(at: UnixMs, zone: &TimeZone) -> Date {
        let first_or_last = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let time = Timestamp::from_millisecond(at.0).unwrap_or(first_or_last);
        zone.to_datetime(time).date()
    }

    /// Midnight.
    pub fn start(self) -> UnixMs {
        self.start
    }

    /// The next midnight, which is not of this day.
    pub fn end(self) -> UnixMs {
        self.end
    }

    /// A moment, told as on this day.
    pub(super) fn stamp(self, at: UnixMs) -> Stamp {
        let then = self.then.filter(|(from, _)| at >= *from);
        Stamp { at, utc_offset_min: then.map(|(_, ahead)| ahead).or(self.utc_offset_min) }
    }

    /// 1 for local times, 0 for times in UTC (`TimestampLocalization`).
    pub(super) fn localization(self) -> u8 {
        u8::from(self.utc_offset_min.is_some())
    }
}

/// Minutes that a local time is ahead of UTC.
fn minutes(ahead: Offset) -> i16 {
    // Of 26 hours at most.
    (ahead.seconds() / 60) as i16
}

/// Minutes that the local time is ahead of UTC at a moment.
pub fn utc_offset_min(at: UnixMs, zone: &TimeZone) -> Option<i16> {
    let time = Timestamp::from_millisecond(at.0).ok()?;
    Some(minutes(zone.to_offset(time)))
}

/// The clock of a session: its local time, and its timer, which stands still in pauses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer<'a> {
    clock: Local,
    /// When it was started and when it stood still.
    ran: Option<(UnixMs, &'a [Pause])>,
}

/// What local times are told by.
#[derive(Debug, Clone, Copy)]
enum Local {
    /// All of them so many minutes ahead of UTC; in UTC if nobody knows.
    Ahead(Option<i16>),
    /// That of a day.
    Of(Day),
}

impl<'a> Timer<'a> {
    pub(super) fn of(activity: &'a Activity) -> Self {
        Self {
            clock: Local::Ahead(activity.utc_offset_min),
            ran: Some((activity.start, &activity.pauses)),
        }
    }

    /// The clock of a day, on which no timer runs.
    pub(super) fn on(day: Day) -> Self {
        Self { clock: Local::Of(day), ran: None }
    }

    pub(super) fn stamp(self, at: UnixMs) -> Stamp {
        match self.clock {
            Local::Ahead(utc_offset_min) => Stamp { at, utc_offset_min },
            Local::Of(day) => day.stamp(at),
        }
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
    fn a_day_on_which_clocks_change_is_an_hour_shorter_or_longer_and_told_by_both() {
        let zone = TimeZone::posix("EET-2EEST,M3.5.0/3,M10.5.0/4").unwrap();
        let day = |year, month, day| Day::on(jiff::civil::date(year, month, day), &zone).unwrap();
        let told = |day: Day| {
            let hours = (day.end().0 - day.start().0) / 3_600_000;
            let noon = day.stamp(day.start().plus_ms(12 * 3_600_000));
            (hours, [day.stamp(day.start()), noon, day.stamp(day.end())].map(|s| s.to_string()))
        };
        let spring = [
            "2026-03-29T00:00:00.000000+02:00",
            "2026-03-29T13:00:00.000000+03:00",
            "2026-03-30T00:00:00.000000+03:00",
        ];
        assert_eq!(told(day(2026, 3, 29)), (23, spring.map(str::to_owned)));
        let autumn = [
            "2026-10-25T00:00:00.000000+03:00",
            "2026-10-25T11:00:00.000000+02:00",
            "2026-10-26T00:00:00.000000+02:00",
        ];
        assert_eq!(told(day(2026, 10, 25)), (25, autumn.map(str::to_owned)));
        assert_eq!(told(day(2026, 3, 28)).0, 24);
        assert_eq!(day(2026, 3, 28).end(), day(2026, 3, 29).start(), "no moment between");
        let at = UnixMs::from_seconds(1_774_735_200);
        assert_eq!(Day::date(at, &zone), jiff::civil::date(2026, 3, 29), "22:00Z is midnight");
        assert_eq!(utc_offset_min(at, &zone), Some(120));
        for mad in [i64::MIN, i64::MAX] {
            let date = Day::date(UnixMs(mad), &zone);
            assert!(Day::on(date, &zone).is_none_or(|day| day.start() < day.end()));
        }
    }

    #[test]
    fn the_timer_stands_still_in_pauses() {
        let at = |seconds: i64| AT.plus_ms(seconds * 1000);
        let pauses = [Pause { from: at(10), to: at(30) }, Pause { from: at(50), to: at(55) }];
        let timer = Timer { clock: Local::Ahead(None), ran: Some((AT, &pauses)) };
        let told: Vec<f64> = [-5, 0, 10, 20, 30, 40, 60]
            .map(|s| timer.seconds(at(s)).unwrap())
            .into_iter()
            .collect();
        assert_eq!(told, [0.0, 0.0, 10.0, 10.0, 10.0, 20.0, 35.0]);
    }
}
