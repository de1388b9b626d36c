//! What is done at the desk. `pulsegate athlete` and `pulsegate strap` on the folder of a stopped daemon and the local API
//! of a running one call the same functions, so that both do the same.

use std::collections::BTreeSet;

use super::people::{ATHLETES_MAX, Of, People, Record, STRAPS_MAX, Strap};
use super::worn::Wearing;
use super::{
    AssignBody, Assigned, AthleteDone, Edit, Listed, Released, Removed, Roster, RosterError, Shown,
    StrapBody, StrapDone, StrapListed, WornListed, find,
};
use crate::activity::UnixMs;
use crate::athlete::{Athlete, AthleteId, Hide, Profile};
use crate::format::samples::rfc3339;
use crate::reading::{At, ClockTrust, StrapId};
use crate::secret;
use crate::sensor::polar_name::{CheckDigit, check_digit};
use crate::timeline::Timeline;

/// Digits of an id as Polar prints it, and of an address.
const ID_DIGITS: [usize; 2] = [8, 12];

/// What the desk has to know of the moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Now, by both clocks.
    pub at: At,
    /// The same in microseconds of Unix time, as well as is known.
    pub unix_us: i64,
    /// Straps that are heard; `None`: nobody listens.
    pub heard: Option<BTreeSet<StrapId>>,
}

impl Moment {
    fn now(&self) -> UnixMs {
        UnixMs(self.unix_us / 1000)
    }

    fn hears(&self, strap: &StrapId) -> bool {
        self.heard.as_ref().is_some_and(|heard| heard.contains(strap))
    }
}

/// Everybody, by name.
pub fn athletes(people: &People) -> Vec<Listed> {
    let mut listed: Vec<Listed> =
        people.athletes().map(|athlete| listed(people, athlete)).collect();
    listed.sort_by_cached_key(|one| (one.athlete.display_name.to_lowercase(), one.athlete.id));
    listed
}

fn listed(people: &People, athlete: &Athlete) -> Listed {
    let owns = people.straps().filter(|strap| strap.of == Of::Owner(athlete.id));
    Listed {
        owns: owns.map(|strap| strap.id.clone()).collect(),
        wears: people.worn_now(athlete.id),
        athlete: athlete.clone(),
    }
}

/// One athlete, with everything they wore.
///
/// # Errors
/// When it is not clear who is meant.
pub fn show(people: &People, wearing: &Wearing, who: &str) -> Result<Shown, RosterError> {
    let athlete = find::athlete(people, who)?;
    let worn = wearing.worn_by(athlete.id, i64::MIN..i64::MAX).into_iter().map(|worn| WornListed {
        strap: worn.strap,
        from: rfc3339(worn.from_us),
        to: worn.to_us.map(rfc3339),
    });
    Ok(Shown { worn: worn.collect(), listed: listed(people, &athlete) })
}

/// Enters an athlete.
///
/// # Errors
/// When what is noted makes no sense, or cannot be kept.
pub fn add(roster: &Roster, edit: &Edit, moment: &Moment) -> Result<AthleteDone, RosterError> {
    if edit.display_name.is_none() {
        return Err(RosterError::Refused("an athlete needs a display name".to_owned()));
    }
    let id = secret::random_uuid()
        .map_err(RosterError::disk("asking for randomness", "/dev/urandom".as_ref()))?;
    roster.change(|people| {
        if people.athletes().count() >= ATHLETES_MAX {
            let text = format!(
                "there are {ATHLETES_MAX} athletes, which is the most; forget those who left"
            );
            return Err(RosterError::Refused(text));
        }
        let mut athlete = Athlete {
            id: AthleteId(id),
            display_name: String::new(),
            legal_name: None,
            reference_id: None,
            profile: Profile::default(),
            hide: Hide::default(),
            consent: None,
            accounts: Vec::new(),
            created: moment.now(),
        };
        edit.onto(&mut athlete, moment.now())?;
        Ok(noted(people, athlete, edit, moment))
    })
}

/// Notes something of an athlete.
///
/// # Errors
/// As for [`add`], and when it is not clear who is meant.
pub fn edit(
    roster: &Roster,
    who: &str,
    edit: &Edit,
    moment: &Moment,
) -> Result<AthleteDone, RosterError> {
    roster.change(|people| {
        let mut athlete = (*find::athlete(people, who)?).clone();
        edit.onto(&mut athlete, moment.now())?;
        Ok(noted(people, athlete, edit, moment))
    })
}

