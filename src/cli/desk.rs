//! The way to the desk: through the socket of a running daemon, or into the folder of a stopped one.

use std::path::Path;
use std::sync::Arc;

use super::Folder;
use super::buffer::{door, owner};
use super::client::{Answered, Client, Patience, Verb, under};
use crate::buffer::{self, Buffer, Keeper, Purpose};
use crate::clock::Clock;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::history::History;
use crate::roster::desk::{self, Moment};
use crate::roster::{
    AssignBody, Assigned, AthleteDone, Edit, Forgotten, Listed, Released, Removed, Roster,
    RosterError, Shown, StrapBody, StrapDone, StrapListed, Wearing, forget,
};
use crate::timeline::Timeline;
use crate::{gateway, log, web};

const ATHLETES: &str = "/api/v1/athletes";
const STRAPS: &str = "/api/v1/straps";
const RELEASE_RENTALS: &str = "/api/v1/rentals/release";

/// The way to the desk.
pub(super) enum Desk {
    /// A daemon answers.
    Running(Client),
    /// There is none: its folder is open here.
    Stopped(Box<Stopped>),
}

/// An open folder.
pub(super) struct Stopped {
    roster: Roster,
    /// When each boot was is known there; none where no daemon has run yet.
    log: Option<(Buffer, Keeper)>,
    history: History,
    clock: Clock,
    config: Config,
}

/// Whether the folder may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Makes {
    /// Somebody is entered: it may be the first thing on a new box.
    Folder,
    /// What is looked for would be there.
    Nothing,
    /// The same; the log is made anew without somebody.
    LogAnew,
}

impl Desk {
    /// Finds out whether a daemon runs, and opens the folder if not.
    pub(super) async fn open(folder: &Folder, makes: Makes) -> Result<Self, Failure> {
        let (config, data_dir) = folder.load()?;
        let client = Client::new(&data_dir)?;
        if client.is_answered().await? == Answered::Yes {
            log::start("warn");
            return Ok(Self::Running(client));
        }
        owner::become_owner(&data_dir)?;
        log::start("warn");
        if makes == Makes::Folder {
            gateway::make_data_dir(&data_dir)?;
        } else if !data_dir.exists() {
            let text = format!(
                "there is no data folder {}: has a daemon ever run with it? Give its --config, or its --data-dir (the \
                 service's is /var/lib/pulsegate).",
                data_dir.display()
            );
            return Err(Failure::new(Exit::Unavailable, text));
        }
        let purpose = match makes {
            Makes::LogAnew => Purpose::Repair,
            Makes::Folder | Makes::Nothing => Purpose::Inspect,
        };
        Ok(Self::Stopped(Box::new(Stopped::open(config, &data_dir, purpose)?)))
    }

