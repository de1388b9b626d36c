//! Our own JSON: one object per reading or event, batches of readings.
//!
//! Units are in the names. `gateway` and `seq` together identify an entry for ever: a receiver that sees a pair again
//! has a repeat. `ts` is RFC 3339 in UTC with milliseconds, `ts_quality` says how far it can be believed. Fields may be
//! added within `v` 1, never changed or removed.

use serde::Serialize;

use super::{Format, line};
use crate::normalize::Outgoing;
use crate::reading::{Contact, EventKind, Fact, Measurement, Source};
use crate::timeline::TimeQuality;

/// Version of this format.
const V: u8 = 1;

/// Entries as JSON, one a line.
#[derive(Debug, Clone, Copy)]
pub struct Samples;

impl Format for Samples {
    fn lines(
        &self,
        gateway: &str,
        outgoing: &Outgoing,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        line(&sample(gateway, outgoing), out)
    }
}

/// One entry as JSON.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Sample<'a> {
    /// A strap's measurement.
    Reading(Box<ReadingSample<'a>>),
    /// Something that happened.
    Event(EventSample<'a>),
}

/// A measurement as JSON.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub struct ReadingSample<'a> {
    v: u8,
    gateway: &'a str,
    strap: &'a str,
    seq: u64,
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    ts: String,
    ts_quality: TimeQuality,
    #[serde(flatten)]
    value: Value,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Value {
    HeartRate {
        /// `null` when the strap found no beat.
        bpm: Option<u16>,
        rr_ms: Vec<f64>,
        /// `null` when the strap does not report contact.
        contact: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        energy_kj: Option<u16>,
        source: Source,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        suspect: bool,
    },
    Battery {
        battery_percent: u8,
    },
}

/// An event as JSON.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub struct EventSample<'a> {
    v: u8,
    gateway: &'a str,
    seq: u64,
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    ts: String,
    ts_quality: TimeQuality,
    #[serde(flatten)]
    kind: &'a EventKind,
}

/// One message with many readings.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Serialize)]
pub struct Batch<'a> {
    /// Version of the format.
    pub v: u8,
    /// Which box.
    pub gateway: &'a str,
    /// Readings in the order of `seq`.
    pub readings: Vec<Sample<'a>>,
}

impl<'a> Batch<'a> {
    /// A batch of these entries.
    pub fn new(gateway: &'a str, entries: &'a [Outgoing]) -> Self {
        Self {
            v: V,
            gateway,
            readings: entries.iter().map(|entry| sample(gateway, entry)).collect(),
        }
    }
}

/// One entry as JSON.
pub fn sample<'a>(gateway: &'a str, outgoing: &'a Outgoing) -> Sample<'a> {
    let (seq, ts, ts_quality) = (outgoing.entry.id.0, rfc3339(outgoing.unix_us), outgoing.quality);
    match &outgoing.entry.fact {
        Fact::Event(event) => {
            Sample::Event(EventSample { v: V, gateway, seq, ts, ts_quality, kind: &event.kind })
        }
        Fact::Reading(reading) => {
            let value = match &reading.measurement {
                Measurement::Battery(battery_percent) => {
                    Value::Battery { battery_percent: *battery_percent }
                }
                Measurement::HeartRate(heart_rate) => Value::HeartRate {
                    bpm: (heart_rate.bpm != 0).then_some(heart_rate.bpm),
                    rr_ms: heart_rate.rr.iter().map(|rr| round_ms(rr.millis())).collect(),
                    contact: match heart_rate.contact {
                        Contact::Unknown => None,
                        Contact::NotWorn => Some(false),
                        Contact::Worn => Some(true),
                    },
                    energy_kj: heart_rate.energy_kj,
                    source: heart_rate.source,
                    suspect: outgoing.suspect,
                },
            };
            let strap = reading.strap.as_str();
            Sample::Reading(Box::new(ReadingSample {
                v: V,
                gateway,
                strap,
                seq,
                ts,
                ts_quality,
                value,
            }))
        }
    }
}

/// Three decimals tell every 1024th of a second apart.
pub(super) fn round_ms(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

/// RFC 3339 in UTC with milliseconds.
pub fn rfc3339(unix_us: i64) -> String {
    let milliseconds = unix_us.div_euclid(1000);
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(time) => format!("{time:.3}"),
        // Beyond the year 9999: a clock gone mad must not stop delivery.
        Err(_) => format!("{:.3}", jiff::Timestamp::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::outgoing;
    use crate::reading::{
        At, BootId, ClockTrust, Entry, EntryId, HeartRate, Reading, RrInterval, StrapId,
    };
    use crate::timeline::Timeline;

    fn reading(bpm: u16, contact: Contact) -> Outgoing {
        let measurement = Measurement::HeartRate(HeartRate {
            bpm,
            contact,
            energy_kj: None,
            rr: vec![RrInterval(340), RrInterval(748)],
            source: Source::Link,
        });
        let at = At {
            boot: BootId(1),
            mono_us: 5_250_000,
            wall_offset_us: 1_795_253_410_000_000,
            trust: ClockTrust::Synced,
        };
        let strap = StrapId::new("9F6E5322").unwrap();
        let fact = Fact::Reading(Reading { strap, at, measurement });
        outgoing(Entry { id: EntryId(48211), fact }, &Timeline::default())
    }

    #[test]
    fn a_reading_carries_gateway_seq_time_and_units() {
        let json = serde_json::to_string(&sample("club-1", &reading(142, Contact::Worn))).unwrap();
        assert_eq!(
            json,
            r#"{"v":1,"gateway":"club-1","strap":"9F6E5322","seq":48211,"ts":"2026-11-21T09:30:15.250Z","ts_quality":"synced","bpm":142,"rr_ms":[332.031,730.469],"contact":true,"source":"link"}"#
        );
    }

    #[test]
    fn no_beat_is_null_and_an_impossible_one_is_marked() {
        let json =
            |bpm| serde_json::to_value(sample("g", &reading(bpm, Contact::Unknown))).unwrap();
        assert!(json(0)["bpm"].is_null() && json(0).get("suspect").is_none());
        assert!(json(0)["contact"].is_null());
        assert_eq!(json(400)["suspect"], true);
        assert_eq!(json(60).get("suspect"), None);
    }
}
