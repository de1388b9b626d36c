//! Destinations: what one must be able to do, and the list of those there are.
//!
//! To add a destination: a new file with a [`Sink`], and two lines in [`spawn`]. Waiting, retrying and the cursor are
//! written once, in [`runner`]; what leaves of an entry in which format, in [`payload`].

mod file;
mod mqtt;
mod payload;
mod runner;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::buffer::Buffer;
use crate::config;
use crate::live::Board;
use crate::normalize::Outgoing;
use crate::reading::EntryId;

/// A destination.
pub trait Sink: Send + 'static {
    /// What comes first after an outage.
    const ORDER: Order = Order::NewestFirst;

    /// Hands a batch over; entries are in order. `Ok` means that the far side has taken responsibility for every entry
    /// not listed as rejected. After an error the same batch comes again, whole, and nothing else before it is taken.
    ///
    /// # Errors
    /// [`DeliveryError`]: whether another attempt makes sense.
    fn deliver(
        &mut self,
        batch: &[Outgoing],
    ) -> impl Future<Output = Result<Receipt, DeliveryError>> + Send;

    /// Says goodbye to the far side. Called once, after the last delivery, within the deadline for stopping.
    fn close(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        async {}
    }
}

/// What comes first when much has piled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest entries; what has piled up drains behind them. Each of the two is in order.
    NewestFirst,
    /// The oldest: one line, as kept.
    AsKept,
}

/// What the far side took.
#[derive(Debug, Default)]
pub struct Receipt {
    /// What it refused for good, and why. The rest it has taken.
    pub rejected: Vec<(EntryId, String)>,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Try again: after `after` if the far side said so, else when the runner thinks fit.
    #[error("{reason}")]
    Retry {
        /// What happened, in words.
        reason: String,
        /// How long the far side asked to wait.
        after: Option<Duration>,
    },
    /// Trying again cannot help before somebody has mended something.
    #[error("{reason}")]
    Halt {
        /// What has to be mended, in words.
        reason: String,
    },
}

impl DeliveryError {
    /// Try again when the runner thinks fit.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    /// Stop until somebody has mended something.
    pub fn halt(reason: impl Into<String>) -> Self {
        Self::Halt { reason: reason.into() }
    }
}

/// What every sink may know of the box.
#[derive(Clone)]
pub struct Context {
    /// Identity of the box, part of every message.
    pub gateway: Arc<str>,
    /// What is true now, for sinks that show it.
    pub board: Board,
    /// The log.
    pub buffer: Buffer,
    /// Told to stop: finish the attempt in hand, begin no other.
    pub stop: CancellationToken,
    /// What was recorded, and who has agreed.
    pub archive: Archive,
    /// The data folder.
    pub data_dir: PathBuf,
    /// How a backlog drains.
    pub delivery: config::Delivery,
}

/// Starts a sink and its runner.
///
/// # Errors
/// In words, when its settings cannot work (a missing password file, say).
pub fn spawn(
    tasks: &mut JoinSet<TaskEnd>,
    name: &str,
    settings: &config::Sink,
    context: &Context,
) -> Result<(), String> {
    let context = context.clone();
    let name = name.to_owned();
    match settings {
        config::Sink::Mqtt(settings) => {
            let sink = mqtt::MqttSink::new(&name, settings, &context)?;
            tasks.spawn(runner::run(name, sink, context));
        }
        config::Sink::File(settings) => {
            let sink = file::FileSink::new(settings, &context)?;
            tasks.spawn(runner::run(name, sink, context));
        }
    }
    Ok(())
}

/// How a runner ended: after a stop with `Ok`, else because the buffer failed.
pub type TaskEnd = Result<(), crate::buffer::BufferError>;
