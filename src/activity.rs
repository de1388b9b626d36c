//! What an activity is: one session of sport as a device summed it up, and the samples and beats that belong to it.
//! Plain data.
//!
//! An [`Activity`] is small (its lists are bounded) and is what the log keeps. [`Sample`]s and [`Beat`]s are never
//! collected: they stream from the recorded file whenever somebody asks. Nothing here knows a file format, a clock, a
//! runtime or a setting. `Option` means "not reported"; units are in the names.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::athlete::AthleteId;
use crate::reading::RrInterval;
use crate::workout::StrapSession;

/// Most laps kept with an activity; further ones are counted in [`Quality::laps_left_out`].
pub const LAPS_MAX: usize = 200;
/// Most pauses kept with an activity; the latest are left out.
pub const PAUSES_MAX: usize = 200;
/// Most devices kept with an activity.
pub const DEVICES_MAX: usize = 32;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// The moment `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// RFC 3339 in UTC, with milliseconds where there are any; a bare number for what no calendar reaches.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Which activity. The same recording has the same id whatever its file is called and however often it comes in, whole or
/// cut off: it is a UUIDv5 of who recorded and of the first thing that was measured, not of the bytes of the file.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActivityId(pub Uuid);

/// Namespace of activity ids, a UUIDv4 made once. It must never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f1d_37c2_6a54_4e0b_9b1e_52d0_74a3_c6f8);

impl ActivityId {
    /// The id of the session number `index` (from 0, in the order of the recording) that begins with the sample `first`; of
    /// a session in which nothing was measured, its `start` stands for that. A recording that was cut off has no summary that says when it
    /// began, but its first sample is that of the whole one.
    pub fn of(origin: &Origin, index: u32, first: Option<&Sample>, start: UnixMs) -> Self {
        let Some(first) = first else { return Self::new(origin, start, index, None) };
        let mut digest = ContentDigest::default();
        digest.sample(first);
        Self::new(origin, first.at.unwrap_or_default(), index, Some(digest.value()))
    }

    /// The id of something else that would have this one: `content` is a digest of all of it.
    #[must_use]
    pub fn apart(self, content: ContentDigest) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("{self}/{}", content.value()).as_bytes()))
    }

    /// The id of the session number `index` (from 0, in the order of the recording) that began at `start`. `content` is a digest of what was
    /// measured.
    pub fn new(origin: &Origin, start: UnixMs, index: u32, content: Option<u64>) -> Self {
        let part = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let name = format!(
            "{}/{}/{}/{}/{}/{index}/{}",
            part(origin.manufacturer.map(u64::from)),
            part(origin.product.map(u64::from)),
            part(origin.serial.map(u64::from)),
            origin.created.map_or(0, UnixMs::seconds),
            start.seconds(),
            part(content),
        );
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }
}

/// FNV-1a over what was measured. It tells apart what differs by chance; it
/// is no defence against somebody who wants two activities to be one. It must never change: ids are made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest(u64);

impl Default for ContentDigest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl ContentDigest {
    /// Adds a sample: its time, heart rate, place and distance.
    pub fn sample(&mut self, sample: &Sample) {
        let place =
            |place: Position| u64::from(place.lat as u32) << 32 | u64::from(place.lon as u32);
        self.add(sample.at.unwrap_or_default().0 as u64);
        self.add(u64::from(sample.heart_rate_bpm.unwrap_or(0xFF)));
        self.add(sample.position.map_or(0, place));
        self.add(sample.distance_m.unwrap_or(0.0).to_bits());
    }

    /// Adds a beat.
    pub fn beat(&mut self, rr: RrMillis) {
        self.add(u64::from(rr.0));
    }

    /// Adds a sample or a beat.
    pub fn item(&mut self, item: &Item) {
        match item {
            Item::Sample(sample) => self.sample(sample),
            Item::Beat(beat) => self.beat(beat.rr),
        }
    }

    /// Adds any number.
    pub fn number(&mut self, number: Option<f64>) {
        self.add(number.map_or(u64::MAX, f64::to_bits));
    }

    /// The digest so far.
    pub fn value(self) -> u64 {
        self.0
    }

