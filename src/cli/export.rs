//! `pulsegate export`: an activity of the history as a file, in the format of somebody's choice. It reads the data folder,
//! whether a daemon runs or not, and changes nothing in it.
//!
//! FIT of a FIT file is its own bytes; everything else is written anew from what streams from the original. A file is
//! whole or not there.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Folder;
use super::buffer::output::Output;
use super::sport;
use crate::activity::{Activity, ActivityId, FileFormat, Item};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::fit::Class;
use crate::fit::encode::{Creator, EncodeError, Encoder};
use crate::format::activity_json::ActivityJson;
use crate::format::csv::Csv;
use crate::format::export::{ExportError, Exported};
use crate::format::gpx::Gpx;
use crate::format::tcx::Tcx;
use crate::gateway;
use crate::history::{Bounds, History, HistoryError, Kept, Listed, Scratch, Wanted};
use crate::log;

/// Copied at once.
const PIECE: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its id, or as much of it as no other begins with; or `last`, the latest by its start
    activity: String,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// Where to: a file, or - for standard output [default: ID.FORMAT]
    #[arg(short, long, value_name = "FILE|-")]
    output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The original of a FIT file; of others a FIT file of our own
    Fit,
    /// Training Center Database
    Tcx,
    /// Positions, for maps
    Gpx,
    /// One line a sample
    Csv,
    /// Everything, as one object
    Json,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Tcx => "tcx",
            Self::Gpx => "gpx",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (config, data_dir) = args.folder.load()?;
    log::start("warn");
    let history = History::new(&data_dir);
    let limit = (args.activity == "last").then_some(1);
    let listed = history.list(&Wanted { limit, ..Wanted::default() });
    let id = find(&listed.map_err(failed)?, &args.activity)?;
    let kept = history.get(id).map_err(failed)?.ok_or_else(|| unknown(&args.activity))?;
    let place = match &args.output {
        Some(path) if path == Path::new("-") => None,
        Some(path) => Some(path.clone()),
        None => Some(PathBuf::from(format!("{id}.{}", args.format.extension()))),
    };
    if let Some(path) = place.as_deref().filter(|path| !args.force && is_taken(path)) {
        return Err(taken(path));
    }
    let other = if args.force { Other::IsReplaced } else { Other::Stays };
    let beside = match place.as_deref().map(|path| path.parent().unwrap_or(Path::new(""))) {
        None => std::env::temp_dir(),
        Some(folder) if folder == Path::new("") => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
    };
    let scratch = Scratch::new(&beside).map_err(|error| Failure::new(Exit::CannotCreate, error))?;
    let file = scratch.handle().map_err(failed)?;
    let bounds = gateway::bounds(&config.import);
    let original = Original { history: &history, kept: &kept, bounds: &bounds };
    let said = if args.format == Format::Fit && kept.format == FileFormat::Fit {
        original.copy(&file)?
    } else {
        original.write(args.format, &file, &creator(&config, &data_dir)?)?
    };
    match &place {
        None => print(&scratch)?,
        Some(path) => keep(scratch, path, other)?,
    }
    let name = place.map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    eprintln!("{name}: {said}");
    Ok(())
}

/// The one activity that is meant.
fn find(listed: &[Listed], wanted: &str) -> Result<ActivityId, Failure> {
    if wanted == "last" {
        let last = listed.first().map(|listed| listed.summary.activity);
        return last.ok_or_else(|| Failure::new(Exit::Usage, "no activity has come in yet"));
    }
    let prefix = wanted.to_ascii_lowercase();
    let begins = |listed: &&Listed| listed.summary.activity.to_string().starts_with(&prefix);
    let found: Vec<&Listed> = listed.iter().filter(begins).collect();
    match found.as_slice() {
        [one] if !prefix.is_empty() => Ok(one.summary.activity),
        [_, _, ..] if !prefix.is_empty() => {
            let mut text = format!("{} activities begin with {wanted:?}:", found.len());
            for Listed { summary, .. } in found {
                let sport = sport::in_words(summary.sport);
                text += &format!("\n  {}  {} {sport}", summary.activity, summary.start);
            }
            Err(Failure::new(Exit::Usage, text))
        }
        _ => Err(unknown(wanted)),
    }
}

fn unknown(wanted: &str) -> Failure {
    let text = format!("there is no activity {wanted:?}; `pulsegate history` lists them");
    Failure::new(Exit::Usage, text)
}

