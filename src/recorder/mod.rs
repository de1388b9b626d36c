//! The recorder: follows the log, says whose sessions begin and end, and puts what has ended into the history.
//!
//! # The promise
//!
//! Every session whose readings are durable is recorded once: `kill -9` or a power cut in the middle of one resumes it, and
//! one in the middle of recording it records it once.
//!
//! # How
//!
//! Everything that it knows is made from the log, which it reads like a sink does, and from who wore which strap at the
//! time of each reading ([`crate::roster`]). What it has understood so far is kept now and then ([`checkpoint`]); what came
//! after that is read again, and gives the same sessions under the same ids. A session that ends becomes a FIT file made
//! from its readings, at the times that are known by then, and goes the way of every recording
//! ([`Importer::record`]).
//!
//! It is never ahead of the log: what is not durable could be lost, and a session with it.

mod checkpoint;
mod undated;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::activity::{Item, UnixMs};
use crate::athlete::AthleteId;
use crate::buffer::{Buffer, BufferError, Reader};
use crate::clock::Clock;
use crate::exit::chain;
use crate::fit::encode::{Creator, EncodeError, Encoder};
use crate::format::terra::utc_offset_min;
use crate::history::{Importer, Recording};
use crate::intake::Intake;
use crate::live::{Board, LiveSession};
use crate::reading::{At, Entry, EntryId, Event, EventKind, Fact, Measurement, StrapId};
use crate::roster::{self, People, Roster, Wearing};
use crate::session::tracker::{Rules, Tracker};
use crate::session::{ClassId, Command, Ended, Output, Wearer, recording};
use crate::timeline::{TimeQuality, Timeline};
use crate::workout::StrapSession;
use undated::Undated;

/// The log is looked at so often, and the live board is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is known is kept so often: a crash costs reading so much again, which takes less than a second. Kept more often it
/// would wear the card as much as the readings themselves do, for a strap's session takes three kilobytes.
const KEEP_EVERY: Duration = Duration::from_secs(600);
/// A disk that refuses a recording is asked again so often.
const AGAIN: Duration = Duration::from_secs(10);
/// Entries read at once.
const AT_ONCE: usize = 2000;

/// What a recorder is made of.
pub struct Parts {
    /// Identity of the box.
    pub gateway: String,
    /// The log.
    pub buffer: Buffer,
    /// Where what has ended goes.
    pub importer: Importer,
    /// Who wears what.
    pub roster: Roster,
    /// Where what goes on is shown.
    pub board: Board,
    /// Now.
    pub clock: Clock,
    /// When sessions begin and end.
    pub rules: Rules,
    /// Where the box is: what local time a recording tells.
    pub time_zone: TimeZone,
    /// A reading is in the log so long after it came, at the latest: what is younger is not decided upon.
    pub settle: Duration,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Follows the log.
pub struct Recorder {
    parts: Parts,
    tracker: Tracker,
    reader: Reader,
    intake: Intake,
    /// Classes whose end was noted since the start.
    noted: BTreeSet<ClassId>,
    /// What the tracker was told of who wears a strap, and as of when.
    told: BTreeMap<StrapId, (Option<Wearer>, At)>,
    /// What was done at the desk before this, it was told earlier.
    since: Option<At>,
    undated: Option<Undated>,
    known: Known,
    kept: Instant,
    /// Where the log stood then.
    kept_next: Option<EntryId>,
}

/// Who wore what, worked out anew when one of the two changes.
struct Known {
    people: Arc<People>,
    timeline: Arc<Timeline>,
    wearing: Wearing,
}

impl Known {
    fn new(people: Arc<People>, timeline: Arc<Timeline>) -> Self {
        let wearing = Wearing::new(&people, timeline.clone());
        Self { people, timeline, wearing }
    }

    /// Who wore a strap then, with what is known of them today.
    fn wearer(&self, strap: &StrapId, at: &At) -> Option<Wearer> {
        self.with_profile(self.wearing.who(strap, at)?.athlete()?)
    }

