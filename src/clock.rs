//! Both clocks in one stamp: microseconds since boot, and how far the wall clock is ahead of them.
//!
//! A box without a battery clock may start in 1970 and jump when the network comes. So nothing is ordered or
//! timed by the wall clock; it is only noted beside the monotonic one, with how far it could be believed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustix::time::{ClockId, clock_gettime};

use crate::reading::{At, BootId, ClockTrust};

/// A wall clock before this is certainly wrong: 2026-01-01T00:00:00Z, before the first release.
const EARLIEST_UNIX_US: i64 = 1_767_225_600_000_000;

/// The noted offset follows the wall clock only when they are this far apart, so that neighbouring stamps share
/// one offset and compress to nothing. Half a heart beat at 200 bpm is fifteen times as long.
const OFFSET_STEP_US: i64 = 10_000;

/// Left behind by systemd-timesyncd once a time server has answered.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// How to learn whether a time server has confirmed the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncSource {
    /// Look for this file.
    MarkerFile(PathBuf),
    /// The operator vouches for it (chrony, a battery clock, a lab).
    Vouched,
}

impl Default for SyncSource {
    fn default() -> Self {
        Self::MarkerFile(TIMESYNC_MARK.into())
    }
}

/// Stamps facts. Clones share one state.
#[derive(Debug, Clone)]
pub struct Clock {
    boot: BootId,
    shared: Arc<Mutex<Noted>>,
    source: Arc<SyncSource>,
}

#[derive(Debug, Clone, Copy)]
struct Noted {
    offset_us: i64,
    trust: ClockTrust,
    trust_checked_us: u64,
}

/// The marker file is looked at this often.
const TRUST_EVERY_US: u64 = 10_000_000;

impl Clock {
    /// A clock for this boot.
    ///
    /// # Errors
    /// When the kernel does not tell its boot id.
    pub fn new(source: SyncSource) -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let boot = uuid::Uuid::parse_str(text.trim()).map_err(std::io::Error::other)?;
        let noted = Noted { offset_us: 0, trust: ClockTrust::Unset, trust_checked_us: 0 };
        let clock = Self {
            boot: BootId(boot.as_u128()),
            shared: Arc::new(Mutex::new(noted)),
            source: Arc::new(source),
        };
        let mono_us = mono_us();
        let noted = clock.look(mono_us, unix_us() - mono_us.cast_signed());
        *clock.lock() = noted;
        Ok(clock)
    }

    /// Now, by both clocks.
    pub fn now(&self) -> At {
        let mono_us = mono_us();
        let offset_us = unix_us() - mono_us.cast_signed();
        let mut noted = self.lock();
        let stale = mono_us.saturating_sub(noted.trust_checked_us) >= TRUST_EVERY_US;
        if stale || (offset_us - noted.offset_us).abs() > OFFSET_STEP_US {
            let before = *noted;
            *noted = self.look(mono_us, offset_us);
            if (offset_us - before.offset_us).abs() <= OFFSET_STEP_US {
                noted.offset_us = before.offset_us;
            }
        }
        At { boot: self.boot, mono_us, wall_offset_us: noted.offset_us, trust: noted.trust }
    }

    fn look(&self, mono_us: u64, offset_us: i64) -> Noted {
        let unix_us = mono_us.cast_signed() + offset_us;
        let confirmed = match &*self.source {
            SyncSource::Vouched => true,
            SyncSource::MarkerFile(path) => path.exists(),
        };
        let trust = match (unix_us < EARLIEST_UNIX_US, confirmed) {
            (true, _) => ClockTrust::Unset,
            (false, false) => ClockTrust::Restored,
            (false, true) => ClockTrust::Synced,
        };
        Noted { offset_us, trust, trust_checked_us: mono_us }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Noted> {
        // Plain numbers: whatever a panicking holder left is still valid.
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn mono_us() -> u64 {
    micros(clock_gettime(ClockId::Boottime)).cast_unsigned()
}

fn unix_us() -> i64 {
    micros(clock_gettime(ClockId::Realtime))
}

fn micros(time: rustix::time::Timespec) -> i64 {
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_go_forward_and_neighbours_share_their_offset() {
        let clock = Clock::new(SyncSource::default()).unwrap();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.mono_us >= first.mono_us);
        assert_eq!(first.boot, second.boot);
        assert_eq!(first.wall_offset_us, second.wall_offset_us);
        assert!((first.unix_us() - unix_us()).abs() < 5_000_000);
    }

    #[test]
    fn the_wall_clock_is_believed_when_the_marker_is_there_or_somebody_vouches() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("synchronized");
        let trust = || Clock::new(SyncSource::MarkerFile(mark.clone())).unwrap().now().trust;
        assert_eq!(trust(), ClockTrust::Restored);
        std::fs::write(&mark, "").unwrap();
        assert_eq!(trust(), ClockTrust::Synced);
        assert_eq!(Clock::new(SyncSource::Vouched).unwrap().now().trust, ClockTrust::Synced);
    }

    #[test]
    fn a_clock_before_the_first_release_was_never_set() {
        let clock = Clock::new(SyncSource::Vouched).unwrap();
        assert_eq!(clock.look(1_000_000, 0).trust, ClockTrust::Unset);
    }
}