fn failed(error: HistoryError) -> Failure {
    Failure::new(Exit::Io, error)
}

/// This box as the writer of FIT files.
fn creator(config: &Config, data_dir: &Path) -> Result<Creator, Failure> {
    let id = gateway::known_id(config, data_dir);
    let id = id.map_err(|error| Failure::new(Exit::Io, error))?.unwrap_or_default();
    Ok(Creator::of(&id, None))
}

/// An activity, and the file it came in.
struct Original<'a> {
    history: &'a History,
    kept: &'a Kept,
    bounds: &'a Bounds,
}

impl Original<'_> {
    /// Passes on its very bytes.
    fn copy(&self, mut to: &File) -> Result<String, Failure> {
        let mut original = self.history.open_original(self.kept).map_err(failed)?;
        let copied = io::copy(&mut original, &mut to);
        let bytes = copied.map_err(|error| Failure::new(Exit::Io, error))?;
        let (_, sessions) = self.place()?;
        let whole = match sessions {
            0 | 1 => String::new(),
            _ => format!("; it holds {sessions} activities, and is passed on whole"),
        };
        Ok(format!("the file as it came in, {bytes} bytes{whole}"))
    }

    /// Its place among the activities of its file, and how many these are. Numbers of sessions begin anew with each
    /// recording of a file, so only reading tells.
    fn place(&self) -> Result<(usize, usize), Failure> {
        let activities = self.read(&mut || true, &mut |_, _| {})?;
        let place = self.kept.place_in(&activities);
        // A recording may be in its file twice.
        let different: BTreeSet<_> = activities.iter().map(|activity| activity.id.0).collect();
        Ok((place.ok_or_else(lost)?, different.len()))
    }

    fn read(
        &self,
        wanted: &mut dyn FnMut() -> bool,
        sink: &mut dyn FnMut(usize, Item),
    ) -> Result<Vec<Activity>, Failure> {
        let deadline = Instant::now() + self.bounds.time;
        let mut go_on = || Instant::now() < deadline && wanted();
        let report = self.history.replay(self.kept, &self.bounds.file, &mut go_on, sink);
        let report = report.map_err(failed)?;
        if report.result == Class::Rejected {
            let reason = report.reason.unwrap_or_default();
            let text = format!("its original cannot be read any more: {reason}");
            return Err(Failure::new(Exit::Io, text));
        }
        Ok(report.activities)
    }

    /// Writes it anew.
    fn write(&self, format: Format, to: &File, creator: &Creator) -> Result<String, Failure> {
        // Its number is its place, unless its file is made of several recordings: then one more look tells.
        let number = self.kept.place.unwrap_or(self.kept.activity.index) as usize;
        let place = match self.write_one(format, to, creator, number) {
            Ok(Tried::Written(said)) => return Ok(said),
            Ok(Tried::Elsewhere(place)) => place,
            Err(failure) => match self.place()?.0 {
                place if place == number => return Err(failure),
                place => place,
            },
        };
        let emptied = to.set_len(0).and_then(|()| (&*to).rewind());
        emptied.map_err(|error| Failure::new(Exit::Io, error))?;
        match self.write_one(format, to, creator, place)? {
            Tried::Written(said) => Ok(said),
            Tried::Elsewhere(_) => Err(lost()),
        }
    }

    /// Writes what stands at this place in the file, if it is the activity.
    fn write_one(
        &self,
        format: Format,
        to: &File,
        creator: &Creator,
        place: usize,
    ) -> Result<Tried, Failure> {
        let to = to.try_clone().map_err(|error| Failure::new(Exit::Io, error))?;
        let state = RefCell::new((self.begin(format, to, creator)?, None));
        let read = self.read(&mut || state.borrow().1.is_none(), &mut |at, item| {
            let (writer, fault) = &mut *state.borrow_mut();
            if at == place && fault.is_none() {
                *fault = writer.item(item).err();
            }
        });
        let (writer, fault) = state.into_inner();
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        let activities = read?;
        let found = self.kept.place_in(&activities);
        if found != Some(place) {
            return found.map(Tried::Elsewhere).ok_or_else(lost);
        }
        Ok(Tried::Written(writer.finish()?))
    }

    fn begin(&self, format: Format, to: File, creator: &Creator) -> Result<Writer, Fault> {
        let (out, activity) = (BufWriter::new(to), &self.kept.activity);
        Ok(match format {
            Format::Fit => Writer::Fit(Box::new(Encoder::new(out, activity, creator)?)),
            Format::Tcx => Writer::Tcx(Box::new(Tcx::new(out, activity)?)),
            Format::Gpx => Writer::Gpx(Box::new(Gpx::new(out, activity)?)),
            Format::Csv => Writer::Csv(Box::new(Csv::new(out, activity)?)),
            Format::Json => Writer::Json(Box::new(ActivityJson::new(out, activity)?)),
        })
    }
}

