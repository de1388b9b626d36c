//! A workout: an activity, whose it is, and what it amounts to. What formats for backends are handed.
//!
//! Plain data. Samples and beats are not in here: they stream from the recording ([`crate::history`]).

use crate::activity::{Activity, RrMillis, UnixMs};
use crate::athlete::Athlete;
use crate::session::SessionSummary;

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
