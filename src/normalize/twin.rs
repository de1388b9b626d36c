//! Whether two recordings are of the same workout: a strap and a watch on one person, or one ride as FIT, TCX and GPX.
//! Pure; which of the two is the better one is not known here ([`super::merge`]).
//!
//! Three things can tell, in this order:
//!
//! 1. **Beats.** Two receivers of one strap have the very same RR intervals, to a rounding of a millisecond. Sixteen in a row
//!    that agree are no chance, so where they do in most places, nothing else is asked. Where they do not, nothing is said: a
//!    watch measures intervals of its own, at the wrist, and is off by more.
//! 2. **Heart rates.** Over the seconds that both have, moved against each other by what clocks may differ, the heart rates
//!    must be the same on the whole, and also in the small: the ups and downs of a heart while the effort is steady are its
//!    own. Two people in one class rise and fall together when the trainer says so; between that they do not.
//! 3. **Places.** Of recordings without heart rates: the same places at the same seconds, to less than two devices on one
//!    handlebar would agree to.
//!
//! A wrong link would hand a workout to somebody else, a missing one costs a line in a list. So where it is not sure, it is
//! not said. Of two recordings that are known to be one person's, less is asked: nobody trains twice at a time.

use crate::activity::{Item, Position};
use crate::normalize::PLAUSIBLE_BPM;

/// What two clocks may differ by, in seconds. Of two real recordings of one ride, by a watch and by an app, one was 56 s
/// behind.
pub const SHIFT_MAX_S: i64 = 120;
/// Seconds that both must tell a heart rate in: less is too little to tell one heart from another.
pub const COMMON_MIN_S: usize = 300;
/// Of what the shorter one tells, the other must tell so much too, in percent.
pub const COMMON_MIN_PERCENT: usize = 67;

/// Heart rates that are further apart count as so far: a watch that follows the steps instead of the heart for a minute
/// shall not decide.
const APART_MAX_BPM: u8 = 10;
/// One heart: the mean difference in bpm is no more than the first, and the changes while the effort is steady go together
/// by no less than the second (correlation). The nearer the heart rates are, the less is asked of the changes, for these drown
/// in what a watch smooths. Chosen so that a strap and a good watch pass, and no two people in one class do (`tests`), nor any
/// two of the real recordings but those of one ride (`tests/twins.rs`).
const ONE_HEART: [(f64, f64); 2] = [(1.2, 0.5), (2.0, 0.75)];
/// The mean difference of two recordings of one person, where the watch may be a bad one.
const APART_OF_ONE_BPM: f64 = 4.5;
/// Changes are looked at over so many seconds.
const CHANGE_S: usize = 20;
/// Effort is steady where the heart rate changes by no more than so many bpm within a minute: half of it on each side.
const STEADY_BPM: i64 = 6;
const STEADY_S: usize = 30;
/// Larger changes count as so large.
const CHANGE_MAX_BPM: i64 = 6;
/// Steady seconds that are needed.
const STEADY_MIN_S: u32 = 90;

/// A heart rate and the next one are joined by a line when no more than so many seconds lie between: watches note a heart
/// rate when it changes.
const JOINED_S: i64 = 10;

/// Intervals that are compared in a row, how far apart two may be (one is rounded to 1/1024 s, the other to 1/1000), and
/// how often in a recording.
const ROW: usize = 16;
const SAME_MS: u16 = 2;
const ROWS: usize = 40;
/// Rows that must be tried, and how many of them must be found, in percent.
const ROWS_MIN: usize = 5;
const ROWS_MIN_PERCENT: usize = 60;

/// Places are the same when they are so near, in semicircles: half a metre. Places seen at so many seconds, of which so
/// many percent must be the same, and so many others than the one before.
const SAME_PLACE: i64 = 54;
const PLACES_MIN: usize = 120;
const PLACES_MIN_PERCENT: usize = 90;

/// Seconds of a recording that are looked at: a day and a half.
const SPAN_MAX_S: i64 = 36 * 3600;
/// Most of each kind that is kept of a recording: 20 hours of an athlete.
const RATES_MAX: usize = 1 << 17;
const BEATS_MAX: usize = 1 << 18;

/// Whether both are known to be of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Both are this person's, by other knowledge.
    OnePersons,
    /// Nothing is known.
    Unknown,
}

