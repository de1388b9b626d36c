//! When each boot was: stamps mended by what was learnt later, boots held by their neighbours, records that stay small.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod any;

use pulsegate::reading::{At, BootId, ClockTrust, EntryId};
use pulsegate::timeline::{Anchor, Boot, Placed, TimeQuality, Timeline};

use ClockTrust::{Restored, Synced, Unset};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// 2026-11-21T09:30:00Z: when the first boot of these stories began.
const BEGAN: i64 = 1_795_253_400 * SECOND;

/// A stamp so long after a boot began, by a wall clock that puts this beginning at `offset`.
fn at(boot: u128, mono: i64, offset: i64, trust: ClockTrust) -> At {
    let mono_us = mono.try_into().unwrap();
    At { boot: BootId(boot), mono_us, wall_offset_us: offset, trust }
}

/// A log of stamps, one place for each.
fn log(stamps: &[At]) -> Timeline {
    let mut timeline = Timeline::default();
    for (id, at) in (0..).zip(stamps) {
        timeline.note(EntryId(id), at);
    }
    timeline
}

fn placed(unix_us: i64, quality: TimeQuality) -> Placed {
    Placed { unix_us, quality }
}

#[test]
fn what_was_measured_before_the_first_sync_is_mended_by_it() {
    let early = at(1, 30 * SECOND, 0, Unset);
    let guessed = at(1, 60 * SECOND, BEGAN - HOUR, Restored);
    let synced = at(1, 90 * SECOND, BEGAN, Synced);
    let before = log(&[early, guessed]);
    assert_eq!(before.place(&guessed), placed(guessed.unix_us(), TimeQuality::Restored));
    let timeline = log(&[early, guessed, synced]);
    assert_eq!(timeline.place(&early), placed(BEGAN + 30 * SECOND, TimeQuality::Corrected));
    assert_eq!(timeline.place(&guessed), placed(BEGAN + 60 * SECOND, TimeQuality::Corrected));
    assert_eq!(timeline.place(&synced), placed(BEGAN + 90 * SECOND, TimeQuality::Synced));
}

#[test]
fn a_clock_set_wrong_by_a_day_and_back_is_mended_by_the_nearest_sync() {
    let later = BEGAN + 2 * SECOND;
    let wrong = |mono| at(1, mono, BEGAN + DAY, Restored);
    let timeline = log(&[
        at(1, HOUR, BEGAN, Synced),
        wrong(2 * HOUR),
        at(1, 5 * HOUR, later, Restored),
        at(1, 6 * HOUR, later, Synced),
    ]);
    let time = |mono| timeline.place(&wrong(mono));
    assert_eq!(time(2 * HOUR), placed(BEGAN + 2 * HOUR, TimeQuality::Corrected));
    assert_eq!(time(5 * HOUR), placed(later + 5 * HOUR, TimeQuality::Corrected));
}

#[test]
fn a_synced_stamp_that_the_syncs_before_and_after_deny_is_mended() {
    let denied = at(1, 2 * HOUR, BEGAN + DAY, Synced);
    let stamps = [at(1, HOUR, BEGAN, Synced), denied, at(1, 3 * HOUR, BEGAN, Synced)];
    assert_eq!(log(&stamps[..2]).place(&denied).quality, TimeQuality::Synced, "nobody says no yet");
    assert_eq!(log(&stamps).place(&denied), placed(BEGAN + 2 * HOUR, TimeQuality::Corrected));
    let beside = at(1, 2 * HOUR + 1, BEGAN + DAY, Restored);
    assert_eq!(
        log(&stamps).place(&beside).unix_us,
        BEGAN + 2 * HOUR + 1,
        "nor does it mend others"
    );
    for stamp in [stamps[0], stamps[2]] {
        assert_eq!(log(&stamps).place(&stamp), placed(stamp.unix_us(), TimeQuality::Synced));
    }
}

#[test]
fn a_synced_stamp_that_a_later_sync_does_not_share_stays() {
    let first = at(1, HOUR, BEGAN, Synced);
    let timeline = log(&[first, at(1, 2 * HOUR, BEGAN - 5 * SECOND, Synced)]);
    assert_eq!(timeline.place(&first), placed(first.unix_us(), TimeQuality::Synced));
}

#[test]
fn a_boot_that_never_was_set_begins_where_the_one_before_ended() {
    let unset = at(2, 40 * SECOND, 0, Unset);
    let timeline = log(&[at(1, HOUR, BEGAN, Synced), unset, at(2, HOUR, 0, Unset)]);
    let expected = BEGAN + HOUR + 40 * SECOND;
    assert_eq!(timeline.place(&unset), placed(expected, TimeQuality::Bounded));
}

