//! Simulated hearts in one class, and one heart heard by a strap and by watches, good and bad.

use super::*;
use crate::activity::{Beat, RrMillis, Sample, UnixMs};
use crate::reading::RrInterval;
use crate::simulate::heart::Heart;

const START_S: i64 = 1_795_284_000;

/// What a strap hears of a person: a heart rate and its beats for each second.
type Heard = Vec<(u16, Vec<RrInterval>)>;

fn dice(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed)
}

/// Somebody in a class that began so long ago.
fn person(seed: u64, begun_s: f64) -> Heart {
    Heart::new(dice(seed)).in_class(begun_s)
}

fn live(mut heart: Heart, seconds: usize) -> Heard {
    (0..seconds)
        .map(|_| {
            let beats = heart.second();
            (heart.bpm(), beats)
        })
        .collect()
}

/// Whether the recorder keeps beats.
#[derive(Clone, Copy, PartialEq)]
enum Beats {
    Kept,
    Left,
}

fn sample(second: i64, bpm: f64) -> Item {
    let at = Some(UnixMs::from_seconds(START_S + second));
    let bpm = bpm.round().clamp(0.0, 255.0) as u8;
    Item::Sample(Sample { at, heart_rate_bpm: Some(bpm), ..Sample::default() })
}

/// The strap, with the clock of a box that is so far ahead.
fn strap(heard: &Heard, ahead_s: i64, beats: Beats) -> Vec<Item> {
    let mut items = Vec::new();
    for (second, (bpm, intervals)) in (ahead_s..).zip(heard) {
        items.push(sample(second, f64::from(*bpm)));
        let after = Some(UnixMs::from_seconds(START_S + second));
        if beats == Beats::Kept {
            items.extend(intervals.iter().map(|rr| Item::Beat(Beat { after, rr: (*rr).into() })));
        }
    }
    items
}

/// How a watch hears: late, smoothed, with an error that drifts.
#[derive(Clone, Copy)]
struct Watch {
    late_s: usize,
    smooth_s: usize,
    error_bpm: f64,
}

const GOOD: Watch = Watch { late_s: 3, smooth_s: 5, error_bpm: 1.0 };
const BAD: Watch = Watch { late_s: 8, smooth_s: 10, error_bpm: 2.5 };

fn watch(heard: &Heard, watch: Watch, ahead_s: i64, mut dice: fastrand::Rng) -> Vec<Item> {
    let mut error = 0.0;
    let mut items = Vec::new();
    for (index, second) in (0..heard.len()).zip(ahead_s..) {
        let to = index.saturating_sub(watch.late_s);
        let from = to.saturating_sub(watch.smooth_s);
        let sum: f64 = heard[from..=to].iter().map(|(bpm, _)| f64::from(*bpm)).sum();
        // Twelve throws are nearly a bell, with a spread of one.
        let throw: f64 = (0..12).map(|_| dice.f64()).sum::<f64>() - 6.0;
        error = 0.9 * error + 0.436 * watch.error_bpm * throw;
        items.push(sample(second, sum / (to - from + 1) as f64 + error));
    }
    items
}

fn curve(items: &[Item]) -> Curve {
    let mut curve = Curve::default();
    items.iter().for_each(|item| curve.add(item));
    curve
}

fn proof(verdict: Verdict) -> Option<Proof> {
    match verdict {
        Verdict::Same { proof, .. } => Some(proof),
        Verdict::Different | Verdict::Unclear => None,
    }
}

/// The same either way round.
fn both(one: &Curve, other: &Curve, whose: Whose) -> Verdict {
    let verdict = compare(one, other, whose);
    match (verdict, compare(other, one, whose)) {
        (Verdict::Same { proof: a, shift_s: to }, Verdict::Same { proof: b, shift_s: back }) => {
            assert!(a == b && (to + back).abs() <= 1, "{a:?} {to}, {b:?} {back}");
        }
        (one, other) => assert_eq!(one, other),
    }
    verdict
}

#[test]
fn two_people_side_by_side_in_one_class_are_never_one() {
    for seed in 0..1000 {
        let begun_s = (seed * 37 % 1140) as f64;
        let pair = [seed, seed + 10_000].map(|seed| live(person(seed, begun_s), 1800));
        let [one, other] = pair.map(|heard| curve(&strap(&heard, 0, Beats::Kept)));
        assert_eq!(compare(&one, &other, Whose::Unknown), Verdict::Different, "seed {seed}");
    }
}

