//! `pulsegate demo`: the same daemon with virtual straps, in a folder that is thrown away.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use crate::athlete::Sex;
use crate::clock::{Clock, SyncSource};
use crate::config::{Config, File, Sink};
use crate::exit::{Exit, Failure};
use crate::floor::StartBody;
use crate::format::EntryFormat;
use crate::gateway::{self, Source};
use crate::roster::desk::{self, Moment};
use crate::roster::{AssignBody, Edit, Roster};
use crate::{log, simulate};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many straps
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=500))]
    straps: u16,
    /// Another seed, other straps
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Address and port of the wall page [default: 127.0.0.1:7373, or a free port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Who wears the first straps; further ones show their id, as straps that nobody wears do.
const NAMES: [&str; 12] = [
    "Aino", "Ben", "Chiara", "Dario", "Emma", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaisa",
    "Luca",
];

/// What they do together.
const CLASS: &str = "Spin";
const CLASS_MINUTES: u16 = 45;

const USUAL: &str = "127.0.0.1:7373";

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    log::start("warn");
    let folder = Folder::new()?;
    let settings =
        simulate::Settings { straps: args.straps.into(), seed: args.seed, mishaps: true, speed: 1 };
    let readings = folder.0.join("readings.ndjson");
    let mut config = Config { data_dir: Some(folder.0.clone()), ..Config::default() };
    config.gateway.label = Some("Pulsegate demo".to_owned());
    config.web.listen = args.listen.unwrap_or_else(free_address);
    config.sinks.insert(
        "file".to_owned(),
        Sink::File(File {
            path: readings.clone(),
            format: EntryFormat::default(),
            rotate_mb: 64,
            keep_files: 2,
        }),
    );
    enter(&folder.0, settings)?;
    let straps = args.straps;
    let (told, ready) = oneshot::channel();
    let running = gateway::run(config, Source::Simulated(settings), |ready| {
        println!("\n  Pulsegate demo: {straps} virtual straps\n");
        println!("  wall page   {}", ready.wall.as_deref().unwrap_or("none"));
        println!("  readings    tail -f {}", readings.display());
        println!("  people      pulsegate athlete list --data-dir {}", ready.data_dir.display());
        println!("  status      pulsegate status --data-dir {}", ready.data_dir.display());
        println!("  a class     pulsegate class list --data-dir {}", ready.data_dir.display());
        println!("  stop        Ctrl-C; the folder is thrown away\n");
        // Nobody waits any more when it was stopped meanwhile.
        let _ = told.send(ready.data_dir);
    });
    let (result, ()) = tokio::join!(running, begin_class(ready));
    drop(folder);
    result
}

/// Begins a class through the door that everybody uses, once the daemon runs.
async fn begin_class(ready: oneshot::Receiver<PathBuf>) {
    let Ok(data_dir) = ready.await else { return };
    let body = StartBody { name: CLASS.to_owned(), minutes: Some(CLASS_MINUTES) };
    if let Err(failure) = super::floor::start(&data_dir, &body).await {
        tracing::warn!(error = %failure.error, "no class begins in the demo");
    }
}

/// Enters the people, each with a strap.
fn enter(data_dir: &Path, settings: simulate::Settings) -> Result<(), Failure> {
    let clock = Clock::new(SyncSource::default());
    let at = clock.map_err(|error| Failure::new(Exit::Software, error))?.now();
    let moment = Moment { at, unix_us: at.unix_us(), heard: None };
    let roster = Roster::open(data_dir).map_err(super::desk::failed)?;
    for (strap, name) in simulate::strap_ids(settings).into_iter().zip(NAMES) {
        let edit = Edit { display_name: Some(name.to_owned()), ..somebody() };
        let body = AssignBody { athlete: name.to_owned() };
        desk::add(&roster, &edit, &moment)
            .and_then(|_| desk::assign(&roster, strap.as_str(), &body, &moment))
            .map_err(super::desk::failed)?;
    }
    Ok(())
}

/// What energy, zones and points are made of, the same for all: they are not real people.
fn somebody() -> Edit {
    Edit {
        birth_year: Some(1990),
        sex: Some(Sex::Female),
        weight_kg: Some(68.0),
        max_hr_bpm: Some(190),
        ..Edit::default()
    }
}

/// The usual address, or a free port when something else has it.
fn free_address() -> String {
    match std::net::TcpListener::bind(USUAL) {
        Ok(_) => USUAL.to_owned(),
        Err(_) => "127.0.0.1:0".to_owned(),
    }
}

/// A folder of our own in the temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let name =
            format!("pulsegate-demo-{}-{:06x}", std::process::id(), fastrand::u32(0..1 << 24));
        let path = std::env::temp_dir().join(name);
        create(&path).map_err(|error| {
            Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()))
        })?;
        Ok(Self(path))
    }
}

fn create(path: &Path) -> std::io::Result<()> {
    // Not recursive: a folder that is there already is somebody else's.
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's folder stays behind");
        }
    }
}
