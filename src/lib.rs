//! Pulsegate: the box that brings heart rate from the gym floor to the cloud, and never loses a beat.

pub mod backoff;
pub mod buffer;
pub mod clock;
pub mod config;
pub mod exit;
pub mod reading;
pub mod secret;
pub mod sensor;
