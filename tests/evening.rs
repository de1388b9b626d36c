//! A whole evening in a gym: 45 athletes, 60 straps, three classes, rentals that change hands, drop-outs, a power cut, and
//! a clock that is wrong until ten past seven. Every session is held against what the evening really was.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/house.rs"]
mod house;
#[path = "evening/plan.rs"]
mod plan;
#[path = "evening/play.rs"]
mod play;
#[path = "support/buffer.rs"]
mod support;
#[path = "evening/truth.rs"]
mod truth;

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::Path;

use plan::{ANSWERED, Plan, SECOND, Trouble, Wrong, ZERO_US, evening};
use play::{Pace, Played, play};
use pulsegate::activity::{Activity, Item, UnixMs};
use pulsegate::fit::Limits;
use pulsegate::format::{fhir, terra};
use pulsegate::history::Kept;
use pulsegate::reading::Source;
use pulsegate::session::SessionSummary;
use pulsegate::workout::{TimedBeat, TimedRate, Workout};
use truth::Session;

/// Of sums of thousands of numbers.
fn is_near(told: f64, true_one: f64) -> bool {
    (told - true_one).abs() <= 1e-6 * true_one.abs().max(1.0)
}

/// A time of the hall clock.
fn clock(at: u64) -> String {
    let second = at / SECOND + (17 * 60 + 30) * 60;
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

fn titled(plan: &Plan, session: &Session) -> String {
    let who = session
        .person
        .map_or("nobody", |person| plan.people[person].display_name.as_deref().unwrap());
    format!("{who} {} {}-{}", session.strap, clock(session.from), clock(session.to))
}

/// Tells what differs.
struct Compare {
    of: String,
    found: Vec<String>,
}

impl Compare {
    #[allow(clippy::needless_pass_by_value, reason = "callers say what they see")]
    fn same<T: PartialEq + Debug>(&mut self, what: &str, told: T, true_one: T) {
        if told != true_one {
            self.found.push(format!("{}: {what} is {told:?}, in truth {true_one:?}", self.of));
        }
    }

    fn near(&mut self, what: &str, told: Option<f64>, true_one: Option<f64>) {
        let is_same = match (told, true_one) {
            (Some(told), Some(true_one)) => is_near(told, true_one),
            (told, true_one) => told.is_none() && true_one.is_none(),
        };
        if !is_same {
            self.found.push(format!("{}: {what} is {told:?}, in truth {true_one:?}", self.of));
        }
    }

    fn figures(&mut self, told: &SessionSummary, figures: &SessionSummary) {
        let numbers = |of: &SessionSummary| {
            let hrv = of.hrv;
            [
                ("elapsed", Some(of.elapsed_s)),
                ("active", Some(of.active_s)),
                ("paused", Some(of.paused_s)),
                ("average", of.avg_bpm),
                ("calories", of.calories_kcal),
                ("Banister", of.trimp_banister),
                ("Edwards", of.trimp_edwards),
                ("points", of.points),
                ("RMSSD", hrv.map(|hrv| hrv.rmssd_ms)),
                ("SDNN", hrv.map(|hrv| hrv.sdnn_ms)),
                ("pNN50", hrv.map(|hrv| hrv.pnn50_percent)),
            ]
        };
        for ((what, told), (_, true_one)) in numbers(told).into_iter().zip(numbers(figures)) {
            self.near(what, told, true_one);
        }
        let zones = |of: &SessionSummary| of.zones.as_ref().map(|zones| zones.0);
        let in_zones = |of: &SessionSummary, zone: usize| zones(of).map(|zones| zones[zone]);
        for zone in 0..6 {
            self.near(&format!("zone {zone}"), in_zones(told, zone), in_zones(figures, zone));
        }
        self.same("lowest", told.min_bpm, figures.min_bpm);
        self.same("highest", told.max_bpm, figures.max_bpm);
        self.same("maximum", told.of_max, figures.of_max);
        self.same("exceeded", told.exceeded, figures.exceeded);
        self.same("recovery", told.recovery, figures.recovery);
        let beats = |of: &SessionSummary| of.hrv.map(|hrv| (hrv.beats, hrv.artefacts));
        self.same("beats and artefacts", beats(told), beats(figures));
    }
}

impl Compare {
    /// What stands in the file, in its units.
    fn file(&mut self, file: &Activity, session: &Session) {
        let (totals, figures) = (&file.totals, &session.figures);
        let whole = |bpm: Option<u16>| bpm.and_then(|bpm| u8::try_from(bpm).ok());
        // A file begins with a full second.
        let milli = |seconds: f64| Some((seconds * 1000.0).round() as i64);
        let early_s = (session.from % SECOND) as f64 / SECOND as f64;
        let times = [figures.elapsed_s, figures.active_s].map(|s| milli(s + early_s));
        let average = figures.avg_bpm.map(|bpm| bpm.round() as u16);
        self.same("average of the file", totals.avg_hr_bpm, whole(average));
        self.same("highest of the file", totals.max_hr_bpm, whole(figures.max_bpm));
        self.same("lowest of the file", totals.min_hr_bpm, whole(figures.min_bpm));
        let told = [totals.elapsed_s.and_then(milli), totals.timer_s.and_then(milli)];
        let is_near = |(told, true_one): (&Option<i64>, &Option<i64>)| {
            told.zip(*true_one).is_some_and(|(told, true_one)| told.abs_diff(true_one) <= 1)
        };
        if !told.iter().zip(&times).all(is_near) {
            self.same("elapsed and active time of the file", told, times);
        }
        let calories = figures.calories_kcal.map(|kcal| kcal.round() as u16);
        self.same("calories of the file", totals.calories_kcal, calories);
        let counts = (file.counts.hr_samples, file.counts.rr_intervals);
        let sent = (session.rates as u64, session.intervals as u64);
        self.same("heart rates and intervals of the file", counts, sent);
    }
}

fn differences(plan: &Plan, played: &Played) -> Vec<String> {
    let mut left: Vec<&Kept> = played.kept.iter().collect();
    let mut found = Vec::new();
    for session in truth::sessions(plan) {
        let of = titled(plan, &session);
        let is_it = |kept: &&Kept| {
            let told = kept.session.as_ref().unwrap();
            let start_us = kept.activity.start.0 * 1000;
            told.strap == plan.straps[session.strap].id
                && start_us == ((ZERO_US + session.from) / SECOND * SECOND) as i64
        };
        let Some(place) = left.iter().position(is_it) else {
            found.push(format!("{of}: is missing ({:?})", session.why));
            continue;
        };
        let kept = left.remove(place);
        let told = kept.session.as_ref().unwrap();
        let mut compare = Compare { of, found: Vec::new() };
        compare.same("whose", played.person(kept), session.person);
        compare.same("why", told.ended, session.why);
        let class = session.class.map(|class| plan.classes[class].name);
        compare.same("class", told.class.as_ref().map(|class| class.name.as_str()), class);
        compare.figures(&told.effort, &session.figures);
        compare.file(&kept.activity, &session);
        found.extend(compare.found);
    }
    for kept in left {
        let told = kept.session.as_ref().unwrap();
        let person = played.person(kept);
        found.push(format!(
            "person {person:?} on {} from {:?}, {:?}, {} s: never was",
            told.strap, kept.activity.start, told.ended, told.effort.elapsed_s
        ));
    }
    found
}

/// Each session is told, under one id; twice only where its time had been wrong. Whoever has not agreed is not in it.
fn tellings(plan: &Plan, played: &Played) -> Vec<String> {
    let mut told: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for summary in &played.told {
        told.entry(summary.activity).or_default().push(summary);
    }
    let mut found = Vec::new();
    let wrong_from = match plan.trouble.away {
        Some(away) if !plan.trouble.wrong_from_start => away.to,
        _ => 0,
    };
    for listed in &played.listed {
        let of = told.remove(&listed.activity).unwrap_or_default();
        if of.last().is_none_or(|last| *last != listed) {
            found.push(format!("{}: what is listed was not told last", listed.activity));
        }
        let start = (listed.start.0 * 1000).saturating_sub(ZERO_US as i64);
        let elapsed_us = (listed.elapsed_s.unwrap() * 1e6) as i64;
        let end = u64::try_from(start + elapsed_us).unwrap();
        let was_wrong = (wrong_from..ANSWERED).contains(&end);
        // Somebody with two straps on is linked, and that is told as well.
        let is_linked = listed.same_as.is_some();
        if of.len() > 1 + usize::from(was_wrong) + usize::from(is_linked) {
            found.push(format!("{}: told {} times", listed.activity, of.len()));
        }
    }
    found.extend(told.keys().map(|id| format!("{id}: told, and not listed")));
    for summary in &played.told {
        let session = summary.session.as_ref().unwrap();
        let Some(athlete) = session.athlete else {
            let effort = &session.effort;
            if effort.points.is_some() || effort.calories_kcal.is_some() || effort.hrv.is_some() {
                found.push(format!("{}: says how strong somebody is", summary.activity));
            }
            continue;
        };
        if played.people.athlete(athlete).unwrap().consent.is_none() {
            found.push(format!("{}: of somebody who has not agreed", summary.activity));
        }
    }
    found
}

/// Plays an evening. Nothing is otherwise than it was.
async fn as_in_truth(seed: u64, trouble: Trouble, pace: Pace, folder: &Path) -> (Plan, Played) {
    let plan = evening(seed, trouble);
    assert_eq!((plan.people.len(), plan.straps.len(), plan.classes.len()), (45, 60, 3));
    let played = play(&plan, pace, folder).await;
    let durable: Vec<_> = plan.words.iter().filter(|word| plan.is_durable(word.at)).collect();
    assert!(durable.len() < plan.words.len(), "the power cut takes something");
    let again = |word: &&&plan::Word| pace.twice && word.says.source == Source::Link;
    let again = durable.iter().filter(again).count();
    assert_eq!(played.words, durable.len() + again, "what was durable is there, and nothing else");
    let mut found = differences(&plan, &played);
    found.extend(tellings(&plan, &played));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
    (plan, played)
}

#[tokio::test]
async fn every_session_of_an_evening_is_what_it_was_in_truth() {
    let folder = tempfile::tempdir().unwrap();
    let trouble = Trouble::cut(Wrong::Unset, 0);
    let (plan, played) = as_in_truth(1, trouble, Pace::default(), folder.path()).await;
    // No kind of session is missing.
    for why in ["Silence", "CheckOut", "ClassEnded", "WearerChanged"] {
        assert!(played.kept.iter().any(|kept| reason(kept) == why), "{why}");
    }
    payloads(&played);
    golden(&table(&plan, &played));
}

#[tokio::test]
async fn also_when_the_box_comes_back_a_day_late() {
    let folder = tempfile::tempdir().unwrap();
    let pace = Pace { keep: None, ..Pace::default() };
    as_in_truth(2, Trouble::cut(Wrong::DayLate, 17), pace, folder.path()).await;
}

#[tokio::test]
async fn a_box_that_was_away_for_half_an_hour_ends_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let trouble = Trouble::long(Wrong::Unset, 31);
    let (_, played) = as_in_truth(3, trouble, Pace::default(), folder.path()).await;
    assert!(played.kept.iter().any(|kept| reason(kept) == "Outage"));
}

