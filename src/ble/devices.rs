//! The devices that one adapter hears: what their advertisements have said so far, put together.
//!
//! BlueZ tells names, services and signal strength piece by piece. `H` is whatever the radio needs to reach a device.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{AdapterName, Address, Peer, Sighting};
use crate::reading::At;

/// A strap's name is asked for this often until it is known.
const NAME_EVERY: Duration = Duration::from_secs(2);
/// A device not heard for so long is forgotten: phones change their address every quarter of an hour.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The devices.
pub(super) struct Devices<H> {
    adapter: AdapterName,
    known: HashMap<Address, Device<H>>,
}

/// One device.
pub(super) struct Device<H> {
    /// How the radio reaches it.
    pub(super) handle: H,
    /// Advertised name.
    pub(super) name: Option<Arc<str>>,
    /// Advertises the Heart Rate Service.
    pub(super) heart_rate_service: bool,
    /// Has sent Polar's manufacturer data.
    pub(super) polar: bool,
    /// Last signal strength.
    pub(super) rssi_dbm: Option<i16>,
    /// The Bluetooth service has a connection to it.
    pub(super) connected: bool,
    heard: Instant,
    asked: Option<Instant>,
}

impl<H> Device<H> {
    fn may_be_a_strap(&self) -> bool {
        self.heart_rate_service || self.polar
    }

    /// Whether to ask for its name and services now: once for anything, again and again for a strap without a name.
    pub(super) fn ask_now(&mut self) -> bool {
        let ask = match self.asked {
            None => true,
            Some(asked) => {
                self.name.is_none() && self.may_be_a_strap() && asked.elapsed() >= NAME_EVERY
            }
        };
        if ask {
            self.asked = Some(Instant::now());
        }
        ask
    }
}

impl<H> Devices<H> {
    /// No device yet.
    pub(super) fn new(adapter: AdapterName) -> Self {
        Self { adapter, known: HashMap::new() }
    }

    /// Notes that a device was heard.
    pub(super) fn heard(&mut self, address: Address, handle: impl FnOnce() -> H) -> &mut Device<H> {
        let device = self.known.entry(address).or_insert_with(|| Device {
            handle: handle(),
            name: None,
            heart_rate_service: false,
            polar: false,
            rssi_dbm: None,
            connected: false,
            heard: Instant::now(),
            asked: None,
        });
        device.heard = Instant::now();
        device
    }

    /// A device that was heard.
    pub(super) fn get_mut(&mut self, address: Address) -> Option<&mut Device<H>> {
        self.known.get_mut(&address)
    }

    /// All that is known of a device, if it may be a strap.
    pub(super) fn sighting(
        &self,
        address: Address,
        at: At,
        polar: Option<Vec<u8>>,
    ) -> Option<Sighting> {
        let device = self.known.get(&address).filter(|device| device.may_be_a_strap())?;
        Some(Sighting {
            peer: Peer { adapter: self.adapter.clone(), address },
            at,
            name: device.name.clone(),
            heart_rate_service: device.heart_rate_service,
            polar,
            rssi_dbm: device.rssi_dbm,
        })
    }

    /// Devices that the Bluetooth service has connected and we have not. Straps that a killed daemon left behind do not
    /// advertise, and would never be heard again.
    pub(super) fn left_over(&self, ours: impl Fn(&Address) -> bool) -> Vec<Address> {
        let left_over =
            self.known.iter().filter(|(address, device)| device.connected && !ours(address));
        left_over.map(|(address, _)| *address).collect()
    }

    /// Forgets what has gone.
    pub(super) fn forget_old(&mut self, ours: impl Fn(&Address) -> bool) {
        self.known.retain(|address, device| {
            device.heard.elapsed() < FORGET_AFTER || device.connected || ours(address)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{BootId, ClockTrust};

    const HERE: Address = Address([1, 2, 3, 4, 5, 6]);

    fn at() -> At {
        At { boot: BootId(1), mono_us: 1, wall_offset_us: 0, trust: ClockTrust::Unset }
    }

    #[tokio::test(start_paused = true)]
    async fn anything_is_asked_once_and_a_strap_until_it_has_a_name() {
        let mut devices = Devices::new("hci0".into());
        let phone = devices.heard(HERE, || ());
        assert!(phone.ask_now() && !phone.ask_now());
        tokio::time::advance(NAME_EVERY).await;
        assert!(!phone.ask_now());
        phone.heart_rate_service = true;
        assert!(phone.ask_now() && !phone.ask_now());
        tokio::time::advance(NAME_EVERY).await;
        phone.name = Some("Polar H10 9F6E5322".into());
        assert!(!phone.ask_now());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_killed_daemon_left_connected_is_found_and_what_went_is_forgotten() {
        let mut devices = Devices::new("hci0".into());
        devices.heard(HERE, || ()).connected = true;
        devices.heard(Address([0; 6]), || ());
        assert_eq!(devices.left_over(|_| false), [HERE]);
        assert!(devices.left_over(|address| *address == HERE).is_empty());
        tokio::time::advance(FORGET_AFTER).await;
        devices.forget_old(|_| false);
        assert!(devices.get_mut(HERE).is_some() && devices.get_mut(Address([0; 6])).is_none());
    }

    #[tokio::test]
    async fn only_what_may_be_a_strap_is_told() {
        let mut devices = Devices::new("hci0".into());
        devices.heard(HERE, || ()).name = Some("Headphones".into());
        assert!(devices.sighting(HERE, at(), None).is_none());
        devices.heard(HERE, || ()).polar = true;
        let sighting = devices.sighting(HERE, at(), Some(vec![1])).unwrap();
        assert_eq!(sighting.polar, Some(vec![1]));
        assert!(!sighting.heart_rate_service);
    }
}
