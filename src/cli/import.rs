//! `pulsegate import`: brings in files and folders of them.
//!
//! A running daemon takes them through its socket; the folder of a stopped one is opened here. Brought again, a file is
//! a duplicate, so whatever broke off can simply be repeated.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::buffer::output::Output;
use super::buffer::{door, owner};
use super::client::{Answered, Client};
use super::progress::{Done, Progress, is_watched};
use super::{Folder, desk, history, sport};
use crate::buffer::{Buffer, Keeper};
use crate::clock::Clock;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::gateway;
use crate::history::{
    Bounds, History, HistoryError, Importer, Outcome, Owner, Parts, Session, Word, is_known, look,
};
use crate::intake::Intake;
use crate::live::Board;
use crate::{log, roster, web};

/// Folders within folders: more are a loop, or a mistake.
const DEPTH_MAX: usize = 64;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files (.fit, .tcx, .gpx, also with .gz behind it; .zip) and folders of them
    #[arg(required = true, value_name = "FILE|FOLDER")]
    paths: Vec<PathBuf>,
    /// Whose they are: an athlete's id or name, or the beginning of one
    #[arg(long, value_name = "WHO")]
    athlete: Option<String>,
    #[command(flatten)]
    folder: Folder,
    /// One JSON object a file; fields are only ever added
    #[arg(long)]
    json: bool,
    /// Read the files and tell what would become of them; keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// Where files go.
enum Door {
    /// Nowhere: they are only read.
    DryRun(Bounds),
    /// A daemon takes them.
    Running { client: Client, athlete: Option<String> },
    /// There is none: its folder is open here.
    Stopped { importer: Importer, buffer: Buffer, keeper: Keeper, owner: Option<Owner> },
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let files = files(&args.paths)?;
    let door = if args.dry_run {
        let (config, _) = args.folder.load()?;
        log::start("warn");
        Door::DryRun(gateway::bounds(&config.import))
    } else {
        let (config, data_dir) = args.folder.load()?;
        Door::open(&config, &data_dir, args.athlete.as_deref()).await?
    };
    let mut told = Told::new(Form::of(args.json), &files);
    let brought = bring(&door, &files, &mut told).await;
    let closed = door.close().await;
    brought?;
    told.totals()?;
    closed?;
    match told.count(Word::Rejected) {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Data, "1 file could not be read")),
        n => Err(Failure::new(Exit::Data, format!("{n} files could not be read"))),
    }
}

async fn bring(door: &Door, files: &[PathBuf], told: &mut Told) -> Result<(), Failure> {
    for path in files {
        told.begin(path)?;
        for outcome in door.import(path).await? {
            told.tell(outcome)?;
        }
        told.end(path);
    }
    Ok(())
}

/// The files themselves, and those in the folders that may be recordings, sorted.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside = Vec::new();
            walk(path, DEPTH_MAX, &mut inside)?;
            inside.sort();
            found.extend(inside);
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error| Failure::new(Exit::Io, format!("{}: {error}", folder.display()));
    if depth == 0 {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let path = entry.path();
        // Of the entry itself: a link to a folder is not followed.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(&path, depth - 1, found)?;
        } else if name.to_str().is_some_and(|name| !name.starts_with('.') && is_known(name))
            && path.is_file()
        {
            found.push(path);
        }
    }
    Ok(())
}

impl Door {
    async fn open(config: &Config, data_dir: &Path, who: Option<&str>) -> Result<Self, Failure> {
        let client = Client::new(data_dir)?;
        if client.is_answered().await? == Answered::Yes {
            log::start("warn");
            return Ok(Self::Running { client, athlete: who.map(str::to_owned) });
        }
        owner::become_owner(data_dir)?;
        log::start("warn");
        let owner = match who {
            Some(who) => {
                let found = roster::people_in(data_dir).and_then(|all| web::owner(&all, who));
                Some(found.map_err(desk::failed)?)
            }
            None => None,
        };
        gateway::make_data_dir(data_dir)?;
        let options = gateway::collecting(config, data_dir)?;
        let (buffer, keeper) = door::open(config, &options)?;
        let clock = Clock::new(gateway::synced_by(config));
        let importer = Importer::new(Parts {
            history: History::new(data_dir),
            intake: Intake::new(buffer.clone(), Board::default()),
            buffer: buffer.clone(),
            clock: clock.map_err(|error| Failure::new(Exit::Software, error))?,
            bounds: gateway::bounds(&config.import),
            stop: CancellationToken::new(),
        });
        Ok(Self::Stopped { importer, buffer, keeper, owner })
    }

    async fn import(&self, path: &Path) -> Result<Vec<Outcome>, Failure> {
        let name = path.display().to_string();
        let file = match open(path) {
            Ok(file) => file,
            Err(reason) => return Ok(vec![Outcome::rejected(&name, reason)]),
        };
        let brought = match self {
            Self::Running { client, athlete } => {
                return client.import(file, &name, athlete.as_deref()).await;
            }
            Self::DryRun(bounds) => look(file, &name, bounds).await,
            Self::Stopped { importer, owner, .. } => importer.import_for(file, &name, *owner).await,
        };
        match brought {
            // A bad place on a stick: the other files shall come in.
            Err(HistoryError::Source(error)) => {
                Ok(vec![Outcome::rejected(&name, format!("cannot be read: {error}"))])
            }
            brought => brought.map_err(failed),
        }
    }

