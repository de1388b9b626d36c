//! How much the buffer keeps and for how long: days, under a clock that can be believed, refused entries, cursors; and the
//! warning before it is full. A test of its own: it listens to what the whole process logs.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulsegate::buffer::{Buffer, Options, Purpose, Rejected, Span};
use pulsegate::clock::{Clock, Script, SyncSource};
use pulsegate::reading::{
    BootId, Entry, EntryId, Event, EventKind, Fact, GapReason, Measurement, Reading, StrapId,
};
use support::{append_all, close, crash_image, options, read_all, reading, within};

/// 2026-11-21T09:30:00Z.
const TODAY_US: i64 = 1_795_253_400_000_000;
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn what_is_too_old_goes_and_is_told_but_only_under_a_clock_that_has_been_right_for_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let script = Script::new(20_000_000, TODAY_US);
    let clock = Clock::scripted(BootId(7), &script, SyncSource::Vouched);
    let options = Options {
        max_age: Some(DAY),
        sinks: vec!["club".into()],
        ..options(folder.path(), 1 << 30)
    };
    let (buffer, keeper) = Buffer::open(&options, &clock).unwrap();
    buffer.register("club").await.unwrap();
    let some = |count: u64| {
        let strap = StrapId::new("9F6E5322").unwrap();
        let reading = Reading { strap, at: clock.now(), measurement: Measurement::Battery(50) };
        std::iter::repeat_n(Fact::Reading(reading), count as usize)
    };
    append_all(&buffer, some(5000)).await;
    // Somebody sets the clock two days ahead: that makes nothing old.
    script.step(2 * DAY.as_micros() as i64);
    append_all(&buffer, some(5000)).await;
    assert_eq!(buffer.state().borrow().oldest, EntryId(0));
    script.step(-2 * DAY.as_micros() as i64);
    clock.asked();
    // The days pass, and nobody touches the clock.
    script.pass(2 * DAY);
    append_all(&buffer, some(2500)).await;
    append_all(&buffer, some(1)).await;
    let oldest = buffer.state().borrow().oldest;
    // Chunk by chunk: the last one of that day may reach into the next.
    assert!((4000..=5000).contains(&oldest.0), "{oldest}");
    let all = read_all(&buffer).await;
    let gaps: Vec<_> = all
        .iter()
        .filter_map(|entry| match &entry.fact {
            Fact::Event(Event { kind: EventKind::Gap { first, last, count, reason }, .. }) => {
                Some((*first, *last, *count, *reason))
            }
            _ => None,
        })
        .collect();
    let gone = Some(oldest.0);
    assert_eq!(gaps, [(EntryId(0), EntryId(oldest.0 - 1), gone, GapReason::TooOld)]);
    assert_eq!(buffer.state().borrow().lost["club"], oldest.0);
    close(&buffer, keeper).await;
}

/// What the process logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn warnings(&self) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains("WARN") && line.contains("nearly full")).count()
    }
}

#[tokio::test]
async fn a_backlog_of_four_fifths_is_warned_of_once_and_again_only_after_it_was_smaller() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_writer(move || writer.clone()).init();
    let folder = tempfile::tempdir().unwrap();
    let max_bytes = 256 << 10;
    let options = Options { sinks: vec!["club".into()], ..options(folder.path(), max_bytes) };
    let (buffer, keeper) = Buffer::open(&options, &support::clock()).unwrap();
    buffer.register("club").await.unwrap();
    let mut second = 0;
    let mut fill = async |percent: u64| {
        while buffer.state().borrow().bytes < max_bytes * percent / 100 {
            append_all(&buffer, (second..second + 500).map(|n| reading(0, n))).await;
            second += 500;
        }
        EntryId(second)
    };
    fill(75).await;
    assert_eq!(log.warnings(), 0);
    // Beyond the limit and on: still one warning.
    fill(85).await;
    fill(96).await;
    let end = fill(97).await;
    assert_eq!(log.warnings(), 1);
    // The sink catches up, and falls behind again.
    buffer.taken("club", Span::new(EntryId(0), end.plus(1000)), Vec::new());
    within(buffer.responds()).await.unwrap();
    append_all(&buffer, (0..500).map(|n| reading(0, n))).await;
    assert_eq!(log.warnings(), 1);
    append_all(&buffer, (0..80_000).map(|n| reading(0, n))).await;
    assert_eq!(log.warnings(), 2);
    close(&buffer, keeper).await;
}

