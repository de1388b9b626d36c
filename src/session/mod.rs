//! What heart rate means for the person: pure arithmetic.

pub mod zones;