    /// Does something at the desk, and leaves the folder to others.
    pub(super) async fn closed_after(
        self,
        work: impl AsyncFnOnce(&Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let done = work(&self).await;
        done.and(self.close().await)
    }

    /// What was changed is safe before.
    async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Stopped(stopped) => match stopped.log {
                Some((buffer, keeper)) => door::close(&buffer, keeper).await,
                None => Ok(()),
            },
            Self::Running(_) => Ok(()),
        }
    }

    pub(super) async fn athletes(&self) -> Result<Vec<Listed>, Failure> {
        match self {
            Self::Running(client) => client.get(ATHLETES).await,
            Self::Stopped(stopped) => Ok(desk::athletes(&stopped.roster.people())),
        }
    }

    pub(super) async fn show(&self, who: &str) -> Result<Shown, Failure> {
        match self {
            Self::Running(client) => client.get(&under(ATHLETES, &[who])?).await,
            Self::Stopped(stopped) => {
                let shown = desk::show(&stopped.roster.people(), &stopped.wearing(), who);
                shown.map_err(failed)
            }
        }
    }

    pub(super) async fn add(&self, edit: &Edit) -> Result<AthleteDone, Failure> {
        match self {
            Self::Running(client) => client.post(ATHLETES, edit, Patience::Usual).await,
            Self::Stopped(stopped) => {
                desk::add(&stopped.roster, edit, &stopped.moment()).map_err(failed)
            }
        }
    }

    pub(super) async fn edit(&self, who: &str, edit: &Edit) -> Result<AthleteDone, Failure> {
        match self {
            Self::Running(client) => {
                client.ask(Verb::Patch, &under(ATHLETES, &[who])?, edit, Patience::Usual).await
            }
            Self::Stopped(stopped) => {
                desk::edit(&stopped.roster, who, edit, &stopped.moment()).map_err(failed)
            }
        }
    }

    pub(super) async fn forget(&self, who: &str) -> Result<Forgotten, Failure> {
        match self {
            Self::Running(client) => {
                client.ask(Verb::Delete, &under(ATHLETES, &[who])?, &(), Patience::Long).await
            }
            Self::Stopped(stopped) => {
                let buffer = stopped.log.as_ref().map(|(buffer, _)| buffer);
                let around = web::around(&stopped.config, buffer, &stopped.history);
                let (moment, wearing) = (stopped.moment(), stopped.wearing());
                let forgotten = forget(&stopped.roster, who, &moment, &wearing, &around).await;
                forgotten.map_err(failed)
            }
        }
    }

    pub(super) async fn straps(&self) -> Result<Vec<StrapListed>, Failure> {
        match self {
            Self::Running(client) => client.get(STRAPS).await,
            Self::Stopped(stopped) => {
                Ok(desk::straps(&stopped.roster.people(), &stopped.timeline()))
            }
        }
    }

    pub(super) async fn add_strap(&self, body: &StrapBody) -> Result<StrapDone, Failure> {
        match self {
            Self::Running(client) => client.post(STRAPS, body, Patience::Usual).await,
            Self::Stopped(stopped) => {
                desk::add_strap(&stopped.roster, body, &stopped.moment()).map_err(failed)
            }
        }
    }

    pub(super) async fn remove_strap(&self, strap: &str) -> Result<Removed, Failure> {
        match self {
            Self::Running(client) => {
                client.ask(Verb::Delete, &under(STRAPS, &[strap])?, &(), Patience::Usual).await
            }
            Self::Stopped(stopped) => {
                desk::remove_strap(&stopped.roster, strap, &stopped.moment()).map_err(failed)
            }
        }
    }

    pub(super) async fn assign(&self, strap: &str, body: &AssignBody) -> Result<Assigned, Failure> {
        match self {
            Self::Running(client) => {
                let path = under(STRAPS, &[strap, "wearer"])?;
                client.ask(Verb::Put, &path, body, Patience::Usual).await
            }
            Self::Stopped(stopped) => {
                desk::assign(&stopped.roster, strap, body, &stopped.moment()).map_err(failed)
            }
        }
    }

    pub(super) async fn release(&self, strap: &str) -> Result<Released, Failure> {
        match self {
            Self::Running(client) => {
                let path = under(STRAPS, &[strap, "wearer"])?;
                client.ask(Verb::Delete, &path, &(), Patience::Usual).await
            }
            Self::Stopped(stopped) => {
                desk::release(&stopped.roster, strap, &stopped.moment()).map_err(failed)
            }
        }
    }

    pub(super) async fn release_rentals(&self) -> Result<Vec<Released>, Failure> {
        match self {
            Self::Running(client) => client.post(RELEASE_RENTALS, &(), Patience::Usual).await,
            Self::Stopped(stopped) => {
                desk::release_rentals(&stopped.roster, &stopped.moment()).map_err(failed)
            }
        }
    }
}

impl Stopped {
    fn open(config: Config, data_dir: &Path, purpose: Purpose) -> Result<Self, Failure> {
        let clock = Clock::new(gateway::synced_by(&config));
        let clock = clock.map_err(|error| Failure::new(Exit::Software, error))?;
        // First: a daemon that is just starting has the log, and will want the roster.
        let is_there = match purpose {
            Purpose::Inspect => buffer::is_kept_in(data_dir),
            Purpose::Collect | Purpose::Repair => buffer::is_there_something_of(data_dir),
        };
        let log = if is_there {
            Some(door::open(&config, &door::options(&config, data_dir, purpose))?)
        } else {
            None
        };
        let roster = Roster::open(data_dir).map_err(failed)?;
        Ok(Self { roster, log, history: History::new(data_dir), clock, config })
    }

    fn moment(&self) -> Moment {
        let at = self.clock.now();
        let unix_us = self.timeline().place(&at).unix_us;
        Moment { at, unix_us, heard: None }
    }

    fn timeline(&self) -> Arc<Timeline> {
        let known = self.log.as_ref().map(|(buffer, _)| buffer.timeline().borrow().clone());
        known.unwrap_or_default()
    }

    fn wearing(&self) -> Wearing {
        Wearing::new(&self.roster.people(), self.timeline())
    }
}

/// What an operator is told, and the exit code.
pub(super) fn failed(error: RosterError) -> Failure {
    let exit = match &error {
        RosterError::NotFound(_) | RosterError::Refused(_) => Exit::Usage,
        RosterError::InUse { .. } | RosterError::BrokenOff(_) => Exit::Unavailable,
        RosterError::Disk { .. } | RosterError::Log(_) | RosterError::History(_) => Exit::Io,
    };
    Failure::new(exit, error)
}

/// Tells what may be a mistake.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}
