//! What heart rate means for the person: pure arithmetic, one pass, constant memory for each strap.
//!
//! - [`zones`], [`energy`], [`load`], [`max_hr`], [`hrv`], [`recovery`]: a formula each, with its source.
//! - [`heard`]: what a reading says of the heart.
//! - [`summary`]: what a session sums up to, as data.
//!
//! Nothing here knows a clock, a runtime or a setting: times come in with the readings.

pub mod energy;
pub mod heard;
pub mod hrv;
pub mod load;
pub mod max_hr;
pub mod recovery;
pub mod summary;
pub mod zones;

pub use summary::{Hrv, Recovery, SessionSummary, ZoneTimes};
