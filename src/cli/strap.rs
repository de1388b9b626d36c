//! `pulsegate strap`: who wears which strap, and which are the house's. Works on a running daemon and on the folder of a
//! stopped one.

use std::fmt::Write as _;

use clap::builder::NonEmptyStringValueParser;

use super::Folder;
use super::athlete::say;
use super::desk::{Desk, Makes, warn};
use crate::exit::Failure;
use crate::roster::{
    AssignBody, Assigned, Named, Of, Released, Removed, StrapBody, StrapDone, StrapListed,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Somebody wears a strap from now on; whoever wore it does so no longer
    Assign(Assign),
    /// Nobody wears a strap from now on
    Release(Release),
    /// Show the straps, whose they are, who wears them and since when
    List(List),
    /// Enter a strap: a rental with its number, or somebody's own
    Add(Add),
    /// Take a strap out: it is lost, sold, or was mistyped; who wore it stays known
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
struct Assign {
    #[command(flatten)]
    folder: Folder,
    /// The id printed on it, a rental's number, or the beginning or end of an id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    strap: String,
    /// Display name, reference or id, or the beginning of a name or an id
    athlete: String,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Release {
    #[command(flatten)]
    folder: Folder,
    /// The id printed on it, a rental's number, or the beginning or end of an id
    #[arg(required_unless_present = "rentals", conflicts_with = "rentals", value_parser = NonEmptyStringValueParser::new())]
    strap: Option<String>,
    /// Every rental: the class is over
    #[arg(long)]
    rentals: bool,
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
struct Add {
    #[command(flatten)]
    folder: Folder,
    /// The id printed on it
    strap: String,
    /// It is the house's, with this number written on it
    #[arg(long, value_name = "N", required_unless_present = "owner", conflicts_with = "owner")]
    number: Option<u16>,
    /// It is this athlete's own
    #[arg(long, value_name = "WHO")]
    owner: Option<String>,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Remove {
    #[command(flatten)]
    folder: Folder,
    /// The id printed on it, a rental's number, or the beginning or end of an id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    strap: String,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

impl Command {
    fn folder(&self) -> (&Folder, Makes) {
        match self {
            Self::Add(Add { folder, .. }) => (folder, Makes::Folder),
            Self::Assign(Assign { folder, .. })
            | Self::Release(Release { folder, .. })
            | Self::List(List { folder, .. })
            | Self::Remove(Remove { folder, .. }) => (folder, Makes::Nothing),
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let (folder, makes) = args.command.folder();
    let desk = Desk::open(folder, makes).await?;
    desk.closed_after(async |desk| serve(desk, args.command).await).await
}

async fn serve(desk: &Desk, command: Command) -> Result<(), Failure> {
    match command {
        Command::Assign(Assign { strap, athlete, json, .. }) => {
            let done = desk.assign(&strap, &AssignBody { athlete }).await?;
            warn(&done.warnings);
            say(json, &done, assigned)
        }
        Command::Release(Release { strap: Some(strap), json, .. }) => {
            say(json, &desk.release(&strap).await?, released)
        }
        Command::Release(Release { strap: None, json, .. }) => {
            let done = desk.release_rentals().await?;
            if done.is_empty() && !json {
                eprintln!("no rental is worn by anybody");
            }
            say(json, &done, |done| done.iter().map(released).collect())
        }
        Command::List(List { json, .. }) => {
            let listed = desk.straps().await?;
            if listed.is_empty() && !json {
                eprintln!(
                    "no strap is known yet; `pulsegate strap assign ID NAME` gives somebody one, `pulsegate strap add ID \
                     --number 12` enters a rental"
                );
            }
            say(json, &listed, |listed| table(listed))
        }
        Command::Add(Add { strap, number, owner, json, .. }) => {
            let done = desk.add_strap(&StrapBody { strap, number, owner }).await?;
            warn(&done.warnings);
            say(json, &done, |StrapDone { strap, .. }| match strap.of {
                Of::Rental(number) => format!("strap {} is rental {number}\n", strap.id),
                Of::Owner(owner) => format!("strap {} is the own one of {owner}\n", strap.id),
            })
        }
        Command::Remove(Remove { strap, json, .. }) => {
            say(json, &desk.remove_strap(&strap).await?, |Removed { strap, was_worn_by }| {
                format!("strap {strap} is taken out{}\n", until_now(was_worn_by.as_ref()))
            })
        }
    }
}

fn until_now(was_worn_by: Option<&Named>) -> String {
    was_worn_by.map_or_else(String::new, |who| format!("; {} wore it until now", who.display_name))
}

fn assigned(done: &Assigned) -> String {
    let Assigned { name, worn_by, taken_from, new_strap, changed, .. } = done;
    let who = &worn_by.display_name;
    if !changed {
        return format!("{who} wears {name} already\n");
    }
    let new = if *new_strap { ", which is new here and entered as their own" } else { "" };
    format!("{who} wears {name} from now on{new}{}\n", until_now(taken_from.as_ref()))
}

fn released(done: &Released) -> String {
    let Released { name, was_worn_by, .. } = done;
    match was_worn_by {
        Some(_) => format!("{name} is free{}\n", until_now(was_worn_by.as_ref())),
        None => format!("{name} is free; nobody wore it\n"),
    }
}

fn table(listed: &[StrapListed]) -> String {
    let mut text = String::new();
    if !listed.is_empty() {
        text += &format!("{:<14} {:<24} {:<24} {}\n", "STRAP", "OF", "WORN BY", "SINCE");
    }
    let name = |who: &Option<Named>| {
        who.as_ref().map_or_else(|| "-".to_owned(), |who| who.display_name.clone())
    };
    for StrapListed { strap, rental, owner, worn_by, since } in listed {
        let of = rental.map_or_else(|| name(owner), |number| format!("rental {number}"));
        let since = since.as_deref().unwrap_or("-");
        let line =
            writeln!(text, "{:<14} {of:<24} {:<24} {since}", strap.to_string(), name(worn_by));
        line.expect("a text takes every line");
    }
    text
}
