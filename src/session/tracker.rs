//! When sessions begin and end: a state machine that is fed the log, commands and the passing of time. Pure.
//!
//! - A session begins with the first of ten seconds of heart rate, or with the first heart rate at a check-in. It has no id
//!   before.
//! - It ends with its last heart rate, when there was none for three minutes; at a check-out; with its class; when somebody
//!   else gets the strap; or when the box was away for too long. A shorter gap is a pause.
//! - While one class runs, whoever begins a session takes part in it, and whoever had begun not long before it; so does,
//!   with a new session, who goes on from a class that is over. While several run, a check-in says which.
//! - The silence of a box that was away is not the silence of a strap: a session goes on after a crash or a power cut.
//! - Who checked out, whose class ended or whose strap was taken back has ended: a new session begins with a check-in, with
//!   the next class, or when the strap was silent in between. Until then, and for two minutes at most, it is watched how the heart recovers, and
//!   then the end is told.
//!
//! Classes and check-ins are entries of the log themselves; who wears what is told as a command.
//!
//! The same log, commands and timeline give the same sessions under the same ids, in one run or from a kept [`State`] on. It
//! does not matter how often [`Tracker::pass`] is called. Entries must be durable: what is not may be lost, and a session that
//! began with it with it. After a restart everything in the log comes first, then commands and time.

mod strap;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::axis::between_us;
use super::classes::{Begun, Classes};
use super::summary::SessionSummary;
use super::told::{ClassId, Command, Output, Session, Wearer};
use crate::athlete::AthleteId;
use crate::reading::{At, Entry, EntryId, Event, EventKind, Fact, Measurement, StrapId};
use crate::timeline::Timeline;
use strap::{Terms, Tracked};

/// Layout of [`State`].
const VERSION: u16 = 1;

/// Straps followed at once: ten large classes. A strap in session takes 2.5 kB, others 150 bytes.
const STRAPS_MAX: usize = 1000;

/// When sessions begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Heart rate for so long begins a session.
    pub begin_after: Duration,
    /// No heart rate for so long ends it.
    pub silence: Duration,
    /// A box that was away for so long resumes no session.
    pub outage: Duration,
    /// A strap without a session that was silent for so long is forgotten, and so is a check-in without a heart rate.
    pub forget: Duration,
    /// Whoever began so long before a class, or later, is early for it; whoever began before that trains alone.
    pub early: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            begin_after: Duration::from_secs(10),
            silence: Duration::from_secs(3 * 60),
            // Longer than a blown fuse, shorter than the way to the next class.
            outage: Duration::from_secs(30 * 60),
            forget: Duration::from_secs(3600),
            early: Duration::from_secs(15 * 60),
        }
    }
}

/// Everything that is kept, for a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: u16,
    /// The place in the log that comes next.
    next: EntryId,
    /// When something was last heard, or done.
    heard: Option<At>,
    wearers: BTreeMap<StrapId, Wearer>,
    straps: BTreeMap<StrapId, Tracked>,
    #[serde(default)]
    classes: Classes,
    overlooked: u64,
}

/// Why a kept state is of no use. The log has everything: read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the state of sessions was kept by another release (layout {found}, this one reads {VERSION})"
)]
pub struct OtherVersion {
    /// The layout found.
    pub found: u16,
}

/// Follows all straps.
#[derive(Debug, Clone)]
pub struct Tracker {
    gateway: String,
    rules: Rules,
    state: State,
}

impl Tracker {
    /// Begins with nothing known; `gateway` is the id of this box.
    pub fn new(gateway: &str, rules: Rules) -> Self {
        let state = State {
            version: VERSION,
            next: EntryId::default(),
            heard: None,
            wearers: BTreeMap::new(),
            straps: BTreeMap::new(),
            classes: Classes::default(),
            overlooked: 0,
        };
        Self { gateway: gateway.to_owned(), rules, state }
    }

    /// Goes on from a kept state: the entries from [`Tracker::next`] on come next.
    ///
    /// # Errors
    /// When another release has kept it.
    pub fn resume(gateway: &str, rules: Rules, state: State) -> Result<Self, OtherVersion> {
        if state.version != VERSION {
            return Err(OtherVersion { found: state.version });
        }
        Ok(Self { gateway: gateway.to_owned(), rules, state })
    }

