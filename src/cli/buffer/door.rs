//! The way to a buffer: through the socket of a running daemon, or into the folder of a stopped one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::buffer::{self, Buffer, BufferError, Health, Keeper, Options, Purpose};
use crate::cli::client::{Answered, Client, Patience, Pieces};
use crate::clock::Clock;
use crate::config::Config;
use crate::exit::{Exit, Failure, chain};
use crate::gateway;
use crate::inspect::{
    self, Checked, InspectError, Point, Report, Requeued, Rewound, Selection, Shown,
};
use crate::reading::EntryId;
use crate::web::{self, RequeueBody, RewindBody};

/// What is changed is written when the buffer is closed; nothing is in a hurry before.
const WHEN_CLOSED: Duration = Duration::from_secs(3600);
/// Whoever waits for a repair does not want to wait for commits.
const AT_ONCE: Duration = Duration::from_millis(20);

/// The way to a buffer.
pub(super) enum Door {
    /// A daemon answers.
    Running(Client),
    /// There is none: its folder is open here.
    Stopped(Box<Stopped>),
}

/// An open folder.
pub(super) struct Stopped {
    buffer: Buffer,
    keeper: Keeper,
    config: Config,
    data_dir: PathBuf,
}

/// When something that was asked for happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// A running daemon does it.
    Now,
    /// It waits for the daemon.
    AtStart,
}

/// Lines of JSON from either.
pub(super) enum Lines {
    There(Pieces),
    Here(inspect::Lines),
}

impl Lines {
    /// The next piece; `None` when that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::There(pieces) => pieces.next().await,
            Self::Here(lines) => lines.next().await.map_err(|error| failed(error.into())),
        }
    }
}

/// How to open the folder of a stopped daemon.
pub(in crate::cli) fn options(config: &Config, data_dir: &Path, purpose: Purpose) -> Options {
    Options {
        data_dir: data_dir.to_owned(),
        commit_every: match purpose {
            Purpose::Inspect => WHEN_CLOSED,
            _ => AT_ONCE,
        },
        max_bytes: config.buffer.max_bytes(),
        max_age: None,
        first: EntryId(0),
        sinks: config.sinks.keys().cloned().collect(),
        purpose,
    }
}

/// Opens the folder of a stopped daemon.
pub(in crate::cli) fn open(
    config: &Config,
    options: &Options,
) -> Result<(Buffer, Keeper), Failure> {
    let clock = Clock::new(gateway::synced_by(config));
    let clock = clock.map_err(|error| Failure::new(Exit::Software, error))?;
    Buffer::open(options, &clock).map_err(|error| match error {
        BufferError::InUse { path } => {
            let text = format!(
                "{} is in use by a process that does not answer at {}: a daemon that is starting or stopping, or \
                 another `pulsegate buffer`. Try again in a moment; if that does not help, `systemctl status pulsegate` \
                 and `sudo fuser -v {}` tell who it is.",
                path.display(),
                web::socket_path(&options.data_dir).display(),
                path.join("db").display()
            );
            Failure::new(Exit::Unavailable, text)
        }
        error => failed(error.into()),
    })
}

/// Closes it, so that the daemon can have it.
pub(in crate::cli) async fn close(buffer: &Buffer, mut keeper: Keeper) -> Result<(), Failure> {
    buffer.close();
    let ended = keeper.ended().await;
    keeper.join();
    ended.map_err(|error| failed(error.into()))
}

impl Door {
    /// Finds out whether a daemon runs, and opens the folder if not.
    pub(super) async fn open(config: &Config, data_dir: &Path) -> Result<Self, Failure> {
        let client = Client::new(data_dir)?;
        if client.is_answered().await? == Answered::Yes {
            return Ok(Self::Running(client));
        }
        if !buffer::is_kept_in(data_dir) {
            return Err(nothing_in(data_dir));
        }
        let (buffer, keeper) = open(config, &options(config, data_dir, Purpose::Inspect))?;
        let (config, data_dir) = (config.clone(), data_dir.to_owned());
        Ok(Self::Stopped(Box::new(Stopped { buffer, keeper, config, data_dir })))
    }

    pub(super) async fn report(&self) -> Result<Report, Failure> {
        match self {
            Self::Running(client) => client.get("/api/v1/buffer").await,
            Self::Stopped(stopped) => {
                let configured = stopped.config.buffer.max_bytes();
                let report = inspect::report(&stopped.buffer, configured).await;
                let mut report = report.map_err(|error| failed(error.into()))?;
                let databases = buffer::set_aside_in(&stopped.data_dir);
                if databases > 0 {
                    report.health = Health::SetAside { databases };
                }
                Ok(report)
            }
        }
    }

