//! What must hold for every evening on a gym floor, however it is followed: at once, in pieces, twice, or with a clock that
//! ticks between.

use proptest::prelude::*;
use pulsegate::activity::UnixMs;
use pulsegate::athlete::AthleteId;
use pulsegate::reading::{
    At, BootId, ClockTrust, Contact, Entry, EntryId, Event, EventKind, Fact, HeartRate,
    Measurement, Reading, RrInterval, Source, StrapId,
};
use pulsegate::session::recording::Recording;
use pulsegate::session::{Class, ClassId, Command, Effort, Ended, Output, Rules, Tracker, Wearer};
use pulsegate::timeline::Timeline;
use uuid::Uuid;

use crate::{body, profile};

const SECOND_US: u64 = 1_000_000;
/// 2026-11-24T17:00:00Z
const UNIX_US: i64 = 1_795_539_600_000_000;
const STRAPS: usize = 4;

/// What happened, in order.
#[derive(Debug, Clone)]
enum Input {
    Entry(Entry),
    Command(At, Command),
}

impl Input {
    fn at(&self) -> At {
        match self {
            Self::Entry(entry) => *entry.fact.at(),
            Self::Command(at, _) => *at,
        }
    }
}

struct Evening {
    inputs: Vec<Input>,
    timeline: Timeline,
}

fn strap(index: usize) -> StrapId {
    StrapId::new(&format!("9F6E532{index}")).unwrap()
}

fn class(dice: &mut fastrand::Rng) -> Class {
    let id = ClassId(Uuid::from_u128(dice.u128(1..3)));
    Class { id, name: "Rowing".to_owned(), from: UnixMs(0), to: UnixMs(0) }
}

fn command(dice: &mut fastrand::Rng) -> Command {
    let strap = strap(dice.usize(..STRAPS));
    match dice.u8(..8) {
        0..3 => {
            let athlete = AthleteId(Uuid::from_u128(dice.u128(1..4)));
            let wearer = Wearer { athlete, profile: profile() };
            Command::Wears { strap, wearer: Some(wearer).filter(|_| dice.u8(..4) > 0) }
        }
        3..5 => Command::CheckIn { strap, class: Some(class(dice)).filter(|_| dice.bool()) },
        5..7 => Command::CheckOut { strap },
        _ => Command::ClassEnded { class: class(dice).id },
    }
}

/// An evening of half an hour: straps come and go, people too, and now and then the power fails.
fn evening(seed: u64) -> Evening {
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut inputs, mut timeline) = (Vec::new(), Timeline::default());
    let (mut unix_s, mut boot, mut booted_s) = (0u64, 1u128, 0u64);
    let mut sends = [false; STRAPS];
    let mut next = dice.u64(..1000);
    let mut started = true;
    for _ in 0..1800 {
        unix_s += 1;
        if dice.u16(..) < 40 {
            unix_s += dice.u64(20..2400);
            boot += 1;
            booted_s = unix_s - dice.u64(5..20);
            started = true;
        }
        let at = |millis: u64| At {
            boot: BootId(boot),
            mono_us: (unix_s - booted_s) * SECOND_US + millis * 1000,
            wall_offset_us: UNIX_US + (booted_s * SECOND_US) as i64,
            trust: ClockTrust::Synced,
        };
        let mut facts = Vec::new();
        if std::mem::take(&mut started) {
            let kind = EventKind::Started { version: "1".to_owned() };
            facts.push(Fact::Event(Event { at: at(0), kind }));
        }
        for (index, sends) in sends.iter_mut().enumerate() {
            let stays = if *sends { 250 } else { 240 };
            *sends ^= dice.u8(..) > stays;
            if *sends {
                let source = if dice.u8(..5) == 0 { Source::Broadcast } else { Source::Link };
                let rr = vec![RrInterval(dice.u16(400..600)); usize::from(source == Source::Link)];
                let bpm = if dice.u8(..40) == 0 { 0 } else { dice.u16(100..190) };
                let heart_rate =
                    HeartRate { bpm, contact: Contact::Worn, energy_kj: None, rr, source };
                let measurement = Measurement::HeartRate(heart_rate);
                let at = at(100 + 100 * index as u64);
                facts.push(Fact::Reading(Reading { strap: strap(index), at, measurement }));
            }
        }
        for fact in facts {
            let entry = Entry { id: EntryId(next), fact };
            next += 1 + u64::from(dice.u8(..50) == 0);
            timeline.note(entry.id, entry.fact.at());
            inputs.push(Input::Entry(entry));
        }
        if dice.u8(..60) == 0 {
            inputs.push(Input::Command(at(900), command(&mut dice)));
        }
    }
    Evening { inputs, timeline }
}