    /// What is to be kept for [`Tracker::resume`].
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Who wears a strap, as far as it was told.
    pub fn wearers(&self) -> impl Iterator<Item = &Wearer> {
        self.state.wearers.values()
    }

    /// The place in the log that comes next. Entries before it are repeats, and change nothing.
    pub fn next(&self) -> EntryId {
        self.state.next
    }

    /// When something was last heard, or done.
    pub fn heard(&self) -> Option<At> {
        self.state.heard
    }

    /// Whoever wore a strap last, and whoever's sessions go on.
    pub fn athletes(&self) -> impl Iterator<Item = AthleteId> {
        let State { wearers, straps, .. } = &self.state;
        let wearers = wearers.values().map(|wearer| wearer.athlete);
        wearers.chain(straps.values().filter_map(Tracked::athlete))
    }

    /// From here on the log must be kept, to tell the sessions that have not ended yet.
    pub fn oldest(&self) -> EntryId {
        let firsts = self.state.straps.values().filter_map(Tracked::first);
        firsts.min().unwrap_or(self.state.next)
    }

    /// Heart rates that nobody followed, because there were straps without number.
    pub fn overlooked(&self) -> u64 {
        self.state.overlooked
    }

    /// Takes in the next entry of the log.
    pub fn entry(&mut self, entry: &Entry, timeline: &Timeline) -> Vec<Output> {
        let mut out = Vec::new();
        if entry.id < self.state.next {
            return out;
        }
        self.state.next = entry.id.plus(1);
        let at = *entry.fact.at();
        match &entry.fact {
            Fact::Reading(reading) => {
                let Measurement::HeartRate(heart_rate) = &reading.measurement else { return out };
                let wearer = self.state.wearers.get(&reading.strap).copied();
                if let Some((strap, terms)) = self.strap(&reading.strap, &at, timeline) {
                    strap.reading(entry.id, &at, heart_rate, wearer, &terms, &mut out);
                }
            }
            // What a start finds missing is noted before the word that the box runs again, and is no sign of life.
            Fact::Event(Event { kind: EventKind::Gap { .. }, .. }) => return out,
            Fact::Event(event) => self.event(&at, &event.kind, timeline, &mut out),
        }
        self.state.heard = Some(at);
        out
    }

    fn event(&mut self, at: &At, kind: &EventKind, timeline: &Timeline, out: &mut Vec<Output>) {
        let command = match kind {
            EventKind::Started { .. } => return self.back(at, timeline, out),
            EventKind::ClassBegan { class, name, planned_s } => {
                let class = Begun::new(*class, name.clone(), *at, *planned_s);
                Command::ClassBegan { class: Box::new(class) }
            }
            EventKind::ClassEnded { class } => Command::ClassEnded { class: *class },
            EventKind::CheckedIn { strap, class } => {
                let running = |id: &ClassId| {
                    self.state.classes.running(at, timeline).find(|class| class.id == *id)
                };
                let class = class.as_ref().and_then(running).map(|class| class.told(timeline));
                Command::CheckIn { strap: strap.clone(), class }
            }
            EventKind::CheckedOut { strap } => Command::CheckOut { strap: strap.clone() },
            EventKind::StrapConnected { .. }
            | EventKind::StrapLost { .. }
            | EventKind::Gap { .. }
            | EventKind::Activity(_)
            | EventKind::AthleteAgreed { .. }
            | EventKind::AthleteChanged { .. }
            | EventKind::AthleteWithdrew { .. }
            | EventKind::Requested { .. }
            | EventKind::Unknown => return,
        };
        out.extend(self.command(at, command, timeline));
    }

    /// The box runs again: what it did not hear meanwhile is nobody's silence.
    fn back(&mut self, at: &At, timeline: &Timeline, out: &mut Vec<Output>) {
        let Some(heard) = self.state.heard else { return };
        self.state.classes.back(&heard, at);
        let terms = Terms {
            gateway: &self.gateway,
            rules: &self.rules,
            classes: &self.state.classes,
            timeline,
        };
        let away_us = between_us(&heard, at, timeline);
        for strap in self.state.straps.values_mut() {
            strap.pass(&heard, &terms, out);
            strap.back(at, away_us, &terms, out);
        }
    }

