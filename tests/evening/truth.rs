//! What the box has to make of an evening, worked out the plain way: all words of a strap at once, in the time of the hall
//! clock. Written from docs/sessions.md and the papers it names.

use pulsegate::athlete::{MaxHr, MaxHrOrigin, Sex};
use pulsegate::reading::{Contact, HeartRate, Source};
use pulsegate::roster::Edit;
use pulsegate::session::{Hrv, Recovery, SessionSummary, Why, ZoneTimes};

use crate::plan::{Deed, Plan, SECOND, Word};

const HOLD: u64 = 5 * SECOND;
const SILENCE: u64 = 180 * SECOND;
const OUTAGE: u64 = 1800 * SECOND;
const EARLY: u64 = 15 * 60 * SECOND;
const BEGIN: u64 = 10 * SECOND;
const YEAR: u16 = 2026;

/// A session that was. Times as in the plan.
#[derive(Debug, Clone)]
pub struct Session {
    pub strap: usize,
    pub person: Option<usize>,
    pub class: Option<usize>,
    pub why: Why,
    pub from: u64,
    pub to: u64,
    pub figures: SessionSummary,
    /// Heart rates, and intervals between beats, as they were sent.
    pub rates: usize,
    pub intervals: usize,
}

/// All sessions of the evening, by their beginning.
pub fn sessions(plan: &Plan) -> Vec<Session> {
    let mut all: Vec<Session> =
        (0..plan.straps.len()).flat_map(|strap| of_strap(plan, strap)).collect();
    all.sort_by_key(|session| (session.from, session.strap));
    all
}

/// What matters for one strap, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mark {
    Worn(Option<usize>),
    CheckIn(Option<usize>),
    CheckOut,
    ClassBegins(usize),
    ClassEnds(usize),
    Quiet,
    BoxWasAway,
    /// A word of the strap, by its place.
    Word(usize),
}

struct Open {
    first: usize,
    person: Option<usize>,
    class: Option<usize>,
}

fn of_strap(plan: &Plan, strap: usize) -> Vec<Session> {
    let words = counting(plan, strap);
    let marks = marks(plan, strap, &words);
    let mut found = Vec::new();
    let (mut open, mut wearer): (Option<Open>, _) = (None, None);
    let (mut is_free, mut checked_in, mut last) = (true, None::<Option<usize>>, 0);
    let mut was_in_class = false;
    for (place, (at, mark)) in marks.iter().enumerate() {
        let mut close = |open: &mut Option<Open>, why| {
            let Some(open) = open.take() else { return false };
            was_in_class = open.class.is_some();
            found.push(made(plan, strap, &words, &open, last, why, *at));
            true
        };
        match *mark {
            Mark::Worn(by) => {
                let ended = close(&mut open, Why::WearerChanged);
                is_free = by.is_some() || (is_free && !ended);
                (wearer, checked_in) = (by, None);
            }
            Mark::CheckIn(class) => {
                let class = class.or(only(plan, *at));
                match &mut open {
                    Some(Open { class: of @ None, .. }) => *of = class,
                    Some(Open { class: of, .. }) if class.is_none() || *of == class => {}
                    _ => {
                        close(&mut open, Why::ClassEnded);
                        checked_in = Some(class);
                    }
                }
            }
            Mark::CheckOut => {
                is_free &= !close(&mut open, Why::CheckOut);
                checked_in = None;
            }
            Mark::ClassBegins(class) if only(plan, *at) == Some(class) => match &mut open {
                Some(Open { class: of @ None, first, .. }) => {
                    let is_early = at - words[*first].at <= EARLY;
                    *of = is_early.then_some(class);
                }
                Some(_) => {}
                None if was_in_class => checked_in = Some(Some(class)),
                None => {}
            },
            Mark::ClassBegins(_) => {}
            Mark::ClassEnds(class) => {
                if open.as_ref().is_some_and(|open| open.class == Some(class)) {
                    close(&mut open, Why::ClassEnded);
                    is_free = false;
                }
                checked_in = checked_in.filter(|of| *of != Some(class));
            }
            Mark::Quiet => {
                close(&mut open, Why::Silence);
                (is_free, was_in_class) = (true, false);
            }
            Mark::BoxWasAway => {
                close(&mut open, Why::Outage);
                (is_free, was_in_class) = (true, false);
            }
            Mark::Word(word) if is_heart(&words[word].says) => {
                let asked = checked_in.map(|class| (class, *at));
                let lasts = || lasts(&words, &marks[place..]).map(|at| (None, at));
                let begins = asked.or_else(|| is_free.then(lasts).flatten());
                if let Some((class, at)) = begins.filter(|_| open.is_none()) {
                    let class = class.or(only(plan, at));
                    (open, checked_in) = (Some(Open { first: word, person: wearer, class }), None);
                }
                last = word;
            }
            Mark::Word(_) => {}
        }
    }
    found
}

