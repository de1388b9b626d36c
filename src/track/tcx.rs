//! What TCX says: activities with laps, tracks in them, points in those.
//!
//! Elements: Garmin's Training Center Database v2, with the Activity Extension v2 (speed, power, cadence).

use std::io::Read;

use super::gather::{Gather, moment, name, number, whole};
use super::sport;
use super::xml::{Event, Xml};
use crate::activity::{Lap, Position, Sample, Totals, UnixMs};

/// Reads the elements of a TCX file.
#[derive(Debug, Default)]
pub struct Reader {
    saw_course: bool,
    lap: Option<LapInMaking>,
    sample: Sample,
    place: [Option<f64>; 2],
    session: Session,
}

#[derive(Debug, Default)]
struct LapInMaking {
    start: Option<UnixMs>,
    totals: Totals,
    trigger: Option<u8>,
    /// Tracks in it so far.
    tracks: u32,
}

/// What the laps of an activity sum up to.
#[derive(Debug, Default)]
struct Session {
    totals: Totals,
    /// Heart rate times seconds, and seconds.
    heart: (f64, f64),
    end: Option<UnixMs>,
}

impl Reader {
    /// Takes an element in.
    pub fn take(
        &mut self,
        event: Event,
        xml: &Xml<impl Read>,
        gather: &mut Gather<'_>,
    ) -> Result<(), String> {
        let Some(path) = xml.path().strip_prefix("TrainingCenterDatabase/") else { return Ok(()) };
        if !path.starts_with("Activities/") {
            self.saw_course |= path.starts_with("Courses/");
            return Ok(());
        }
        // Also those of several sports, which are nested a little deeper.
        let Some((_, within)) = path.split_once("/Activity") else { return Ok(()) };
        match event {
            Event::Open => self.open(within, xml, gather),
            Event::Close => self.close(within, xml, gather),
        }
    }

    fn open(
        &mut self,
        within: &str,
        xml: &Xml<impl Read>,
        gather: &mut Gather<'_>,
    ) -> Result<(), String> {
        match within {
            "" => {
                gather.begin()?;
                *self = Self { saw_course: self.saw_course, ..Self::default() };
                if let Some(current) = gather.current() {
                    let said = xml.attribute("Sport").unwrap_or_default();
                    current.sport = sport::of_name(said);
                    current.sport_name = name(said);
                }
            }
            "/Lap" => {
                let start = xml.attribute("StartTime").and_then(moment).map(|(at, _)| at);
                self.lap = Some(LapInMaking { start, ..LapInMaking::default() });
            }
            "/Lap/Track" => {
                if let Some(lap) = &mut self.lap {
                    // Laps have tracks of their own; two tracks within a lap have a pause between them.
                    if lap.tracks > 0 {
                        gather.part();
                    }
                    lap.tracks += 1;
                }
            }
            "/Lap/Track/Trackpoint" => (self.sample, self.place) = Default::default(),
            _ => {}
        }
        Ok(())
    }

    fn close(
        &mut self,
        within: &str,
        xml: &Xml<impl Read>,
        gather: &mut Gather<'_>,
    ) -> Result<(), String> {
        if within == "/Lap/Track/Trackpoint" {
            if let Some(lap) = &mut self.lap {
                lap.start = lap.start.or(self.sample.at);
            }
            return gather.sample(self.sample);
        }
        if let Some(field) = within.strip_prefix("/Lap/Track/Trackpoint/") {
            self.point(field, xml.text(), gather);
            return Ok(());
        }
        if let Some(field) = within.strip_prefix("/Lap/") {
            self.total(field, xml.text());
            return Ok(());
        }
        match within {
            "" => {
                self.finish(gather);
                return Ok(());
            }
            "/Lap" => {
                self.finish_lap(gather);
                return Ok(());
            }
            _ => {}
        }
        let Some(current) = gather.current() else { return Ok(()) };
        let (origin, text) = (&mut current.origin, xml.text());
        match within {
            "/Id" => {
                if let Some((at, offset)) = moment(text) {
                    origin.created = Some(at);
                    current.utc_offset_min = current.utc_offset_min.or(offset);
                }
            }
            "/Creator/Name" => origin.product_name = name(text),
            "/Creator/UnitId" => origin.serial = whole(text).filter(|serial| *serial != 0),
            "/Creator/ProductID" => origin.product = whole(text),
            _ => {}
        }
        Ok(())
    }

    /// A field of a point.
    fn point(&mut self, field: &str, text: &str, gather: &mut Gather<'_>) {
        let sample = &mut self.sample;
        match field {
            "Time" => {
                let told = moment(text);
                sample.at = told.map(|(at, _)| at);
                if let (Some(current), Some((_, offset))) = (gather.current(), told) {
                    current.utc_offset_min = current.utc_offset_min.or(offset);
                }
            }
            "Position/LatitudeDegrees" => self.place[0] = number(text),
            "Position/LongitudeDegrees" => self.place[1] = number(text),
            "Position" => {
                if let [Some(lat), Some(lon)] = self.place {
                    sample.position = Position::from_degrees(lat, lon);
                }
            }
            "AltitudeMeters" => sample.altitude_m = number(text),
            "DistanceMeters" => sample.distance_m = number(text),
            "HeartRateBpm/Value" => sample.heart_rate_bpm = whole(text),
            // Some apps leave the inner element out.
            "HeartRateBpm" => sample.heart_rate_bpm = sample.heart_rate_bpm.or(whole(text)),
            "Cadence" | "Extensions/TPX/RunCadence" => sample.cadence_rpm = number(text),
            "Extensions/TPX/Speed" => sample.speed_mps = number(text),
            "Extensions/TPX/Watts" => sample.power_w = whole(text),
            _ => {}
        }
    }

