//! Tells when the wall clock was set, and that a boot still lasts: what a [`Timeline`](crate::timeline::Timeline) is
//! made of, also in hours without a reading.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::reading::At;

/// The clock is asked this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A wall clock that steps by more is worth a note.
const STEP_US: u64 = 100_000;

/// Without news, a sign of life this often.
const NOTE_EVERY_US: u64 = 10 * 60 * 1_000_000;

/// Watches a clock until told to stop. Calls `note` at the start, after each step, with each change of trust, and every
/// ten minutes.
pub async fn watch(clock: Clock, mut note: impl FnMut(At), stop: CancellationToken) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut noted: Option<At> = None;
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let at = clock.asked();
        let is_news = noted.is_none_or(|noted| {
            at.trust != noted.trust
                || at.wall_offset_us.abs_diff(noted.wall_offset_us) > STEP_US
                || at.mono_us.saturating_sub(noted.mono_us) >= NOTE_EVERY_US
        });
        if is_news {
            note(at);
            noted = Some(at);
        }
    }
}
