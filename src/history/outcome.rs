//! What is told of a file that was brought: one JSON object, the same at every door.

use serde::{Deserialize, Serialize};

use crate::activity::{Activity, ActivityId, Quality, UnixMs, in_words};
use crate::fit::{Class, FileReport};

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It is in the history.
    Imported,
    /// All of it was in the history before.
    Duplicate,
    /// It is damaged; what could be read is in the history.
    Salvaged,
    /// It is something else than a recorded activity. Nothing is kept of it.
    NotAnActivity,
    /// Nothing could be read. Nothing is kept of it.
    Rejected,
}

impl Word {
    /// It in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Duplicate => "duplicate",
            Self::Salvaged => "salvaged",
            Self::NotAnActivity => "not an activity",
            Self::Rejected => "rejected",
        }
    }
}

/// One session of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Which activity it is.
    pub id: ActivityId,
    /// Sport as numbered in the FIT profile.
    pub sport: Option<u8>,
    /// Sub-sport as numbered in the FIT profile.
    pub sub_sport: Option<u8>,
    /// When it began.
    #[serde(with = "in_words")]
    pub start_time: UnixMs,
    /// Seconds from start to end, pauses included.
    pub elapsed_s: Option<f64>,
    /// Seconds that the timer ran.
    pub timer_s: Option<f64>,
    /// Metres.
    pub distance_m: Option<f64>,
    /// Kilocalories.
    pub calories_kcal: Option<u16>,
    /// Average heart rate in beats per minute, as the file's summary says.
    pub avg_hr_bpm: Option<u8>,
    /// Highest heart rate in beats per minute, as the file's summary says.
    pub max_hr_bpm: Option<u8>,
    /// Records.
    pub records: u64,
    /// Heart rates in them.
    pub hr_samples: u64,
    /// Sum of those heart rates.
    pub hr_sum: f64,
    /// RR intervals.
    pub rr_intervals: u64,
}

impl From<&Activity> for Session {
    fn from(activity: &Activity) -> Self {
        let Activity { totals, counts, .. } = activity;
        Self {
            id: activity.id,
            sport: activity.sport,
            sub_sport: activity.sub_sport,
            start_time: activity.start,
            elapsed_s: totals.elapsed_s,
            timer_s: totals.timer_s,
            distance_m: totals.distance_m,
            calories_kcal: totals.calories_kcal,
            avg_hr_bpm: totals.avg_hr_bpm,
            max_hr_bpm: totals.max_hr_bpm,
            records: counts.records,
            hr_samples: counts.hr_samples,
            hr_sum: counts.hr_sum,
            rr_intervals: counts.rr_intervals,
        }
    }
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name, as it was brought; of a file in an archive `ARCHIVE/NAME`.
    pub file: String,
    /// What became of it.
    pub result: Word,
    /// Why, in words, unless it was plainly imported.
    pub reason: Option<String>,
    /// How far it can be believed, as a whole; `null` where nothing was read.
    pub quality: Option<Quality>,
    /// Its sessions.
    pub sessions: Vec<Session>,
}

impl Outcome {
    /// Of a file of which nothing could be read.
    pub fn rejected(file: &str, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            result: Word::Rejected,
            reason: Some(reason.into()),
            quality: None,
            sessions: Vec::new(),
        }
    }

    /// Of a file that was read. Whether it was there before is not known here.
    pub(super) fn of(file: &str, report: &FileReport) -> Self {
        let result = match report.result {
            Class::Decoded => Word::Imported,
            Class::Salvaged => Word::Salvaged,
            Class::NotAnActivity => Word::NotAnActivity,
            Class::Rejected => Word::Rejected,
        };
        Self {
            file: file.to_owned(),
            result,
            reason: report.reason.clone(),
            quality: Some(report.quality.clone()),
            sessions: report.activities.iter().map(Session::from).collect(),
        }
    }
}
