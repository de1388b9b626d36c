//! `pulsegate athlete`: who the people are. Works on a running daemon and on the folder of a stopped one.

use std::fmt::Write as _;

use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use super::Folder;
use super::buffer::output::{self, Output};
use super::desk::{Desk, Makes, warn};
use crate::athlete::{Account, Hide, Profile, Raised, Sex};
use crate::exit::Failure;
use crate::roster::{AthleteDone, Decision, Edit, Field, Forgotten, Listed, Shown, short};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Enter somebody
    Add(Add),
    /// Show everybody: display name, id, straps
    List(List),
    /// Show everything that is known of somebody, and what they wore when
    Show(One),
    /// Note something of somebody; what is not given stays as it is
    Edit(Change),
    /// Erase somebody from this box, and tell what cannot be erased
    Forget(One),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    folder: Folder,
    /// As JSON, with everything that is known; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct One {
    #[command(flatten)]
    folder: Folder,
    /// Display name, reference or id, or the beginning of a name or an id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    who: String,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    folder: Folder,
    /// The name shown to the room
    display_name: String,
    #[command(flatten)]
    facts: Facts,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    folder: Folder,
    /// Display name, reference or id, or the beginning of a name or an id
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    who: String,
    /// The name shown to the room
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    #[command(flatten)]
    facts: Facts,
    /// A highest heart rate that was raised is right
    #[arg(long, conflicts_with_all = ["reject_max_hr", "max_hr"])]
    confirm_max_hr: bool,
    /// It is as it was before
    #[arg(long, conflicts_with = "max_hr")]
    reject_max_hr: bool,
    /// What is not to be known any more
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    clear: Vec<Field>,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
}

