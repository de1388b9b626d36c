//! FIT files: what watches and bike computers record.
//!
//! Reading takes two passes over a seekable file and never holds more than a few kilobytes of it. `scan` walks the
//! structure by itself (headers, sizes, checksums, limits, where it breaks off); `decode` hands the messages that mean
//! something to us, cleaned of whatever trips it, to fitparser, and makes an [`Activity`] of each session and a stream
//! of samples and beats of the records. `table` says which field of which message means what.
//!
//! A damaged file is not a failure: what stands before the damage is kept, and [`Quality`] says so. Nothing here knows
//! where files come from or where activities go.

pub mod crc;
mod decode;
pub mod encode;
mod heart;
mod input;
mod read;
pub mod scan;
mod stream;
mod summary;
mod table;

pub use read::read;

use serde::Serialize;

use crate::activity::{Activity, Counts, Quality};

/// How large a file may be before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file.
    pub bytes: u64,
    /// Messages in a file, definitions included.
    pub messages: u64,
    /// Definitions in a file.
    pub definitions: u64,
    /// Segments: a file may be several, one after the other.
    pub segments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 32 << 20, messages: 1_500_000, definitions: 1 << 16, segments: 64 }
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Read to its end.
    Decoded,
    /// Damaged: what could be read is there.
    Salvaged,
    /// Something else than a recorded activity: see [`FileReport::kind`].
    NotAnActivity,
    /// Nothing could be read.
    Rejected,
}

/// What a file is, by its own word (`file_id.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A recorded activity (4), or a file that does not say and holds records.
    Activity,
    /// What a device is (1).
    Device,
    /// Settings (2).
    Settings,
    /// Settings of a sport (3).
    Sport,
    /// A workout to do (5).
    Workout,
    /// A course to follow (6).
    Course,
    /// Planned workouts (7).
    Schedules,
    /// Weight (9).
    Weight,
    /// Totals since ever (10).
    Totals,
    /// Goals (11).
    Goals,
    /// Blood pressure (14).
    BloodPressure,
    /// The day's steps and heart rates (15, 28, 32).
    Monitoring,
    /// A summary of activities (20).
    ActivitySummary,
    /// Sleep (49).
    Sleep,
    /// A segment or a list of them (34, 35).
    Segment,
    /// A type of which nothing is known here.
    Other(u8),
    /// Nothing at all.
    Empty,
}

impl FileKind {
    /// The kind of a number in `file_id.type`.
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Device,
            2 => Self::Settings,
            3 => Self::Sport,
            4 => Self::Activity,
            5 => Self::Workout,
            6 => Self::Course,
            7 => Self::Schedules,
            9 => Self::Weight,
            10 => Self::Totals,
            11 => Self::Goals,
            14 => Self::BloodPressure,
            15 | 28 | 32 => Self::Monitoring,
            20 => Self::ActivitySummary,
            34 | 35 => Self::Segment,
            49 => Self::Sleep,
            number => Self::Other(number),
        }
    }

    /// What it is, in words.
    pub fn in_words(self) -> String {
        let words = match self {
            Self::Activity => "an activity",
            Self::Device => "a description of a device",
            Self::Settings => "settings of a device",
            Self::Sport => "settings of a sport",
            Self::Workout => "a workout to do",
            Self::Course => "a course to follow",
            Self::Schedules => "a schedule of workouts",
            Self::Weight => "weights",
            Self::Totals => "totals of a device",
            Self::Goals => "goals",
            Self::BloodPressure => "blood pressures",
            Self::Monitoring => "the monitoring of a day",
            Self::ActivitySummary => "a summary of activities",
            Self::Sleep => "a night's sleep",
            Self::Segment => "a segment to race on",
            Self::Other(0xFF) => "a file that does not say what it is",
            Self::Other(number) => return format!("a file of type {number}"),
            Self::Empty => "a file without a message",
        };
        words.to_owned()
    }
}

/// What one file holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileReport {
    /// What became of it.
    pub result: Class,
    /// Why, in words, if it was not plainly decoded.
    pub reason: Option<String>,
    /// What it is.
    pub kind: FileKind,
    /// How far it can be believed, as a whole.
    pub quality: Quality,
    /// One activity for each session, in the order of the file.
    pub activities: Vec<Activity>,
    /// What all of the file holds, whatever it is.
    pub counts: Counts,
}

impl FileReport {
    /// Nothing could be read, and why.
    pub(crate) fn rejected(reason: String) -> Self {
        Self {
            result: Class::Rejected,
            reason: Some(reason),
            kind: FileKind::Empty,
            quality: Quality::default(),
            activities: Vec::new(),
            counts: Counts::default(),
        }
    }
}
