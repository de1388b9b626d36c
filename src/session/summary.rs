//! What a session sums up to. Plain data; [`super`] has the arithmetic.

use serde::{Deserialize, Serialize};

use crate::athlete::MaxHr;

/// Time in the zones, in seconds: below zone 1, then zones 1 to 5. Their sum is the active time.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ZoneTimes(pub [f64; 6]);

/// One person's session. What a profile lacks the facts for is `None`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Seconds from beginning to end.
    pub elapsed_s: f64,
    /// Seconds with a heart rate.
    pub active_s: f64,
    /// Seconds without: the strap was off or out of reach.
    pub paused_s: f64,
    /// Mean heart rate over the active time, in beats per minute.
    pub avg_bpm: Option<f64>,
    /// Lowest heart rate.
    pub min_bpm: Option<u16>,
    /// Highest heart rate.
    pub max_bpm: Option<u16>,
    /// The maximum that percentages and zones were taken from.
    pub of_max: Option<MaxHr>,
    /// Time in the zones.
    pub zones: Option<ZoneTimes>,
    /// Energy spent, in kilocalories (Keytel 2005).
    pub calories_kcal: Option<f64>,
    /// Training impulse by heart-rate reserve (Banister 1991).
    pub trimp_banister: Option<f64>,
    /// Training impulse by zones (Edwards 1993).
    pub trimp_edwards: Option<f64>,
    /// Effort points: 1, 2, 3, 4 and 4 a minute in zones 1 to 5.
    pub points: Option<f64>,
    /// Heart-rate variability over the whole session.
    pub hrv: Option<Hrv>,
    /// How the heart came down after the end.
    pub recovery: Option<Recovery>,
    /// A maximum that was exceeded for thirty seconds, and what it would be raised to.
    pub exceeded: Option<MaxHr>,
}

/// Heart-rate variability (Task Force 1996), after artefacts were taken out.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hrv {
    /// Root mean square of successive differences, in milliseconds.
    pub rmssd_ms: f64,
    /// Standard deviation of the intervals, in milliseconds.
    pub sdnn_ms: f64,
    /// Successive differences over 50 ms, in percent.
    pub pnn50_percent: f64,
    /// Intervals used.
    pub beats: u64,
    /// Intervals taken out as artefacts.
    pub artefacts: u64,
}

/// Heart-rate recovery: how far the heart rate fell from its value at the end.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Heart rate at the end, in beats per minute.
    pub from_bpm: u16,
    /// Fall after one minute, in beats per minute.
    pub after_60_s: Option<i16>,
    /// Fall after two minutes, in beats per minute.
    pub after_120_s: Option<i16>,
}
