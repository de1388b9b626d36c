//! The gym floor: classes begin and end, people check in and out. For the local API, and through it for the command line.
//!
//! What is done becomes an event in the log, and whoever asked is told so when it is durable. What it means for sessions is
//! decided by [`crate::session::tracker`] alone, when the recorder reads it there. One thing is done after the other, each
//! knowing all that went before.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::buffer::{Buffer, BufferError};
use crate::clock::Clock;
use crate::format::samples::rfc3339;
use crate::intake::Intake;
use crate::live::Board;
use crate::reading::{At, EntryId, Event, EventKind, Fact, StrapId};
use crate::roster::{self, Named, Roster, RosterError};
use crate::secret;
use crate::session::{Begun, ClassId, Classes};
use crate::timeline::Timeline;

/// A class of which nobody says how long it lasts. It has an end all the same: one that nobody ends would take in everybody
/// who comes the next day.
pub const USUAL_MINUTES: u16 = 60;

/// Longest class, in minutes.
const MINUTES_MAX: u16 = 600;

/// Classes at once.
const RUNNING_MAX: usize = 16;

/// Longest name of a class, in characters.
const NAME_MAX: usize = 60;

/// After a start the log is read on for so long at most before somebody is told to come again.
const READ_LIMIT: Duration = Duration::from_secs(4);

/// A disk that takes nothing for so long refuses.
const DISK_LIMIT: Duration = Duration::from_secs(4);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// Who or what is meant is not clear, or is not known.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// There is no such class.
    #[error("{0}")]
    NotFound(String),
    /// What is asked for cannot be.
    #[error("{0}")]
    Refused(String),
    /// The log is not read yet.
    #[error("the box is still reading its log after the start; try again in a moment")]
    NotRead,
    /// It is not durable, and may become so.
    #[error(
        "the disk does not take it just now, so it is not certain to be kept; `pulsegate status` tells more. Try again: twice does no harm"
    )]
    NotDurable,
    /// The log.
    #[error("it was not kept")]
    Log(#[from] BufferError),
    /// The kernel gave no random number.
    #[error("no id could be made")]
    Random(#[from] std::io::Error),
}

/// A class that is to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// What it is called.
    pub name: String,
    /// How long it lasts; [`USUAL_MINUTES`] when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u16>,
}

/// A class that is to end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndBody {
    /// Its name or id; the only one that runs when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// Who checks in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckInBody {
    /// An athlete, or a strap that somebody wears.
    pub who: String,
    /// Name or id of the class; the only one that runs when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// Who checks out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckOutBody {
    /// An athlete, or a strap.
    pub who: String,
}

/// A class, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassListed {
    /// Which.
    pub class: ClassId,
    /// What it is called.
    pub name: String,
    /// When it began.
    pub began: String,
    /// How long it lasts, in seconds.
    pub planned_s: u32,
    /// What is left of it, in seconds.
    pub left_s: u32,
    /// Sessions that take part in it now.
    pub sessions: usize,
}

/// Somebody has checked in or out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// With these straps.
    pub straps: Vec<StrapId>,
    /// Who wears them; `None` when nobody is known to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worn_by: Option<Named>,
    /// What they take part in, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Whether a session went on just now.
    pub in_session: bool,
}

/// The floor. Clones share one.
#[derive(Clone)]
pub struct Floor(Arc<Inner>);

struct Inner {
    intake: Intake,
    buffer: Buffer,
    roster: Roster,
    clock: Clock,
    /// What was done here and the recorder may not have read yet.
    done: Mutex<Vec<(EntryId, At, EventKind)>>,
}

impl Floor {
    /// The floor of this box.
    pub fn new(intake: Intake, buffer: Buffer, roster: Roster, clock: Clock) -> Self {
        Self(Arc::new(Inner { intake, buffer, roster, clock, done: Mutex::default() }))
    }

    /// The classes that run, the first one first.
    ///
    /// # Errors
    /// When the log has not been read yet.
    pub async fn classes(&self) -> Result<Vec<ClassListed>, FloorError> {
        let classes = self.known(&mut *self.0.done.lock().await).await?;
        let (now, timeline) = (self.0.clock.now(), self.timeline());
        Ok(classes.running(&now, &timeline).map(|class| self.listed(class, &now)).collect())
    }

