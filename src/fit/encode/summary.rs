//! Laps, session and activity: what stands at the end of the file, and agrees with itself.
//!
//! What a device said of itself is written as it said it. What it did not say is filled in from the records.

use std::fmt;
use std::io::{Seek, Write};

use super::sums::Sums;
use super::wire::{Kind, Value, Wire};
use super::{Contradiction, EncodeError, fit_time, moment, scaled};
use crate::activity::{Activity, Lap, Sample, Totals, UnixMs};

/// How far the timers of laps may be from that of the session: each is rounded by itself. The last lap bears it.
const TIMER_SLACK_MS: i64 = 1000;

/// `event` and `event_type` of summaries.
const LAP: u8 = 9;
const SESSION: u8 = 8;
const ACTIVITY: u8 = 26;
const STOP: u8 = 1;
/// `lap_trigger`
const SESSION_END: u8 = 7;
const BY_HAND: u8 = 0;

/// Whose summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryOf {
    /// A lap, from 0.
    Lap(usize),
    /// The session.
    Session,
}

impl fmt::Display for SummaryOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lap(index) => write!(f, "lap {index} (from 0)"),
            Self::Session => f.write_str("the session"),
        }
    }
}

#[derive(Debug)]
struct LapInMaking {
    start: u32,
    said: Lap,
    sums: Sums,
}

/// The summaries in the making.
#[derive(Debug)]
pub struct Summaries {
    start: u32,
    /// How far into its second the activity began. The second counts whole.
    fraction_ms: i64,
    said: Totals,
    sport: [Option<u8>; 2],
    sport_name: Option<String>,
    utc_offset_min: Option<i16>,
    /// From and to, in milliseconds since 1970.
    pauses: Vec<[i64; 2]>,
    laps: Vec<LapInMaking>,
    /// The lap that the next record belongs to, or an earlier one.
    current: usize,
}

impl Summaries {
    /// Of an activity that begins in the second `start`.
    pub fn new(activity: &Activity, start: u32) -> Result<Self, Contradiction> {
        let whole = Lap { start: activity.start, totals: activity.totals, trigger: None };
        let said = if activity.laps.is_empty() { &[whole] } else { &activity.laps[..] };
        let mut laps: Vec<LapInMaking> = Vec::with_capacity(said.len());
        for (index, lap) in said.iter().enumerate() {
            let lap_start = fit_time(lap.start)?;
            let fits = laps.last().map_or(lap_start == start, |before| before.start < lap_start);
            if !fits {
                return Err(Contradiction::Lap(index));
            }
            laps.push(LapInMaking { start: lap_start, said: *lap, sums: Sums::default() });
        }
        Ok(Self {
            start,
            fraction_ms: activity.start.0 - moment(start).0,
            said: activity.totals,
            sport: [activity.sport, activity.sub_sport],
            sport_name: activity.sport_name.clone(),
            utc_offset_min: activity.utc_offset_min,
            pauses: activity.pauses.iter().map(|pause| [pause.from.0, pause.to.0]).collect(),
            laps,
            current: 0,
        })
    }

    /// Counts a record that stood for so many seconds. Records come in order.
    pub fn add(&mut self, time: u32, sample: &Sample, seconds: u32) {
        while self.laps.get(self.current + 1).is_some_and(|next| next.start <= time) {
            self.current += 1;
        }
        self.laps[self.current].sums.add(sample, seconds);
    }

    /// Milliseconds of the pauses between two moments.
    fn paused_ms(&self, from: i64, to: i64) -> i64 {
        let within = self.pauses.iter().map(|[begin, end]| (*end).min(to) - (*begin).max(from));
        within.map(|ms| ms.max(0)).sum()
    }

