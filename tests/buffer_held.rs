//! How much memory holds while the disk refuses. A test of its own: it limits the size of files for the whole process.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

use pulsegate::buffer::{BufferError, Span};
use pulsegate::reading::{Entry, EntryId, Event, EventKind, Fact, GapReason};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{append_all, close, open, read_all, reading, within};
use tokio::signal::unix::{SignalKind, signal};

const SIGXFSZ: i32 = 25;

/// Entries that memory holds, and how many make room at once when one more comes.
const HELD: u64 = 24_576;
const PIECE: u64 = 8_192;

#[tokio::test]
async fn memory_holds_24_576_entries_while_the_disk_refuses_and_tells_what_it_cannot_hold() {
    // Handled, so that a write beyond the limit fails instead of ending the process.
    let _too_large = signal(SignalKind::from_raw(SIGXFSZ)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    let before = append_all(&buffer, (0..100).map(|n| reading(0, n))).await;
    let mut state = buffer.state();
    let limit = getrlimit(Resource::Fsize);
    let refuse = || setrlimit(Resource::Fsize, Rlimit { current: Some(0), ..limit }).unwrap();
    let take = || setrlimit(Resource::Fsize, limit).unwrap();
    let mut expected = before;
    for more in [0, 1] {
        refuse();
        let mut held = Vec::new();
        for n in 0..HELD - 1 + more {
            let fact = reading(1, n);
            let id = within(buffer.append(fact.clone())).await.unwrap();
            held.push(Entry { id, fact });
            if n == 0 {
                within(state.wait_for(|state| state.trouble.is_some())).await.unwrap();
            }
        }
        // Everything has been looked at once the thread answers.
        within(buffer.responds()).await.unwrap();
        let first = held[0].id;
        let lost = Span::new(first, first.plus(PIECE * more));
        let told: Vec<Span> = state.borrow().not_stored.clone();
        assert!(
            told.iter().eq(std::iter::once(&lost).filter(|lost| lost.places() > 0)),
            "{told:?}"
        );
        take();
        let last = held.last().unwrap().id;
        buffer.flush();
        within(buffer.durable(last)).await.unwrap();
        let oldest = within(buffer.durable(first)).await;
        assert_eq!(matches!(oldest, Err(BufferError::NotStored)), more == 1, "{oldest:?}");
        expected.extend(held.into_iter().filter(|entry| entry.id >= lost.end));
    }
    // The gap is told in a commit of its own.
    append_all(&buffer, [reading(2, 0)]).await;
    let (gaps, all): (Vec<Entry>, Vec<Entry>) =
        read_all(&buffer).await.into_iter().partition(|e| matches!(e.fact, Fact::Event(_)));
    assert!(all.iter().take(expected.len()).eq(&expected), "what memory held is all there");
    let [Entry { fact: Fact::Event(Event { kind, .. }), .. }] = &gaps[..] else {
        panic!("{gaps:?}")
    };
    let first = EntryId(100 + HELD - 1);
    let last = EntryId(first.0 + PIECE - 1);
    let reason = GapReason::NotStored;
    assert_eq!(*kind, EventKind::Gap { first, last, count: Some(PIECE), reason });
    close(&buffer, keeper).await;
}
