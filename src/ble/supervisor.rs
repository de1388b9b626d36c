//! Decides which strap is connected to, through which adapter, and when it is tried again. Nobody else does.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::link::{Link, Outcome};
use super::scan::Scan;
use super::slots::Slots;
use super::{AdapterName, Address, LinkEnd, LinkError, Peer, Radio, RadioEvent, Sighting};
use crate::backoff::Backoff;
use crate::buffer::BufferError;
use crate::clock::Clock;
use crate::intake::Intake;
use crate::live;
use crate::reading::{Fact, StrapId};
use crate::roster::Roster;

/// A strap is tried only while it is heard: connecting to an absent one blocks the adapter for half a minute.
const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// First and longest wait after a failed attempt or a lost link.
const LEAST_DELAY: Duration = Duration::from_millis(500);
const MOST_DELAY: Duration = Duration::from_secs(60);
/// Something that is no strap after all (a watch without heart rate) is left alone for so long.
const NO_STRAP_DELAY: Duration = Duration::from_secs(600);
/// A link that held so long was a good one: the next attempt begins anew.
const GOOD_LINK: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(500);
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// What the supervisor goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Straps that may be connected to.
    pub connect: Wanted,
    /// Straps that are neither connected to nor listened to.
    pub ignore: std::collections::BTreeSet<StrapId>,
    /// Links per adapter.
    pub links_per_adapter: usize,
    /// Whether broadcast heart rate is taken from straps without a link.
    pub broadcast: bool,
    /// Weaker straps are not connected to.
    pub min_rssi_dbm: i16,
    /// A link without heart rate for so long is dead.
    pub silence: Duration,
    /// What to do when there is no adapter at the start.
    pub no_adapter: NoAdapter,
}

/// What to do when there is no adapter at the start. Later, an adapter that vanished is always waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAdapter {
    /// Somebody sits at a terminal and wants to know.
    Fail,
    /// One may be plugged in tomorrow.
    Wait,
}

/// Why the supervisor gave up.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The log cannot be written.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// No adapter at the start.
    #[error(
        "no Bluetooth adapter can be used ({reason}). The three usual causes, and what to type:\n  \
         1. The Bluetooth service is not running:   sudo systemctl enable --now bluetooth\n  \
         2. The adapter is off or blocked:          rfkill unblock bluetooth && bluetoothctl power on\n  \
         3. There is no adapter:                    plug one in; `bluetoothctl list` must show it\n\
         Without an adapter: `pulsegate demo`, or `pulsegate run --simulate 6`"
    )]
    NoAdapter {
        /// What BlueZ said.
        reason: String,
    },
}

/// Which straps may be connected to.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// All in range.
    All,
    /// These.
    Only(std::collections::BTreeSet<StrapId>),
    /// Those of the configuration, and those that the roster knows at the moment.
    Known {
        /// Of the configuration.
        configured: std::collections::BTreeSet<StrapId>,
        /// Knows the others.
        roster: Roster,
    },
}

/// Everything about one strap in range.
struct Strap {
    /// Where it was heard last, by adapter.
    heard: BTreeMap<AdapterName, (Address, Option<i16>, Instant)>,
    phase: Phase,
    backoff: Backoff,
    tried: Option<Instant>,
    told_waiting: bool,
}

enum Phase {
    /// Not connected; may be tried from this moment on.
    Free(Instant),
    /// A link task is connecting it.
    Opening(AdapterName),
    /// Its notifications flow.
    Linked(AdapterName),
}

/// The supervisor.
pub struct Supervisor<R> {
    link: Link<R>,
    rules: Rules,
    intake: Intake,
    scan: Scan,
    slots: Slots,
    straps: BTreeMap<StrapId, Strap>,
    adapters: BTreeMap<AdapterName, (Address, bool)>,
    tasks: JoinSet<(StrapId, Result<Outcome, BufferError>)>,
    up: mpsc::Receiver<StrapId>,
    told_no_adapter: bool,
}

/// Links that came up and are not noted yet.
const UP_QUEUE: usize = 64;

