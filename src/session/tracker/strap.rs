//! One strap: quiet, in a session, or done with one.

use serde::{Deserialize, Serialize};

use super::Rules;
use crate::athlete::AthleteId;
use crate::reading::{At, EntryId, HeartRate, StrapId};
use crate::session::axis::{Axis, between_us};
use crate::session::body::Body;
use crate::session::classes::Classes;
use crate::session::effort::Effort;
use crate::session::heard::{Ear, Heard};
use crate::session::recovery::Watch;
use crate::session::summary::{Recovery, SessionSummary};
use crate::session::told::{Class, ClassId, Ended, Output, Session, SessionId, Wearer, Why};
use crate::timeline::Timeline;

/// What every strap is told by.
pub(super) struct Terms<'a> {
    pub(super) gateway: &'a str,
    pub(super) rules: &'a Rules,
    pub(super) classes: &'a Classes,
    pub(super) timeline: &'a Timeline,
}

impl Terms<'_> {
    /// The class that runs then, when it is the only one.
    fn only(&self, at: &At) -> Option<Class> {
        self.classes.only(at, self.timeline).map(|class| class.told(self.timeline))
    }
}

/// A strap that is followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tracked {
    strap: StrapId,
    heard: At,
    /// Somebody checked in, and no heart rate has come yet.
    asked: Option<Asked>,
    phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    class: Option<Class>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Phase {
    /// No heart rate.
    Quiet,
    /// Heart rate since not long ago, or a session.
    Open(Box<Open>),
    /// The session has ended, and the strap may go on sending.
    Over(Box<Over>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    /// Once it has begun.
    id: Option<SessionId>,
    first: EntryId,
    last: EntryId,
    wearer: Option<Wearer>,
    class: Option<Class>,
    axis: Axis,
    effort: Effort,
    /// Since when there is no heart rate; moved on by what the box did not hear.
    quiet_us: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Over {
    axis: Axis,
    ear: Ear,
    quiet_us: u64,
    /// Whether it was with a class.
    #[serde(default)]
    with_class: bool,
    /// What is still to be told.
    closing: Option<Closing>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Closing {
    open: Open,
    end_us: u64,
    why: Why,
    watch: Watch,
}

impl Tracked {
    pub(super) fn new(strap: StrapId, at: &At) -> Self {
        Self { strap, heard: *at, asked: None, phase: Phase::Quiet }
    }

    /// The first reading of what is still to be told.
    pub(super) fn first(&self) -> Option<EntryId> {
        self.untold().map(|open| open.first)
    }

    /// Whose session it is that is still to be told.
    pub(super) fn athlete(&self) -> Option<AthleteId> {
        self.untold()?.wearer.map(|wearer| wearer.athlete)
    }

    fn untold(&self) -> Option<&Open> {
        match &self.phase {
            Phase::Quiet => None,
            Phase::Open(open) => Some(open),
            Phase::Over(over) => over.closing.as_ref().map(|closing| &closing.open),
        }
    }

    pub(super) fn is_forgotten(&self, now: &At, terms: &Terms<'_>) -> bool {
        let silent_us = between_us(&self.heard, now, terms.timeline);
        matches!(self.phase, Phase::Quiet)
            && u128::from(silent_us) >= terms.rules.forget.as_micros()
    }

    /// The session that goes on, and what it sums up to.
    pub(super) fn session(&self, now: &At, terms: &Terms<'_>) -> Option<(Session, SessionSummary)> {
        let Phase::Open(open) = &self.phase else { return None };
        let now_us = open.axis.clone().us(now, terms.timeline);
        let session = self.told(open, terms)?;
        let body = open.body(&session);
        Some((session, open.effort.summary(now_us, &body)))
    }

    /// Ends what is to end by now.
    pub(super) fn pass(&mut self, now: &At, terms: &Terms<'_>, out: &mut Vec<Output>) {
        self.end_with_class(now, terms, out);
        let silence_us = terms.rules.silence.as_micros();
        match &mut self.phase {
            Phase::Quiet => {}
            Phase::Open(open) => {
                let now_us = open.axis.us(now, terms.timeline);
                let silent_us = now_us.saturating_sub(open.quiet_us);
                let is_over = match open.id {
                    None => now_us > open.effort.end_us(),
                    Some(_) => u128::from(silent_us) >= silence_us,
                };
                if is_over {
                    self.finish(now_us, Why::Silence, terms, out);
                }
            }
            Phase::Over(over) => {
                let now_us = over.axis.us(now, terms.timeline);
                let is_seen =
                    over.closing.as_mut().is_some_and(|closing| closing.watch.pass(now_us));
                let is_silent = u128::from(now_us.saturating_sub(over.quiet_us)) >= silence_us;
                if is_seen || is_silent {
                    self.tell_closing(terms, out);
                }
                if is_silent {
                    self.phase = Phase::Quiet;
                }
            }
        }
    }

    /// Ends what belongs to a class that is over by now.
    fn end_with_class(&mut self, now: &At, terms: &Terms<'_>, out: &mut Vec<Output>) {
        let over = |class: &Option<Class>| {
            let begun = terms.classes.get(class.as_ref()?.id)?;
            begun.over_since(now, terms.timeline)
        };
        if self.asked.as_ref().is_some_and(|asked| over(&asked.class).is_some()) {
            self.asked = None;
        }
        let Phase::Open(open) = &self.phase else { return };
        let Some(end) = over(&open.class) else { return };
        let silent_us = open.axis.clone().us(&end, terms.timeline).saturating_sub(open.quiet_us);
        // Else it had ended before.
        if u128::from(silent_us) < terms.rules.silence.as_micros() {
            self.close(&end, Why::ClassEnded, terms, out);
        }
    }

    /// Takes in a heart rate.
    pub(super) fn reading(
        &mut self,
        id: EntryId,
        at: &At,
        heart_rate: &HeartRate,
        wearer: Option<Wearer>,
        terms: &Terms<'_>,
        out: &mut Vec<Output>,
    ) {
        self.pass(at, terms, out);
        if self.is_forgotten(at, terms) {
            self.asked = None;
        }
        self.heard = *at;
        match &mut self.phase {
            Phase::Quiet => {
                let mut effort = Effort::default();
                if effort.reading(0, heart_rate).bpm().is_none() {
                    return;
                }
                let (axis, class) = (Axis::new(at), None);
                let open = Open {
                    id: None,
                    first: id,
                    last: id,
                    wearer,
                    class,
                    axis,
                    effort,
                    quiet_us: 0,
                };
                self.phase = Phase::Open(Box::new(open));
                if let Some(Asked { class }) = self.asked.take() {
                    self.begin(at, class, terms, out);
                }
            }
            Phase::Open(open) => {
                let now_us = open.axis.us(at, terms.timeline);
                match open.effort.reading(now_us, heart_rate) {
                    Heard::Again => {}
                    Heard::Nothing if open.id.is_none() => self.phase = Phase::Quiet,
                    Heard::Nothing => {}
                    Heard::Rate(_) => {
                        open.last = id;
                        open.quiet_us = now_us;
                        if u128::from(now_us) >= terms.rules.begin_after.as_micros() {
                            self.begin(at, None, terms, out);
                        }
                    }
                }
            }
            Phase::Over(over) => {
                let now_us = over.axis.us(at, terms.timeline);
                let heard = over.ear.hear(now_us, heart_rate);
                if heard == Heard::Again {
                    return;
                }
                if heard.bpm().is_some() {
                    over.quiet_us = now_us;
                }
                if let Some(closing) = &mut over.closing {
                    closing.watch.heart_rate(now_us, heard.bpm());
                }
            }
        }
    }

    /// What is open is a session now, if it was none.
    fn begin(&mut self, at: &At, class: Option<Class>, terms: &Terms<'_>, out: &mut Vec<Output>) {
        let Phase::Open(open) = &mut self.phase else { return };
        if open.id.is_some() {
            return;
        }
        open.id = Some(SessionId::new(terms.gateway, &self.strap, open.first));
        open.class = class.or_else(|| terms.only(at));
        if let Phase::Open(open) = &self.phase {
            out.extend(self.told(open, terms).map(|session| Output::Started(Box::new(session))));
        }
    }

    /// The box runs again, after so long.
    pub(super) fn back(&mut self, at: &At, away_us: u64, terms: &Terms<'_>, out: &mut Vec<Output>) {
        let is_too_long = u128::from(away_us) >= terms.rules.outage.as_micros();
        match &mut self.phase {
            Phase::Quiet => {}
            Phase::Open(open) => {
                let now_us = open.axis.us(at, terms.timeline);
                open.quiet_us = open.quiet_us.saturating_add(away_us);
                if is_too_long {
                    self.finish(now_us, Why::Outage, terms, out);
                }
            }
            Phase::Over(over) => {
                over.axis.us(at, terms.timeline);
                over.quiet_us = over.quiet_us.saturating_add(away_us);
                if is_too_long {
                    self.tell_closing(terms, out);
                    self.phase = Phase::Quiet;
                }
            }
        }
    }

    /// More is known of who wears it.
    pub(super) fn correct(&mut self, wearer: Option<Wearer>) {
        match &mut self.phase {
            Phase::Quiet => {}
            Phase::Open(open) => open.wearer = wearer,
            Phase::Over(over) => {
                if let Some(closing) = &mut over.closing {
                    closing.open.wearer = wearer;
                }
            }
        }
    }

    /// Somebody else wears it, or nobody.
    pub(super) fn hand_over(
        &mut self,
        at: &At,
        wearer: Option<Wearer>,
        terms: &Terms<'_>,
        out: &mut Vec<Output>,
    ) {
        self.pass(at, terms, out);
        self.asked = None;
        self.close(at, Why::WearerChanged, terms, out);
        // What the heart does from here on is not theirs.
        self.tell_closing(terms, out);
        if wearer.is_some() {
            self.phase = Phase::Quiet;
        }
    }

    pub(super) fn check_in(
        &mut self,
        at: &At,
        class: Option<Class>,
        terms: &Terms<'_>,
        out: &mut Vec<Output>,
    ) {
        self.pass(at, terms, out);
        self.heard = *at;
        let class = class.or_else(|| terms.only(at));
        if let Phase::Open(open) = &mut self.phase {
            let Some(next) = class else { return self.begin(at, None, terms, out) };
            if open.id.is_none() {
                return self.begin(at, Some(next), terms, out);
            }
            match &open.class {
                Some(class) if class.id != next.id => {}
                // They were early, or the plan was changed.
                _ => {
                    open.class = Some(next);
                    return;
                }
            }
            self.close(at, Why::ClassEnded, terms, out);
            self.tell_closing(terms, out);
            self.phase = Phase::Quiet;
            self.asked = Some(Asked { class: Some(next) });
            return;
        }
        self.tell_closing(terms, out);
        self.phase = Phase::Quiet;
        self.asked = Some(Asked { class });
    }

    pub(super) fn check_out(&mut self, at: &At, terms: &Terms<'_>, out: &mut Vec<Output>) {
        self.pass(at, terms, out);
        self.asked = None;
        self.close(at, Why::CheckOut, terms, out);
    }

    /// The only class that runs has begun.
    pub(super) fn class_began(
        &mut self,
        at: &At,
        class: &Class,
        terms: &Terms<'_>,
        out: &mut Vec<Output>,
    ) {
        self.pass(at, terms, out);
        match &mut self.phase {
            Phase::Quiet => {}
            Phase::Open(open) => {
                let began_us = open.axis.clone().us(at, terms.timeline);
                let is_early = u128::from(began_us) <= terms.rules.early.as_micros();
                if is_early && open.id.is_some() && open.class.is_none() {
                    open.class = Some(class.clone());
                }
            }
            // From one class to the next.
            Phase::Over(over) if over.with_class => {
                self.check_in(at, Some(class.clone()), terms, out);
            }
            Phase::Over(_) => {}
        }
    }

    pub(super) fn class_ended(
        &mut self,
        at: &At,
        class: ClassId,
        terms: &Terms<'_>,
        out: &mut Vec<Output>,
    ) {
        let is_it = |of: &Option<Class>| of.as_ref().is_some_and(|of| of.id == class);
        if self.asked.as_ref().is_some_and(|asked| is_it(&asked.class)) {
            self.asked = None;
        }
        self.pass(at, terms, out);
        if matches!(&self.phase, Phase::Open(open) if is_it(&open.class)) {
            self.close(at, Why::ClassEnded, terms, out);
        }
    }

    /// Ends what is open, here at the latest, and the strap is quiet.
    fn finish(&mut self, now_us: u64, why: Why, terms: &Terms<'_>, out: &mut Vec<Output>) {
        let Phase::Open(open) = std::mem::replace(&mut self.phase, Phase::Quiet) else { return };
        let end_us = open.effort.end_us().min(now_us);
        out.extend(self.ended(&open, end_us, why, None, terms));
    }

    /// Ends what is open, now, and watches how the heart recovers.
    fn close(&mut self, at: &At, why: Why, terms: &Terms<'_>, out: &mut Vec<Output>) {
        if !matches!(self.phase, Phase::Open(_)) {
            return;
        }
        let Phase::Open(mut open) = std::mem::replace(&mut self.phase, Phase::Quiet) else {
            return;
        };
        let now_us = open.axis.us(at, terms.timeline);
        let end_us = open.effort.end_us().min(now_us);
        let (axis, ear, quiet_us) = (open.axis, open.effort.ear(), open.quiet_us);
        let bpm = open.effort.bpm_at(now_us).filter(|_| open.id.is_some());
        let closing = match bpm {
            Some(bpm) => Some(Closing { open: *open, end_us, why, watch: Watch::new(end_us, bpm) }),
            None => {
                out.extend(self.ended(&open, end_us, why, None, terms));
                None
            }
        };
        let with_class = why == Why::ClassEnded;
        self.phase = Phase::Over(Box::new(Over { axis, ear, quiet_us, with_class, closing }));
    }

    /// Tells the end that was waited with.
    fn tell_closing(&mut self, terms: &Terms<'_>, out: &mut Vec<Output>) {
        let Phase::Over(over) = &mut self.phase else { return };
        let Some(Closing { open, end_us, why, watch }) = over.closing.take() else { return };
        out.extend(self.ended(&open, end_us, why, watch.recovery(), terms));
    }

    /// Nothing, for what was no session.
    fn ended(
        &self,
        open: &Open,
        end_us: u64,
        why: Why,
        recovery: Option<Recovery>,
        terms: &Terms<'_>,
    ) -> Option<Output> {
        let session = self.told(open, terms)?;
        let summary = open.effort.summary(end_us, &open.body(&session));
        let summary = SessionSummary { recovery, ..summary };
        Some(Output::Ended(Box::new(Ended { session, last: open.last, summary, why })))
    }

    fn told(&self, open: &Open, terms: &Terms<'_>) -> Option<Session> {
        Some(Session {
            id: open.id?,
            strap: self.strap.clone(),
            athlete: open.wearer.map(|wearer| wearer.athlete),
            class: open.class.as_ref().map(|class| {
                let known = terms.classes.get(class.id);
                known.map_or_else(|| class.clone(), |known| known.told(terms.timeline))
            }),
            first: open.first,
            began: *open.axis.began(),
            start: terms.timeline.place(open.axis.began()),
        })
    }
}

impl Open {
    fn body(&self, session: &Session) -> Body {
        let profile = self.wearer.map(|wearer| wearer.profile).unwrap_or_default();
        Body::at(&profile, &session.start)
    }
}

/// Bytes of a strap, and those that are added while it is in a session.
#[cfg(test)]
pub(super) const SIZES: [usize; 2] = [size_of::<Tracked>(), size_of::<Open>()];
