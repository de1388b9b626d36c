//! How much the buffer keeps: days, under a clock that can be believed; and the warning before it is full. A test of its
//! own: it listens to what the whole process logs.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulsegate::buffer::{Buffer, Options, Span};
use pulsegate::clock::{Clock, Script, SyncSource};
use pulsegate::reading::{
    BootId, EntryId, Event, EventKind, Fact, GapReason, Measurement, Reading, StrapId,
};
use support::{append_all, close, options, read_all, reading, within};

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