    /// What the timer showed after each lap, and after the session.
    fn timers(&self, ends: &[i64]) -> Result<(Vec<u32>, u32), Contradiction> {
        let begins = self.laps.iter().map(|lap| moment(lap.start).0);
        let mut timers: Vec<i64> = Vec::with_capacity(self.laps.len());
        for ((begin, end), lap) in begins.zip(ends).zip(&self.laps) {
            let said = lap.said.totals.timer_s.filter(|seconds| *seconds >= 0.0).map(to_ms);
            let measured = || end - begin - self.paused_ms(begin, *end);
            let fraction = if timers.is_empty() { self.fraction_ms } else { 0 };
            timers.push(said.map_or_else(measured, |said| said + fraction).max(0));
        }
        let laps_ms: i64 = timers.iter().sum();
        let said = self.said.timer_s.map(|seconds| to_ms(seconds) + self.fraction_ms);
        let session_ms = as_u32(said.unwrap_or(laps_ms));
        let missing = i64::from(session_ms) - laps_ms;
        let last = timers
            .last_mut()
            .filter(|last| missing.abs() <= TIMER_SLACK_MS && **last + missing >= 0);
        *last.ok_or(Contradiction::LapTimers { laps_ms, session_ms })? += missing;
        Ok((timers.into_iter().map(as_u32).collect(), session_ms))
    }

    /// Writes laps, session and activity.
    pub fn write<W: Write + Seek>(
        &self,
        wire: &mut Wire<W>,
        end: UnixMs,
    ) -> Result<(), EncodeError> {
        let starts = self.laps.iter().skip(1).map(|lap| moment(lap.start).0);
        let ends: Vec<i64> = starts.chain([end.0]).collect();
        let last_start = self.laps.last().map_or(self.start, |lap| lap.start);
        if end.0 < moment(last_start).0 {
            return Err(Contradiction::Lap(self.laps.len() - 1).into());
        }
        let elapsed_ms = as_u32(end.0 - moment(self.start).0);
        let (timers, timer_ms) = self.timers(&ends)?;
        if timer_ms > elapsed_ms {
            return Err(Contradiction::Timer { timer_ms, elapsed_ms }.into());
        }
        let end_time = fit_time(end)?;
        self.laps(wire, &ends, &timers)?;
        self.session(wire, end_time, elapsed_ms, timer_ms)?;
        let local = self
            .utc_offset_min
            .map(|minutes| end_time.saturating_add_signed(i32::from(minutes) * 60));
        wire.message(
            Kind::Activity,
            &[
                (253, Value::U32(Some(end_time))),
                (0, Value::U32(Some(timer_ms))),
                (1, Value::U16(Some(1))),
                (2, Value::Enum(Some(0))),
                (3, Value::Enum(Some(ACTIVITY))),
                (4, Value::Enum(Some(STOP))),
                (5, Value::U32(local)),
            ],
        )?;
        Ok(())
    }

    fn laps<W: Write + Seek>(
        &self,
        wire: &mut Wire<W>,
        ends: &[i64],
        timers: &[u32],
    ) -> Result<(), EncodeError> {
        let mut way_m = 0.0;
        for (index, lap) in self.laps.iter().enumerate() {
            let timer_ms = timers[index];
            let distance_m = lap.sums.distance_m.map(|metres| (metres - way_m).max(0.0));
            way_m = lap.sums.distance_m.unwrap_or(way_m);
            let timer_s = f64::from(timer_ms) / 1000.0;
            let totals = lap.sums.complete(&lap.said.totals, distance_m, timer_s);
            check(SummaryOf::Lap(index), &totals)?;
            let is_last = index + 1 == self.laps.len();
            let trigger = lap.said.trigger.unwrap_or(if is_last { SESSION_END } else { BY_HAND });
            let numbers =
                Numbers { avg_speed: 110, max_speed: 111, avg_hr: 15, min_hr: 63, distance: 9 };
            let mut fields = vec![
                (254, Value::U16(Some(index as u16))),
                (253, Value::U32(Some(fit_time(UnixMs(ends[index]))?))),
                (2, Value::U32(Some(lap.start))),
                (7, Value::U32(Some(as_u32(ends[index] - moment(lap.start).0)))),
                (8, Value::U32(Some(timer_ms))),
                (24, Value::Enum(Some(trigger))),
                (0, Value::Enum(Some(LAP))),
                (1, Value::Enum(Some(STOP))),
                (25, Value::Enum(Some(self.sport[0].unwrap_or(0)))),
                (39, Value::Enum(Some(self.sport[1].unwrap_or(0)))),
            ];
            fields.extend(numbers.fields(&totals));
            wire.message(Kind::Lap, &fields)?;
        }
        Ok(())
    }

