//! Heart rates that a strap kept for itself: under water nothing can be sent, so it hands over what it measured
//! afterwards, in messages (`hr`) with its own clock, and each record gets the mean of what falls into its time.
//!
//! The rules are those of the FIT SDK (`mergeHeartRates`), so that everybody finds the same heart rate: a rate is held
//! for up to five seconds in steps of a quarter where the strap has nothing, a record takes what lies between the record
//! before it and itself, and where the strap has something it counts more than what the watch has.

use super::decode::Message;
use super::stream::Unwrapped;
use super::table::hr;

/// Most heart rates kept of one file: three days at 120 bpm, 8 MB.
const RATES_MAX: usize = 1 << 19;

/// Time in 1/32768 s since 1989-12-31T00:00:00Z: the smallest unit that a strap uses.
type Fine = i64;
const SECOND: Fine = 32_768;
/// A unit of the strap's clock, 1/1024 s.
const TICK: Fine = SECOND / 1024;
/// How long a rate is held before it is said again.
const HOLD: Fine = SECOND / 4;
/// How often a rate is said again.
const HOLDS_MAX: Fine = 20;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    at: Fine,
    bpm: u8,
}

/// Where the strap's clock was at a known time.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: Fine,
    ticks: u64,
}

/// What a strap handed over, in order.
#[derive(Debug, Default)]
pub struct Hearts {
    rates: Vec<Rate>,
    anchor: Option<Anchor>,
    clock: Unwrapped<12>,
    left_out: u64,
}

impl Hearts {
    /// Messages that could not be used.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes in a message; `time` is its time stamp, if it has one.
    pub fn add(&mut self, message: &Message<'_>, time: Option<u32>) {
        let ticks = self.ticks(message);
        if let (Some(time), [ticks]) = (time, ticks.as_slice()) {
            let fraction = message.number(hr::FRACTIONAL_TIMESTAMP).unwrap_or(0.0);
            let at = Fine::from(time) * SECOND + (fraction * SECOND as f64) as Fine;
            self.anchor = Some(Anchor { at, ticks: *ticks });
        }
        let bpm: Vec<u8> = message.bytes(hr::FILTERED_BPM).collect();
        let Some(anchor) = self.anchor.filter(|_| bpm.len() == ticks.len()) else {
            self.left_out += 1;
            return;
        };
        if self.rates.len() + bpm.len() > RATES_MAX {
            self.left_out += 1;
            return;
        }
        for (ticks, bpm) in ticks.into_iter().zip(bpm) {
            // The strap's clock has 32 bits and goes round: the shorter way counts, 24 days at most.
            let since = ticks.wrapping_sub(anchor.ticks) as i32;
            let at = anchor.at + Fine::from(since) * TICK;
            self.rates.push(Rate { at, bpm });
        }
    }

    /// The strap's clock at each heart rate of a message.
    fn ticks(&mut self, message: &Message<'_>) -> Vec<u64> {
        let whole: Vec<u64> =
            message.numbers(hr::EVENT_TIMESTAMP).map(|ticks| ticks as u64).collect();
        if let Some(last) = whole.last() {
            self.clock.set(*last);
            return whole;
        }
        // Two numbers of 12 bits in three bytes, low bits first.
        let bytes: Vec<u8> = message.bytes(hr::EVENT_TIMESTAMP_12).collect();
        let pairs = bytes.as_chunks::<3>().0.iter().flat_map(|&[a, b, c]| {
            [u32::from(a) | u32::from(b & 0xF) << 8, u32::from(b >> 4) | u32::from(c) << 4]
        });
        pairs.map(|low| self.clock.to(low)).collect()
    }

    /// Goes along the records.
    pub fn merge(&self) -> Merge<'_> {
        Merge { rates: &self.rates, place: Place { index: 0, held: 0 }, after: None }
    }
}

/// A place among the rates and their repetitions: the repetitions of the rate before come before a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    index: usize,
    held: Fine,
}

/// Gives the records of a recording, in order, their heart rates.
pub struct Merge<'h> {
    rates: &'h [Rate],
    place: Place,
    /// The time of the record before.
    after: Option<Fine>,
}

impl Merge<'_> {
    /// The heart rate of the record at `time`, if the strap has one.
    pub fn rate(&mut self, time: u32) -> Option<u8> {
        if self.rates.is_empty() {
            return None;
        }
        let until = Fine::from(time) * SECOND;
        let mut after = *self.after.get_or_insert(until);
        if after == until {
            after -= SECOND;
            self.back();
        }
        let (mut sum, mut count) = (0u64, 0u64);
        while let Some(rate) = self.here() {
            if rate.at > until {
                self.after = Some(until);
                return (count > 0).then(|| ((2 * sum + count) / (2 * count)) as u8);
            }
            if rate.at > after {
                sum += u64::from(rate.bpm);
                count += 1;
            }
            self.forward();
        }
        // What the last rates fall into is open: no rate comes behind it.
        self.after = Some(after);
        None
    }

    /// How often the rate before the one at `index` is said again before it.
    fn holds(&self, index: usize) -> Fine {
        let (Some(rate), Some(before)) = (self.rates.get(index), index.checked_sub(1)) else {
            return 0;
        };
        let gap = (rate.at - self.rates[before].at).abs();
        if gap <= HOLD { 0 } else { ((gap - 1) / HOLD).min(HOLDS_MAX) }
    }

    fn here(&self) -> Option<Rate> {
        let Place { index, held } = self.place;
        let rate = *self.rates.get(index)?;
        if held == self.holds(index) {
            return Some(rate);
        }
        let before = self.rates[index - 1];
        Some(Rate { at: before.at + (held + 1) * HOLD, bpm: before.bpm })
    }

    fn forward(&mut self) {
        if self.place.held == self.holds(self.place.index) {
            self.place = Place { index: self.place.index + 1, held: 0 };
        } else {
            self.place.held += 1;
        }
    }

    fn back(&mut self) {
        let Place { index, held } = self.place;
        if held > 0 {
            self.place.held -= 1;
        } else if index > 0 {
            self.place = Place { index: index - 1, held: self.holds(index - 1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hearts(rates: &[(f64, u8)]) -> Hearts {
        let rate = |&(seconds, bpm)| Rate { at: (seconds * SECOND as f64) as Fine, bpm };
        Hearts { rates: rates.iter().map(rate).collect(), ..Hearts::default() }
    }

    #[test]
    fn a_record_gets_the_mean_of_its_second() {
        let hearts = hearts(&[(10.25, 100), (10.5, 101), (10.75, 102), (11.0, 103), (11.25, 90)]);
        let mut merge = hearts.merge();
        assert_eq!(merge.rate(10), None);
        assert_eq!(merge.rate(11), Some(102), "101.5 is rounded up");
    }

    #[test]
    fn a_rate_is_held_for_five_seconds() {
        let hearts = hearts(&[(10.0, 100), (20.0, 50), (20.5, 50)]);
        let mut merge = hearts.merge();
        let rates: Vec<_> = (9..=20).map(|time| merge.rate(time)).collect();
        let held = Some(100);
        assert_eq!(
            rates,
            [None, held, held, held, held, held, held, None, None, None, None, Some(50)]
        );
    }

    #[test]
    fn records_of_one_second_do_not_lose_the_strap() {
        let hearts = hearts(&[(10.0, 100), (10.5, 100), (11.0, 100), (11.5, 100), (12.5, 100)]);
        let mut merge = hearts.merge();
        assert_eq!([10, 11, 11, 12].map(|time| merge.rate(time)), [Some(100); 4]);
    }
}