    /// Somebody has done something. A command that comes again changes nothing.
    pub fn command(&mut self, at: &At, command: Command, timeline: &Timeline) -> Vec<Output> {
        let mut out = Vec::new();
        match command {
            Command::Wears { strap, wearer } => {
                let before = match wearer {
                    Some(wearer) => self.state.wearers.insert(strap.clone(), wearer),
                    None => self.state.wearers.remove(&strap),
                };
                let terms = Terms {
                    gateway: &self.gateway,
                    rules: &self.rules,
                    classes: &self.state.classes,
                    timeline,
                };
                if let Some(tracked) = self.state.straps.get_mut(&strap) {
                    if before.map(|before| before.athlete) == wearer.map(|wearer| wearer.athlete) {
                        tracked.correct(wearer);
                    } else {
                        tracked.hand_over(at, wearer, &terms, &mut out);
                    }
                }
            }
            Command::CheckIn { strap, class } => {
                if let Some((tracked, terms)) = self.strap(&strap, at, timeline) {
                    tracked.check_in(at, class, &terms, &mut out);
                }
            }
            Command::CheckOut { strap } => {
                let terms = Terms {
                    gateway: &self.gateway,
                    rules: &self.rules,
                    classes: &self.state.classes,
                    timeline,
                };
                if let Some(tracked) = self.state.straps.get_mut(&strap) {
                    tracked.check_out(at, &terms, &mut out);
                }
            }
            Command::ClassBegan { class } => {
                let id = class.id;
                self.state.classes.begin(*class);
                let terms = Terms {
                    gateway: &self.gateway,
                    rules: &self.rules,
                    classes: &self.state.classes,
                    timeline,
                };
                if let Some(class) = terms.classes.only(at, timeline).filter(|only| only.id == id) {
                    let class = class.told(timeline);
                    for tracked in self.state.straps.values_mut() {
                        tracked.class_began(at, &class, &terms, &mut out);
                    }
                }
            }
            Command::ClassEnded { class } => {
                self.state.classes.end(class, at);
                let terms = Terms {
                    gateway: &self.gateway,
                    rules: &self.rules,
                    classes: &self.state.classes,
                    timeline,
                };
                for tracked in self.state.straps.values_mut() {
                    tracked.class_ended(at, class, &terms, &mut out);
                }
            }
        }
        self.state.heard = Some(*at);
        out
    }

    /// So late it is, and all that was stamped earlier has been taken in: ends what is to end by now, and forgets straps.
    /// Once a second will do. Told ahead of the log, it would take the log's delay for silence.
    pub fn pass(&mut self, now: &At, timeline: &Timeline) -> Vec<Output> {
        let mut out = Vec::new();
        // What a new boot brings begins with the word that it runs.
        if self.state.heard.is_none_or(|heard| heard.boot != now.boot) {
            return out;
        }
        let terms = Terms {
            gateway: &self.gateway,
            rules: &self.rules,
            classes: &self.state.classes,
            timeline,
        };
        self.state.straps.retain(|_, strap| {
            strap.pass(now, &terms, &mut out);
            !strap.is_forgotten(now, &terms)
        });
        self.state.classes.forget(self.rules.forget.as_micros(), now, timeline);
        out
    }

    /// The classes that run, and those that ended not long ago.
    pub fn classes(&self) -> &Classes {
        &self.state.classes
    }

    /// The sessions that go on, and what they sum up to now.
    pub fn sessions<'a>(
        &'a self,
        now: &'a At,
        timeline: &'a Timeline,
    ) -> impl Iterator<Item = (Session, SessionSummary)> + 'a {
        let terms = Terms {
            gateway: &self.gateway,
            rules: &self.rules,
            classes: &self.state.classes,
            timeline,
        };
        self.state.straps.values().filter_map(move |strap| strap.session(now, &terms))
    }

    fn strap<'a>(
        &'a mut self,
        strap: &StrapId,
        at: &At,
        timeline: &'a Timeline,
    ) -> Option<(&'a mut Tracked, Terms<'a>)> {
        let straps = &mut self.state.straps;
        if !straps.contains_key(strap) {
            if straps.len() >= STRAPS_MAX {
                self.state.overlooked += 1;
                return None;
            }
            straps.insert(strap.clone(), Tracked::new(strap.clone(), at));
        }
        let terms = Terms {
            gateway: &self.gateway,
            rules: &self.rules,
            classes: &self.state.classes,
            timeline,
        };
        straps.get_mut(strap).map(|strap| (strap, terms))
    }
}

#[cfg(test)]
mod tests;
