//! Both clocks in one stamp: microseconds since boot, and how far the wall clock is ahead of them.
//!
//! A box without a battery clock may start in 1970 and jump when the network comes. So nothing is ordered or
//! timed by the wall clock; it is only noted beside the monotonic one, with how far it could be believed.
//!
//! The time server's mark stays when somebody sets the clock by hand. So a mark counts for the clock that it was made
//! on: after a step that it does not confirm, it has to be made anew.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::reading::{At, BootId, ClockTrust};

/// A wall clock before this is certainly wrong: 2026-01-01T00:00:00Z, before the first release.
const EARLIEST_UNIX_US: i64 = 1_767_225_600_000_000;

/// The noted offset follows the wall clock only when they are this far apart, so that neighbouring stamps share
/// one offset and compress to nothing. Half a heart beat at 200 bpm is fifteen times as long.
const OFFSET_STEP_US: u64 = 10_000;

/// A wall clock that steps by more has been set, and whoever set it has to confirm it.
const SET_US: u64 = 1_000_000;

/// A wall clock that steps by more tells no age of anything for a while.
const JUMP_US: u64 = 60_000_000;

/// The marker file is looked at this often.
const TRUST_EVERY_US: u64 = 10_000_000;

/// Two clocks read this close together are read at once.
const AT_ONCE_US: u64 = 1_000;

/// File systems stamp by a coarser clock than ours.
const SLACK_US: i128 = 1_000_000;

/// Touched by systemd-timesyncd each time it has set the clock by a time server.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// How to learn whether a time server has confirmed the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncSource {
    /// Look for this file.
    MarkerFile(PathBuf),
    /// The operator vouches for it (chrony, a battery clock, a lab). Nothing can be checked.
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
    kernel: Kernel,
    shared: Arc<Mutex<Noted>>,
    source: Arc<SyncSource>,
}

#[derive(Debug, Clone, Copy)]
struct Noted {
    offset_us: i64,
    trust: ClockTrust,
    checked_us: u64,
    /// When the mark was made, by the wall clock of that moment.
    mark: Option<SystemTime>,
    /// The mark that a step has outlived.
    outlived: Option<SystemTime>,
    /// Synced since then, without a jump.
    steady_since_us: Option<u64>,
}

impl Clock {
    /// A clock for this boot.
    ///
    /// # Errors
    /// When the kernel does not tell its boot id.
    pub fn new(source: SyncSource) -> std::io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let boot = BootId::try_from(text).map_err(std::io::Error::other)?;
        Ok(Self::with(boot, Kernel::Real, source))
    }

    /// A clock that a test moves.
    #[doc(hidden)]
    pub fn scripted(boot: BootId, script: &Script, source: SyncSource) -> Self {
        Self::with(boot, Kernel::Scripted(script.clone()), source)
    }

    fn with(boot: BootId, kernel: Kernel, source: SyncSource) -> Self {
        let (mono_us, unix_us) = kernel.read();
        let noted = look(&source, None, mono_us, offset_us(mono_us, unix_us));
        Self { boot, kernel, shared: Arc::new(Mutex::new(noted)), source: Arc::new(source) }
    }

    /// Now, by both clocks.
    pub fn now(&self) -> At {
        self.stamp(TRUST_EVERY_US)
    }

    /// Now, and whether the wall clock can be believed is asked anew.
    pub fn asked(&self) -> At {
        self.stamp(0)
    }

    /// How long the wall clock has been synced without a step of more than a minute; `None` while it is not synced. To
    /// judge the age of things by a clock that has just jumped would throw them away.
    pub fn steady_for(&self) -> Option<Duration> {
        let mono_us = self.asked().mono_us;
        let since_us = lock(&self.shared).steady_since_us?;
        Some(Duration::from_micros(mono_us.saturating_sub(since_us)))
    }

    fn stamp(&self, ask_after_us: u64) -> At {
        let mut noted = lock(&self.shared);
        let (mono_us, unix_us) = self.kernel.read();
        let offset_us = offset_us(mono_us, unix_us);
        let stepped = offset_us.abs_diff(noted.offset_us) > OFFSET_STEP_US;
        if stepped || mono_us.saturating_sub(noted.checked_us) >= ask_after_us {
            let shared_us = if stepped { offset_us } else { noted.offset_us };
            *noted = look(&self.source, Some(&noted), mono_us, shared_us);
        }
        At { boot: self.boot, mono_us, wall_offset_us: noted.offset_us, trust: noted.trust }
    }
}

