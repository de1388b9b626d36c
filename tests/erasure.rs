//! Erasing entries from the log: no byte of them is left in any file, and nothing else is touched, whatever happens
//! meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

#[path = "support/carve.rs"]
mod carve;

use std::path::Path;

use carve::{carved, says};
use pulsegate::buffer::{
    Buffer, BufferError, Cursor, Erased, Options, Places, Purpose, Rejected, Span,
};
use pulsegate::reading::{Entry, EntryId, Event, EventKind, Fact, GapReason};
use support::{append_all, clock, close, crash_image, open, options, read_all, reading, within};

const ROOMY: u64 = 1 << 30;

/// The strap of the one who is forgotten, which nobody else wears: its name is in every chunk that has a reading of it.
const OWN: usize = 0xA0A;
const OWN_NAME: &str = "9F6E0A0A";
/// A strap that is lent out.
const RENTAL: usize = 7;

fn places(entries: impl IntoIterator<Item = EntryId>) -> Places {
    let mut places = Places::default();
    entries.into_iter().for_each(|id| places.add(id));
    places
}

fn event(text: &str) -> Fact {
    let kind = EventKind::Started { version: text.to_owned() };
    Fact::Event(Event { at: clock().now(), kind })
}

/// Two hours of a room: each second the own strap (theirs), a rental (theirs in the second hour only) and another's. Now
/// and then an event of theirs.
fn room(seconds: std::ops::Range<u64>) -> Vec<(Fact, bool)> {
    let each = |second: u64| {
        let mut facts = vec![
            (reading(OWN, second), true),
            (reading(RENTAL, second), second >= 3600),
            (reading(3, second), false),
        ];
        if second % 600 == 5 {
            facts.push((event(&format!("zlatana {second}")), true));
            facts.push((event(&format!("house {second}")), false));
        }
        facts
    };
    seconds.flat_map(each).collect()
}

/// What was appended: theirs, and the rest.
async fn filled(buffer: &Buffer, facts: Vec<(Fact, bool)>) -> (Vec<Entry>, Vec<Entry>) {
    let (facts, theirs): (Vec<_>, Vec<_>) = facts.into_iter().unzip();
    let entries = append_all(buffer, facts).await;
    let both = entries.into_iter().zip(theirs);
    let (theirs, rest): (Vec<_>, Vec<_>) = both.partition(|(_, is_theirs)| *is_theirs);
    let plain = |both: Vec<(Entry, bool)>| both.into_iter().map(|(entry, _)| entry).collect();
    (plain(theirs), plain(rest))
}

fn ids(entries: &[Entry]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}

fn has(entries: &[Entry], id: EntryId) -> bool {
    entries.binary_search_by_key(&id, |entry| entry.id).is_ok()
}

fn is_gap(entry: &Entry) -> bool {
    matches!(&entry.fact, Fact::Event(Event { kind: EventKind::Gap { .. }, .. }))
}

/// The erased places that are told: first, last, and how many.
fn told(entries: &[Entry]) -> Vec<(EntryId, EntryId, u64)> {
    let gap = |entry: &Entry| match &entry.fact {
        Fact::Event(Event { kind: EventKind::Gap { first, last, count, reason }, .. }) => {
            assert_eq!(*reason, GapReason::Erased);
            Some((*first, *last, count.unwrap()))
        }
        _ => None,
    };
    entries.iter().filter_map(gap).collect()
}

async fn without_gaps(buffer: &Buffer) -> Vec<Entry> {
    read_all(buffer).await.into_iter().filter(|entry| !is_gap(entry)).collect()
}

/// Nothing of theirs can be read out of any file, and each of the others' entries can.
fn nothing_is_left(folder: &Path, theirs: &[Entry], rest: &[Entry]) {
    assert_eq!(says(folder, OWN_NAME), Vec::<std::path::PathBuf>::new());
    assert_eq!(says(folder, "zlatana"), Vec::<std::path::PathBuf>::new());
    let carved = carved(folder);
    for (path, entry) in &carved {
        assert!(theirs.binary_search_by_key(&entry.id, |e| e.id).is_err(), "{path:?}: {entry:?}");
    }
    let mut there: Vec<EntryId> = carved.iter().map(|(_, entry)| entry.id).collect();
    there.sort_unstable();
    assert!(rest.iter().all(|entry| there.binary_search(&entry.id).is_ok()));
}