    async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Stopped { buffer, keeper, .. } => door::close(&buffer, keeper).await,
            Self::DryRun(_) | Self::Running { .. } => Ok(()),
        }
    }
}

/// Bytes of a file; none of one that cannot be looked at, which is told when it is opened.
fn size_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |data| data.len())
}

/// A file, and nothing that is not one: a pipe would be waited for.
fn open(path: &Path) -> Result<File, String> {
    let is_file = path.metadata().map_err(|error| format!("cannot be read: {error}"))?.is_file();
    if !is_file {
        return Err("is no file".to_owned());
    }
    File::open(path).map_err(|error| format!("cannot be read: {error}"))
}

fn failed(error: HistoryError) -> Failure {
    match error {
        HistoryError::Log(error) => door::failed(error.into()),
        HistoryError::Disk { .. } | HistoryError::Source(_) => Failure::new(Exit::Io, error),
        HistoryError::Stopping => Failure::new(Exit::Unavailable, error),
    }
}

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON object a file.
    Json,
    /// One line a file.
    Lines,
    /// A bar, and one line for each that is damaged: somebody is watching.
    Watched,
}

impl Form {
    fn of(json: bool) -> Self {
        if json {
            Self::Json
        } else if is_watched() {
            Self::Watched
        } else {
            Self::Lines
        }
    }
}

/// What has been told, for the totals.
struct Told {
    form: Form,
    output: Output,
    progress: Progress,
    counts: BTreeMap<Word, usize>,
    rejected: Vec<Outcome>,
}

impl Told {
    fn new(form: Form, files: &[PathBuf]) -> Self {
        let bytes = files.iter().map(|path| size_of(path)).sum();
        let progress = Progress::new(Done { files: files.len(), bytes });
        let (output, counts) = (Output::default(), BTreeMap::new());
        Self { form, output, progress, counts, rejected: Vec::new() }
    }

    fn count(&self, word: Word) -> usize {
        self.counts.get(&word).copied().unwrap_or(0)
    }

    fn begin(&mut self, path: &Path) -> Result<(), Failure> {
        if self.form == Form::Watched {
            let line = self.progress.begin(&printable(&path.display().to_string()));
            self.output.say(&line)?;
            self.output.flush()?;
        }
        Ok(())
    }

    fn end(&mut self, path: &Path) {
        self.progress.end(size_of(path));
    }

    fn tell(&mut self, outcome: Outcome) -> Result<(), Failure> {
        *self.counts.entry(outcome.result).or_default() += 1;
        match self.form {
            Form::Json => {
                let text = serde_json::to_string(&outcome);
                let text = text.map_err(|error| Failure::new(Exit::Software, error))?;
                self.output.say(&(text + "\n"))?;
                self.output.flush()?;
            }
            Form::Lines => self.output.say(&line(&outcome))?,
            Form::Watched if outcome.result == Word::Salvaged => {
                let text = self.progress.clear().to_owned() + &line(&outcome);
                self.output.say(&text)?;
            }
            Form::Watched => {}
        }
        if outcome.result == Word::Rejected {
            self.rejected.push(outcome);
        }
        Ok(())
    }

    /// Totals and what was rejected. Beside JSON they are for people, and go where errors go.
    fn totals(&mut self) -> Result<(), Failure> {
        let mut text = self.progress.clear().to_owned();
        for outcome in &self.rejected {
            text += &line(outcome);
        }
        let all = self.counts.values().sum::<usize>();
        let counts =
            [Word::Imported, Word::Salvaged, Word::Duplicate, Word::NotAnActivity, Word::Rejected]
                .map(|result| format!("{} {}", self.count(result), result.in_words()));
        let files = if all == 1 { "file" } else { "files" };
        text += &format!("{all} {files}: {}\n", counts.join(", "));
        if self.form == Form::Json {
            // Whoever closed it does not want to know.
            let _ = std::io::stderr().write_all(text.as_bytes());
            return Ok(());
        }
        self.output.say(&text)
    }
}

/// A file in one line.
fn line(outcome: &Outcome) -> String {
    let mut text = format!("{:<15} {}", outcome.result.in_words(), printable(&outcome.file));
    if let Some(reason) = &outcome.reason {
        text += &format!(": {}", printable(reason));
    }
    for session in &outcome.sessions {
        text += &format!("; {}", short(session));
    }
    text + "\n"
}

fn short(session: &Session) -> String {
    let parts = [
        session.start_time.to_string(),
        sport::in_words(session.sport),
        history::duration(session.elapsed_s),
        history::distance(session.distance_m),
        history::heart_rate(session.avg_hr_bpm, session.max_hr_bpm),
    ];
    parts.into_iter().filter(|part| part != "-").collect::<Vec<_>>().join(" ")
}

/// Names come from anywhere, and must not move a terminal's cursor.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
