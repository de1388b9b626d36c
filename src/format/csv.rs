//! An activity as CSV: one line a sample, for spreadsheets and statistics.
//!
//! RFC 4180: UTF-8, a head line, commas, CRLF; decimal points. Units are in the names of the columns. An empty cell means
//! "not reported"; the heart rate is empty where no beat was found. `time` is RFC 3339 in UTC with milliseconds,
//! `elapsed_s` counts from the start of the activity, pauses included. `rr_ms` holds the times between the beats that
//! came after the sample and before the next, oldest first, with blanks between them. Every cell is a number, a time or a
//! list of numbers: nothing that a spreadsheet could take for a formula.

use std::io::{self, Write};

use super::export::{Exported, Row, Rows, beating, finite, rfc3339};
use crate::activity::{Activity, Item, Sample, UnixMs};

/// The head line.
const HEAD: &str = "time,elapsed_s,heart_rate_bpm,latitude_deg,longitude_deg,altitude_m,speed_mps,distance_m,cadence_rpm,power_w,temperature_c,calories_kcal,rr_ms";

/// Writes one file: give it the items in their order, then [`Csv::finish`].
#[derive(Debug)]
pub struct Csv<W> {
    out: W,
    start: UnixMs,
    rows: Rows,
    exported: Exported,
}

impl<W: Write> Csv<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// `out` may fail, here and later.
    pub fn new(mut out: W, activity: &Activity) -> io::Result<Self> {
        write!(out, "{HEAD}\r\n")?;
        let (rows, exported) = (Rows::default(), Exported::default());
        Ok(Self { out, start: activity.start, rows, exported })
    }

    /// Writes what comes next.
    ///
    /// # Errors
    ///
    /// `out` may fail.
    pub fn item(&mut self, item: Item) -> io::Result<()> {
        match self.rows.item(item) {
            Some(row) => self.row(&row),
            None => Ok(()),
        }
    }

    fn row(&mut self, row: &Row) -> io::Result<()> {
        self.exported.samples += u64::from(row.sample.is_some());
        self.exported.beats += row.rr_ms.len() as u64;
        let sample = row.sample.unwrap_or_default();
        let elapsed = sample.at.map(|at| at.0.saturating_sub(self.start.0) as f64 / 1000.0);
        let place = sample.position.map(|position| position.degrees());
        let out = &mut self.out;
        cell(out, sample.at.map(rfc3339))?;
        cell(out, elapsed)?;
        cell(out, beating(&sample))?;
        cell(out, place.map(|(lat, _)| format!("{lat:.8}")))?;
        cell(out, place.map(|(_, lon)| format!("{lon:.8}")))?;
        let Sample { altitude_m, speed_mps, distance_m, cadence_rpm, .. } = sample;
        for value in [altitude_m, speed_mps, distance_m, cadence_rpm] {
            cell(out, finite(value))?;
        }
        cell(out, sample.power_w)?;
        cell(out, sample.temperature_c)?;
        cell(out, sample.calories_kcal)?;
        for (index, rr) in row.rr_ms.iter().enumerate() {
            write!(out, "{}{rr}", if index == 0 { "" } else { " " })?;
        }
        out.write_all(b"\r\n")
    }

    /// Writes the last line.
    ///
    /// # Errors
    ///
    /// `out` may fail.
    pub fn finish(mut self) -> io::Result<Exported> {
        if let Some(row) = self.rows.end() {
            self.row(&row)?;
        }
        self.out.flush()?;
        Ok(self.exported)
    }
}

fn cell(out: &mut impl Write, value: Option<impl std::fmt::Display>) -> io::Result<()> {
    match value {
        Some(value) => write!(out, "{value},"),
        None => out.write_all(b","),
    }
}
