//! `pulsegate buffer`: look into what is kept, take it out, deliver it once more, repair it.
//!
//! A running daemon is asked through its socket. The folder of a stopped one is opened here.

pub(super) mod door;
pub(super) mod output;
pub(super) mod owner;
mod print;
mod repair;

use jiff::Timestamp;

use self::door::Door;
use self::output::Output;
use super::Folder;
use crate::exit::{Exit, Failure};
use crate::inspect::{Log, NotAPoint, Point, Selection};
use crate::log;
use crate::reading::{EntryId, StrapId};

/// Lines of a list, unless told otherwise.
const LIST_LIMIT: u64 = 1000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what is kept, how the disk does, and how far each sink has come
    Status(Status),
    /// List entries, one a line; or what was refused for good
    List(List),
    /// Show one entry in full
    Show(Show),
    /// Write entries to standard output, one JSON object a line, as a file sink does
    Export(Export),
    /// Read everything that is stored and tell what cannot be read
    Verify(Folder),
    /// Bring the files of a stopped daemon into order, whatever state they are in
    Repair(Folder),
    /// Have what was refused for good delivered once more
    Requeue(Requeue),
    /// Have everything from a time or a place on delivered to a sink once more
    Rewind(Rewind),
}

#[derive(Debug, clap::Args)]
struct Status {
    #[command(flatten)]
    folder: Folder,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

/// Which entries. A time is 2026-11-21T18:00:00Z, a date (its midnight in UTC), -2h (before now), or seq:12345.
#[derive(Debug, clap::Args)]
struct Which {
    /// From this time or place on
    #[arg(long, value_name = "TIME", value_parser = point, allow_hyphen_values = true)]
    from: Option<Point>,
    /// Up to, not including, this time or place
    #[arg(long, value_name = "TIME", value_parser = point, allow_hyphen_values = true)]
    to: Option<Point>,
    /// Of this strap only
    #[arg(long, value_name = "ID", value_parser = StrapId::new)]
    strap: Option<StrapId>,
}

/// Dead letters instead of the log.
#[derive(Debug, clap::Args)]
struct Refused {
    /// What the far sides refused for good, instead of the log
    #[arg(long)]
    rejected: bool,
    /// Of this sink only
    #[arg(long, value_name = "NAME", requires = "rejected")]
    sink: Option<String>,
}

impl Refused {
    fn log(self) -> Log {
        if self.rejected { Log::Rejected { sink: self.sink } } else { Log::Kept }
    }
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    refused: Refused,
    /// At most so many; of the newest when neither time nor strap is given [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    folder: Folder,
    /// Its place in the log
    seq: u64,
}

#[derive(Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    refused: Refused,
}

