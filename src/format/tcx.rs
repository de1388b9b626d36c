//! An activity as TCX (Garmin's Training Center Database v2), with speed, power and running cadence in the Activity
//! Extension v2.
//!
//! Each lap says first what it sums up to, as the device said it; a pause within a lap begins another track. Beats,
//! temperature and time zone have no place in TCX.

use std::io::{self, Write};

use super::export::{Escaped, ExportError, Exported, beating, finite, paused, rfc3339, whole_rpm};
use super::gpx::element;
use crate::activity::{Activity, Item, Lap, Pause, Sample, Totals, UnixMs};
use crate::track::sport;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2" xmlns:ns3="http://www.garmin.com/xmlschemas/ActivityExtension/v2" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2 http://www.garmin.com/xmlschemas/TrainingCenterDatabasev2.xsd http://www.garmin.com/xmlschemas/ActivityExtension/v2 http://www.garmin.com/xmlschemas/ActivityExtensionv2.xsd">
"#;
/// Running, as FIT numbers it: its cadence stands elsewhere.
const RUNNING: u8 = 1;

/// Highest cadence that the schema has room for.
const RPM_MAX: u8 = 254;

/// Writes one file: give it the items in their order, then [`Tcx::finish`].
#[derive(Debug)]
pub struct Tcx<W> {
    out: W,
    laps: Vec<Lap>,
    /// Laps that were begun.
    begun: usize,
    pauses: Vec<Pause>,
    /// The last sample of the track that is open.
    latest: Option<UnixMs>,
    is_run: bool,
    creator: Option<String>,
    exported: Exported,
}

impl<W: Write> Tcx<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// The activity may not say how long it lasted; `out` may fail, here and later.
    pub fn new(mut out: W, activity: &Activity) -> Result<Self, ExportError> {
        let laps = laps(activity)?;
        out.write_all(HEAD.as_bytes())?;
        let sport = sport::tcx_name(activity.sport, activity.sub_sport);
        writeln!(out, " <Activities><Activity Sport=\"{sport}\">")?;
        writeln!(out, "  <Id>{}</Id>", rfc3339(activity.start))?;
        Ok(Self {
            out,
            laps,
            begun: 0,
            pauses: activity.pauses.clone(),
            latest: None,
            is_run: activity.sport == Some(RUNNING),
            creator: creator(activity),
            exported: Exported::default(),
        })
    }

    /// Writes what comes next.
    ///
    /// # Errors
    ///
    /// `out` may fail.
    pub fn item(&mut self, item: Item) -> Result<(), ExportError> {
        match item {
            Item::Beat(_) => self.exported.beats_left_out += 1,
            Item::Sample(sample) => match sample.at {
                Some(at) => self.point(&sample, at)?,
                None => self.exported.samples_left_out += 1,
            },
        }
        Ok(())
    }

    fn point(&mut self, sample: &Sample, at: UnixMs) -> io::Result<()> {
        // What comes before the first lap is of the first lap.
        while self.begun == 0 || self.laps.get(self.begun).is_some_and(|lap| lap.start <= at) {
            self.begin_lap()?;
        }
        let out = &mut self.out;
        match self.latest {
            None => writeln!(out, "   <Track>")?,
            Some(before) if paused(&self.pauses, before, at) => {
                writeln!(out, "   </Track>\n   <Track>")?;
            }
            Some(_) => {}
        }
        self.latest = Some(at);
        self.exported.samples += 1;
        write!(out, "    <Trackpoint><Time>{}</Time>", rfc3339(at))?;
        if let Some((lat, lon)) = sample.position.map(|position| position.degrees()) {
            write!(out, "<Position><LatitudeDegrees>{lat:.8}</LatitudeDegrees>")?;
            write!(out, "<LongitudeDegrees>{lon:.8}</LongitudeDegrees></Position>")?;
        }
        element(out, "AltitudeMeters", finite(sample.altitude_m))?;
        element(out, "DistanceMeters", finite(sample.distance_m))?;
        if let Some(bpm) = beating(sample) {
            write!(out, "<HeartRateBpm><Value>{bpm}</Value></HeartRateBpm>")?;
        }
        let rpm = whole_rpm(sample.cadence_rpm);
        let (of_wheel, of_legs) = if self.is_run { (None, rpm) } else { (rpm, None) };
        element(out, "Cadence", of_wheel)?;
        let speed = finite(sample.speed_mps);
        if speed.is_some() || of_legs.is_some() || sample.power_w.is_some() {
            write!(out, "<Extensions><ns3:TPX>")?;
            element(out, "ns3:Speed", speed)?;
            element(out, "ns3:RunCadence", of_legs)?;
            element(out, "ns3:Watts", sample.power_w)?;
            write!(out, "</ns3:TPX></Extensions>")?;
        }
        writeln!(out, "</Trackpoint>")
    }

    fn begin_lap(&mut self) -> io::Result<()> {
        self.end_lap()?;
        let Lap { start, totals, trigger } = self.laps[self.begun];
        self.begun += 1;
        let out = &mut self.out;
        writeln!(out, "  <Lap StartTime=\"{}\">", rfc3339(start))?;
        write!(out, "   ")?;
        element(out, "TotalTimeSeconds", finite(totals.timer_s).or(Some(0.0)))?;
        element(out, "DistanceMeters", finite(totals.distance_m).or(Some(0.0)))?;
        element(out, "MaximumSpeed", finite(totals.max_speed_mps))?;
        element(out, "Calories", totals.calories_kcal.or(Some(0)))?;
        let rates = [("Average", totals.avg_hr_bpm), ("Maximum", totals.max_hr_bpm)].into_iter();
        let rates = rates.filter_map(|(which, bpm)| Some((which, bpm.filter(|bpm| *bpm != 0)?)));
        for (which, bpm) in rates {
            write!(out, "<{which}HeartRateBpm><Value>{bpm}</Value></{which}HeartRateBpm>")?;
        }
        write!(out, "<Intensity>Active</Intensity>")?;
        let cadence = totals.avg_cadence_rpm.filter(|rpm| !self.is_run && *rpm <= RPM_MAX);
        element(out, "Cadence", cadence)?;
        let trigger = match trigger {
            Some(1) => "Time",
            Some(2) => "Distance",
            Some(3..=6) => "Location",
            _ => "Manual",
        };
        writeln!(out, "<TriggerMethod>{trigger}</TriggerMethod>")
    }

    fn end_lap(&mut self) -> io::Result<()> {
        if self.latest.take().is_some() {
            writeln!(self.out, "   </Track>")?;
        }
        let Some(before) = self.begun.checked_sub(1) else { return Ok(()) };
        let totals = &self.laps[before].totals;
        let speed = finite(totals.avg_speed_mps);
        let rpm = |rpm: Option<u8>, is_here: bool| rpm.filter(|rpm| is_here && *rpm <= RPM_MAX);
        let fields = [
            ("AvgSpeed", speed.map(|speed| speed.to_string())),
            ("MaxBikeCadence", rpm(totals.max_cadence_rpm, !self.is_run).map(|n| n.to_string())),
            ("AvgRunCadence", rpm(totals.avg_cadence_rpm, self.is_run).map(|n| n.to_string())),
            ("MaxRunCadence", rpm(totals.max_cadence_rpm, self.is_run).map(|n| n.to_string())),
            ("AvgWatts", totals.avg_power_w.map(|n| n.to_string())),
            ("MaxWatts", totals.max_power_w.map(|n| n.to_string())),
        ];
        if fields.iter().any(|(_, value)| value.is_some()) {
            write!(self.out, "   <Extensions><ns3:LX>")?;
            for (name, value) in fields {
                element(&mut self.out, &format!("ns3:{name}"), value)?;
            }
            writeln!(self.out, "</ns3:LX></Extensions>")?;
        }
        writeln!(self.out, "  </Lap>")
    }

    /// Writes the end.
    ///
    /// # Errors
    ///
    /// `out` may fail.
    pub fn finish(mut self) -> Result<Exported, ExportError> {
        while self.begun < self.laps.len() {
            self.begin_lap()?;
        }
        self.end_lap()?;
        if let Some(creator) = &self.creator {
            writeln!(self.out, "{creator}")?;
        }
        write!(self.out, " </Activity></Activities>\n</TrainingCenterDatabase>\n")?;
        self.out.flush()?;
        Ok(self.exported)
    }
}

