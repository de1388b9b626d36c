//! From the values of messages to samples and beats, one after the other.

use super::decode::Message;
use super::table::{hrv, record};
use crate::activity::{Beat, Position, RrMillis, Sample, UnixMs};

/// 1989-12-31T00:00:00Z, from which FIT counts, in seconds since 1970.
pub const FIT_EPOCH: i64 = 631_065_600;
/// Times below count from when the device was switched on: it did not know the date.
pub const FIRST_DATE: u32 = 0x1000_0000;

/// A time of FIT as a moment.
pub fn moment(time: u32) -> UnixMs {
    UnixMs::from_seconds(FIT_EPOCH + i64::from(time))
}

/// Whether a moment is no date, because the device did not know it.
pub fn is_undated(at: UnixMs) -> bool {
    at < moment(FIRST_DATE)
}

/// A counter of few bits that wraps around, counted on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwrapped<const BITS: u32>(Option<u64>);

impl<const BITS: u32> Unwrapped<BITS> {
    /// Counts from `value`.
    pub fn set(&mut self, value: u64) {
        self.0 = Some(value);
    }

    /// Where the counter stands when its low bits are these.
    pub fn to(&mut self, low: u32) -> u64 {
        let mask = (1u64 << BITS) - 1;
        let low = u64::from(low) & mask;
        let value = match self.0 {
            None => low,
            Some(before) => before.wrapping_add(low.wrapping_sub(before) & mask),
        };
        self.0 = Some(value);
        value
    }
}

/// The heart rates of a record: usually one, but a file may hold several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HeartRates {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// Turns the records and beats of one recording into items.
#[derive(Debug, Default)]
pub struct Stream {
    distance: Unwrapped<12>,
    latest: Option<UnixMs>,
}

impl Stream {
    /// A record, and all of the heart rates in it.
    pub fn sample(&mut self, message: &Message<'_>, at: Option<UnixMs>) -> (Sample, HeartRates) {
        let mut rates = HeartRates::default();
        let mut first = None;
        for rate in message.numbers(record::HEART_RATE) {
            first = first.or(Some(rate));
            rates.count += 1;
            rates.sum += rate;
        }
        let (packed_speed, packed_distance) = self.packed(message);
        let position = || {
            let lat = message.whole(record::POSITION_LAT)?;
            Some(Position { lat, lon: message.whole(record::POSITION_LONG)? })
        };
        let fraction = message.number(record::FRACTIONAL_CADENCE).unwrap_or(0.0);
        let sample = Sample {
            at,
            // A float may be anything; `as` keeps it between 0 and 255.
            heart_rate_bpm: first.map(|rate| rate.round() as u8),
            position: position(),
            altitude_m: message.either(record::ALTITUDE),
            speed_mps: message.either(record::SPEED).or(packed_speed),
            distance_m: message.number(record::DISTANCE).or(packed_distance),
            cadence_rpm: message.number(record::CADENCE).map(|cadence| cadence + fraction),
            power_w: message.whole(record::POWER),
            temperature_c: message.whole(record::TEMPERATURE),
            calories_kcal: message.whole(record::CALORIES),
        };
        self.latest = at.or(self.latest);
        (sample, rates)
    }

    /// Speed and distance of `compressed_speed_distance`.
    fn packed(&mut self, message: &Message<'_>) -> (Option<f64>, Option<f64>) {
        let mut bytes = message.bytes(record::COMPRESSED_SPEED_DISTANCE);
        let (Some(a), Some(b), Some(c)) = (bytes.next(), bytes.next(), bytes.next()) else {
            return (None, None);
        };
        let speed = u16::from(a) | u16::from(b & 0xF) << 8;
        let distance = u32::from(b >> 4) | u32::from(c) << 4;
        if (speed, distance) == (0xFFF, 0xFFF) {
            return (None, None);
        }
        let distance = self.distance.to(distance) as f64 / record::COMPRESSED_DISTANCE_SCALE;
        let speed = (speed != 0xFFF).then(|| f64::from(speed) / record::COMPRESSED_SPEED_SCALE);
        (speed, Some(distance))
    }

    /// The beats of a message of RR intervals.
    pub fn beats(&self, message: &Message<'_>) -> impl Iterator<Item = Beat> {
        let after = self.latest;
        let rr = message.numbers(hrv::TIME).filter(|ms| (0.0..65535.0).contains(ms));
        rr.map(move |ms| Beat { after, rr: RrMillis(ms.round() as u16) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_wraps_around_counts_on() {
        let mut counter = Unwrapped::<12>::default();
        let steps = [4000, 4095, 0, 10, 4095, 5];
        assert_eq!(steps.map(|low| counter.to(low)), [4000, 4095, 4096, 4106, 8191, 8197]);
        counter.set(100_000);
        assert_eq!(counter.to(100_000 & 0xFFF), 100_000);
    }
}