#[tokio::test]
async fn of_what_is_erased_no_byte_is_left_and_everything_else_is_there_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let with_sinks =
        Options { sinks: vec!["club".into(), "slow".into()], ..options(folder.path(), ROOMY) };
    let (buffer, keeper) = Buffer::open(&with_sinks, &clock()).unwrap();
    for sink in ["club", "slow"] {
        buffer.register(sink).await.unwrap();
    }
    let (mut theirs, mut rest) = filled(&buffer, room(0..7200)).await;
    // Of theirs and of others some were refused for the same reason; the cursor stands among them.
    let mut refused: Vec<Entry> =
        theirs.iter().step_by(50).chain(rest.iter().step_by(70)).cloned().collect();
    refused.sort_unstable_by_key(|entry| entry.id);
    let letter = |entry: &Entry| Rejected { entry: entry.clone(), reason: "quota".to_owned() };
    let taken = Span::new(EntryId(0), theirs[9000].id);
    refused.retain(|entry| entry.id < taken.end);
    buffer.taken("club", taken, refused.iter().map(letter).collect());
    // The newest of all is theirs.
    let (more, others) =
        filled(&buffer, vec![(reading(3, 7200), false), (reading(OWN, 7200), true)]).await;
    theirs.extend(more);
    rest.extend(others);
    assert!(
        !says(folder.path(), OWN_NAME).is_empty() && !says(folder.path(), "zlatana").is_empty()
    );
    assert!(carved(folder.path()).iter().any(|(_, entry)| entry.id == theirs[0].id));

    let lost = buffer.state().borrow().lost.clone();
    let erased = within(buffer.erase(places(ids(&theirs)))).await.unwrap();
    let is_reading = |entry: &&Entry| matches!(entry.fact, Fact::Reading(_));
    let readings = theirs.iter().filter(is_reading).count() as u64;
    let letters = refused.iter().filter(|entry| theirs.contains(entry)).count() as u64;
    let expected = Erased { readings, events: theirs.len() as u64 - readings, refused: letters };
    assert_eq!(erased, expected);
    assert_eq!(without_gaps(&buffer).await, rest);

    let kept: Vec<Entry> = refused.into_iter().filter(|entry| !theirs.contains(entry)).collect();
    for round in 0..2u64 {
        rest.extend(append_all(&buffer, [reading(3, 7300 + round)]).await);
        let all = read_all(&buffer).await;
        let gaps = told(&all);
        assert_eq!(gaps, [(theirs[0].id, theirs.last().unwrap().id, theirs.len() as u64)]);
        assert_eq!(without_gaps(&buffer).await, rest);
        let letters = buffer.letters(0, usize::MAX).await.unwrap();
        let there: Vec<Entry> = letters.into_iter().flat_map(|letter| letter.entries).collect();
        assert_eq!(there, kept);
        assert_eq!(buffer.state().borrow().letters["club"].kept, kept.len() as u64);
        assert_eq!(buffer.register("club").await.unwrap(), Cursor::at(taken.end));
        assert_eq!(buffer.register("slow").await.unwrap(), Cursor::at(EntryId(0)));
        // Nobody has lost anything that was to be kept.
        assert_eq!(buffer.state().borrow().lost, lost);
        let state = buffer.state().borrow().clone();
        let verified = buffer.verify().await.unwrap();
        assert_eq!((state.bytes, state.entries), (verified.bytes, verified.entries));
        nothing_is_left(folder.path(), &theirs, &rest);
        // Killed right after it: the holes are no damage.
        let image = tempfile::tempdir().unwrap();
        let image = image.path();
        crash_image(folder.path(), image);
        let (crashed, its_keeper) = open(image, ROOMY).unwrap();
        assert!(!image.join("quarantine").exists());
        let after: Vec<Entry> = read_all(&crashed).await;
        assert!(rest.iter().all(|entry| after.binary_search_by_key(&entry.id, |e| e.id).is_ok()));
        close(&crashed, its_keeper).await;
    }
    close(&buffer, keeper).await;
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    assert!(!folder.path().join("quarantine").exists());
    assert_eq!(without_gaps(&buffer).await, rest);
    close(&buffer, keeper).await;
    nothing_is_left(folder.path(), &theirs, &rest);
}

