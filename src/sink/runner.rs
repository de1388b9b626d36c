//! What every sink needs and no sink does itself: reading the log, trying again, moving the cursor.
//!
//! A batch that was not taken is kept in hand and tried again, as it is, until it is taken; nothing else goes to the sink
//! in between. So what a sink remembers of a batch half done stays true. What comes next is decided in [`lanes`], how
//! fast a backlog drains in [`pace`].

mod lanes;
mod pace;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, info, warn};

use self::lanes::{Lane, Lanes, Split, Wanted, holds_all_of};
use self::pace::Pace;
use super::payload::as_agreed;
use super::{Context, DeliveryError, Receipt, Sink, TaskEnd};
use crate::backoff::Backoff;
use crate::buffer::{BufferError, Cursor, Letter, Reader, Rejected, Span, State};
use crate::live::{self, SinkState};
use crate::normalize::{self, Outgoing};
use crate::reading::{Entry, EntryId};

const LEAST_DELAY: Duration = Duration::from_secs(1);
const MOST_DELAY: Duration = Duration::from_secs(300);

/// While the disk refuses, the buffer itself tries again at least this often.
const MOST_BUFFER_DELAY: Duration = Duration::from_secs(30);

/// A far side that refuses us is asked again: what was mended there must not need a human here.
const ASK_PARKED_EVERY: Duration = Duration::from_secs(3600);

/// A letter that is counted and not found is damaged: no reason to search for it all the time.
const LOOK_FOR_LETTERS_EVERY: Duration = Duration::from_secs(60);

/// Delivers the log to one sink until told to stop.
pub(super) async fn run<S: Sink>(name: String, sink: S, context: Context) -> TaskEnd {
    let mut runner = Runner::new(name, sink, context);
    runner.deliver_all().await?;
    runner.sink.close().await;
    Ok(())
}

struct Runner<S> {
    name: String,
    sink: S,
    context: Context,
    lanes: Lanes,
    /// One for each lane: each goes on where it was.
    readers: [Reader; 2],
    pace: Pace,
    /// Whose turn it was.
    last: Lane,
    /// How often the sink had been rewound when its cursor was asked for.
    registered: Option<u64>,
    /// When to look for requeued letters again, after the buffer counted some and found none.
    letters_after: Instant,
    /// How long to leave a buffer alone that cannot be read.
    patience: Backoff,
}

/// Entries that go to the sink together.
struct Batch {
    entries: Vec<Entry>,
    origin: Origin,
    /// How often entries had been erased when they were read.
    erasures: u64,
}

/// Where they come from.
enum Origin {
    Log(Lane, Span),
    Letter(Letter),
}

/// What a look at the buffer has come to.
enum Step {
    Deliver(Batch),
    /// Something else is true now: look again.
    Again,
    /// Nothing to do before that moment, or before the buffer changes.
    Wait(Option<Instant>),
}

impl<S: Sink> Runner<S> {
    fn new(name: String, sink: S, context: Context) -> Self {
        Self {
            name,
            sink,
            lanes: Lanes::new(S::ORDER, Cursor::default()),
            readers: [context.buffer.reader(), context.buffer.reader()],
            pace: Pace::new(&context.delivery),
            context,
            last: Lane::Backlog,
            registered: None,
            letters_after: Instant::now(),
            patience: Backoff::new(LEAST_DELAY, MOST_BUFFER_DELAY),
        }
    }

