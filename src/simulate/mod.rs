//! Virtual straps behind [`Radio`]: for `pulsegate demo`, and for trying things without hardware.
//!
//! Each strap has a person in it ([`heart`]) and the habits of real straps: it advertises until connected, drops out
//! now and then, loses contact, and its battery runs down. The same seed gives the same straps, the same people and the
//! same mishaps. Bytes are sent, not values: the decoders work as with real straps.

pub(crate) mod heart;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::ble::{
    AdapterName, Address, Connection, EVENT_QUEUE, LINK_QUEUE, LinkEnd, LinkError, LinkEvent, Peer,
    Radio, RadioEvent, Request, Sighting, Started,
};
use crate::clock::Clock;
use crate::reading::{Contact, HeartRate, Source, StrapId, StrapInfo};
use crate::sensor::{BatteryLevel, HeartRateMeasurement, Profile, encode_heart_rate};
use heart::Heart;

/// Most straps that make sense on one box.
pub const STRAPS_MAX: usize = 500;

const ADAPTER: &str = "simulated";
const ADVERTISE_EVERY: Duration = Duration::from_millis(500);
const CONNECT_TAKES: Duration = Duration::from_millis(60);
const NOTIFY_EVERY: Duration = Duration::from_secs(1);
const REQUESTS: usize = 16;

/// What the straps are like.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many.
    pub straps: usize,
    /// Same seed, same straps.
    pub seed: u64,
    /// Whether they drop out and lose contact now and then.
    pub mishaps: bool,
    /// How many times as fast they live: a strap sends so many notifications a second. To see what a box can take.
    pub speed: u32,
}

/// The radio.
#[derive(Clone)]
pub struct Simulated {
    requests: mpsc::Sender<Request>,
}

impl Radio for Simulated {
    async fn connect(&self, peer: Peer) -> Result<Connection, LinkError> {
        tokio::time::sleep(CONNECT_TAKES).await;
        Request::ask(&self.requests, peer).await
    }
}

/// Makes the straps; they live while the driver runs.
pub fn start(settings: Settings, clock: Clock, stop: CancellationToken) -> Started<Simulated> {
    let (requests, queue) = mpsc::channel(REQUESTS);
    let (sender, events) = mpsc::channel(EVENT_QUEUE);
    let driver = async move {
        drive(settings, clock, stop, queue, sender).await;
        Ok(())
    };
    Started { radio: Simulated { requests }, events, driver: Box::pin(driver) }
}

/// The ids that [`start`] gives its straps, in order.
pub fn strap_ids(settings: Settings) -> Vec<StrapId> {
    (0..settings.straps).map(|index| Strap::new(index, settings).id).collect()
}

struct Strap {
    id: StrapId,
    name: Arc<str>,
    model: &'static str,
    heart: Heart,
    dice: fastrand::Rng,
    battery: f64,
    mishaps: bool,
    away_until: Option<Instant>,
}

impl Strap {
    fn new(index: usize, settings: Settings) -> Self {
        let mut dice = fastrand::Rng::with_seed(
            settings.seed.wrapping_mul(0x9E37_79B9).wrapping_add(index as u64),
        );
        let id = printed_id(index as u32, &mut dice);
        // Verity Sense sends no RR intervals, H10 reports no contact.
        let model = if index % 4 == 3 { "Sense" } else { "H10" };
        Self {
            name: format!("Polar {model} {id}").into(),
            id,
            model,
            heart: Heart::new(dice.fork()),
            battery: dice.f64() * 80.0 + 20.0,
            mishaps: settings.mishaps,
            away_until: None,
            dice,
        }
    }

    /// Happens about once in so many seconds, asked once a second.
    fn happens(&mut self, seconds: f64) -> bool {
        self.mishaps && self.dice.f64() < 1.0 / seconds
    }
}

/// An id with a valid check digit, different for each index.
fn printed_id(index: u32, dice: &mut fastrand::Rng) -> StrapId {
    // The index in the middle keeps ids apart, whatever the dice say.
    let seven = (dice.u32(0x8..=0xF) << 24) | ((index & 0xFFFF) << 8) | dice.u32(0..=0xFF);
    let digit = |place: u32| (seven >> (4 * (6 - place))) & 0xF;
    let sum = 3 * (digit(0) + digit(2) + digit(4) + digit(6)) + digit(1) + digit(3) + digit(5);
    let text = format!("{seven:07X}{:X}", sum % 16);
    StrapId::new(&text).expect("eight hex digits are a strap id")
}

fn address(index: usize) -> Address {
    let [high, low] = (index as u16).to_be_bytes();
    Address([0xF0, 0x9E, 0x1A, 0x51, high, low])
}