/// What came of writing what stands at a place in a file.
enum Tried {
    /// It was the activity.
    Written(String),
    /// The activity stands there.
    Elsewhere(usize),
}

fn lost() -> Failure {
    Failure::new(Exit::Io, "its original does not hold it any more")
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(transparent)]
    Fit(#[from] EncodeError),
    #[error(transparent)]
    Other(#[from] ExportError),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let exit = match &fault {
            Fault::Fit(EncodeError::Contradiction(_))
            | Fault::Other(ExportError::NoPosition | ExportError::NoDuration) => Exit::Data,
            Fault::Write(_) | Fault::Fit(EncodeError::Write(_)) => Exit::Io,
            Fault::Other(ExportError::Write(_)) => Exit::Io,
        };
        Self::new(exit, fault)
    }
}

enum Writer {
    Fit(Box<Encoder<BufWriter<File>>>),
    Tcx(Box<Tcx<BufWriter<File>>>),
    Gpx(Box<Gpx<BufWriter<File>>>),
    Csv(Box<Csv<BufWriter<File>>>),
    Json(Box<ActivityJson<BufWriter<File>>>),
}

impl Writer {
    fn item(&mut self, item: Item) -> Result<(), Fault> {
        match self {
            Self::Fit(fit) => fit.item(item)?,
            Self::Tcx(tcx) => tcx.item(item)?,
            Self::Gpx(gpx) => gpx.item(item)?,
            Self::Csv(csv) => csv.item(item)?,
            Self::Json(json) => json.item(item)?,
        }
        Ok(())
    }

    /// Ends the file, and says what is in it.
    fn finish(self) -> Result<String, Fault> {
        let exported = match self {
            Self::Fit(fit) => {
                let written = fit.finish()?;
                Exported {
                    samples: written.counts.records,
                    samples_left_out: written.untimed + written.merged,
                    beats: written.counts.rr_intervals,
                    beats_left_out: written.beats_left_out,
                }
            }
            Self::Tcx(tcx) => tcx.finish()?,
            Self::Gpx(gpx) => gpx.finish()?,
            Self::Csv(csv) => csv.finish()?,
            Self::Json(json) => json.finish()?,
        };
        let Exported { samples, samples_left_out, beats, beats_left_out } = exported;
        let mut text = format!("{samples} samples, {beats} beats");
        if samples_left_out + beats_left_out > 0 {
            text += &format!(
                "; {samples_left_out} samples and {beats_left_out} beats have no place of their own in it"
            );
        }
        Ok(text)
    }
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    Stays,
    IsReplaced,
}

fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn taken(path: &Path) -> Failure {
    let text = format!("{} is there already; --force replaces it", path.display());
    Failure::new(Exit::CannotCreate, text)
}

/// Gives a finished file its name.
fn keep(scratch: Scratch, path: &Path, other: Other) -> Result<(), Failure> {
    if other == Other::Stays {
        // Whoever else makes this file meanwhile is not overwritten: the name is ours first.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(path)),
            made => {
                let cannot = |error| format!("cannot make {}: {error}", path.display());
                made.map_err(|error| Failure::new(Exit::CannotCreate, cannot(error)))?
            }
        };
    }
    scratch.keep(path).map_err(|error| {
        if other == Other::Stays {
            // Of ours only the empty name is there; if even that cannot go, the error says where it is.
            let _ = std::fs::remove_file(path);
        }
        failed(error)
    })
}

fn print(scratch: &Scratch) -> Result<(), Failure> {
    let io = |error: io::Error| Failure::new(Exit::Io, error);
    let mut file = scratch.handle().map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let (mut output, mut piece) = (Output::default(), vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece).map_err(io)?;
        if length == 0 || output.write(&piece[..length])? == ControlFlow::Break(()) {
            return output.flush();
        }
    }
}
