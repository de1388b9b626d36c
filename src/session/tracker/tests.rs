//! Sessions as they happen on a gym floor, told second by second.

mod classes;

#[cfg(test)]
use super::*;
use uuid::Uuid;

use crate::activity::UnixMs;
use crate::athlete::{AthleteId, MaxHr, MaxHrOrigin, Profile};
use crate::reading::{BootId, ClockTrust, Contact, HeartRate, Reading, Source};
use crate::session::told::{Class, ClassId, Ended, SessionId, Why};

const SECOND: u64 = 1_000_000;
/// 2026-11-24T17:00:00Z
const UNIX_US: i64 = 1_795_539_600_000_000;

/// A gym: the log with its clocks, and a tracker behind it.
struct Gym {
    tracker: Tracker,
    timeline: Timeline,
    boot: u128,
    now: u64,
    next: u64,
    log: Vec<Entry>,
    told: Vec<Output>,
}

impl Gym {
    fn new() -> Self {
        let tracker = Tracker::new("box-1", Rules::default());
        let (timeline, log, told) = (Timeline::default(), Vec::new(), Vec::new());
        let mut gym = Self { tracker, timeline, boot: 1, now: 0, next: 100, log, told };
        gym.started();
        gym
    }

    fn at(&self) -> At {
        let wall_offset_us = UNIX_US + self.boot as i64 * 1000 * SECOND as i64;
        let trust = ClockTrust::Synced;
        At { boot: BootId(self.boot), mono_us: self.now * SECOND, wall_offset_us, trust }
    }

    fn entry(&mut self, fact: Fact) {
        let entry = Entry { id: EntryId(self.next), fact };
        self.next += 1;
        self.timeline.note(entry.id, entry.fact.at());
        self.told.extend(self.tracker.entry(&entry, &self.timeline));
        self.log.push(entry);
    }

    fn started(&mut self) {
        let kind = EventKind::Started { version: "1".to_owned() };
        self.entry(Fact::Event(Event { at: self.at(), kind }));
    }

    fn reads(&mut self, name: &str, bpm: u16, contact: Contact) {
        let source = Source::Link;
        let heart_rate = HeartRate { bpm, contact, energy_kj: None, rr: Vec::new(), source };
        let measurement = Measurement::HeartRate(heart_rate);
        let reading = Reading { strap: strap(name), at: self.at(), measurement };
        self.entry(Fact::Reading(reading));
    }

    /// So many seconds of heart rate, one a second from now on.
    fn beats(&mut self, name: &str, seconds: u64, bpm: u16) {
        for _ in 0..seconds {
            self.reads(name, bpm, Contact::Unknown);
            self.seconds(1);
        }
    }

    /// Time passes.
    fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            self.told.extend(self.tracker.pass(&self.at(), &self.timeline));
        }
    }

    fn says(&mut self, command: Command) {
        self.told.extend(self.tracker.command(&self.at(), command, &self.timeline));
    }

    /// The power fails for so long.
    fn power_cut(&mut self, seconds: u64) {
        // The next boot began a thousand seconds later.
        self.boot += 1;
        self.now = (self.now + seconds).checked_sub(1000).unwrap();
        self.started();
    }

    fn started_sessions(&self) -> Vec<&Session> {
        let started = self.told.iter().filter_map(|output| match output {
            Output::Started(session) => Some(&**session),
            Output::Ended(_) => None,
        });
        started.collect()
    }

    fn ended(&self) -> Vec<&Ended> {
        let ended = self.told.iter().filter_map(|output| match output {
            Output::Ended(ended) => Some(&**ended),
            Output::Started(_) => None,
        });
        ended.collect()
    }
}

fn strap(name: &str) -> StrapId {
    StrapId::new(name).unwrap()
}