fn noted(
    people: &People,
    athlete: Athlete,
    edit: &Edit,
    moment: &Moment,
) -> (Vec<Record>, AthleteDone) {
    let mut warnings = Vec::new();
    let is_same = |other: &&std::sync::Arc<Athlete>| {
        other.id != athlete.id
            && other.display_name.to_lowercase() == athlete.display_name.to_lowercase()
    };
    if edit.display_name.is_some() && people.athletes().any(|other| is_same(&other)) {
        warnings.push(format!(
            "there is another {:?}: nobody can tell them apart on the wall, and commands need their ids",
            athlete.display_name
        ));
    }
    if edit.consent.is_some() && moment.at.trust == ClockTrust::Unset {
        warnings.push(
            "the clock of this box was never set, so the consent has a wrong time; note it again once \
             `pulsegate status` shows the right one"
                .to_owned(),
        );
    }
    let records = match people.athlete(athlete.id) {
        Some(known) if **known == athlete => Vec::new(),
        _ => vec![Record::Athlete(Box::new(athlete.clone()))],
    };
    (records, AthleteDone { athlete, warnings })
}

/// Every strap that is known or worn: rentals by number, then the others by id.
pub fn straps(people: &People, timeline: &Timeline) -> Vec<StrapListed> {
    let mut ids: BTreeSet<&StrapId> = people.straps().map(|strap| &strap.id).collect();
    // One that is neither the house's nor anybody's any more is of interest while somebody has it on.
    ids.extend(people.changes().map(|(id, _)| id).filter(|id| people.wears(id).is_some()));
    let mut listed: Vec<StrapListed> = ids
        .into_iter()
        .map(|id| {
            let of = people.strap(id).map(|strap| strap.of);
            let worn = people.last(id).filter(|last| last.by.is_some());
            StrapListed {
                strap: id.clone(),
                rental: match of {
                    Some(Of::Rental(number)) => Some(number),
                    Some(Of::Owner(_)) | None => None,
                },
                owner: match of {
                    Some(Of::Owner(owner)) => {
                        people.athlete(owner).map(|athlete| find::named(athlete))
                    }
                    Some(Of::Rental(_)) | None => None,
                },
                worn_by: people.wearer(id).map(|athlete| find::named(athlete)),
                since: worn.map(|last| rfc3339(timeline.place(&last.at).unix_us)),
            }
        })
        .collect();
    listed.sort_by(|a, b| {
        (a.rental.is_none(), a.rental, &a.strap).cmp(&(b.rental.is_none(), b.rental, &b.strap))
    });
    listed
}

/// The strap that is meant: one that is known or heard, else a new one as it is printed.
fn strap_or_new(
    people: &People,
    text: &str,
    moment: &Moment,
) -> Result<(StrapId, Vec<String>), RosterError> {
    let nobody = BTreeSet::new();
    let heard = moment.heard.as_ref().unwrap_or(&nobody);
    if let Some(id) = find::strap(people, heard, text)? {
        let is_new = people.strap(&id).is_none();
        return Ok((id.clone(), if is_new { warnings(&id, moment) } else { Vec::new() }));
    }
    let id = StrapId::new(text.trim()).map_err(|error| RosterError::Refused(error.to_string()))?;
    let is_hex = id.as_str().bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !ID_DIGITS.contains(&id.as_str().len()) {
        return Err(RosterError::NotFound(format!(
            "there is no strap {text:?}, by id or by number, and none that is heard. A new one is given with all \
             8 digits as Polar prints them, or with the 12 of its address (`pulsegate scan` shows them)"
        )));
    }
    let warnings = warnings(&id, moment);
    Ok((id, warnings))
}

/// What may be a slip of the fingers. A strap that is heard is there, whatever its digits say.
fn warnings(id: &StrapId, moment: &Moment) -> Vec<String> {
    if moment.hears(id) || check_digit(id) != CheckDigit::Differs {
        return Vec::new();
    }
    let heard = match &moment.heard {
        Some(_) => "and no such strap is heard at the moment",
        None => "and whether it is in the room nobody knows while the daemon is stopped",
    };
    vec![format!(
        "{id} is perhaps mistyped: its last digit does not fit the others, as it does on an H10, {heard}. \
         It was taken as it is. Compare it with the print; if it is wrong, `pulsegate strap remove {id}` and enter it again"
    )]
}

fn room_for_strap(people: &People) -> Result<(), RosterError> {
    if people.straps().count() < STRAPS_MAX {
        return Ok(());
    }
    let text =
        format!("there are {STRAPS_MAX} straps, which is the most; remove those that are gone");
    Err(RosterError::Refused(text))
}

