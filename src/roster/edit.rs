//! What is to be noted of an athlete, as it is typed and as it travels; and what of it makes sense.

use std::ops::RangeInclusive;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{RosterError, raise};
use crate::activity::UnixMs;
use crate::athlete::{
    Account, Athlete, Consent, Hide, MaxHr, MaxHrOrigin, RestingHr, RestingHrOrigin, Sex,
};

/// Longest texts, in characters: a name that is shown, other names and numbers, the text that was agreed to.
const DISPLAY_MAX: usize = 40;
const TEXT_MAX: usize = 200;
const CONSENT_MAX: usize = 500;

/// Accounts of one athlete.
const ACCOUNTS_MAX: usize = 16;

const BIRTH_YEAR_MIN: u16 = 1900;
/// A box whose clock was never set knows no later year.
const YEAR_MIN: i16 = 2026;
const WEIGHT_KG: RangeInclusive<f64> = 20.0..=350.0;
const MAX_HR_BPM: RangeInclusive<u16> = 100..=240;
const RESTING_HR_BPM: RangeInclusive<u16> = 25..=120;
const ZONES_BPM: RangeInclusive<u16> = 30..=240;

/// What is to be noted of an athlete. What is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edit {
    /// The name shown to the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The name in the operator's books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_name: Option<String>,
    /// What the operator's own system calls this person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_id: Option<String>,
    /// Year of birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_year: Option<u16>,
    /// Sex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sex: Option<Sex>,
    /// Weight in kilograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_kg: Option<f64>,
    /// Highest heart rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hr_bpm: Option<u16>,
    /// Heart rate at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resting_hr_bpm: Option<u16>,
    /// Where zones 1 to 5 begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones_from_bpm: Option<[u16; 5]>,
    /// What is not to be shown; exactly this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hide: Option<Hide>,
    /// The text that was agreed to just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// Accounts elsewhere, each in the place of one at the same provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<Account>,
    /// Whether a highest heart rate that was raised is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised_max_hr: Option<Decision>,
    /// What is not to be known any more. This comes first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<Field>,
}

/// What somebody says of a highest heart rate that was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is right.
    Confirm,
    /// It is as it was before.
    Reject,
}

/// What may be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The name in the operator's books.
    LegalName,
    /// What the operator's own system calls this person.
    Reference,
    /// Year of birth.
    BirthYear,
    /// Sex.
    Sex,
    /// Weight.
    Weight,
    /// Highest heart rate.
    MaxHr,
    /// Heart rate at rest.
    RestingHr,
    /// Zones of their own.
    Zones,
    /// What is not to be shown.
    Hide,
    /// Agreement.
    Consent,
    /// Accounts elsewhere.
    Accounts,
}

impl Edit {
    /// Notes it, if it makes sense.
    ///
    /// # Errors
    /// What does not make sense, and what would; then `athlete` is to be thrown away.
    pub fn onto(&self, athlete: &mut Athlete, now: UnixMs) -> Result<(), RosterError> {
        self.clear.iter().for_each(|field| clear(athlete, *field));
        match self.raised_max_hr {
            Some(Decision::Confirm) => raise::confirm(athlete, now)?,
            Some(Decision::Reject) => raise::reject(athlete, now)?,
            None => {}
        }
        if let Some(name) = &self.display_name {
            athlete.display_name = text("display name", name, DISPLAY_MAX)?;
        }
        if let Some(name) = &self.legal_name {
            athlete.legal_name = Some(text("legal name", name, TEXT_MAX)?);
        }
        if let Some(reference) = &self.reference_id {
            athlete.reference_id = Some(text("reference", reference, TEXT_MAX)?);
        }
        if let Some(hide) = self.hide {
            athlete.hide = hide;
        }
        if let Some(consent) = &self.consent {
            let text = text("text of the consent", consent, CONSENT_MAX)?;
            athlete.consent = Some(Consent { at: now, text });
        }
        for account in &self.accounts {
            let provider = text("provider of an account", &account.provider, DISPLAY_MAX)?;
            let user = text("user of an account", &account.user, TEXT_MAX)?;
            athlete.accounts.retain(|known| known.provider != provider);
            athlete.accounts.push(Account { provider, user });
        }
        if athlete.accounts.len() > ACCOUNTS_MAX {
            return Err(refused(format!("more than {ACCOUNTS_MAX} accounts of one athlete")));
        }
        self.body_onto(athlete, now)
    }

