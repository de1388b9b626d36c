//! What leaves becomes bytes here: outgoing entries (`samples`; compact: `cbor`), and whole activities as files for people and their
//! programs (`tcx`, `gpx`, `csv`, `activity_json`; FIT is written by [`fit::encode`](crate::fit::encode)). As backends
//! already know it: workouts, days and people (`terra`), both readings and workouts (`fhir`, `omh`), in an envelope
//! (`cloudevents`). One file per format; pure.

pub mod activity_json;
pub mod cbor;
pub mod cloudevents;
pub mod csv;
pub mod export;
pub mod fhir;
pub mod gpx;
pub mod omh;
pub mod samples;
#[cfg(test)]
mod schemas;
pub mod tcx;
pub mod terra;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::athlete::{Athlete, AthleteId};
use crate::normalize::Outgoing;
use crate::workout::{Measured, Workout};

/// A format for what the log keeps: what sinks that take entry after entry write.
pub trait Format: Send + Sync {
    /// How far it looks.
    fn reach(&self) -> Reach {
        Reach::Entry
    }

    /// Appends what this format says of an entry: JSON, each piece on a line of its own. Nothing where it has no place
    /// for it.
    ///
    /// # Errors
    ///
    /// None is known: every entry can be written as JSON.
    fn lines(
        &self,
        gateway: &str,
        outgoing: &Outgoing,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()>;

    /// Appends what this format says of what an entry stands for, looked up as far as it [reaches](Format::reach): JSON,
    /// each piece on a line of its own. Says what of it found no room.
    ///
    /// # Errors
    ///
    /// None is known.
    fn known(
        &self,
        _gateway: &str,
        _outgoing: &Outgoing,
        _known: &Known,
        _out: &mut Vec<u8>,
    ) -> serde_json::Result<LeftOut> {
        Ok(LeftOut::Nothing)
    }
}

/// How far a format looks beyond an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Not at all.
    Entry,
    /// At the workout that an entry tells of.
    Workout,
    /// At the day of the workout too, and at people.
    Day,
}

/// What an entry stands for, as the box knows it today. Of whom it is has agreed that it leaves.
#[derive(Debug, Clone)]
pub enum Known {
    /// A workout.
    Workout {
        /// Whose.
        athlete: Arc<Athlete>,
        /// The workout.
        workout: Box<Workout>,
        /// What was measured in it.
        measured: Measured,
    },
    /// All that is known of a day.
    Day {
        /// Whose.
        athlete: Arc<Athlete>,
        /// Which.
        day: terra::Day,
        /// What began on it, in order.
        workouts: Vec<Workout>,
        /// What was measured on it; `None` if that cannot be read any more.
        measured: Option<Measured>,
    },
    /// Somebody agrees.
    Agreed(Arc<Athlete>),
    /// Something has changed about somebody who agrees.
    Changed(Arc<Athlete>),
    /// Somebody has withdrawn, or was forgotten.
    Left(AthleteId),
}

/// What found no room in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All of it did.
    Nothing,
    /// Beats.
    Beats,
    /// Heart rates, and beats.
    HeartRates,
}

/// Which [`Format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryFormat {
    /// Our own: everything there is.
    #[default]
    Samples,
    /// Open mHealth data points: heart rates and RR intervals; what workouts sum up to.
    Omh,
    /// FHIR R4: heart rates and RR intervals as Observations, workouts as transaction Bundles.
    Fhir,
    /// Our own in CloudEvents envelopes; workouts as Terra's.
    CloudEvents,
    /// Terra's webhooks: workouts, days and people.
    Terra,
}

impl EntryFormat {
    /// The format of this name.
    pub fn format(self) -> &'static dyn Format {
        match self {
            Self::Samples => &samples::Samples,
            Self::Omh => &omh::Omh,
            Self::Fhir => &fhir::Fhir,
            Self::CloudEvents => &cloudevents::CloudEvents,
            Self::Terra => &terra::Terra,
        }
    }
}

/// Appends one piece and the end of its line.
fn line(piece: &impl Serialize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, piece)?;
    out.push(b'\n');
    Ok(())
}
