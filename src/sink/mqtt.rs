//! An MQTT broker, version 5 or 3.1.1.
//!
//! | topic below `<prefix>/<gateway>/` | retained, QoS | what |
//! |---|---|---|
//! | `state` | yes, 1 | `online`, `offline` (also the last will) |
//! | `info`, `health` | yes, 1 | who the box is; how it does, each minute |
//! | `batch` | no, 1 | readings from the log, up to 500 |
//! | `event` | no, 1 | events from the log, one each |
//! | `strap/<id>/hr` | no, 0 | heart rates at once |
//! | `strap/<id>/state`, `…/info` | yes, 1 and 0 | what the strap is; true only while `state` is `online` |
//!
//! An entry counts as delivered when the broker has acknowledged its message, in MQTT 5 with a reason that means
//! success. Nothing is sent again by the client library: see [`connection`] and [`pump`]. `v5` and `v4` are the only
//! files that know one.

mod broker;
mod connection;
mod documents;
mod live;
mod message;
mod pump;
mod refusal;
mod tls;
mod v4;
mod v5;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::broker::{Broker, Topics};
use self::connection::Link;
use self::live::{HeartRates, Live};
use self::message::{Part, Publish, Refused, parts};
use super::{Context, DeliveryError, Receipt, Sink};
use crate::config;
use crate::normalize::Outgoing;
use crate::reading::EntryId;

/// Messages from the log on their way at once: enough for a round trip of a second, few enough to hold in memory.
const WINDOW: usize = 20;

/// And bytes: what is ahead of a live value on a slow line. Two seconds at 1 Mbit/s.
const WINDOW_BYTES: usize = 256 * 1024;

/// A delivery waits so long for a connection that is being made.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10);

/// Asking again for a connection that is being tried for anyway: its own delays are the ones that count.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Once told to stop, a delivery waits so much longer for acknowledgements.
const LAST_ACKNOWLEDGEMENTS: Duration = Duration::from_secs(3);

/// The sink.
pub(super) struct MqttSink {
    gateway: Arc<str>,
    topics: Topics,
    stop: CancellationToken,
    link: watch::Receiver<Link>,
    /// Told when a broker that refused us shall be asked again.
    again: Arc<Notify>,
    close: CancellationToken,
    tasks: JoinSet<()>,
    taken: Taken,
}

/// What of the batch in hand the broker has acknowledged already, in order. A line that breaks every few messages still
/// gets on, and fewer messages are repeated.
#[derive(Debug, Default)]
struct Taken {
    /// First entry of the batch.
    batch: EntryId,
    /// First entry that is not acknowledged.
    next: EntryId,
    rejected: Vec<(EntryId, String)>,
}

impl MqttSink {
    /// Reads what the settings name, and begins to connect.
    pub(super) fn new(
        name: &str,
        settings: &config::Mqtt,
        context: &Context,
    ) -> Result<Self, String> {
        let broker = Broker::new(name, settings, &context.gateway)?;
        let topics = broker.topics.clone();
        let heart_rates = if settings.live { HeartRates::Shown } else { HeartRates::Hidden };
        let live = Live::new(name, context, &topics, heart_rates);
        let (tell, link) = watch::channel(Link::Down("not connected yet".to_owned()));
        let close = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let again = Arc::new(Notify::new());
        let (asked, closed) = (again.clone(), close.clone());
        tasks.spawn(async move { connection::keep(broker, live, tell, &asked, closed).await });
        Ok(Self {
            gateway: context.gateway.clone(),
            topics,
            stop: context.stop.clone(),
            link,
            again,
            close,
            tasks,
            taken: Taken::default(),
        })
    }

