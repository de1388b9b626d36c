//! The real radio: BlueZ over D-Bus through btleplug, which only this file names.
//!
//! Two faults of the libraries shape it. Dropping one match rule may remove another strap's, so that it falls silent
//! without an error: each adapter has a [`Manager`] (a D-Bus connection) of its own, whose `events()` is opened first
//! and drained for ever. And the D-Bus layer panics on several threads, and never closes a connection by itself: each
//! adapter has a thread of its own with a current-thread runtime, and giving up the one gives up the other. A panic in
//! there ends a task, not the daemon.
//!
//! Nothing that BlueZ or its streams fail to tell is waited for: an adapter that does not answer, or goes off, is given
//! up with everything that hangs on it and built anew from a fresh connection.

use std::collections::HashMap;
use std::time::Duration;

use btleplug::api::bleuuid::uuid_from_u16;
use btleplug::api::{
    Central, CentralEvent, CentralState, Manager as _, Peripheral as _, ScanFilter,
};
use btleplug::platform::{Adapter, Manager, Peripheral, PeripheralId};
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::devices::{Device, Devices};
use super::thread::on_its_own;
use super::{
    AdapterName, Address, Connection, EVENT_QUEUE, LINK_QUEUE, LinkEnd, LinkError, LinkEvent, Peer,
    Radio, RadioEvent, Request, Started,
};
use crate::clock::Clock;
use crate::reading::StrapInfo;
use crate::sensor::{
    self, BatteryLevel, HEART_RATE_SERVICE, HeartRateMeasurement, Profile, Uuid16,
    device_information, polar_broadcast,
};

/// The list of adapters is read this often: BlueZ's own word of adapters coming and going does not reach us.
const ADAPTERS_EVERY: Duration = Duration::from_secs(5);
/// A cheap call answers within milliseconds, or the service is gone.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Connecting and finding services: BlueZ gives up after 30 s each.
const CONNECT_LIMIT: Duration = Duration::from_secs(35);
const SERVICES_LIMIT: Duration = Duration::from_secs(35);
/// All of what a strap says of itself; it is nice to have, its heart rate is not.
const INFO_LIMIT: Duration = Duration::from_secs(5);
/// Signs of life that may be missing one after the other.
const MISSED_MAX: u32 = 2;
/// Without any advertisement for so long the scan is started anew; an empty room at night is no reason for more.
const SCAN_SILENCE: Duration = Duration::from_secs(60);
/// Requests to connect that are not looked at yet: one per adapter at a time.
const REQUESTS: usize = 16;

/// The radio: a door to the adapters' threads.
#[derive(Clone)]
pub struct Bluez {
    requests: mpsc::Sender<Request>,
}

impl Radio for Bluez {
    async fn connect(&self, peer: Peer) -> Result<Connection, LinkError> {
        Request::ask(&self.requests, peer).await
    }
}

/// Starts the radio over these adapters (names or addresses; all when empty).
pub fn start(adapters: Vec<String>, clock: Clock, stop: CancellationToken) -> Started<Bluez> {
    let (requests, request_queue) = mpsc::channel(REQUESTS);
    let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
    let keeper = Keeper { wanted: adapters, clock, stop, events: events_sender };
    let driver = async move {
        keeper.run(request_queue).await;
        Ok(())
    };
    Started { radio: Bluez { requests }, events, driver: Box::pin(driver) }
}

/// Keeps a worker for each adapter there is.
struct Keeper {
    wanted: Vec<String>,
    clock: Clock,
    stop: CancellationToken,
    events: mpsc::Sender<RadioEvent>,
}

/// How the work on an adapter ended.
struct Ended {
    adapter: AdapterName,
    was_up: bool,
    reason: String,
}

type Found = Vec<(AdapterName, Address)>;

