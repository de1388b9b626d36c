//! Entries become what leaves the box: identity, time with its quality, plausibility. Pure.
//!
//! Facts are stored as measured; whatever is mended is mended here, on the way out, so that a mistake is undone by
//! delivering again.

use crate::reading::{ClockTrust, Entry, Fact, Measurement};

/// Heart rates outside this are marked as suspect, never dropped.
const PLAUSIBLE_BPM: std::ops::RangeInclusive<u16> = 25..=250;

/// An entry on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The entry as kept.
    pub entry: Entry,
    /// Unix time in microseconds.
    pub unix_us: i64,
    /// How far that time can be believed.
    pub trust: ClockTrust,
    /// A value that no heart has. Shown to receivers, who decide.
    pub suspect: bool,
}

/// Makes an entry ready to leave.
pub fn outgoing(entry: Entry) -> Outgoing {
    let at = entry.fact.at();
    let (unix_us, trust) = (at.unix_us(), at.trust);
    let suspect = match &entry.fact {
        Fact::Reading(reading) => match &reading.measurement {
            // 0 is the strap's word for "no beat found".
            Measurement::HeartRate(heart_rate) => {
                heart_rate.bpm != 0 && !PLAUSIBLE_BPM.contains(&heart_rate.bpm)
            }
            Measurement::Battery(_) => false,
        },
        Fact::Event(_) => false,
    };
    Outgoing { unix_us, trust, suspect, entry }
}
