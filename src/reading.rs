//! The facts: what a strap measured, what happened, when, and their place in the log. Plain data.
//!
//! Nothing here knows a clock, a runtime or a setting. Values are kept as measured: RR intervals stay in
//! 1/1024 s until they leave, `Option` means "not reported".

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::activity::{Summary, UnixMs, in_words};
use crate::athlete::AthleteId;
use crate::session::ClassId;

/// Which strap: the Polar device id printed on it (8 hex digits, upper case) where there is one, else the
/// Bluetooth address as 12 hex digits. Letters, digits, `-` and `_` only, so that it fits into a topic or a path.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct StrapId(Arc<str>);

/// Longest strap id in bytes.
pub const STRAP_ID_MAX: usize = 32;

/// Why a text is no strap id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no strap id: 1 to {STRAP_ID_MAX} letters, digits, `-` or `_`, as printed on the strap"
)]
pub struct NotAStrapId(String);

impl StrapId {
    /// Reads an id as printed, typed or advertised; ids are compared in upper case.
    pub fn new(text: &str) -> Result<Self, NotAStrapId> {
        let fits = (1..=STRAP_ID_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !fits {
            return Err(NotAStrapId(text.chars().take(40).collect()));
        }
        Ok(Self(text.to_ascii_uppercase().into()))
    }

    /// The id of a strap that told no Polar id: its address.
    pub fn from_address(address: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = address;
        Self(format!("{a:02X}{b:02X}{c:02X}{d:02X}{e:02X}{f:02X}").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StrapId {
    type Error = NotAStrapId;
    fn try_from(text: String) -> Result<Self, NotAStrapId> {
        Self::new(&text)
    }
}

impl fmt::Display for StrapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StrapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StrapId({})", self.0)
    }
}

/// A place in the log. Counts up by one, is never reused, and leaves with every payload as `seq`:
/// together with the gateway id it lets a receiver drop a repeat.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EntryId(pub u64);

impl EntryId {
    /// The place `n` further on.
    #[must_use]
    pub const fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of the machine, as the kernel names it (`/proc/sys/kernel/random/boot_id`). Monotonic times can
/// be compared within one boot only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootId(pub u128);

impl TryFrom<String> for BootId {
    type Error = uuid::Error;
    fn try_from(text: String) -> Result<Self, uuid::Error> {
        Ok(Self(uuid::Uuid::parse_str(text.trim())?.as_u128()))
    }
}

impl From<BootId> for String {
    fn from(boot: BootId) -> Self {
        boot.to_string()
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).fmt(f)
    }
}

/// How far the wall clock could be believed when something was stamped. A Pi has no battery clock. What is believed
/// more is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockTrust {
    /// Never set: before this program was built, so certainly wrong.
    Unset,
    /// Plausible (restored from disk or set by hand), not confirmed by a time server.
    Restored,
    /// Confirmed by a time server.
    Synced,
}

/// When something was measured, by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The boot that `mono_us` counts from.
    pub boot: BootId,
    /// Microseconds since boot, suspend included (`CLOCK_BOOTTIME`).
    pub mono_us: u64,
    /// Unix time minus `mono_us`, in microseconds, as the wall clock had it.
    pub wall_offset_us: i64,
    /// Whether the wall clock could be believed.
    pub trust: ClockTrust,
}

impl At {
    /// Unix time in microseconds, as the wall clock had it.
    pub fn unix_us(&self) -> i64 {
        i64::try_from(self.mono_us).unwrap_or(i64::MAX).saturating_add(self.wall_offset_us)
    }
}

/// Time between two heart beats in 1/1024 s, as straps send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RrInterval(pub u16);

impl RrInterval {
    /// Milliseconds.
    pub fn millis(self) -> f64 {
        f64::from(self.0) * 1000.0 / 1024.0
    }
}

/// What the strap says of the skin. Three states: an H10 does not report contact at all, and "unknown" must
/// never be shown as "not worn".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// The strap does not report contact.
    Unknown,
    /// Reported: no skin contact.
    NotWorn,
    /// Reported: worn.
    Worn,
}

/// The way a heart rate reached us.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A notification over a connection: every beat, with RR intervals where the strap has them.
    Link,
    /// Read from the strap's advertisement: heart rate only.
    Broadcast,
}

