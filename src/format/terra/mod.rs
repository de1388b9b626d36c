//! Terra's normalised model, which fitness backends already parse: its webhook payloads, version 2022-03-16.
//!
//! What leaves is one of [`Event`] (activity, body, daily), [`AthleteEvent`], [`UserEvent`]; each serialises to the body of
//! one webhook. Units are Terra's: metres, seconds, beats per minute, milliseconds, kilocalories. What is not known is left
//! out. Not known here: signatures, headers, who has agreed, where it goes.
//!
//! Source: Terra's OpenAPI (tryterra/openapi, `v2-bundled.yaml` 2026.07.17.1), kept in `tests/fixtures/terra/`.

mod activity;
mod day;
mod device;
mod heart;
mod person;
mod sport;
mod time;
mod told;

use serde::Serialize;

pub use activity::Activity;
pub use day::{Body, Daily};
#[cfg(test)]
pub(super) use heart::{HrSample, HrSamples, RrSample, RrSamples};
pub use person::{AthleteEvent, PROVIDER, User, UserEvent};
pub use sport::activity_type;
pub use time::{Day, Stamp, utc_offset_min};
pub use told::{EVENT_MAX, Terra};

/// Version of Terra's payloads.
pub const VERSION: &str = "2022-03-16";

/// `UploadType`: recorded by a device, not entered by hand.
const UPLOADED_BY_DEVICE: u8 = 1;

/// Data of one user: the body of a webhook.
///
/// Serialise it with `serde_json::to_writer` into whatever it goes to; the samples in it are made one by one. Terra holds
/// one event below 10 MB: five hours of a strap are 1.8 MB as activity and 5 MB as body.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "{D}Event"))]
#[derive(Debug, Clone, Serialize)]
pub struct Event<'a, D> {
    #[serde(rename = "type")]
    kind: Kind,
    version: &'static str,
    user: User<'a>,
    data: Vec<D>,
}

/// What kind of data an [`Event`] holds.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Workouts.
    Activity,
    /// What the heart did on a day.
    Body,
    /// What a day sums up to.
    Daily,
}

impl<'a, R> Event<'a, Activity<'a, R>> {
    /// Workouts of one user.
    pub fn activity(user: User<'a>, data: Vec<Activity<'a, R>>) -> Self {
        Self { kind: Kind::Activity, version: VERSION, user, data }
    }
}

impl<'a, R, B> Event<'a, Body<R, B>> {
    /// Days of one user, beat by beat.
    pub fn body(user: User<'a>, data: Vec<Body<R, B>>) -> Self {
        Self { kind: Kind::Body, version: VERSION, user, data }
    }
}

impl<'a> Event<'a, Daily> {
    /// Days of one user, summed up.
    pub fn daily(user: User<'a>, data: Vec<Daily>) -> Self {
        Self { kind: Kind::Daily, version: VERSION, user, data }
    }
}

/// Three decimals are more than any of these is known to; JSON has no word for what is not finite.
fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| (value * 1000.0).round() / 1000.0).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::activity::{Activity, ActivityId, Counts, Origin, Quality, Totals, UnixMs};
    use crate::athlete::{Athlete, AthleteId, Hide, Profile};
    use crate::workout::Workout;

    pub(super) fn athlete() -> Athlete {
        Athlete {
            id: AthleteId(Uuid::from_u128(7)),
            display_name: "Aino".to_owned(),
            legal_name: Some("Aino Virtanen".to_owned()),
            reference_id: None,
            profile: Profile::default(),
            hide: Hide::default(),
            consent: None,
            accounts: Vec::new(),
            created: UnixMs::from_seconds(1_795_000_000),
        }
    }

    pub(super) fn workout() -> Workout {
        let (origin, start) = (Origin::default(), UnixMs::from_seconds(1_795_000_000));
        let activity = Activity {
            id: ActivityId::new(&origin, start, 0, None),
            index: 0,
            origin,
            sport: Some(10),
            sub_sport: Some(26),
            sport_name: None,
            start,
            utc_offset_min: None,
            totals: Totals { elapsed_s: Some(100.0), ..Totals::default() },
            laps: Vec::new(),
            pauses: Vec::new(),
            devices: Vec::new(),
            counts: Counts::default(),
            quality: Quality::default(),
        };
        Workout { activity, athlete: Some(athlete()), effort: None }
    }
}