fn wearer(number: u128) -> Wearer {
    let max_hr = Some(MaxHr { bpm: 190, origin: MaxHrOrigin::Given });
    let profile = Profile { max_hr, ..Profile::default() };
    Wearer { athlete: AthleteId(Uuid::from_u128(number)), profile }
}

fn wears(name: &str, wearer: Option<Wearer>) -> Command {
    Command::Wears { strap: strap(name), wearer }
}

fn class(number: u128) -> Class {
    let (from, to) = (UnixMs(0), UnixMs(1));
    Class { id: ClassId(Uuid::from_u128(number)), name: "Cycling".to_owned(), from, to }
}

fn check_in(name: &str, class: Option<Class>) -> Command {
    Command::CheckIn { strap: strap(name), class }
}

fn check_out(name: &str) -> Command {
    Command::CheckOut { strap: strap(name) }
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn ten_seconds_of_heart_rate_begin_a_session_from_the_first_of_them() {
    let mut gym = Gym::new();
    gym.says(wears("A1", Some(wearer(1))));
    gym.beats("A1", 10, 120);
    assert!(gym.told.is_empty(), "{:?}", gym.told);
    gym.beats("A1", 1, 120);
    let sessions = gym.started_sessions();
    let [session] = sessions.as_slice() else { panic!("{sessions:?}") };
    assert_eq!((session.first, session.athlete), (EntryId(101), Some(wearer(1).athlete)));
    assert_eq!(session.id, SessionId::new("box-1", &strap("A1"), EntryId(101)));
    assert_eq!(session.began.mono_us, 0);
}

#[test]
fn a_heart_rate_that_breaks_off_begins_nothing() {
    let mut gym = Gym::new();
    gym.beats("A1", 9, 120);
    gym.reads("A1", 0, Contact::Unknown);
    gym.beats("A1", 9, 120);
    gym.reads("A1", 120, Contact::NotWorn);
    gym.beats("A1", 9, 120);
    gym.seconds(6);
    gym.beats("A1", 9, 120);
    gym.seconds(400);
    assert!(gym.told.is_empty(), "{:?}", gym.told);
    assert_eq!(gym.tracker.oldest(), gym.tracker.next());
}

#[test]
fn three_minutes_of_silence_end_a_session_with_its_last_heart_rate() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 120);
    gym.reads("A1", 0, Contact::Unknown);
    gym.seconds(178);
    assert!(gym.ended().is_empty());
    gym.seconds(1);
    let ended = gym.ended();
    let [ended] = ended.as_slice() else { panic!("{ended:?}") };
    // Entry 161 says that there is none any more.
    assert_eq!((ended.last, ended.why), (EntryId(160), Why::Silence));
    assert!(is_near(ended.summary.elapsed_s, 60.0), "{ended:?}");
    assert_eq!((ended.summary.avg_bpm, ended.summary.recovery), (Some(120.0), None));
    assert_eq!(ended.session, *gym.started_sessions()[0]);
}

#[test]
fn a_gap_is_a_pause_and_no_end() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 120);
    gym.seconds(170);
    gym.beats("A1", 60, 120);
    gym.seconds(200);
    assert_eq!((gym.started_sessions().len(), gym.ended().len()), (1, 1));
    let summary = &gym.ended()[0].summary;
    // The last value before each silence holds for five seconds.
    assert!(is_near(summary.active_s, 59.0 + 5.0 + 59.0 + 5.0), "{summary:?}");
    assert!(is_near(summary.elapsed_s, 60.0 + 170.0 + 59.0 + 5.0), "{summary:?}");
}

#[test]
fn a_check_in_begins_at_once_and_waits_for_a_heart_rate_if_there_is_none() {
    let mut gym = Gym::new();
    gym.beats("A1", 3, 120);
    gym.says(check_in("A1", None));
    assert_eq!(gym.started_sessions()[0].first, EntryId(101));
    gym.says(check_in("B2", None));
    gym.seconds(300);
    gym.beats("B2", 1, 90);
    assert_eq!(gym.started_sessions()[1].strap, strap("B2"));
    gym.says(check_in("C3", None));
    gym.seconds(3600);
    gym.beats("C3", 5, 90);
    assert_eq!(gym.started_sessions().len(), 2, "an hour later it is not the same person");
    gym.says(check_in("D4", None));
    gym.now += 3600;
    gym.beats("D4", 5, 90);
    assert_eq!(gym.started_sessions().len(), 2, "nor when nobody told the time in between");
}