#[test]
fn two_people_with_the_same_body_in_one_class_are_never_one() {
    for seed in 0..300 {
        let one = person(seed, 300.0);
        let other = one.another_day(dice(seed + 10_000));
        let [one, other] =
            [one, other].map(|heart| curve(&strap(&live(heart, 1800), 0, Beats::Left)));
        assert_eq!(both(&one, &other, Whose::Unknown), Verdict::Different, "seed {seed}");
    }
}

#[test]
fn somebody_elses_watch_is_not_taken_for_that_of_the_same_body_beside() {
    for seed in 0..300 {
        let one = person(seed, 300.0);
        let other = one.another_day(dice(seed + 10_000));
        let other = watch(&live(other, 1800), GOOD, 0, dice(seed));
        let one = strap(&live(one, 1800), 0, Beats::Kept);
        let verdict = both(&curve(&one), &curve(&other), Whose::Unknown);
        assert_eq!(verdict, Verdict::Different, "seed {seed}");
    }
}

#[test]
fn a_good_watch_on_the_wrist_of_who_wears_the_strap_is_a_twin_whatever_its_clock() {
    let mut found = 0;
    for seed in 0..200 {
        let heard = live(person(seed, 300.0), 1800);
        let ahead = seed as i64 % 211 - 105;
        let watched = curve(&watch(&heard, GOOD, ahead, dice(seed)));
        let verdict = both(&curve(&strap(&heard, 0, Beats::Kept)), &watched, Whose::Unknown);
        if let Verdict::Same { shift_s, .. } = verdict {
            assert!((shift_s + ahead).abs() <= 10, "seed {seed}: {shift_s} of {ahead}");
            found += 1;
        }
    }
    assert!(found >= 190, "{found} of 200");
}

#[test]
fn a_bad_watch_is_a_twin_only_when_it_is_known_whose_it_is() {
    let (mut strangers, mut known) = (0, 0);
    for seed in 0..100 {
        let heard = live(person(seed, 300.0), 1800);
        let watched = curve(&watch(&heard, BAD, 7, dice(seed)));
        let strap = curve(&strap(&heard, 0, Beats::Kept));
        strangers += usize::from(proof(both(&strap, &watched, Whose::Unknown)).is_some());
        known += usize::from(proof(both(&strap, &watched, Whose::OnePersons)).is_some());
    }
    assert_eq!((strangers, known), (0, 100));
}

#[test]
fn the_same_beats_prove_it_also_when_half_of_the_heart_rates_are_made_up() {
    for seed in 0..50 {
        let heard = live(person(seed, 300.0), 1200);
        let one = strap(&heard, 0, Beats::Kept);
        // Another receiver: it has missed a minute here and there, and its heart rates are averaged.
        let missed = |second: i64| second % 300 < 60;
        let mut other = Vec::new();
        for (second, (bpm, intervals)) in (25..).zip(&heard) {
            if missed(second) {
                continue;
            }
            other.push(sample(second, f64::from(*bpm) + if second % 2 == 0 { 30.0 } else { 0.0 }));
            let after = Some(UnixMs::from_seconds(START_S + second));
            let rounded = |rr: &RrInterval| RrMillis(RrMillis::from(*rr).0 + 1);
            other.extend(intervals.iter().map(|rr| Item::Beat(Beat { after, rr: rounded(rr) })));
        }
        let verdict = both(&curve(&one), &curve(&other), Whose::Unknown);
        assert_eq!(verdict, Verdict::Same { proof: Proof::Beats, shift_s: -25 }, "seed {seed}");
    }
}

#[test]
fn beats_of_two_people_of_the_same_body_prove_nothing() {
    for seed in 0..300 {
        let one = person(seed, 0.0);
        let other = one.another_day(dice(seed + 500));
        let [one, other] =
            [one, other].map(|heart| curve(&strap(&live(heart, 900), 0, Beats::Kept)).sorted());
        assert_eq!(same_beats(&one.beats, &other.beats), None, "seed {seed}");
    }
}

