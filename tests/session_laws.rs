//! What must hold for every effort: sums that agree with each other and with a plain calculation, however the readings
//! came in.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "session_laws/evenings.rs"]
mod evenings;

use proptest::prelude::*;
use pulsegate::athlete::{MaxHr, MaxHrOrigin, Profile, RestingHr, RestingHrOrigin, Sex};
use pulsegate::reading::{Contact, HeartRate, RrInterval, Source};
use pulsegate::session::{Body, Effort, Hrv, SessionSummary};

/// All times are multiples of this, so that a plain calculation can walk along them.
const TICK_US: u64 = 100_000;
const HOLD_TICKS: u64 = 50;

/// A reading at a tick.
type Timed = (u64, HeartRate);

fn profile() -> Profile {
    Profile {
        birth_year: Some(1990),
        sex: Some(Sex::Female),
        weight_kg: Some(61.5),
        max_hr: Some(MaxHr { bpm: 187, origin: MaxHrOrigin::Given }),
        resting_hr: Some(RestingHr { bpm: 52, origin: RestingHrOrigin::Given }),
        zones_from_bpm: None,
        max_hr_raised: None,
    }
}

fn body() -> Body {
    Body::new(&profile(), Some(2026))
}

fn any_bpm() -> impl Strategy<Value = u16> {
    prop_oneof![20 => 60..200u16, 2 => Just(0u16), 1 => 1..30u16, 1 => 245..260u16]
}

fn any_rr() -> impl Strategy<Value = Vec<RrInterval>> {
    let rr = prop_oneof![20 => 600..900u16, 2 => 1200..1700u16, 1 => any::<u16>()];
    proptest::collection::vec(rr.prop_map(RrInterval), 0..4)
}

fn any_reading() -> impl Strategy<Value = HeartRate> {
    let contact = prop_oneof![Just(Contact::Unknown), Just(Contact::Worn), Just(Contact::NotWorn)];
    let contact = prop_oneof![8 => Just(Contact::Worn), 2 => contact];
    let source = prop_oneof![3 => Just(Source::Link), 1 => Just(Source::Broadcast)];
    (any_bpm(), contact, source, any_rr()).prop_map(|(bpm, contact, source, rr)| {
        let rr = if source == Source::Link { rr } else { Vec::new() };
        HeartRate { bpm, contact, energy_kj: None, rr, source }
    })
}

/// Readings in order, mostly a second apart.
fn any_stream() -> impl Strategy<Value = Vec<Timed>> {
    let step = prop_oneof![10 => 8..13u64, 2 => 0..8u64, 2 => 40..60u64, 1 => 60..400u64];
    proptest::collection::vec((step, any_reading()), 0..120).prop_map(|steps| {
        let mut tick = 0;
        steps
            .into_iter()
            .map(|(step, reading)| {
                tick += step;
                (tick, reading)
            })
            .collect()
    })
}

fn effort(stream: &[Timed]) -> Effort {
    let mut effort = Effort::default();
    for (tick, reading) in stream {
        effort.reading(tick * TICK_US, reading);
    }
    effort
}

fn end(stream: &[Timed]) -> u64 {
    stream.last().map_or(0, |(tick, _)| *tick)
}

fn summary(stream: &[Timed], until: u64) -> SessionSummary {
    effort(stream).summary(until * TICK_US, &body())
}

/// The plain way: at each tick, which heart rate there is.
fn bpm_at(stream: &[Timed], tick: u64) -> Option<u16> {
    let link_before = |tick: u64, count: usize| {
        stream[..count]
            .iter()
            .rfind(|(_, reading)| reading.source == Source::Link)
            .is_some_and(|(link, _)| tick - link < HOLD_TICKS)
    };
    let counts = |index: &usize| {
        let (at, reading) = &stream[*index];
        reading.source == Source::Link || !link_before(*at, *index)
    };
    let known = stream.iter().take_while(|(at, _)| *at <= tick).count();
    let (at, reading) = &stream[(0..known).rev().find(counts)?];
    let is_heart_rate = (25..=250).contains(&reading.bpm) && reading.contact != Contact::NotWorn;
    (is_heart_rate && tick - at < HOLD_TICKS).then_some(reading.bpm)
}