fn take(tracker: &mut Tracker, input: &Input, timeline: &Timeline) -> Vec<Output> {
    match input {
        Input::Entry(entry) => tracker.entry(entry, timeline),
        Input::Command(at, command) => tracker.command(at, command.clone(), timeline),
    }
}

fn any_times() -> impl Strategy<Value = Vec<At>> {
    let mono_us = prop_oneof![3 => 0..20 * SECOND_US, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    let offset = prop_oneof![2 => Just(UNIX_US), 1 => any::<i64>(), 1 => Just(i64::MIN)];
    let trust = prop_oneof![Just(ClockTrust::Unset), Just(ClockTrust::Synced)];
    let at =
        (0..4u128, mono_us, offset, trust).prop_map(|(boot, mono_us, wall_offset_us, trust)| At {
            boot: BootId(boot),
            mono_us,
            wall_offset_us,
            trust,
        });
    proptest::collection::vec(at, 0..400)
}

/// An hour after the last input everything has ended.
fn home(tracker: &mut Tracker, evening: &Evening) -> Vec<Output> {
    let last = evening.inputs.last().unwrap().at();
    let late = At { mono_us: last.mono_us + 3600 * SECOND_US, ..last };
    tracker.pass(&late, &evening.timeline)
}

fn new_tracker() -> Tracker {
    Tracker::new("box-1", Rules::default())
}

fn followed(evening: &Evening) -> Vec<Output> {
    let mut tracker = new_tracker();
    let mut told: Vec<Output> = evening
        .inputs
        .iter()
        .flat_map(|input| take(&mut tracker, input, &evening.timeline))
        .collect();
    told.extend(home(&mut tracker, evening));
    told
}

/// One strap does not wait for another: only the order of each strap's own is a promise.
fn by_strap(mut told: Vec<Output>) -> Vec<Output> {
    told.sort_by_key(|output| match output {
        Output::Started(session) => session.strap.clone(),
        Output::Ended(ended) => ended.session.strap.clone(),
    });
    told
}

fn ended(told: &[Output]) -> Vec<&Ended> {
    let ended = told.iter().filter_map(|output| match output {
        Output::Ended(ended) => Some(&**ended),
        Output::Started(_) => None,
    });
    ended.collect()
}

/// The readings that a session says are its own, in order.
fn readings<'a>(
    evening: &'a Evening,
    ended: &'a Ended,
) -> impl Iterator<Item = (&'a At, &'a HeartRate)> {
    evening.inputs.iter().filter_map(|input| {
        let Input::Entry(Entry { id, fact: Fact::Reading(reading) }) = input else { return None };
        let Measurement::HeartRate(heart_rate) = &reading.measurement else { return None };
        let is_of_it =
            reading.strap == ended.session.strap && (ended.session.first..=ended.last).contains(id);
        is_of_it.then_some((&reading.at, heart_rate))
    })
}

