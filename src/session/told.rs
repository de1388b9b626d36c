//! What is said to the tracker and what it says: sessions, classes, who wears what. Plain data.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::classes::Begun;
use super::summary::SessionSummary;
use crate::activity::UnixMs;
use crate::athlete::{AthleteId, Profile};
use crate::reading::{At, EntryId, StrapId};
use crate::timeline::Placed;

/// Namespace of session ids, a UUIDv4 made once. It must never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x20c2_fb49_3a4c_436d_807a_7695_70e7_1374);

/// Which session. Whoever works it out from the same log finds the same id, so that a repeat overwrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// UUIDv5 of the gateway's id, the strap and the place in the log of the session's first reading, with a `/` between.
    pub fn new(gateway: &str, strap: &StrapId, first: EntryId) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("{gateway}/{strap}/{first}").as_bytes()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which class.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassId(pub Uuid);

/// A class: what several people do together.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Which.
    pub id: ClassId,
    /// What it is called.
    pub name: String,
    /// When it began.
    #[serde(with = "crate::activity::in_words")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub from: UnixMs,
    /// When it ends, as planned. Its sessions end then, or when [`Command::ClassEnded`] says so before.
    #[serde(with = "crate::activity::in_words")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub to: UnixMs,
}

/// Who wears a strap, and what the arithmetic must know of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wearer {
    /// Who.
    pub athlete: AthleteId,
    /// What is known of the body.
    pub profile: Profile,
}

/// What people do that no strap tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// From now on this person wears the strap, or nobody does. For the same person it corrects the profile.
    Wears {
        /// Which strap.
        strap: StrapId,
        /// Who.
        wearer: Option<Wearer>,
    },
    /// Whoever wears the strap begins now.
    CheckIn {
        /// Which strap.
        strap: StrapId,
        /// What they take part in.
        class: Option<Class>,
    },
    /// Whoever wears the strap is done.
    CheckOut {
        /// Which strap.
        strap: StrapId,
    },
    /// A class begins.
    ClassBegan {
        /// The class.
        class: Box<Begun>,
    },
    /// A class is over, and so is what its members did.
    ClassEnded {
        /// Which.
        class: ClassId,
    },
}

/// A session that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Of which strap.
    pub strap: StrapId,
    /// Whose; `None` when nobody was known to wear the strap.
    pub athlete: Option<AthleteId>,
    /// As part of which class.
    pub class: Option<Class>,
    /// Place in the log of its first reading.
    pub first: EntryId,
    /// Stamp of its first reading.
    pub began: At,
    /// The time of that, as known when this was told.
    pub start: Placed,
}

/// A session that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Which.
    pub session: Session,
    /// Place in the log of its last heart rate: its readings are those of its strap from [`Session::first`] to here.
    pub last: EntryId,
    /// What it sums up to. It ended [`SessionSummary::elapsed_s`] after its start.
    pub summary: SessionSummary,
    /// Why it ended.
    pub why: Why,
}

/// Why a session ended.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// No heart rate for a while.
    Silence,
    /// The box was away for too long to say that it went on.
    Outage,
    /// They checked out.
    CheckOut,
    /// Their class ended, or they went on to another.
    ClassEnded,
    /// The strap went to somebody else.
    WearerChanged,
}

/// What the tracker says.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A session has begun.
    Started(Box<Session>),
    /// A session has ended. After a loss of state it may be told again, under the same id: the later word counts.
    Ended(Box<Ended>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_keeps_its_id_for_ever() {
        let strap = StrapId::new("9F6E5322").unwrap();
        let id = SessionId::new("box-1", &strap, EntryId(42));
        assert_eq!(id.to_string(), "7a01b0c6-8d62-5492-98eb-5b5244e1c1f7");
        assert_ne!(id, SessionId::new("box-1", &strap, EntryId(43)));
        assert_ne!(id, SessionId::new("box-2", &strap, EntryId(42)));
    }
}