impl Keeper {
    async fn run(self, mut requests: mpsc::Receiver<Request>) {
        let mut workers: JoinSet<Ended> = JoinSet::new();
        let mut running: HashMap<AdapterName, mpsc::Sender<Request>> = HashMap::new();
        let (found_sender, mut found) = mpsc::channel(1);
        let mut lister: JoinSet<String> = JoinSet::new();
        lister.spawn(list_adapters(found_sender.clone(), Duration::ZERO));
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(found) = found.recv() => {
                    for (name, address) in self.only_wanted(found) {
                        if running.contains_key(&name) {
                            continue;
                        }
                        let (sender, queue) = mpsc::channel(REQUESTS);
                        running.insert(name.clone(), sender);
                        workers.spawn(Worker::new(name, address, &self).on_its_own(queue));
                    }
                    if running.is_empty() {
                        self.tell_none("BlueZ knows of no adapter that may be used").await;
                    }
                }
                Some(ended) = lister.join_next() => {
                    let reason = ended.unwrap_or_else(|error| error.to_string());
                    debug!(reason, "the adapters cannot be listed");
                    if running.is_empty() {
                        self.tell_none(&reason).await;
                    }
                    lister.spawn(list_adapters(found_sender.clone(), ADAPTERS_EVERY));
                }
                Some(request) = requests.recv() => {
                    let worker = running.get(&request.peer.adapter);
                    let refused = match worker {
                        Some(worker) => worker.try_send(request).err().map(|error| error.into_inner()),
                        None => Some(request),
                    };
                    if let Some(request) = refused {
                        let _ = request.reply.send(Err(LinkError::NoAdapter));
                    }
                }
                Some(ended) = workers.join_next() => {
                    let Ended { adapter, was_up, reason } = match ended {
                        Ok(ended) => ended,
                        Err(error) => std::panic::resume_unwind(error.into_panic()),
                    };
                    running.remove(&adapter);
                    if was_up {
                        let _ = self.events.send(RadioEvent::AdapterDown { adapter, reason }).await;
                    } else if running.is_empty() {
                        // It is there and does not work: as good as none.
                        self.tell_none(&format!("{adapter}: {reason}")).await;
                    }
                }
            }
        }
        // The lister ends when nobody takes what it finds.
        drop(found);
        while workers.join_next().await.is_some() {}
    }

    fn only_wanted(&self, mut found: Found) -> Found {
        found.retain(|(name, address)| {
            let address = address.to_string();
            let is = |wanted: &String| **wanted == **name || wanted.eq_ignore_ascii_case(&address);
            self.wanted.is_empty() || self.wanted.iter().any(is)
        });
        found
    }

    async fn tell_none(&self, reason: &str) {
        let _ = self.events.send(RadioEvent::NoAdapter { reason: reason.to_owned() }).await;
    }
}

/// Lists the adapters again and again, over one connection, until that fails; says why it did.
async fn list_adapters(found: mpsc::Sender<Found>, after: Duration) -> String {
    tokio::time::sleep(after).await;
    let listing = async move {
        let manager = limited("connecting to the Bluetooth service", Manager::new()).await?;
        let mut look = interval(ADAPTERS_EVERY);
        loop {
            tokio::select! {
                () = found.closed() => return Err("stopping".to_owned()),
                _ = look.tick() => {}
            }
            let adapters = limited("listing the adapters", list(&manager)).await?;
            // Closed is seen above.
            let _ = found.send(adapters).await;
        }
    };
    let ended: Result<Result<(), String>, String> =
        on_its_own("bluetooth".to_owned(), listing).await;
    match ended {
        Ok(Err(reason)) | Err(reason) => reason,
        Ok(Ok(())) => "listing ended".to_owned(),
    }
}

async fn list(manager: &Manager) -> Result<Found, btleplug::Error> {
    let mut found = Vec::new();
    for adapter in manager.adapters().await? {
        let info = adapter.adapter_info().await?;
        let name = info.split_whitespace().next().unwrap_or(&info).to_owned();
        if let Some(address) = adapter.adapter_address().await? {
            found.push((name.into(), Address(address.into_inner())));
        }
    }
    Ok(found)
}

/// What became of a sign of life that was asked for.
enum Pulse {
    Alive,
    Restarted,
    Missed,
}

/// One adapter, on a D-Bus connection of its own.
struct Worker {
    name: AdapterName,
    address: Address,
    clock: Clock,
    stop: CancellationToken,
    events: mpsc::Sender<RadioEvent>,
    devices: Devices<Handle>,
    links: HashMap<Address, Lifeline>,
    links_begun: u64,
    heard: Instant,
    up: bool,
}

/// Tells a link that its strap was disconnected.
struct Lifeline {
    lost: watch::Sender<bool>,
    /// Which link of this strap it belongs to: the one before may still be on its way out.
    number: u64,
}

/// How a device is reached.
struct Handle {
    id: PeripheralId,
    /// One object a strap, kept: notifications are matched by what it has discovered.
    peripheral: Option<Peripheral>,
}