    fn session<W: Write + Seek>(
        &self,
        wire: &mut Wire<W>,
        end_time: u32,
        elapsed_ms: u32,
        timer_ms: u32,
    ) -> Result<(), EncodeError> {
        let mut sums = Sums::default();
        self.laps.iter().for_each(|lap| sums.merge(&lap.sums));
        let totals = sums.complete(&self.said, sums.distance_m, f64::from(timer_ms) / 1000.0);
        check(SummaryOf::Session, &totals)?;
        let numbers =
            Numbers { avg_speed: 124, max_speed: 125, avg_hr: 16, min_hr: 64, distance: 9 };
        let mut fields = vec![
            (254, Value::U16(Some(0))),
            (253, Value::U32(Some(end_time))),
            (2, Value::U32(Some(self.start))),
            (5, Value::Enum(Some(self.sport[0].unwrap_or(0)))),
            (6, Value::Enum(Some(self.sport[1].unwrap_or(0)))),
            (7, Value::U32(Some(elapsed_ms))),
            (8, Value::U32(Some(timer_ms))),
            (25, Value::U16(Some(0))),
            (26, Value::U16(Some(self.laps.len() as u16))),
            (28, Value::Enum(Some(0))),
            (0, Value::Enum(Some(SESSION))),
            (1, Value::Enum(Some(STOP))),
        ];
        fields.extend(numbers.fields(&totals));
        fields.extend(self.sport_name.as_deref().map(|name| (110, Value::Text(name))));
        wire.message(Kind::Session, &fields)?;
        Ok(())
    }
}

/// Where session and lap keep the same values under different numbers. Those of heart rate, cadence, power and climb
/// follow one another in both.
struct Numbers {
    avg_speed: u8,
    max_speed: u8,
    avg_hr: u8,
    min_hr: u8,
    distance: u8,
}

impl Numbers {
    fn fields(&self, totals: &Totals) -> [(u8, Value<'static>); 13] {
        [
            (self.distance, scaled(totals.distance_m, 100.0)),
            (11, Value::U16(totals.calories_kcal)),
            (self.avg_hr, Value::U8(totals.avg_hr_bpm)),
            (self.avg_hr + 1, Value::U8(totals.max_hr_bpm)),
            (self.min_hr, Value::U8(totals.min_hr_bpm)),
            (self.avg_hr + 2, Value::U8(totals.avg_cadence_rpm)),
            (self.avg_hr + 3, Value::U8(totals.max_cadence_rpm)),
            (self.avg_hr + 4, Value::U16(totals.avg_power_w)),
            (self.avg_hr + 5, Value::U16(totals.max_power_w)),
            (self.avg_hr + 6, Value::U16(totals.ascent_m)),
            (self.avg_hr + 7, Value::U16(totals.descent_m)),
            (self.avg_speed, scaled(totals.avg_speed_mps, 1000.0)),
            (self.max_speed, scaled(totals.max_speed_mps, 1000.0)),
        ]
    }
}

/// Lowest ≤ average ≤ highest.
fn check(of: SummaryOf, totals: &Totals) -> Result<(), Contradiction> {
    let (min, avg, max) = (totals.min_hr_bpm, totals.avg_hr_bpm, totals.max_hr_bpm);
    let known: Vec<u8> = [min, avg, max].into_iter().flatten().collect();
    if known.is_sorted() { Ok(()) } else { Err(Contradiction::HeartRates { of, min, avg, max }) }
}

fn to_ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

fn as_u32(ms: i64) -> u32 {
    u32::try_from(ms.max(0)).unwrap_or(u32::MAX - 1)
}
