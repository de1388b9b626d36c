//! A point in the log as people type it.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::reading::EntryId;

/// A point in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A place.
    Place(EntryId),
    /// A time, in Unix microseconds.
    Time(i64),
}

/// Why a text is no point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time: write 2026-11-21T18:00:00Z, 2026-11-21T18:00:00+01:00, 2026-11-21 (its midnight in UTC), -2h (s, \
     m, h, d or w, before now), or seq:12345"
)]
pub struct NotAPoint(String);

impl Point {
    /// Reads a point as typed; `-2h` counts from `now`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, NotAPoint> {
        let bad = || NotAPoint(text.chars().take(40).collect());
        let text = text.trim();
        if let Some(seq) = text.strip_prefix("seq:") {
            return seq.parse().map(|seq| Self::Place(EntryId(seq))).map_err(|_| bad());
        }
        let before_now = text.strip_prefix('-').or_else(|| text.strip_suffix(" ago"));
        let time = match before_now {
            Some(span) => duration(span).and_then(|before| now.checked_sub(before).ok()),
            None => text.parse::<Timestamp>().ok().or_else(|| midnight(text)),
        };
        time.map(|time| Self::Time(time.as_microsecond())).ok_or_else(bad)
    }
}

/// As [`Point::parse`] reads it, to the microsecond.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(seq) => write!(f, "seq:{seq}"),
            Self::Time(unix_us) => {
                // Beyond the year 9999 is as good as that.
                let furthest = if *unix_us < 0 { Timestamp::MIN } else { Timestamp::MAX };
                Timestamp::from_microsecond(*unix_us).unwrap_or(furthest).fmt(f)
            }
        }
    }
}

fn midnight(text: &str) -> Option<Timestamp> {
    // A time of day without an offset would be read as well, and its time left out.
    let date = (text.len() == "2026-11-21".len()).then(|| text.parse::<Date>().ok())??;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn duration(text: &str) -> Option<SignedDuration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    let unit_s = match text[digits..].trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return None,
    };
    Some(SignedDuration::from_secs(number.checked_mul(unit_s)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Result<String, NotAPoint> {
        let now = "2026-11-21T18:00:00Z".parse().unwrap();
        Point::parse(text, now).map(|point| match point {
            Point::Place(seq) => format!("seq {seq}"),
            Point::Time(us) => Timestamp::from_microsecond(us).unwrap().to_string(),
        })
    }

    #[test]
    fn times_dates_spans_and_places_are_read_as_typed() {
        for (typed, meant) in [
            ("2026-11-21T17:00:00Z", "2026-11-21T17:00:00Z"),
            ("2026-11-21T18:00:00.25+01:00", "2026-11-21T17:00:00.25Z"),
            ("2026-11-21", "2026-11-21T00:00:00Z"),
            ("-2h", "2026-11-21T16:00:00Z"),
            ("2h ago", "2026-11-21T16:00:00Z"),
            ("-90min", "2026-11-21T16:30:00Z"),
            ("-1w", "2026-11-14T18:00:00Z"),
            ("seq:12345", "seq 12345"),
        ] {
            assert_eq!(time(typed).as_deref(), Ok(meant), "{typed}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused_with_examples() {
        for typed in [
            "",
            "18:00",
            "2026-11-21T18:00:00",
            "2026-11-21 18:00",
            "-2",
            "-h",
            "2h",
            "seq:",
            "seq:-1",
            "-99999999999999999999h",
            "-9999999999999h",
            "-é",
            "yesterday",
        ] {
            let error = time(typed).unwrap_err().to_string();
            assert!(
                error.contains("2026-11-21T18:00:00Z") && error.contains("seq:12345"),
                "{error}"
            );
        }
    }
}