/// The words that count: those that the log has, and broadcasts only when the link was mute.
fn counting(plan: &Plan, strap: usize) -> Vec<Word> {
    let heard: Vec<&Word> =
        plan.words.iter().filter(|word| word.strap == strap && plan.is_durable(word.at)).collect();
    let links: Vec<u64> =
        heard.iter().filter(|word| word.says.source == Source::Link).map(|word| word.at).collect();
    let is_linked = |at: u64| links.iter().any(|link| *link <= at && at - link < HOLD);
    let counts = |word: &&&Word| word.says.source == Source::Link || !is_linked(word.at);
    heard.iter().filter(counts).map(|word| (*word).clone()).collect()
}

fn is_heart(says: &HeartRate) -> bool {
    says.contact != Contact::NotWorn && (25..=250).contains(&says.bpm)
}

fn marks(plan: &Plan, strap: usize, words: &[Word]) -> Vec<(u64, Mark)> {
    let mut marks: Vec<(u64, Mark)> =
        words.iter().enumerate().map(|(place, word)| (word.at, Mark::Word(place))).collect();
    let hearts: Vec<u64> =
        words.iter().filter(|word| is_heart(&word.says)).map(|word| word.at).collect();
    let never = hearts.last().map(|last| (*last, plan.until));
    let pairs = hearts.windows(2).map(|pair| (pair[0], pair[1]));
    for (from, to) in pairs.chain(never) {
        let quiet = match plan.trouble.away.filter(|away| from <= away.from && to >= away.to) {
            // It counts while the box listens: before, or all of it after.
            Some(away) if away.from - from < SILENCE => {
                if away.to - away.durable >= OUTAGE {
                    marks.push((away.to, Mark::BoxWasAway));
                }
                away.to + SILENCE
            }
            _ => from + SILENCE,
        };
        if quiet <= to {
            marks.push((quiet.min(to - 1), Mark::Quiet));
        }
    }
    let mut wearer = None;
    for (at, deed) in &plan.deeds {
        let mark = match *deed {
            Deed::Assign { strap: of, person } if of == strap && wearer != Some(person) => {
                wearer = Some(person);
                Mark::Worn(wearer)
            }
            Deed::Release { strap: of } if of == strap && wearer.is_some() => {
                wearer = None;
                Mark::Worn(None)
            }
            Deed::CheckIn { strap: of, class } if of == strap => Mark::CheckIn(class),
            Deed::CheckOut { strap: of } if of == strap => Mark::CheckOut,
            Deed::ClassBegins { class } => Mark::ClassBegins(class),
            Deed::ClassEnds { class } => Mark::ClassEnds(class),
            _ => continue,
        };
        marks.push((*at, mark));
    }
    marks.sort_by_key(|(at, _)| *at);
    marks
}

/// The class that runs then, when it is the only one.
fn only(plan: &Plan, at: u64) -> Option<usize> {
    let runs = |class: usize| {
        let begun = plan.deeds.iter().find(|(_, deed)| *deed == Deed::ClassBegins { class });
        let ended = plan.deeds.iter().find(|(_, deed)| *deed == Deed::ClassEnds { class });
        begun.is_some_and(|(begun, _)| *begun <= at) && ended.is_some_and(|(ended, _)| *ended > at)
    };
    let mut running = (0..plan.classes.len()).filter(|class| runs(*class));
    running.next().filter(|_| running.next().is_none())
}

/// When ten seconds of heart rate that begin here are over: without a gap, and on one chest.
fn lasts(words: &[Word], marks: &[(u64, Mark)]) -> Option<u64> {
    let first = marks[0].0;
    let mut before = first;
    for (at, mark) in marks {
        match mark {
            Mark::Word(word) if is_heart(&words[*word].says) && at - before <= HOLD => before = *at,
            Mark::CheckIn(_) | Mark::ClassBegins(_) | Mark::ClassEnds(_) => continue,
            _ => return None,
        }
        if at - first >= BEGIN {
            return Some(*at);
        }
    }
    None
}

fn made(
    plan: &Plan,
    strap: usize,
    words: &[Word],
    open: &Open,
    last: usize,
    why: Why,
    ended: u64,
) -> Session {
    let during = &words[open.first..=last];
    let person = open.person.map(|person| &plan.people[person]);
    // The last heart rate holds as any does, unless something ends it.
    let next = words.get(last + 1).map_or(u64::MAX, |next| next.at);
    let to = (words[last].at + HOLD).min(next).min(ended);
    let mut figures = figures(during, to, person);
    if matches!(why, Why::CheckOut | Why::ClassEnded) {
        figures.recovery = recovery(plan, strap, &words[last..], to, ended);
    }
    let hearts = || during.iter().filter(|word| is_heart(&word.says));
    Session {
        strap,
        person: open.person,
        class: open.class,
        why,
        from: words[open.first].at,
        to,
        figures,
        rates: hearts().count(),
        intervals: hearts().map(|word| word.says.rr.len()).sum(),
    }
}

