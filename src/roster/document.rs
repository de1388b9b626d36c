//! What is asked at the desk and what is answered, as it travels over the socket and as `--json` shows it. Fields are only
//! ever added.

use serde::{Deserialize, Serialize};

use super::people::Strap;
use crate::athlete::{Athlete, AthleteId};
use crate::reading::StrapId;

/// An athlete, by the name that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Who.
    pub athlete: AthleteId,
    /// Their name to the room.
    pub display_name: String,
}

/// An athlete in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Who, and everything noted of them.
    #[serde(flatten)]
    pub athlete: Athlete,
    /// Straps of their own.
    pub owns: Vec<StrapId>,
    /// Straps worn now.
    pub wears: Vec<StrapId>,
}

/// An athlete in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// As in a list.
    #[serde(flatten)]
    pub listed: Listed,
    /// Everything they wore, by beginning.
    pub worn: Vec<WornListed>,
}

/// A strap was worn from then until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WornListed {
    /// Which.
    pub strap: StrapId,
    /// From then on, RFC 3339.
    pub from: String,
    /// Until then; `null`: it still is.
    pub to: Option<String>,
}

/// Something was noted of an athlete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AthleteDone {
    /// The athlete as they are known now.
    pub athlete: Athlete,
    /// What may be a mistake, and what to do about it.
    pub warnings: Vec<String>,
}

/// A strap in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrapListed {
    /// Which.
    pub strap: StrapId,
    /// Its number, if it is the house's.
    pub rental: Option<u16>,
    /// Whose it is, if it is somebody's.
    pub owner: Option<Named>,
    /// Who wears it now.
    pub worn_by: Option<Named>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
}

/// Which strap is entered, and whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StrapBody {
    /// As printed.
    pub strap: String,
    /// It is the house's, with this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
    /// It is this athlete's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A strap was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrapDone {
    /// The strap.
    #[serde(flatten)]
    pub strap: Strap,
    /// What may be a mistake, and what to do about it.
    pub warnings: Vec<String>,
}

/// A strap was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Which.
    pub strap: StrapId,
    /// Who wore it until now.
    pub was_worn_by: Option<Named>,
}

/// Who is to wear a strap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignBody {
    /// Id, name, or the beginning of one.
    pub athlete: String,
}

/// A strap was assigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// Which.
    pub strap: StrapId,
    /// How it is called at the desk.
    pub name: String,
    /// Who wears it now.
    pub worn_by: Named,
    /// Who wore it until now.
    pub taken_from: Option<Named>,
    /// Nobody knew it: it was entered as the athlete's own.
    pub new_strap: bool,
    /// Whether anything is other than before.
    pub changed: bool,
    /// What may be a mistake, and what to do about it.
    pub warnings: Vec<String>,
}

/// A strap was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Which.
    pub strap: StrapId,
    /// How it is called at the desk.
    pub name: String,
    /// Who wore it until now; nobody, or somebody who was forgotten, when not given.
    pub was_worn_by: Option<Named>,
}