/// The plain way: all intervals in runs without a gap, then each in the middle of its five.
fn plain_hrv(stream: &[Timed]) -> Option<Hrv> {
    let mut runs: Vec<Vec<f64>> = vec![Vec::new()];
    let mut last = None;
    let mut link = None;
    for (tick, reading) in stream {
        let is_link = reading.source == Source::Link;
        if !is_link && link.is_some_and(|link| tick - link < HOLD_TICKS) {
            continue;
        }
        if is_link {
            link = Some(*tick);
        }
        let is_heart_rate =
            (25..=250).contains(&reading.bpm) && reading.contact != Contact::NotWorn;
        if !is_heart_rate
            || last.is_some_and(|last| tick - last >= HOLD_TICKS) && !reading.rr.is_empty()
        {
            runs.push(Vec::new());
        }
        if is_heart_rate && !reading.rr.is_empty() {
            last = Some(*tick);
            runs.last_mut().unwrap().extend(reading.rr.iter().map(|rr| rr.millis()));
        }
    }
    let mut good = Vec::new();
    let mut differences = Vec::new();
    let mut artefacts = 0;
    let is_possible = |ms: &f64| (300.0..=2000.0).contains(ms);
    for run in &runs {
        let is_good = |index: usize| {
            let from = index.saturating_sub(2);
            let mut around: Vec<f64> =
                run[from..(index + 3).min(run.len())].iter().copied().filter(is_possible).collect();
            around.sort_by(f64::total_cmp);
            let half = around.len() / 2;
            let median = match around.len() {
                0 => return false,
                count if count % 2 == 1 => around[half],
                _ => f64::midpoint(around[half - 1], around[half]),
            };
            is_possible(&run[index]) && (run[index] - median).abs() <= 0.2 * median + 1e-9
        };
        for index in 0..run.len() {
            if !is_good(index) {
                artefacts += 1;
                continue;
            }
            good.push(run[index]);
            if index > 0 && is_good(index - 1) {
                differences.push(run[index] - run[index - 1]);
            }
        }
    }
    if differences.is_empty() {
        return None;
    }
    let count = good.len() as f64;
    let mean = good.iter().sum::<f64>() / count;
    let over_50 = differences.iter().filter(|difference| difference.abs() > 50.0).count();
    let squares: f64 = differences.iter().map(|difference| difference * difference).sum();
    Some(Hrv {
        rmssd_ms: (squares / differences.len() as f64).sqrt(),
        sdnn_ms: (good.iter().map(|ms| (ms - mean) * (ms - mean)).sum::<f64>() / count).sqrt(),
        pnn50_percent: 100.0 * over_50 as f64 / differences.len() as f64,
        beats: good.len() as u64,
        artefacts,
    })
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * (1.0 + a.abs())
}

/// Keytel's equation for a woman of 36 years and 61.5 kg, per minute.
fn kcal_per_min(bpm: f64) -> f64 {
    f64::max(0.0, (-20.4022 + 0.4472 * bpm - 0.1263 * 61.5 + 0.074 * 36.0) / 4.184)
}

