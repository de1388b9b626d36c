//! A workout: an activity, whose it is, and what it amounts to. What formats for backends are handed.
//!
//! Plain data. Samples and beats are not in here: they stream from the recording ([`crate::history`]).

use serde::{Deserialize, Serialize};

use crate::activity::{Activity, RrMillis, UnixMs};
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

/// A beat at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedBeat {
    /// When it came.
    pub at: UnixMs,
    /// Time since the beat before.
    pub rr: RrMillis,
}
