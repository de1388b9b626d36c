//! Time as a session counts it: microseconds since its first reading. Within a boot by the monotonic clock, whatever the wall
//! clock does; from one boot to the next as the timeline has them.

use serde::{Deserialize, Serialize};

use crate::reading::At;
use crate::timeline::{Placed, TimeQuality, Timeline};

/// The time of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Axis {
    began: At,
    latest: At,
    latest_us: u64,
}

impl Axis {
    /// It begins here, at 0.
    pub(super) fn new(at: &At) -> Self {
        Self { began: *at, latest: *at, latest_us: 0 }
    }

    /// Where it begins.
    pub(super) fn began(&self) -> &At {
        &self.began
    }

    /// How far on this is. It never goes back: what was stamped earlier than what came before counts as of the same moment.
    pub(super) fn us(&mut self, at: &At, timeline: &Timeline) -> u64 {
        let passed_us = between_us(&self.latest, at, timeline);
        if passed_us > 0 || at.boot != self.latest.boot {
            self.latest = *at;
            self.latest_us = self.latest_us.saturating_add(passed_us);
        }
        self.latest_us
    }
}

/// Microseconds from one stamp to another; 0 where the other is not later.
pub(super) fn between_us(from: &At, to: &At, timeline: &Timeline) -> u64 {
    if from.boot == to.boot {
        return to.mono_us.saturating_sub(from.mono_us);
    }
    // Both by what is known now: a boot is mended as a whole.
    let unix_us = |at| i128::from(timeline.place(at).unix_us);
    u64::try_from(unix_us(to) - unix_us(from)).unwrap_or(0)
}

/// The calendar year, while the date is known at all.
pub(super) fn year(placed: &Placed) -> Option<i32> {
    let time = jiff::Timestamp::from_microsecond(placed.unix_us).ok()?;
    let year = i32::from(time.to_zoned(jiff::tz::TimeZone::UTC).year());
    (placed.quality != TimeQuality::Unset).then_some(year)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{BootId, ClockTrust, EntryId};

    const UNIX_US: i64 = 1_795_000_000_000_000;

    fn at(boot: u128, mono_us: u64, wall_offset_us: i64) -> At {
        At { boot: BootId(boot), mono_us, wall_offset_us, trust: ClockTrust::Synced }
    }

    #[test]
    fn a_wall_clock_that_jumps_moves_nothing_within_a_boot() {
        let timeline = Timeline::default();
        let mut axis = Axis::new(&at(1, 5_000_000, 0));
        assert_eq!(axis.us(&at(1, 7_000_000, UNIX_US), &timeline), 2_000_000);
        assert_eq!(axis.us(&at(1, 6_000_000, 0), &timeline), 2_000_000, "not back");
        assert_eq!(axis.us(&at(1, 8_000_000, 0), &timeline), 3_000_000);
    }

    #[test]
    fn from_boot_to_boot_the_time_between_counts() {
        let (before, after) =
            (at(1, 100_000_000, UNIX_US), at(2, 20_000_000, UNIX_US + 180_000_000));
        let mut timeline = Timeline::default();
        timeline.note(EntryId(0), &before);
        timeline.note(EntryId(1), &after);
        let mut axis = Axis::new(&before);
        assert_eq!(axis.us(&after, &timeline), 100_000_000);
        assert_eq!(axis.us(&at(2, 21_000_000, 0), &timeline), 101_000_000);
    }

    #[test]
    fn a_boot_that_does_not_know_the_time_counts_from_its_start_at_least() {
        let before = at(1, 100_000_000, UNIX_US);
        let after = At { trust: ClockTrust::Unset, ..at(2, 20_000_000, 0) };
        let mut timeline = Timeline::default();
        timeline.note(EntryId(0), &before);
        timeline.note(EntryId(1), &after);
        assert_eq!(Axis::new(&before).us(&after, &timeline), 20_000_000);
    }

    #[test]
    fn a_year_is_known_when_the_date_is() {
        let placed = |quality| Placed { unix_us: UNIX_US, quality };
        assert_eq!(year(&placed(TimeQuality::Bounded)), Some(2026));
        assert_eq!(year(&placed(TimeQuality::Unset)), None);
    }
}