/// Size of a letter with a reason of 400 bytes and one reading, in bytes: at least, and less than.
const LETTER_LEAST: u64 = 470;
const LETTER_MOST: u64 = 520;

#[tokio::test]
async fn refused_entries_are_kept_in_eight_megabytes_and_the_oldest_of_them_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { sinks: vec!["club".into()], ..options(folder.path(), 1 << 30) };
    let (buffer, keeper) = Buffer::open(&options(), &support::clock()).unwrap();
    buffer.register("club").await.unwrap();
    // Each for a reason of its own, so that each is a letter of its own: 12 MB of them.
    let reason = |id: u64| format!("{id:0400}");
    let count = 30_000u64;
    let entries = append_all(&buffer, (0..count).map(|n| reading(0, n))).await;
    for (n, piece) in entries.chunks(500).enumerate() {
        let refuse = |entry: &Entry| Rejected { entry: entry.clone(), reason: reason(entry.id.0) };
        let span = Span::new(EntryId(n as u64 * 500), EntryId(n as u64 * 500 + 500));
        buffer.taken("club", span, piece.iter().map(refuse).collect());
    }
    append_all(&buffer, [reading(0, count)]).await;
    assert_letters(&buffer, count, reason).await;
    close(&buffer, keeper).await;
    let (buffer, keeper) = Buffer::open(&options(), &support::clock()).unwrap();
    assert_letters(&buffer, count, reason).await;
    close(&buffer, keeper).await;
}

/// That eight megabytes are full of letters, the newest ones, each as it was.
async fn assert_letters(buffer: &Buffer, count: u64, reason: impl Fn(u64) -> String) {
    let counted = buffer.state().borrow().letters["club"];
    assert_eq!((counted.kept + counted.dropped, counted.requeued), (count, 0));
    let room = counted.kept * LETTER_LEAST..counted.kept * LETTER_MOST;
    assert!(room.contains(&(8 << 20)), "{counted:?}");
    let (mut from, mut kept) = (0, Vec::new());
    loop {
        let letters = within(buffer.letters(from, 500)).await.unwrap();
        let Some(last) = letters.last() else { break };
        from = last.number + 1;
        for letter in &letters {
            let id = letter.entries[0].id.0;
            assert_eq!((letter.entries.len(), &letter.reason), (1, &reason(id)));
            kept.push(id);
        }
    }
    assert!(kept.into_iter().eq(counted.dropped..count), "the oldest are gone, nothing else");
}

#[tokio::test]
async fn a_cursor_reaches_the_disk_without_anybody_closing_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let (live, crashed) = (folder.path().join("live"), folder.path().join("crashed"));
    let sinks = vec!["club".to_owned()];
    let options = |path| Options { sinks: sinks.clone(), ..options(path, 1 << 30) };
    let (buffer, keeper) = Buffer::open(&options(&live), &support::clock()).unwrap();
    buffer.register("club").await.unwrap();
    append_all(&buffer, (0..10).map(|n| reading(0, n))).await;
    // What is written last before a quiet night.
    buffer.taken("club", Span::new(EntryId(0), EntryId(7)), Vec::new());
    let on_disk = async || {
        loop {
            if crashed.exists() {
                std::fs::remove_dir_all(&crashed).unwrap();
            }
            crash_image(&live, &crashed);
            let inspect = Options { purpose: Purpose::Inspect, ..options(&crashed) };
            let (buffer, keeper) = Buffer::open(&inspect, &support::clock()).unwrap();
            let cursor = buffer.state().borrow().cursors.get("club").cloned();
            close(&buffer, keeper).await;
            if cursor.is_some_and(|cursor| cursor.next == EntryId(7)) {
                return;
            }
            // The log's own thread writes at its own time: this one only looks.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within(on_disk()).await;
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_quarter_of_a_small_log_and_sixteen_megabytes_of_a_large_one_are_held_back() {
    for (max_bytes, held_back) in [(1 << 30, 16 << 20), (64 << 20, 16 << 20), (20 << 20, 5 << 20)] {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path(), max_bytes);
        let (buffer, keeper) = Buffer::open(&options, &support::clock()).unwrap();
        append_all(&buffer, [reading(0, 0)]).await;
        let reserve = std::fs::metadata(folder.path().join("reserve")).unwrap();
        // Real blocks, not a promise of the file system.
        assert_eq!((reserve.len(), reserve.blocks() * 512 >= held_back), (held_back, true));
        close(&buffer, keeper).await;
    }
}