    fn body_onto(&self, athlete: &mut Athlete, now: UnixMs) -> Result<(), RosterError> {
        let profile = &mut athlete.profile;
        if let Some(year) = self.birth_year {
            let years = BIRTH_YEAR_MIN..=this_year(now);
            profile.birth_year = Some(within("birth year", year, &years)?);
        }
        profile.sex = self.sex.or(profile.sex);
        if let Some(weight) = self.weight_kg {
            profile.weight_kg = Some(within("weight in kilograms", weight, &WEIGHT_KG)?);
        }
        if let Some(bpm) = self.max_hr_bpm {
            let bpm = within("highest heart rate", bpm, &MAX_HR_BPM)?;
            profile.max_hr = Some(MaxHr { bpm, origin: MaxHrOrigin::Given });
            if let Some(raised) = &mut profile.max_hr_raised {
                (raised.open, raised.at) = (false, raised.at.max(now));
            }
        }
        if let Some(bpm) = self.resting_hr_bpm {
            let bpm = within("heart rate at rest", bpm, &RESTING_HR_BPM)?;
            profile.resting_hr = Some(RestingHr { bpm, origin: RestingHrOrigin::Given });
        }
        if let (Some(resting), Some(max)) = (profile.resting_hr, profile.max_hr)
            && resting.bpm >= max.bpm
        {
            let text = format!(
                "a heart rate at rest of {} bpm is not below the highest of {} bpm",
                resting.bpm, max.bpm
            );
            return Err(refused(text));
        }
        if let Some(zones) = self.zones_from_bpm {
            zones.iter().try_for_each(|bpm| within("zone", *bpm, &ZONES_BPM).map(|_| ()))?;
            if !zones.is_sorted_by(|a, b| a < b) {
                let text = format!("zones begin at rising heart rates, not at {zones:?}");
                return Err(refused(text));
            }
            profile.zones_from_bpm = Some(zones);
        }
        Ok(())
    }
}

fn clear(athlete: &mut Athlete, field: Field) {
    let profile = &mut athlete.profile;
    match field {
        Field::LegalName => athlete.legal_name = None,
        Field::Reference => athlete.reference_id = None,
        Field::BirthYear => profile.birth_year = None,
        Field::Sex => profile.sex = None,
        Field::Weight => profile.weight_kg = None,
        Field::MaxHr => (profile.max_hr, profile.max_hr_raised) = (None, None),
        Field::RestingHr => profile.resting_hr = None,
        Field::Zones => profile.zones_from_bpm = None,
        Field::Hide => athlete.hide = Hide::default(),
        Field::Consent => athlete.consent = None,
        Field::Accounts => athlete.accounts.clear(),
    }
}

fn refused(text: impl Into<String>) -> RosterError {
    RosterError::Refused(text.into())
}

/// A text without what would move a terminal's cursor, or make a line of the file too long.
fn text(what: &str, text: &str, max: usize) -> Result<String, RosterError> {
    let text = text.trim();
    let count = text.chars().count();
    if text.is_empty() || count > max {
        let found = if text.is_empty() { "nothing".to_owned() } else { format!("{count}") };
        return Err(refused(format!("the {what} has 1 to {max} characters, not {found}")));
    }
    if text.chars().any(char::is_control) {
        return Err(refused(format!(
            "the {what} has a line end or another control character in it"
        )));
    }
    Ok(text.to_owned())
}

fn within<T: PartialOrd + std::fmt::Display>(
    what: &str,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<T, RosterError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(refused(format!("a {what} is from {} to {}, not {value}", range.start(), range.end())))
}

fn this_year(now: UnixMs) -> u16 {
    let year = jiff::Timestamp::from_millisecond(now.0)
        .map_or(YEAR_MIN, |time| time.to_zoned(TimeZone::UTC).year());
    u16::try_from(year.max(YEAR_MIN)).unwrap_or(u16::MAX)
}
