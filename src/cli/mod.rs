//! The command line. One file per command; each says what it takes and what it prints.

mod athlete;
mod buffer;
mod check;
mod client;
mod demo;
mod desk;
mod export;
mod floor;
mod history;
mod import;
mod progress;
mod run;
mod scan;
mod sport;
mod status;
mod strap;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::config::{self, Config};
use crate::exit::{Exit, Failure};

/// Brings heart rate from the gym floor to the cloud, and never loses a beat.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: read straps, keep readings, deliver them, show the wall.
    Run(run::Args),
    /// Try everything without hardware: virtual straps, the wall page, readings in a file.
    Demo(demo::Args),
    /// Check the configuration and tell every mistake in it.
    Check(ConfigArg),
    /// Show which straps are in range.
    Scan(scan::Args),
    /// Show what a running daemon says of itself.
    Status(status::Args),
    /// Bring in recorded activities: FIT, TCX and GPX files, also packed, and folders of them
    Import(import::Args),
    /// List the activities that have come in
    History(history::Args),
    /// Write an activity of the history as a file: FIT, TCX, GPX, CSV or JSON
    Export(export::Args),
    /// Who the people are: enter, show, change, and forget them
    Athlete(athlete::Args),
    /// Who wears which strap
    Strap(strap::Args),
    /// Begin, end and show classes
    Class(floor::ClassArgs),
    /// Somebody begins now, also as part of a class
    CheckIn(floor::CheckIn),
    /// Somebody is done
    CheckOut(floor::CheckOut),
    /// Look into what is kept, take it out, deliver it once more, repair it.
    Buffer(buffer::Args),
}

#[derive(Debug, clap::Args)]
struct ConfigArg {
    /// Configuration file [default: /etc/pulsegate/pulsegate.toml if it is there]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArg {
    /// The configuration: of the file given, else of the usual place, else nothing but defaults.
    fn load(&self) -> Result<(Config, Option<&Path>), Failure> {
        let usual = Path::new(config::DEFAULT_PATH);
        let path = self.config.as_deref().or_else(|| usual.exists().then_some(usual));
        match path {
            None => Ok((Config::default(), None)),
            Some(path) => {
                let config =
                    config::load(path).map_err(|error| Failure::new(Exit::Config, error))?;
                Ok((config, Some(path)))
            }
        }
    }
}

/// Whose data.
#[derive(Debug, clap::Args)]
struct Folder {
    #[command(flatten)]
    config: ConfigArg,
    /// Data folder of the daemon, instead of the configuration's
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl Folder {
    fn load(&self) -> Result<(Config, PathBuf), Failure> {
        let (config, _) = self.config.load()?;
        let data_dir = self.data_dir.clone().unwrap_or_else(|| config.data_dir());
        Ok((config, data_dir))
    }
}

/// Does what the command line asks.
///
/// # Errors
/// What went wrong, with the exit code.
pub async fn main(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Run(args) => run::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Check(args) => check::run(&args),
        Command::Scan(args) => scan::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::History(args) => history::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Athlete(args) => athlete::run(args).await,
        Command::Strap(args) => strap::run(args).await,
        Command::Class(args) => floor::class(args).await,
        Command::CheckIn(args) => floor::check_in(args).await,
        Command::CheckOut(args) => floor::check_out(args).await,
        Command::Buffer(args) => buffer::run(args).await,
    }
}