#[tokio::test]
async fn what_is_dropped_already_goes_from_the_files_too_and_erasing_twice_erases_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 64 << 10).unwrap();
    // Far more than there is room for.
    let (_, _) = filled(&buffer, (0..4000).map(|n| (reading(OWN, n), true)).collect()).await;
    for hour in 0..8 {
        let seconds = hour * 3600 + 4000..hour * 3600 + 7600;
        filled(&buffer, seconds.map(|n| (reading(3, n), false)).collect()).await;
    }
    assert!(!read_all(&buffer).await.iter().any(|e| e.id == EntryId(10)), "it made room");
    assert!(!says(folder.path(), OWN_NAME).is_empty(), "and is still in the file");
    let before = read_all(&buffer).await;
    for _ in 0..2 {
        let erased = within(buffer.erase(Places::default())).await.unwrap();
        assert_eq!(erased, Erased::default());
        assert_eq!(says(folder.path(), OWN_NAME), Vec::<std::path::PathBuf>::new());
        assert_eq!(read_all(&buffer).await[..before.len()], before[..]);
    }
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn what_comes_in_while_entries_are_erased_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    let (theirs, mut rest) = filled(&buffer, room(0..20_000)).await;
    let (meanwhile, at_its_end) = {
        let mut erasing = tokio::task::JoinSet::new();
        let handle = erasing.spawn({
            let (buffer, places) = (buffer.clone(), places(ids(&theirs)));
            async move { buffer.erase(places).await }
        });
        let mut meanwhile = Vec::new();
        while !handle.is_finished() {
            let fact = reading(4, 30_000 + meanwhile.len() as u64);
            let id = within(buffer.append(fact.clone())).await.unwrap();
            meanwhile.push(Entry { id, fact });
            tokio::task::yield_now().await;
        }
        (meanwhile, within(erasing.join_next()).await.unwrap().unwrap())
    };
    at_its_end.unwrap();
    within(buffer.durable(meanwhile.last().unwrap().id)).await.unwrap();
    assert!(meanwhile.len() > 100, "{} came in", meanwhile.len());
    rest.extend(meanwhile);
    assert_eq!(without_gaps(&buffer).await, rest);
    close(&buffer, keeper).await;
    nothing_is_left(folder.path(), &theirs, &rest);
}

#[tokio::test]
async fn cut_short_anywhere_it_has_been_done_or_not_and_can_be_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let (buffer, keeper) = open(&live, ROOMY).unwrap();
    buffer.register("club").await.unwrap();
    let (theirs, rest) = filled(&buffer, room(3400..3800)).await;
    let before = folder.path().join("before");
    crash_image(&live, &before);
    within(buffer.erase(places(ids(&theirs)))).await.unwrap();
    let after = folder.path().join("after");
    crash_image(&live, &after);
    close(&buffer, keeper).await;
    // How the disk may look on the way: (folder of the database, its copy, what was made of the old one).
    let steps: [(&str, &[(&str, &str)]); 5] = [
        ("a copy begun", &[("before", "buffer"), ("torn", "buffer.new")]),
        ("a copy done", &[("before", "buffer"), ("after", "buffer.new")]),
        ("the old one moved", &[("before", "buffer.old"), ("after", "buffer.new")]),
        ("the new one in place", &[("after", "buffer"), ("before", "buffer.old")]),
        ("the old one half removed", &[("after", "buffer"), ("torn", "buffer.old")]),
    ];
    for (step, parts) in steps {
        let image = folder.path().join("image");
        crash_image(&before, &image);
        std::fs::remove_dir_all(image.join("buffer")).unwrap();
        for (from, to) in parts {
            if *from == "torn" {
                std::fs::create_dir_all(image.join(to)).unwrap();
                let half = std::fs::read(before.join("buffer/db")).unwrap();
                std::fs::write(image.join(to).join("db"), &half[..half.len() / 2]).unwrap();
            } else {
                crash_image(&folder.path().join(from).join("buffer"), &image.join(to));
            }
        }
        let (buffer, keeper) = open(&image, ROOMY).unwrap();
        assert!(!image.join("quarantine").exists(), "{step}");
        let there = without_gaps(&buffer).await;
        let left = there.iter().filter(|entry| has(&theirs, entry.id)).count();
        assert!(left == 0 || left == theirs.len(), "{step}: {left}");
        assert!(rest.iter().all(|entry| has(&there, entry.id)), "{step}");
        // Asked for again.
        within(buffer.erase(places(ids(&theirs)))).await.unwrap();
        // What is told comes with the commit behind.
        for second in 9000..9003 {
            append_all(&buffer, [reading(3, second)]).await;
        }
        let gaps = told(&read_all(&buffer).await.into_iter().filter(|entry| {
            !matches!(&entry.fact, Fact::Event(Event { kind: EventKind::Gap { reason, .. }, .. }) if *reason == GapReason::UncleanStop)
        }).collect::<Vec<_>>());
        assert_eq!(gaps.len(), 1, "{step}: told once, {gaps:?}");
        close(&buffer, keeper).await;
        nothing_is_left(&image, &theirs, &rest);
        std::fs::remove_dir_all(&image).unwrap();
    }
}