#[test]
fn a_check_out_ends_and_the_recovery_is_watched_for_two_minutes() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 170);
    gym.says(check_out("A1"));
    for second in 0..120 {
        gym.beats("A1", 1, 170 - second / 3);
    }
    gym.reads("A1", 130, Contact::Unknown);
    assert!(gym.ended().is_empty());
    gym.seconds(1);
    let ended = gym.ended();
    let [ended] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((ended.last, ended.why), (EntryId(160), Why::CheckOut));
    assert!(is_near(ended.summary.elapsed_s, 60.0));
    let recovery = ended.summary.recovery.unwrap();
    assert_eq!((recovery.from_bpm, recovery.after_60_s), (170, Some(20)));
    assert_eq!(recovery.after_120_s, Some(40));
}

#[test]
fn who_checked_out_begins_anew_only_after_silence_or_a_check_in() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 150);
    gym.says(check_out("A1"));
    gym.beats("A1", 400, 100);
    assert_eq!((gym.started_sessions().len(), gym.ended().len()), (1, 1));
    gym.seconds(180);
    gym.beats("A1", 20, 100);
    assert_eq!(gym.started_sessions().len(), 2);
    gym.says(check_out("A1"));
    gym.says(check_in("A1", None));
    gym.beats("A1", 2, 100);
    assert_eq!((gym.started_sessions().len(), gym.ended().len()), (3, 2));
}

#[test]
fn a_class_groups_sessions_and_ends_them() {
    let mut gym = Gym::new();
    for name in ["A1", "B2"] {
        gym.says(check_in(name, Some(class(7))));
    }
    for _ in 0..60 {
        for name in ["A1", "B2", "C3"] {
            gym.reads(name, 140, Contact::Worn);
        }
        gym.seconds(1);
    }
    gym.says(Command::ClassEnded { class: ClassId(Uuid::from_u128(7)) });
    gym.seconds(121);
    let ended: Vec<_> =
        gym.ended().iter().map(|ended| (ended.session.strap.clone(), ended.why)).collect();
    let both = [strap("A1"), strap("B2")].map(|strap| (strap, Why::ClassEnded));
    assert_eq!(ended, both, "C3 is not in the class");
    let of: Vec<_> = gym.started_sessions().iter().map(|session| session.class.clone()).collect();
    assert_eq!(of, [Some(class(7)), Some(class(7)), None]);
}

#[test]
fn a_class_that_is_over_takes_nobody_in_any_more() {
    let mut gym = Gym::new();
    gym.says(check_in("A1", Some(class(7))));
    gym.says(Command::ClassEnded { class: ClassId(Uuid::from_u128(7)) });
    gym.beats("A1", 5, 140);
    assert!(gym.told.is_empty(), "{:?}", gym.told);
}

#[test]
fn who_was_early_is_in_the_class_and_who_goes_on_to_the_next_begins_anew() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 140);
    gym.says(check_in("A1", Some(class(7))));
    gym.beats("A1", 60, 140);
    gym.says(check_in("A1", Some(class(8))));
    gym.beats("A1", 60, 140);
    assert_eq!(gym.started_sessions().len(), 2);
    let ended = gym.ended();
    let [ended] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!(ended.session.class, Some(class(7)));
    assert!(is_near(ended.summary.elapsed_s, 120.0), "{ended:?}");
    assert_eq!(gym.started_sessions()[1].class, Some(class(8)));
}

