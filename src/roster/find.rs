//! Whom or which strap somebody means: by id or the beginning of it, by name, by number. Never a guess between two.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::people::{Of, People};
use super::{Named, RosterError};
use crate::athlete::{Athlete, AthleteId};
use crate::reading::StrapId;

/// Fewest characters of an id that count as its beginning or its end.
const PART_MIN: usize = 3;

/// Digits of an id that tell athletes apart on a screen.
const SHORT: usize = 8;

/// Candidates that are named when it is not clear who is meant.
const NAMED_MAX: usize = 8;

/// The athlete of this id, name or reference, else the only one whose id or name begins so.
///
/// # Errors
/// When there is none, or more than one.
pub fn athlete(people: &People, text: &str) -> Result<Arc<Athlete>, RosterError> {
    let text = text.trim();
    let wanted = text.to_lowercase();
    let is_called = |athlete: &&Arc<Athlete>| {
        athlete.id.to_string() == wanted
            || athlete.display_name.to_lowercase() == wanted
            || athlete.reference_id.as_deref() == Some(text)
    };
    let begins = |athlete: &&Arc<Athlete>| {
        (wanted.len() >= PART_MIN && athlete.id.to_string().starts_with(&wanted))
            || (!wanted.is_empty() && athlete.display_name.to_lowercase().starts_with(&wanted))
    };
    let mut found: Vec<&Arc<Athlete>> = people.athletes().filter(is_called).collect();
    if found.is_empty() {
        found = people.athletes().filter(begins).collect();
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(RosterError::NotFound(format!(
            "there is no athlete {text:?}; `pulsegate athlete list` shows those there are"
        ))),
        many => {
            let named = many.iter().take(NAMED_MAX);
            let named: Vec<_> =
                named.map(|a| format!("{} ({})", a.display_name, short(a.id))).collect();
            let more = if many.len() > NAMED_MAX { ", …" } else { "" };
            Err(RosterError::Refused(format!(
                "{text:?} may be {}{more}; give the id",
                named.join(" or ")
            )))
        }
    }
}

/// The first digits of an id.
pub fn short(id: AthleteId) -> String {
    id.to_string().chars().take(SHORT).collect()
}

/// The strap of this id or number, else the only one whose id begins or ends so, among those that are known, worn or heard.
/// `None` when there is none.
///
/// # Errors
/// When there is more than one.
pub(super) fn strap(
    people: &People,
    heard: &BTreeSet<StrapId>,
    text: &str,
) -> Result<Option<StrapId>, RosterError> {
    let text = text.trim().trim_start_matches('#');
    let whole = StrapId::new(text).ok();
    let worn =
        people.changes().map(|(strap, _)| strap).filter(|strap| people.wears(strap).is_some());
    let mut candidates: BTreeSet<&StrapId> = heard.iter().chain(worn).collect();
    candidates.extend(people.straps().map(|strap| &strap.id));
    if let Some(id) = &whole
        && candidates.contains(id)
    {
        return Ok(whole);
    }
    if let Some(rental) = text.parse().ok().and_then(|number| people.rental(number)) {
        return Ok(Some(rental.id.clone()));
    }
    let part = text.to_ascii_uppercase();
    if part.len() < PART_MIN {
        return Ok(None);
    }
    let fits = |id: &&&StrapId| id.as_str().starts_with(&part) || id.as_str().ends_with(&part);
    let found: Vec<_> = candidates.iter().filter(fits).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((**one).clone())),
        many => {
            let named: Vec<_> = many.iter().take(NAMED_MAX).map(|id| id.to_string()).collect();
            let more = if many.len() > NAMED_MAX { ", …" } else { "" };
            let text = format!("{text:?} may be {}{more}; give the whole id", named.join(" or "));
            Err(RosterError::Refused(text))
        }
    }
}

/// The straps that are meant by an athlete who wears them or by one of them, and who wears them. A whole id or a number
/// counts before a name, and a name before a part of an id.
///
/// # Errors
/// When there is none, or more than one, or the athlete wears none.
pub fn on_the_floor(
    people: &People,
    heard: &BTreeSet<StrapId>,
    text: &str,
) -> Result<(Vec<StrapId>, Option<Named>), RosterError> {
    let of_strap = |id: StrapId| {
        let wearer = people.wearer(&id).map(|athlete| named(athlete));
        (vec![id], wearer)
    };
    let by_strap = strap(people, heard, text);
    let whole = text.trim().trim_start_matches('#');
    let is_whole = |id: &StrapId| {
        id.as_str().eq_ignore_ascii_case(whole)
            || whole.parse().is_ok_and(|number| people.rental(number).is_some_and(|r| r.id == *id))
    };
    if let Ok(Some(id)) = &by_strap
        && is_whole(id)
    {
        return Ok(of_strap(id.clone()));
    }
    match (athlete(people, text), by_strap) {
        (Ok(athlete), by_strap) => {
            let is_name = athlete.display_name.to_lowercase() == text.trim().to_lowercase();
            if let (false, Ok(Some(id))) = (is_name, &by_strap) {
                let text = format!(
                    "{text:?} may be {} or strap {id}; give the whole name or id",
                    athlete.display_name
                );
                return Err(RosterError::Refused(text));
            }
            let straps = people.worn_now(athlete.id);
            if straps.is_empty() {
                let name = &athlete.display_name;
                return Err(RosterError::Refused(format!(
                    "{name} wears no strap; `pulsegate strap assign STRAP {name:?}` gives them one"
                )));
            }
            Ok((straps, Some(named(&athlete))))
        }
        (Err(RosterError::NotFound(_)), Ok(Some(id))) => Ok(of_strap(id)),
        (Err(RosterError::NotFound(_)), Ok(None)) => Err(RosterError::NotFound(format!(
            "there is nobody and no strap of the name {text:?}; `pulsegate athlete list` and `pulsegate strap list` show \
             who and which there are"
        ))),
        (Err(RosterError::NotFound(_)), Err(error)) | (Err(error), _) => Err(error),
    }
}

/// A person by the name that is shown.
pub(super) fn named(athlete: &Athlete) -> Named {
    Named { athlete: athlete.id, display_name: athlete.display_name.clone() }
}

/// The strap that is meant, as far as it is known.
///
/// # Errors
/// When there is none, or more than one.
pub(super) fn known_strap(people: &People, text: &str) -> Result<StrapId, RosterError> {
    strap(people, &BTreeSet::new(), text)?.ok_or_else(|| no_strap(text))
}

pub(super) fn no_strap(text: &str) -> RosterError {
    RosterError::NotFound(format!(
        "there is no strap {text:?}; `pulsegate strap list` shows those there are"
    ))
}

/// How a strap is called at the desk.
pub fn name_of(people: &People, id: &StrapId) -> String {
    match people.strap(id).map(|strap| strap.of) {
        Some(Of::Rental(number)) => format!("rental {number} ({id})"),
        Some(Of::Owner(_)) | None => id.to_string(),
    }
}