/// Seconds for which each heart rate of a session held.
fn held(words: &[Word], to: u64) -> Vec<(u16, f64)> {
    let ends = words.iter().skip(1).map(|next| next.at).chain([to]);
    let hearts = words.iter().zip(ends).filter(|(word, _)| is_heart(&word.says));
    let lasted = |at: u64, end: u64| (end - at).min(HOLD) as f64 / SECOND as f64;
    hearts.map(|(word, end)| (word.says.bpm, lasted(word.at, end))).collect()
}

fn figures(words: &[Word], to: u64, person: Option<&Edit>) -> SessionSummary {
    let nobody = Edit::default();
    let person = person.unwrap_or(&nobody);
    let held = held(words, to);
    let sum =
        |of: &dyn Fn(f64) -> f64| held.iter().map(|(bpm, s)| of(f64::from(*bpm)) * s).sum::<f64>();
    let active_s = sum(&|_| 1.0);
    let elapsed_s = (to - words[0].at) as f64 / SECOND as f64;
    let rates = || words.iter().filter(|word| is_heart(&word.says)).map(|word| word.says.bpm);
    let of_max = maximum(person);
    let zones_from = match (person.zones_from_bpm, of_max) {
        (Some(from), _) => Some(from.map(f64::from)),
        (None, Some(max)) => {
            Some([0.5, 0.6, 0.7, 0.8, 0.9].map(|share| share * f64::from(max.bpm)))
        }
        (None, None) => None,
    };
    let zone_of =
        |bpm: f64, from: &[f64; 5]| from.iter().filter(|from| bpm >= **from - 1e-9).count();
    let in_zone =
        |from: &[f64; 5], zone| sum(&|bpm| f64::from(u8::from(zone_of(bpm, from) == zone)));
    let zones =
        zones_from.map(|from| ZoneTimes([0, 1, 2, 3, 4, 5].map(|zone| in_zone(&from, zone))));
    let points = zones_from
        .map(|from| sum(&|bpm| [0.0, 1.0, 2.0, 3.0, 4.0, 4.0][zone_of(bpm, &from)]) / 60.0);
    let trimp_edwards = of_max.map(|max| {
        let tenths = [5, 6, 7, 8, 9].map(|tenth| f64::from(max.bpm) * f64::from(tenth) / 10.0);
        sum(&|bpm| zone_of(bpm, &tenths) as f64) / 60.0
    });
    SessionSummary {
        elapsed_s,
        active_s,
        paused_s: elapsed_s - active_s,
        avg_bpm: (active_s > 0.0).then(|| sum(&|bpm| bpm) / active_s),
        min_bpm: rates().min(),
        max_bpm: rates().max(),
        of_max,
        zones,
        calories_kcal: keytel(person).map(|kcal_a_minute| sum(&*kcal_a_minute) / 60.0),
        trimp_banister: banister(person, of_max).map(|a_minute| sum(&*a_minute) / 60.0),
        trimp_edwards,
        points,
        hrv: hrv(words),
        recovery: None,
        exceeded: exceeded(words, of_max),
    }
}

/// Given, or 211 − 0.64 × age.
fn maximum(person: &Edit) -> Option<MaxHr> {
    let given = person.max_hr_bpm.map(|bpm| MaxHr { bpm, origin: MaxHrOrigin::Given });
    given.or_else(|| {
        let age = f64::from(YEAR - person.birth_year?);
        Some(MaxHr { bpm: (211.0 - 0.64 * age).round() as u16, origin: MaxHrOrigin::Hunt })
    })
}

type OfRate = Box<dyn Fn(f64) -> f64>;

/// Keytel 2005, without VO2max: kilojoules a minute, in kilocalories of 4.184.
fn keytel(person: &Edit) -> Option<OfRate> {
    let (kg, age) = (person.weight_kg?, f64::from(YEAR - person.birth_year?));
    let [one, of_rate, of_weight, of_age] = match person.sex? {
        Sex::Male => [-55.0969, 0.6309, 0.1988, 0.2017],
        Sex::Female => [-20.4022, 0.4472, -0.1263, 0.074],
    };
    Some(Box::new(move |bpm| {
        ((one + of_rate * bpm + of_weight * kg + of_age * age) / 4.184).max(0.0)
    }))
}

