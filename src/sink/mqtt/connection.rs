//! Keeps the broker connected, also while there is nothing to deliver: the last will needs that, and live values do.
//!
//! Each connection is a client of its own, thrown away with all its state when it ends. Retrying here means connecting
//! again; messages are sent again from the log alone, by the runner.

use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::broker::Broker;
use super::live::Live;
use super::message::{Content, MOST_BYTES, Message, Publish, Qos, Retain};
use super::pump::{End, IN_FLIGHT};
use super::{v4, v5};
use crate::backoff::Backoff;
use crate::config::MqttVersion;

const LEAST_DELAY: Duration = Duration::from_secs(1);
const MOST_DELAY: Duration = Duration::from_secs(300);

/// A connection that stood for so long was a good one.
const LASTED: Duration = Duration::from_secs(30);

/// Longest wait for the broker to take our `offline`, and then for the end of the connection.
const GOODBYE: Duration = Duration::from_secs(2);
const DISCONNECT: Duration = Duration::from_secs(1);

/// Topic, packet header and properties of a message, at most.
const AROUND_PAYLOAD: usize = 1024;

/// What the broker said when it accepted us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    pub(super) most_packet_bytes: Option<u32>,
}

impl Accepted {
    fn most_payload_bytes(self) -> usize {
        let most = self.most_packet_bytes.and_then(|most| usize::try_from(most).ok());
        most.map_or(MOST_BYTES, |most| most.saturating_sub(AROUND_PAYLOAD).min(MOST_BYTES))
    }
}

/// What the sink sees of the connection.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// There is none, and why. Another attempt comes by itself.
    Down(String),
    /// There will be none before somebody has mended something and the sink asks again.
    Refused(String),
    Up {
        queue: mpsc::Sender<Publish>,
        most_bytes: usize,
    },
}

/// Keeps a connection until told to stop, and then says goodbye.
pub(super) async fn keep(
    broker: Broker,
    live: Live,
    link: watch::Sender<Link>,
    again: &Notify,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(LEAST_DELAY, MOST_DELAY);
    let mut failing = false;
    loop {
        let mut up_since = None;
        let end = once(&broker, &live, &link, &stop, &mut up_since).await;
        failing &= up_since.is_none();
        let reason = match end {
            End::Closed => break,
            End::Refused(reason) => {
                debug!(sink = live.sink(), reason, "refused");
                // The runner tells the operator, at the next delivery.
                link.send_replace(Link::Refused(reason));
                if stop.run_until_cancelled(again.notified()).await.is_none() {
                    break;
                }
                link.send_replace(Link::Down("not connected yet".to_owned()));
                continue;
            }
            End::Lost(reason) => reason,
        };
        if !failing {
            warn!(
                sink = live.sink(),
                broker = broker.address(),
                reason,
                "no connection, will retry"
            );
            failing = true;
        }
        link.send_replace(Link::Down(reason));
        if up_since.is_some_and(|since: Instant| since.elapsed() >= LASTED) {
            backoff.reset();
        }
        let delay = tokio::time::sleep(backoff.next_delay());
        if stop.run_until_cancelled(delay).await.is_none() {
            break;
        }
    }
    link.send_replace(Link::Down("stopping".to_owned()));
}

/// One connection, from the first byte to the last.
async fn once(
    broker: &Broker,
    live: &Live,
    link: &watch::Sender<Link>,
    stop: &CancellationToken,
    up_since: &mut Option<Instant>,
) -> End {
    let (queue, requests) = mpsc::channel(IN_FLIGHT);
    let (up, is_up) = oneshot::channel();
    let client = async {
        match broker.version {
            MqttVersion::V5 => v5::run(broker, requests, up).await,
            MqttVersion::V3 => v4::run(broker, requests, up).await,
        }
    };
    let mut client = std::pin::pin!(client);
    let accepted = tokio::select! {
        end = &mut client => return end,
        accepted = is_up => accepted,
        () = stop.cancelled() => return End::Closed,
    };
    let Ok(accepted) = accepted else { return client.await };
    *up_since = Some(Instant::now());
    info!(sink = live.sink(), broker = broker.address(), "connected");
    let use_it = async {
        // Before anything else, and before anybody else: receivers trust the rest only after this.
        // A queue that takes nothing more is one whose client has ended.
        let _ = queue.send(state(broker, "online").into()).await;
        let _ = queue.send(live.info().into()).await;
        let most_bytes = accepted.most_payload_bytes();
        link.send_replace(Link::Up { queue: queue.clone(), most_bytes });
        stop.run_until_cancelled(live.show(&queue)).await;
        // Takes the sink's sender away; ours is the last.
        link.send_replace(Link::Down("stopping".to_owned()));
        say_goodbye(broker, &queue).await;
    };
    tokio::select! {
        end = &mut client => return end,
        () = use_it => {}
    }
    drop(queue);
    timeout(DISCONNECT, client).await.unwrap_or(End::Closed)
}

/// The last will is for those who cannot speak any more; whoever can says it himself.
async fn say_goodbye(broker: &Broker, queue: &mpsc::Sender<Publish>) {
    let (done, answer) = oneshot::channel();
    let publish = Publish { message: state(broker, "offline"), done: Some(done) };
    let spoken = async {
        if queue.send(publish).await.is_ok() {
            // Whatever the answer: nothing more can be done.
            let _ = answer.await;
        }
    };
    if timeout(GOODBYE, spoken).await.is_err() {
        debug!("the broker did not acknowledge `offline` in time");
    }
}

fn state(broker: &Broker, word: &str) -> Message {
    Message {
        topic: broker.topics.state(),
        payload: word.as_bytes().to_vec(),
        qos: Qos::AtLeastOnce,
        retain: Retain::Yes,
        content: Content::Text,
        about: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_with_small_packets_gets_small_messages() {
        let most = |most_packet_bytes| Accepted { most_packet_bytes }.most_payload_bytes();
        assert_eq!(most(None), MOST_BYTES);
        assert_eq!(most(Some(1 << 20)), MOST_BYTES);
        assert_eq!(most(Some(20_000)), 20_000 - AROUND_PAYLOAD);
        assert_eq!(most(Some(10)), 0);
    }
}