    /// A class begins now.
    ///
    /// # Errors
    /// When one of that name runs, when the name or the time makes no sense, or when it cannot be kept.
    pub async fn start(&self, body: &StartBody) -> Result<ClassListed, FloorError> {
        let name = name(&body.name)?;
        let minutes = body.minutes.unwrap_or(USUAL_MINUTES);
        if !(1..=MINUTES_MAX).contains(&minutes) {
            let text = format!("a class lasts 1 to {MINUTES_MAX} minutes, not {minutes}");
            return Err(FloorError::Refused(text));
        }
        let mut done = self.0.done.lock().await;
        let classes = self.known(&mut done).await?;
        let (now, timeline) = (self.0.clock.now(), self.timeline());
        let running: Vec<&Begun> = classes.running(&now, &timeline).collect();
        if running.iter().any(|class| class.name.to_lowercase() == name.to_lowercase()) {
            let text = format!(
                "a class {name:?} runs already; `pulsegate class end` ends it, or give this one another name"
            );
            return Err(FloorError::Refused(text));
        }
        if running.len() >= RUNNING_MAX {
            return Err(FloorError::Refused(format!(
                "{RUNNING_MAX} classes run at once, which is the most; end one of them"
            )));
        }
        let class = ClassId(secret::random_uuid()?);
        let planned_s = u32::from(minutes) * 60;
        let kind = EventKind::ClassBegan { class, name: name.clone(), planned_s };
        let at = self.note(vec![kind], &mut done).await?;
        Ok(self.listed(&Begun::new(class, name, at, planned_s), &at))
    }

    /// A class ends now, before its time.
    ///
    /// # Errors
    /// When none runs, or it is not clear which is meant, or it cannot be kept.
    pub async fn end(&self, body: &EndBody) -> Result<ClassListed, FloorError> {
        let mut done = self.0.done.lock().await;
        let classes = self.known(&mut done).await?;
        let (now, timeline) = (self.0.clock.now(), self.timeline());
        let class = match &body.class {
            Some(which) => find(&classes, which, &now, &timeline)?,
            None => only(&classes, &now, &timeline, "say which ends")?.ok_or_else(no_class)?,
        };
        let listed = self.listed(&class, &now);
        self.note(vec![EventKind::ClassEnded { class: class.id }], &mut done).await?;
        Ok(listed)
    }

    /// Somebody begins now.
    ///
    /// # Errors
    /// When it is not clear who or what is meant, when nobody wears the strap, or when it cannot be kept.
    pub async fn check_in(&self, body: &CheckInBody) -> Result<Checked, FloorError> {
        let mut done = self.0.done.lock().await;
        let classes = self.known(&mut done).await?;
        let (now, timeline) = (self.0.clock.now(), self.timeline());
        let (straps, worn_by) = self.who(&body.who)?;
        if worn_by.is_none() {
            let text = format!(
                "nobody wears {}; `pulsegate strap assign {} NAME` says who does",
                straps.iter().map(StrapId::as_str).collect::<Vec<_>>().join(" "),
                body.who.trim()
            );
            return Err(FloorError::Refused(text));
        }
        let class = match &body.class {
            Some(which) => Some(find(&classes, which, &now, &timeline)?),
            None => only(&classes, &now, &timeline, "say which with --class")?,
        };
        let id = class.as_ref().map(|class| class.id);
        let kinds =
            straps.iter().map(|strap| EventKind::CheckedIn { strap: strap.clone(), class: id });
        self.note(kinds.collect(), &mut done).await?;
        let in_session = self.in_session(&straps);
        Ok(Checked { straps, worn_by, class: class.map(|class| class.name), in_session })
    }

    /// Somebody is done.
    ///
    /// # Errors
    /// When it is not clear who is meant, or it cannot be kept.
    pub async fn check_out(&self, body: &CheckOutBody) -> Result<Checked, FloorError> {
        let mut done = self.0.done.lock().await;
        let (straps, worn_by) = self.who(&body.who)?;
        let in_session = self.in_session(&straps);
        let kinds = straps.iter().map(|strap| EventKind::CheckedOut { strap: strap.clone() });
        self.note(kinds.collect(), &mut done).await?;
        Ok(Checked { straps, worn_by, class: None, in_session })
    }

    fn who(&self, text: &str) -> Result<(Vec<StrapId>, Option<Named>), RosterError> {
        let heard = self.board().watch().borrow().straps.keys().cloned().collect();
        roster::on_the_floor(&self.0.roster.people(), &heard, text)
    }

    fn in_session(&self, straps: &[StrapId]) -> bool {
        let board = self.board().watch();
        let snapshot = board.borrow();
        straps.iter().any(|strap| snapshot.sessions.contains_key(strap))
    }

