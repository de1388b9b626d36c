//! Straps over Bluetooth LE: what a radio must be able to do, and what comes from it.
//!
//! [`supervisor`] alone decides which strap is connected to, and when it is tried again; [`link`] carries one
//! connection; [`scan`] knows who is who; [`slots`] knows how many links an adapter bears. [`bluez`] is the real radio.

pub mod bluez;
mod devices;
mod link;
mod scan;
mod slots;
pub mod supervisor;
mod thread;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::reading::{At, StrapInfo};
use crate::sensor::Uuid16;

pub use scan::{Identity, Scan};

/// Things heard and not yet looked at: a few seconds of a full room. What does not fit is an advertisement, and another
/// one comes in a second.
pub const EVENT_QUEUE: usize = 1024;

/// Notifications of one link not yet looked at: more than a minute's.
pub const LINK_QUEUE: usize = 128;

/// A radio: real adapters, or virtual straps.
pub trait Radio: Clone + Send + Sync + 'static {
    /// Connects to a strap, reads what it says of itself and subscribes to everything in
    /// [`crate::sensor::PROFILES`] that it has. Returns when notifications flow.
    fn connect(&self, peer: Peer) -> impl Future<Output = Result<Connection, LinkError>> + Send;
}

/// A radio that has been started.
pub struct Started<R> {
    /// To connect with.
    pub radio: R,
    /// What is heard. Ends when the radio has stopped.
    pub events: mpsc::Receiver<RadioEvent>,
    /// The radio's own work; ends after a stop, or when it cannot go on.
    pub driver: BoxFuture<'static, Result<(), RadioError>>,
}

/// The radio cannot go on, not even by trying again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RadioError(pub String);

/// An adapter's name, such as `hci0`.
pub type AdapterName = Arc<str>;

/// A Bluetooth device address, most significant byte first, as people write it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub [u8; 6]);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A strap as one adapter hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Through which adapter.
    pub adapter: AdapterName,
    /// Its address.
    pub address: Address,
}

/// An advertisement, with what earlier ones of the same device said.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// Who, through which adapter.
    pub peer: Peer,
    /// When it was heard.
    pub at: At,
    /// Advertised name; comes in a scan response and may be missing at first.
    pub name: Option<Arc<str>>,
    /// Whether it advertises the Heart Rate Service, which it does while it can be connected to.
    pub heart_rate_service: bool,
    /// Polar's manufacturer data, if this advertisement brought it.
    pub polar: Option<Vec<u8>>,
    /// Signal strength.
    pub rssi_dbm: Option<i16>,
}

/// A wish for a connection, on its way to whoever owns the radio.
pub struct Request {
    /// To whom.
    pub peer: Peer,
    /// Told what came of it.
    pub reply: oneshot::Sender<Result<Connection, LinkError>>,
}

impl Request {
    /// Asks and waits for the answer. A radio that has stopped has no adapter.
    ///
    /// # Errors
    /// Why no connection came about.
    pub async fn ask(queue: &mpsc::Sender<Self>, peer: Peer) -> Result<Connection, LinkError> {
        let (reply, answer) = oneshot::channel();
        queue.send(Self { peer, reply }).await.map_err(|_| LinkError::NoAdapter)?;
        answer.await.map_err(|_| LinkError::NoAdapter)?
    }
}

/// What a radio reports.
#[derive(Debug, Clone)]
pub enum RadioEvent {
    /// An adapter is there and scanning.
    AdapterUp {
        /// Its name.
        adapter: AdapterName,
        /// Its address, by which it is known even when its name changes.
        address: Address,
    },
    /// An adapter is gone. Its links have ended or will say so themselves.
    AdapterDown {
        /// Its name.
        adapter: AdapterName,
        /// Why, in words.
        reason: String,
    },
    /// The list of adapters was read and holds none that may be used.
    NoAdapter {
        /// Why, in words, when it is known.
        reason: String,
    },
    /// Something that may be a strap was heard.
    Sighting(Sighting),
}

/// An open connection whose notifications flow. Dropping it hangs up; [`Connection::close`] also waits.
#[derive(Debug)]
pub struct Connection {
    /// What the strap says of itself.
    pub info: StrapInfo,
    /// What comes over the link.
    pub events: mpsc::Receiver<LinkEvent>,
    /// Hangs up when dropped.
    pub hang_up: oneshot::Sender<()>,
}

/// How long hanging up may take; BlueZ needs 2 to 3 seconds.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

impl Connection {
    /// Hangs up and waits until the radio has done so, within a limit.
    pub async fn close(self) {
        let Self { mut events, hang_up, .. } = self;
        drop(hang_up);
        let drained = async { while events.recv().await.is_some() {} };
        if tokio::time::timeout(CLOSE_LIMIT, drained).await.is_err() {
            tracing::debug!("the radio did not confirm the end of a link in time");
        }
    }
}

/// What comes over a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// A notification.
    Value {
        /// Of which characteristic.
        characteristic: Uuid16,
        /// Its bytes.
        value: Vec<u8>,
        /// When it arrived.
        at: At,
    },
    /// The link has ended.
    Ended(LinkEnd),
}

/// How a link ended. Normal life; the supervisor decides what follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// The strap went out of range, was taken off, or hung up.
    #[error("the strap disconnected")]
    Disconnected,
    /// It stayed connected and sent nothing.
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    /// The adapter or the Bluetooth service went away.
    #[error("the adapter went away")]
    AdapterLost,
    /// We are stopping.
    #[error("stopping")]
    Stopped,
}

/// Why no connection came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The adapter is not there.
    #[error("the adapter is not there")]
    NoAdapter,
    /// The device is not heard any more.
    #[error("the strap is not heard any more")]
    Gone,
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The adapter bears no further link.
    #[error("the adapter has no free link")]
    NoFreeLink,
    /// It has no heart rate to notify.
    #[error("the device has no heart rate measurement")]
    NoHeartRate,
    /// Anything else the radio said.
    #[error("{0}")]
    Radio(String),
}
