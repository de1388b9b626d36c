//! Forgetting a person: everything of them that is here goes, and what does not is told, with until when it stays.

use serde::{Deserialize, Serialize};

use super::desk::Moment;
use super::people::{People, Wearer};
use super::worn::{Wearing, Worn};
use super::{Roster, RosterError, find};
use crate::athlete::{Account, Athlete, AthleteId};
use crate::buffer::{Buffer, BufferError};
use crate::exit::chain;
use crate::history::{Erased, History, Listed, Wanted};
use crate::reading::{Entry, EntryId, Fact, StrapId};

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
    /// When readings leave the log by age, in days.
    pub max_days: Option<u32>,
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
/// When it is not clear who is meant, or the disk refuses; then nobody was forgotten.
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
    left.extend(in_log(around, wearing, &traces).await);
    left.extend(in_config(around, &traces.athlete));
    left.extend(delivered(around, &traces));
    let (history, at) = (around.history.clone(), moment.at);
    let work = move |roster: &Roster| {
        // First what leads to them: after a crash in between they can still be asked for. What was recorded as theirs
        // meanwhile goes after it; nothing more comes, for whoever is not known any more is recorded as somebody.
        let before = history.erase(id);
        let replaced = roster.replace(|people| {
            let found = find::athlete(people, &id.to_string())?;
            Ok(people.forget(found.id, at))
        })?;
        let erased = before.and_then(|mut erased| {
            erased += history.erase(id)?;
            Ok(erased)
        });
        Ok((replaced, erased.map(|erased| (erased, in_history(&history, erased)))))
    };
    let (((changes, straps), damaged_files), erased) = roster.aside(work).await?;
    let Erased { sessions, files, .. } = match erased {
        Ok((erased, in_history)) => {
            left.extend(in_history);
            erased
        }
        Err(error) => {
            left.push(remains(
                format!("sessions in the history that could not be erased ({})", chain(&error)),
                "until the disk lets them be erased; then take them out of `history` by hand",
            ));
            Erased::default()
        }
    };
    let agreed = traces.athlete.consent.is_some();
    left.extend((sessions + files > 0 || agreed).then(|| told_in_log(around)));
    let accounts = traces.accounts.len();
    let remains = left;
    Ok(Forgotten {
        athlete: id,
        straps,
        changes,
        accounts,
        sessions,
        files,
        damaged_files,
        remains,
    })
}

async fn in_log(around: &Around<'_>, wearing: &Wearing, traces: &Traces) -> Option<Remains> {
    let begun_us = traces.worn.iter().map(|worn| worn.from_us).min()?;
    let buffer = around.buffer?;
    let straps: Vec<_> = traces.worn.iter().map(|worn| &worn.strap).collect();
    let is_theirs = |entry: &Entry| match &entry.fact {
        Fact::Reading(reading) if straps.contains(&&reading.strap) => {
            let who = wearing.who(&reading.strap, &reading.at);
            who == Some(Wearer::Athlete(traces.athlete.id))
        }
        Fact::Reading(_) | Fact::Event(_) => false,
    };
    let until = match around.max_days {
        Some(days) => {
            format!("for {days} days at most ([buffer] max_days), sooner when the log is full")
        }
        None => "until the log is full and they are the oldest; [buffer] max_days sets an end"
            .to_owned(),
    };
    match count(buffer, begun_us, is_theirs).await {
        Ok(0) => None,
        Ok(count) => {
            let readings = if count == 1 { "1 reading" } else { &format!("{count} readings") };
            Some(remains(
                format!("{readings} in the log, under the id of the strap and without a name"),
                until,
            ))
        }
        Err(error) => {
            let error = chain(&error);
            Some(remains(format!("readings in the log that could not be counted ({error})"), until))
        }
    }
}

/// Events stay in the log like readings do. They tell the number of a person whom nobody knows any more.
fn told_in_log(around: &Around<'_>) -> Remains {
    let until = match around.max_days {
        Some(days) => format!("for {days} days at most ([buffer] max_days)"),
        None => "until the log is full and they are the oldest".to_owned(),
    };
    remains(
        "what the log says of their sessions and their consent, under a number that leads to nobody any more",
        until,
    )
}

/// Counts entries in the log and among dead letters.
async fn count(
    buffer: &Buffer,
    begun_us: i64,
    is_theirs: impl Fn(&Entry) -> bool,
) -> Result<usize, BufferError> {
    let mut count = 0;
    let mut next = buffer.place_at(begun_us).await?;
    loop {
        let entries = buffer.read(next, EntryId(u64::MAX), ENTRIES_AT_ONCE).await?;
        let Some(last) = entries.last() else { break };
        next = last.id.plus(1);
        count += entries.iter().filter(|entry| is_theirs(entry)).count();
    }
    let mut number = 0;
    loop {
        let letters = buffer.letters(number, LETTERS_AT_ONCE).await?;
        let Some(last) = letters.last() else { return Ok(count) };
        number = last.number + 1;
        let refused = letters.iter().flat_map(|letter| &letter.entries);
        count += refused.filter(|entry| is_theirs(entry)).count();
    }
}

/// What is left in the history when what is theirs is gone.
fn in_history(history: &History, erased: Erased) -> Vec<Remains> {
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