    fn board(&self) -> &Board {
        self.0.intake.board()
    }

    fn timeline(&self) -> Arc<Timeline> {
        self.0.buffer.timeline().borrow().clone()
    }

    /// The classes, as the recorder knows them and with what it has not read yet.
    async fn known(&self, done: &mut Vec<(EntryId, At, EventKind)>) -> Result<Classes, FloorError> {
        let mut board = self.board().watch();
        let read = timeout(READ_LIMIT, board.wait_for(|snapshot| snapshot.followed.is_some()));
        let snapshot = read.await.ok().and_then(Result::ok).ok_or(FloorError::NotRead)?;
        let (mut classes, followed) = (snapshot.classes.clone(), snapshot.followed);
        drop(snapshot);
        done.retain(|(id, ..)| followed.is_none_or(|followed| *id >= followed));
        for (_, at, kind) in done {
            match kind {
                EventKind::ClassBegan { class, name, planned_s } => {
                    classes.begin(Begun::new(*class, name.clone(), *at, *planned_s));
                }
                EventKind::ClassEnded { class } => classes.end(*class, at),
                _ => {}
            }
        }
        Ok(classes)
    }

    /// Notes what was done. It is durable when this returns well.
    async fn note(
        &self,
        kinds: Vec<EventKind>,
        done: &mut Vec<(EntryId, At, EventKind)>,
    ) -> Result<At, FloorError> {
        let at = self.0.clock.now();
        let mut last = None;
        for kind in kinds {
            let event = Event { at, kind: kind.clone() };
            let id = timeout(DISK_LIMIT, self.0.intake.take(Fact::Event(event)));
            let id = id.await.map_err(|_| FloorError::NotDurable)??;
            done.push((id, at, kind));
            last = Some(id);
        }
        if let Some(last) = last {
            self.0.buffer.flush();
            let durable = timeout(DISK_LIMIT, self.0.buffer.durable(last)).await;
            match durable.map_err(|_| FloorError::NotDurable)? {
                Ok(()) => {}
                Err(error) => {
                    done.retain(|(id, ..)| *id != last);
                    return Err(error.into());
                }
            }
        }
        Ok(at)
    }

    fn listed(&self, class: &Begun, now: &At) -> ClassListed {
        let timeline = self.timeline();
        let board = self.board().watch();
        let sessions =
            board.borrow().sessions.values().filter(|s| s.class == Some(class.id)).count();
        ClassListed {
            class: class.id,
            name: class.name.clone(),
            began: rfc3339(timeline.place(&class.began).unix_us),
            planned_s: class.planned_s,
            left_s: class.left_s(now, &timeline),
            sessions,
        }
    }
}

fn name(text: &str) -> Result<String, FloorError> {
    let text = text.trim();
    let count = text.chars().count();
    if count == 0 || count > NAME_MAX || text.chars().any(char::is_control) {
        return Err(FloorError::Refused(format!(
            "the name of a class has 1 to {NAME_MAX} characters, and no line end among them"
        )));
    }
    Ok(text.to_owned())
}

fn find(
    classes: &Classes,
    which: &str,
    now: &At,
    timeline: &Timeline,
) -> Result<Begun, FloorError> {
    let wanted = which.trim().to_lowercase();
    let is_it =
        |class: &&Begun| class.name.to_lowercase() == wanted || class.id.0.to_string() == wanted;
    classes.running(now, timeline).find(is_it).cloned().ok_or_else(|| {
        FloorError::NotFound(format!(
            "no class {which:?} runs; {}",
            match names(classes, now, timeline) {
                names if names.is_empty() => "none does".to_owned(),
                names => format!("there is {names}"),
            }
        ))
    })
}

fn only(
    classes: &Classes,
    now: &At,
    timeline: &Timeline,
    what_to_do: &str,
) -> Result<Option<Begun>, FloorError> {
    if let Some(only) = classes.only(now, timeline) {
        return Ok(Some(only.clone()));
    }
    match names(classes, now, timeline) {
        names if names.is_empty() => Ok(None),
        names => Err(FloorError::Refused(format!("several classes run; {what_to_do}: {names}"))),
    }
}

fn names(classes: &Classes, now: &At, timeline: &Timeline) -> String {
    let names: Vec<_> =
        classes.running(now, timeline).map(|class| format!("{:?}", class.name)).collect();
    names.join(", ")
}

fn no_class() -> FloorError {
    FloorError::NotFound("no class runs; `pulsegate class start NAME` begins one".to_owned())
}