#[test]
fn records_in_another_order_or_in_pieces_change_nothing() {
    for seed in 0..20 {
        let heard = live(person(seed, 300.0), 900);
        let (one, items) = (strap(&heard, 0, Beats::Kept), watch(&heard, GOOD, 9, dice(seed)));
        let whole = compare(&curve(&one), &curve(&items), Whose::Unknown);
        let mut mixed = items.clone();
        dice(seed).shuffle(&mut mixed);
        let mut again = curve(&mixed[..400]);
        mixed[400..].iter().chain(&mixed[..100]).for_each(|item| again.add(item));
        assert_eq!(compare(&curve(&one), &again, Whose::Unknown), whole, "seed {seed}");
    }
}

#[test]
fn too_little_in_common_tells_nothing() {
    let heard = live(person(3, 300.0), 3600);
    let whole = curve(&strap(&heard, 0, Beats::Left));
    let part = |from: usize, to: usize, ahead_s: i64| {
        let heard = heard[from..to].to_vec();
        curve(&strap(&heard, from as i64 + ahead_s, Beats::Left))
    };
    assert_eq!(proof(both(&whole, &part(600, 1200, 0), Whose::Unknown)), Some(Proof::Rates));
    assert_eq!(both(&whole, &part(600, 890, 0), Whose::Unknown), Verdict::Unclear);
    // Of ten minutes the second half has three: two thirds are wanted.
    assert_eq!(both(&part(0, 1000, 0), &part(600, 1600, 0), Whose::Unknown), Verdict::Unclear);
    // Beyond what clocks differ by.
    let late = both(&whole, &part(600, 1200, 140), Whose::Unknown);
    assert_eq!(late, Verdict::Different);
    let empty = Curve::default();
    assert_eq!(both(&whole, &empty, Whose::OnePersons), Verdict::Unclear);
    assert_eq!(both(&empty, &empty, Whose::OnePersons), Verdict::Unclear);
}

#[test]
fn a_heart_rate_that_never_changes_is_anybodys() {
    let flat: Vec<Item> = (0..1200).map(|second| sample(second, 150.0)).collect();
    assert_eq!(both(&curve(&flat), &curve(&flat), Whose::Unknown), Verdict::Unclear);
    assert_eq!(proof(both(&curve(&flat), &curve(&flat), Whose::OnePersons)), Some(Proof::Rates));
}

#[test]
fn without_a_heart_rate_the_same_places_at_the_same_seconds_tell() {
    let ride = |ahead_s: i64, aside: i32| -> Vec<Item> {
        let mut dice = dice(5);
        let mut place = Position { lat: 600_000_000, lon: 100_000_000 };
        let mut items = Vec::new();
        for second in 0..900 {
            place.lat += dice.i32(200..900);
            place.lon += dice.i32(-400..900);
            let at = Some(UnixMs::from_seconds(START_S + second + ahead_s));
            let position = Some(Position { lat: place.lat + aside, ..place });
            items.push(Item::Sample(Sample { at, position, ..Sample::default() }));
        }
        items
    };
    let same = both(&curve(&ride(0, 0)), &curve(&ride(4, 20)), Whose::Unknown);
    assert_eq!(same, Verdict::Same { proof: Proof::Places, shift_s: -4 });
    // Two metres beside is a friend, or another device.
    let beside = both(&curve(&ride(0, 0)), &curve(&ride(0, 220)), Whose::Unknown);
    assert_eq!(beside, Verdict::Unclear);
}

#[test]
fn times_without_bounds_and_streams_without_end_are_borne() {
    let mut wild = Curve::default();
    let mut dice = dice(9);
    for at in [i64::MIN, -1, 0, i64::MAX] {
        let at = Some(UnixMs(at));
        wild.add(&Item::Sample(Sample { at, heart_rate_bpm: Some(99), ..Sample::default() }));
        wild.add(&Item::Beat(Beat { after: at, rr: RrMillis(600) }));
    }
    for _ in 0..300_000 {
        let at = Some(UnixMs(dice.i64(..)));
        let position = Some(Position { lat: dice.i32(..), lon: dice.i32(..) });
        wild.add(&Item::Sample(Sample {
            at,
            position,
            heart_rate_bpm: Some(99),
            ..Sample::default()
        }));
        wild.add(&Item::Beat(Beat { after: at, rr: RrMillis(dice.u16(..)) }));
    }
    assert!(wild.rates.len() <= RATES_MAX && wild.beats.len() <= BEATS_MAX);
    assert!(proof(compare(&wild, &Curve::default(), Whose::Unknown)).is_none());
}
