//! CloudEvents 1.0: an envelope that says what is inside, where it comes from and which one it is.
//!
//! `source` and `id` together identify an event for ever; a repeat has both of the first. Structured, the event is one JSON
//! object, `application/cloudevents+json`, with the payload as `data`. Binary, the payload is the body, and the attributes
//! are headers in HTTP ([`Binary::http_headers`]) and user properties in MQTT 5 ([`Binary::attributes`] as they are).

use std::fmt::Write;

use serde::Serialize;

use super::samples::{self, Sample, rfc3339};
use super::{Format, Known, LeftOut, Reach, line, terra};
use crate::normalize::Outgoing;
use crate::reading::Fact;
use crate::workout::Workout;

/// Media type of an event in structured mode.
pub const STRUCTURED: &str = "application/cloudevents+json";
const JSON: &str = "application/json";

/// Readings and events, each in an envelope, one a line; behind the event of a workout the workout, as Terra has it.
#[derive(Debug, Clone, Copy)]
pub struct CloudEvents;

impl Format for CloudEvents {
    fn lines(
        &self,
        gateway: &str,
        outgoing: &Outgoing,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        line(&CloudEvent::entry(gateway, outgoing), out)
    }

    fn reach(&self) -> Reach {
        Reach::Workout
    }

    fn known(
        &self,
        gateway: &str,
        _: &Outgoing,
        known: &Known,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<LeftOut> {
        if let Known::Workout { athlete, workout, measured } = known {
            let activity = terra::Activity::new(workout, measured.rates.iter().copied());
            let event = terra::Event::activity(terra::User::new(athlete, None), vec![activity]);
            line(&CloudEvent::workout(gateway, workout, event), out)?;
        }
        Ok(LeftOut::Nothing)
    }
}

/// One event around `D`.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "CloudEvent"))]
#[derive(Debug, Clone, Serialize)]
pub struct CloudEvent<D> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// RFC 3339.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    time: String,
    datacontenttype: &'static str,
    data: D,
}

impl<'a> CloudEvent<Sample<'a>> {
    /// An entry, as [`samples`] tells it: `id` is its `seq`, `subject` its strap.
    pub fn entry(gateway: &'a str, outgoing: &'a Outgoing) -> Self {
        let (kind, subject) = match &outgoing.entry.fact {
            Fact::Reading(reading) => ("pulsegate.reading", Some(reading.strap.to_string())),
            Fact::Event(_) => ("pulsegate.event", None),
        };
        Self {
            specversion: "1.0",
            id: outgoing.entry.id.to_string(),
            source: source(gateway),
            kind,
            subject,
            time: rfc3339(outgoing.unix_us),
            datacontenttype: JSON,
            data: samples::sample(gateway, outgoing),
        }
    }
}

impl<D> CloudEvent<D> {
    /// A workout, told as JSON by `data` (such as a Terra event). `id` is the activity's, so a repeat has the same.
    pub fn workout(gateway: &str, workout: &Workout, data: D) -> Self {
        Self {
            specversion: "1.0",
            id: workout.activity.id.to_string(),
            source: source(gateway),
            kind: "pulsegate.workout",
            subject: workout.athlete.as_ref().map(|athlete| athlete.id.to_string()),
            time: rfc3339(workout.end().0.saturating_mul(1000)),
            datacontenttype: JSON,
            data,
        }
    }

    /// The event in binary mode.
    pub fn binary(&self) -> Binary<'_, D> {
        let attributes = [
            ("specversion", Some(self.specversion)),
            ("id", Some(&*self.id)),
            ("source", Some(&*self.source)),
            ("type", Some(self.kind)),
            ("subject", self.subject.as_deref()),
            ("time", Some(&*self.time)),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        Binary {
            content_type: self.datacontenttype,
            attributes: attributes.collect(),
            body: &self.data,
        }
    }
}

/// A URI reference: the box, whatever host it is behind.
fn source(gateway: &str) -> String {
    format!("/pulsegate/{gateway}")
}

/// An event in binary mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary<'a, D> {
    /// `Content-Type`, in HTTP and MQTT 5 alike.
    pub content_type: &'static str,
    /// Name and value of each attribute.
    pub attributes: Vec<(&'static str, &'a str)>,
    /// To be written as JSON.
    pub body: &'a D,
}

impl<D> Binary<'_, D> {
    /// The attributes as HTTP headers: `ce-` before the name, what no header may hold percent-encoded.
    pub fn http_headers(&self) -> Vec<(String, String)> {
        let header = |(name, value): &(&str, &str)| (format!("ce-{name}"), percent_encoded(value));
        self.attributes.iter().map(header).collect()
    }
}

/// Space, double quote, percent, and what is not printable ASCII.
fn percent_encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' | 0..=b' ' | 0x7f.. => {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_holds_nothing_that_a_header_may_not() {
        assert_eq!(percent_encoded("/pulsegate/club-1"), "/pulsegate/club-1");
        assert_eq!(percent_encoded("Euro € \"100%\"\r\n"), "Euro%20%E2%82%AC%20%22100%25%22%0D%0A");
    }
}