#[test]
fn a_strap_that_changes_hands_ends_one_session_and_begins_another() {
    let mut gym = Gym::new();
    gym.says(wears("A1", Some(wearer(1))));
    gym.beats("A1", 60, 150);
    gym.says(wears("A1", Some(wearer(2))));
    gym.beats("A1", 60, 100);
    gym.says(wears("A1", None));
    gym.beats("A1", 60, 90);
    let ended = gym.ended();
    let whose: Vec<_> = ended.iter().map(|ended| (ended.session.athlete, ended.why)).collect();
    let each = [1, 2].map(|number| (Some(wearer(number).athlete), Why::WearerChanged));
    assert_eq!(whose, each);
    let spans: Vec<_> = ended.iter().map(|ended| (ended.session.first.0, ended.last.0)).collect();
    assert_eq!(spans, [(101, 160), (161, 220)]);
    assert!(ended.iter().all(|ended| ended.summary.recovery.is_none()));
    assert_eq!(gym.started_sessions().len(), 2, "given back, it is done");
}

#[test]
fn a_profile_that_is_corrected_ends_nothing_and_counts_from_the_beginning() {
    let mut gym = Gym::new();
    let unknown = Wearer { profile: Profile::default(), ..wearer(1) };
    gym.says(wears("A1", Some(unknown)));
    gym.beats("A1", 60, 152);
    gym.says(wears("A1", Some(wearer(1))));
    gym.says(check_out("A1"));
    gym.seconds(121);
    let ended = gym.ended();
    let [ended] = ended.as_slice() else { panic!("{ended:?}") };
    assert!(is_near(ended.summary.points.unwrap(), 4.0), "{ended:?}");
}

#[test]
fn a_power_cut_in_the_middle_resumes_the_same_session() {
    let mut gym = Gym::new();
    gym.beats("A1", 900, 120);
    gym.power_cut(600);
    // It takes a while until the strap is found again.
    gym.seconds(170);
    gym.beats("A1", 60, 120);
    gym.seconds(180);
    assert_eq!((gym.started_sessions().len(), gym.ended().len()), (1, 1));
    let summary = &gym.ended()[0].summary;
    assert!(is_near(summary.active_s, 899.0 + 5.0 + 59.0 + 5.0), "{summary:?}");
    assert!(is_near(summary.elapsed_s, 900.0 + 600.0 + 170.0 + 59.0 + 5.0), "{summary:?}");
}

#[test]
fn a_box_that_was_away_for_too_long_ends_what_it_left() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 120);
    gym.power_cut(1801);
    let ended = gym.ended();
    let [ended] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((ended.why, ended.last), (Why::Outage, EntryId(160)));
    assert!(is_near(ended.summary.elapsed_s, 64.0), "{ended:?}");
}

#[test]
fn a_strap_that_was_silent_before_the_box_went_away_ended_by_silence() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 120);
    gym.beats("B2", 200, 130);
    gym.power_cut(1801);
    // Once more, by a tracker that nobody told the time.
    let mut tracker = Tracker::new("box-1", Rules::default());
    let told: Vec<Output> =
        gym.log.iter().flat_map(|entry| tracker.entry(entry, &gym.timeline)).collect();
    let why = |told: &[Output]| {
        let ended = told.iter().filter_map(|output| match output {
            Output::Ended(ended) => Some((ended.session.strap.clone(), ended.why)),
            Output::Started(_) => None,
        });
        ended.collect::<Vec<_>>()
    };
    assert_eq!(why(&told), [(strap("A1"), Why::Silence), (strap("B2"), Why::Outage)]);
    assert_eq!(why(&told), why(&gym.told));
}

