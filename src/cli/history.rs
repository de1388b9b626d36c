//! `pulsegate history`: the activities that have come in, the latest first, from the data folder, whether a daemon runs or not.

use std::fmt::Write as _;

use super::Folder;
use super::buffer::output::{self, Output};
use super::import::printable;
use super::{desk, sport};
use crate::activity::{ActivityId, UnixMs};
use crate::exit::{Exit, Failure};
use crate::history::{History, Listed, Wanted};
use crate::log;
use crate::roster::{self, People};

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
    /// Only those of this athlete: an id or a name, or the beginning of one
    #[arg(long, value_name = "WHO")]
    athlete: Option<String>,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (_, data_dir) = args.folder.load()?;
    log::start("warn");
    let people = roster::people_in(&data_dir).map_err(desk::failed)?;
    let whose = args.athlete.as_deref().map(|who| roster::find_athlete(&people, who));
    let whose = whose.transpose().map_err(desk::failed)?.map(|athlete| athlete.id);
    let wanted = Wanted { since: args.since, limit: args.limit, whose, ..Wanted::default() };
    let listed = History::new(&data_dir).list(&wanted);
    let listed = listed.map_err(|error| Failure::new(Exit::Io, error))?;
    let text = if args.json { output::json(&listed)? } else { table(&listed, &people) };
    if listed.is_empty() && !args.json && args.athlete.is_some() {
        eprintln!("nothing of theirs is in the history");
    } else if listed.is_empty() && !args.json && args.since.is_some() {
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

/// Each workout, with its other recordings below it.
fn table(listed: &[Listed], people: &People) -> String {
    let mut text = String::new();
    let is_listed = |id: ActivityId| listed.iter().any(|one| one.summary.activity == id);
    let is_below = |one: &&Listed| one.summary.same_as.is_some_and(is_listed);
    for one in listed.iter().filter(|one| !is_below(one)) {
        row(&mut text, one, people, "");
        let id = Some(one.summary.activity);
        for other in listed.iter().filter(|other| other.summary.same_as == id) {
            row(&mut text, other, people, "  also: ");
        }
    }
    text
}

fn row(text: &mut String, one: &Listed, people: &People, before: &str) {
    let summary = &one.summary;
    let sport = format!("{before}{}", sport::in_words(summary.sport));
    let line = writeln!(
        text,
        "{:<20} {sport:<20} {:>8} {:>10} {:>12}  {}  {}",
        summary.start.to_string(),
        duration(summary.elapsed_s),
        distance(summary.distance_m),
        heart_rate(summary.avg_hr_bpm, summary.max_hr_bpm),
        summary.activity,
        whose(one, people),
    );
    line.expect("a text takes every line");
}

/// By name; of whom is not known any more, by their id.
fn whose(one: &Listed, people: &People) -> String {
    let Some(id) = one.whose else { return "-".to_owned() };
    people.athlete(id).map_or_else(|| roster::short(id), |known| printable(&known.display_name))
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
