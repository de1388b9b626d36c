//! The composition root: builds everything, starts it, and stops it in order.
//!
//! Stopping: sources first (radio, links, pages), then the buffer commits, then the sinks finish the attempt in hand,
//! then the buffer closes. Each has its limit but the last, which is local and must be done.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::archive::Archive;
use crate::ble::supervisor::{NoAdapter, Rules, Supervisor, SupervisorError, Wanted};
use crate::ble::{Radio, Started, bluez};
use crate::buffer::{self, Buffer, BufferError, Keeper};
use crate::clock::{Clock, SyncSource};
use crate::config::{self, Config, Connect};
use crate::exit::{Exit, Failure, chain};
use crate::floor::Floor;
use crate::history::{self, Bounds, History, Importer, Inbox};
use crate::intake::Intake;
use crate::live::Board;
use crate::reading::{EntryId, Event, EventKind, Fact};
use crate::recorder::{self, Recorder};
use crate::roster::{self, Roster, Teller};
use crate::secret::Secret;
use crate::{fit, notify, secret, session, simulate, sink, timekeeper, web};

/// For hanging up and closing pages, and then for the sinks. The unit's TimeoutStopSec leaves the buffer more.
const SOURCES_LIMIT: Duration = Duration::from_secs(10);
const SINKS_LIMIT: Duration = Duration::from_secs(7);

/// A reading is in the log a commit and so much after it came.
const SETTLE: Duration = Duration::from_secs(2);

/// Pages whose browser does not listen hold nothing up.
const PAGES_LIMIT: Duration = Duration::from_secs(1);

/// An address that is not there yet (the network comes up after us) is tried again this often.
const LISTEN_EVERY: Duration = Duration::from_secs(10);

/// Random bytes in a made gateway id: enough that no two boxes of a fleet share one.
const GATEWAY_ID_BYTES: usize = 8;
const WALL_KEY_BYTES: usize = 16;

/// Characters of a key that a backend shows.
const API_KEY_MIN: usize = 16;

/// The file of the made id, in the data folder.
const GATEWAY_ID: &str = "gateway-id";

/// Where straps come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Bluetooth adapters.
    Bluetooth,
    /// Virtual straps.
    Simulated(simulate::Settings),
}

/// What is told once everything runs.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Link that opens the wall page.
    pub wall: Option<String>,
    /// The data folder in use.
    pub data_dir: PathBuf,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// What ended it otherwise, with the exit code.
pub async fn run(
    config: Config,
    source: Source,
    on_ready: impl FnOnce(Ready),
) -> Result<(), Failure> {
    let mut stop_signals = StopSignals::new()?;
    let house = House::build(config)?;
    let buffer = house.buffer.clone();
    let mut running = match house.start(source, on_ready).await {
        Ok(running) => running,
        Err(failure) => {
            buffer.close();
            buffer.closed().await;
            return Err(failure);
        }
    };
    let result = running.until_stopped(&mut stop_signals).await;
    notify::stopping();
    let stopped = running.stop().await;
    result.and(stopped)
}

/// Where days begin and end: as configured, else as the system has it, else in UTC.
pub fn time_zone(config: &Config) -> TimeZone {
    let zone = match &config.gateway.time_zone {
        Some(name) => TimeZone::get(name),
        None => TimeZone::try_system(),
    };
    zone.unwrap_or_else(|error| {
        let error = chain(&error);
        warn!(error, "the time zone is not known: days are those of UTC ([gateway] time_zone)");
        TimeZone::UTC
    })
}

/// What confirms the wall clock.
pub fn synced_by(config: &Config) -> SyncSource {
    match config.clock.synced_by {
        config::SyncedBy::Timesyncd => SyncSource::default(),
        config::SyncedBy::Operator => SyncSource::Vouched,
    }
}