#[test]
fn the_same_log_gives_the_same_sessions_from_the_beginning_and_from_any_checkpoint() {
    let mut gym = Gym::new();
    gym.beats("A1", 500, 120);
    gym.beats("B2", 500, 130);
    gym.power_cut(500);
    gym.beats("B2", 100, 130);
    gym.beats("A1", 100, 120);
    gym.seconds(200);
    let (timeline, now) = (gym.timeline.clone(), gym.at());
    for cut in (0..gym.log.len()).step_by(97) {
        let mut tracker = Tracker::new("box-1", Rules::default());
        let mut told = Vec::new();
        for entry in &gym.log[..cut] {
            told.extend(tracker.entry(entry, &timeline));
        }
        let kept = serde_json::to_string(tracker.state()).unwrap();
        let state = serde_json::from_str(&kept).unwrap();
        let mut tracker = Tracker::resume("box-1", Rules::default(), state).unwrap();
        // Everything comes again: what was taken in is known.
        for entry in &gym.log {
            told.extend(tracker.entry(entry, &timeline));
        }
        told.extend(tracker.pass(&now, &timeline));
        let by_strap = |told: &[Output]| {
            let mut sorted: Vec<String> = told.iter().map(|output| format!("{output:?}")).collect();
            sorted.sort();
            sorted
        };
        assert_eq!(by_strap(&told), by_strap(&gym.told), "cut at {cut}");
    }
}

#[test]
fn a_state_of_another_release_is_refused() {
    let tracker = Tracker::new("box-1", Rules::default());
    let kept = serde_json::to_string(tracker.state()).unwrap();
    let other = kept.replace("\"version\":1", "\"version\":2");
    let refused = Tracker::resume("box-1", Rules::default(), serde_json::from_str(&other).unwrap());
    assert_eq!(refused.unwrap_err(), OtherVersion { found: 2 });
}

#[test]
fn the_log_is_needed_from_the_oldest_session_on() {
    let mut gym = Gym::new();
    gym.beats("A1", 60, 120);
    gym.beats("B2", 60, 120);
    assert_eq!(gym.tracker.oldest(), EntryId(101));
    gym.seconds(125);
    assert_eq!(gym.tracker.oldest(), EntryId(161));
    gym.seconds(60);
    assert_eq!(gym.tracker.oldest(), gym.tracker.next());
}

#[test]
fn what_goes_on_is_told_at_any_time() {
    let mut gym = Gym::new();
    gym.says(wears("A1", Some(wearer(1))));
    gym.beats("A1", 30, 152);
    let now = gym.at();
    let told: Vec<_> = gym.tracker.sessions(&now, &gym.timeline).collect();
    let [(session, summary)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(session.athlete, Some(wearer(1).athlete));
    assert!(is_near(summary.active_s, 30.0) && is_near(summary.points.unwrap(), 2.0));
}

#[test]
fn passers_by_are_forgotten_and_never_fill_the_memory() {
    let mut gym = Gym::new();
    for number in 0..STRAPS_MAX + 5 {
        gym.reads(&format!("{number:08X}"), 80, Contact::Worn);
    }
    assert_eq!((gym.tracker.state.straps.len(), gym.tracker.overlooked()), (STRAPS_MAX, 5));
    gym.seconds(3600);
    assert_eq!(gym.tracker.state.straps.len(), 0);
    assert!(gym.told.is_empty());
}

#[test]
fn a_strap_in_session_takes_three_kilobytes_and_a_checkpoint_of_it_no_more() {
    let [quiet, open] = strap::SIZES;
    // Beside them, how long each of 226 heart rates lasted.
    assert!(quiet <= 200 && open <= 800, "{quiet} {open}");
    assert!(quiet + open + 226 * 8 < 3000);
    let mut gym = Gym::new();
    gym.says(check_in("A1", Some(class(7))));
    for second in 0..3000u64 {
        gym.beats("A1", 1, 90 + (second / 30) as u16);
    }
    let kept = serde_json::to_string(gym.tracker.state()).unwrap();
    assert!(kept.len() < 4000, "{} bytes", kept.len());
    println!("{quiet} + {open} bytes, checkpoint {}", kept.len());
}