    fn with_profile(&self, athlete: AthleteId) -> Option<Wearer> {
        let known = self.people.athlete(athlete)?;
        Some(Wearer { athlete, profile: known.profile })
    }
}

/// Why following stops for a while, or for good.
enum Halt {
    Stopping,
    Log(BufferError),
}

impl From<BufferError> for Halt {
    fn from(error: BufferError) -> Self {
        Self::Log(error)
    }
}

impl Recorder {
    /// A recorder that goes on where the one before it was.
    pub fn new(parts: Parts) -> Self {
        let (gateway, rules) = (&parts.gateway, parts.rules);
        let kept = checkpoint::load(parts.importer.history(), gateway);
        let (kept, undated) = kept.map_or((None, None), |(kept, undated)| (Some(kept), undated));
        let undated = undated.and_then(|kept| kept.resume(gateway, rules));
        let resumed = kept.map(|state| Tracker::resume(gateway, rules, state));
        let tracker = match resumed {
            Some(Ok(tracker)) => tracker,
            Some(Err(error)) => {
                warn!(error = chain(&error), "the log is followed from its beginning");
                Tracker::new(gateway, rules)
            }
            None => Tracker::new(gateway, rules),
        };
        let timeline = parts.buffer.timeline().borrow().clone();
        let known = Known::new(parts.roster.people(), timeline);
        let (reader, told) = (parts.buffer.reader(), BTreeMap::new());
        let intake = Intake::new(parts.buffer.clone(), parts.board.clone());
        let (since, noted) = (tracker.heard(), BTreeSet::new());
        Self {
            parts,
            tracker,
            reader,
            intake,
            noted,
            told,
            since,
            undated,
            known,
            kept: Instant::now(),
            kept_next: None,
        }
    }

    /// Follows the log until it is told to stop.
    pub async fn run(mut self) {
        let stop = self.parts.stop.clone();
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            match self.step().await {
                Ok(()) => {}
                // Why is told elsewhere; the log is asked again.
                Err(error @ BufferError::Unavailable { .. }) => {
                    debug!(error = chain(&error), "the log cannot be followed just now");
                }
                Err(error) => {
                    debug!(error = chain(&error), "the log is not followed any more");
                    break;
                }
            }
            if self.kept.elapsed() >= KEEP_EVERY {
                self.keep().await;
            }
        }
        self.keep().await;
    }