/// The identity of the box with this configuration and data folder, if it has one yet.
///
/// # Errors
/// When the file that keeps it cannot be read.
pub fn known_id(config: &Config, data_dir: &Path) -> io::Result<Option<String>> {
    if let Some(id) = &config.gateway.id {
        return Ok(Some(id.clone()));
    }
    match secret::read(&data_dir.join(GATEWAY_ID)) {
        Ok(id) => Ok(Some(id.expose().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes the data folder, for its owner only, if it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn make_data_dir(data_dir: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(|error| {
        let text = format!("cannot create the data folder {}: {error}", data_dir.display());
        Failure::new(Exit::CannotCreate, text)
    })
}

/// How the buffer in this folder is opened to take entries in.
///
/// # Errors
/// When the kernel gives no random number.
pub fn collecting(config: &Config, data_dir: &Path) -> Result<buffer::Options, Failure> {
    // A made id is as new as the folder. A configured one may have had another folder, on a card that died: its
    // numbers must not be used again.
    let first = match &config.gateway.id {
        None => 0,
        Some(_) => secret::random_epoch().map_err(|error| Failure::new(Exit::Software, error))?,
    };
    Ok(buffer::Options {
        first: EntryId(first),
        data_dir: data_dir.to_owned(),
        commit_every: Duration::from_millis(config.buffer.commit_every_ms.into()),
        max_bytes: config.buffer.max_bytes(),
        max_age: (config.buffer.max_days > 0)
            .then(|| Duration::from_secs(u64::from(config.buffer.max_days) * 24 * 3600)),
        sinks: config.sinks.keys().cloned().collect(),
        purpose: buffer::Purpose::Collect,
    })
}

/// How much may be brought at once, as configured.
pub fn bounds(import: &config::Import) -> Bounds {
    Bounds {
        file: fit::Limits {
            bytes: u64::from(import.max_file_mb) << 20,
            messages: import.max_messages.into(),
            definitions: import.max_definitions.into(),
            segments: import.max_segments.into(),
        },
        archive_bytes: u64::from(import.max_archive_mb) << 20,
        time: Duration::from_secs(import.read_limit_s.into()),
        ..Bounds::default()
    }
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(Exit::Software, error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What exists before anything runs.
struct House {
    config: Config,
    data_dir: PathBuf,
    gateway: String,
    clock: Clock,
    buffer: Buffer,
    keeper: Keeper,
    board: Board,
    intake: Intake,
}

impl House {
    fn build(config: Config) -> Result<Self, Failure> {
        let data_dir = config.data_dir();
        make_data_dir(&data_dir)?;
        let gateway = match &config.gateway.id {
            Some(id) => id.clone(),
            None => {
                let path = data_dir.join(GATEWAY_ID);
                let made = secret::read_or_make(&path, GATEWAY_ID_BYTES).map_err(|error| {
                    Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()))
                })?;
                made.expose().to_owned()
            }
        };
        let clock =
            Clock::new(synced_by(&config)).map_err(|error| Failure::new(Exit::Software, error))?;
        let options = collecting(&config, &data_dir)?;
        let (buffer, keeper) =
            Buffer::open(&options, &clock).map_err(|error| Failure::new(Exit::Io, error))?;
        let board = Board::default();
        let intake = Intake::new(buffer.clone(), board.clone());
        Ok(Self { config, data_dir, gateway, clock, buffer, keeper, board, intake })
    }

    async fn start(self, source: Source, on_ready: impl FnOnce(Ready)) -> Result<Running, Failure> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        info!(version, gateway = self.gateway, data_dir = %self.data_dir.display(), "starting");
        let wall = self.open_wall().await?;
        let (wall, listener) =
            wall.map_or((None, None), |(wall, listener)| (Some(wall), Some(listener)));
        let stop_sources = CancellationToken::new();
        let stop_sinks = CancellationToken::new();
        let mut running = Running {
            sources: JoinSet::new(),
            sinks: JoinSet::new(),
            buffer: self.buffer.clone(),
            keeper: self.keeper,
            stop_sources: stop_sources.clone(),
            stop_sinks: stop_sinks.clone(),
        };
        let started =
            Fact::Event(Event { at: self.clock.now(), kind: EventKind::Started { version } });
        self.intake.take(started).await.map_err(buffer_failed)?;

        let roster = Roster::start(&self.data_dir);
        let context = sink::Context {
            gateway: self.gateway.as_str().into(),
            board: self.board.clone(),
            buffer: self.buffer.clone(),
            stop: stop_sinks,
            archive: Archive::new(
                History::new(&self.data_dir),
                roster.clone(),
                time_zone(&self.config),
                bounds(&self.config.import),
            ),
            data_dir: self.data_dir.clone(),
            delivery: self.config.delivery.clone(),
        };
        for (name, settings) in &self.config.sinks {
            sink::spawn(&mut running.sinks, name, settings, &context)
                .map_err(|reason| Failure::new(Exit::Config, format!("sinks.{name}: {reason}")))?;
        }
        let importer = Importer::new(history::Parts {
            history: History::new(&self.data_dir),
            intake: self.intake.clone(),
            buffer: self.buffer.clone(),
            clock: self.clock.clone(),
            bounds: bounds(&self.config.import),
            stop: stop_sources.clone(),
        });
        let tended = importer.clone();
        running.spawn(async move {
            tended.tend().await;
            Ok(())
        });
        if let Some(folder) = &self.config.import.folder {
            let settle = Duration::from_secs(self.config.import.settle_s.into());
            let inbox = Inbox::new(importer.clone(), self.data_dir.join(folder), settle);
            running.spawn(async move {
                inbox.run().await;
                Ok(())
            });
        }
        let recorder = Recorder::new(recorder::Parts {
            gateway: self.gateway.clone(),
            buffer: self.buffer.clone(),
            importer: importer.clone(),
            roster: roster.clone(),
            board: self.board.clone(),
            clock: self.clock.clone(),
            rules: sessions(&self.config.sessions),
            time_zone: time_zone(&self.config),
            settle: Duration::from_millis(self.config.buffer.commit_every_ms.into()) + SETTLE,
            stop: stop_sources.clone(),
        });
        running.spawn(async move {
            recorder.run().await;
            Ok(())
        });
        let teller = Teller::new(roster::Parts {
            roster: roster.clone(),
            intake: self.intake.clone(),
            buffer: self.buffer.clone(),
            clock: self.clock.clone(),
            stop: stop_sources.clone(),
        });
        running.spawn(async move {
            teller.run().await;
            Ok(())
        });
        let terra = match &self.config.web.terra {
            None => None,
            Some(settings) => {
                let key = api_key(settings, &self.data_dir)?;
                let (bounds, zone) = (bounds(&self.config.import), time_zone(&self.config));
                let history = importer.history().clone();
                Some(web::Terra {
                    dev_id: settings.dev_id.clone(),
                    api_key: key,
                    archive: Archive::new(history, roster.clone(), zone, bounds)
                        .until(stop_sources.clone()),
                    intake: self.intake.clone(),
                    webhooks: webhooks(&self.config),
                })
            }
        };
        let floor = Floor::new(
            self.intake.clone(),
            self.buffer.clone(),
            roster.clone(),
            self.clock.clone(),
        );
        let site = web::Site::new(web::Parts {
            gateway: self.gateway,
            config: self.config.clone(),
            board: self.board,
            buffer: self.buffer.clone(),
            importer,
            roster: roster.clone(),
            floor,
            clock: self.clock.clone(),
            wall,
            stop: stop_sources.clone(),
        });
        let local = web::listen_local(&self.data_dir).map_err(|error| {
            let path = web::socket_path(&self.data_dir);
            Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()))
        })?;
        running.spawn(serve(web::serve_local(site.clone(), local), stop_sources.clone()));
        if let Some(listener) = listener {
            let (pages, stop) = (site.clone(), stop_sources.clone());
            running.spawn(async move {
                let Some(listener) = listener.open(&stop).await else { return Ok(()) };
                serve(web::serve_wall(pages, terra, listener), stop).await
            });
        }
        let (clock, buffer, stop) = (self.clock.clone(), self.buffer.clone(), stop_sources.clone());
        running.spawn(async move {
            timekeeper::watch(clock, |at| buffer.anchor(at), stop).await;
            Ok(())
        });
        let watchdog = notify::watchdog(self.buffer);
        let stop = stop_sources.clone();
        running.spawn(async move {
            stop.run_until_cancelled(watchdog).await;
            Ok(())
        });

        let rules = rules(&self.config, &source, roster);
        let (clock, intake) = (self.clock, self.intake);
        match source {
            Source::Simulated(settings) => {
                let radio = simulate::start(settings, clock.clone(), stop_sources);
                running.spawn_radio(radio, rules, intake, clock);
            }
            Source::Bluetooth => {
                let adapters = self.config.bluetooth.adapters;
                let radio = bluez::start(adapters, clock.clone(), stop_sources);
                running.spawn_radio(radio, rules, intake, clock);
            }
        }
        notify::ready();
        on_ready(Ready { wall: site.wall_link(), data_dir: self.data_dir });
        Ok(running)
    }
}

impl House {
    /// The wall page's door and key, if it is wanted. Under a service manager the address may come later.
    async fn open_wall(&self) -> Result<Option<(web::Wall, Door)>, Failure> {
        let listen = &self.config.web.listen;
        if listen.is_empty() {
            return Ok(None);
        }
        let opened = async {
            let listener = web::listen(listen).await?;
            Ok::<_, std::io::Error>((listener.local_addr()?, Door::Open(listener)))
        };
        let (address, listener) = match (opened.await, listen.parse()) {
            (Ok(opened), _) => opened,
            (Err(error), Ok(address)) if notify::supervised() => {
                error!(%error, listen, "cannot listen for the wall page yet, will retry");
                (address, Door::Later(listen.clone()))
            }
            (Err(error), _) => {
                let text =
                    format!("cannot listen on {listen} for the wall page ([web] listen): {error}");
                return Err(Failure::new(Exit::Unavailable, text));
            }
        };
        let path = self.data_dir.join("wall-key");
        let key = secret::read_or_make(&path, WALL_KEY_BYTES).map_err(|error| {
            Failure::new(Exit::CannotCreate, format!("{}: {error}", path.display()))
        })?;
        Ok(Some((web::Wall { address, key }, listener)))
    }
}

/// What a backend shows that asks as of Terra.
fn api_key(settings: &config::TerraApi, data_dir: &Path) -> Result<Secret, Failure> {
    let path = data_dir.join(&settings.api_key_file);
    let wrong = |why: String| {
        let text = format!("web.terra.api_key_file: {}: {why}", path.display());
        Failure::new(Exit::Config, text)
    };
    let key = secret::read(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if key.expose().len() < API_KEY_MIN {
        return Err(wrong(format!("a key of fewer than {API_KEY_MIN} characters can be guessed")));
    }
    Ok(key)
}

/// Whether what a backend asks for can be sent to it.
fn webhooks(config: &Config) -> web::Webhooks {
    match config.sinks.values().any(config::Sink::writes_terra) {
        true => web::Webhooks::Delivered,
        false => web::Webhooks::NowhereToGo,
    }
}

/// When sessions begin and end, as configured.
fn sessions(sessions: &config::Sessions) -> session::tracker::Rules {
    session::tracker::Rules {
        begin_after: Duration::from_secs(sessions.begin_s.into()),
        silence: Duration::from_secs(sessions.silence_s.into()),
        outage: Duration::from_secs(60 * u64::from(sessions.outage_min)),
        ..session::tracker::Rules::default()
    }
}

fn rules(config: &Config, source: &Source, roster: Roster) -> Rules {
    let bluetooth = &config.bluetooth;
    let with = |wanted: fn(&config::Strap) -> bool| -> BTreeSet<_> {
        config.straps.iter().filter(|(_, strap)| wanted(strap)).map(|(id, _)| id.clone()).collect()
    };
    Rules {
        connect: match bluetooth.connect {
            Connect::All => Wanted::All,
            Connect::Known => Wanted::Known { configured: with(|_| true), roster },
            Connect::None => Wanted::Only(BTreeSet::new()),
        },
        ignore: with(|strap| strap.ignore),
        links_per_adapter: match source {
            Source::Bluetooth => bluetooth.links_per_adapter.into(),
            Source::Simulated(settings) => settings.straps,
        },
        broadcast: bluetooth.broadcast,
        min_rssi_dbm: bluetooth.min_rssi_dbm,
        silence: Duration::from_secs(bluetooth.silence_s.into()),
        no_adapter: if notify::supervised() { NoAdapter::Wait } else { NoAdapter::Fail },
    }
}

/// Everything that runs.
struct Running {
    sources: JoinSet<Result<(), Failure>>,
    sinks: JoinSet<sink::TaskEnd>,
    buffer: Buffer,
    keeper: Keeper,
    stop_sources: CancellationToken,
    stop_sinks: CancellationToken,
}

impl Running {
    fn spawn(&mut self, task: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        self.sources.spawn(task);
    }

    fn spawn_radio<R: Radio>(
        &mut self,
        started: Started<R>,
        rules: Rules,
        intake: Intake,
        clock: Clock,
    ) {
        let Started { radio, events, driver } = started;
        let stop = self.stop_sources.clone();
        self.spawn(
            async move { driver.await.map_err(|error| Failure::new(Exit::Software, error)) },
        );
        let supervisor = Supervisor::new(radio, rules, intake, clock, stop);
        self.spawn(async move {
            supervisor.run(events).await.map_err(|error| match error {
                SupervisorError::Buffer(error) => buffer_failed(error),
                SupervisorError::NoAdapter { .. } => Failure::new(Exit::Unavailable, error),
            })
        });
    }

    /// Waits for a signal (`Ok`), or for something that must not happen.
    async fn until_stopped(&mut self, signals: &mut StopSignals) -> Result<(), Failure> {
        let unasked = || Failure::new(Exit::Software, "a part of the daemon ended unasked");
        tokio::select! {
            name = signals.recv() => {
                info!(signal = name, "stopping");
                Ok(())
            }
            ended = self.keeper.ended() => {
                Err(ended.err().map_or_else(unasked, buffer_failed))
            }
            Some(ended) = self.sources.join_next() => Err(source_end(ended).err().unwrap_or_else(unasked)),
            Some(ended) = self.sinks.join_next() => Err(sink_end(ended).err().unwrap_or_else(unasked)),
        }
    }

    async fn stop(mut self) -> Result<(), Failure> {
        let mut result = Ok(());
        self.stop_sources.cancel();
        let sources = async {
            while let Some(ended) = self.sources.join_next().await {
                result = std::mem::replace(&mut result, Ok(())).and(source_end(ended));
            }
        };
        if timeout(SOURCES_LIMIT, sources).await.is_err() {
            warn!("some sources did not stop in time");
        }
        self.buffer.flush();
        self.stop_sinks.cancel();
        let sinks = async {
            while let Some(ended) = self.sinks.join_next().await {
                result = std::mem::replace(&mut result, Ok(())).and(sink_end(ended));
            }
        };
        if timeout(SINKS_LIMIT, sinks).await.is_err() {
            warn!("some sinks did not stop in time; what they have not delivered is kept");
            self.sinks.shutdown().await;
        }
        self.buffer.close();
        let closed = self.keeper.ended().await;
        self.keeper.join();
        match &closed {
            Ok(()) => info!("stopped, everything is safe"),
            Err(error) => error!(%error, "the buffer did not close"),
        }
        result.and(closed.map_err(buffer_failed))
    }
}

/// Serves pages until a moment after the stop: axum itself would wait for the last browser.
async fn serve(
    serving: impl Future<Output = std::io::Result<()>>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let too_long = async {
        stop.cancelled().await;
        sleep(PAGES_LIMIT).await;
    };
    tokio::select! {
        served = serving => served.map_err(|error| Failure::new(Exit::Software, error)),
        () = too_long => Ok(()),
    }
}

/// The wall page's door, open or to be opened.
enum Door {
    Open(TcpListener),
    Later(String),
}

impl Door {
    /// The listener, as soon as it can be had; `None` when stopped before that.
    async fn open(self, stop: &CancellationToken) -> Option<TcpListener> {
        let address = match self {
            Self::Open(listener) => return Some(listener),
            Self::Later(address) => address,
        };
        loop {
            stop.run_until_cancelled(sleep(LISTEN_EVERY)).await?;
            if let Ok(listener) = web::listen(&address).await {
                info!(address, "the wall page can be opened now");
                return Some(listener);
            }
        }
    }
}

fn buffer_failed(error: BufferError) -> Failure {
    Failure::new(Exit::Io, error)
}

fn panicked(error: JoinError) -> Failure {
    Failure::new(Exit::Software, error)
}

fn source_end(ended: Result<Result<(), Failure>, JoinError>) -> Result<(), Failure> {
    ended.map_err(panicked)?
}

fn sink_end(ended: Result<sink::TaskEnd, JoinError>) -> Result<(), Failure> {
    ended.map_err(panicked)?.map_err(buffer_failed)
}
