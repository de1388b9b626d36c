//! How long to wait before the next attempt: doubling, with jitter, within bounds. *Whether* to try again is decided
//! elsewhere: `sink/runner.rs`, `ble/supervisor.rs`.

use std::time::Duration;

/// A growing delay.
#[derive(Debug, Clone)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Delays from `least`, doubling up to `most`.
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, next: least }
    }

    /// The next delay: between half and all of it, so that a hundred boxes do not come back in one moment.
    pub fn next_delay(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.most);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// After a success: begin anew.
    pub fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_limit_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for full in [1, 2, 4, 5, 5] {
            let (delay, full) = (backoff.next_delay(), Duration::from_secs(full));
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_secs(1));
    }
}