#[tokio::test]
async fn a_box_that_was_away_for_less_goes_on_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let trouble = Trouble::long(Wrong::DayLate, 29);
    let (_, played) = as_in_truth(4, trouble, Pace::default(), folder.path()).await;
    assert!(played.kept.iter().all(|kept| reason(kept) != "Outage"));
}

/// With broadcasts beside every link, in small pieces or in very large ones, cut off at another second, from the log's beginning.
#[tokio::test]
async fn it_does_not_matter_how_the_evening_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folders = ["often", "seldom"].map(|name| folder.path().join(name));
    folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let often = Pace { every: 7, keep: None, twice: true };
    as_in_truth(1, Trouble::cut(Wrong::Unset, 41), often, &folders[0]).await;
    let seldom = Pace { every: 600, ..Pace::default() };
    as_in_truth(5, Trouble::killed(Wrong::Unset, 3), seldom, &folders[1]).await;
}

fn reason(kept: &Kept) -> String {
    format!("{:?}", kept.session.as_ref().unwrap().ended)
}

/// All of them can be sent to backends.
fn payloads(played: &Played) {
    for kept in &played.kept {
        let (mut rates, mut beats) = (Vec::new(), Vec::new());
        let report = played.history.replay(
            kept,
            &Limits::default(),
            &mut || true,
            &mut |_, item| match item {
                Item::Sample(sample) => {
                    let bpm = sample.heart_rate_bpm.map(u16::from);
                    rates.extend(sample.at.zip(bpm).map(|(at, bpm)| TimedRate { at, bpm }));
                }
                Item::Beat(beat) => {
                    let at = beat.after.unwrap_or(UnixMs::default());
                    beats.push(TimedBeat { at, rr: beat.rr });
                }
            },
        );
        let activity = report.unwrap().activities.remove(0);
        let session = kept.session.as_ref().unwrap();
        let athlete = session.athlete.and_then(|id| played.people.athlete(id));
        let effort = Some(session.effort.clone());
        let workout = Workout { activity, athlete: athlete.map(|a| (**a).clone()), effort };
        let average = session.effort.avg_bpm.unwrap();
        let bundle = fhir::Bundle::workout(&workout, rates.iter().copied());
        let bundle = serde_json::to_string(&bundle).unwrap();
        assert!(bundle.contains("\"Bundle\""), "{bundle}");
        let Some(athlete) = athlete else { continue };
        let user = || terra::User::new(athlete, None);
        let told = terra::Activity::new(&workout, rates.iter().copied());
        let told = terra::Event::activity(user(), vec![told]);
        let told = serde_json::to_value(&told).unwrap();
        let summary = &told["data"][0]["heart_rate_data"]["summary"];
        // Told in thousandths.
        let told = summary["avg_hr_bpm"].as_f64().unwrap();
        assert!((told - average).abs() <= 0.0006, "{summary}");
        let day = terra::Day::of(workout.activity.start, None);
        let (rates, beats) = (rates.iter().copied(), beats.iter().copied());
        let body = terra::Body::new(day, athlete, std::slice::from_ref(&workout), rates, beats);
        serde_json::to_string(&terra::Event::body(user(), vec![body])).unwrap();
    }
}