proptest! {
    #[test]
    fn time_in_zones_is_the_active_time_and_with_the_pauses_it_is_all(
        stream in any_stream(), more in 0..200u64,
    ) {
        let told = summary(&stream, end(&stream) + more);
        let zones: f64 = told.zones.unwrap().0.iter().sum();
        prop_assert!(near(zones, told.active_s), "{told:?}");
        prop_assert!(near(told.active_s + told.paused_s, told.elapsed_s), "{told:?}");
        prop_assert!(near(told.elapsed_s, (end(&stream) + more) as f64 / 10.0), "{told:?}");
    }

    #[test]
    fn a_summary_is_what_a_walk_along_the_ticks_tells(stream in any_stream(), more in 0..200u64) {
        let until = end(&stream) + more;
        let told = summary(&stream, until);
        let rates: Vec<f64> =
            (0..until).filter_map(|tick| bpm_at(&stream, tick)).map(f64::from).collect();
        let minutes = |per_min: &dyn Fn(f64) -> f64| rates.iter().map(|bpm| per_min(*bpm)).sum::<f64>() / 600.0;
        prop_assert!(near(told.active_s, rates.len() as f64 / 10.0), "{told:?}");
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        prop_assert!(told.avg_bpm.map_or(rates.is_empty(), |told| near(told, mean)), "{told:?} {mean}");
        prop_assert!(near(told.calories_kcal.unwrap(), minutes(&kcal_per_min)), "{told:?}");
        let tenth = |bpm: f64| ((bpm * 100.0 / 187.0).floor() / 10.0).floor();
        let edwards = minutes(&|bpm| (tenth(bpm) - 4.0).clamp(0.0, 5.0));
        prop_assert!(near(told.trimp_edwards.unwrap(), edwards), "{told:?}");
        let points = minutes(&|bpm| (tenth(bpm) - 4.0).clamp(0.0, 4.0));
        prop_assert!(near(told.points.unwrap(), points), "{told:?}");
        let banister = minutes(&|bpm| {
            let reserve = f64::max(0.0, (bpm - 52.0) / 135.0);
            reserve * 0.86 * (1.67 * reserve).exp()
        });
        prop_assert!(near(told.trimp_banister.unwrap(), banister), "{told:?}");
    }

    #[test]
    fn variability_is_what_a_second_look_at_all_beats_tells(stream in any_stream()) {
        let told = summary(&stream, end(&stream)).hrv;
        let plain = plain_hrv(&stream);
        let agree = match (told, plain) {
            (Some(told), Some(plain)) => {
                (told.beats, told.artefacts) == (plain.beats, plain.artefacts)
                    && near(told.rmssd_ms, plain.rmssd_ms)
                    && near(told.sdnn_ms, plain.sdnn_ms)
                    && near(told.pnn50_percent, plain.pnn50_percent)
            }
            (told, plain) => told == plain,
        };
        prop_assert!(agree, "{told:?} {plain:?}");
    }

    #[test]
    fn in_how_many_pieces_readings_came_makes_no_difference(
        stream in any_stream(), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let whole = effort(&stream);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let mut resumed = Effort::default();
        for piece in at.windows(2) {
            for (tick, reading) in &stream[piece[0]..piece[1]] {
                resumed.reading(tick * TICK_US, reading);
                // To ask for a summary changes nothing.
                resumed.summary(tick * TICK_US, &body());
            }
            resumed = serde_json::from_str(&serde_json::to_string(&resumed).unwrap()).unwrap();
        }
        prop_assert_eq!(resumed, whole);
    }

    #[test]
    fn broadcasts_beside_a_link_change_nothing(
        beats in proptest::collection::vec((60..200u16, any_rr()), 1..60),
        echoes in proptest::collection::vec((any::<proptest::sample::Index>(), 1..10u64, any_bpm()), 0..40),
    ) {
        let link: Vec<Timed> = (0..)
            .zip(beats)
            .map(|(second, (bpm, rr))| {
                let (contact, source) = (Contact::Worn, Source::Link);
                (second * 10, HeartRate { bpm, contact, energy_kj: None, rr, source })
            })
            .collect();
        let mut both = link.clone();
        for (index, ticks, bpm) in echoes {
            let (contact, source) = (Contact::NotWorn, Source::Broadcast);
            let echo = HeartRate { bpm, contact, energy_kj: None, rr: Vec::new(), source };
            both.push((index.index(link.len()) as u64 * 10 + ticks, echo));
        }
        both.sort_by_key(|(tick, _)| *tick);
        let until = end(&link) + 20;
        prop_assert_eq!(summary(&both, until), summary(&link, until));
    }
}
