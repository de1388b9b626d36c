//! The people: who they are to the box, and what it must know to say what a heart rate means for them. Plain data.
//!
//! Two names, kept apart: the one that is shown to the room, and the legal one, which leaves only where somebody has to
//! know it. `Option` means "not known": what would need it is then left out, never guessed.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::activity::UnixMs;

/// Which athlete: a UUIDv4 made once, never reused. It is the `user_id` that backends see.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AthleteId(pub Uuid);

impl fmt::Display for AthleteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One athlete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Athlete {
    /// Which.
    pub id: AthleteId,
    /// The name shown to the room.
    pub display_name: String,
    /// The name in the operator's books. Never on the wall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_name: Option<String>,
    /// What the operator's own system calls this person (Terra: `reference_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<String>,
    /// What the arithmetic needs.
    #[serde(default)]
    pub profile: Profile,
    /// What is not to be shown.
    #[serde(default)]
    pub hide: Hide,
    /// Agreement to what the box does with health data; nothing of a person leaves without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// Accounts elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// When the box came to know this person.
    pub created: UnixMs,
}

/// What the arithmetic must know of a body.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// Year of birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_year: Option<u16>,
    /// Sex, for formulas that have one for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sex: Option<Sex>,
    /// Weight in kilograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_kg: Option<f64>,
    /// Highest heart rate; where it is not known it is made from the age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hr: Option<MaxHr>,
    /// When that was raised because it had been exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hr_raised: Option<Raised>,
    /// Heart rate at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resting_hr: Option<RestingHr>,
    /// Where zones 1 to 5 begin, in beats per minute, rising; steps of ten percent of the maximum when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones_from_bpm: Option<[u16; 5]>,
}

/// Sex, as formulas distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

/// A highest heart rate and where it comes from.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxHr {
    /// Beats per minute.
    pub bpm: u16,
    /// Where it comes from.
    pub origin: MaxHrOrigin,
}

impl MaxHr {
    /// As a profile notes it: one that comes from the age is worked out anew each time.
    pub fn as_noted(self) -> Option<Self> {
        matches!(self.origin, MaxHrOrigin::Given | MaxHrOrigin::Exceeded).then_some(self)
    }
}

/// A highest heart rate was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// From what.
    pub from: MaxHr,
    /// When the session ended that exceeded it, or when somebody decided about it.
    pub at: UnixMs,
    /// Nobody has confirmed or rejected it yet.
    pub open: bool,
}

/// Where a highest heart rate comes from.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxHrOrigin {
    /// Somebody said so.
    Given,
    /// 211 − 0.64 × age (HUNT study, Nes 2013).
    Hunt,
    /// 208 − 0.7 × age (Tanaka 2001).
    Tanaka,
    /// 220 − age.
    Age220,
    /// Exceeded for thirty seconds, and to be confirmed.
    Exceeded,
}

/// A heart rate at rest and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestingHr {
    /// Beats per minute.
    pub bpm: u16,
    /// Where it comes from.
    pub origin: RestingHrOrigin,
}

/// Where a heart rate at rest comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestingHrOrigin {
    /// Somebody said so.
    Given,
    /// Another account of the athlete told it.
    Account,
}

/// What is not to be shown to the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Hide {
    /// The whole tile.
    pub tile: bool,
    /// Numbers: only the zone is shown.
    pub numbers: bool,
    /// The place in a ranking.
    pub ranking: bool,
}

/// Agreement, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// When.
    pub at: UnixMs,
    /// To which text, such as its version.
    pub text: String,
}

/// An account of the athlete elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Where: `strava`, `intervals`.
    pub provider: String,
    /// The athlete's id there.
    pub user: String,
}
