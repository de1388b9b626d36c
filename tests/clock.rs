//! The clock when somebody else sets it: what is still believed, since when, who is told, and what comes of it.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use pulsegate::buffer::{Buffer, Keeper};
use pulsegate::clock::{Clock, Script, SyncSource};
use pulsegate::normalize;
use pulsegate::reading::{At, BootId, ClockTrust, Fact, Measurement, Reading, StrapId};
use pulsegate::timekeeper;
use pulsegate::timeline::TimeQuality;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// 2026-11-21T09:30:00Z.
const TODAY_US: i64 = 1_795_253_400_000_000;
const DAY_US: i64 = 86_400_000_000;
const SECOND_US: i64 = 1_000_000;

/// A box with a made-up clock and a time server's mark.
struct Machine {
    script: Script,
    folder: tempfile::TempDir,
}

impl Machine {
    fn at(unix_us: i64) -> Self {
        Self { script: Script::new(20_000_000, unix_us), folder: tempfile::tempdir().unwrap() }
    }

    fn synced() -> Self {
        let machine = Self::at(TODAY_US);
        machine.touch();
        machine
    }

    fn mark(&self) -> PathBuf {
        self.folder.path().join("synchronized")
    }

    fn source(&self) -> SyncSource {
        SyncSource::MarkerFile(self.mark())
    }

    fn clock(&self) -> Clock {
        Clock::scripted(BootId(7), &self.script, self.source())
    }

    /// What timesyncd does once it has set the clock.
    fn touch(&self) {
        let mark = std::fs::File::create(self.mark()).unwrap();
        mark.set_modified(self.script.wall()).unwrap();
    }

    fn pass(&self, seconds: u64) {
        self.script.pass(Duration::from_secs(seconds));
    }
}

#[test]
fn stamps_go_forward_and_neighbours_share_their_offset() {
    let clock = Clock::new(SyncSource::default()).unwrap();
    let (first, second) = (clock.now(), clock.now());
    assert!(second.mono_us >= first.mono_us);
    assert_eq!(first.boot, second.boot);
    assert_eq!(first.wall_offset_us, second.wall_offset_us);
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let unix_us = i64::try_from(unix.as_micros()).unwrap();
    assert!((first.unix_us() - unix_us).abs() < 5 * SECOND_US);
}

#[test]
fn an_offset_that_creeps_by_less_than_ten_milliseconds_is_noted_as_it_was() {
    let machine = Machine::synced();
    let clock = machine.clock();
    let before = clock.now().wall_offset_us;
    machine.script.step(9_000);
    assert_eq!(clock.now().wall_offset_us, before);
    assert_eq!(clock.asked().wall_offset_us, before);
    machine.script.step(2_000);
    assert_eq!(clock.now().wall_offset_us, before + 11_000);
}

#[test]
fn the_wall_clock_is_believed_when_the_mark_is_there_or_somebody_vouches() {
    let machine = Machine::at(TODAY_US);
    assert_eq!(machine.clock().now().trust, ClockTrust::Restored);
    machine.touch();
    assert_eq!(machine.clock().now().trust, ClockTrust::Synced);
    let vouched = Clock::scripted(BootId(7), &machine.script, SyncSource::Vouched);
    assert_eq!(vouched.now().trust, ClockTrust::Synced);
}

#[test]
fn a_clock_before_the_first_release_was_never_set_whoever_vouches() {
    let script = Script::new(20_000_000, 20_000_000);
    let clock = Clock::scripted(BootId(7), &script, SyncSource::Vouched);
    assert_eq!(clock.now().trust, ClockTrust::Unset);
}

#[test]
fn a_mark_that_appears_is_seen_within_ten_seconds() {
    let machine = Machine::at(TODAY_US);
    let clock = machine.clock();
    machine.touch();
    machine.pass(9);
    assert_eq!(clock.now().trust, ClockTrust::Restored, "now() is cheap: it looks seldom");
    machine.pass(1);
    assert_eq!(clock.now().trust, ClockTrust::Synced);
}

#[test]
fn a_clock_set_by_hand_is_not_believed_until_a_time_server_confirms_it() {
    for by_us in [DAY_US, -DAY_US, 2 * SECOND_US, -2 * SECOND_US] {
        let machine = Machine::synced();
        let clock = machine.clock();
        machine.pass(60);
        assert_eq!(clock.now().trust, ClockTrust::Synced);
        machine.script.step(by_us);
        assert_eq!(clock.now().trust, ClockTrust::Restored, "at once, by {by_us}");
        machine.pass(3600);
        assert_eq!(clock.now().trust, ClockTrust::Restored, "and an hour later, by {by_us}");
        machine.script.step(-by_us);
        assert_eq!(clock.now().trust, ClockTrust::Restored, "right again, but who says so?");
        machine.touch();
        machine.pass(10);
        assert_eq!(clock.now().trust, ClockTrust::Synced, "by {by_us}");
    }
}