async fn drive(
    settings: Settings,
    clock: Clock,
    stop: CancellationToken,
    mut requests: mpsc::Receiver<Request>,
    events: mpsc::Sender<RadioEvent>,
) {
    let adapter: AdapterName = ADAPTER.into();
    let up = RadioEvent::AdapterUp { adapter: adapter.clone(), address: Address([0; 6]) };
    let _ = events.send(up).await;
    let straps = (0..settings.straps).map(|index| (address(index), Strap::new(index, settings)));
    // Straps that are not connected; a link takes its strap out and brings it back.
    let mut free: BTreeMap<Address, Strap> = straps.collect();
    let mut links: JoinSet<(Address, Strap)> = JoinSet::new();
    let mut advertise = interval(ADVERTISE_EVERY);
    advertise.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = advertise.tick() => {
                for (address, strap) in &mut free {
                    if strap.away_until.is_some_and(|until| Instant::now() < until) {
                        continue;
                    }
                    let sighting = Sighting {
                        peer: Peer { adapter: adapter.clone(), address: *address },
                        at: clock.now(),
                        name: Some(strap.name.clone()),
                        heart_rate_service: true,
                        polar: None,
                        rssi_dbm: Some(strap.dice.i16(-75..=-45)),
                    };
                    let _ = events.try_send(RadioEvent::Sighting(sighting));
                }
            }
            Some(Request { peer: Peer { address, .. }, reply }) = requests.recv() => match free.remove(&address) {
                None => {
                    let _ = reply.send(Err(LinkError::Gone));
                }
                Some(strap) => {
                    let (sender, events) = mpsc::channel(LINK_QUEUE);
                    let (hang_up, hung_up) = oneshot::channel();
                    let connection = Connection { info: info(&strap), events, hang_up };
                    let clock = clock.clone();
                    let every = NOTIFY_EVERY / settings.speed.max(1);
                    links.spawn(async move { (address, carry(strap, clock, every, sender, hung_up).await) });
                    let _ = reply.send(Ok(connection));
                }
            },
            Some(ended) = links.join_next() => match ended {
                Ok((address, strap)) => {
                    free.insert(address, strap);
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }
    while links.join_next().await.is_some() {}
}

fn info(strap: &Strap) -> StrapInfo {
    StrapInfo {
        model: Some(strap.model.to_owned()),
        manufacturer: Some("Polar Electro Oy (simulated)".to_owned()),
        serial: Some(strap.id.to_string()),
        firmware: Some("5.0.0".to_owned()),
        hardware: None,
        software: None,
        location: Some(if strap.model == "H10" { "chest" } else { "other" }.to_owned()),
    }
}

/// Carries a link: a notification for each second that its wearer lives, until one side hangs up.
async fn carry(
    mut strap: Strap,
    clock: Clock,
    every: Duration,
    events: mpsc::Sender<LinkEvent>,
    mut hung_up: oneshot::Receiver<()>,
) -> Strap {
    let mut second = interval(every);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut contact_lost_for = 0u32;
    let mut told_battery = None;
    loop {
        tokio::select! {
            _ = &mut hung_up => return strap,
            _ = second.tick() => {}
        }
        if strap.happens(900.0) {
            strap.away_until = Some(Instant::now() + Duration::from_secs(strap.dice.u64(5..20)));
            let _ = events.send(LinkEvent::Ended(LinkEnd::Disconnected)).await;
            return strap;
        }
        if strap.happens(400.0) {
            contact_lost_for = strap.dice.u32(3..9);
        }
        contact_lost_for = contact_lost_for.saturating_sub(1);
        let heart_rate = measure(&mut strap, contact_lost_for == 0);
        let mut values =
            vec![(HeartRateMeasurement.characteristic(), encode_heart_rate(&heart_rate))];
        strap.battery = (strap.battery - 1.0 / 600.0).max(1.0);
        let percent = strap.battery as u8;
        if told_battery.replace(percent) != Some(percent) {
            values.push((BatteryLevel.characteristic(), vec![percent]));
        }
        for (characteristic, value) in values {
            if events
                .send(LinkEvent::Value { characteristic, value, at: clock.now() })
                .await
                .is_err()
            {
                return strap;
            }
        }
    }
}

fn measure(strap: &mut Strap, worn: bool) -> HeartRate {
    let beats = strap.heart.second();
    let h10 = strap.model == "H10";
    HeartRate {
        bpm: if worn { strap.heart.bpm() } else { 0 },
        contact: match (h10, worn) {
            (true, _) => Contact::Unknown,
            (false, true) => Contact::Worn,
            (false, false) => Contact::NotWorn,
        },
        energy_kj: None,
        rr: if h10 && worn { beats } else { Vec::new() },
        source: Source::Link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::polar_name::{self, CheckDigit};

    #[test]
    fn the_same_seed_gives_the_same_straps_and_each_its_own_id() {
        let settings = Settings { straps: STRAPS_MAX, seed: 7, mishaps: true, speed: 1 };
        let ids = strap_ids(settings);
        assert_eq!(ids, strap_ids(settings));
        assert!(ids.iter().all(|id| polar_name::check_digit(id) == CheckDigit::Fits));
        let different: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), STRAPS_MAX);
    }
}
