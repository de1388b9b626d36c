//! `pulsegate class`, `check-in` and `check-out`: what happens on the gym floor, told to a running daemon.

use std::fmt::Write as _;
use std::path::Path;

use clap::builder::NonEmptyStringValueParser;

use super::Folder;
use super::athlete::say;
use super::client::{Client, Patience};
use crate::exit::Failure;
use crate::floor::{
    CheckInBody, CheckOutBody, Checked, ClassListed, EndBody, StartBody, USUAL_MINUTES,
};

const CLASSES: &str = "/api/v1/classes";

#[derive(Debug, clap::Args)]
pub(super) struct ClassArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A class begins now; it ends by itself when its time is over
    Start(Start),
    /// A class ends now, before its time
    End(End),
    /// Show the classes that run
    List(List),
}

#[derive(Debug, clap::Args)]
struct Start {
    #[command(flatten)]
    folder: Folder,
    /// What it is called, on the wall and in what is recorded
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
    /// How long it lasts
    #[arg(long, value_name = "N", default_value_t = USUAL_MINUTES)]
    minutes: u16,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct End {
    #[command(flatten)]
    folder: Folder,
    /// Its name; may be left out when only one runs
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    folder: Folder,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckIn {
    #[command(flatten)]
    folder: Folder,
    /// An athlete by name, reference or id; or a strap that somebody wears, by id, ending or number
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    who: String,
    /// The class they take part in; may be left out unless several run
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckOut {
    #[command(flatten)]
    folder: Folder,
    /// An athlete by name, reference or id; or a strap by id, ending or number
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    who: String,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

pub(super) async fn class(args: ClassArgs) -> Result<(), Failure> {
    match args.command {
        Command::Start(Start { folder, name, minutes, json }) => {
            let body = StartBody { name, minutes: Some(minutes) };
            let begun = start(&folder.load()?.1, &body).await?;
            say(json, &begun, |class| {
                format!("{} has begun, for {} minutes\n", class.name, class.planned_s / 60)
            })
        }
        Command::End(End { folder, name, json }) => {
            let body = EndBody { class: name };
            let path = format!("{CLASSES}/end");
            let ended: ClassListed = client(&folder)?.post(&path, &body, Patience::Usual).await?;
            say(json, &ended, |class| format!("{} has ended\n", class.name))
        }
        Command::List(List { folder, json }) => {
            let listed: Vec<ClassListed> = client(&folder)?.get(CLASSES).await?;
            if listed.is_empty() && !json {
                eprintln!("no class runs; `pulsegate class start NAME` begins one");
            }
            say(json, &listed, |listed| table(listed))
        }
    }
}

pub(super) async fn check_in(args: CheckIn) -> Result<(), Failure> {
    let CheckIn { folder, who, class, json } = args;
    let body = CheckInBody { who, class };
    let done: Checked = client(&folder)?.post("/api/v1/check-in", &body, Patience::Usual).await?;
    say(json, &done, |done| {
        let class = done.class.as_ref().map_or(String::new(), |class| format!(" to {class}"));
        let waits =
            if done.in_session { "" } else { "; the session begins with the first heart rate" };
        format!("{} has checked in{class}{waits}\n", name(done))
    })
}

pub(super) async fn check_out(args: CheckOut) -> Result<(), Failure> {
    let CheckOut { folder, who, json } = args;
    let done: Checked =
        client(&folder)?.post("/api/v1/check-out", &CheckOutBody { who }, Patience::Usual).await?;
    say(json, &done, |done| {
        let none = if done.in_session { "" } else { "; no session went on" };
        format!("{} has checked out{none}\n", name(done))
    })
}

/// Begins a class in the daemon with this data folder.
pub(super) async fn start(data_dir: &Path, body: &StartBody) -> Result<ClassListed, Failure> {
    Client::new(data_dir)?.post(CLASSES, body, Patience::Usual).await
}

fn client(folder: &Folder) -> Result<Client, Failure> {
    Client::new(&folder.load()?.1)
}

fn name(done: &Checked) -> String {
    let straps = || done.straps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    done.worn_by.as_ref().map_or_else(straps, |who| who.display_name.clone())
}

fn table(listed: &[ClassListed]) -> String {
    let mut text = String::new();
    if !listed.is_empty() {
        text += &format!("{:<24} {:>5} {:>8} {}\n", "CLASS", "LEFT", "SESSIONS", "SINCE");
    }
    for ClassListed { name, began, left_s, sessions, .. } in listed {
        let left = format!("{}:{:02}", left_s / 60, left_s % 60);
        let line = writeln!(text, "{name:<24} {left:>5} {sessions:>8} {began}");
        line.expect("a text takes every line");
    }
    text
}