    /// Takes in what is new in the log, and then the time that has passed.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn step(&mut self) -> Result<(), BufferError> {
        match self.look().await {
            Ok(()) | Err(Halt::Stopping) => Ok(()),
            Err(Halt::Log(error)) => Err(error),
        }
    }

    async fn look(&mut self) -> Result<(), Halt> {
        self.follow().await?;
        // While the disk refuses, silence in the log is not that of a strap.
        if self.parts.buffer.state().borrow().trouble.is_some() {
            return Ok(());
        }
        let now = self.parts.clock.now();
        // What came since may not be in the log yet.
        let settle_us = u64::try_from(self.parts.settle.as_micros()).unwrap_or(u64::MAX);
        let settled = At { mono_us: now.mono_us.saturating_sub(settle_us), ..now };
        self.change_hands(&settled).await?;
        let ended = self.tracker.pass(&settled, &self.known.timeline);
        self.act(ended).await?;
        self.end_classes(&settled).await?;
        self.show(&now);
        Ok(())
    }

    /// Takes in what is new in the log.
    async fn follow(&mut self) -> Result<(), Halt> {
        let end = self.parts.buffer.state().borrow().committed;
        loop {
            self.know();
            let entries = self.reader.read(self.tracker.next(), end, AT_ONCE).await?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                self.entry(entry).await?;
            }
            if self.parts.stop.is_cancelled() {
                return Err(Halt::Stopping);
            }
        }
    }

    /// Learns what has changed about people and times.
    fn know(&mut self) {
        let people = self.parts.roster.people();
        let timeline = self.parts.buffer.timeline().borrow().clone();
        let known = &self.known;
        if !Arc::ptr_eq(&known.people, &people) || !Arc::ptr_eq(&known.timeline, &timeline) {
            self.known = Known::new(people, timeline);
            self.go_back();
        }
    }

    /// When the time of a boot becomes known, it is gone through again: what was recorded of it without is recorded anew,
    /// under its id.
    fn go_back(&mut self) {
        // Nothing is kept of whoever was forgotten.
        let Some(undated) = self.undated.take_if(|undated| {
            !undated.knows_only(&self.known.people) || undated.is_dated(&self.known.timeline)
        }) else {
            return;
        };
        let oldest = self.parts.buffer.state().borrow().oldest;
        if !undated.knows_only(&self.known.people) || !undated.is_kept(oldest) {
            debug!("sessions of before the time was known keep the times they have");
            return;
        }
        info!("the time is known now, sessions of before are recorded anew");
        self.tracker = undated.before;
        self.told.clear();
        self.since = self.tracker.heard();
    }

    async fn entry(&mut self, entry: &Entry) -> Result<(), Halt> {
        let at = entry.fact.at();
        if self.tracker.heard().is_none_or(|heard| heard.boot != at.boot) {
            self.undated =
                Undated::begin(self.undated.take(), at, &self.known.timeline, &self.tracker);
        }
        if let Some((strap, at)) = strap_in_use(entry) {
            if let Some(undated) = &mut self.undated {
                undated.reading(entry.id);
            }
            self.tell_changes(strap, at).await?;
            let wearer = self.known.wearer(strap, at);
            self.tell(strap, at, wearer).await?;
        }
        let out = self.tracker.entry(entry, &self.known.timeline);
        self.act(out).await
    }

    /// Tells the tracker what was done at the desk since, each at its own moment and not at that of the next reading.
    async fn tell_changes(&mut self, strap: &StrapId, at: &At) -> Result<(), Halt> {
        let people = self.known.people.clone();
        let since = self.told.get(strap).map(|(_, as_of)| *as_of).or(self.since);
        let since_us = since.filter(|since| since.boot == at.boot).map(|since| since.mono_us);
        let is_news = |change: &At| {
            let is_before = change.boot == at.boot && change.mono_us <= at.mono_us;
            is_before && since_us.is_none_or(|since_us| change.mono_us > since_us)
        };
        for change in people.changes_of(strap).iter().filter(|change| is_news(&change.at)) {
            let wearer = change.by.and_then(|by| self.known.with_profile(by.athlete()?));
            self.tell(strap, &change.at, wearer).await?;
        }
        Ok(())
    }

    /// Tells the tracker who wears a strap, if it does not know.
    async fn tell(&mut self, strap: &StrapId, at: &At, wearer: Option<Wearer>) -> Result<(), Halt> {
        let told = self.told.get(strap);
        // What the tracker remembers of before the start is not known here: it is told once more.
        let is_known = told.is_some_and(|(told, _)| *told == wearer);
        // A reading that came late says nothing of who wears the strap by now.
        let is_late =
            told.is_some_and(|(_, as_of)| as_of.boot == at.boot && at.mono_us < as_of.mono_us);
        if is_known || is_late {
            return Ok(());
        }
        self.told.insert(strap.clone(), (wearer, *at));
        let command = Command::Wears { strap: strap.clone(), wearer };
        let out = self.tracker.command(at, command, &self.known.timeline);
        self.act(out).await
    }

    /// Tells of straps that changed hands by then and have not sent anything since.
    async fn change_hands(&mut self, by: &At) -> Result<(), Halt> {
        self.know();
        let people = self.known.people.clone();
        for (strap, changes) in people.changes() {
            let settled = |at: &At| at.boot != by.boot || at.mono_us <= by.mono_us;
            let Some(last) = changes.last().filter(|last| settled(&last.at)) else { continue };
            let wearer = last.by.and_then(|by| self.known.with_profile(by.athlete()?));
            self.tell(strap, &last.at, wearer).await?;
        }
        Ok(())
    }

    /// Notes the end of classes whose time has run out, for everybody who reads the log. That they are over is known without
    /// it; noted twice, by a crash in between, it says nothing new.
    async fn end_classes(&mut self, by: &At) -> Result<(), Halt> {
        let run_out = self.tracker.classes().run_out(by, &self.known.timeline);
        for class in run_out.into_iter().filter(|class| self.noted.insert(*class)) {
            let event = Event { at: self.parts.clock.now(), kind: EventKind::ClassEnded { class } };
            self.intake.take(Fact::Event(event)).await?;
        }
        Ok(())
    }

    async fn act(&mut self, out: Vec<Output>) -> Result<(), Halt> {
        for output in out {
            match output {
                Output::Started(session) => {
                    debug!(session = %session.id, strap = %session.strap, "a session began");
                }
                Output::Ended(ended) => self.record(&ended).await?,
            }
        }
        Ok(())
    }

    /// Puts a session into the history, trying again for as long as the disk refuses.
    async fn record(&mut self, ended: &Ended) -> Result<(), Halt> {
        let session = ended.session.id;
        let recording = match self.recording(ended).await {
            Ok(Some(recording)) => recording,
            Ok(None) if self.is_forgotten(ended) => {
                debug!(%session, "a session of somebody who was forgotten is not recorded");
                return Ok(());
            }
            Ok(None) => {
                error!(%session, "a session cannot be recorded: its readings are not in the log any more");
                return Ok(());
            }
            Err(Unmade::Log(error)) => return Err(error.into()),
            // A recording needs a date. The log is gone through again when there is one.
            Err(Unmade::Encode(error)) if ended.session.start.quality == TimeQuality::Unset => {
                warn!(%session, error = chain(&error), "a session waits for a time server");
                return Ok(());
            }
            Err(Unmade::Encode(error)) => {
                error!(%session, error = chain(&error), "a session cannot be recorded");
                return Ok(());
            }
        };
        while let Err(error) = self.parts.importer.record(recording.clone()).await {
            warn!(%session, error = chain(&error), "a session could not be recorded, will try again");
            if self.parts.stop.run_until_cancelled(sleep(AGAIN)).await.is_none() {
                return Err(Halt::Stopping);
            }
        }
        self.raise(ended).await
    }

    /// Raises a maximum that was exceeded, trying again for as long as the disk refuses. Done twice for a session it is done
    /// once.
    async fn raise(&mut self, ended: &Ended) -> Result<(), Halt> {
        let Ended { session, summary, .. } = ended;
        let Some(((who, of_max), reached)) =
            session.athlete.zip(summary.of_max).zip(summary.exceeded)
        else {
            return Ok(());
        };
        if !undated::is_known(&session.start) {
            // Before or after what, nobody knows. Once the time is known it is recorded again.
            return Ok(());
        }
        let lasted_ms = (summary.elapsed_s * 1000.0) as i64;
        let at = UnixMs(session.start.unix_us.div_euclid(1000)).plus_ms(lasted_ms);
        loop {
            let raised = self
                .parts
                .roster
                .aside(move |roster| roster::raise_max_hr(roster, who, of_max, reached, at));
            match raised.await {
                Ok(raised) => {
                    if raised.is_some() {
                        info!(session = %session.id, "a highest heart rate was raised, and is to be confirmed");
                    }
                    return Ok(());
                }
                Err(error) => {
                    warn!(
                        error = chain(&error),
                        "a highest heart rate could not be raised, will try again"
                    );
                }
            }
            if self.parts.stop.run_until_cancelled(sleep(AGAIN)).await.is_none() {
                return Err(Halt::Stopping);
            }
        }
    }

    /// Whether it was somebody's whom nobody knows any more: their readings are erased, or about to be.
    fn is_forgotten(&self, ended: &Ended) -> bool {
        let people = self.parts.roster.people();
        ended.session.athlete.is_some_and(|athlete| people.athlete(athlete).is_none())
    }

    /// Makes the file of a session; `None` when nothing of it is left, or whose it was is forgotten.
    async fn recording(&self, ended: &Ended) -> Result<Option<Recording>, Unmade> {
        if self.is_forgotten(ended) {
            return Ok(None);
        }
        let mut outline = recording::Recording::new(ended);
        let mut readings = 0;
        self.items(ended, &mut outline, |_| {
            readings += 1;
            Ok(())
        })
        .await?;
        if readings == 0 {
            return Ok(None);
        }
        // The oldest make room first.
        let first = ended.session.first;
        if self.parts.buffer.reader().read(first, first.plus(1), 1).await?.is_empty() {
            let session = ended.session.id;
            error!(%session, "the first readings of a session had made room before it was recorded: its file lacks them. Is `[buffer] max_mb` too small?");
        }
        let mut activity = outline.activity();
        activity.utc_offset_min = utc_offset_min(activity.start, &self.parts.time_zone);
        let creator = Creator::of(&self.parts.gateway, Some(&ended.session.strap));
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = Encoder::new(&mut bytes, &activity, &creator)?;
        let mut again = recording::Recording::new(ended);
        self.items(ended, &mut again, |item| encoder.item(item)).await?;
        encoder.finish()?;
        let athlete = ended.session.athlete;
        let known = athlete.and_then(|athlete| self.known.people.athlete(athlete));
        let consent = known.is_some_and(|athlete| athlete.consent.is_some());
        let session = StrapSession {
            strap: ended.session.strap.clone(),
            athlete,
            class: ended.session.class.clone(),
            ended: ended.why,
            time: ended.session.start.quality,
            effort: ended.summary.clone(),
        };
        Ok(Some(Recording { bytes: bytes.into_inner(), activity, session, consent }))
    }

    /// Reads a session again, as it is recorded.
    async fn items(
        &self,
        ended: &Ended,
        recording: &mut recording::Recording<'_>,
        mut each: impl FnMut(Item) -> Result<(), EncodeError>,
    ) -> Result<(), Unmade> {
        let mut reader = self.parts.buffer.reader();
        let (mut from, end) = (ended.session.first, ended.last.plus(1));
        loop {
            let entries = reader.read(from, end, AT_ONCE).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            from = last.id.plus(1);
            for entry in &entries {
                recording.entry(entry, &self.known.timeline).into_iter().try_for_each(&mut each)?;
            }
        }
    }

    fn show(&self, now: &At) {
        let sessions = self.tracker.sessions(now, &self.known.timeline);
        let live = sessions.map(|(session, effort)| {
            let class = session.class.map(|class| class.id);
            (session.strap, LiveSession { class, effort })
        });
        let classes = self.tracker.classes().clone();
        self.parts.board.sessions(live.collect(), classes, self.tracker.next());
    }

    /// Keeps what is known so far.
    pub async fn keep(&mut self) {
        self.kept = Instant::now();
        if self.kept_next == Some(self.tracker.next()) {
            return;
        }
        let people = self.parts.roster.people();
        if self.tracker.wearers().any(|wearer| people.athlete(wearer.athlete).is_none()) {
            // Forgotten a moment ago: nothing of them is kept, and the next time they are not in it any more.
            return;
        }
        let history = self.parts.importer.history().clone();
        let (gateway, state) = (self.parts.gateway.clone(), self.tracker.state().clone());
        let undated = self.undated.as_ref().map(Undated::kept);
        let save = move || checkpoint::save(&history, &gateway, &state, undated);
        let kept = tokio::task::spawn_blocking(save).await;
        match kept {
            Ok(Ok(())) => self.kept_next = Some(self.tracker.next()),
            Ok(Err(error)) => {
                warn!(error = chain(&error), "how far the log was followed could not be kept");
            }
            Err(error) => debug!(%error, "stopping: how far the log was followed is not kept"),
        }
    }
}

/// Why there is no file of a session.
enum Unmade {
    Log(BufferError),
    Encode(EncodeError),
}

impl From<BufferError> for Unmade {
    fn from(error: BufferError) -> Self {
        Self::Log(error)
    }
}

impl From<EncodeError> for Unmade {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

/// Whose heart rate it is, or who checks in, and when that was.
fn strap_in_use(entry: &Entry) -> Option<(&StrapId, &At)> {
    match &entry.fact {
        Fact::Reading(reading) => match reading.measurement {
            Measurement::HeartRate(_) => Some((&reading.strap, &reading.at)),
            Measurement::Battery(_) => None,
        },
        Fact::Event(Event { at, kind: EventKind::CheckedIn { strap, .. } }) => Some((strap, at)),
        Fact::Event(_) => None,
    }
}
