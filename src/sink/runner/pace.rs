//! How fast a backlog drains: a share of the sink's time, a rate, and a random start. A hundred boxes that come back at
//! once must not knock a backend over, and the newest entries must not wait.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Delivery;

/// When the next piece of the backlog may go.
#[derive(Debug)]
pub(super) struct Pace {
    share_percent: u32,
    per_s: u32,
    start_within: Duration,
    due: Instant,
}

impl Pace {
    pub(super) fn new(settings: &Delivery) -> Self {
        Self {
            share_percent: u32::from(settings.backlog_share_percent).clamp(1, 100),
            per_s: settings.backlog_per_s.max(1),
            start_within: Duration::from_secs(settings.backlog_start_s.into()),
            due: Instant::now(),
        }
    }

    /// A drain begins.
    pub(super) fn begin(&mut self) {
        self.due = Instant::now() + self.start_within.mul_f64(fastrand::f64());
    }

    /// A piece has been delivered, in the time since `begun`. The rest of the sink's time is not the backlog's.
    pub(super) fn delivered(&mut self, begun: Instant, entries: usize) {
        let by_share = begun.elapsed() * 100 / self.share_percent;
        let by_rate = Duration::from_secs_f64(entries as f64 / f64::from(self.per_s));
        self.due = begun + by_share.max(by_rate);
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn is_due(&self) -> bool {
        self.due <= Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(backlog_share_percent: u16, backlog_per_s: u32) -> Pace {
        Pace::new(&Delivery { backlog_share_percent, backlog_per_s, backlog_start_s: 10 })
    }

    /// How long after a piece of 500 entries that took a second the next one may go.
    async fn pause(mut pace: Pace) -> Duration {
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        pace.delivered(begun, 500);
        pace.due().saturating_duration_since(Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn the_backlog_takes_its_share_and_keeps_to_its_rate_whichever_is_less() {
        assert_eq!(pause(pace(50, 1_000_000)).await, Duration::from_secs(1));
        assert_eq!(pause(pace(20, 1_000_000)).await, Duration::from_secs(4));
        assert_eq!(pause(pace(100, 1_000_000)).await, Duration::ZERO);
        assert_eq!(pause(pace(100, 100)).await, Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn drains_begin_at_different_times() {
        let starts: Vec<Duration> = (0..100)
            .map(|_| {
                let mut pace = pace(50, 1000);
                assert!(pace.is_due(), "nothing is waited for before a drain has begun");
                pace.begin();
                pace.due() - Instant::now()
            })
            .collect();
        let early = starts.iter().filter(|start| **start < Duration::from_secs(5)).count();
        assert!((20..80).contains(&early), "{early} of 100 in the first half");
        assert!(starts.iter().all(|start| *start <= Duration::from_secs(10)));
    }
}
