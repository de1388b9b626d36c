//! One connected strap: notifications become readings until the link ends. One task each; it never tries again itself.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{Connection, LinkEnd, LinkError, LinkEvent, Peer, Radio};
use crate::buffer::BufferError;
use crate::clock::Clock;
use crate::intake::Intake;
use crate::reading::{Event, EventKind, Fact, Reading, StrapId};
use crate::sensor::{self, HeartRateMeasurement, Profile};

/// Longest time for connecting, reading the strap's own words and subscribing. BlueZ gives up after 30 s each on
/// connecting and on finding services.
const CONNECT_LIMIT: Duration = Duration::from_secs(75);

/// What a link needs.
#[derive(Clone)]
pub(super) struct Link<R> {
    pub(super) radio: R,
    pub(super) intake: Intake,
    pub(super) clock: Clock,
    pub(super) silence: Duration,
    pub(super) stop: CancellationToken,
    /// Told when notifications flow.
    pub(super) up: mpsc::Sender<StrapId>,
}

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Outcome {
    /// No connection came about.
    NotUp(LinkError),
    /// Notifications flowed, for so long.
    Ended(LinkEnd, Duration),
}

impl<R: Radio> Link<R> {
    /// Connects and carries the link to its end.
    pub(super) async fn run(self, strap: &StrapId, peer: Peer) -> Result<Outcome, BufferError> {
        let connecting = timeout(CONNECT_LIMIT, self.radio.connect(peer));
        let connection = match self.stop.run_until_cancelled(connecting).await {
            None => return Ok(Outcome::Ended(LinkEnd::Stopped, Duration::ZERO)),
            Some(Err(_)) => return Ok(Outcome::NotUp(LinkError::Timeout(CONNECT_LIMIT))),
            Some(Ok(Err(error))) => return Ok(Outcome::NotUp(error)),
            Some(Ok(Ok(connection))) => connection,
        };
        let began = Instant::now();
        // The supervisor may be gone already; then we are stopping.
        let _ = self.up.send(strap.clone()).await;
        let mut connection = connection;
        let info = Box::new(std::mem::take(&mut connection.info));
        info!(%strap, model = info.model.as_deref().unwrap_or("?"), "connected");
        self.tell(EventKind::StrapConnected { strap: strap.clone(), info }).await?;
        let end = self.carry(strap, &mut connection).await?;
        connection.close().await;
        self.tell(EventKind::StrapLost { strap: strap.clone(), reason: end.to_string() }).await?;
        Ok(Outcome::Ended(end, began.elapsed()))
    }

    async fn carry(
        &self,
        strap: &StrapId,
        connection: &mut Connection,
    ) -> Result<LinkEnd, BufferError> {
        let mut silent_at = Instant::now() + self.silence;
        loop {
            let event = timeout_at(silent_at, connection.events.recv());
            let (characteristic, value, at) = match self.stop.run_until_cancelled(event).await {
                None => return Ok(LinkEnd::Stopped),
                Some(Err(_)) => return Ok(LinkEnd::Silent(self.silence)),
                Some(Ok(None)) => return Ok(LinkEnd::AdapterLost),
                Some(Ok(Some(LinkEvent::Ended(end)))) => return Ok(end),
                Some(Ok(Some(LinkEvent::Value { characteristic, value, at }))) => {
                    (characteristic, value, at)
                }
            };
            // A battery level now and then is no sign of life of the heart rate.
            if characteristic == HeartRateMeasurement.characteristic() {
                silent_at = Instant::now() + self.silence;
            }
            let Some(profile) = sensor::profile(characteristic) else { continue };
            match profile.decode(&value) {
                Ok(decoded) => {
                    if decoded.trailing > 0 {
                        self.intake.board().count_trailing();
                    }
                    let measurement = decoded.measurement;
                    let reading = Reading { strap: strap.clone(), at, measurement };
                    self.intake.take(Fact::Reading(reading)).await?;
                }
                Err(error) => {
                    self.intake.board().count_malformed();
                    debug!(%strap, characteristic, %error, bytes = ?value, "notification dropped");
                }
            }
        }
    }

    async fn tell(&self, kind: EventKind) -> Result<(), BufferError> {
        self.intake.take(Fact::Event(Event { at: self.clock.now(), kind })).await?;
        Ok(())
    }
}
