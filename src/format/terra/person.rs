//! Terra's user, athlete, and what happens to users: authenticated, deauthenticated, authenticated again.

use serde::Serialize;

use super::VERSION;
use super::time::Stamp;
use crate::activity::UnixMs;
use crate::athlete::{Athlete, AthleteId, Sex};

/// Whose straps they are: backends know heart rate of Polar under this name.
pub const PROVIDER: &str = "POLAR";

/// Terra's `TerraUser`: the athlete, as a connection of the backend. `user_id` is the [`AthleteId`].
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "TerraUser"))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct User<'a> {
    #[cfg_attr(test, schemars(with = "uuid::Uuid"))]
    user_id: AthleteId,
    provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_id: Option<&'a str>,
    active: bool,
    /// `null` if that is not known any more.
    created_at: Option<Stamp>,
    /// `null` if nothing was sent before.
    last_webhook_update: Option<Stamp>,
}

impl<'a> User<'a> {
    /// An athlete, and when data of theirs was last sent.
    pub fn new(athlete: &'a Athlete, last_update: Option<UnixMs>) -> Self {
        Self {
            user_id: athlete.id,
            provider: PROVIDER,
            reference_id: athlete.reference_id.as_deref(),
            active: true,
            created_at: Some(Stamp::utc(athlete.created)),
            last_webhook_update: last_update.map(Stamp::utc),
        }
    }

    /// Somebody of whom nothing is left but the number, or is to be told.
    pub fn of_number(athlete: AthleteId) -> Self {
        Self {
            user_id: athlete,
            provider: PROVIDER,
            reference_id: None,
            active: true,
            created_at: None,
            last_webhook_update: None,
        }
    }

    /// The same, of whom nothing more will come.
    #[must_use]
    pub fn inactive(self) -> Self {
        Self { active: false, ..self }
    }
}

/// Terra's `Athlete`. The name is the one shown to the room; the legal one stays on the box.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Athlete"))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Person<'a> {
    first_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    sex: Option<Sex>,
    #[cfg_attr(test, schemars(with = "uuid::Uuid"))]
    provider_user_id: AthleteId,
    /// A date.
    account_creation_date: String,
}

/// Who somebody is.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AthleteEvent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
    user: User<'a>,
    athlete: Person<'a>,
}

impl<'a> AthleteEvent<'a> {
    /// An athlete; `this_year` for the age, of which only the year of birth is known: that of the last day of the year.
    pub fn new(athlete: &'a Athlete, last_update: Option<UnixMs>, this_year: u16) -> Self {
        let created = Stamp::utc(athlete.created).to_string();
        let date = created.split('T').next().unwrap_or_default().to_owned();
        let age = athlete.profile.birth_year.and_then(|born| this_year.checked_sub(born));
        Self {
            kind: "athlete",
            version: VERSION,
            user: User::new(athlete, last_update),
            athlete: Person {
                first_name: &athlete.display_name,
                age,
                sex: athlete.profile.sex,
                provider_user_id: athlete.id,
                account_creation_date: date,
            },
        }
    }
}

/// What happens to a user.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum UserEvent<'a> {
    /// Data of this user will come.
    Auth {
        /// `success`.
        status: &'static str,
        /// Who.
        user: User<'a>,
        /// In words.
        message: &'static str,
    },
    /// No further data of this user will come.
    Deauth {
        /// `success`.
        status: &'static str,
        /// Who.
        user: User<'a>,
        /// In words.
        message: &'static str,
    },
    /// The user has another id from now on.
    UserReauth {
        /// `warning`.
        status: &'static str,
        /// Version of the payload.
        version: &'static str,
        /// As known from now on.
        new_user: User<'a>,
        /// As known before.
        old_user: User<'a>,
        /// In words.
        message: &'static str,
    },
}

impl<'a> UserEvent<'a> {
    /// Somebody agreed to the sending of their data.
    pub fn auth(user: User<'a>) -> Self {
        Self::Auth {
            status: "success",
            user,
            message: "The athlete has agreed to the sending of data",
        }
    }

    /// Somebody withdrew, or was forgotten.
    pub fn deauth(user: User<'a>) -> Self {
        Self::Deauth {
            status: "success",
            user: user.inactive(),
            message: "The athlete has withdrawn",
        }
    }

    /// Somebody was entered anew: what belonged to `old_user` is theirs.
    pub fn reauth(old_user: User<'a>, new_user: User<'a>) -> Self {
        Self::UserReauth {
            status: "warning",
            version: VERSION,
            new_user,
            old_user: old_user.inactive(),
            message: "The athlete has another id from now on",
        }
    }
}