    /// A field of a lap.
    fn total(&mut self, field: &str, text: &str) {
        let Some(lap) = &mut self.lap else { return };
        let totals = &mut lap.totals;
        let beats = || whole(text).filter(|bpm| *bpm != 0);
        match field {
            "TotalTimeSeconds" => totals.timer_s = number(text).filter(|seconds| *seconds >= 0.0),
            "DistanceMeters" => totals.distance_m = number(text),
            "MaximumSpeed" => totals.max_speed_mps = number(text),
            "Calories" => totals.calories_kcal = whole(text),
            "AverageHeartRateBpm/Value" => totals.avg_hr_bpm = beats(),
            "MaximumHeartRateBpm/Value" => totals.max_hr_bpm = beats(),
            "Cadence" | "Extensions/LX/AvgRunCadence" => totals.avg_cadence_rpm = whole(text),
            "Extensions/LX/MaxBikeCadence" | "Extensions/LX/MaxRunCadence" => {
                totals.max_cadence_rpm = whole(text);
            }
            "Extensions/LX/AvgSpeed" => totals.avg_speed_mps = number(text),
            "Extensions/LX/AvgWatts" => totals.avg_power_w = whole(text),
            "Extensions/LX/MaxWatts" => totals.max_power_w = whole(text),
            "TriggerMethod" => lap.trigger = TRIGGERS.iter().find(|(n, _)| *n == text).map(|t| t.1),
            _ => {}
        }
    }

    fn finish_lap(&mut self, gather: &mut Gather<'_>) {
        let Some(lap) = self.lap.take() else { return };
        let Some(start) = lap.start else { return };
        self.session.add(&lap.totals, start);
        if let Some(current) = gather.current() {
            current.lap(Lap { start, totals: lap.totals, trigger: lap.trigger });
        }
    }

    fn finish(&mut self, gather: &mut Gather<'_>) {
        let Some(current) = gather.current() else { return };
        let latest = current.latest().max(self.session.end);
        // A lap lasts until the next begins.
        let nexts: Vec<UnixMs> = current.laps.iter().skip(1).map(|lap| lap.start).collect();
        for (lap, end) in current.laps.iter_mut().zip(nexts.into_iter().map(Some).chain([latest])) {
            let ms = end.map(|end| end.0.saturating_sub(lap.start.0)).filter(|ms| *ms >= 0);
            lap.totals.elapsed_s = ms.map(|ms| ms as f64 / 1000.0);
        }
        let start = current.laps.first().map(|lap| lap.start);
        let (heart, seconds) = self.session.heart;
        let totals = Totals {
            elapsed_s: start
                .zip(latest)
                .map(|(from, to)| to.0.saturating_sub(from.0) as f64 / 1000.0),
            avg_hr_bpm: (seconds > 0.0).then(|| (heart / seconds).round() as u8),
            ..self.session.totals
        };
        gather.end(totals);
    }

    /// The file ends, properly or not. Whether there were courses.
    pub fn end(mut self, gather: &mut Gather<'_>) -> bool {
        self.finish_lap(gather);
        self.finish(gather);
        self.saw_course
    }
}

impl Session {
    fn add(&mut self, lap: &Totals, start: UnixMs) {
        let totals = &mut self.totals;
        let seconds = lap.timer_s.unwrap_or(0.0);
        let sum = |a: Option<f64>, b: Option<f64>| b.map(|b| a.unwrap_or(0.0) + b).or(a);
        totals.timer_s = sum(totals.timer_s, lap.timer_s);
        totals.distance_m = sum(totals.distance_m, lap.distance_m);
        if let Some(kcal) = lap.calories_kcal {
            totals.calories_kcal = Some(totals.calories_kcal.unwrap_or(0).saturating_add(kcal));
        }
        if let Some(bpm) = lap.avg_hr_bpm {
            self.heart.0 += f64::from(bpm) * seconds;
            self.heart.1 += seconds;
        }
        totals.max_hr_bpm = totals.max_hr_bpm.max(lap.max_hr_bpm);
        totals.max_power_w = totals.max_power_w.max(lap.max_power_w);
        totals.max_cadence_rpm = totals.max_cadence_rpm.max(lap.max_cadence_rpm);
        let fastest = [totals.max_speed_mps, lap.max_speed_mps].into_iter().flatten();
        totals.max_speed_mps = fastest.reduce(f64::max);
        let end = start.plus_ms((seconds.min(1e9) * 1000.0).round() as i64);
        self.end = self.end.max(Some(end));
    }
}

/// What ends a lap, in TCX and in FIT.
pub(crate) const TRIGGERS: &[(&str, u8)] =
    &[("Manual", 0), ("Distance", 2), ("Location", 4), ("Time", 1), ("HeartRate", 0)];
