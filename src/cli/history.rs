//! `pulsegate history`: the activities that have come in, the latest first, from the data folder, whether a daemon runs or not.

use std::fmt::Write as _;

use super::Folder;
use super::buffer::output::{self, Output};
use super::sport;
use crate::activity::UnixMs;
use crate::exit::{Exit, Failure};
use crate::history::{History, Listed, Wanted};
use crate::log;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    folder: Folder,
    /// Only so many, the latest
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only those that began then or later: 2026-06-01 (midnight UTC) or 2026-06-01T18:00:00+02:00
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<UnixMs>,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (_, data_dir) = args.folder.load()?;
    log::start("warn");
    let wanted = Wanted { since: args.since, limit: args.limit, ..Wanted::default() };
    let listed = History::new(&data_dir).list(&wanted);
    let listed = listed.map_err(|error| Failure::new(Exit::Io, error))?;
    let text = if args.json { output::json(&listed)? } else { table(&listed) };
    if listed.is_empty() && !args.json && args.since.is_some() {
        eprintln!("no activity began since then");
    } else if listed.is_empty() && !args.json {
        eprintln!("no activity has come in yet; `pulsegate import FILE` brings one");
    }
    Output::default().say(&text)
}

/// A date, or a moment with its zone.
fn moment(text: &str) -> Result<UnixMs, String> {
    let midnight = |date: jiff::civil::Date| date.to_zoned(jiff::tz::TimeZone::UTC);
    let moment = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| text.parse().and_then(midnight).map(|zoned| zoned.timestamp()));
    let moment = moment.map_err(|_| "neither a date like 2026-06-01 nor a time with its zone")?;
    Ok(UnixMs(moment.as_millisecond()))
}

fn table(listed: &[Listed]) -> String {
    let mut text = String::new();
    for Listed { summary, .. } in listed {
        let line = writeln!(
            text,
            "{:<20} {:<20} {:>8} {:>10} {:>12}  {}",
            summary.start.to_string(),
            sport::in_words(summary.sport),
            duration(summary.elapsed_s),
            distance(summary.distance_m),
            heart_rate(summary.avg_hr_bpm, summary.max_hr_bpm),
            summary.activity,
        );
        line.expect("a text takes every line");
    }
    text
}

/// Hours, minutes and seconds.
pub(super) fn duration(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    let seconds = seconds.round() as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Kilometres.
pub(super) fn distance(metres: Option<f64>) -> String {
    metres.map_or_else(|| "-".to_owned(), |metres| format!("{:.2} km", metres / 1000.0))
}

/// Average and maximum.
pub(super) fn heart_rate(avg: Option<u8>, max: Option<u8>) -> String {
    let word = |bpm: Option<u8>| bpm.map_or_else(|| "-".to_owned(), |bpm| bpm.to_string());
    if avg.is_none() && max.is_none() {
        return "-".to_owned();
    }
    format!("{}/{} bpm", word(avg), word(max))
}