/// One heart-rate value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartRate {
    /// Beats per minute as sent; 0 means that the strap found no beat.
    pub bpm: u16,
    /// Skin contact.
    pub contact: Contact,
    /// Kilojoule since the strap's last reset; 65535 means "at least".
    pub energy_kj: Option<u16>,
    /// RR intervals, oldest first. Their number has nothing to do with the time between two readings.
    pub rr: Vec<RrInterval>,
    /// Link or broadcast.
    pub source: Source,
}

/// What one message from a strap says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measurement {
    /// A heart rate.
    HeartRate(HeartRate),
    /// Battery charge, 0 to 100 percent.
    Battery(u8),
}

/// One measurement of one strap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Whose.
    pub strap: StrapId,
    /// When the notification arrived.
    pub at: At,
    /// What.
    pub measurement: Measurement,
}

/// What a strap says of itself once connected (Device Information Service, Body Sensor Location).
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StrapInfo {
    /// Model, such as `H10`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Manufacturer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<String>,
    /// Serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Firmware revision. On an H10 the number that Polar's app calls firmware is `software`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Hardware revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Software revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Where it is worn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Something that happened, told to receivers in the order of the log.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The daemon started.
    Started {
        /// Its version.
        version: String,
    },
    /// A strap's notifications flow.
    StrapConnected {
        /// Which strap.
        strap: StrapId,
        /// What it says of itself.
        info: Box<StrapInfo>,
    },
    /// A strap's link ended.
    StrapLost {
        /// Which strap.
        strap: StrapId,
        /// In words.
        reason: String,
    },
    /// These places of the log hold nothing, and never will.
    Gap {
        /// First place of the gap.
        first: EntryId,
        /// Last place of the gap.
        last: EntryId,
        /// How many entries were lost; `None` when nobody knows, and some places were perhaps never used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        /// Why.
        reason: GapReason,
    },
    /// A recorded activity was taken in. One that comes in again, better than before, is told again under its id.
    Activity(Box<Summary>),
    /// A class begins: several people do something together.
    ClassBegan {
        /// Which.
        class: ClassId,
        /// What it is called.
        name: String,
        /// How long it is to last, in seconds. It is over then, or with its `class_ended` before.
        planned_s: u32,
    },
    /// A class is over.
    ClassEnded {
        /// Which.
        class: ClassId,
    },
    /// Whoever wears the strap begins now.
    CheckedIn {
        /// Which strap.
        strap: StrapId,
        /// What they take part in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<ClassId>,
    },
    /// Whoever wears the strap is done.
    CheckedOut {
        /// Which strap.
        strap: StrapId,
    },
    /// An athlete agrees to the sending of their data.
    AthleteAgreed {
        /// Who.
        athlete: AthleteId,
    },
    /// Something has changed about an athlete who agrees: the name, say.
    AthleteChanged {
        /// Who.
        athlete: AthleteId,
    },
    /// An athlete does not agree any more, or was forgotten.
    AthleteWithdrew {
        /// Who.
        athlete: AthleteId,
    },
    /// A backend has asked for what is known of an athlete, to be sent to the destinations.
    Requested {
        /// Ties what is sent to the request.
        reference: Uuid,
        /// What is to be sent.
        data: RequestedData,
        /// Of whom.
        athlete: AthleteId,
        /// From then on.
        #[serde(with = "in_words")]
        #[cfg_attr(test, schemars(with = "String"))]
        from: UnixMs,
        /// Until then, and not at it.
        #[serde(with = "in_words")]
        #[cfg_attr(test, schemars(with = "String"))]
        to: UnixMs,
        /// With every heart rate and beat.
        with_samples: bool,
    },
    /// What a later release has written, and this one does not know.
    #[serde(other)]
    Unknown,
}

/// What a backend asks for, by Terra's names.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestedData {
    /// Workouts.
    Activity,
    /// What the heart did on each day.
    Body,
    /// What each day sums up to.
    Daily,
    /// Who somebody is.
    Athlete,
}

/// Why a range of the log holds nothing.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The daemon was killed or lost power: the places had been set aside, and what was not yet safe is gone.
    UncleanStop,
    /// The buffer was full; the oldest entries made room before every receiver had them.
    BufferFull,
    /// Older than the operator wants entries to be kept.
    TooOld,
    /// The disk refused for so long that not everything could be held in memory.
    NotStored,
    /// The disk lost them: what was left was put back.
    Damaged,
    /// Somebody was forgotten. `count` of the places held what is erased; the others hold what they held.
    Erased,
}

/// An event and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened.
    pub at: At,
    /// What happened.
    pub kind: EventKind,
}

