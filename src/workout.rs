//! A workout: an activity, whose it is, and what it amounts to. What formats for backends are handed.
//!
//! Plain data. Samples and beats are not in here: they stream from the recording ([`crate::history`]).

use serde::{Deserialize, Serialize};

use crate::activity::{Activity, Beat, Item, RrMillis, UnixMs};
use crate::athlete::{Athlete, AthleteId};
use crate::reading::StrapId;
use crate::session::{Class, SessionSummary, Why};
use crate::timeline::TimeQuality;

/// A session of a strap, as it is kept with its activity, whose id is the session's.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrapSession {
    /// Which strap.
    pub strap: StrapId,
    /// Who wore it, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub athlete: Option<AthleteId>,
    /// As part of which class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Why it ended.
    pub ended: Why,
    /// How far its times can be believed.
    pub time: TimeQuality,
    /// What it amounts to.
    pub effort: SessionSummary,
}

impl StrapSession {
    /// What is told of it beyond the box: of somebody who has not agreed, nothing that says who it was or how strong they
    /// are.
    #[must_use]
    pub fn without_the_person(self) -> Self {
        let SessionSummary { elapsed_s, active_s, paused_s, avg_bpm, min_bpm, max_bpm, .. } =
            self.effort;
        let effort = SessionSummary {
            elapsed_s,
            active_s,
            paused_s,
            avg_bpm,
            min_bpm,
            max_bpm,
            ..SessionSummary::default()
        };
        Self { athlete: None, effort, ..self }
    }
}

/// A workout, on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Workout {
    /// What was recorded.
    pub activity: Activity,
    /// Whose it is, as known today.
    pub athlete: Option<Athlete>,
    /// What it amounts to, for a session of a strap.
    pub effort: Option<SessionSummary>,
}

impl Workout {
    /// When it ended.
    pub fn end(&self) -> UnixMs {
        match &self.effort {
            Some(effort) => self.activity.start.plus_ms((effort.elapsed_s * 1000.0).round() as i64),
            None => self.activity.end(),
        }
    }
}

/// A heart rate at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedRate {
    /// When.
    pub at: UnixMs,
    /// Beats per minute; never 0.
    pub bpm: u16,
}

/// Heart rates and beats of one activity, each at its time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// In order of the recording.
    pub rates: Vec<TimedRate>,
    /// In order; the last of those that came with a record ended when that was made, each other one where the next began.
    pub beats: Vec<TimedBeat>,
    /// How many there were beyond [`RATES_MAX`] and [`BEATS_MAX`].
    pub left_out: u64,
    /// The record that beats come with, and the first of them.
    record: (Option<UnixMs>, usize),
}

/// Most heart rates of one activity: three days, second by second.
pub const RATES_MAX: usize = 1 << 18;
/// Most beats of one activity: two days of 180 a minute.
pub const BEATS_MAX: usize = 1 << 19;

impl Measured {
    /// Takes what comes next in the recording. 0 bpm is no heart rate.
    pub fn item(&mut self, item: &Item) {
        match item {
            Item::Sample(sample) => {
                let bpm = sample.heart_rate_bpm.filter(|bpm| *bpm != 0).map(u16::from);
                let Some((at, bpm)) = sample.at.zip(bpm) else { return };
                if self.rates.len() < RATES_MAX {
                    self.rates.push(TimedRate { at, bpm });
                } else {
                    self.left_out += 1;
                }
            }
            Item::Beat(Beat { after, rr }) => {
                if *after != self.record.0 {
                    self.place();
                    self.record = (*after, self.beats.len());
                }
                if self.beats.len() < BEATS_MAX {
                    self.beats.push(TimedBeat { at: after.unwrap_or_default(), rr: *rr });
                } else {
                    self.left_out += 1;
                }
            }
        }
    }

    /// The last item was taken: `start` is where beats begin that come before any record.
    #[must_use]
    pub fn ended(mut self, start: UnixMs) -> Self {
        self.place();
        let mut at = start;
        // Of them no record tells anything but that they were before it.
        for beat in self.beats.iter_mut().take_while(|beat| beat.at == UnixMs::default()) {
            at = at.plus_ms(beat.rr.0.into());
            beat.at = at;
        }
        // Intervals that are longer than what they lie in are told at the same moment, never before the beat before.
        let mut latest = UnixMs(i64::MIN);
        for beat in &mut self.beats {
            latest = latest.max(beat.at);
            beat.at = latest;
        }
        self
    }

    /// Places the beats that came with a record.
    fn place(&mut self) {
        let (Some(mut at), first) = self.record else { return };
        for beat in self.beats.iter_mut().skip(first).rev() {
            beat.at = at;
            at = at.plus_ms(-i64::from(beat.rr.0));
        }
    }
}

/// A beat at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedBeat {
    /// When it came.
    pub at: UnixMs,
    /// Time since the beat before.
    pub rr: RrMillis,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::Sample;

    fn sample(second: i64, bpm: u8) -> Item {
        let at = Some(UnixMs::from_seconds(second));
        Item::Sample(Sample { at, heart_rate_bpm: Some(bpm), ..Sample::default() })
    }

    fn beat(after: Option<i64>, rr: u16) -> Item {
        Item::Beat(Beat { after: after.map(UnixMs::from_seconds), rr: RrMillis(rr) })
    }

    fn measured(items: &[Item]) -> Measured {
        let mut measured = Measured::default();
        items.iter().for_each(|item| measured.item(item));
        measured.ended(UnixMs::from_seconds(7))
    }

    #[test]
    fn the_last_beat_of_a_record_ended_with_it_and_the_others_before() {
        let heard = measured(&[
            beat(None, 500),
            beat(None, 600),
            sample(10, 120),
            beat(Some(10), 500),
            beat(Some(10), 490),
            sample(11, 0),
            beat(Some(11), 800),
            beat(Some(11), 1300),
        ]);
        let at: Vec<_> = heard.beats.iter().map(|beat| beat.at.0).collect();
        assert_eq!(at, [7_500, 8_100, 9_510, 10_000, 10_000, 11_000]);
        let bpm: Vec<_> = heard.rates.iter().map(|rate| (rate.at.seconds(), rate.bpm)).collect();
        assert_eq!(bpm, [(10, 120)], "0 is no heart rate");
    }

    #[test]
    fn of_a_recording_without_end_so_much_is_held_and_the_rest_counted() {
        let mut measured = Measured::default();
        for second in 0..RATES_MAX as i64 + 3 {
            measured.item(&sample(second, 100));
        }
        (0..BEATS_MAX + 2).for_each(|_| measured.item(&beat(Some(5), 300)));
        let heard = measured.ended(UnixMs::default());
        assert_eq!((heard.rates.len(), heard.beats.len()), (RATES_MAX, BEATS_MAX));
        assert_eq!(heard.left_out, 5);
    }
}