/// The laps, one at least; each says how long it took.
fn laps(activity: &Activity) -> Result<Vec<Lap>, ExportError> {
    if activity.laps.is_empty() {
        let timer_s = activity.totals.timer_s.or(activity.totals.elapsed_s);
        let timer_s = Some(timer_s.ok_or(ExportError::NoDuration)?);
        let totals = Totals { timer_s, ..activity.totals };
        return Ok(vec![Lap { start: activity.start, totals, trigger: None }]);
    }
    let mut laps = activity.laps.clone();
    let starts: Vec<UnixMs> = laps.iter().skip(1).map(|lap| lap.start).collect();
    let end = activity.totals.elapsed_s.map(|_| activity.end());
    for (lap, next) in laps.iter_mut().zip(starts.into_iter().map(Some).chain([end])) {
        let measured = next.map(|next| next.0.saturating_sub(lap.start.0).max(0) as f64 / 1000.0);
        let timer_s = lap.totals.timer_s.or(lap.totals.elapsed_s).or(measured);
        lap.totals.timer_s = Some(timer_s.ok_or(ExportError::NoDuration)?);
    }
    Ok(laps)
}

/// What recorded it, if it has a name.
fn creator(activity: &Activity) -> Option<String> {
    let origin = &activity.origin;
    let name = Escaped(origin.product_name.as_deref()?);
    Some(format!(
        "  <Creator xsi:type=\"Device_t\"><Name>{name}</Name><UnitId>{}</UnitId><ProductID>{}</ProductID>\
         <Version><VersionMajor>0</VersionMajor><VersionMinor>0</VersionMinor></Version></Creator>",
        origin.serial.unwrap_or(0),
        origin.product.unwrap_or(0),
    ))
}