#[test]
fn a_step_that_the_time_server_made_itself_is_believed() {
    let machine = Machine::synced();
    let clock = machine.clock();
    machine.pass(60);
    clock.now();
    machine.script.step(-90 * SECOND_US);
    machine.touch();
    assert_eq!(clock.now().trust, ClockTrust::Synced);
}

#[test]
fn a_step_soon_after_the_time_server_spoke_is_not_its_own() {
    let machine = Machine::synced();
    let clock = machine.clock();
    machine.pass(3);
    machine.touch();
    machine.pass(3);
    machine.script.step(DAY_US);
    assert_eq!(clock.now().trust, ClockTrust::Restored);
}

#[test]
fn a_step_of_less_than_a_second_shakes_no_trust() {
    let machine = Machine::synced();
    let clock = machine.clock();
    machine.script.step(900_000);
    assert_eq!(clock.now().trust, ClockTrust::Synced);
}

#[test]
fn a_mark_made_in_the_future_is_of_another_clock() {
    let machine = Machine::synced();
    machine.script.step(-DAY_US);
    assert_eq!(machine.clock().now().trust, ClockTrust::Restored);
}

#[test]
fn whoever_vouches_vouches_for_steps_too() {
    let machine = Machine::at(TODAY_US);
    let clock = Clock::scripted(BootId(7), &machine.script, SyncSource::Vouched);
    machine.script.step(DAY_US);
    assert_eq!(clock.now().trust, ClockTrust::Synced);
}

#[test]
fn a_clock_is_steady_from_its_sync_on_and_anew_after_a_jump() {
    let machine = Machine::at(TODAY_US);
    let clock = machine.clock();
    machine.pass(100);
    assert_eq!(clock.steady_for(), None, "not synced");
    machine.touch();
    assert_eq!(clock.steady_for(), Some(Duration::ZERO));
    machine.pass(100);
    assert_eq!(clock.steady_for(), Some(Duration::from_secs(100)));
    machine.script.step(-50 * SECOND_US);
    machine.touch();
    assert_eq!(clock.steady_for(), Some(Duration::from_secs(100)), "a small correction");
    machine.script.step(61 * SECOND_US);
    machine.touch();
    assert_eq!(clock.steady_for(), Some(Duration::ZERO), "a jump, though confirmed");
    machine.pass(5);
    machine.script.step(2 * SECOND_US);
    assert_eq!(clock.steady_for(), None, "set by hand");
}