/// What may be noted of an athlete.
#[derive(Debug, clap::Args)]
struct Facts {
    /// The name in your books; never on the wall
    #[arg(long, value_name = "NAME")]
    legal_name: Option<String>,
    /// What your own system calls this person
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Year of birth
    #[arg(long, value_name = "YEAR")]
    birth_year: Option<u16>,
    /// Sex, for formulas that have one for each
    #[arg(long)]
    sex: Option<SexArg>,
    /// Weight
    #[arg(long, value_name = "KG")]
    weight: Option<f64>,
    /// Highest heart rate, for zones
    #[arg(long, value_name = "BPM")]
    max_hr: Option<u16>,
    /// Heart rate at rest
    #[arg(long, value_name = "BPM")]
    resting_hr: Option<u16>,
    /// Where zones 1 to 5 begin, such as 95,114,133,152,171
    #[arg(long, value_name = "BPM,…", value_parser = zones)]
    zones: Option<[u16; 5]>,
    /// What is not to be shown to the room, exactly this
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    hide: Vec<HideArg>,
    /// The athlete has just agreed to this text (its version, say)
    #[arg(long, value_name = "TEXT")]
    consent: Option<String>,
    /// An account elsewhere, such as strava=1234567
    #[arg(long, value_name = "WHERE=ID", value_parser = account)]
    account: Vec<Account>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum SexArg {
    Female,
    Male,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum HideArg {
    /// The whole tile
    Tile,
    /// Numbers: only the zone is shown
    Numbers,
    /// The place in a ranking
    Ranking,
}

fn zones(text: &str) -> Result<[u16; 5], String> {
    let zones: Result<Vec<u16>, _> = text.split(',').map(|bpm| bpm.trim().parse()).collect();
    let zones = zones.ok().and_then(|zones| zones.try_into().ok());
    zones.ok_or_else(|| "five heart rates are needed, such as 95,114,133,152,171".to_owned())
}

fn account(text: &str) -> Result<Account, String> {
    let (provider, user) = text.split_once('=').ok_or("where and id, such as strava=1234567")?;
    Ok(Account { provider: provider.to_owned(), user: user.to_owned() })
}

impl Facts {
    fn edit(self, display_name: Option<String>, clear: Vec<Field>) -> Edit {
        let hides = |what| self.hide.contains(&what);
        let hide = Hide {
            tile: hides(HideArg::Tile),
            numbers: hides(HideArg::Numbers),
            ranking: hides(HideArg::Ranking),
        };
        Edit {
            display_name,
            hide: (!self.hide.is_empty()).then_some(hide),
            legal_name: self.legal_name,
            reference_id: self.reference,
            birth_year: self.birth_year,
            sex: self.sex.map(|sex| match sex {
                SexArg::Female => Sex::Female,
                SexArg::Male => Sex::Male,
            }),
            weight_kg: self.weight,
            max_hr_bpm: self.max_hr,
            resting_hr_bpm: self.resting_hr,
            zones_from_bpm: self.zones,
            consent: self.consent,
            accounts: self.account,
            raised_max_hr: None,
            clear,
        }
    }
}

impl Command {
    fn folder(&self) -> (&Folder, Makes) {
        match self {
            Self::Add(Add { folder, .. }) => (folder, Makes::Folder),
            Self::List(List { folder, .. })
            | Self::Show(One { folder, .. })
            | Self::Edit(Change { folder, .. }) => (folder, Makes::Nothing),
            Self::Forget(One { folder, .. }) => (folder, Makes::LogAnew),
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
        Command::Add(Add { display_name, facts, json, .. }) => {
            let edit = facts.edit(Some(display_name), Vec::new());
            let done = desk.add(&edit).await?;
            warn(&done.warnings);
            say(json, &done, |AthleteDone { athlete, .. }| {
                format!("{} is entered, with id {}\n", athlete.display_name, athlete.id)
            })
        }
        Command::List(List { json, .. }) => {
            let listed = desk.athletes().await?;
            if listed.is_empty() && !json {
                eprintln!("nobody is entered yet; `pulsegate athlete add NAME` enters somebody");
            }
            say(json, &listed, |listed| table(listed))
        }
        Command::Show(One { who, json, .. }) => say(json, &desk.show(&who).await?, shown),
        Command::Edit(Change {
            who,
            display_name,
            facts,
            confirm_max_hr,
            reject_max_hr,
            clear,
            json,
            ..
        }) => {
            let raised_max_hr = match (confirm_max_hr, reject_max_hr) {
                (true, _) => Some(Decision::Confirm),
                (false, true) => Some(Decision::Reject),
                (false, false) => None,
            };
            let edit = Edit { raised_max_hr, ..facts.edit(display_name, clear) };
            let done = desk.edit(&who, &edit).await?;
            warn(&done.warnings);
            say(json, &done, |done| format!("{}: noted\n", done.athlete.display_name))
        }
        Command::Forget(One { who, json, .. }) => say(json, &desk.forget(&who).await?, forgotten),
    }
}

/// A document for programs, or words for people.
pub(super) fn say<T: Serialize>(
    json: bool,
    document: &T,
    words: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let text = if json { output::json(document)? } else { words(document) };
    Output::default().say(&text)
}

fn table(listed: &[Listed]) -> String {
    let mut text = String::new();
    if !listed.is_empty() {
        text += &format!(
            "{:<24} {:<9} {:<18} {:<18} {:<7} {}\n",
            "NAME", "ID", "WEARS", "OWNS", "CONSENT", "MAX HR"
        );
    }
    let straps = |straps: &[crate::reading::StrapId]| match straps {
        [] => "-".to_owned(),
        straps => straps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    for Listed { athlete, owns, wears } in listed {
        let line = writeln!(
            text,
            "{:<24} {:<9} {:<18} {:<18} {:<7} {}",
            athlete.display_name,
            short(athlete.id),
            straps(wears),
            straps(owns),
            if athlete.consent.is_some() { "yes" } else { "no" },
            max_hr(&athlete.profile, "").unwrap_or_else(|| "-".to_owned()),
        );
        line.expect("a text takes every line");
    }
    text
}

fn shown(shown: &Shown) -> String {
    let Listed { athlete, owns, wears } = &shown.listed;
    let profile = &athlete.profile;
    let mut text = format!("{}\n", athlete.display_name);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text += &format!("  {name:<18} {value}\n");
        }
    };
    line("id", Some(athlete.id.to_string()));
    line("legal name", athlete.legal_name.clone());
    line("reference", athlete.reference_id.clone());
    line("birth year", profile.birth_year.map(|year| year.to_string()));
    line("sex", profile.sex.and_then(|sex| word(&sex)));
    line("weight", profile.weight_kg.map(|kg| format!("{kg} kg")));
    line("max heart rate", max_hr(profile, " bpm"));
    line("resting heart rate", profile.resting_hr.map(|rest| format!("{} bpm", rest.bpm)));
    line(
        "zones from",
        profile
            .zones_from_bpm
            .map(|zones| format!("{} bpm", zones.map(|bpm| bpm.to_string()).join(", "))),
    );
    let Hide { tile, numbers, ranking } = athlete.hide;
    let hidden = [(tile, "tile"), (numbers, "numbers"), (ranking, "ranking")];
    let hidden: Vec<_> = hidden.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect();
    line("hidden", (!hidden.is_empty()).then(|| hidden.join(", ")));
    let consent = athlete.consent.as_ref();
    line(
        "consent",
        Some(consent.map_or("none".to_owned(), |it| format!("{}, at {}", it.text, it.at))),
    );
    for account in &athlete.accounts {
        line("account", Some(format!("{} {}", account.provider, account.user)));
    }
    line("since", Some(athlete.created.to_string()));
    for strap in owns {
        line("owns", Some(strap.to_string()));
    }
    for strap in wears {
        line("wears", Some(strap.to_string()));
    }
    for worn in &shown.worn {
        let to = worn.to.as_deref().unwrap_or("now");
        line("wore", Some(format!("{} from {} to {to}", worn.strap, worn.from)));
    }
    text
}

fn forgotten(forgotten: &Forgotten) -> String {
    let Forgotten {
        athlete,
        straps,
        changes,
        accounts,
        sessions,
        files,
        log,
        damaged_files,
        remains,
    } = forgotten;
    let mut text = format!("forgotten: the athlete with id {athlete}\n");
    let mut erased = |count: u64, one: &str, many: &str| {
        if count > 0 {
            text += &format!("  erased: {count} {}\n", if count == 1 { one } else { many });
        }
    };
    erased(straps.len() as u64, "strap of their own", "straps of their own");
    erased(*accounts as u64, "account elsewhere", "accounts elsewhere");
    erased(*sessions as u64, "session with its file", "sessions with their files");
    erased(*files as u64, "imported activity", "imported activities");
    erased(log.readings, "reading in the log", "readings in the log");
    erased(log.events, "event in the log", "events in the log");
    erased(log.refused, "refused entry", "refused entries");
    erased(*damaged_files as u64, "damaged file of the roster", "damaged files of the roster");
    if *changes > 0 {
        let say = if *changes == 1 { "assignment says" } else { "assignments say" };
        text += &format!("  without a name: {changes} {say} \"somebody\" now\n");
    }
    if remains.is_empty() {
        text += "nothing of them is left in the data folder\n";
    }
    for left in remains {
        text += &format!("  REMAINS: {}\n           {}\n", left.what, left.until);
    }
    text
}

/// The highest heart rate, and where it comes from.
fn max_hr(profile: &Profile, unit: &str) -> Option<String> {
    let max = profile.max_hr?;
    let raised = profile.max_hr_raised.filter(|raised| raised.open);
    let origin = match raised {
        Some(Raised { from, at, .. }) => {
            format!("raised from {} on {at}, to be confirmed", from.bpm)
        }
        None => word(&max.origin).unwrap_or_default(),
    };
    Some(format!("{}{unit} ({origin})", max.bpm))
}

/// How a plain word is written in JSON.
fn word(value: &impl Serialize) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}
