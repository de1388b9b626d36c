//! Who is who: from advertisements to strap ids, and heart rate that is broadcast.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Address, Sighting};
use crate::reading::{Measurement, Reading, StrapId};
use crate::sensor::{polar_broadcast, polar_name};

/// A name comes with a scan response, seconds after the first advertisement. Until then a strap has no printed id.
const NAME_WAIT: Duration = Duration::from_secs(5);

/// The counter of a broadcast has 3 bits and steps about once a second: after so long an equal one proves nothing.
const COUNTER_VALID: Duration = Duration::from_secs(8);

/// A device not heard for so long is forgotten, so that passers-by do not fill the memory.
const FORGET_AFTER: Duration = Duration::from_secs(3600);

/// Who a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: StrapId,
    /// Model out of the advertised name.
    pub model: Option<Arc<str>>,
}

/// What was heard so far.
#[derive(Debug, Default)]
pub struct Scan {
    devices: HashMap<Address, Device>,
}

#[derive(Debug)]
struct Device {
    first: Instant,
    last: Instant,
    identity: Option<Identity>,
    named: bool,
    broadcast: Option<(u8, Instant)>,
}

impl Scan {
    /// Notes an advertisement and says whose it is; `None` when it is no strap, or not known yet which.
    pub fn heard(&mut self, sighting: &Sighting) -> Option<Identity> {
        let now = Instant::now();
        let polar = sighting.name.as_deref().and_then(polar_name::parse);
        if !(sighting.heart_rate_service || sighting.polar.is_some() || polar.is_some()) {
            return None;
        }
        let device = self.devices.entry(sighting.peer.address).or_insert(Device {
            first: now,
            last: now,
            identity: None,
            named: false,
            broadcast: None,
        });
        device.last = now;
        if !device.named {
            if let Some(polar) = polar {
                device.named = true;
                device.identity = Some(Identity { id: polar.id, model: Some(polar.model.into()) });
            } else if device.identity.is_none()
                // Every Polar device has a name that tells its id; it will come.
                && sighting.polar.is_none()
                && (sighting.name.is_some() || now - device.first >= NAME_WAIT)
            {
                let id = StrapId::from_address(sighting.peer.address.0);
                device.identity = Some(Identity { id, model: sighting.name.clone() });
            }
        }
        device.identity.clone()
    }

    /// The heart rate that an advertisement broadcasts, if it is a new one. Two adapters that hear the same
    /// advertisement give one reading.
    pub fn broadcast(&mut self, sighting: &Sighting) -> Option<Reading> {
        let data = sighting.polar.as_deref()?;
        let broadcast = polar_broadcast::decode(polar_broadcast::COMPANY, data)?;
        let device = self.devices.get_mut(&sighting.peer.address)?;
        let now = Instant::now();
        let repeated = device.broadcast.is_some_and(|(counter, heard)| {
            counter == broadcast.counter && now - heard < COUNTER_VALID
        });
        if repeated {
            return None;
        }
        device.broadcast = Some((broadcast.counter, now));
        Some(Reading {
            strap: device.identity.as_ref()?.id.clone(),
            at: sighting.at,
            measurement: Measurement::HeartRate(broadcast.heart_rate()),
        })
    }

    /// Forgets devices that have not been heard for an hour.
    pub fn forget_old(&mut self) {
        let now = Instant::now();
        self.devices.retain(|_, device| now - device.last < FORGET_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Peer;
    use super::*;
    use crate::reading::{At, BootId, ClockTrust};

    fn sighting(name: Option<&str>, service: bool, polar: Option<&[u8]>) -> Sighting {
        Sighting {
            peer: Peer { adapter: "hci0".into(), address: Address([0xA0, 0x9E, 0x1A, 0, 0, 1]) },
            at: At { boot: BootId(1), mono_us: 1, wall_offset_us: 0, trust: ClockTrust::Unset },
            name: name.map(Into::into),
            heart_rate_service: service,
            polar: polar.map(<[u8]>::to_vec),
            rssi_dbm: Some(-60),
        }
    }

    fn id(identity: Option<Identity>) -> Option<String> {
        identity.map(|identity| identity.id.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn the_printed_id_is_waited_for_and_the_address_is_the_last_resort() {
        let mut scan = Scan::default();
        assert_eq!(id(scan.heard(&sighting(None, true, None))), None);
        let named = scan.heard(&sighting(Some("Polar H10 9F6E5322"), true, None));
        assert_eq!(id(named).as_deref(), Some("9F6E5322"));

        let mut scan = Scan::default();
        scan.heard(&sighting(None, true, None));
        tokio::time::advance(NAME_WAIT).await;
        assert_eq!(id(scan.heard(&sighting(None, true, None))).as_deref(), Some("A09E1A000001"));

        // A Polar strap without its name yet: its printed id will come, and may be one to be ignored.
        let mut scan = Scan::default();
        scan.heard(&sighting(None, true, Some(&[0x33, 0, 0, 56])));
        tokio::time::advance(NAME_WAIT).await;
        assert_eq!(id(scan.heard(&sighting(None, true, Some(&[0x33, 0, 0, 56])))), None);

        let other = Scan::default().heard(&sighting(Some("TICKR 1234"), true, None));
        assert_eq!(id(other).as_deref(), Some("A09E1A000001"));
        assert_eq!(Scan::default().heard(&sighting(Some("Headphones"), false, None)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broadcast_counts_once_and_again_when_its_counter_has_stepped() {
        let mut scan = Scan::default();
        let heard = |data: &[u8]| sighting(Some("Polar H10 9F6E5322"), false, Some(data));
        let first = heard(&[0x33, 0, 0, 56]);
        scan.heard(&first);
        assert!(scan.broadcast(&first).is_some());
        assert!(scan.broadcast(&first).is_none());
        assert!(scan.broadcast(&heard(&[0x37, 0, 0, 57])).is_some());
        tokio::time::advance(COUNTER_VALID).await;
        assert!(scan.broadcast(&heard(&[0x37, 0, 0, 57])).is_some());
    }
}
