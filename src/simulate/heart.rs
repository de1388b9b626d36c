//! A person exercising, beat by beat.
//!
//! Effort follows a programme of warm-up, intervals and rest, each person at another place of it. Heart rate follows
//! effort with the lag of a real one; single beats vary with breathing, the less the harder the work.

use crate::reading::RrInterval;

/// Seconds of each part of the programme, and its effort as a share of heart-rate reserve.
const PROGRAMME: [(f64, f64); 8] = [
    (240.0, 0.35),
    (180.0, 0.60),
    (90.0, 0.90),
    (90.0, 0.55),
    (90.0, 0.95),
    (120.0, 0.50),
    (180.0, 0.75),
    (150.0, 0.25),
];

pub(crate) struct Heart {
    dice: fastrand::Rng,
    resting: f64,
    maximum: f64,
    /// Seconds in which heart rate closes two thirds of its distance to what effort asks for.
    lag: f64,
    breath: f64,
    bpm: f64,
    time: f64,
    /// Seconds to the next beat.
    to_beat: f64,
}

impl Heart {
    pub(crate) fn new(mut dice: fastrand::Rng) -> Self {
        let resting = 48.0 + dice.f64() * 24.0;
        let maximum = 172.0 + dice.f64() * 26.0;
        let whole: f64 = PROGRAMME.iter().map(|(seconds, _)| seconds).sum();
        let time = dice.f64() * whole;
        let mut heart = Self {
            lag: 18.0 + dice.f64() * 20.0,
            breath: 0.2 + dice.f64() * 0.12,
            bpm: resting,
            to_beat: 0.5,
            resting,
            maximum,
            time,
            dice,
        };
        // Where the programme has it, not at rest.
        heart.bpm = heart.asked();
        heart
    }

    /// The same person with the programme begun so many seconds ago, as everybody in a class has it.
    #[cfg(test)]
    pub(crate) fn in_class(mut self, begun_s: f64) -> Self {
        self.time = begun_s;
        self.bpm = self.asked();
        self
    }

    /// The same body on another day: what chance does to it is another.
    #[cfg(test)]
    pub(crate) fn another_day(&self, dice: fastrand::Rng) -> Self {
        Self { dice, ..*self }
    }

    /// Heart rate as a strap shows it.
    pub(crate) fn bpm(&self) -> u16 {
        self.bpm.round() as u16
    }

    /// Lives a second; the RR intervals of the beats that fell into it.
    pub(crate) fn second(&mut self) -> Vec<RrInterval> {
        self.time += 1.0;
        let wander = (self.dice.f64() - 0.5) * 1.6;
        self.bpm += (self.asked() - self.bpm) / self.lag + wander;
        self.bpm = self.bpm.clamp(self.resting, self.maximum);
        let mut beats = Vec::new();
        let mut left = 1.0;
        while self.to_beat <= left {
            left -= self.to_beat;
            let interval = self.interval();
            beats.push(RrInterval((interval * 1024.0).round() as u16));
            self.to_beat = interval;
        }
        self.to_beat -= left;
        beats
    }

    fn asked(&self) -> f64 {
        let whole: f64 = PROGRAMME.iter().map(|(seconds, _)| seconds).sum();
        let mut at = self.time % whole;
        let mut effort = PROGRAMME[0].1;
        for (seconds, part) in PROGRAMME {
            effort = part;
            if at < seconds {
                break;
            }
            at -= seconds;
        }
        self.resting + effort * (self.maximum - self.resting)
    }

    /// Seconds between two beats: the mean, breathing in and out, and chance.
    fn interval(&mut self) -> f64 {
        let mean = 60.0 / self.bpm;
        let ease = 1.0 - (self.bpm - self.resting) / (self.maximum - self.resting);
        let breathing = 0.045 * ease * (std::f64::consts::TAU * self.breath * self.time).sin();
        let chance = 0.012 * (0.2 + ease) * (self.dice.f64() * 2.0 - 1.0);
        mean * (1.0 + breathing + chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_agree_with_the_heart_rate_and_vary_more_at_rest() {
        for seed in 0..20 {
            let mut heart = Heart::new(fastrand::Rng::with_seed(seed));
            let (mut beats, mut bpm) = (0.0, 0.0);
            for _ in 0..1200 {
                beats += heart.second().len() as f64;
                bpm += f64::from(heart.bpm()) / 60.0;
                assert!((40..=200).contains(&heart.bpm()));
            }
            assert!((beats / bpm - 1.0).abs() < 0.03, "seed {seed}: {beats} beats, {bpm} expected");
        }
    }
}
