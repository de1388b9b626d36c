//! Who is known: athletes, straps, and every change of who wears what. The state, and the records it is made of. Pure.
//!
//! Nothing here knows a file or a clock. A record changes the state in one way only, whether it has just been made or is
//! read again a year later; what is wanted becomes records, and they become the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::activity::UnixMs;
use crate::athlete::{Athlete, AthleteId};
use crate::reading::{At, BootId, ClockTrust, StrapId};

/// Athletes that a box can know: a large gym's members, and as many who left.
pub const ATHLETES_MAX: usize = 10_000;

/// Straps that a box can know.
pub const STRAPS_MAX: usize = 10_000;

/// Changes that are kept, 80 bytes of memory each. Sixty rentals that go out and come back three times a day make as many
/// in a year; then the oldest go.
pub const CHANGES_MAX: usize = 131_072;

/// What is left when there were too many, so that the file is not written anew for each further one.
const CHANGES_LEFT: usize = CHANGES_MAX / 8 * 7;

/// A strap of the house or of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strap {
    /// Which.
    pub id: StrapId,
    /// Whose.
    #[serde(flatten)]
    pub of: Of,
    /// When the box came to know it.
    pub added: UnixMs,
}

/// Whose a strap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// The house's, with this number written on it.
    Rental(u16),
    /// A person's.
    Owner(AthleteId),
}

/// Who wears a strap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wearer {
    /// This athlete.
    Athlete(AthleteId),
    /// Somebody who was forgotten.
    Somebody,
}

impl Wearer {
    /// Who, unless forgotten.
    pub fn athlete(self) -> Option<AthleteId> {
        match self {
            Self::Athlete(id) => Some(id),
            Self::Somebody => None,
        }
    }
}

/// From here on somebody else wears the strap, or nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Among all changes, in the order they were made. Counts anew whenever the file is read.
    pub order: u64,
    /// When.
    pub at: At,
    /// Who.
    pub by: Option<Wearer>,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// An athlete, new or changed.
    Athlete(Box<Athlete>),
    /// A strap, new or changed.
    Strap(Strap),
    /// A strap is not the house's or the person's any more. Who wore it stays.
    Removed(StrapId),
    /// A strap has changed hands.
    Worn {
        /// Which.
        strap: StrapId,
        /// Who wears it now.
        by: Option<Wearer>,
        /// From when on.
        #[serde(with = "stamp")]
        at: At,
    },
}

/// A stamp as stored: boot, microseconds since, offset of the wall clock, and how far that was believed.
mod stamp {
    use super::{At, BootId, ClockTrust, Deserialize, Serialize};
    use serde::{Deserializer, Serializer};

    type Stored = (BootId, u64, i64, ClockTrust);

    pub(super) fn serialize<S: Serializer>(at: &At, to: S) -> Result<S::Ok, S::Error> {
        (at.boot, at.mono_us, at.wall_offset_us, at.trust).serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<At, D::Error> {
        let (boot, mono_us, wall_offset_us, trust) = Stored::deserialize(from)?;
        Ok(At { boot, mono_us, wall_offset_us, trust })
    }
}

/// Everybody and everything that is known. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct People {
    athletes: BTreeMap<AthleteId, Arc<Athlete>>,
    straps: BTreeMap<StrapId, Strap>,
    worn: BTreeMap<StrapId, Arc<Vec<Change>>>,
    changes: usize,
    next: u64,
}

impl People {
    /// All athletes, by id.
    pub fn athletes(&self) -> impl Iterator<Item = &Arc<Athlete>> {
        self.athletes.values()
    }

    /// One athlete.
    pub fn athlete(&self, id: AthleteId) -> Option<&Arc<Athlete>> {
        self.athletes.get(&id)
    }

    /// All straps of the house and of people, by id.
    pub fn straps(&self) -> impl Iterator<Item = &Strap> {
        self.straps.values()
    }

    /// One strap.
    pub fn strap(&self, id: &StrapId) -> Option<&Strap> {
        self.straps.get(id)
    }

    /// Whether a strap is the house's or somebody's, or is worn.
    pub fn knows(&self, strap: &StrapId) -> bool {
        self.straps.contains_key(strap) || self.wears(strap).is_some()
    }

    /// The rental with this number.
    pub fn rental(&self, number: u16) -> Option<&Strap> {
        self.straps.values().find(|strap| strap.of == Of::Rental(number))
    }

    /// Who wears a strap now: whoever took it last, whatever any clock said.
    pub fn wears(&self, strap: &StrapId) -> Option<Wearer> {
        self.last(strap)?.by
    }

    /// The athlete who wears a strap now.
    pub fn wearer(&self, strap: &StrapId) -> Option<&Arc<Athlete>> {
        self.athlete(self.wears(strap)?.athlete()?)
    }

    /// The straps that an athlete wears now.
    pub fn worn_now(&self, athlete: AthleteId) -> Vec<StrapId> {
        let wears = |strap: &&StrapId| self.wears(strap) == Some(Wearer::Athlete(athlete));
        self.worn.keys().filter(wears).cloned().collect()
    }

    /// The last change of a strap.
    pub fn last(&self, strap: &StrapId) -> Option<&Change> {
        self.worn.get(strap)?.last()
    }

