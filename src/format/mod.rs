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

use serde::{Deserialize, Serialize};

use crate::normalize::Outgoing;

/// A format for what the log keeps: what sinks that take entry after entry write.
pub trait Format: Send + Sync {
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
}

/// Which [`Format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryFormat {
    /// Our own: everything there is.
    #[default]
    Samples,
    /// Open mHealth data points: heart rates and RR intervals.
    Omh,
    /// FHIR R4 Observations: heart rates and RR intervals.
    Fhir,
    /// Our own in CloudEvents envelopes.
    CloudEvents,
}

impl EntryFormat {
    /// The format of this name.
    pub fn format(self) -> &'static dyn Format {
        match self {
            Self::Samples => &samples::Samples,
            Self::Omh => &omh::Omh,
            Self::Fhir => &fhir::Fhir,
            Self::CloudEvents => &cloudevents::CloudEvents,
        }
    }
}

/// Appends one piece and the end of its line.
fn line(piece: &impl Serialize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, piece)?;
    out.push(b'\n');
    Ok(())
}