    /// Waits for a connection. On the way out nobody waits for one.
    async fn connected(&mut self) -> Result<(mpsc::Sender<Publish>, usize), DeliveryError> {
        // Told with the last delivery already: the runner means to ask again.
        let known = self.link.has_changed().is_ok_and(|changed| !changed);
        let ask_again = known && matches!(*self.link.borrow(), Link::Refused(_));
        let decided = async {
            if ask_again {
                self.again.notify_one();
                self.link.changed().await?;
            }
            self.link.wait_for(|link| !matches!(link, Link::Down(_))).await
        };
        let decided = self.stop.run_until_cancelled(timeout(CONNECTION_WITHIN, decided)).await;
        let task_is_gone = matches!(decided, Some(Ok(Err(_))));
        drop(decided);
        if task_is_gone {
            return Err(self.failed().await);
        }
        match &*self.link.borrow_and_update() {
            Link::Up { queue, most_bytes } => Ok((queue.clone(), *most_bytes)),
            Link::Down(reason) => Err(lost(reason)),
            Link::Refused(reason) => Err(DeliveryError::halt(reason)),
        }
    }

    /// The task of the connection never ends by itself: it has panicked, and so does the sink's.
    async fn failed(&mut self) -> DeliveryError {
        match self.tasks.join_next().await {
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => DeliveryError::halt("the task of the MQTT connection has ended: restart"),
        }
    }

    /// Why the connection ended, once the connection says so itself.
    async fn why_lost(&mut self) -> DeliveryError {
        let down = self.link.wait_for(|link| !matches!(link, Link::Up { .. }));
        // It is on its way; the time is only there so that nothing can hang.
        let _ = timeout(ASK_AGAIN, down).await;
        match &*self.link.borrow() {
            Link::Down(reason) => lost(reason),
            Link::Refused(reason) => DeliveryError::halt(reason),
            // Another one already.
            Link::Up { .. } => lost("the connection was lost"),
        }
    }

    async fn publish(&mut self, batch: &[Outgoing]) -> Result<(), DeliveryError> {
        let (queue, most_bytes) = self.connected().await?;
        let stop = self.stop.clone();
        let out_of_time = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_ACKNOWLEDGEMENTS).await;
        };
        let mut out_of_time = std::pin::pin!(out_of_time);
        let skipped = batch.partition_point(|outgoing| outgoing.entry.id < self.taken.next);
        let gateway = self.gateway.clone();
        let mut parts = parts(&batch[skipped..], &gateway, most_bytes);
        let mut waiting: VecDeque<(Part<'_>, usize, Answer)> = VecDeque::with_capacity(WINDOW);
        let mut under_way = 0;
        let mut open = true;
        loop {
            while open
                && waiting.len() < WINDOW
                && under_way < WINDOW_BYTES
                && let Some(part) = parts.next()
            {
                let message = part.message(&gateway, &self.topics).map_err(|error| {
                    DeliveryError::halt(format!("an entry cannot be written as JSON: {error}"))
                })?;
                let bytes = message.payload.len();
                let (done, answer) = oneshot::channel();
                // After the end of a connection the answers that came before it are still looked at.
                open = queue.send(Publish { message, done: Some(done) }).await.is_ok();
                waiting.push_back((part, bytes, answer));
                under_way += bytes;
            }
            let Some((part, bytes, answer)) = waiting.pop_front() else { return Ok(()) };
            under_way -= bytes;
            let answer = tokio::select! {
                answer = answer => answer,
                () = &mut out_of_time => {
                    return Err(DeliveryError::retry("stopped before the broker had acknowledged"));
                }
            };
            match answer {
                Ok(Ok(())) => self.taken.note(part, None),
                Ok(Err(Refused::ForGood(reason))) => self.taken.note(part, Some(&reason)),
                Ok(Err(Refused::Later(reason))) => return Err(DeliveryError::retry(reason)),
                Ok(Err(Refused::Denied(reason))) => return Err(DeliveryError::halt(reason)),
                Err(_) => return Err(self.why_lost().await),
            }
        }
    }
}

type Answer = oneshot::Receiver<Result<(), Refused>>;

fn lost(reason: &str) -> DeliveryError {
    DeliveryError::Retry { reason: reason.to_owned(), after: Some(ASK_AGAIN) }
}

impl Taken {
    fn note(&mut self, part: Part<'_>, rejected: Option<&str>) {
        let ids = part.entries().iter().map(|outgoing| outgoing.entry.id);
        if let Some(last) = ids.clone().next_back() {
            self.next = last.plus(1);
        }
        if let Some(reason) = rejected {
            self.rejected.extend(ids.map(|id| (id, reason.to_owned())));
        }
    }
}

