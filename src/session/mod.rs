//! What heart rate means for the person: pure arithmetic.

pub mod summary;
pub mod zones;

pub use summary::{Hrv, Recovery, SessionSummary, ZoneTimes};