    async fn deliver_all(&mut self) -> TaskEnd {
        let mut state = self.context.buffer.state();
        let stop = self.context.stop.clone();
        while !stop.is_cancelled() {
            // Copied out: the guard would hold up the next commit for as long as it lived.
            let now = state.borrow_and_update().clone();
            match self.step(&now).await {
                Ok(Step::Deliver(batch)) => self.hand_over(batch).await,
                Ok(Step::Again) => {}
                Ok(Step::Wait(until)) => {
                    let due = async {
                        match until {
                            Some(until) => sleep_until(until).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = due => {}
                        changed = state.changed() => changed.map_err(|_| BufferError::Closed)?,
                    }
                }
                Err(error) => self.wait_out(error).await?,
            }
        }
        Ok(())
    }

    /// Decides what comes next, and reads it.
    async fn step(&mut self, state: &State) -> Result<Step, BufferError> {
        let rewound = state.rewound.get(&self.name).copied().unwrap_or_default();
        if self.registered != Some(rewound) {
            self.register(state).await?;
            self.registered = Some(rewound);
        }
        self.lanes.make_way_for_salvage(state);
        // The backlog has its turn when it is due, but never twice while newer entries wait.
        let behind_first = self.last == Lane::Newest && self.pace.is_due();
        if behind_first && let Some(step) = self.behind(state).await? {
            return Ok(step);
        }
        if let Some(wanted) = self.lanes.newest(state) {
            return self.read(wanted, state.erasures).await;
        }
        if self.pace.is_due()
            && let Some(step) = self.behind(state).await?
        {
            return Ok(step);
        }
        let letters = (self.requeued(state) > 0).then_some(self.letters_after);
        let backlog = self.lanes.backlog(state).map(|_| self.pace.due());
        Ok(Step::Wait(letters.into_iter().chain(backlog).min().map(|due| due.max(self.pace.due()))))
    }

    /// Asks how far the sink has come: at the start, and when an operator has rewound it.
    async fn register(&mut self, state: &State) -> Result<(), BufferError> {
        let cursor = self.context.buffer.register(&self.name).await?;
        info!(sink = self.name, from = %cursor.next, "delivering");
        self.lanes = Lanes::new(S::ORDER, cursor);
        self.lanes.make_way_for_salvage(state);
        self.lanes.split_if_behind(state);
        if self.lanes.behind() > 0 {
            self.begin_drain();
        }
        self.show(|sink| sink.state = SinkState::Ok);
        Ok(())
    }

    fn begin_drain(&mut self) {
        self.pace.begin();
        // The newest go first.
        self.last = Lane::Backlog;
        info!(
            sink = self.name,
            from = %self.lanes.next(),
            places = self.lanes.behind(),
            "much has piled up: the newest first, the rest behind them"
        );
    }

    /// Letters that an operator has requeued, else a piece of the backlog.
    async fn behind(&mut self, state: &State) -> Result<Option<Step>, BufferError> {
        if self.requeued(state) > 0 && self.letters_after <= Instant::now() {
            if let Some(letter) = self.context.buffer.requeued(&self.name).await? {
                let (entries, erasures) = (letter.entries.clone(), state.erasures);
                let batch = Batch { entries, origin: Origin::Letter(letter), erasures };
                return Ok(Some(Step::Deliver(batch)));
            }
            if self.requeued(&self.context.buffer.state().borrow()) > 0 {
                self.letters_after = Instant::now() + LOOK_FOR_LETTERS_EVERY;
            }
        }
        match self.lanes.backlog(state) {
            Some(wanted) => self.read(wanted, state.erasures).await.map(Some),
            None => Ok(None),
        }
    }

    fn requeued(&self, state: &State) -> u64 {
        state.letters.get(&self.name).map_or(0, |letters| letters.requeued)
    }

    async fn read(&mut self, wanted: Wanted, erasures: u64) -> Result<Step, BufferError> {
        let Wanted { lane, span, max } = wanted;
        let [newest, backlog] = &mut self.readers;
        let reader = match lane {
            Lane::Newest => newest,
            Lane::Backlog => backlog,
        };
        let entries = reader.read(span.first, span.end, max).await?;
        self.patience.reset();
        // Lost to a damaged database while we asked, and to be put back: what was not read is not missing.
        if !holds_all_of(span, &self.context.buffer.state().borrow()) {
            return Ok(Step::Again);
        }
        let covered = wanted.covered(entries.len(), entries.last().map(|entry| entry.id));
        if entries.is_empty() {
            // Only holes.
            self.taken(covered, Vec::new());
            self.show(|sink| sink.state = SinkState::Ok);
            return Ok(Step::Again);
        }
        Ok(Step::Deliver(Batch { entries, origin: Origin::Log(lane, covered), erasures }))
    }

    /// Tries until the sink has taken the batch, or until told to stop.
    async fn hand_over(&mut self, mut batch: Batch) {
        let mut backoff = Backoff::new(LEAST_DELAY, MOST_DELAY);
        let mut failed: Option<SinkState> = None;
        loop {
            self.leave_out_what_was_erased(&mut batch).await;
            let begun = Instant::now();
            let outgoing = self.outgoing(&batch.entries);
            let handed_over = match outgoing.is_empty() {
                true => Ok(Receipt::default()),
                false => self.sink.deliver(&outgoing).await,
            };
            let error = match handed_over {
                Ok(receipt) => {
                    self.delivered(batch, receipt, begun);
                    if failed.is_some() {
                        self.recovered();
                    }
                    return;
                }
                Err(error) => error,
            };
            let (state, delay) = match error {
                DeliveryError::Retry { reason, after } => {
                    let delay = after.unwrap_or_else(|| backoff.next_delay());
                    (SinkState::Retrying { reason }, delay)
                }
                DeliveryError::Halt { reason } => {
                    let jitter = 0.9 + fastrand::f64() / 10.0;
                    (SinkState::Parked { reason }, ASK_PARKED_EVERY.mul_f64(jitter))
                }
            };
            self.tell_failure(&state, failed.as_ref());
            self.show(|sink| sink.state = state.clone());
            failed = Some(state);
            if self.context.stop.run_until_cancelled(sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    /// Whoever was forgotten since the batch was read is not told of.
    async fn leave_out_what_was_erased(&self, batch: &mut Batch) {
        let erasures = self.context.buffer.state().borrow().erasures;
        if batch.erasures == erasures {
            return;
        }
        batch.erasures = erasures;
        // From a buffer that is closed nothing is delivered any more.
        let entries = std::mem::take(&mut batch.entries);
        batch.entries = self.context.buffer.not_erased(entries).await.unwrap_or_default();
    }

    /// The one place where entries become what leaves the box. At each attempt anew: what is known of their time may
    /// have become better, and somebody may have withdrawn.
    fn outgoing(&self, entries: &[Entry]) -> Vec<Outgoing> {
        let timeline = self.context.buffer.timeline().borrow().clone();
        let people = self.context.archive.people();
        let outgoing = |entry| {
            let mut outgoing = normalize::outgoing(entry, &timeline);
            as_agreed(&mut outgoing, &people);
            outgoing
        };
        entries.iter().cloned().map(outgoing).collect()
    }

    /// Notes what the far side has taken, and what it refused for good.
    fn delivered(&mut self, batch: Batch, receipt: Receipt, begun: Instant) {
        let Batch { entries, origin, .. } = batch;
        let rejected = rejected(&entries, receipt);
        if let Some(Rejected { entry, reason }) = rejected.first() {
            error!(
                sink = self.name,
                count = rejected.len(),
                first = %entry.id,
                reason,
                "entries refused for good by the far side are set aside: `pulsegate buffer list --rejected` shows them"
            );
        }
        let refused = rejected.len() as u64;
        let taken = entries.len() as u64 - refused;
        self.last = match origin {
            Origin::Log(lane, span) => {
                self.taken(span, rejected);
                lane
            }
            Origin::Letter(letter) => {
                self.context.buffer.settle(&letter, rejected);
                Lane::Backlog
            }
        };
        if self.last == Lane::Backlog {
            self.pace.delivered(begun, entries.len());
        }
        self.show(|sink| {
            sink.state = SinkState::Ok;
            sink.delivered += taken;
            sink.rejected += refused;
        });
    }

    /// Notes places as done with, here and in the buffer.
    fn taken(&mut self, span: Span, rejected: Vec<Rejected>) {
        self.lanes.taken(span);
        self.context.buffer.taken(&self.name, span, rejected);
    }

    /// After failures the far side takes entries again.
    fn recovered(&mut self) {
        info!(sink = self.name, "delivering again");
        let state = self.context.buffer.state().borrow().clone();
        if self.lanes.split_if_behind(&state) == Split::Yes {
            self.begin_drain();
            self.show(|_| {});
        }
    }

    /// Tells an operator once what is wrong.
    fn tell_failure(&self, state: &SinkState, before: Option<&SinkState>) {
        let sink = &self.name;
        match (state, before) {
            (SinkState::Parked { reason }, None | Some(SinkState::Retrying { .. })) => {
                error!(
                    sink,
                    reason,
                    "not delivered, and somebody has to mend that; asked again every hour, everything is kept"
                );
            }
            (SinkState::Retrying { reason }, None) => {
                let from = self.lanes.next();
                warn!(sink, reason, waiting_from = %from, "not delivered, will retry; everything is kept");
            }
            (SinkState::Parked { reason } | SinkState::Retrying { reason }, _) => {
                debug!(sink, reason, "still not delivered");
            }
            (SinkState::Ok, _) => {}
        }
    }

    /// A buffer that cannot be read now is left alone for a while; only a closed one is the end.
    async fn wait_out(&mut self, error: BufferError) -> TaskEnd {
        if matches!(error, BufferError::Closed) {
            return Err(error);
        }
        debug!(sink = self.name, %error, "the buffer cannot be read now");
        self.show(|sink| sink.state = SinkState::Retrying { reason: error.to_string() });
        let delay = sleep(self.patience.next_delay());
        self.context.stop.run_until_cancelled(delay).await;
        Ok(())
    }

    fn show(&self, change: impl FnOnce(&mut live::Sink)) {
        self.context.board.sink(&self.name, |sink| {
            sink.next = self.lanes.next();
            sink.backlog = self.lanes.behind();
            change(sink);
        });
    }
}

/// Refused entries with their reasons, in the order of the batch.
fn rejected(entries: &[Entry], receipt: Receipt) -> Vec<Rejected> {
    let entry = |id: EntryId| {
        let place = entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        Some(entries[place].clone())
    };
    let rejected = receipt.rejected.into_iter();
    rejected.filter_map(|(id, reason)| Some(Rejected { entry: entry(id)?, reason })).collect()
}