/// What a device's properties said: its name, its services, its manufacturer data.
type Properties = (Address, Option<String>, bool, Option<Vec<u8>>);

impl Worker {
    fn new(name: AdapterName, address: Address, keeper: &Keeper) -> Self {
        Self {
            devices: Devices::new(name.clone()),
            name,
            address,
            clock: keeper.clock.clone(),
            stop: keeper.stop.clone(),
            events: keeper.events.clone(),
            links: HashMap::new(),
            links_begun: 0,
            heard: Instant::now(),
            up: false,
        }
    }

    async fn on_its_own(mut self, requests: mpsc::Receiver<Request>) -> Ended {
        let adapter = self.name.clone();
        let work = async move {
            let worked = self.work(requests).await;
            (self.up, worked.err().unwrap_or_else(|| "stopping".to_owned()))
        };
        // After a panic it was up, as far as anybody knows.
        let ended = on_its_own(format!("bluetooth-{adapter}"), work).await;
        let (was_up, reason) = ended.unwrap_or_else(|reason| (true, reason));
        Ended { adapter, was_up, reason }
    }

    /// Scans and connects until stopped, or until the adapter is lost (in words).
    async fn work(&mut self, mut requests: mpsc::Receiver<Request>) -> Result<(), String> {
        let (_manager, adapter) = limited("opening the adapter", self.open()).await?;
        // First of all, and drained for ever: see the head of this file.
        let mut events = limited("listening to the adapter", adapter.events()).await?;
        limited("starting to scan", adapter.start_scan(ScanFilter::default())).await?;
        let up = RadioEvent::AdapterUp { adapter: self.name.clone(), address: self.address };
        let _ = self.events.send(up).await;
        self.up = true;
        self.heard = Instant::now();
        let mut links: JoinSet<(Address, u64)> = JoinSet::new();
        let mut names: JoinSet<Option<Properties>> = JoinSet::new();
        let mut check = interval_at(Instant::now() + ADAPTERS_EVERY, ADAPTERS_EVERY);
        let mut missed = 0;
        let lost = loop {
            tokio::select! {
                () = self.stop.cancelled() => break None,
                event = events.next() => match event {
                    Some(event) => if let Err(reason) = self.note(event, &adapter, &mut names) {
                        break Some(reason);
                    },
                    None => break Some("its events ended".to_owned()),
                },
                Some(properties) = names.join_next() => {
                    if let Ok(Some(properties)) = properties {
                        self.note_properties(properties);
                    }
                }
                Some(request) = requests.recv() => self.connect(request, &adapter, &mut links).await,
                Some(link) = links.join_next() => {
                    if let Ok((address, number)) = link
                        && self.links.get(&address).is_some_and(|lifeline| lifeline.number == number)
                    {
                        self.links.remove(&address);
                    }
                }
                _ = check.tick() => {
                    match Self::pulse(&adapter).await {
                        Pulse::Alive => missed = 0,
                        Pulse::Restarted => break Some("the Bluetooth service was restarted".to_owned()),
                        Pulse::Missed => missed += 1,
                    }
                    if missed == MISSED_MAX {
                        break Some("it does not answer".to_owned());
                    }
                    self.restart_silent_scan(&adapter).await;
                    self.tidy_up();
                }
            }
        };
        let Some(lost) = lost else {
            // The links hang up by themselves: whoever holds them was told to stop too.
            while links.join_next().await.is_some() {}
            let _ = timeout(CALL_LIMIT, adapter.stop_scan()).await;
            return Ok(());
        };
        for lifeline in self.links.values() {
            lifeline.lost.send_replace(true);
        }
        let _ = timeout(CALL_LIMIT, async { while links.join_next().await.is_some() {} }).await;
        Err(lost)
    }

    async fn open(&self) -> Result<(Manager, Adapter), btleplug::Error> {
        let manager = Manager::new().await?;
        for adapter in manager.adapters().await? {
            if adapter
                .adapter_address()
                .await?
                .is_some_and(|found| found.into_inner() == self.address.0)
            {
                return Ok((manager, adapter));
            }
        }
        Err(btleplug::Error::DeviceNotFound)
    }

