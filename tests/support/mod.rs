//! What integration tests share.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(dead_code, unreachable_pub, reason = "no test needs everything")]

pub mod mosquitto;
