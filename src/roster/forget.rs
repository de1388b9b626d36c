//! Forgetting a person: everything of them that is here goes, and what does not is told, with until when it stays.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::desk::Moment;
use super::people::{People, Wearer};
use super::worn::{Wearing, Worn};
use super::{Roster, RosterError, find};
use crate::activity::ActivityId;
use crate::athlete::{Account, Athlete, AthleteId};
use crate::buffer::{Buffer, BufferError, Erased, Places};
use crate::exit::chain;
use crate::history::{self, History, Listed, Wanted};
use crate::reading::{At, Entry, EntryId, Event, EventKind, Fact, StrapId};

/// Entries read at once, and letters, each of which may hold as many.
const ENTRIES_AT_ONCE: usize = 2000;
const LETTERS_AT_ONCE: usize = 8;

/// What leads to a person, and has to be erased with them.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The entry of the person.
    pub athlete: Athlete,
    /// Straps of their own.
    pub owns: Vec<StrapId>,
    /// What they wore: readings of these straps, from then until then, are theirs.
    pub worn: Vec<Worn>,
    /// Their accounts elsewhere.
    pub accounts: Vec<Account>,
}

/// What leads to a person; `None` when there is no such person.
pub fn traces(people: &People, wearing: &Wearing, id: AthleteId) -> Option<Traces> {
    let athlete = people.athlete(id)?;
    let owns = people.straps().filter(|strap| strap.of == super::Of::Owner(id));
    Some(Traces {
        owns: owns.map(|strap| strap.id.clone()).collect(),
        worn: wearing.worn_by(id, i64::MIN..i64::MAX),
        accounts: athlete.accounts.clone(),
        athlete: (**athlete).clone(),
    })
}

/// What else on the box may lead to a person.
pub struct Around<'a> {
    /// The log, if there is one.
    pub buffer: Option<&'a Buffer>,
    /// What has come in as files.
    pub history: &'a History,
    /// Labels of straps in the configuration.
    pub labels: Vec<&'a str>,
    /// Destinations.
    pub sinks: Vec<&'a str>,
}

/// A person was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Who it was. Nothing on the box has this id any more.
    pub athlete: AthleteId,
    /// Straps of their own, which the box does not know any more.
    pub straps: Vec<StrapId>,
    /// Changes of hands that say "somebody" now.
    pub changes: u64,
    /// Accounts elsewhere that were linked.
    pub accounts: usize,
    /// Sessions that were erased, with their files.
    #[serde(default)]
    pub sessions: usize,
    /// Activities that came in as theirs and were erased, with their files.
    #[serde(default)]
    pub files: usize,
    /// What was erased from the log.
    #[serde(default)]
    pub log: Erased,
    /// Damaged files of the roster that were removed, for they may have had the name in them.
    pub damaged_files: usize,
    /// What could not be erased.
    pub remains: Vec<Remains>,
}

/// Something that is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// What.
    pub what: String,
    /// Until when, or what to do about it.
    pub until: String,
}

fn remains(what: impl Into<String>, until: impl Into<String>) -> Remains {
    Remains { what: what.into(), until: until.into() }
}