    pub(super) async fn entries(&self, selection: Selection) -> Result<Lines, Failure> {
        match self {
            Self::Running(client) => {
                let query = selection.to_query();
                client.lines("/api/v1/buffer/entries", &query).await.map(Lines::There)
            }
            Self::Stopped(stopped) => {
                let gateway = stopped.gateway()?;
                let lines = inspect::Lines::entries(&stopped.buffer, &gateway, selection).await;
                lines.map(Lines::Here).map_err(failed)
            }
        }
    }

    pub(super) async fn letters(&self, sink: Option<String>) -> Result<Lines, Failure> {
        match self {
            Self::Running(client) => {
                let query: Vec<_> = sink.into_iter().map(|sink| ("sink", sink)).collect();
                client.lines("/api/v1/buffer/letters", &query).await.map(Lines::There)
            }
            Self::Stopped(stopped) => {
                let lines = inspect::Lines::letters(&stopped.buffer, sink);
                lines.map(Lines::Here).map_err(failed)
            }
        }
    }

    pub(super) async fn entry(&self, seq: EntryId) -> Result<Shown, Failure> {
        match self {
            Self::Running(client) => client.get(&format!("/api/v1/buffer/entries/{seq}")).await,
            Self::Stopped(stopped) => {
                let gateway = stopped.gateway()?;
                inspect::entry(&stopped.buffer, &gateway, seq).await.map_err(failed)
            }
        }
    }

    pub(super) async fn verify(&self) -> Result<Checked, Failure> {
        match self {
            Self::Running(client) => {
                client.post("/api/v1/buffer/verify", &(), Patience::Long).await
            }
            Self::Stopped(stopped) => inspect::verify(&stopped.buffer).await.map_err(failed),
        }
    }

    pub(super) async fn requeue(&self, sink: Option<String>) -> Result<Requeued, Failure> {
        match self {
            Self::Running(client) => {
                let body = RequeueBody { sink };
                client.post("/api/v1/buffer/requeue", &body, Patience::Usual).await
            }
            Self::Stopped(stopped) => {
                inspect::requeue(&stopped.buffer, sink.as_deref()).await.map_err(failed)
            }
        }
    }

    pub(super) async fn rewind(&self, sink: String, to: Point) -> Result<Rewound, Failure> {
        match self {
            Self::Running(client) => {
                let body = RewindBody { sink, to: to.to_string() };
                client.post("/api/v1/buffer/rewind", &body, Patience::Long).await
            }
            Self::Stopped(stopped) => {
                inspect::rewind(&stopped.buffer, &sink, to).await.map_err(failed)
            }
        }
    }

    /// When a sink does what it was asked to.
    pub(super) fn when(&self) -> When {
        match self {
            Self::Running(_) => When::Now,
            Self::Stopped(_) => When::AtStart,
        }
    }

    /// Closes the folder; what was changed is safe then.
    pub(super) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Running(_) => Ok(()),
            Self::Stopped(stopped) => close(&stopped.buffer, stopped.keeper).await,
        }
    }
}

impl Stopped {
    fn gateway(&self) -> Result<String, Failure> {
        let place = self.data_dir.display();
        match gateway::known_id(&self.config, &self.data_dir) {
            Ok(Some(id)) => Ok(id),
            Ok(None) => {
                let text = format!(
                    "whose entries these are is not known: there is no {place}/gateway-id, and no id under [gateway] in \
                     the configuration. Give the daemon's --config."
                );
                Err(Failure::new(Exit::Unavailable, text))
            }
            Err(error) => Err(Failure::new(Exit::Io, format!("{place}/gateway-id: {error}"))),
        }
    }
}

/// There is nothing to look into.
pub(super) fn nothing_in(data_dir: &Path) -> Failure {
    let text = format!(
        "no buffer in {}: has a daemon ever run with this data folder? Give its --config, or its --data-dir (the service's \
         is /var/lib/pulsegate).",
        data_dir.display()
    );
    Failure::new(Exit::Unavailable, text)
}

/// What an operator is told, and the exit code.
pub(in crate::cli) fn failed(error: InspectError) -> Failure {
    use BufferError::{Closed, Disk, NoSuchSink, Store};
    match &error {
        InspectError::NoSuchSink { .. }
        | InspectError::NoSuchEntry { .. }
        | InspectError::Buffer(NoSuchSink(_)) => Failure::new(Exit::Usage, error),
        InspectError::Buffer(Disk { .. } | Store { .. } | Closed) => {
            let text = format!(
                "{}\nThe files are damaged, or the disk is failing (`dmesg` tells). `pulsegate buffer repair` saves what \
                 can be read, and so does starting the daemon.",
                chain(&error)
            );
            Failure::new(Exit::Io, text)
        }
        InspectError::Buffer(_) => Failure::new(Exit::Io, error),
    }
}