/// What tells that two recordings are one workout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The same RR intervals.
    Beats,
    /// The same heart rates.
    Rates,
    /// The same places.
    Places,
}

/// What two recordings are to each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The same workout.
    Same {
        /// By what.
        proof: Proof,
        /// Seconds to add to the times of the second to have those of the first.
        shift_s: i64,
    },
    /// Two workouts, or two people.
    Different,
    /// Too little in common to tell.
    Unclear,
}

/// What of a recording tells whose heart it was: about 16 bytes a second. In whatever order its records come, it is the same.
#[derive(Debug, Clone, Default)]
pub struct Curve {
    rates: Vec<(i64, u8)>,
    beats: Vec<(i64, u16)>,
    places: Vec<(i64, Position)>,
}

impl Curve {
    /// Takes in what streams from a recording. What has no time, or is no heart's, tells nothing.
    pub fn add(&mut self, item: &Item) {
        match item {
            Item::Sample(sample) => {
                let Some(at) = sample.at else { return };
                let is_plausible = |bpm: &u8| PLAUSIBLE_BPM.contains(&u16::from(*bpm));
                if let Some(bpm) = sample.heart_rate_bpm.filter(is_plausible)
                    && self.rates.len() < RATES_MAX
                {
                    self.rates.push((at.seconds(), bpm));
                }
                if let Some(place) = sample.position.filter(|_| self.places.len() < RATES_MAX) {
                    self.places.push((at.seconds(), place));
                }
            }
            Item::Beat(beat) => {
                if let Some(after) = beat.after.filter(|_| self.beats.len() < BEATS_MAX) {
                    self.beats.push((after.seconds(), beat.rr.0));
                }
            }
        }
    }

    /// As it is compared.
    fn sorted(&self) -> Sorted {
        let mut rates = self.rates.clone();
        rates.sort_unstable();
        let mut beats = self.beats.clone();
        // Those of one record stay in their order.
        beats.sort_by_key(|(at, _)| *at);
        let mut places = self.places.clone();
        places.sort_unstable_by_key(|(at, place)| (*at, place.lat, place.lon));
        places.dedup_by_key(|(at, _)| *at);
        Sorted { seconds: Seconds::of(&rates), beats, places }
    }
}

struct Sorted {
    seconds: Seconds,
    beats: Vec<(i64, u16)>,
    places: Vec<(i64, Position)>,
}

/// A heart rate for each second; 0 where there is none.
struct Seconds {
    from: i64,
    bpm: Vec<u8>,
    known: usize,
}

impl Seconds {
    /// Of heart rates in order. Of several in a second the highest counts.
    fn of(rates: &[(i64, u8)]) -> Self {
        let from = rates.first().map_or(0, |(at, _)| *at);
        let near = rates.partition_point(|(at, _)| at.saturating_sub(from) < SPAN_MAX_S);
        let rates = &rates[..near];
        let length = rates.last().map_or(0, |(at, _)| (at - from + 1) as usize);
        let mut bpm = vec![0; length];
        let mut before: Option<(i64, u8)> = None;
        for (at, rate) in rates {
            if let Some((then, was)) = before
                && at - then <= JOINED_S
            {
                let (steps, rise) = (at - then, i64::from(*rate) - i64::from(was));
                for step in 1..steps {
                    let between = i64::from(was) + (rise * step) / steps;
                    bpm[(then + step - from) as usize] = between as u8;
                }
            }
            bpm[(at - from) as usize] = *rate;
            before = Some((*at, *rate));
        }
        let known = bpm.iter().filter(|bpm| **bpm > 0).count();
        Self { from, bpm, known }
    }

    /// Second by second beside another that is moved by `shift`, as far as both reach.
    fn beside<'s>(
        &'s self,
        other: &'s Self,
        shift: i64,
    ) -> std::iter::Zip<std::slice::Iter<'s, u8>, std::slice::Iter<'s, u8>> {
        let ahead = self.from.saturating_sub(other.from.saturating_add(shift));
        // How far into each the later of the two begins.
        let into = |ahead: i64, bpm: &'s [u8]| {
            let skipped = usize::try_from(ahead.max(0)).unwrap_or(usize::MAX);
            bpm.get(skipped..).unwrap_or_default().iter()
        };
        into(ahead.saturating_neg(), &self.bpm).zip(into(ahead, &other.bpm))
    }

    fn at(&self, second: i64) -> Option<i64> {
        let index = usize::try_from(second - self.from).ok()?;
        self.bpm.get(index).filter(|bpm| **bpm > 0).map(|bpm| i64::from(*bpm))
    }
}

