//! The service manager: when we are ready, that we are alive, that we are stopping. Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::error;

use crate::buffer::Buffer;

/// The buffer answers within so long, or it hangs and the service manager shall restart us.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Whether a service manager started us: nobody sits at a terminal, and being restarted is normal.
pub fn supervised() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Everything runs.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// The stop has begun.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// Says that we are alive for as long as the buffer answers or works, if the service manager wants to know.
pub async fn watchdog(buffer: Buffer) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut tick = interval(limit / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pieces_done = buffer.pieces_done();
    loop {
        tick.tick().await;
        if is_alive(&buffer, &mut pieces_done).await {
            tell(NotifyState::Watchdog);
        } else {
            error!("the buffer does not answer; the service manager will restart the daemon");
        }
    }
}

/// Whether the buffer answers, or gets on with long work.
async fn is_alive(buffer: &Buffer, pieces_done: &mut u64) -> bool {
    let answers = matches!(timeout(ANSWER_LIMIT, buffer.responds()).await, Ok(Ok(())));
    let before = std::mem::replace(pieces_done, buffer.pieces_done());
    answers || before < *pieces_done
}

fn tell(state: NotifyState<'_>) {
    // A service manager that cannot be told will notice by itself.
    let _ = sd_notify::notify(&[state]);
}