    /// Asks to scan once more: a service that is alive says that it is at it already. If it begins to scan, it has been
    /// restarted in the meantime, and has forgotten us, our links and our subscriptions without a word.
    async fn pulse(adapter: &Adapter) -> Pulse {
        match timeout(CALL_LIMIT, adapter.start_scan(ScanFilter::default())).await {
            Ok(Ok(())) => Pulse::Restarted,
            Ok(Err(error)) if error.to_string().to_ascii_lowercase().contains("progress") => {
                Pulse::Alive
            }
            Ok(Err(error)) => {
                debug!(%error, "the adapter does not scan");
                Pulse::Missed
            }
            Err(_) => Pulse::Missed,
        }
    }

    async fn restart_silent_scan(&mut self, adapter: &Adapter) {
        if self.heard.elapsed() < SCAN_SILENCE {
            return;
        }
        debug!(adapter = %self.name, "nothing heard for a while, scanning anew");
        self.heard = Instant::now();
        // "Not scanning" is no reason not to start.
        let _ = timeout(CALL_LIMIT, adapter.stop_scan()).await;
        if let Ok(Err(error)) = timeout(CALL_LIMIT, adapter.start_scan(ScanFilter::default())).await
        {
            debug!(adapter = %self.name, %error, "scanning did not start");
        }
    }

    /// Notes an event; an error means that the adapter is lost.
    fn note(
        &mut self,
        event: CentralEvent,
        adapter: &Adapter,
        names: &mut JoinSet<Option<Properties>>,
    ) -> Result<(), String> {
        self.heard = Instant::now();
        let (id, polar) = match event {
            CentralEvent::DeviceDisconnected(id) => {
                if let Some(device) = self.device(&id) {
                    device.connected = false;
                }
                if let Some(lifeline) = address_of(&id).and_then(|address| self.links.get(&address))
                {
                    lifeline.lost.send_replace(true);
                }
                return Ok(());
            }
            CentralEvent::DeviceConnected(id) => {
                if let Some(device) = self.device(&id) {
                    device.connected = true;
                }
                (id, None)
            }
            CentralEvent::StateUpdate(CentralState::PoweredOff) => {
                return Err("it was switched off or removed".to_owned());
            }
            CentralEvent::DeviceDiscovered(id) => (id, None),
            CentralEvent::ServicesAdvertisement { id, services } => {
                if services.contains(&uuid_from_u16(HEART_RATE_SERVICE))
                    && let Some(device) = self.device(&id)
                {
                    device.heart_rate_service = true;
                }
                (id, None)
            }
            CentralEvent::RssiUpdate { id, rssi } => {
                if let Some(device) = self.device(&id) {
                    device.rssi_dbm = Some(rssi);
                }
                (id, None)
            }
            CentralEvent::ManufacturerDataAdvertisement { id, mut manufacturer_data } => {
                (id, manufacturer_data.remove(&polar_broadcast::COMPANY))
            }
            _ => return Ok(()),
        };
        let Some(address) = address_of(&id) else { return Ok(()) };
        let Some(device) = self.device(&id) else { return Ok(()) };
        device.polar |= polar.is_some();
        if device.ask_now() {
            let adapter = adapter.clone();
            names.spawn(async move { properties(&adapter, &id, address).await });
        }
        self.tell(address, polar);
        Ok(())
    }

    fn device(&mut self, id: &PeripheralId) -> Option<&mut Device<Handle>> {
        let handle = || Handle { id: id.clone(), peripheral: None };
        Some(self.devices.heard(address_of(id)?, handle))
    }

    fn note_properties(&mut self, (address, name, heart_rate_service, polar): Properties) {
        let Some(device) = self.devices.get_mut(address) else { return };
        device.name = name.map(Into::into).or(device.name.take());
        device.heart_rate_service |= heart_rate_service;
        device.polar |= polar.is_some();
        // Its heart rate may be an old one that BlueZ remembered: only advertisements bring readings.
        self.tell(address, None);
    }

    /// Passes on what was heard, if it may be a strap. Advertisements that find no room are dropped: more will come.
    fn tell(&self, address: Address, polar: Option<Vec<u8>>) {
        if let Some(sighting) = self.devices.sighting(address, self.clock.now(), polar) {
            let _ = self.events.try_send(RadioEvent::Sighting(sighting));
        }
    }

    /// Tells of straps that are connected and not ours, and forgets what has gone.
    fn tidy_up(&mut self) {
        let links = &self.links;
        for address in self.devices.left_over(|address| links.contains_key(address)) {
            self.tell(address, None);
        }
        self.devices.forget_old(|address| links.contains_key(address));
    }