    fn add(&mut self, value: u64) {
        for byte in value.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl fmt::Display for ActivityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What recorded the activity, as the recording says of itself (FIT: `file_id`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Number of the manufacturer in the FIT profile: 1 is Garmin, 255 development.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<u16>,
    /// The manufacturer's own product number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<u16>,
    /// Serial number; 0 is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// When the recording was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<UnixMs>,
    /// Name of the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
}

impl Origin {
    /// Whether it tells this recording from every other: a device by its serial number, and a time. Apps write no
    /// serial number, and two people may press start in the same second.
    pub fn identifies(&self) -> bool {
        self.serial.is_some() && self.created.is_some()
    }
}

/// One session of one sport.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Which.
    pub id: ActivityId,
    /// Its place among the sessions of its recording, from 0: a triathlon has five.
    pub index: u32,
    /// What recorded it.
    pub origin: Origin,
    /// Sport as numbered in the FIT profile.
    pub sport: Option<u8>,
    /// Sub-sport as numbered in the FIT profile.
    pub sub_sport: Option<u8>,
    /// What the device calls the sport, such as `Trail Run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sport_name: Option<String>,
    /// When it began.
    pub start: UnixMs,
    /// Minutes that the local time is ahead of UTC, in quarters of an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_offset_min: Option<i16>,
    /// What it sums up to.
    pub totals: Totals,
    /// Its laps in order, [`LAPS_MAX`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub laps: Vec<Lap>,
    /// When the timer stood still, in order, [`PAUSES_MAX`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Pause>,
    /// What took part: the watch, straps, meters; [`DEVICES_MAX`] at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// What streams from the recording.
    pub counts: Counts,
    /// How far the recording can be believed.
    pub quality: Quality,
}

impl Activity {
    /// When it ended: start and elapsed time. The time stamp of a summary only says when it was written.
    pub fn end(&self) -> UnixMs {
        let ms = self.totals.elapsed_s.unwrap_or(0.0) * 1000.0;
        self.start.plus_ms(ms.round() as i64)
    }
}

/// What a session or a lap sums up to, as its device says.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Seconds from start to end, pauses included.
    pub elapsed_s: Option<f64>,
    /// Seconds that the timer ran.
    pub timer_s: Option<f64>,
    /// Metres.
    pub distance_m: Option<f64>,
    /// Kilocalories.
    pub calories_kcal: Option<u16>,
    /// Average heart rate in beats per minute.
    pub avg_hr_bpm: Option<u8>,
    /// Highest heart rate in beats per minute.
    pub max_hr_bpm: Option<u8>,
    /// Lowest heart rate in beats per minute.
    pub min_hr_bpm: Option<u8>,
    /// Average speed in metres per second.
    pub avg_speed_mps: Option<f64>,
    /// Highest speed in metres per second.
    pub max_speed_mps: Option<f64>,
    /// Average power in watts.
    pub avg_power_w: Option<u16>,
    /// Highest power in watts.
    pub max_power_w: Option<u16>,
    /// Average cadence in revolutions (running: strides) per minute.
    pub avg_cadence_rpm: Option<u8>,
    /// Highest cadence in revolutions (running: strides) per minute.
    pub max_cadence_rpm: Option<u8>,
    /// Metres climbed.
    pub ascent_m: Option<u16>,
    /// Metres descended.
    pub descent_m: Option<u16>,
}

/// One lap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lap {
    /// When it began.
    pub start: UnixMs,
    /// What it sums up to.
    pub totals: Totals,
    /// What ended it, as numbered in the FIT profile (`lap_trigger`): 0 by hand, 7 end of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<u8>,
}

/// The timer stood still from here to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When the timer stopped.
    pub from: UnixMs,
    /// When it ran again.
    pub to: UnixMs,
}

/// Something that took part in the recording.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Device {
    /// Its place in the recording; 0 is the one that recorded.
    pub index: u8,
    /// What it is, as numbered in the FIT profile for how it is connected (`ble_device_type`: 1 is a heart-rate strap).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<u8>,
    /// Number of the manufacturer in the FIT profile: 123 is Polar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<u16>,
    /// The manufacturer's own product number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<u16>,
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// Name of the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
    /// Version of its software, in hundredths: 516 is 5.16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<u16>,
    /// How it is connected, as numbered in the FIT profile (`source_type`): 3 is Bluetooth LE, 5 the device itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<u8>,
    /// Charge of its battery in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery_percent: Option<u8>,
}

/// How much streams from the recording.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Records, each a [`Sample`].
    pub records: u64,
    /// Heart rates in them; 0 bpm, which devices write for "no beat", counts.
    pub hr_samples: u64,
    /// Sum of those heart rates in beats per minute.
    pub hr_sum: f64,
    /// RR intervals, each a [`Beat`].
    pub rr_intervals: u64,
}

impl Counts {
    /// Adds what another part of the recording holds.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.hr_samples += other.hr_samples;
        self.hr_sum += other.hr_sum;
        self.rr_intervals += other.rr_intervals;
    }
}

/// What the checksums of a recording say.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// There is none (not a format that has one, or the file ends before it).
    #[default]
    Absent,
    /// It is what it must be.
    Good,
    /// It is not what it must be: something was changed since it was written.
    Bad,
}