#[test]
fn a_boot_that_never_was_set_and_is_the_first_ended_where_the_next_began() {
    let unset = at(1, 40 * SECOND, 0, Unset);
    let timeline = log(&[unset, at(1, HOUR, 0, Unset), at(2, 50 * SECOND, BEGAN, Synced)]);
    let expected = BEGAN - HOUR + 40 * SECOND;
    assert_eq!(timeline.place(&unset), placed(expected, TimeQuality::Bounded));
}

#[test]
fn a_restored_clock_is_kept_where_its_neighbours_leave_room_for_it() {
    let story = |offset| {
        let restored = at(2, 40 * SECOND, offset, Restored);
        let known = [at(1, HOUR, BEGAN, Synced), at(3, 50 * SECOND, BEGAN + DAY, Synced)];
        let timeline = log(&[known[0], restored, at(2, HOUR, offset, Restored), known[1]]);
        timeline.place(&restored)
    };
    let between = |offset| placed(offset + 40 * SECOND, TimeQuality::Bounded);
    assert_eq!(story(BEGAN + 5 * HOUR), between(BEGAN + 5 * HOUR), "room");
    assert_eq!(story(BEGAN - 5 * HOUR), between(BEGAN + HOUR), "too early");
    assert_eq!(story(BEGAN + 5 * DAY), between(BEGAN + DAY - HOUR), "too late");
}

#[test]
fn a_restored_clock_that_nothing_touches_stays_restored() {
    let restored = at(2, 40 * SECOND, BEGAN + 5 * HOUR, Restored);
    let timeline = log(&[at(1, HOUR, BEGAN, Synced), restored]);
    assert_eq!(timeline.place(&restored), placed(restored.unix_us(), TimeQuality::Restored));
    let late = at(2, 40 * SECOND, BEGAN, Restored);
    let timeline = log(&[at(1, HOUR, BEGAN, Synced), late]);
    assert_eq!(timeline.place(&late), placed(BEGAN + HOUR + 40 * SECOND, TimeQuality::Bounded));
}

#[test]
fn a_clock_put_right_by_hand_counts_for_its_whole_boot() {
    let early = at(1, 40 * SECOND, BEGAN - HOUR, Restored);
    let timeline = log(&[early, at(1, HOUR, BEGAN, Restored)]);
    assert_eq!(timeline.place(&early), placed(BEGAN + 40 * SECOND, TimeQuality::Restored));
}

#[test]
fn boots_that_never_synced_come_out_in_order_and_do_not_overlap() {
    // fake-hwclock restores the last full hour each time, and once nothing at all.
    let offsets = [(BEGAN, Restored), (BEGAN, Restored), (0, Unset), (BEGAN + HOUR, Restored)];
    for (known_before, known_after) in [(false, false), (true, false), (false, true), (true, true)]
    {
        let mut stamps = Vec::new();
        if known_before {
            stamps.push(at(100, HOUR, BEGAN - HOUR, Synced));
        }
        for (boot, (offset, trust)) in (1..).zip(offsets) {
            stamps.extend([10, 20, 3000].map(|mono| at(boot, mono * SECOND, offset, trust)));
        }
        if known_after {
            // Not enough room for all that these boots would like.
            stamps.push(at(200, HOUR, BEGAN + 4 * HOUR, Synced));
        }
        let timeline = log(&stamps);
        let times: Vec<i64> = stamps.iter().map(|at| timeline.place(at).unix_us).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "{known_before} {known_after}: {times:?}");
        for boot in stamps.chunk_by(|a, b| a.boot == b.boot) {
            let offset = |at: &At| timeline.place(at).unix_us - at.mono_us.cast_signed();
            assert!(boot.iter().all(|at| offset(at) == offset(&boot[0])), "moved as a whole");
        }
        let bounded = stamps.iter().filter(|at| timeline.place(at).quality == TimeQuality::Bounded);
        assert!(!(known_before && known_after) || bounded.count() == 12);
    }
}

#[test]
fn the_last_of_several_unsynced_boots_may_last_until_the_next_one_begins() {
    let early = at(1, HOUR, BEGAN, Restored);
    let late = at(2, HOUR, BEGAN + 5 * DAY, Restored);
    let timeline = log(&[early, late, at(3, HOUR, BEGAN + DAY, Synced)]);
    assert_eq!(timeline.place(&early), placed(BEGAN + HOUR, TimeQuality::Restored));
    assert_eq!(timeline.place(&late), placed(BEGAN + DAY, TimeQuality::Bounded));
}

