//! Makes activities of what a file tells bit by bit, and passes the samples on.

use crate::activity::{
    Activity, ActivityId, Counts, Item, LAPS_MAX, Lap, Origin, PAUSES_MAX, Pause, Quality, Sample,
    Totals, UnixMs,
};
use crate::fit::Limits;

/// Two parts of a track with less in between follow one another; with more, there was a pause.
const GAP_MS: i64 = 2000;

/// An activity in the making.
#[derive(Debug, Default)]
pub struct Current {
    pub origin: Origin,
    pub sport: Option<(u8, u8)>,
    pub sport_name: Option<String>,
    pub utc_offset_min: Option<i16>,
    pub laps: Vec<Lap>,
    laps_left_out: u32,
    pauses: Vec<Pause>,
    first: Option<UnixMs>,
    first_sample: Option<Sample>,
    latest: Option<UnixMs>,
    /// The last moment of the part before, if a new part begins.
    part_before: Option<UnixMs>,
    counts: Counts,
    untimed: u64,
}

impl Current {
    /// The latest moment that was told of.
    pub fn latest(&self) -> Option<UnixMs> {
        self.latest
    }

    /// Adds a lap, as far as they are kept.
    pub fn lap(&mut self, lap: Lap) {
        if self.laps.len() < LAPS_MAX {
            self.laps.push(lap);
        } else {
            self.laps_left_out += 1;
        }
    }
}

/// The activities of a file.
pub struct Gather<'a> {
    /// Those that are complete.
    pub activities: Vec<Activity>,
    sink: &'a mut dyn FnMut(usize, Item),
    points: u64,
    points_max: u64,
    activities_max: usize,
    current: Option<Current>,
}

impl<'a> Gather<'a> {
    /// Nothing yet.
    pub fn new(limits: &Limits, sink: &'a mut dyn FnMut(usize, Item)) -> Self {
        Self {
            activities: Vec::new(),
            sink,
            points: 0,
            points_max: limits.messages,
            activities_max: limits.segments as usize,
            current: None,
        }
    }

    /// An activity begins.
    pub fn begin(&mut self) -> Result<(), String> {
        if self.activities.len() == self.activities_max {
            return Err(format!("more than {} activities in one file", self.activities_max));
        }
        self.current = Some(Current::default());
        Ok(())
    }

    /// The activity in the making.
    pub fn current(&mut self) -> Option<&mut Current> {
        self.current.as_mut()
    }

    /// What follows is separated from what was before: the timer may have stood still.
    pub fn part(&mut self) {
        if let Some(current) = &mut self.current {
            current.part_before = current.latest;
        }
    }

    /// A point of the activity in the making.
    pub fn sample(&mut self, sample: Sample) -> Result<(), String> {
        if self.points == self.points_max {
            return Err(format!("more than {} points", self.points_max));
        }
        self.points += 1;
        let Some(current) = &mut self.current else { return Ok(()) };
        current.untimed += u64::from(sample.at.is_none());
        // A line on the map without any time is no activity: what has none, waits for what has.
        let Some(latest) = current.latest.or(sample.at) else { return Ok(()) };
        if let (Some(at), Some(before)) = (sample.at, current.part_before.take())
            && at.0.saturating_sub(before.0) > GAP_MS
            && current.pauses.len() < PAUSES_MAX
        {
            current.pauses.push(Pause { from: before, to: at });
        }
        current.first = current.first.or(sample.at);
        current.latest = Some(sample.at.map_or(latest, |at| at.max(latest)));
        current.counts.records += 1;
        if let Some(bpm) = sample.heart_rate_bpm {
            current.counts.hr_samples += 1;
            current.counts.hr_sum += f64::from(bpm);
        }
        current.first_sample.get_or_insert(sample);
        (self.sink)(self.activities.len(), Item::Sample(sample));
        Ok(())
    }