/// How far a recording can be believed. Nothing in here is a failure: what could be read is there.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    /// The worst of its checksums.
    pub checksum: Checksum,
    /// It ends before its end, or could not be read on: where, in bytes from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// The device left no summary of this session: it was made from the records.
    pub synthesised: bool,
    /// The device did not know the date: times count from when it was switched on, from 1989-12-31 here.
    pub clock_unset: bool,
    /// Records without a time that can be believed.
    pub untimed_records: u64,
    /// Messages that were passed over because something in them is not as it must be.
    pub skipped_messages: u64,
    /// Laps beyond [`LAPS_MAX`].
    pub laps_left_out: u32,
}

/// What kind of file a recording came in.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// FIT.
    Fit,
    /// TCX, Garmin's Training Center Database.
    Tcx,
    /// GPX.
    Gpx,
}

impl FileFormat {
    /// How names of such files end, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Tcx => "tcx",
            Self::Gpx => "gpx",
        }
    }
}

/// An [`Activity`] in short, as receivers are told of it: no laps, no devices, no name of a file.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Which activity.
    pub activity: ActivityId,
    /// SHA-256 of the recording, in hex.
    pub sha256: String,
    /// What kind of file it came in.
    pub format: FileFormat,
    /// Its place among the sessions of its recording, from 0.
    pub index: u32,
    /// Sport as numbered in the FIT profile.
    pub sport: Option<u8>,
    /// Sub-sport as numbered in the FIT profile.
    pub sub_sport: Option<u8>,
    /// When it began.
    #[serde(with = "in_words")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub start: UnixMs,
    /// Seconds from start to end, pauses included.
    pub elapsed_s: Option<f64>,
    /// Seconds that the timer ran.
    pub timer_s: Option<f64>,
    /// Metres.
    pub distance_m: Option<f64>,
    /// Kilocalories.
    pub calories_kcal: Option<u16>,
    /// Average heart rate in beats per minute.
    pub avg_hr_bpm: Option<u8>,
    /// Highest heart rate in beats per minute.
    pub max_hr_bpm: Option<u8>,
    /// Records in the recording.
    pub records: u64,
    /// Heart rates in them.
    pub hr_samples: u64,
    /// RR intervals in the recording.
    pub rr_intervals: u64,
    /// How far the recording can be believed.
    pub quality: Quality,
    /// Of a strap's session that was recorded here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<StrapSession>>,
    /// Of a file that came in: whose it is, if that is known and they have agreed to its being told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub athlete: Option<AthleteId>,
    /// The better recording of the same workout. Who counts workouts counts only those that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<ActivityId>,
}

impl Summary {
    /// An activity in short, with the digest of its recording.
    pub fn new(activity: &Activity, sha256: &str, format: FileFormat) -> Self {
        let Activity { totals, counts, .. } = activity;
        Self {
            activity: activity.id,
            sha256: sha256.to_owned(),
            format,
            index: activity.index,
            sport: activity.sport,
            sub_sport: activity.sub_sport,
            start: activity.start,
            elapsed_s: totals.elapsed_s,
            timer_s: totals.timer_s,
            distance_m: totals.distance_m,
            calories_kcal: totals.calories_kcal,
            avg_hr_bpm: totals.avg_hr_bpm,
            max_hr_bpm: totals.max_hr_bpm,
            records: counts.records,
            hr_samples: counts.hr_samples,
            rr_intervals: counts.rr_intervals,
            quality: activity.quality.clone(),
            session: None,
            athlete: None,
            same_as: None,
        }
    }
}

/// A moment as text: what receivers read.
pub(crate) mod in_words {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use super::UnixMs;

    /// As [`UnixMs`] shows itself.
    pub(crate) fn serialize<S: Serializer>(at: &UnixMs, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    /// Back from that.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UnixMs, D::Error> {
        let text = String::deserialize(from)?;
        if let Some(number) = text.strip_suffix(" ms") {
            return number.parse().map(UnixMs).map_err(D::Error::custom);
        }
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(UnixMs(time.as_millisecond()))
    }
}

/// A place on the globe, in semicircles: 2³¹ of them are 180 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Latitude, north positive.
    pub lat: i32,
    /// Longitude, east positive.
    pub lon: i32,
}

impl Position {
    /// The place of these degrees; `None` where there is no such place.
    pub fn from_degrees(lat: f64, lon: f64) -> Option<Self> {
        let is_place = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        let semicircles = |degrees: f64| (degrees / 180.0 * f64::from(1u32 << 31)).round() as i64;
        // 180 degrees east are 180 degrees west, which fits.
        is_place.then(|| Self { lat: semicircles(lat) as i32, lon: semicircles(lon) as i32 })
    }