/// Forgets a person.
///
/// # Errors
/// When it is not clear who is meant, or the disk refuses, or has no room for a copy of the log; then nobody was forgotten,
/// and it can be asked for again.
pub async fn forget(
    roster: &Roster,
    who: &str,
    moment: &Moment,
    wearing: &Wearing,
    around: &Around<'_>,
) -> Result<Forgotten, RosterError> {
    let people = roster.people();
    let id = find::athlete(&people, who)?.id;
    let Some(traces) = traces(&people, wearing, id) else {
        return Err(RosterError::NotFound(format!("there is no athlete {who:?}")));
    };
    let mut left = Vec::new();
    left.extend(in_config(around, &traces.athlete));
    left.extend(delivered(around, &traces));
    // First the log, and last who it was: after a crash anywhere they can still be asked for, and what is theirs is still
    // known.
    let mut theirs = Theirs::new(&traces, wearing, moment.at);
    theirs.recorded.extend(in_the_history(roster, around, id).await?);
    let (mut erased, mut next) = (Erased::default(), EntryId(0));
    if let Some(buffer) = around.buffer {
        (erased, next) = theirs.erase(buffer, next, Always::Yes).await.map_err(RosterError::Log)?;
    }
    theirs.recorded.extend(in_the_history(roster, around, id).await?);
    let (history, at) = (around.history.clone(), moment.at);
    let work = move |roster: &Roster| {
        // What was recorded as theirs meanwhile goes after it; nothing more comes, for of whoever is not known any more
        // nothing is recorded.
        let before = history.erase(id);
        let replaced = roster.replace(|people| {
            let found = find::athlete(people, &id.to_string())?;
            Ok(people.forget(found.id, at))
        })?;
        let late = history.activities_of(id);
        let erased = before.and_then(|mut erased| {
            erased += history.erase(id)?;
            Ok(erased)
        });
        Ok((replaced, late, erased.map(|erased| (erased, in_history(&history, erased)))))
    };
    let (((changes, straps), damaged_files), late, recorded) = roster.aside(work).await?;
    theirs.recorded.extend(late.unwrap_or_default());
    let recorded = match recorded {
        Ok((recorded, in_history)) => {
            left.extend(in_history);
            recorded
        }
        Err(error) => {
            left.push(remains(
                format!("sessions in the history that could not be erased ({})", chain(&error)),
                "until the disk lets them be erased; then take them out of `history` by hand",
            ));
            history::Erased::default()
        }
    };
    if traces.athlete.consent.is_some() {
        left.push(remains(
            "the word to receivers that they have withdrawn, under a number that leads to nobody any more",
            "until it leaves the log",
        ));
    }
    if let Some(buffer) = around.buffer {
        // What was on its way into the log, mostly nothing.
        match theirs.erase(buffer, next, Always::No).await {
            Ok((late, _)) => erased = erased.with(late),
            Err(error) => left.push(remains(
                format!("what came into the log in the last moment ({})", chain(&error)),
                "until it leaves the log; without a name",
            )),
        }
    }
    let accounts = traces.accounts.len();
    Ok(Forgotten {
        athlete: id,
        straps,
        changes,
        accounts,
        sessions: recorded.sessions,
        files: recorded.files,
        log: erased,
        damaged_files,
        remains: left,
    })
}

/// What was recorded of them, where the disk may be waited for.
async fn in_the_history(
    roster: &Roster,
    around: &Around<'_>,
    id: AthleteId,
) -> Result<BTreeSet<ActivityId>, RosterError> {
    let history = around.history.clone();
    roster.aside(move |_| history.activities_of(id).map_err(RosterError::History)).await
}

/// What of the log is theirs.
struct Theirs<'a> {
    id: AthleteId,
    /// The same as events write it.
    text: String,
    straps: BTreeSet<&'a StrapId>,
    wearing: &'a Wearing,
    /// What comes later is not theirs any more.
    until: At,
    /// What was recorded of them.
    recorded: BTreeSet<ActivityId>,
}

impl<'a> Theirs<'a> {
    fn new(traces: &'a Traces, wearing: &'a Wearing, until: At) -> Self {
        Self {
            id: traces.athlete.id,
            text: traces.athlete.id.to_string(),
            straps: traces.worn.iter().map(|worn| &worn.strap).collect(),
            wearing,
            until,
            recorded: BTreeSet::new(),
        }
    }

    fn has(&self, entry: &Entry) -> bool {
        match &entry.fact {
            Fact::Reading(reading) => self.wore(&reading.strap, &reading.at),
            Fact::Event(Event { at, kind }) => match kind {
                EventKind::StrapConnected { strap, .. } | EventKind::StrapLost { strap, .. } => {
                    self.wore(strap, at)
                }
                EventKind::Activity(summary) if self.recorded.contains(&summary.activity) => true,
                // Whatever tells of them has their id.
                kind => serde_json::to_string(kind).is_ok_and(|text| text.contains(&self.text)),
            },
        }
    }