    async fn connect(
        &mut self,
        request: Request,
        adapter: &Adapter,
        links: &mut JoinSet<(Address, u64)>,
    ) {
        let Request { peer, reply } = request;
        let handle = self.devices.get_mut(peer.address).map(|device| &mut device.handle);
        let peripheral = match handle {
            None => Err(LinkError::Gone),
            Some(Handle { peripheral: Some(peripheral), .. }) => Ok(peripheral.clone()),
            Some(handle) => match timeout(CALL_LIMIT, adapter.peripheral(&handle.id)).await {
                Ok(Ok(peripheral)) => Ok(handle.peripheral.insert(peripheral).clone()),
                Ok(Err(error)) => Err(link_error(&error)),
                Err(_) => Err(LinkError::Timeout(CALL_LIMIT)),
            },
        };
        match peripheral {
            Err(error) => {
                let _ = reply.send(Err(error));
            }
            Ok(peripheral) => {
                let (lost, lost_watch) = watch::channel(false);
                self.links_begun += 1;
                let number = self.links_begun;
                self.links.insert(peer.address, Lifeline { lost, number });
                let clock = self.clock.clone();
                links.spawn(async move {
                    Link { peripheral, clock, lost: lost_watch }.run(reply).await;
                    (peer.address, number)
                });
            }
        }
    }
}

/// One connection, on the adapter's thread.
struct Link {
    peripheral: Peripheral,
    clock: Clock,
    lost: watch::Receiver<bool>,
}

impl Link {
    async fn run(mut self, mut reply: oneshot::Sender<Result<Connection, LinkError>>) {
        let opened = tokio::select! {
            opened = self.open() => opened,
            // Nobody wants it any more: stopping.
            () = reply.closed() => Err(LinkError::Gone),
        };
        match opened {
            Err(error) => {
                // BlueZ goes on trying by itself unless it is told not to.
                let _ = timeout(CALL_LIMIT, self.peripheral.disconnect()).await;
                let _ = reply.send(Err(error));
            }
            Ok((info, battery, notifications)) => {
                let (sender, events) = mpsc::channel(LINK_QUEUE);
                let (hang_up, hung_up) = oneshot::channel();
                if reply.send(Ok(Connection { info, events, hang_up })).is_ok() {
                    if let Some(battery) = battery {
                        let _ = sender.send(battery).await;
                    }
                    self.carry(notifications, &sender, hung_up).await;
                }
                let _ = timeout(CALL_LIMIT, self.peripheral.disconnect()).await;
            }
        }
    }

    async fn open(&self) -> Result<(StrapInfo, Option<LinkEvent>, Notifications), LinkError> {
        let peripheral = &self.peripheral;
        answered(CONNECT_LIMIT, peripheral.connect()).await?;
        answered(SERVICES_LIMIT, peripheral.discover_services()).await?;
        let characteristics = peripheral.characteristics();
        let find =
            |wanted: Uuid16| characteristics.iter().find(|c| c.uuid == uuid_from_u16(wanted));
        if find(HeartRateMeasurement.characteristic()).is_none() {
            return Err(LinkError::NoHeartRate);
        }
        let mut info = StrapInfo::default();
        let mut battery = None;
        let level = BatteryLevel.characteristic();
        let read_all = async {
            for wanted in device_information::CHARACTERISTICS {
                let Some(characteristic) = find(wanted) else { continue };
                if let Ok(value) = peripheral.read(characteristic).await {
                    device_information::note(&mut info, wanted, &value);
                }
            }
            // The level is notified on change only, which may be hours away.
            if let Some(characteristic) = find(level)
                && let Ok(value) = peripheral.read(characteristic).await
            {
                battery =
                    Some(LinkEvent::Value { characteristic: level, value, at: self.clock.now() });
            }
        };
        // What was read in time is kept, the rest is left.
        let _ = timeout(INFO_LIMIT, read_all).await;
        // Only now: BlueZ notifies what is read, and the battery would be told twice.
        let notifications = answered(CALL_LIMIT, peripheral.notifications()).await?;
        for profile in sensor::PROFILES.iter().rev() {
            // Heart rate is the first of them, so it is subscribed to last: its notifications flow when we return.
            if let Some(characteristic) = find(profile.characteristic()) {
                answered(CALL_LIMIT, peripheral.subscribe(characteristic)).await?;
            }
        }
        // BlueZ says yes to subscribing on a device that has just gone.
        if !answered(CALL_LIMIT, peripheral.is_connected()).await? {
            return Err(LinkError::Gone);
        }
        Ok((info, battery, notifications))
    }