#[derive(Debug, clap::Args)]
struct Requeue {
    #[command(flatten)]
    folder: Folder,
    /// Whose
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    sink: Option<String>,
    /// Everybody's
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
struct Rewind {
    #[command(flatten)]
    folder: Folder,
    /// Which sink
    sink: String,
    /// From when on: 2026-11-21T18:00:00Z, a date (its midnight in UTC), -2h (before now), or seq:12345
    #[arg(long, value_name = "TIME", value_parser = point, allow_hyphen_values = true)]
    to: Point,
}

fn point(text: &str) -> Result<Point, NotAPoint> {
    Point::parse(text, Timestamp::now())
}

impl Command {
    fn folder(&self) -> &Folder {
        match self {
            Self::Status(Status { folder, .. })
            | Self::List(List { folder, .. })
            | Self::Show(Show { folder, .. })
            | Self::Export(Export { folder, .. })
            | Self::Verify(folder)
            | Self::Repair(folder)
            | Self::Requeue(Requeue { folder, .. })
            | Self::Rewind(Rewind { folder, .. }) => folder,
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (config, data_dir) = args.command.folder().load()?;
    owner::become_owner(&data_dir)?;
    log::start("warn");
    if let Command::Repair(_) = args.command {
        return repair::run(&config, &data_dir).await;
    }
    let door = Door::open(&config, &data_dir).await?;
    let done = door.serve(args.command).await;
    let closed = door.close().await;
    match done? {
        Done::Changed(told) => {
            closed?;
            Output::default().say(&told)
        }
        Done::Looked => Ok(()),
        Done::Bad(failure) => Err(failure),
    }
}

/// What a command leaves to be done when the buffer is closed.
enum Done {
    /// Something was changed: it may be told once the buffer has closed well.
    Changed(String),
    /// It only looked. Whether closing worked, on a disk that is full, is nobody's concern.
    Looked,
    /// It looked, and what it found is bad.
    Bad(Failure),
}

impl Door {
    async fn serve(&self, command: Command) -> Result<Done, Failure> {
        let mut output = Output::default();
        match command {
            Command::Status(Status { json, .. }) => {
                let report = self.report().await?;
                let text = if json { output::json(&report)? } else { print::report(&report) };
                output.say(&text)?;
            }
            Command::List(list) if list.refused.rejected => self.list_letters(list, output).await?,
            Command::List(list) => self.list(list, output).await?,
            Command::Show(Show { seq, .. }) => {
                let shown = self.entry(EntryId(seq)).await?;
                output.say(&print::shown(&shown))?;
            }
            Command::Export(Export { which, refused, .. }) => {
                let Which { from, to, strap } = which;
                let selection = Selection { log: refused.log(), from, to, strap, limit: None };
                let mut lines = self.entries(selection).await?;
                while let Some(piece) = lines.next().await?
                    && output.write(&piece)?.is_continue()
                {}
            }
            Command::Verify(_) => {
                let checked = self.verify().await?;
                output.say(&print::checked(&checked))?;
                if !checked.bad.is_empty() {
                    let text = format!("{} chunks cannot be read", checked.bad.len());
                    return Ok(Done::Bad(Failure::new(Exit::Io, text)));
                }
            }
            Command::Requeue(Requeue { sink, .. }) => {
                let requeued = self.requeue(sink).await?;
                return Ok(Done::Changed(print::requeued(&requeued, self.when())));
            }
            Command::Rewind(Rewind { sink, to, .. }) => {
                let rewound = self.rewind(sink, to).await?;
                return Ok(Done::Changed(print::rewound(&rewound, self.when())));
            }
            // Has a door of its own.
            Command::Repair(_) => {}
        }
        Ok(Done::Looked)
    }

    async fn list(&self, list: List, mut output: Output) -> Result<(), Failure> {
        let Which { mut from, to, strap } = list.which;
        let limit = list.limit.unwrap_or(LIST_LIMIT);
        if from.is_none() && to.is_none() && strap.is_none() {
            let committed = self.report().await?.committed.0;
            from = Some(Point::Place(EntryId(committed.saturating_sub(limit))));
        }
        // One more than is shown, to know whether that was all.
        let asked = Some(limit.saturating_add(1));
        let selection = Selection { from, to, strap, limit: asked, ..Selection::default() };
        let mut lines = output::Split::new(self.entries(selection).await?);
        let mut shown = 0;
        while let Some(line) = lines.next().await? {
            if shown == limit {
                let seq = line["seq"].as_u64().unwrap_or_default();
                output.flush()?;
                eprintln!("and more: go on with --from seq:{seq}, or choose another --limit");
                break;
            }
            shown += 1;
            if output.write(print::line(&line).as_bytes())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn list_letters(&self, list: List, mut output: Output) -> Result<(), Failure> {
        let Which { from, to, strap } = list.which;
        if from.is_some() || to.is_some() || strap.is_some() {
            let text = "list --rejected tells refusals, which have neither time nor strap; \
                        `export --rejected` chooses among the entries in them";
            return Err(Failure::new(Exit::Usage, text));
        }
        let mut lines = output::Split::new(self.letters(list.refused.sink).await?);
        let mut left = list.limit.unwrap_or(u64::MAX);
        while left > 0
            && let Some(line) = lines.next().await?
            && output.write(print::letter(&line).as_bytes())?.is_continue()
        {
            left -= 1;
        }
        Ok(())
    }
}