impl<R: Radio> Supervisor<R> {
    /// A supervisor over this radio.
    pub fn new(
        radio: R,
        rules: Rules,
        intake: Intake,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let (up_sender, up) = mpsc::channel(UP_QUEUE);
        let silence = rules.silence;
        let link = Link { radio, intake: intake.clone(), clock, silence, stop, up: up_sender };
        Self {
            slots: Slots::new(rules.links_per_adapter),
            link,
            rules,
            intake,
            scan: Scan::default(),
            straps: BTreeMap::new(),
            adapters: BTreeMap::new(),
            tasks: JoinSet::new(),
            up,
            told_no_adapter: false,
        }
    }

    /// Works until stopped; then every link is hung up.
    ///
    /// # Errors
    /// When the buffer has failed, or there is no adapter and the rules want to know.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<RadioEvent>,
    ) -> Result<(), SupervisorError> {
        let stop = self.link.stop.clone();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forget_at = Instant::now() + FORGET_EVERY;
        let mut events_open = true;
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                event = events.recv(), if events_open => match event {
                    Some(event) => self.note(event).await?,
                    None => events_open = false,
                },
                Some(strap) = self.up.recv() => {
                    if let Some(known) = self.straps.get_mut(&strap)
                        && let Phase::Opening(adapter) = &known.phase
                    {
                        self.slots.opened(adapter, &strap);
                        known.phase = Phase::Linked(adapter.clone());
                    }
                    self.show_adapters();
                }
                Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                _ = tick.tick() => {}
            }
            self.connect_next();
            if forget_at <= Instant::now() {
                self.scan.forget_old();
                self.forget_straps();
                self.intake.board().forget_old();
                forget_at = Instant::now() + FORGET_EVERY;
            }
        }
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended)?;
        }
        Ok(())
    }

    async fn note(&mut self, event: RadioEvent) -> Result<(), SupervisorError> {
        match event {
            RadioEvent::AdapterUp { adapter, address } => {
                info!(adapter = %adapter, %address, "adapter up, scanning");
                self.slots.adapter_up(&adapter);
                self.adapters.insert(adapter, (address, true));
                self.show_adapters();
            }
            RadioEvent::AdapterDown { adapter, reason } => {
                warn!(adapter = %adapter, reason, "adapter down, will retry");
                self.slots.adapter_down(&adapter);
                if let Some((_, up)) = self.adapters.get_mut(&adapter) {
                    *up = false;
                }
                self.show_adapters();
            }
            // Told again and again, and once there was an adapter its going down has been told.
            RadioEvent::NoAdapter { .. } if self.told_no_adapter || !self.adapters.is_empty() => {}
            RadioEvent::NoAdapter { reason } => {
                let error = SupervisorError::NoAdapter { reason };
                if self.rules.no_adapter == NoAdapter::Fail {
                    return Err(error);
                }
                error!("{error}");
                self.told_no_adapter = true;
            }
            RadioEvent::Sighting(sighting) => self.heard(sighting).await?,
        }
        Ok(())
    }

    async fn heard(&mut self, sighting: Sighting) -> Result<(), BufferError> {
        let Some(identity) = self.scan.heard(&sighting) else { return Ok(()) };
        if self.rules.ignore.contains(&identity.id) {
            return Ok(());
        }
        let now = Instant::now();
        let strap = self.straps.entry(identity.id.clone()).or_insert_with(|| Strap {
            heard: BTreeMap::new(),
            phase: Phase::Free(now),
            backoff: Backoff::new(LEAST_DELAY, MOST_DELAY),
            tried: None,
            told_waiting: false,
        });
        let peer = &sighting.peer;
        if sighting.heart_rate_service {
            strap.heard.insert(peer.adapter.clone(), (peer.address, sighting.rssi_dbm, now));
        }
        self.intake.board().heard(&identity.id, sighting.rssi_dbm);
        if self.rules.broadcast
            && !matches!(strap.phase, Phase::Linked(_))
            && let Some(reading) = self.scan.broadcast(&sighting)
        {
            self.intake.take(Fact::Reading(reading)).await?;
        }
        Ok(())
    }

    /// Starts a link on every adapter that can open one, to the strap that has waited longest.
    fn connect_next(&mut self) {
        let now = Instant::now();
        for adapter in self.slots.ready() {
            let rules = &self.rules;
            let people = match &rules.connect {
                Wanted::Known { roster, .. } => Some(roster.people()),
                Wanted::All | Wanted::Only(_) => None,
            };
            let candidate = self
                .straps
                .iter_mut()
                .filter(|(id, _)| match &rules.connect {
                    Wanted::All => true,
                    Wanted::Only(ids) => ids.contains(*id),
                    Wanted::Known { configured, .. } => {
                        configured.contains(*id)
                            || people.as_ref().is_some_and(|people| people.knows(id))
                    }
                })
                .filter(|(_, strap)| matches!(strap.phase, Phase::Free(from) if from <= now))
                .filter_map(|(id, strap)| {
                    let (address, rssi, heard) = strap.heard.get(&adapter).copied()?;
                    let near = rssi.is_none_or(|rssi| rssi >= rules.min_rssi_dbm);
                    (near && now - heard <= HEARD_WITHIN).then_some((id, strap, address))
                })
                .min_by_key(|(_, strap, _)| strap.tried);
            let Some((id, strap, address)) = candidate else { continue };
            strap.phase = Phase::Opening(adapter.clone());
            strap.tried = Some(now);
            strap.told_waiting = false;
            self.slots.open(&adapter, id);
            let (id, link) = (id.clone(), self.link.clone());
            debug!(strap = %id, adapter = %adapter, "connecting");
            self.tasks.spawn(async move {
                let outcome = link.run(&id, Peer { adapter, address }).await;
                (id, outcome)
            });
        }
        if self.slots.full() {
            self.tell_waiting(now);
        }
    }

    /// Says once for each strap that there is no link left for it.
    fn tell_waiting(&mut self, now: Instant) {
        if self.adapters.values().all(|(_, up)| !up) {
            return;
        }
        for (id, strap) in &mut self.straps {
            let heard = strap.heard.values().any(|(_, _, heard)| now - *heard <= HEARD_WITHIN);
            if heard && !strap.told_waiting && matches!(strap.phase, Phase::Free(_)) {
                strap.told_waiting = true;
                warn!(strap = %id, "no adapter has a free link; read by broadcast where the strap sends one. \
                       A further adapter helps");
            }
        }
    }

    fn ended(
        &mut self,
        ended: Result<(StrapId, Result<Outcome, BufferError>), tokio::task::JoinError>,
    ) -> Result<(), BufferError> {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome?),
            // Only a panic ends a task so: ours to answer for, at the top.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(strap) = self.straps.get_mut(&id) else { return Ok(()) };
        let adapter = match &strap.phase {
            Phase::Free(_) => return Ok(()),
            Phase::Opening(adapter) | Phase::Linked(adapter) => adapter.clone(),
        };
        let mut delay = None;
        match &outcome {
            Outcome::NotUp(error) => {
                debug!(strap = %id, adapter = %adapter, %error, "not connected");
                match error {
                    LinkError::NoFreeLink => self.slots.refused(&adapter),
                    LinkError::NoHeartRate => delay = Some(NO_STRAP_DELAY),
                    // Heard anew is reason enough to try anew.
                    LinkError::Gone | LinkError::NoAdapter => {
                        strap.heard.remove(&adapter);
                    }
                    LinkError::Timeout(_) | LinkError::Radio(_) => {}
                }
            }
            Outcome::Ended(LinkEnd::Stopped, _) => {}
            Outcome::Ended(end, lasted) => {
                info!(strap = %id, lasted_s = lasted.as_secs(), reason = %end, "link lost, will retry");
                if *lasted >= GOOD_LINK {
                    strap.backoff.reset();
                }
                // What was heard before the link must not count as being heard now.
                strap.heard.clear();
            }
        }
        let delay = delay.unwrap_or_else(|| strap.backoff.next_delay());
        strap.phase = Phase::Free(Instant::now() + delay);
        self.slots.release(&adapter, &id);
        self.show_adapters();
        Ok(())
    }

    fn forget_straps(&mut self) {
        let now = Instant::now();
        self.straps.retain(|_, strap| {
            let heard = strap.heard.values().any(|(_, _, heard)| now - *heard <= FORGET_EVERY);
            heard || !matches!(strap.phase, Phase::Free(_))
        });
    }

    fn show_adapters(&self) {
        let shown = self.adapters.iter().map(|(name, (address, up))| {
            let links = self.slots.links(name);
            (name.to_string(), live::Adapter { address: address.to_string(), up: *up, links })
        });
        self.intake.board().adapters(shown.collect());
    }
}
