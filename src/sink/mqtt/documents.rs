//! The JSON of what is shown beside the readings: who the box is, how it does, what each strap is.
//!
//! Fields may be added within `v` 1, never changed or removed. No names of people, and no labels of straps.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::buffer;
use crate::live::{Link, Sink, Snapshot, Strap};
use crate::reading::StrapId;

/// Version of these documents, and of the format of readings.
pub(super) const V: u8 = 1;

/// `info`
#[derive(Debug, Serialize)]
pub(super) struct Info<'a> {
    pub(super) v: u8,
    pub(super) gateway: &'a str,
    pub(super) version: &'a str,
}

/// `health`
#[derive(Debug, Serialize)]
pub(super) struct Health<'a> {
    pub(super) v: u8,
    pub(super) gateway: &'a str,
    pub(super) ts: String,
    pub(super) uptime_s: u64,
    /// `null` where the kernel does not tell.
    pub(super) rss_kb: Option<u64>,
    pub(super) load1: Option<f64>,
    pub(super) buffer: Waiting,
    pub(super) sinks: &'a BTreeMap<String, Sink>,
    pub(super) straps: Straps,
}

/// The buffer as this sink sees it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Waiting {
    pub(super) entries_waiting: u64,
    pub(super) bytes: u64,
    pub(super) bytes_on_disk: u64,
    /// Whether the disk takes what comes in.
    pub(super) health: buffer::Health,
    /// Dropped before this sink had them.
    pub(super) lost: u64,
    /// What this sink's far side refused for good.
    pub(super) dead_letters: buffer::Letters,
}

impl Waiting {
    pub(super) fn new(state: &buffer::State, sink: &str) -> Self {
        let buffer::SinkReport { waiting, lost, dead_letters, .. } =
            buffer::SinkReport::of(state, sink);
        Self {
            entries_waiting: waiting,
            bytes: state.bytes,
            bytes_on_disk: state.bytes_on_disk,
            health: buffer::Health::of(state),
            lost,
            dead_letters,
        }
    }
}

/// How many straps there are.
#[derive(Debug, Serialize)]
pub(super) struct Straps {
    pub(super) connected: usize,
    pub(super) seen: usize,
}

impl Straps {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let connected = |strap: &&Strap| strap.link == Link::Connected;
        let seen = |strap: &&Strap| strap.seen.elapsed() < crate::live::GONE_AFTER;
        Self {
            connected: snapshot.straps.values().filter(connected).count(),
            seen: snapshot.straps.values().filter(seen).count(),
        }
    }
}

/// `strap/<id>/info`
#[derive(Debug, Serialize)]
pub(super) struct StrapInfo<'a> {
    v: u8,
    gateway: &'a str,
    strap: &'a StrapId,
    model: Option<&'a str>,
    manufacturer: Option<&'a str>,
    firmware: Option<&'a str>,
    software: Option<&'a str>,
    location: Option<&'a str>,
    battery_percent: Option<u8>,
    rssi_dbm: Option<i16>,
}

impl<'a> StrapInfo<'a> {
    pub(super) fn new(gateway: &'a str, id: &'a StrapId, strap: &'a Strap) -> Self {
        Self {
            v: V,
            gateway,
            strap: id,
            model: strap.info.model.as_deref(),
            manufacturer: strap.info.manufacturer.as_deref(),
            firmware: strap.info.firmware.as_deref(),
            software: strap.info.software.as_deref(),
            location: strap.info.location.as_deref(),
            battery_percent: strap.battery_percent,
            rssi_dbm: strap.rssi_dbm,
        }
    }
}

/// The memory of this process, from the text of `/proc/self/status`.
pub(super) fn rss_kb(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The load of the last minute, from the text of `/proc/loadavg`.
pub(super) fn load1(loadavg: &str) -> Option<f64> {
    loadavg.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_us_is_read() {
        assert_eq!(rss_kb("Name:\tx\nVmRSS:\t   12345 kB\nThreads:\t1\n"), Some(12345));
        assert_eq!(rss_kb("Name:\tx\n"), None);
        assert_eq!(load1("0.52 0.58 0.59 1/257 4242\n"), Some(0.52));
        assert_eq!(load1(""), None);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(rss_kb(&status).unwrap() > 100);
    }
}
