//! What heart rate means for the person: pure arithmetic, one pass, constant memory for each strap.
//!
//! - [`zones`], [`energy`], [`load`], [`max_hr`], [`hrv`], [`recovery`]: a formula each, with its source.
//! - [`heard`]: what a reading says of the heart.
//! - [`body`]: what is known of a person; [`effort`]: readings as they sum up; [`summary`]: the sum, as data.
//! - [`classes`]: which run, and when they are over.
//! - [`tracker`]: when sessions begin and end; [`told`]: what is said to it and what it says.
//! - [`recording`]: a session's readings, as they go into a file.
//!
//! Nothing here knows a clock, a runtime or a setting: times come in with the readings.

mod axis;
pub mod body;
pub mod classes;
pub mod effort;
pub mod energy;
pub mod heard;
pub mod hrv;
pub mod load;
pub mod max_hr;
pub mod recording;
pub mod recovery;
pub mod summary;
pub mod told;
pub mod tracker;
pub mod zones;

pub use body::Body;
pub use classes::{Begun, Classes};
pub use effort::Effort;
pub use summary::{Hrv, Recovery, SessionSummary, ZoneTimes};
pub use told::{Class, ClassId, Command, Ended, Output, Session, SessionId, Wearer, Why};
pub use tracker::{Rules, Tracker};
