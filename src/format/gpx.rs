//! An activity as GPX 1.1: its way over the map, with heart rate, cadence and temperature in Garmin's
//! TrackPointExtension v1 and power in its PowerExtension v1.
//!
//! A pause begins another segment. Beats, distance, speed and summaries have no place in GPX, and a sample without a
//! position has none either: a session in a room cannot be GPX.

use std::io::{self, Write};

use super::export::{Escaped, ExportError, Exported, beating, finite, paused, rfc3339, whole_rpm};
use crate::activity::{Activity, Item, Pause, Sample, UnixMs};
use crate::track::sport;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="Pulsegate" xmlns="http://www.topografix.com/GPX/1/1" xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v1" xmlns:gpxpx="http://www.garmin.com/xmlschemas/PowerExtension/v1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.topografix.com/GPX/1/1 http://www.topografix.com/GPX/1/1/gpx.xsd http://www.garmin.com/xmlschemas/TrackPointExtension/v1 http://www.garmin.com/xmlschemas/TrackPointExtensionv1.xsd http://www.garmin.com/xmlschemas/PowerExtension/v1 http://www.garmin.com/xmlschemas/PowerExtensionv1.xsd">
"#;

/// Writes one file: give it the items in their order, then [`Gpx::finish`].
#[derive(Debug)]
pub struct Gpx<W> {
    out: W,
    pauses: Vec<Pause>,
    latest: Option<UnixMs>,
    exported: Exported,
}

impl<W: Write> Gpx<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// `out` may fail, here and later.
    pub fn new(mut out: W, activity: &Activity) -> Result<Self, ExportError> {
        out.write_all(HEAD.as_bytes())?;
        writeln!(out, " <metadata><time>{}</time></metadata>", rfc3339(activity.start))?;
        writeln!(out, " <trk>")?;
        if let Some(name) = &activity.sport_name {
            writeln!(out, "  <name>{}</name>", Escaped(name))?;
        }
        writeln!(out, "  <type>{}</type>", sport::gpx_name(activity.sport, activity.sub_sport))?;
        let pauses = activity.pauses.clone();
        Ok(Self { out, pauses, latest: None, exported: Exported::default() })
    }

    /// Writes what comes next.
    ///
    /// # Errors
    ///
    /// `out` may fail.
    pub fn item(&mut self, item: Item) -> Result<(), ExportError> {
        match item {
            Item::Beat(_) => self.exported.beats_left_out += 1,
            Item::Sample(sample) => match (sample.at, sample.position) {
                (Some(at), Some(position)) => self.point(&sample, at, position.degrees())?,
                _ => self.exported.samples_left_out += 1,
            },
        }
        Ok(())
    }

    fn point(&mut self, sample: &Sample, at: UnixMs, (lat, lon): (f64, f64)) -> io::Result<()> {
        let out = &mut self.out;
        match self.latest {
            None => writeln!(out, "  <trkseg>")?,
            Some(before) if paused(&self.pauses, before, at) => {
                writeln!(out, "  </trkseg>\n  <trkseg>")?;
            }
            Some(_) => {}
        }
        self.latest = Some(at);
        self.exported.samples += 1;
        write!(out, "   <trkpt lat=\"{lat:.8}\" lon=\"{lon:.8}\">")?;
        element(out, "ele", finite(sample.altitude_m))?;
        write!(out, "<time>{}</time>", rfc3339(at))?;
        let (bpm, rpm) = (beating(sample), whole_rpm(sample.cadence_rpm));
        let has_garmin = sample.temperature_c.is_some() || bpm.is_some() || rpm.is_some();
        if has_garmin || sample.power_w.is_some() {
            write!(out, "<extensions>")?;
            if has_garmin {
                write!(out, "<gpxtpx:TrackPointExtension>")?;
                element(out, "gpxtpx:atemp", sample.temperature_c)?;
                element(out, "gpxtpx:hr", bpm)?;
                element(out, "gpxtpx:cad", rpm)?;
                write!(out, "</gpxtpx:TrackPointExtension>")?;
            }
            element(out, "gpxpx:PowerInWatts", sample.power_w)?;
            write!(out, "</extensions>")?;
        }
        writeln!(out, "</trkpt>")
    }

    /// Writes the end.
    ///
    /// # Errors
    ///
    /// If no sample had a position, what was written is of no use. `out` may fail.
    pub fn finish(mut self) -> Result<Exported, ExportError> {
        if self.latest.is_none() {
            return Err(ExportError::NoPosition);
        }
        write!(self.out, "  </trkseg>\n </trk>\n</gpx>\n")?;
        self.out.flush()?;
        Ok(self.exported)
    }
}

/// An element, if there is a value.
pub(super) fn element(
    out: &mut impl Write,
    name: &str,
    value: Option<impl std::fmt::Display>,
) -> io::Result<()> {
    match value {
        Some(value) => write!(out, "<{name}>{value}</{name}>"),
        None => Ok(()),
    }
}
