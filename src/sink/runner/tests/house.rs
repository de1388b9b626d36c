//! A runner with a scripted sink over a real buffer, in virtual time.
//!
//! The buffer's thread lives in real time: entries are appended while a delivery is held, when no timer can run ahead.

#[cfg(test)]
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::super::run;
use crate::archive::Archive;
use crate::buffer::{Buffer, Keeper, Options, Purpose, State};
use crate::clock::{Clock, SyncSource};
use crate::config::Delivery;
use crate::history::{Bounds, History};
use crate::live::{self, Board};
use crate::normalize::Outgoing;
use crate::reading::{EntryId, Fact, Measurement, Reading, StrapId};
use crate::roster::Roster;
use crate::sink::{Context, DeliveryError, Receipt, Sink, TaskEnd};

pub(super) const CLUB: &str = "club";
/// In real time; far more than any test takes.
const LIMIT: Duration = Duration::from_secs(30);
const PER_S: u32 = 1000;
pub(super) const START_S: u16 = 10;

type Answer = Result<Receipt, DeliveryError>;

/// Does what the test says.
pub(super) struct Scripted(pub(super) mpsc::UnboundedSender<Attempt>);

pub(super) struct Attempt {
    pub(super) ids: Vec<u64>,
    pub(super) begun: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
}

impl Sink for Scripted {
    async fn deliver(&mut self, batch: &[Outgoing]) -> Answer {
        let ids = batch.iter().map(|outgoing| outgoing.entry.id.0).collect();
        let (answer, answered) = oneshot::channel();
        let attempt = Attempt { ids, begun: Instant::now(), answer };
        let gone = |_| DeliveryError::retry("the test is over");
        self.0.send(attempt).map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(()))?
    }
}

impl Attempt {
    /// First and last.
    pub(super) fn range(&self) -> (u64, u64) {
        assert!(self.ids.windows(2).all(|pair| pair[0] < pair[1]));
        (self.ids[0], *self.ids.last().unwrap())
    }

    pub(super) async fn take(self, after: Duration) {
        sleep(after).await;
        self.answer.send(Ok(Receipt::default())).unwrap();
    }

    pub(super) fn fail(self) {
        self.answer.send(Err(DeliveryError::retry("no route to host"))).unwrap();
    }

    pub(super) fn reject(self, ids: &[u64]) {
        let rejected = ids.iter().map(|id| (EntryId(*id), "too old".to_owned())).collect();
        self.answer.send(Ok(Receipt { rejected })).unwrap();
    }
}

pub(super) struct House {
    pub(super) context: Context,
    keeper: Keeper,
    clock: Clock,
    pub(super) tasks: JoinSet<TaskEnd>,
    attempts: mpsc::UnboundedReceiver<Attempt>,
    /// Stops the runner when the test takes too long; then no attempt comes any more.
    _limit: std_mpsc::Sender<()>,
}

impl House {
    pub(super) fn new(folder: &tempfile::TempDir) -> Self {
        let clock = Clock::new(SyncSource::Vouched).unwrap();
        let options = Options {
            data_dir: folder.path().to_owned(),
            commit_every: Duration::from_millis(20),
            max_bytes: 64 << 20,
            max_age: None,
            sinks: Vec::new(),
            first: EntryId(0),
            purpose: Purpose::Collect,
        };
        let (buffer, keeper) = Buffer::open(&options, &clock).unwrap();
        let stop = CancellationToken::new();
        let (limit, over) = std_mpsc::channel();
        let for_thread = stop.clone();
        std::thread::spawn(move || {
            if over.recv_timeout(LIMIT) == Err(std_mpsc::RecvTimeoutError::Timeout) {
                for_thread.cancel();
            }
        });
        let delivery =
            Delivery { backlog_share_percent: 50, backlog_per_s: PER_S, backlog_start_s: START_S };
        let context = Context {
            gateway: "box-1".into(),
            board: Board::default(),
            buffer,
            stop,
            archive: Archive::new(
                History::new(folder.path()),
                Roster::start(folder.path()),
                TimeZone::UTC,
                Bounds::default(),
            ),
            data_dir: folder.path().to_owned(),
            delivery,
        };
        let (_, attempts) = mpsc::unbounded_channel();
        Self { context, keeper, clock, tasks: JoinSet::new(), attempts, _limit: limit }
    }

    pub(super) fn run(&mut self) {
        let (tell, attempts) = mpsc::unbounded_channel();
        self.attempts = attempts;
        self.tasks.spawn(run(CLUB.to_owned(), Scripted(tell), self.context.clone()));
    }

    pub(super) async fn append(&self, count: usize) {
        let buffer = &self.context.buffer;
        let mut last = None;
        for _ in 0..count {
            let reading = Reading {
                strap: StrapId::new("9F6E5322").unwrap(),
                at: self.clock.now(),
                measurement: Measurement::Battery(50),
            };
            last = Some(buffer.append(Fact::Reading(reading)).await.unwrap());
        }
        buffer.flush();
        buffer.durable(last.unwrap()).await.unwrap();
    }

    pub(super) async fn attempt(&mut self) -> Attempt {
        self.attempts.recv().await.expect("the runner delivers nothing")
    }

    pub(super) async fn state(&self, wanted: impl FnMut(&State) -> bool) -> State {
        let mut state = self.context.buffer.state();
        tokio::select! {
            state = state.wait_for(wanted) => state.unwrap().clone(),
            () = self.context.stop.cancelled() => panic!("not within the limit"),
        }
    }

    pub(super) fn board(&self) -> live::Sink {
        self.context.board.watch().borrow().sinks[CLUB].clone()
    }

    /// With ten entries delivered there is an outage, and so many more come in; then the far side takes the batch in
    /// hand.
    pub(super) async fn outage(&mut self, count: usize) {
        self.append(10).await;
        self.run();
        let attempt = self.attempt().await;
        assert_eq!(attempt.range(), (0, 9));
        self.append(count).await;
        attempt.fail();
        let attempt = self.attempt().await;
        assert_eq!(attempt.range(), (0, 9), "what was in hand");
        attempt.take(Duration::from_millis(100)).await;
    }

    pub(super) async fn kill(mut self) {
        self.tasks.shutdown().await;
        self.context.buffer.close();
        self.keeper.ended().await.unwrap();
        self.keeper.join();
    }
}
