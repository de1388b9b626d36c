//! What a reading says of the heart: a heart rate, none, or nothing new. One rule for all who sum up.

use serde::{Deserialize, Serialize};

use crate::normalize::PLAUSIBLE_BPM;
use crate::reading::{Contact, HeartRate, Source};

/// A heart rate holds until the next one, and no longer than this. Straps send every second; a broadcast is refreshed
/// every one or two and some are missed; after five seconds a wall shows it as old, and the FIT SDK holds one no longer.
/// What comes later comes after a gap.
pub const HOLD_US: u64 = 5_000_000;

/// What a reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The heart rate from here on, in beats per minute.
    Rate(u16),
    /// No heart rate from here on: the strap found no beat, is not worn, or told what no heart has.
    Nothing,
    /// A broadcast of what the link tells already.
    Again,
}

impl Heard {
    /// The heart rate, if it is one.
    pub fn bpm(self) -> Option<u16> {
        match self {
            Self::Rate(bpm) => Some(bpm),
            Self::Nothing | Self::Again => None,
        }
    }
}

/// Hears a strap whose readings come over its link, from its advertisements, or both. While the link tells, a broadcast of
/// the same beats tells nothing: it is older, averaged, and must not count twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ear {
    link_us: Option<u64>,
}

impl Ear {
    /// What a reading says that came at that time, in microseconds. Readings come in order.
    pub fn hear(&mut self, at_us: u64, heart_rate: &HeartRate) -> Heard {
        match heart_rate.source {
            Source::Link => self.link_us = Some(at_us),
            Source::Broadcast
                if self.link_us.is_some_and(|us| at_us.saturating_sub(us) < HOLD_US) =>
            {
                return Heard::Again;
            }
            Source::Broadcast => {}
        }
        // An H10 does not report contact: unknown is not "not worn".
        let is_worn = heart_rate.contact != Contact::NotWorn;
        if is_worn && PLAUSIBLE_BPM.contains(&heart_rate.bpm) {
            Heard::Rate(heart_rate.bpm)
        } else {
            Heard::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(source: Source, bpm: u16, contact: Contact) -> HeartRate {
        HeartRate { bpm, contact, energy_kj: None, rr: Vec::new(), source }
    }

    #[test]
    fn no_beat_not_worn_and_what_no_heart_has_are_no_heart_rate() {
        let mut ear = Ear::default();
        let mut hear = |bpm, contact| ear.hear(0, &reading(Source::Link, bpm, contact));
        assert_eq!(hear(0, Contact::Worn), Heard::Nothing);
        assert_eq!(hear(120, Contact::NotWorn), Heard::Nothing);
        assert_eq!(hear(24, Contact::Worn), Heard::Nothing);
        assert_eq!(hear(251, Contact::Worn), Heard::Nothing);
        assert_eq!(hear(250, Contact::Unknown), Heard::Rate(250));
    }

    #[test]
    fn a_broadcast_counts_only_while_the_link_is_silent() {
        let mut ear = Ear::default();
        let link = reading(Source::Link, 120, Contact::Worn);
        let broadcast = reading(Source::Broadcast, 118, Contact::Worn);
        assert_eq!(ear.hear(0, &broadcast), Heard::Rate(118));
        assert_eq!(ear.hear(1, &link), Heard::Rate(120));
        assert_eq!(ear.hear(HOLD_US, &broadcast), Heard::Again);
        assert_eq!(ear.hear(HOLD_US + 1, &broadcast), Heard::Rate(118));
    }
}