/// All sessions of the evening as the box has them, one a line, for somebody to read.
fn table(plan: &Plan, played: &Played) -> String {
    let mut text = String::from(
        "who  strap from     to       class why           elapsed active paused   avg min max of_max  \
         below    z1    z2    z3    z4    z5   kcal banister edwards points rmssd  sdnn pnn50 beats art recovery exceeded\n",
    );
    for kept in &played.kept {
        let session = kept.session.as_ref().unwrap();
        let effort = &session.effort;
        let who = played.person(kept).map(|p| plan.people[p].display_name.clone().unwrap());
        let start = (kept.activity.start.0 * 1000) as u64 - ZERO_US;
        let end = start + (effort.elapsed_s * 1e6) as u64;
        let number =
            |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.1}"));
        let zones = effort.zones.as_ref().map(|zones| zones.0);
        let zones: Vec<String> = (0..6).map(|z| number(zones.map(|zones| zones[z]))).collect();
        let max = effort.of_max.map_or("-".to_owned(), |m| format!("{}{:?}", m.bpm, m.origin));
        let hrv = effort.hrv;
        let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let recovery = effort.recovery.map_or("-".to_owned(), |recovery| {
            let fall = |fall: Option<i16>| fall.map_or("-".to_owned(), |fall| fall.to_string());
            format!("{}/{}", fall(recovery.after_60_s), fall(recovery.after_120_s))
        });
        let exceeded = effort.exceeded.map_or("-".to_owned(), |max| max.bpm.to_string());
        let (min, max_bpm) = (effort.min_bpm.unwrap(), effort.max_bpm.unwrap());
        writeln!(
            text,
            "{:<4} {:<5} {} {} {:<5} {:<13} {:>7.1} {:>6.1} {:>6.1} {:>5} {min:>3} {max_bpm:>3} {max:<8} {} {:>6} {:>8} {:>7} {:>6} {:>5} {:>5} {:>5} {:>5} {:>3} {:<8} {exceeded}",
            who.unwrap_or("-".to_owned()),
            &session.strap.as_str()[4..],
            clock(start),
            clock(end),
            session.class.as_ref().map_or("-", |class| &class.name),
            format!("{:?}", session.ended),
            effort.elapsed_s,
            effort.active_s,
            effort.paused_s,
            number(effort.avg_bpm),
            zones.iter().map(|zone| format!("{zone:>5}")).collect::<Vec<_>>().join(" "),
            number(effort.calories_kcal),
            number(effort.trimp_banister),
            number(effort.trimp_edwards),
            number(effort.points),
            number(hrv.map(|hrv| hrv.rmssd_ms)),
            number(hrv.map(|hrv| hrv.sdnn_ms)),
            number(hrv.map(|hrv| hrv.pnn50_percent)),
            count(hrv.map(|hrv| hrv.beats)),
            count(hrv.map(|hrv| hrv.artefacts)),
            recovery,
        )
        .unwrap();
    }
    text
}

/// As somebody has read and approved it.
fn golden(text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/evening/sessions.txt");
    if std::env::var_os("PULSEGATE_RENEW").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let approved = std::fs::read_to_string(&path).unwrap_or_default();
    let (is, was): (Vec<_>, Vec<_>) = (text.lines().collect(), approved.lines().collect());
    let gone = was.iter().filter(|line| !is.contains(line)).map(|line| format!("- {line}"));
    let new = is.iter().filter(|line| !was.contains(line)).map(|line| format!("+ {line}"));
    let changed: Vec<String> = gone.chain(new).collect();
    assert!(
        changed.is_empty() && is.len() == was.len(),
        "tests/fixtures/evening/sessions.txt says otherwise; PULSEGATE_RENEW=1 renews it, then read it:\n{}",
        changed.join("\n")
    );
}