/// Banister's impulse a minute, by the share of the heart-rate reserve.
fn banister(person: &Edit, of_max: Option<MaxHr>) -> Option<OfRate> {
    let (rest, max) = (f64::from(person.resting_hr_bpm?), f64::from(of_max?.bpm));
    let (a, b) = if person.sex? == Sex::Male { (0.64, 1.92) } else { (0.86, 1.67) };
    Some(Box::new(move |bpm| {
        let share = ((bpm - rest) / (max - rest)).max(0.0);
        share * a * (b * share).exp()
    }))
}

/// What every heart rate of thirty seconds without a break was above, by ten at most.
fn exceeded(words: &[Word], of_max: Option<MaxHr>) -> Option<MaxHr> {
    let max = of_max?.bpm;
    let mut best = 0;
    for from in 0..words.len() {
        let mut least = u16::MAX;
        for pair in words[from..].windows(2) {
            if !is_heart(&pair[0].says) {
                break;
            }
            least = least.min(pair[0].says.bpm);
            let held_to = pair[1].at.min(pair[0].at + HOLD);
            if held_to - words[from].at >= 30 * SECOND {
                best = best.max(least);
                break;
            }
            if held_to < pair[1].at || least <= max {
                break;
            }
        }
    }
    let bpm = best.min(max + 10);
    (best > max).then_some(MaxHr { bpm, origin: MaxHrOrigin::Exceeded })
}

/// Intervals in runs without a gap; in each run those that are none are taken out, and only neighbours are compared.
fn hrv(words: &[Word]) -> Option<Hrv> {
    let mut runs: Vec<Vec<f64>> = vec![Vec::new()];
    for (place, word) in words.iter().enumerate() {
        let is_gap = place > 0 && word.at - words[place - 1].at > HOLD;
        if is_gap || !is_heart(&word.says) {
            runs.push(Vec::new());
        }
        if is_heart(&word.says) {
            let run = runs.last_mut()?;
            run.extend(word.says.rr.iter().map(|rr| f64::from(rr.0) * 1000.0 / 1024.0));
        }
    }
    let (mut used, mut differences, mut artefacts) = (Vec::new(), Vec::new(), 0);
    for run in &runs {
        let mut before = None;
        for (place, interval) in run.iter().enumerate() {
            if is_artefact(run, place) {
                (before, artefacts) = (None, artefacts + 1);
                continue;
            }
            differences.extend(before.map(|before| interval - before));
            used.push(*interval);
            before = Some(interval);
        }
    }
    if differences.is_empty() {
        return None;
    }
    let mean =
        |values: &mut dyn Iterator<Item = f64>, count: usize| values.sum::<f64>() / count as f64;
    let middle = mean(&mut used.iter().copied(), used.len());
    let wide = differences.iter().filter(|difference| difference.abs() > 50.0).count();
    Some(Hrv {
        rmssd_ms: mean(&mut differences.iter().map(|d| d * d), differences.len()).sqrt(),
        sdnn_ms: mean(&mut used.iter().map(|rr| (rr - middle).powi(2)), used.len()).sqrt(),
        pnn50_percent: 100.0 * wide as f64 / differences.len() as f64,
        beats: used.len() as u64,
        artefacts,
    })
}

fn is_artefact(run: &[f64], place: usize) -> bool {
    let (interval, is_beat) = (run[place], |rr: &f64| (300.0..=2000.0).contains(rr));
    if !is_beat(&interval) {
        return true;
    }
    let around = place.saturating_sub(2)..(place + 3).min(run.len());
    let mut around: Vec<f64> = run[around].iter().copied().filter(is_beat).collect();
    around.sort_by(f64::total_cmp);
    let (lower, upper) = (around[(around.len() - 1) / 2], around[around.len() / 2]);
    let median = f64::midpoint(lower, upper);
    (interval - median).abs() > 0.2 * median
}

/// How far the heart rate had fallen one and two minutes after the end, on the same chest and before anything else began.
fn recovery(plan: &Plan, strap: usize, words: &[Word], end: u64, ended: u64) -> Option<Recovery> {
    let is_next = |(at, deed): &&(u64, Deed)| match deed {
        Deed::Assign { strap: of, .. } => *of == strap && *at > ended,
        Deed::CheckIn { strap: of, .. } => *of == strap && *at >= ended,
        _ => false,
    };
    let until = plan.deeds.iter().find(is_next).map_or(u64::MAX, |(at, _)| *at);
    let rate = |then: u64| {
        let now = words.iter().rfind(|word| word.at <= then && then < until)?;
        (then - now.at < HOLD && is_heart(&now.says)).then_some(now.says.bpm)
    };
    let from_bpm = rate(ended)?;
    let fall = |seconds: u64| Some(from_bpm as i16 - rate(end + seconds * SECOND)? as i16);
    let (after_60_s, after_120_s) = (fall(60), fall(120));
    (after_60_s.is_some() || after_120_s.is_some()).then_some(Recovery {
        from_bpm,
        after_60_s,
        after_120_s,
    })
}