/// What two recordings are to each other. It makes no difference which is the first, but for the sign of the shift.
pub fn compare(one: &Curve, other: &Curve, whose: Whose) -> Verdict {
    let (one, other) = (one.sorted(), other.sorted());
    if let Some(shift_s) = same_beats(&one.beats, &other.beats) {
        return Verdict::Same { proof: Proof::Beats, shift_s };
    }
    match same_rates(&one.seconds, &other.seconds, whose) {
        Verdict::Unclear => {}
        verdict => return verdict,
    }
    // Heart rates that could not decide were one heart's or two: places do not tell.
    let is_without = one.seconds.known < COMMON_MIN_S || other.seconds.known < COMMON_MIN_S;
    if is_without && let Some(shift_s) = same_places(&one.places, &other.places) {
        return Verdict::Same { proof: Proof::Places, shift_s };
    }
    Verdict::Unclear
}

/// Shifts by what they cost to believe: none, then a second to either side, and so on.
fn shifts() -> impl Iterator<Item = i64> {
    std::iter::once(0).chain((1..=SHIFT_MAX_S).flat_map(|shift| [shift, -shift]))
}

fn same_rates(one: &Seconds, other: &Seconds, whose: Whose) -> Verdict {
    let needed = one.known.min(other.known) * COMMON_MIN_PERCENT / 100;
    let needed = needed.max(COMMON_MIN_S);
    let limit = match whose {
        Whose::OnePersons => APART_OF_ONE_BPM,
        Whose::Unknown => ONE_HEART.into_iter().map(|(apart, _)| apart).fold(0.0, f64::max),
    };
    let mut best: Option<(f64, i64)> = None;
    let mut is_anybodys = false;
    for shift in shifts() {
        let Some(apart) = apart(one, other, shift, needed, limit) else { continue };
        if best.is_some_and(|(before, _)| before <= apart) {
            continue;
        }
        if whose == Whose::OnePersons {
            best = Some((apart, shift));
            continue;
        }
        let Some(together) = together(one, other, shift) else {
            // A heart that never changes.
            is_anybodys = true;
            continue;
        };
        if ONE_HEART.iter().any(|(most, least)| apart <= *most && together >= *least) {
            best = Some((apart, shift));
        }
    }
    if let Some((_, shift_s)) = best {
        return Verdict::Same { proof: Proof::Rates, shift_s };
    }
    let common = one.beside(other, 0).filter(|(mine, theirs)| **mine > 0 && **theirs > 0).count();
    if is_anybodys || common < needed { Verdict::Unclear } else { Verdict::Different }
}

/// How far apart the heart rates are on average; `None` where that is more than `limit`, or they have too little in common.
fn apart(one: &Seconds, other: &Seconds, shift: i64, needed: usize, limit: f64) -> Option<f64> {
    let beside = one.beside(other, shift);
    // With so much it cannot get below the limit any more.
    let sum_max = limit * beside.len() as f64;
    let (mut common, mut sum) = (0_usize, 0_u32);
    for (mine, theirs) in beside {
        if *mine > 0 && *theirs > 0 {
            common += 1;
            sum += u32::from(mine.abs_diff(*theirs).min(APART_MAX_BPM));
            if f64::from(sum) > sum_max {
                return None;
            }
        }
    }
    let apart = f64::from(sum) / common as f64;
    (common >= needed && apart <= limit).then_some(apart)
}

/// How far the small changes go together, while the effort is steady; `None` where it hardly ever is, or one of the two
/// does not change.
fn together(one: &Seconds, other: &Seconds, shift: i64) -> Option<f64> {
    let both = |second: i64| Some((one.at(second)?, other.at(second - shift)?));
    let from = one.from.max(other.from + shift);
    let to = (one.from + one.bpm.len() as i64).min(other.from + shift + other.bpm.len() as i64);
    let (half, over) = (STEADY_S as i64, CHANGE_S as i64);
    let mut sums = Sums::default();
    for second in from + half..to - half {
        // The change lies in the middle of the minute that is steady.
        let (Some(early), Some(late)) = (both(second - half), both(second + half)) else {
            continue;
        };
        let rise = (late.0 + late.1 - early.0 - early.1).abs();
        if rise > 2 * STEADY_BPM {
            continue;
        }
        if let (Some(before), Some(after)) = (both(second - over / 2), both(second + over / 2)) {
            let change = |after: i64, before: i64| {
                (after - before).clamp(-CHANGE_MAX_BPM, CHANGE_MAX_BPM) as f64
            };
            sums.add(change(after.0, before.0), change(after.1, before.1));
        }
    }
    sums.correlation()
}