#[test]
fn stamps_behind_the_last_recorded_one_stay_before_the_next_boot() {
    let timeline = Timeline::new(vec![
        boot(1, &[(20 * SECOND, BEGAN + DAY, Restored)], HOUR),
        boot(2, &[(20 * SECOND, BEGAN + DAY, Synced)], HOUR),
    ]);
    let lost = at(1, HOUR + 300 * SECOND, BEGAN + DAY, Restored);
    assert_eq!(timeline.place(&lost), placed(BEGAN + DAY, TimeQuality::Bounded));
}

#[test]
fn a_boot_that_nobody_noted_is_as_its_stamps_say() {
    for (trust, quality) in [
        (Synced, TimeQuality::Synced),
        (Restored, TimeQuality::Restored),
        (Unset, TimeQuality::Unset),
    ] {
        let stamp = at(9, HOUR, BEGAN, trust);
        let timeline = log(&[at(1, HOUR, BEGAN, Synced)]);
        assert_eq!(timeline.place(&stamp), placed(BEGAN + HOUR, quality));
    }
}

fn boot(boot: u128, anchors: &[(i64, i64, ClockTrust)], last: i64) -> Boot {
    let anchors = anchors.iter().map(|&(mono, offset_us, trust)| Anchor {
        mono_us: mono.try_into().unwrap(),
        offset_us,
        trust,
    });
    Boot {
        from: EntryId(u64::try_from(boot).unwrap() * 100),
        boot: BootId(boot),
        first_us: 0,
        last_us: last.try_into().unwrap(),
        anchors: anchors.collect(),
    }
}

#[test]
fn a_record_is_stored_anew_for_a_boot_an_anchor_and_every_ten_minutes() {
    let mut timeline = Timeline::default();
    let mut stored = |seconds: i64, offset, trust| {
        let at = at(1, seconds * SECOND, offset, trust);
        timeline.note(EntryId(seconds.unsigned_abs()), &at).is_some()
    };
    assert!(stored(1, 0, Unset), "a new boot");
    assert!(!stored(2, 0, Unset));
    assert!(stored(3, BEGAN, Restored), "set");
    assert!(stored(4, BEGAN, Synced), "confirmed");
    assert!(!stored(5, BEGAN + SECOND / 10, Synced));
    assert!(stored(6, BEGAN + SECOND / 10 + 1, Synced), "stepped");
    assert!(!stored(605, BEGAN + SECOND / 10, Synced));
    assert!(stored(606, BEGAN + SECOND / 10, Synced), "ten minutes");
    assert!(!stored(607, BEGAN + SECOND / 10, Synced));
    let boot = &timeline.boots()[0];
    assert_eq!((boot.from, boot.first_us, boot.last_us), (EntryId(1), 1_000_000, 607_000_000));
    assert_eq!(boot.anchors.len(), 4);
}

#[test]
fn boots_noted_out_of_order_stand_where_their_entries_do() {
    let mut timeline = Timeline::default();
    timeline.note(EntryId(900), &at(3, HOUR, BEGAN + DAY, Synced));
    timeline.note(EntryId(100), &at(1, HOUR, BEGAN, Synced));
    assert!(timeline.note(EntryId(500), &at(2, HOUR, 0, Unset)).is_some());
    assert!(timeline.note(EntryId(499), &at(2, 60 * SECOND, 0, Unset)).is_none());
    let order: Vec<u128> = timeline.boots().iter().map(|boot| boot.boot.0).collect();
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(timeline.place(&at(2, SECOND, 0, Unset)).unix_us, BEGAN + HOUR + SECOND);
    // What is read back, in any order, says the same.
    let mut records = timeline.boots().to_vec();
    records.reverse();
    assert_eq!(Timeline::new(records).boots(), timeline.boots());
}

#[test]
fn an_anchor_found_late_stands_where_it_belongs() {
    let timeline = log(&[
        at(1, 3 * HOUR, BEGAN, Synced),
        at(1, HOUR, 0, Unset),
        at(1, 2 * HOUR, BEGAN, Restored),
        at(1, 90 * 60 * SECOND, 0, Unset),
    ]);
    let trusts: Vec<ClockTrust> =
        timeline.boots()[0].anchors.iter().map(|anchor| anchor.trust).collect();
    assert_eq!(trusts, [Unset, Restored, Synced]);
}

