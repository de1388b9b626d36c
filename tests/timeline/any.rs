//! Whatever a damaged store or a mad clock brings: no panic, no disorder, records that stay small.

use proptest::prelude::*;
use pulsegate::reading::{At, BootId, ClockTrust, EntryId};
use pulsegate::timeline::{Anchor, Boot, Placed, TimeQuality, Timeline};

use crate::{BEGAN, DAY, Restored, Synced, Unset, at};

fn any_trust() -> impl Strategy<Value = ClockTrust> {
    prop_oneof![Just(Unset), Just(Restored), Just(Synced)]
}

/// Small numbers collide and come in order, great ones overflow.
fn any_mono() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..20u64, 3 => 0..4_000_000_000u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn any_offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => 0..20i64,
        3 => BEGAN..BEGAN + DAY,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX)
    ]
}

fn any_at() -> impl Strategy<Value = At> {
    (0..6u128, any_mono(), any_offset(), any_trust()).prop_map(
        |(boot, mono_us, wall_offset_us, trust)| At {
            boot: BootId(boot),
            mono_us,
            wall_offset_us,
            trust,
        },
    )
}

/// Records as a store may hold them, however they came about.
fn any_boot() -> impl Strategy<Value = Boot> {
    let anchor = (any_mono(), any_offset(), any_trust())
        .prop_map(|(mono_us, offset_us, trust)| Anchor { mono_us, offset_us, trust });
    let anchors = proptest::collection::vec(anchor, 0..70);
    (0..10u64, 0..6u128, any_mono(), any_mono(), anchors).prop_map(
        |(from, boot, first_us, last_us, anchors)| Boot {
            from: EntryId(from),
            boot: BootId(boot),
            first_us,
            last_us,
            anchors,
        },
    )
}

fn any_timeline() -> impl Strategy<Value = Timeline> {
    let noted = (0..12u64, any_at());
    (proptest::collection::vec(any_boot(), 0..5), proptest::collection::vec(noted, 0..100))
        .prop_map(|(boots, noted)| {
            let mut timeline = Timeline::new(boots);
            for (id, at) in noted {
                timeline.note(EntryId(id), &at);
            }
            timeline
        })
}

proptest! {
    #[test]
    fn no_input_panics_and_a_record_stays_small(
        mut timeline in any_timeline(),
        at in any_at(),
        oldest in 0..12u64,
    ) {
        timeline.place(&at);
        for boot in timeline.boots() {
            prop_assert!(boot.anchors.len() <= 64);
            prop_assert!(serde_json::to_string(boot).unwrap().len() < 3500);
        }
        prop_assert!(timeline.boots().is_sorted_by_key(|boot| boot.from));
        timeline.forget_before(EntryId(oldest));
        timeline.place(&at);
    }

    #[test]
    fn the_order_within_a_boot_is_that_of_the_monotonic_clock(
        timeline in any_timeline(),
        offset in any_offset(),
        mut monos in proptest::collection::vec(any_mono(), 2..8),
        trust in prop_oneof![Just(Unset), Just(Restored)],
    ) {
        monos.sort_unstable();
        for boot in timeline.boots() {
            let times = monos.iter().map(|&mono_us| {
                timeline.place(&At { boot: boot.boot, mono_us, wall_offset_us: offset, trust }).unix_us
            });
            prop_assert!(times.is_sorted());
        }
    }

    #[test]
    fn a_synced_stamp_leaves_as_it_is_unless_it_is_called_corrected(
        timeline in any_timeline(),
        at in any_at(),
    ) {
        let at = At { trust: Synced, ..at };
        let placed = timeline.place(&at);
        match placed.quality {
            TimeQuality::Synced => prop_assert_eq!(placed.unix_us, at.unix_us()),
            quality => prop_assert_eq!(quality, TimeQuality::Corrected),
        }
    }

    #[test]
    fn a_synced_stamp_that_nobody_contradicts_is_synced(
        timeline in any_timeline(),
        at in any_at(),
        offset in 0..1_000_000i64,
    ) {
        let at = At { trust: Synced, wall_offset_us: offset, ..at };
        let mut boots = timeline.boots().to_vec();
        for anchor in boots.iter_mut().flat_map(|boot| &mut boot.anchors) {
            if anchor.mono_us > at.mono_us {
                anchor.offset_us = anchor.offset_us.rem_euclid(1_000_000);
            }
        }
        let placed = Timeline::new(boots).place(&at);
        prop_assert_eq!(placed, Placed { unix_us: at.unix_us(), quality: TimeQuality::Synced });
    }

    #[test]
    fn boots_that_synced_nowhere_do_not_overlap(stamps in proptest::collection::vec(
        (1..100_000_000i64, 0..DAY, prop_oneof![Just(Unset), Just(Restored)]), 1..40,
    )) {
        let mut log: Vec<At> = Vec::new();
        let mut last: [i64; 8] = [0; 8];
        let share = stamps.len().div_ceil(8);
        for (index, (mono, offset, trust)) in stamps.iter().enumerate() {
            let boot = index / share;
            last[boot] += mono;
            let offset = if *trust == Unset { 0 } else { BEGAN + offset };
            log.push(at(boot as u128, last[boot], offset, *trust));
        }
        let mut timeline = Timeline::default();
        for (id, at) in (0..).zip(&log) {
            timeline.note(EntryId(id), at);
        }
        let times: Vec<i64> = log.iter().map(|at| timeline.place(at).unix_us).collect();
        prop_assert!(times.is_sorted_by(|a, b| a < b), "{:?}", times);
    }
}