/// Watches a machine, in virtual time.
struct Watched {
    machine: Machine,
    noted: Arc<Mutex<Vec<At>>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Watched {
    async fn new(machine: Machine) -> Self {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let (stop, mut tasks, kept) = (CancellationToken::new(), JoinSet::new(), noted.clone());
        let note = move |at| kept.lock().unwrap().push(at);
        tasks.spawn(timekeeper::watch(machine.clock(), note, stop.clone()));
        let watched = Self { machine, noted, stop, tasks };
        watched.pass(0).await;
        // tokio's timers are as coarse as this: from here on we are always a little behind a tick.
        tokio::time::advance(Duration::from_millis(2)).await;
        watched
    }

    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.machine.pass(1);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    /// What was noted since the last call: seconds since boot, and trust.
    fn news(&self) -> Vec<(u64, ClockTrust)> {
        let news = std::mem::take(&mut *self.noted.lock().unwrap());
        news.iter().map(|at| (at.mono_us / 1_000_000, at.trust)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_watched_clock_is_noted_at_the_start_and_every_ten_minutes() {
    let mut watched = Watched::new(Machine::synced()).await;
    assert_eq!(watched.news(), [(20, ClockTrust::Synced)]);
    watched.pass(599).await;
    assert_eq!(watched.news(), []);
    watched.pass(1).await;
    assert_eq!(watched.news(), [(620, ClockTrust::Synced)]);
    watched.stop.cancel();
    watched.tasks.join_next().await.unwrap().unwrap();
    watched.pass(600).await;
    assert_eq!(watched.news(), []);
}

#[tokio::test(start_paused = true)]
async fn a_watched_clock_is_noted_when_it_is_set_and_when_it_is_confirmed() {
    let watched = Watched::new(Machine::at(0)).await;
    assert_eq!(watched.news(), [(20, ClockTrust::Unset)]);
    watched.machine.script.step(TODAY_US);
    watched.pass(10).await;
    assert_eq!(watched.news(), [(30, ClockTrust::Restored)]);
    watched.machine.touch();
    watched.pass(10).await;
    assert_eq!(watched.news(), [(40, ClockTrust::Synced)]);
    watched.machine.script.step(150_000);
    watched.pass(10).await;
    assert_eq!(watched.news(), [(50, ClockTrust::Synced)]);
    watched.machine.script.step(50_000);
    watched.pass(10).await;
    assert_eq!(watched.news(), [], "no step worth a note");
}

/// A run of the daemon: a boot, a clock, and the buffer.
struct Run {
    script: Script,
    clock: Clock,
    buffer: Buffer,
    keeper: Keeper,
}

impl Run {
    /// Twenty seconds after the start of a boot.
    fn open(folder: &Path, boot: u8, unix_us: i64, source: SyncSource) -> Self {
        let script = Script::new(20_000_000, unix_us);
        let clock = Clock::scripted(BootId(boot.into()), &script, source);
        let (buffer, keeper) = Buffer::open(&support::options(folder, 1 << 30), &clock).unwrap();
        buffer.anchor(clock.asked());
        Self { script, clock, buffer, keeper }
    }

    /// A reading each second, durable at the end.
    async fn read(&self, seconds: usize) {
        let readings = (0..seconds).map(|_| {
            self.script.pass(Duration::from_secs(1));
            Fact::Reading(Reading {
                strap: StrapId::new("9F6E0000").unwrap(),
                at: self.clock.now(),
                measurement: Measurement::Battery(97),
            })
        });
        support::append_all(&self.buffer, readings).await;
    }

    async fn close(self) {
        support::close(&self.buffer, self.keeper).await;
    }
}

/// What a sink would be given now, of one boot's readings: time and quality.
async fn leaving(buffer: &Buffer, boot: u8) -> Vec<(i64, TimeQuality)> {
    let timeline = buffer.timeline().borrow().clone();
    let all = support::read_all(buffer).await;
    let of_boot = all.into_iter().filter(|entry| {
        entry.fact.at().boot == BootId(boot.into()) && matches!(entry.fact, Fact::Reading(_))
    });
    let outgoing = of_boot.map(|entry| normalize::outgoing(entry, &timeline));
    outgoing.map(|outgoing| (outgoing.unix_us, outgoing.quality)).collect()
}

/// One second apart, the first one second after `from_us`.
fn each_second(from_us: i64, seconds: i64, quality: TimeQuality) -> Vec<(i64, TimeQuality)> {
    (1..=seconds).map(|second| (from_us + second * SECOND_US, quality)).collect()
}

#[tokio::test]
async fn a_boot_in_1970_that_no_time_server_reached_lies_between_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let (home, after_power_cut) = (folder.path().join("a"), folder.path().join("b"));
    let unsynced = || SyncSource::MarkerFile(folder.path().join("none"));

    // Longer than a boot's record is left alone: the end of a boot is its last reading, all the same.
    let first = Run::open(&home, 1, TODAY_US, SyncSource::Vouched);
    first.read(900).await;
    first.close().await;
    let first_boot = each_second(TODAY_US, 900, TimeQuality::Synced);
    let first_ended_us = TODAY_US + 900 * SECOND_US;

    let second = Run::open(&home, 2, 20 * SECOND_US, unsynced());
    second.read(40).await;
    // As early as can be: its kernel started when the boot before was last heard of.
    let bounded = each_second(first_ended_us + 20 * SECOND_US, 40, TimeQuality::Bounded);
    assert_eq!(leaving(&second.buffer, 1).await, first_boot);
    assert_eq!(leaving(&second.buffer, 2).await, bounded, "with nothing behind it yet");
    support::crash_image(&home, &after_power_cut);
    second.close().await;

    let third_began_us = TODAY_US + DAY_US;
    let third = Run::open(&after_power_cut, 3, third_began_us, SyncSource::Vouched);
    third.read(5).await;
    let third_boot = each_second(third_began_us, 5, TimeQuality::Synced);
    assert_eq!(leaving(&third.buffer, 1).await, first_boot);
    assert_eq!(leaving(&third.buffer, 2).await, bounded);
    assert_eq!(leaving(&third.buffer, 3).await, third_boot);
    third.close().await;

    // All of that is on disk.
    let (buffer, keeper) = support::open(&after_power_cut, 1 << 30).unwrap();
    assert_eq!(leaving(&buffer, 1).await, first_boot);
    assert_eq!(leaving(&buffer, 2).await, bounded);
    assert_eq!(leaving(&buffer, 3).await, third_boot);
    support::close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_boot_in_1970_before_any_other_ends_where_the_next_one_began() {
    let folder = tempfile::tempdir().unwrap();
    let unsynced = SyncSource::MarkerFile(folder.path().join("none"));
    let home = folder.path().join("a");

    let first = Run::open(&home, 1, 20 * SECOND_US, unsynced);
    first.read(40).await;
    assert_eq!(
        leaving(&first.buffer, 1).await,
        each_second(20 * SECOND_US, 40, TimeQuality::Unset)
    );
    first.close().await;

    let second = Run::open(&home, 2, TODAY_US, SyncSource::Vouched);
    second.read(5).await;
    // As late as can be: the next kernel started 20 s before its first stamp.
    let began_us = TODAY_US - 20 * SECOND_US - 40 * SECOND_US;
    assert_eq!(leaving(&second.buffer, 1).await, each_second(began_us, 40, TimeQuality::Bounded));
    second.close().await;
}