#[test]
fn evenings_have_sessions_of_every_kind() {
    let told: Vec<Output> = (0..40).flat_map(|seed| followed(&evening(seed))).collect();
    let mut reasons: Vec<String> =
        ended(&told).iter().map(|ended| format!("{:?}", ended.why)).collect();
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons, ["CheckOut", "ClassEnded", "Outage", "Silence", "WearerChanged"]);
    let recovered = ended(&told).iter().filter(|ended| ended.summary.recovery.is_some()).count();
    assert!(recovered > 10, "{recovered}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_session_that_began_ends_once_and_none_begins_in_another(seed in any::<u64>()) {
        let told = by_strap(followed(&evening(seed)));
        prop_assert_eq!(told.len() % 2, 0);
        let mut before = None;
        for pair in told.chunks(2) {
            let [Output::Started(session), Output::Ended(ended)] = pair else {
                return Err(TestCaseError::fail(format!("{pair:#?}")));
            };
            prop_assert_eq!((session.id, session.first), (ended.session.id, ended.session.first));
            prop_assert!(ended.session.first <= ended.last);
            if let Some((strap, last)) = before.replace((session.strap.clone(), ended.last)) {
                prop_assert!(strap != session.strap || last < session.first);
            }
        }
    }

    #[test]
    fn a_summary_is_that_of_the_readings_it_names(seed in any::<u64>()) {
        let evening = evening(seed);
        let told = followed(&evening);
        for ended in ended(&told) {
            let mut effort = Effort::default();
            // These boots know the time.
            let began_us = ended.session.began.unix_us();
            for (at, heart_rate) in readings(&evening, ended) {
                effort.reading((at.unix_us() - began_us) as u64, heart_rate);
            }
            let body = if ended.session.athlete.is_some() { body() } else { <_>::default() };
            let summary = &ended.summary;
            let end_us = (summary.elapsed_s * 1e6).round() as u64;
            let mut again = effort.summary(end_us, &body);
            again.recovery = summary.recovery;
            prop_assert_eq!(&again, summary);
            prop_assert!((summary.active_s + summary.paused_s - summary.elapsed_s).abs() < 1e-6);
        }
    }

    #[test]
    fn it_makes_no_difference_how_often_time_is_told(seed in any::<u64>()) {
        let evening = evening(seed);
        let mut tracker = new_tracker();
        let mut told = Vec::new();
        for (index, input) in evening.inputs.iter().enumerate() {
            let outputs = take(&mut tracker, input, &evening.timeline);
            told.extend(outputs);
            // Up to what comes next in the same boot.
            let (at, next) = (input.at(), evening.inputs.get(index + 1).map(Input::at));
            let next = next.filter(|next| next.boot == at.boot).unwrap_or(at);
            for mono_us in (at.mono_us..next.mono_us).step_by(450_000) {
                told.extend(tracker.pass(&At { mono_us, ..at }, &evening.timeline));
            }
        }
        told.extend(home(&mut tracker, &evening));
        prop_assert_eq!(by_strap(told), by_strap(followed(&evening)));
    }

    #[test]
    fn a_crash_anywhere_changes_nothing_that_is_told(seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let evening = evening(seed);
        let (first, rest) = evening.inputs.split_at(cut.index(evening.inputs.len()));
        let mut tracker = new_tracker();
        let mut told: Vec<Output> =
            first.iter().flat_map(|input| take(&mut tracker, input, &evening.timeline)).collect();
        let kept = serde_json::to_vec(tracker.state()).unwrap();
        let state = serde_json::from_slice(&kept).unwrap();
        let mut tracker = Tracker::resume("box-1", Rules::default(), state).unwrap();
        told.extend(rest.iter().flat_map(|input| take(&mut tracker, input, &evening.timeline)));
        told.extend(home(&mut tracker, &evening));
        prop_assert_eq!(told, followed(&evening));
    }

    #[test]
    fn no_clock_is_so_mad_that_following_it_panics(seed in any::<u64>(), times in any_times()) {
        let mut evening = evening(seed);
        for (input, at) in evening.inputs.iter_mut().rev().zip(&times) {
            match input {
                Input::Entry(Entry { fact: Fact::Reading(reading), .. }) => reading.at = *at,
                Input::Entry(Entry { fact: Fact::Event(event), .. }) => event.at = *at,
                Input::Command(of, _) => *of = *at,
            }
        }
        let mut tracker = new_tracker();
        let mut told = Vec::new();
        for (index, input) in evening.inputs.iter().enumerate() {
            told.extend(take(&mut tracker, input, &evening.timeline));
            told.extend(tracker.pass(&input.at(), &evening.timeline));
            if index.is_multiple_of(50) {
                tracker.sessions(&input.at(), &evening.timeline).for_each(drop);
            }
        }
        for ended in ended(&told) {
            let summary = &ended.summary;
            prop_assert!(summary.active_s <= summary.elapsed_s, "{summary:?}");
            let mut recording = Recording::new(ended);
            for input in &evening.inputs {
                if let Input::Entry(entry) = input {
                    recording.entry(entry, &evening.timeline);
                }
            }
            recording.activity();
        }
    }

    /// Whatever arrives twice or out of order is put into the order of the log before it comes here; repeats may remain.
    #[test]
    fn a_shuffled_stream_with_repeats_changes_nothing(seed in any::<u64>()) {
        let evening = evening(seed);
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut entries: Vec<&Entry> = evening
            .inputs
            .iter()
            .filter_map(|input| if let Input::Entry(entry) = input { Some(entry) } else { None })
            .flat_map(|entry| std::iter::repeat_n(entry, 1 + usize::from(dice.bool())))
            .collect();
        let alone: Vec<Input> = {
            let mut once = entries.clone();
            once.dedup();
            once.into_iter().cloned().map(Input::Entry).collect()
        };
        dice.shuffle(&mut entries);
        entries.sort_by_key(|entry| entry.id);
        let alone = Evening { inputs: alone, timeline: evening.timeline.clone() };
        let mut tracker = new_tracker();
        let mut told: Vec<Output> =
            entries.iter().flat_map(|entry| tracker.entry(entry, &evening.timeline)).collect();
        told.extend(home(&mut tracker, &alone));
        prop_assert_eq!(told, followed(&alone));
    }
}