    /// Latitude and longitude in degrees.
    pub fn degrees(self) -> (f64, f64) {
        let degrees = |semicircles: i32| f64::from(semicircles) * 180.0 / f64::from(1u32 << 31);
        (degrees(self.lat), degrees(self.lon))
    }
}

/// One record: what was measured at one moment, usually once a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// When; `None` if the recording says nothing that could be believed.
    pub at: Option<UnixMs>,
    /// Heart rate in beats per minute; 0 means that no beat was found.
    pub heart_rate_bpm: Option<u8>,
    /// Where.
    pub position: Option<Position>,
    /// Metres above sea level.
    pub altitude_m: Option<f64>,
    /// Metres per second.
    pub speed_mps: Option<f64>,
    /// Metres since the start.
    pub distance_m: Option<f64>,
    /// Revolutions (running: strides) per minute.
    pub cadence_rpm: Option<f64>,
    /// Watts.
    pub power_w: Option<u16>,
    /// Degrees Celsius.
    pub temperature_c: Option<i8>,
    /// Kilocalories since the start.
    pub calories_kcal: Option<u16>,
}

/// Time between two heart beats in 1/1000 s, as recordings keep it. (Straps send 1/1024 s:
/// [`RrInterval`].)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RrMillis(pub u16);

/// Rounded to the nearest millisecond.
impl From<RrInterval> for RrMillis {
    fn from(rr: RrInterval) -> Self {
        Self(rr.millis().round() as u16)
    }
}

/// One beat. Recordings give beats no time of their own: they stand between the records, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When the record before it was made, if there was one.
    pub after: Option<UnixMs>,
    /// Time since the beat before.
    pub rr: RrMillis,
}

/// What streams from a recording, in its order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item {
    /// A record.
    Sample(Sample),
    /// A beat.
    Beat(Beat),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Origin {
        Origin {
            manufacturer: Some(1),
            product: Some(2697),
            serial: Some(3_949_444_444),
            created: Some(UnixMs::from_seconds(1_500_000_000)),
            product_name: None,
        }
    }

    #[test]
    fn an_activity_keeps_its_id_for_ever() {
        let id = ActivityId::new(&watch(), UnixMs::from_seconds(1_500_000_001), 0, None);
        assert_eq!(id.to_string(), "1974a5b8-ef56-56db-92a7-bcc1991a7444");
    }

    #[test]
    fn sessions_of_one_recording_have_ids_of_their_own() {
        let start = UnixMs::from_seconds(1_500_000_001);
        let first = ActivityId::new(&watch(), start, 0, None);
        assert_ne!(first, ActivityId::new(&watch(), start, 1, None));
        assert_ne!(first, ActivityId::new(&watch(), start.plus_ms(1000), 0, None));
        assert_ne!(first, ActivityId::new(&watch(), start, 0, Some(7)));
        let other = Origin { serial: Some(1), ..watch() };
        assert_ne!(first, ActivityId::new(&other, start, 0, None));
    }

    #[test]
    fn a_position_is_told_in_degrees() {
        let (lat, lon) = Position { lat: 1 << 30, lon: i32::MIN }.degrees();
        assert!((lat - 90.0).abs() < 1e-9 && (lon + 180.0).abs() < 1e-9, "{lat} {lon}");
    }

    #[test]
    fn degrees_become_the_place_that_they_tell() {
        for place in
            [(0, 0), (1 << 30, i32::MIN), (-(1 << 30), i32::MAX), (123_456_789, -987_654_321)]
        {
            let place = Position { lat: place.0, lon: place.1 };
            let (lat, lon) = place.degrees();
            assert_eq!(Position::from_degrees(lat, lon), Some(place));
        }
        assert_eq!(Position::from_degrees(0.0, 180.0), Some(Position { lat: 0, lon: i32::MIN }));
        for (lat, lon) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Position::from_degrees(lat, lon), None, "{lat} {lon}");
        }
    }

    #[test]
    fn beats_of_a_strap_are_rounded_to_milliseconds() {
        let millis = |rr| RrMillis::from(RrInterval(rr)).0;
        assert_eq!([0, 1024, 748, 340, u16::MAX].map(millis), [0, 1000, 730, 332, 63999]);
    }

    #[test]
    fn a_moment_is_told_as_rfc_3339() {
        assert_eq!(UnixMs(1_500_000_000_250).to_string(), "2017-07-14T02:40:00.25Z");
        assert_eq!(UnixMs(i64::MAX).to_string(), "9223372036854775807 ms");
        assert_eq!(UnixMs(-1).seconds(), -1);
    }
}