/// Makes a strap the house's, with a number, or somebody's own.
///
/// # Errors
/// When it is somebody's or has another number already, or the number is taken.
pub fn add_strap(
    roster: &Roster,
    body: &StrapBody,
    moment: &Moment,
) -> Result<StrapDone, RosterError> {
    roster.change(|people| {
        let (id, warnings) = strap_or_new(people, &body.strap, moment)?;
        let of = match (body.number, &body.owner) {
            (Some(number), None) => Of::Rental(number),
            (None, Some(owner)) => Of::Owner(find::athlete(people, owner)?.id),
            _ => {
                let text = "a strap is the house's, with a number, or somebody's own: give one of the two";
                return Err(RosterError::Refused(text.to_owned()));
            }
        };
        if let Of::Rental(number) = of
            && let Some(other) = people.rental(number).filter(|other| other.id != id)
        {
            return Err(RosterError::Refused(format!(
                "rental {number} is strap {}; choose another number, or `pulsegate strap remove {number}` first",
                other.id
            )));
        }
        let known = people.strap(&id);
        if let Some(known) = known.filter(|known| known.of != of) {
            let whose = match known.of {
                Of::Rental(number) => format!("rental {number}"),
                Of::Owner(owner) => {
                    let owner = people.athlete(owner).map(|athlete| athlete.display_name.as_str());
                    format!("the own one of {}", owner.unwrap_or("somebody"))
                }
            };
            return Err(RosterError::Refused(format!(
                "strap {id} is {whose}; `pulsegate strap remove {id}` first. Who wore it stays known"
            )));
        }
        if known.is_none() {
            room_for_strap(people)?;
        }
        let strap = Strap { id, of, added: moment.now() };
        let records = known.map_or_else(|| vec![Record::Strap(strap.clone())], |_| Vec::new());
        Ok((records, StrapDone { strap, warnings }))
    })
}

/// A strap is not the house's or somebody's any more. Whoever wears it does so no longer; who wore it stays known.
///
/// # Errors
/// When it is not clear which is meant.
pub fn remove_strap(roster: &Roster, which: &str, moment: &Moment) -> Result<Removed, RosterError> {
    roster.change(|people| {
        let strap = find::known_strap(people, which)?;
        if people.strap(&strap).is_none() && people.wears(&strap).is_none() {
            return Err(find::no_strap(which));
        }
        let was_worn_by = people.wearer(&strap).map(|athlete| find::named(athlete));
        let mut records = people.released(&strap, moment.at);
        records.extend(people.strap(&strap).map(|_| Record::Removed(strap.clone())));
        Ok((records, Removed { strap, was_worn_by }))
    })
}

/// An athlete wears a strap from now on. Whoever wore it does so no longer.
///
/// # Errors
/// When it is not clear who or which is meant.
pub fn assign(
    roster: &Roster,
    which: &str,
    body: &AssignBody,
    moment: &Moment,
) -> Result<Assigned, RosterError> {
    roster.change(|people| {
        let athlete = find::athlete(people, &body.athlete)?;
        let (strap, mut warnings) = strap_or_new(people, which, moment)?;
        let before = people.wearer(&strap).filter(|before| before.id != athlete.id);
        let taken_from = before.map(|athlete| find::named(athlete));
        if people.strap(&strap).is_none() {
            room_for_strap(people)?;
        }
        let mut records = people.assigned(&strap, athlete.id, moment.at);
        for record in &mut records {
            if let Record::Strap(new) = record {
                new.added = moment.now();
            }
        }
        let also = people.worn_now(athlete.id).into_iter().find(|other| *other != strap);
        warnings.extend(also.map(|other| {
            format!(
                "{} also wears {}: both count. `pulsegate strap release {other}` if it was handed back",
                athlete.display_name,
                find::name_of(people, &other)
            )
        }));
        let told = Assigned {
            name: find::name_of(people, &strap),
            strap,
            worn_by: find::named(&athlete),
            taken_from,
            new_strap: matches!(records.first(), Some(Record::Strap(_))),
            changed: !records.is_empty(),
            warnings,
        };
        Ok((records, told))
    })
}

/// Nobody wears a strap from now on. One that nobody wears is no mistake.
///
/// # Errors
/// When it is not clear which is meant.
pub fn release(roster: &Roster, which: &str, moment: &Moment) -> Result<Released, RosterError> {
    roster.change(|people| {
        let strap = find::known_strap(people, which)?;
        let records = people.released(&strap, moment.at);
        let was_worn_by = people.wearer(&strap).map(|athlete| find::named(athlete));
        let name = find::name_of(people, &strap);
        Ok((records, Released { strap, name, was_worn_by }))
    })
}

/// Every rental comes back: the class is over.
///
/// # Errors
/// When it cannot be kept.
pub fn release_rentals(roster: &Roster, moment: &Moment) -> Result<Vec<Released>, RosterError> {
    roster.change(|people| {
        let mut rentals: Vec<(u16, &StrapId)> = people
            .straps()
            .filter_map(|strap| match strap.of {
                Of::Rental(number) => Some((number, &strap.id)),
                Of::Owner(_) => None,
            })
            .filter(|(_, id)| people.wears(id).is_some())
            .collect();
        rentals.sort_unstable();
        let told = rentals.iter().map(|(_, id)| Released {
            strap: (*id).clone(),
            name: find::name_of(people, id),
            was_worn_by: people.wearer(id).map(|athlete| find::named(athlete)),
        });
        let records = rentals.iter().flat_map(|(_, id)| people.released(id, moment.at));
        Ok((records.collect(), told.collect()))
    })
}
