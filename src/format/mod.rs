//! Outgoing entries become bytes here. One file per payload format; pure.

pub mod samples;