/// Anything that the log keeps.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A strap's measurement.
    Reading(Reading),
    /// Something that happened.
    Event(Event),
}

impl Fact {
    /// When.
    pub fn at(&self) -> &At {
        match self {
            Self::Reading(reading) => &reading.at,
            Self::Event(event) => &event.at,
        }
    }

    /// How long it is kept when there is no room.
    pub fn class(&self) -> Class {
        match self {
            Self::Reading(_) => Class::Readings,
            Self::Event(_) => Class::Events,
        }
    }
}

/// What goes first when the log is full: the lower class, its oldest first. A stream of raw samples (ECG) would be a
/// class below [`Class::Readings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// What straps measure, second by second.
    Readings,
    /// What happened, seldom and small: it goes last.
    Events,
}

impl Class {
    /// Every class, the one that goes first first.
    pub const ALL: [Self; 2] = [Self::Readings, Self::Events];
}

/// A fact and its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The place.
    pub id: EntryId,
    /// The fact.
    pub fact: Fact,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strap_id_is_compared_in_upper_case_and_holds_no_separator() {
        assert_eq!(StrapId::new("9f6e5322").unwrap(), StrapId::new("9F6E5322").unwrap());
        for bad in ["", "a/b", "a b", "+", "#", "é", "0123456789012345678901234567890123"] {
            assert!(StrapId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_becomes_twelve_hex_digits() {
        assert_eq!(
            StrapId::from_address([0xF6, 0x4D, 0x73, 0x53, 0x49, 0x6E]).as_str(),
            "F64D7353496E"
        );
    }

    #[test]
    fn an_rr_interval_is_a_1024th_of_a_second() {
        assert!((RrInterval(1024).millis() - 1000.0).abs() < f64::EPSILON);
        assert!((RrInterval(340).millis() - 332.03125).abs() < f64::EPSILON);
    }

    #[test]
    fn an_event_of_a_later_release_can_be_read_and_is_told_as_unknown() {
        let text = r#"{"event":"moon_landing","crew":3}"#;
        assert_eq!(serde_json::from_str::<EventKind>(text).unwrap(), EventKind::Unknown);
        let known = r#"{"event":"started","version":"0.1.0"}"#;
        let started = EventKind::Started { version: "0.1.0".to_owned() };
        assert_eq!(serde_json::from_str::<EventKind>(known).unwrap(), started);
    }

    #[test]
    fn the_event_of_the_longest_activity_fits_into_the_log_and_comes_back() {
        use crate::activity::{
            Activity, ActivityId, Checksum, Counts, FileFormat, Origin, Quality, Totals, UnixMs,
        };
        let long = Some(f64::MAX / 3.0);
        let origin = Origin { product_name: Some("x".repeat(4000)), ..Origin::default() };
        let activity = Activity {
            id: ActivityId::new(&origin, UnixMs(i64::MAX), u32::MAX, Some(u64::MAX)),
            index: u32::MAX,
            origin,
            sport: Some(254),
            sub_sport: Some(254),
            sport_name: Some("x".repeat(4000)),
            start: UnixMs(i64::MIN),
            utc_offset_min: Some(-840),
            totals: Totals {
                elapsed_s: long,
                timer_s: long,
                distance_m: long,
                calories_kcal: Some(65_534),
                avg_hr_bpm: Some(254),
                max_hr_bpm: Some(254),
                ..Totals::default()
            },
            laps: Vec::new(),
            pauses: Vec::new(),
            devices: Vec::new(),
            counts: Counts {
                records: u64::MAX,
                hr_samples: u64::MAX,
                hr_sum: f64::MAX,
                rr_intervals: u64::MAX,
            },
            quality: Quality {
                checksum: Checksum::Absent,
                broken_at: Some(u64::MAX),
                synthesised: false,
                clock_unset: false,
                untimed_records: u64::MAX,
                skipped_messages: u64::MAX,
                laps_left_out: u32::MAX,
            },
        };
        let summary = Summary::new(&activity, &"f".repeat(64), FileFormat::Fit);
        let kind = EventKind::Activity(Box::new(summary));
        let text = serde_json::to_string(&kind).unwrap();
        assert!(text.len() <= 2048, "{} bytes", text.len());
        assert!(text.starts_with(r#"{"event":"activity","activity":""#), "{text}");
        assert_eq!(serde_json::from_str::<EventKind>(&text).unwrap(), kind);
    }
}