    /// The activity ends, with what its file says it sums up to. Whether there was one: something with a time.
    pub fn end(&mut self, said: Totals) -> Option<&Activity> {
        let mut current = self.current.take()?;
        let laps_start = current.laps.first().map(|lap| lap.start);
        let start = match (laps_start, current.first) {
            (Some(lap), Some(point)) => lap.min(point),
            (lap, point) => lap.or(point)?,
        };
        // A point may come a moment before its lap: then both begin with it.
        if let Some(first) = current.laps.first_mut() {
            first.start = start;
        }
        let end = current.latest.unwrap_or(start);
        let seconds = (end.0.saturating_sub(start.0)) as f64 / 1000.0;
        let paused_ms: i64 = current.pauses.iter().map(|pause| pause.to.0 - pause.from.0).sum();
        let timer_s = said.timer_s.unwrap_or(seconds - paused_ms as f64 / 1000.0).max(0.0);
        let elapsed_s = seconds.max(timer_s).max(said.elapsed_s.unwrap_or(0.0));
        let place = self.activities.len();
        self.activities.push(Activity {
            // Not its place in the file: the next export may hold other activities beside it. Nor what recorded it: a TCX
            // file says that at its end, which may be missing.
            id: ActivityId::of(&Origin::default(), 0, current.first_sample.as_ref(), start),
            index: place as u32,
            origin: current.origin,
            sport: current.sport.map(|(sport, _)| sport),
            sub_sport: current.sport.map(|(_, sub_sport)| sub_sport),
            sport_name: current.sport_name,
            start,
            utc_offset_min: current.utc_offset_min,
            totals: Totals { elapsed_s: Some(elapsed_s), timer_s: Some(timer_s), ..said },
            quality: Quality {
                synthesised: current.laps.is_empty(),
                untimed_records: current.untimed,
                laps_left_out: current.laps_left_out,
                ..Quality::default()
            },
            laps: current.laps,
            pauses: current.pauses,
            devices: Vec::new(),
            counts: current.counts,
        });
        self.activities.last()
    }
}

/// A number that is one.
pub fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A number that fits, rounded.
pub fn whole<T: TryFrom<i64>>(text: &str) -> Option<T> {
    let number = number(text)?.round();
    (number.abs() < 1e15).then(|| T::try_from(number as i64).ok()).flatten()
}

/// A time in RFC 3339, and how many minutes it is ahead of UTC, if it says so. Without a zone it is UTC: some apps leave
/// the `Z` out, and mean it.
pub fn moment(text: &str) -> Option<(UnixMs, Option<i16>)> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some((UnixMs(timestamp.as_millisecond()), offset(text)));
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let timestamp = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((UnixMs(timestamp.as_millisecond()), None))
}

/// Minutes of `+02:00`, as zones have them: in quarters of an hour, 14 h at most.
fn offset(text: &str) -> Option<i16> {
    let sign = match text.as_bytes().get(text.len().checked_sub(6)?)? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(text.len() - 5..)?.split_once(':')?;
    let minutes = hours.parse::<i16>().ok()? * 60 + minutes.parse::<i16>().ok()?;
    (minutes % 15 == 0 && minutes <= 14 * 60).then_some(sign * minutes)
}

/// A name, as far as it is kept; nothing of an empty one.
pub fn name(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.chars().take(80).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_zone_and_without() {
        let utc = UnixMs(1_781_065_600_250);
        assert_eq!(moment("2026-06-10T04:26:40.250Z"), Some((utc, None)));
        assert_eq!(moment("2026-06-10T06:26:40.25+02:00"), Some((utc, Some(120))));
        assert_eq!(moment("2026-06-09T23:56:40.250-04:30"), Some((utc, Some(-270))));
        assert_eq!(moment("2026-06-10T04:26:40.250"), Some((utc, None)));
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-06-10"] {
            assert!(moment(text).is_none_or(|(_, offset)| offset.is_none()), "{text}");
        }
    }

    #[test]
    fn numbers_are_finite_and_fit() {
        assert_eq!(
            (number("1.5"), number("NaN"), number("inf"), number("1,5")),
            (Some(1.5), None, None, None)
        );
        assert_eq!(
            (whole::<u8>("120.4"), whole::<u8>("256"), whole::<u8>("-1")),
            (Some(120), None, None)
        );
        assert_eq!(whole::<u32>("1e300"), None);
    }
}
