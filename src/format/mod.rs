//! What leaves becomes bytes here: outgoing entries (`samples`), and whole activities as files for people and their
//! programs (`tcx`, `gpx`, `csv`, `activity_json`; FIT is written by [`fit::encode`](crate::fit::encode)). One file per
//! format; pure.

pub mod activity_json;
pub mod csv;
pub mod export;
pub mod gpx;
pub mod samples;
pub mod tcx;
pub mod terra;