    /// Every strap's changes, in the order they were made.
    pub fn changes(&self) -> impl Iterator<Item = (&StrapId, &[Change])> {
        self.worn.iter().map(|(strap, changes)| (strap, changes.as_slice()))
    }

    /// One strap's changes, in the order they were made.
    pub fn changes_of(&self, strap: &StrapId) -> &[Change] {
        self.worn.get(strap).map_or(&[], |changes| changes.as_slice())
    }

    /// Makes a record true.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Athlete(athlete) => {
                self.athletes.insert(athlete.id, Arc::new(*athlete));
            }
            Record::Strap(strap) => {
                self.straps.insert(strap.id.clone(), strap);
            }
            Record::Removed(id) => {
                self.straps.remove(&id);
            }
            Record::Worn { strap, by, at } => {
                let order = self.next;
                self.next += 1;
                self.changes += 1;
                let changes = Arc::make_mut(self.worn.entry(strap).or_default());
                changes.push(Change { order, at, by });
            }
        }
    }

    /// What makes a strap worn by an athlete from now on; nothing if it is already. Whoever wore it does so no longer. A
    /// strap that nobody knew is the athlete's own.
    pub fn assigned(&self, strap: &StrapId, athlete: AthleteId, at: At) -> Vec<Record> {
        let mut records = Vec::new();
        if self.strap(strap).is_none() {
            let (of, added) = (Of::Owner(athlete), UnixMs(at.unix_us() / 1000));
            records.push(Record::Strap(Strap { id: strap.clone(), of, added }));
        }
        let by = Some(Wearer::Athlete(athlete));
        if self.wears(strap) != by {
            records.push(Record::Worn { strap: strap.clone(), by, at });
        }
        records
    }

    /// What makes a strap worn by nobody from now on; nothing if nobody wears it.
    pub fn released(&self, strap: &StrapId, at: At) -> Vec<Record> {
        if self.wears(strap).is_none() {
            return Vec::new();
        }
        vec![Record::Worn { strap: strap.clone(), by: None, at }]
    }

    /// Takes an athlete out: the person and their own straps go, what they wore was worn by somebody, and what they still
    /// wear is worn by nobody from now on. Returns how many changes spoke of them, and the straps that went.
    pub fn forget(&mut self, athlete: AthleteId, at: At) -> (u64, Vec<StrapId>) {
        for strap in self.worn_now(athlete) {
            self.apply(Record::Worn { strap, by: None, at });
        }
        let mut spoken = 0;
        for changes in self.worn.values_mut() {
            let speaks = |change: &&mut Change| change.by == Some(Wearer::Athlete(athlete));
            if !changes.iter().any(|change| change.by == Some(Wearer::Athlete(athlete))) {
                continue;
            }
            for change in Arc::make_mut(changes).iter_mut().filter(speaks) {
                change.by = Some(Wearer::Somebody);
                spoken += 1;
            }
        }
        let own = |strap: &&Strap| strap.of == Of::Owner(athlete);
        let own: Vec<_> = self.straps.values().filter(own).map(|strap| strap.id.clone()).collect();
        for strap in &own {
            self.straps.remove(strap);
        }
        self.athletes.remove(&athlete);
        (spoken, own)
    }

    /// Lets the oldest changes go when there are too many. What is worn now stays. Returns how many went.
    pub fn thin_out(&mut self, max: usize) -> usize {
        if self.changes <= max {
            return 0;
        }
        let left = CHANGES_LEFT.min(max / 8 * 7);
        let older = |changes: &[Change]| -> Vec<u64> {
            changes.iter().rev().skip(1).map(|change| change.order).collect()
        };
        let mut orders: Vec<u64> = self.worn.values().flat_map(|changes| older(changes)).collect();
        orders.sort_unstable();
        let surplus = (self.changes - left).min(orders.len());
        let Some(newest_gone) = surplus.checked_sub(1).and_then(|n| orders.get(n)).copied() else {
            return 0;
        };
        for changes in self.worn.values_mut() {
            let last = changes.last().map(|change| change.order);
            let stays = |change: &Change| change.order > newest_gone || Some(change.order) == last;
            if !changes.iter().all(stays) {
                Arc::make_mut(changes).retain(stays);
            }
        }
        self.changes -= surplus;
        // A strap that nobody wears, and of which nothing else is known, has nothing to say.
        let says =
            |changes: &Vec<Change>| changes.len() > 1 || changes.iter().any(|c| c.by.is_some());
        self.worn.retain(|_, changes| says(changes));
        self.changes = self.worn.values().map(|changes| changes.len()).sum();
        surplus
    }

    /// How many records say all this.
    pub fn len(&self) -> usize {
        self.athletes.len() + self.straps.len() + self.changes
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records that say all this, changes in the order they were made.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let athletes = self.athletes.values();
        let athletes = athletes.map(|athlete| Record::Athlete(Box::new((**athlete).clone())));
        let straps = self.straps.values().cloned().map(Record::Strap);
        let changes =
            self.changes().flat_map(|(strap, changes)| changes.iter().map(move |c| (strap, c)));
        let mut changes: Vec<(&StrapId, &Change)> = changes.collect();
        changes.sort_unstable_by_key(|(_, change)| change.order);
        let changes = changes.into_iter().map(|(strap, change)| Record::Worn {
            strap: strap.clone(),
            by: change.by,
            at: change.at,
        });
        athletes.chain(straps).chain(changes)
    }
}
