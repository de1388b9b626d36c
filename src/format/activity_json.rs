//! An activity as JSON: what it sums up to, then every sample with its beats.
//!
//! `{"v":1,"activity":{…},"samples":[{…},…]}`. Moments are RFC 3339 in UTC with milliseconds, units are in the names, what
//! was not reported is left out; a heart rate is `null` where the sensor found no beat. `rr_ms` holds the times between
//! the beats that came after the sample and before the next, oldest first. Fields may be added within `v` 1, never
//! changed or removed.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::export::{Exported, Row, Rows, beating, finite, rfc3339};
use crate::activity::{Activity, Counts, Device, Item, Totals, UnixMs};

/// Version of this format.
const V: u8 = 1;

#[derive(Serialize)]
struct Head<'a> {
    id: String,
    #[serde(serialize_with = "moment")]
    start: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc_offset_min: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sport: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_sport: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sport_name: Option<&'a str>,
    totals: &'a Totals,
    laps: Vec<LapHead<'a>>,
    pauses: Vec<Span>,
    devices: &'a [Device],
    counts: &'a Counts,
}

#[derive(Serialize)]
struct LapHead<'a> {
    #[serde(serialize_with = "moment")]
    start: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<u8>,
    #[serde(flatten)]
    totals: &'a Totals,
}

#[derive(Serialize)]
struct Span {
    #[serde(serialize_with = "moment")]
    from: UnixMs,
    #[serde(serialize_with = "moment")]
    to: UnixMs,
}

/// `Option` twice: not reported, and reported as no beat.
#[derive(Serialize, Default)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heart_rate_bpm: Option<Option<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude_deg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude_deg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    altitude_m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed_mps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_m: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cadence_rpm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_w: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_c: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calories_kcal: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rr_ms: Vec<u16>,
}

fn moment<S: Serializer>(at: &UnixMs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

impl Line {
    fn new(row: Row) -> Self {
        let rr_ms = row.rr_ms;
        let Some(sample) = row.sample else { return Self { rr_ms, ..Self::default() } };
        let place = sample.position.map(|position| position.degrees());
        let rounded = |degrees: f64| (degrees * 1e8).round() / 1e8;
        Self {
            ts: sample.at.map(rfc3339),
            heart_rate_bpm: sample.heart_rate_bpm.map(|_| beating(&sample)),
            latitude_deg: place.map(|(lat, _)| rounded(lat)),
            longitude_deg: place.map(|(_, lon)| rounded(lon)),
            altitude_m: finite(sample.altitude_m),
            speed_mps: finite(sample.speed_mps),
            distance_m: finite(sample.distance_m),
            cadence_rpm: finite(sample.cadence_rpm),
            power_w: sample.power_w,
            temperature_c: sample.temperature_c,
            calories_kcal: sample.calories_kcal,
            rr_ms,
        }
    }
}

/// Writes one file: give it the items in their order, then [`ActivityJson::finish`].
#[derive(Debug)]
pub struct ActivityJson<W> {
    out: W,
    rows: Rows,
    lines: u64,
    exported: Exported,
}

impl<W: Write> ActivityJson<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// `out` may fail, here and later.
    pub fn new(mut out: W, activity: &Activity) -> io::Result<Self> {
        let laps = activity.laps.iter().map(|lap| LapHead {
            start: lap.start,
            trigger: lap.trigger,
            totals: &lap.totals,
        });
        let pauses = activity.pauses.iter().map(|pause| Span { from: pause.from, to: pause.to });
        let head = Head {
            id: activity.id.to_string(),
            start: activity.start,
            utc_offset_min: activity.utc_offset_min,
            sport: activity.sport,
            sub_sport: activity.sub_sport,
            sport_name: activity.sport_name.as_deref(),
            totals: &activity.totals,
            laps: laps.collect(),
            pauses: pauses.collect(),
            devices: &activity.devices,
            counts: &activity.counts,
        };
        write!(out, "{{\"v\":{V},\"activity\":")?;
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b",\"samples\":[")?;
        Ok(Self { out, rows: Rows::default(), lines: 0, exported: Exported::default() })
    }

    /// Writes what comes next.
    ///
    /// # Errors
    ///
    /// `out` may fail.
    pub fn item(&mut self, item: Item) -> io::Result<()> {
        match self.rows.item(item) {
            Some(row) => self.row(row),
            None => Ok(()),
        }
    }

    fn row(&mut self, row: Row) -> io::Result<()> {
        self.exported.samples += u64::from(row.sample.is_some());
        self.exported.beats += row.rr_ms.len() as u64;
        self.out.write_all(if self.lines == 0 { b"\n" } else { b",\n" })?;
        self.lines += 1;
        serde_json::to_writer(&mut self.out, &Line::new(row))?;
        Ok(())
    }

    /// Writes the end.
    ///
    /// # Errors
    ///
    /// `out` may fail.
    pub fn finish(mut self) -> io::Result<Exported> {
        if let Some(row) = self.rows.end() {
            self.row(row)?;
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.exported)
    }
}