    async fn carry(
        &mut self,
        mut notifications: Notifications,
        sender: &mpsc::Sender<LinkEvent>,
        mut hung_up: oneshot::Receiver<()>,
    ) {
        loop {
            let event = tokio::select! {
                _ = &mut hung_up => return,
                lost = self.lost.wait_for(|lost| *lost) => {
                    LinkEvent::Ended(if lost.is_ok() { LinkEnd::Disconnected } else { LinkEnd::AdapterLost })
                }
                notification = notifications.next() => match notification {
                    None => LinkEvent::Ended(LinkEnd::AdapterLost),
                    Some(notification) => match uuid16(notification.uuid) {
                        None => continue,
                        Some(characteristic) => {
                            LinkEvent::Value { characteristic, value: notification.value, at: self.clock.now() }
                        }
                    },
                },
            };
            let ended = matches!(event, LinkEvent::Ended(_));
            if sender.send(event).await.is_err() || ended {
                return;
            }
        }
    }
}

type Notifications =
    std::pin::Pin<Box<dyn futures_util::Stream<Item = btleplug::api::ValueNotification> + Send>>;

async fn properties(adapter: &Adapter, id: &PeripheralId, address: Address) -> Option<Properties> {
    let ask = async { adapter.peripheral(id).await?.properties().await };
    let properties = timeout(CALL_LIMIT, ask).await.ok()?.ok()??;
    let heart_rate = properties.services.contains(&uuid_from_u16(HEART_RATE_SERVICE));
    let polar = properties.manufacturer_data.get(&polar_broadcast::COMPANY).cloned();
    // Not `local_name`: that is BlueZ's alias, which is the address for as long as there is no name.
    let name = properties.advertisement_name;
    Some((address, name, heart_rate, polar))
}

async fn limited<T>(
    doing: &str,
    call: impl Future<Output = Result<T, btleplug::Error>>,
) -> Result<T, String> {
    answered(CALL_LIMIT, call).await.map_err(|error| format!("{doing} failed: {error}"))
}

async fn answered<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, btleplug::Error>>,
) -> Result<T, LinkError> {
    match timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(link_error(&error)),
        Err(_) => Err(LinkError::Timeout(limit)),
    }
}

/// BlueZ tells what went wrong by text only (`src/error.h`, `src/device.c`).
fn link_error(error: &btleplug::Error) -> LinkError {
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    if matches!(error, btleplug::Error::DeviceNotFound)
        || has("UnknownObject")
        || has("doesn't exist")
    {
        LinkError::Gone
    } else if has("concurrent-connection-limit") {
        LinkError::NoFreeLink
    } else {
        LinkError::Radio(text)
    }
}

/// The address in an id such as `hci0/dev_A0_9E_1A_00_00_01`.
fn address_of(id: &PeripheralId) -> Option<Address> {
    let text = id.to_string();
    let mut address = [0; 6];
    let mut parts = text.rsplit_once("dev_")?.1.split('_');
    for byte in &mut address {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    Some(Address(address))
}

/// The assigned number of a Bluetooth SIG UUID.
fn uuid16(uuid: uuid::Uuid) -> Option<Uuid16> {
    let short = u16::try_from(uuid.as_u128() >> 96).ok()?;
    (uuid == uuid_from_u16(short)).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_text() {
        let other = |text: &str| btleplug::Error::Other(text.to_owned().into());
        assert_eq!(link_error(&btleplug::Error::DeviceNotFound), LinkError::Gone);
        assert_eq!(
            link_error(&other("le-connection-concurrent-connection-limit")),
            LinkError::NoFreeLink
        );
        assert!(matches!(link_error(&other("le-connection-abort-by-local")), LinkError::Radio(_)));
    }

    #[test]
    fn only_assigned_numbers_are_ours() {
        assert_eq!(uuid16(uuid_from_u16(0x2A37)), Some(0x2A37));
        assert_eq!(uuid16(uuid::Uuid::from_u128(0x2A37 << 96)), None);
    }
}