    fn wore(&self, strap: &StrapId, at: &At) -> bool {
        let is_later = at.boot == self.until.boot && at.mono_us > self.until.mono_us;
        !is_later
            && self.straps.contains(strap)
            && self.wearing.who(strap, at) == Some(Wearer::Athlete(self.id))
    }

    /// Erases what is in the log from a place on, and everything of it among the dead letters. Returns where the log
    /// ended.
    async fn erase(
        &self,
        buffer: &Buffer,
        from: EntryId,
        always: Always,
    ) -> Result<(Erased, EntryId), BufferError> {
        let mut places = Places::default();
        let mut next = from;
        loop {
            let entries = buffer.read(next, EntryId(u64::MAX), ENTRIES_AT_ONCE).await?;
            let Some(last) = entries.last() else { break };
            next = last.id.plus(1);
            let theirs = entries.iter().filter(|entry| self.has(entry));
            theirs.for_each(|entry| places.add(entry.id));
        }
        let mut number = 0;
        loop {
            let letters = buffer.letters(number, LETTERS_AT_ONCE).await?;
            let Some(last) = letters.last() else { break };
            number = last.number + 1;
            let refused = letters.iter().flat_map(|letter| &letter.entries);
            refused.filter(|entry| self.has(entry)).for_each(|entry| places.add(entry.id));
        }
        if places.is_empty() && always == Always::No {
            return Ok((Erased::default(), next));
        }
        Ok((buffer.erase(places).await?, next))
    }
}

/// Whether the log is made anew even if nothing of them is in it: what left it long ago may still lie in its files.
#[derive(PartialEq, Eq)]
enum Always {
    Yes,
    No,
}

/// What is left in the history when what is theirs is gone.
fn in_history(history: &History, erased: history::Erased) -> Vec<Remains> {
    let until = "of whomever: nobody has said whose they are; take them out of `history` by hand";
    let is_nobodys = |listed: &&Listed| listed.whose.is_none() && listed.summary.session.is_none();
    let mut left = Vec::new();
    match history.list(&Wanted::default()).map(|all| all.iter().filter(is_nobodys).count()) {
        Ok(0) => {}
        Ok(count) => left.push(remains(format!("{} from files", activities(count)), until)),
        Err(error) => left.push(remains(
            format!("recorded activities that could not be listed ({})", chain(&error)),
            until,
        )),
    }
    if erased.shared > 0 {
        left.push(remains(
            format!("the bytes of {} of theirs", activities(erased.shared)),
            "as long as what somebody else has recorded into the same file",
        ));
    }
    left
}

fn activities(count: usize) -> String {
    if count == 1 {
        "1 recorded activity".to_owned()
    } else {
        format!("{count} recorded activities")
    }
}

fn in_config(around: &Around<'_>, athlete: &Athlete) -> Option<Remains> {
    let names = [Some(&athlete.display_name), athlete.legal_name.as_ref()];
    let is_named = |label: &&&str| {
        names.iter().flatten().any(|name| label.to_lowercase().contains(&name.to_lowercase()))
    };
    let count = around.labels.iter().filter(is_named).count();
    (count > 0).then(|| {
        let labels = if count == 1 { "1 label" } else { &format!("{count} labels") };
        remains(
            format!("{labels} of straps in the configuration with the name in it"),
            "until you take it out of the file and start the daemon anew",
        )
    })
}

fn delivered(around: &Around<'_>, traces: &Traces) -> Option<Remains> {
    (!around.sinks.is_empty() && !traces.worn.is_empty()).then(|| {
        remains(
            format!(
                "what was delivered to {} before, with the id of the strap and without a name",
                around.sinks.join(", ")
            ),
            "until it is erased there",
        )
    })
}
