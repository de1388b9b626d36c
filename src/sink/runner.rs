//! What every sink needs and no sink does itself: reading the log, trying again, moving the cursor.

use std::time::Duration;

use tracing::{error, info, warn};

use super::{Context, DeliveryError, Receipt, Sink, TaskEnd};
use crate::backoff::Backoff;
use crate::buffer::BufferError;
use crate::live::SinkState;
use crate::normalize;
use crate::reading::EntryId;
use crate::timeline::Timeline;

/// Entries handed over at once: ten messages of a broker, one request of a webhook, 2 MB in memory at most.
const BATCH: usize = 2000;
const LEAST_DELAY: Duration = Duration::from_secs(1);
const MOST_DELAY: Duration = Duration::from_secs(300);

/// Delivers the log to one sink until told to stop.
pub(super) async fn run<S: Sink>(name: String, mut sink: S, context: Context) -> TaskEnd {
    let Context { board, buffer, stop, .. } = context;
    let mut next = buffer.register(&name).await?;
    board.sink(&name, |sink| sink.next = next);
    let mut state = buffer.state();
    let mut backoff = Backoff::new(LEAST_DELAY, MOST_DELAY);
    let mut failing = false;
    info!(sink = name, from = %next, "delivering");
    loop {
        let more = async {
            // Copied out: the guard would hold up the next commit for as long as it lived.
            state.wait_for(|state| state.committed > next).await.map(|state| state.committed)
        };
        let committed = match stop.run_until_cancelled(more).await {
            None => break,
            Some(committed) => committed.map_err(|_| BufferError::Closed)?,
        };
        let timeline = Timeline::default();
        let entries = buffer.read(next, BATCH).await?.into_iter();
        let batch: Vec<_> = entries.map(|entry| normalize::outgoing(entry, &timeline)).collect();
        let Some(last) = batch.last().map(|outgoing| outgoing.entry.id) else {
            // Only a range without entries (a gap at the very end) was committed.
            next = committed;
            buffer.advance(&name, next);
            continue;
        };
        match sink.deliver(&batch).await {
            Ok(receipt) => {
                next = last.plus(1);
                buffer.advance(&name, next);
                backoff.reset();
                if failing {
                    info!(sink = name, "delivering again");
                    failing = false;
                }
                let delivered = batch.len() - receipt.rejected.len().min(batch.len());
                note_rejected(&name, &receipt);
                board.sink(&name, |sink| {
                    sink.state = SinkState::Ok;
                    sink.next = next;
                    sink.delivered += delivered as u64;
                    sink.rejected += receipt.rejected.len() as u64;
                });
            }
            Err(DeliveryError::Retry { reason, after }) => {
                if !failing {
                    warn!(sink = name, reason, waiting_from = %next, "not delivered, will retry; everything is kept");
                    failing = true;
                }
                board.sink(&name, |sink| sink.state = SinkState::Retrying { reason });
                let delay = after.unwrap_or_else(|| backoff.next_delay());
                stop.run_until_cancelled(tokio::time::sleep(delay)).await;
            }
            Err(DeliveryError::Halt { reason }) => {
                error!(
                    sink = name,
                    reason,
                    "stopped until this is mended and the daemon restarted; everything is kept"
                );
                board.sink(&name, |sink| sink.state = SinkState::Parked { reason });
                stop.cancelled().await;
            }
        }
        if stop.is_cancelled() {
            break;
        }
    }
    sink.close().await;
    Ok(())
}

fn note_rejected(name: &str, receipt: &Receipt) {
    if let Some((first, reason)) = receipt.rejected.first() {
        let count = receipt.rejected.len();
        let first: &EntryId = first;
        error!(sink = name, count, %first, reason, "entries refused for good by the far side; they stay in the buffer");
    }
}
