//! What GPX says: tracks with segments, points in those.
//!
//! Elements: GPX 1.0 and 1.1 of Topografix; beside them heart rate, cadence, power, temperature and speed of Garmin's
//! TrackPointExtension (v1, v2) and PowerExtension, and of those that apps have made up in their place. What stands in
//! them goes by its name alone: apps agree on little else.

use std::io::Read;

use super::gather::{Gather, moment, name, number, whole};
use super::sport;
use super::xml::{Event, Xml};
use crate::activity::{Position, Sample, Totals};

/// Reads the elements of a GPX file.
#[derive(Debug)]
pub struct Reader {
    creator: Option<String>,
    /// There are lines or places without a time.
    saw_course: bool,
    sample: Sample,
    segments: u32,
}

impl Reader {
    /// `xml` stands at the root.
    pub fn new(xml: &Xml<impl Read>) -> Self {
        let creator = xml.attribute("creator").and_then(name);
        Self { creator, saw_course: false, sample: Sample::default(), segments: 0 }
    }

    /// Takes an element in.
    pub fn take(
        &mut self,
        event: Event,
        xml: &Xml<impl Read>,
        gather: &mut Gather<'_>,
    ) -> Result<(), String> {
        let Some(path) = xml.path().strip_prefix("gpx/") else { return Ok(()) };
        let Some(within) = path.strip_prefix("trk") else {
            self.saw_course |= path.starts_with("rte") || path.starts_with("wpt");
            return Ok(());
        };
        match (event, within) {
            (Event::Open, "") => {
                gather.begin()?;
                self.segments = 0;
                if let Some(current) = gather.current() {
                    current.origin.product_name.clone_from(&self.creator);
                }
            }
            (Event::Open, "/trkseg") => {
                if self.segments > 0 {
                    gather.part();
                }
                self.segments += 1;
            }
            (Event::Open, "/trkseg/trkpt") => {
                let degrees = |name| xml.attribute(name).and_then(number);
                let place = degrees("lat").zip(degrees("lon"));
                let position = place.and_then(|(lat, lon)| Position::from_degrees(lat, lon));
                self.sample = Sample { position, ..Sample::default() };
            }
            (Event::Close, "/trkseg/trkpt") => return gather.sample(self.sample),
            (Event::Close, "/type") => {
                if let Some(current) = gather.current() {
                    current.sport = sport::of_name(xml.text());
                    current.sport_name = name(xml.text());
                }
            }
            (Event::Close, "") => self.saw_course |= gather.end(Totals::default()).is_none(),
            (Event::Close, within) => {
                if let Some(field) = within.strip_prefix("/trkseg/trkpt/") {
                    self.point(field, xml, gather);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn point(&mut self, field: &str, xml: &Xml<impl Read>, gather: &mut Gather<'_>) {
        let (sample, text) = (&mut self.sample, xml.text());
        match field {
            "time" => {
                let told = moment(text);
                sample.at = told.map(|(at, _)| at);
                if let (Some(current), Some((_, offset))) = (gather.current(), told) {
                    current.utc_offset_min = current.utc_offset_min.or(offset);
                }
                return;
            }
            "ele" => sample.altitude_m = number(text),
            "speed" => sample.speed_mps = number(text),
            _ => {}
        }
        if !field.starts_with("extensions/") {
            return;
        }
        match xml.name().to_ascii_lowercase().as_str() {
            "hr" | "heartrate" | "heart_rate" => sample.heart_rate_bpm = whole(text),
            "cad" | "cadence" | "runcadence" => sample.cadence_rpm = number(text),
            "power" | "watts" | "powerinwatts" => sample.power_w = whole(text),
            "atemp" | "temp" | "temperature" => sample.temperature_c = whole(text),
            "speed" => sample.speed_mps = number(text),
            "distance" => sample.distance_m = number(text),
            _ => {}
        }
    }

    /// The file ends, properly or not. Whether there were lines or places without a time.
    pub fn end(self, gather: &mut Gather<'_>) -> bool {
        gather.end(Totals::default());
        self.saw_course
    }
}