#[tokio::test]
async fn a_database_of_format_1_is_made_anew_without_what_is_erased() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/buffer/format-1.tar.gz");
    let tar = std::process::Command::new("tar")
        .arg("xzf")
        .arg(fixtures)
        .arg("-C")
        .arg(folder.path())
        .status();
    assert!(tar.unwrap().success());
    std::fs::remove_file(folder.path().join("readings.ndjson")).unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    let all = without_gaps(&buffer).await;
    let (theirs, rest): (Vec<Entry>, Vec<Entry>) =
        all.into_iter().partition(|entry| entry.id.0 % 3 == 0);
    within(buffer.erase(places(ids(&theirs)))).await.unwrap();
    let there = without_gaps(&buffer).await;
    assert!(!theirs.is_empty() && !rest.is_empty());
    assert_eq!(there, rest);
    close(&buffer, keeper).await;
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    assert_eq!(without_gaps(&buffer).await, rest);
    close(&buffer, keeper).await;
    for (path, entry) in carved(folder.path()) {
        assert!(
            theirs.binary_search_by_key(&entry.id, |e| e.id).is_err() || is_gap(&entry),
            "{path:?} {entry:?}"
        );
    }
}

#[tokio::test]
async fn while_a_damaged_database_is_kept_aside_nothing_is_erased_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    let (theirs, _) = filled(&buffer, room(0..100)).await;
    // One that nobody searches: it came after the start.
    let aside = folder.path().join("quarantine/0");
    crash_image(&folder.path().join("buffer"), &aside);
    let refused = within(buffer.erase(places(ids(&theirs)))).await;
    assert!(matches!(refused, Err(BufferError::PuttingBack)), "{refused:?}");
    assert!(without_gaps(&buffer).await.contains(&theirs[0]));
    close(&buffer, keeper).await;
    let inspect = Options { purpose: Purpose::Inspect, ..options(folder.path(), ROOMY) };
    let (buffer, keeper) = Buffer::open(&inspect, &clock()).unwrap();
    let refused = within(buffer.erase(Places::default())).await;
    assert!(matches!(refused, Err(BufferError::NotCollecting)), "{refused:?}");
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn what_was_read_before_it_was_erased_is_not_handed_on_and_not_kept_as_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    buffer.register("club").await.unwrap();
    let (theirs, rest) = filled(&buffer, room(0..100)).await;
    let in_hand = read_all(&buffer).await;
    let mut reader = buffer.reader();
    assert_eq!(reader.read(EntryId(0), EntryId(u64::MAX), 1).await.unwrap(), in_hand[..1]);
    let erasures = buffer.state().borrow().erasures;
    within(buffer.erase(places(ids(&theirs)))).await.unwrap();
    assert_eq!(buffer.state().borrow().erasures, erasures + 1);
    assert_eq!(buffer.not_erased(in_hand.clone()).await.unwrap(), rest);
    let ahead = reader.read(EntryId(0), EntryId(u64::MAX), usize::MAX).await.unwrap();
    assert!(ahead.iter().all(|entry| !theirs.contains(entry)), "read ahead");
    let refused = in_hand.into_iter().map(|entry| Rejected { entry, reason: "no".to_owned() });
    buffer.taken("club", Span::new(EntryId(0), rest.last().unwrap().id.plus(1)), refused.collect());
    append_all(&buffer, [reading(3, 200)]).await;
    let letters = buffer.letters(0, usize::MAX).await.unwrap();
    let there: Vec<Entry> = letters.into_iter().flat_map(|letter| letter.entries).collect();
    assert_eq!(there, rest);
    close(&buffer, keeper).await;
    nothing_is_left(folder.path(), &theirs, &rest);
}