/// What is to be noted now that the wall clock is so far ahead.
fn look(source: &SyncSource, before: Option<&Noted>, mono_us: u64, offset_us: i64) -> Noted {
    let mark = match source {
        SyncSource::Vouched => None,
        SyncSource::MarkerFile(path) => path.metadata().and_then(|file| file.modified()).ok(),
    };
    let step_us = before.map_or(0, |before| offset_us.abs_diff(before.offset_us));
    let outlived = match before {
        Some(before) if step_us <= SET_US => before.outlived,
        Some(before) if made_after_step(before, mark, mono_us, offset_us) => None,
        Some(_) => mark,
        // Made in what is the future now: the clock has been set back since, while we did not run.
        None => mark
            .filter(|made| made_us(*made) > i128::from(mono_us) + i128::from(offset_us) + SLACK_US),
    };
    let is_confirmed = match source {
        SyncSource::Vouched => true,
        SyncSource::MarkerFile(_) => mark.is_some() && mark != outlived,
    };
    let is_unset = mono_us.cast_signed().saturating_add(offset_us) < EARLIEST_UNIX_US;
    let trust = match (is_unset, is_confirmed) {
        (true, _) => ClockTrust::Unset,
        (false, false) => ClockTrust::Restored,
        (false, true) => ClockTrust::Synced,
    };
    let steady_since_us = (trust == ClockTrust::Synced).then(|| {
        let since_us = before.and_then(|before| before.steady_since_us);
        since_us.filter(|_| step_us <= JUMP_US).unwrap_or(mono_us)
    });
    Noted { offset_us, trust, checked_us: mono_us, mark, outlived, steady_since_us }
}

/// Whether a mark confirms the step that came since the last look. It may have been made in the same seconds, before
/// the step: then its time fits the clock that was, and not the one that is.
fn made_after_step(before: &Noted, mark: Option<SystemTime>, mono_us: u64, offset_us: i64) -> bool {
    let Some(made) = mark.filter(|_| mark != before.mark) else { return false };
    let since_last_look = i128::from(before.checked_us) - SLACK_US..=i128::from(mono_us) + SLACK_US;
    let fits = |offset_us: i64| since_last_look.contains(&(made_us(made) - i128::from(offset_us)));
    fits(offset_us) || !fits(before.offset_us)
}

/// Unix time in microseconds; nothing here was made before 1970.
fn made_us(made: SystemTime) -> i128 {
    let since = made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_micros()).unwrap_or(i128::MAX)
}

fn offset_us(mono_us: u64, unix_us: i64) -> i64 {
    unix_us.saturating_sub_unsigned(mono_us)
}

/// Plain numbers: whatever a panicking holder left is still valid.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where both times come from.
#[derive(Debug, Clone)]
enum Kernel {
    Real,
    Scripted(Script),
}

impl Kernel {
    /// Microseconds since boot, and Unix time in microseconds.
    fn read(&self) -> (u64, i64) {
        match self {
            Self::Scripted(script) => *lock(&script.0),
            Self::Real => {
                let mut mono_us = boottime_us();
                // Whoever is put to sleep between two clocks sees the wall clock step.
                for _ in 0..5 {
                    let unix_us = micros(clock_gettime(ClockId::Realtime));
                    let after_us = boottime_us();
                    if after_us.saturating_sub(mono_us) <= AT_ONCE_US {
                        return (mono_us, unix_us);
                    }
                    mono_us = after_us;
                }
                (mono_us, micros(clock_gettime(ClockId::Realtime)))
            }
        }
    }
}

fn boottime_us() -> u64 {
    micros(clock_gettime(ClockId::Boottime)).cast_unsigned()
}

fn micros(time: rustix::time::Timespec) -> i64 {
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// Both clocks of a made-up box, moved by hand. Clones share one time.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Script(Arc<Mutex<(u64, i64)>>);

impl Script {
    /// So long after boot, at that Unix time.
    pub fn new(mono_us: u64, unix_us: i64) -> Self {
        Self(Arc::new(Mutex::new((mono_us, unix_us))))
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut clocks = lock(&self.0);
        clocks.0 = clocks.0.saturating_add(micros);
        clocks.1 = clocks.1.saturating_add_unsigned(micros);
    }

    /// Somebody sets the wall clock, so far ahead of where it was.
    pub fn step(&self, by_us: i64) {
        let mut clocks = lock(&self.0);
        clocks.1 = clocks.1.saturating_add(by_us);
    }

    /// The wall clock, as files are stamped.
    pub fn wall(&self) -> SystemTime {
        let micros = lock(&self.0).1;
        SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}