/// What a correlation is made of.
#[derive(Default)]
struct Sums {
    count: u32,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    fn correlation(&self) -> Option<f64> {
        let n = f64::from(self.count);
        let spread = |squares: f64, sum: f64| squares - sum * sum / n;
        let (x, y) = (spread(self.xx, self.x), spread(self.yy, self.y));
        // Less than a tenth of a bpm is no change.
        if self.count < STEADY_MIN_S || x < 0.01 * n || y < 0.01 * n {
            return None;
        }
        Some((self.xy - self.x * self.y / n) / (x * y).sqrt())
    }
}

/// By how much the second's clock differs, when both have the same intervals in most places. Rows are taken from the one
/// that has fewer, so that the order of the two makes no difference.
fn same_beats(one: &[(i64, u16)], other: &[(i64, u16)]) -> Option<i64> {
    if (other.len(), other) < (one.len(), one) {
        return same_beats(other, one).map(|shift| -shift);
    }
    let mut shifts = Vec::new();
    let mut tried = 0;
    let step = (one.len() / ROWS).max(ROW);
    for row in one.chunks(step).map(|piece| &piece[..piece.len().min(ROW)]) {
        let (Some((first, _)), ROW) = (row.first(), row.len()) else { continue };
        tried += 1;
        let from = other.partition_point(|(at, _)| *at < first - SHIFT_MAX_S);
        let to = other.partition_point(|(at, _)| *at <= first + SHIFT_MAX_S);
        let is_row = |place: &usize| {
            let there = &other[*place..(*place + ROW).min(other.len())];
            let is_same = |((_, a), (_, b)): (&(i64, u16), &(i64, u16))| a.abs_diff(*b) <= SAME_MS;
            there.len() == ROW && row.iter().zip(there).all(is_same) && !is_flat(row)
        };
        shifts.extend((from..to).find(is_row).map(|place| first - other[place].0));
    }
    if tried < ROWS_MIN || shifts.len() * 100 < tried * ROWS_MIN_PERCENT {
        return None;
    }
    shifts.sort_unstable();
    let middle = shifts[shifts.len() / 2];
    // Rows that were found here and there were found by chance.
    let near = shifts.iter().filter(|shift| (**shift - middle).abs() <= 3).count();
    (near * 100 >= tried * ROWS_MIN_PERCENT).then_some(middle)
}

/// Intervals that hardly differ from each other are found anywhere.
fn is_flat(row: &[(i64, u16)]) -> bool {
    let lengths = row.iter().map(|(_, rr)| *rr);
    let (least, most) = (lengths.clone().min(), lengths.max());
    most.zip(least).is_none_or(|(most, least)| most - least <= 4 * SAME_MS)
}

fn same_places(one: &[(i64, Position)], other: &[(i64, Position)]) -> Option<i64> {
    let needed = one.len().min(other.len()) * COMMON_MIN_PERCENT / 100;
    let needed = needed.max(PLACES_MIN);
    shifts().find(|shift| {
        let (mut common, mut same, mut moved) = (0, 0, 0);
        let mut before = None;
        for (at, place) in one {
            let Ok(index) = other.binary_search_by_key(&(at - shift), |(at, _)| *at) else {
                continue;
            };
            common += 1;
            same += usize::from(is_near(*place, other[index].1));
            moved += usize::from(before.is_some_and(|before| !is_near(before, *place)));
            before = Some(*place);
        }
        let is_most = |part: usize| part * 100 >= common * PLACES_MIN_PERCENT;
        common >= needed && is_most(same) && moved * 2 >= common
    })
}

fn is_near(one: Position, other: Position) -> bool {
    let apart = |a: i32, b: i32| (i64::from(a) - i64::from(b)).abs();
    apart(one.lat, other.lat) <= SAME_PLACE && apart(one.lon, other.lon) <= SAME_PLACE
}

#[cfg(test)]
mod tests;