#[test]
fn a_boot_that_left_nothing_gives_its_place_to_the_next() {
    let mut timeline = log(&[at(1, HOUR, BEGAN, Synced)]);
    timeline.note(EntryId(1), &at(2, HOUR, 0, Unset));
    timeline.note(EntryId(1), &at(3, HOUR, 0, Unset));
    let order: Vec<u128> = timeline.boots().iter().map(|boot| boot.boot.0).collect();
    assert_eq!(order, [1, 3]);
}

#[test]
fn boots_without_entries_are_forgotten() {
    let known = |n| boot(n, &[(HOUR, BEGAN, Synced)], HOUR);
    let mut timeline = Timeline::new((1..=4).map(known).collect());
    assert_eq!(timeline.forget_before(EntryId(0)), []);
    assert_eq!(timeline.forget_before(EntryId(199)), []);
    assert_eq!(timeline.forget_before(EntryId(300)), [EntryId(100), EntryId(200)]);
    assert_eq!(timeline.forget_before(EntryId(9999)), [EntryId(300)]);
    assert_eq!(timeline.boots().len(), 1, "the last one still runs");
    assert_eq!(Timeline::default().forget_before(EntryId(5)), []);
}

#[test]
fn the_boot_that_another_one_leans_on_is_not_forgotten() {
    let known = |n| boot(n, &[(HOUR, BEGAN, Synced)], HOUR);
    let unset = |n| boot(n, &[(HOUR, 0, Unset)], HOUR);
    let mut timeline = Timeline::new(vec![known(1), known(2), unset(3), unset(4)]);
    let stamp = at(4, HOUR, 0, Unset);
    let before = timeline.place(&stamp);
    assert_eq!(timeline.forget_before(EntryId(450)), [EntryId(100)]);
    assert_eq!(timeline.place(&stamp), before);
}

#[test]
fn a_thousand_boots_are_kept_and_no_more() {
    let unset = |n| boot(n, &[(HOUR, 0, Unset)], HOUR);
    let mut timeline = Timeline::new((0..1003).map(unset).collect());
    assert_eq!(timeline.forget_before(EntryId(0)), [EntryId(0), EntryId(100), EntryId(200)]);
    assert_eq!(timeline.boots().len(), 1000);
}

#[test]
fn a_record_reads_like_this() {
    let boot = boot(7, &[(SECOND, 0, Unset), (HOUR, BEGAN, Synced)], DAY);
    let json = serde_json::to_string(&boot).unwrap();
    assert_eq!(
        json,
        r#"{"from":700,"boot":"00000000-0000-0000-0000-000000000007","first_us":0,"last_us":86400000000,"anchors":[[1000000,0,"u"],[3600000000,1795253400000000,"s"]]}"#
    );
    assert_eq!(serde_json::from_str::<Boot>(&json).unwrap(), boot);
    assert!(serde_json::from_str::<Boot>(&json.replace("\"s\"", "\"x\"")).is_err());
}

#[test]
fn thinning_out_keeps_the_first_sync_the_latest_anchor_and_the_greatest_steps() {
    let mut timeline = Timeline::default();
    timeline.note(EntryId(1), &at(1, SECOND, BEGAN, Synced));
    timeline.note(EntryId(1), &at(1, 2 * SECOND, BEGAN + DAY, Synced));
    for n in 3..500 {
        let trust = if n % 3 == 0 { Restored } else { Synced };
        timeline.note(EntryId(1), &at(1, n * SECOND, BEGAN + DAY + n * SECOND, trust));
    }
    let anchors = &timeline.boots()[0].anchors;
    assert_eq!(anchors.len(), 64);
    assert_eq!((anchors[0].mono_us, anchors[1].mono_us), (1_000_000, 2_000_000));
    assert_eq!(anchors[63].mono_us, 499_000_000);
    assert!(anchors[..63].iter().all(|anchor| anchor.trust == Synced));
}

#[test]
fn thinning_out_keeps_the_last_word_of_a_boot_that_never_synced() {
    let mut timeline = Timeline::default();
    timeline.note(EntryId(1), &at(1, SECOND, BEGAN, Restored));
    for n in 2..500 {
        timeline.note(EntryId(1), &at(1, n * SECOND, n * SECOND, Unset));
    }
    assert_eq!(timeline.boots()[0].anchors[0].trust, Restored);
    assert_eq!(timeline.place(&at(1, SECOND, BEGAN, Restored)).unix_us, BEGAN + SECOND);
}
