//! Entries become what leaves the box: identity, time with its quality, plausibility. Pure.
//!
//! Facts are stored as measured; whatever is mended is mended here, on the way out, so that a mistake is undone by
//! delivering again.

pub mod merge;
pub mod twin;

use crate::reading::{Entry, Fact, Measurement, RrInterval};
use crate::timeline::{Placed, TimeQuality, Timeline};

/// Heart rates outside this are marked as suspect, never dropped.
pub const PLAUSIBLE_BPM: std::ops::RangeInclusive<u16> = 25..=250;

/// An entry on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The entry as kept.
    pub entry: Entry,
    /// Unix time in microseconds.
    pub unix_us: i64,
    /// How far that time can be believed.
    pub quality: TimeQuality,
    /// A value that no heart has. Shown to receivers, who decide.
    pub suspect: bool,
}

/// Makes an entry ready to leave, at the time that is known today.
pub fn outgoing(entry: Entry, timeline: &Timeline) -> Outgoing {
    let Placed { unix_us, quality } = timeline.place(entry.fact.at());
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
    Outgoing { unix_us, quality, suspect, entry }
}

/// The beats of a reading, oldest first, and when each came, in Unix microseconds. A strap says how long each interval was
/// and not when it was: the last ended when the reading came, each other one where the next began.
pub fn beats(outgoing: &Outgoing) -> impl Iterator<Item = (i64, RrInterval)> {
    let intervals = match &outgoing.entry.fact {
        Fact::Reading(reading) => match &reading.measurement {
            Measurement::HeartRate(heart_rate) => &heart_rate.rr[..],
            Measurement::Battery(_) => &[],
        },
        Fact::Event(_) => &[],
    };
    let length_us = |rr: RrInterval| i64::from(rr.0) * 1_000_000 / 1024;
    let all_us: i64 = intervals.iter().copied().map(length_us).sum();
    let mut at = outgoing.unix_us.saturating_sub(all_us);
    intervals.iter().map(move |rr| {
        at = at.saturating_add(length_us(*rr));
        (at, *rr)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{At, BootId, ClockTrust, EntryId, Event, EventKind};

    #[test]
    fn an_entry_from_before_the_clock_was_set_leaves_with_the_time_that_is_known_today() {
        let early = At {
            boot: BootId(1),
            mono_us: 20_000_000,
            wall_offset_us: 0,
            trust: ClockTrust::Unset,
        };
        let began_us = 1_795_253_400_000_000;
        let synced = At {
            mono_us: 60_000_000,
            wall_offset_us: began_us,
            trust: ClockTrust::Synced,
            ..early
        };
        let kind = EventKind::Started { version: "1".to_owned() };
        let entry = Entry { id: EntryId(0), fact: Fact::Event(Event { at: early, kind }) };
        let mut timeline = Timeline::default();
        timeline.note(EntryId(0), &early);
        let before = outgoing(entry.clone(), &timeline);
        assert_eq!((before.unix_us, before.quality), (20_000_000, TimeQuality::Unset));
        timeline.note(EntryId(1), &synced);
        let after = outgoing(entry, &timeline);
        assert_eq!(after.unix_us, began_us + 20_000_000);
        assert_eq!(after.quality, TimeQuality::Corrected);
    }
}