impl Sink for MqttSink {
    async fn deliver(&mut self, batch: &[Outgoing]) -> Result<Receipt, DeliveryError> {
        let Some(first) = batch.first().map(|outgoing| outgoing.entry.id) else {
            return Ok(Receipt::default());
        };
        if self.taken.batch != first {
            self.taken = Taken { batch: first, next: first, rejected: Vec::new() };
        }
        self.publish(batch).await?;
        let rejected = std::mem::take(&mut self.taken).rejected;
        Ok(Receipt { rejected })
    }

    async fn close(mut self) {
        self.close.cancel();
        // Bounded in itself, and from above by the deadline for stopping.
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use jiff::tz::TimeZone;

    use crate::archive::Archive;
    use crate::buffer::{Buffer, Options, Purpose};
    use crate::clock::{Clock, SyncSource};
    use crate::history::{Bounds, History};
    use crate::live::Board;
    use crate::normalize;
    use crate::reading::{Entry, Event, EventKind, Fact};
    use crate::roster::Roster;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Answers CONNECT with this code, and acknowledges everything. Speaks 3.1.1.
    async fn converse(stream: &mut TcpStream, code: u8) -> std::io::Result<()> {
        loop {
            let kind = stream.read_u8().await?;
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = stream.read_u8().await?;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            if kind >> 4 == 1 {
                stream.write_all(&[0x20, 2, 0, code]).await?;
                if code != 0 {
                    return Ok(());
                }
            } else if kind >> 4 == 3 && kind & 0b0110 != 0 {
                let id = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                stream.write_all(&[0x40, 2, body[id], body[id + 1]]).await?;
            }
        }
    }

    #[tokio::test]
    async fn a_broker_that_refused_us_is_asked_again_with_the_next_delivery_and_not_before() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        let (tell, mut connections) = mpsc::unbounded_channel();
        tasks.spawn(async move {
            // Not authorised, twice; then somebody has mended it.
            for code in [5, 5, 0] {
                let (mut stream, _) = listener.accept().await.unwrap();
                tell.send(code).unwrap();
                // Its end is part of the script.
                let _ = converse(&mut stream, code).await;
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(SyncSource::Vouched).unwrap();
        let options = Options {
            data_dir: folder.path().to_owned(),
            commit_every: Duration::from_millis(50),
            max_bytes: 1 << 20,
            max_age: None,
            first: EntryId(0),
            sinks: Vec::new(),
            purpose: Purpose::Collect,
        };
        let (buffer, _keeper) = Buffer::open(&options, &clock).unwrap();
        let context = Context {
            gateway: "box-1".into(),
            board: Board::default(),
            buffer,
            stop: CancellationToken::new(),
            archive: Archive::new(
                History::new(folder.path()),
                Roster::start(folder.path()),
                TimeZone::UTC,
                Bounds::default(),
            ),
            data_dir: folder.path().to_owned(),
            delivery: config::Delivery::default(),
        };
        let text =
            format!("[sinks.x.mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nversion = \"3.1.1\"");
        let mut config = config::parse(&text).unwrap();
        let Some(config::Sink::Mqtt(settings)) = config.sinks.remove("x") else { unreachable!() };
        let mut sink = MqttSink::new("x", &settings, &context).unwrap();
        let kind = EventKind::Started { version: "1".into() };
        let fact = Fact::Event(Event { at: clock.now(), kind });
        let batch = [normalize::outgoing(Entry { id: EntryId(7), fact }, &Default::default())];
        let conversation = async {
            for connection in 1..=2 {
                let refused = sink.deliver(&batch).await;
                assert!(matches!(refused, Err(DeliveryError::Halt { .. })), "{refused:?}");
                assert_eq!(connections.recv().await, Some(5), "{connection}");
                assert!(connections.is_empty(), "asked before anybody wanted to");
            }
            sink.deliver(&batch).await.unwrap();
            assert_eq!(connections.recv().await, Some(0));
            sink.close().await;
        };
        timeout(LIMIT, conversation).await.unwrap();
    }
}
