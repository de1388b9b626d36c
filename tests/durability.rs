//! What no state of the files may do: keep the buffer from opening, lose what can be read, or give out what was never
//! put in.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulsegate::buffer::{Buffer, BufferError, Cursor, Options, Purpose, Rejected, Span, record};
use pulsegate::format::samples::sample;
use pulsegate::normalize;
use pulsegate::reading::{Entry, EntryId, Event, EventKind, Fact, GapReason};
use support::{append_all, clock, close, crash_image, open, options, read_all, reading, within};

const ROOMY: u64 = 1 << 30;

fn is_reading(entry: &&Entry) -> bool {
    matches!(entry.fact, Fact::Reading(_))
}

fn gaps(entries: &[Entry], wanted: GapReason) -> Vec<(u64, u64)> {
    let gap = |entry: &Entry| match &entry.fact {
        Fact::Event(Event { kind: EventKind::Gap { first, last, reason, .. }, .. }) => {
            (*reason == wanted).then_some((first.0, last.0))
        }
        _ => None,
    };
    entries.iter().filter_map(gap).collect()
}

/// Waits until nothing is being put back any more.
async fn salvaged(buffer: &Buffer) {
    let mut state = buffer.state();
    within(state.wait_for(|state| state.salvaging_before.is_none())).await.unwrap();
    // What was told at its end has come back as entries.
    buffer.flush();
    within(buffer.responds()).await.unwrap();
}

#[tokio::test]
async fn a_database_of_format_1_is_read_and_written_on() {
    is_read_and_written_on("1").await;
}

#[tokio::test]
async fn a_database_of_format_2_is_read_and_written_on() {
    let folder = is_read_and_written_on("2").await;
    assert!(!folder.path().join("buffer/tail").exists(), "what is in it is in the database");
}

/// Stored by an earlier release, which was then killed.
async fn is_read_and_written_on(format: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/buffer");
    let archive = format!("{fixtures}/format-{format}.tar.gz");
    let status = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(folder.path()).status();
    assert!(status.unwrap().success());
    // What the file sink of that release had written.
    let lines = fs::read_to_string(folder.path().join("readings.ndjson")).unwrap();
    let expected: BTreeMap<u64, serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|sample| (sample["seq"].as_u64().unwrap(), sample))
        .collect();
    for round in 0..2 {
        let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
        let all = read_all(&buffer).await;
        let text = |entry: &Entry| {
            let outgoing = normalize::outgoing(entry.clone(), &Default::default());
            serde_json::to_value(sample(&format!("fixture-v{format}"), &outgoing)).unwrap()
        };
        for (seq, line) in &expected {
            let entry = all.iter().find(|entry| entry.id.0 == *seq);
            assert_eq!(entry.map(text).as_ref(), Some(line), "round {round}");
        }
        // That release was killed: its sink had had everything up to here.
        let cursor = buffer.register("archive").await.unwrap();
        assert!(cursor.next.0 <= expected.keys().last().unwrap() + 1, "{cursor:?}");
        let state = buffer.state().borrow().clone();
        let verified = buffer.verify().await.unwrap();
        assert_eq!((state.bytes, state.entries), (verified.bytes, verified.entries));
        append_all(&buffer, (0..10).map(|n| reading(0, n))).await;
        close(&buffer, keeper).await;
    }
    folder
}

#[tokio::test]
async fn a_chunk_that_makes_no_sense_is_passed_over_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    let entries = append_all(&buffer, (0..2000).map(|n| reading(0, n))).await;
    close(&buffer, keeper).await;
    let (first, count) = {
        let db = sled::open(folder.path().join("buffer")).unwrap();
        // The second chunk of readings: its one strap gets a number that no strap has, under a fitting checksum.
        let (key, value) = db.range([1]..[2]).nth(1).unwrap().unwrap();
        let mut bytes = value.to_vec();
        let strap = bytes.windows(8).position(|bytes| bytes == b"9F6E0000").unwrap();
        bytes[strap + 8 + 2] = 0xFF;
        let crc = crc32fast::hash(&bytes[8..]).to_le_bytes();
        bytes[4..8].copy_from_slice(&crc);
        db.insert(&key, bytes.clone()).unwrap();
        db.flush().unwrap();
        let header = record::header(&bytes).unwrap();
        (header.first, u64::from(header.count))
    };
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    let bad = first.0..first.0 + count;
    for _ in 0..2 {
        let all = read_all(&buffer).await;
        let expected = entries.iter().filter(|entry| !bad.contains(&entry.id.0));
        assert!(expected.eq(all.iter().filter(|entry| entry.id.0 < 2000)));
        // What the read has said comes before this.
        append_all(&buffer, [reading(0, 9000)]).await;
        append_all(&buffer, [reading(0, 9001)]).await;
    }
    assert_eq!(gaps(&read_all(&buffer).await, GapReason::Damaged), [(bad.start, bad.end - 1)]);
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    append_all(&buffer, [reading(0, 0)]).await;
    close(&buffer, keeper).await;
    {
        let db = sled::open(folder.path().join("buffer")).unwrap();
        db.insert(b"\0format", &99u64.to_be_bytes()).unwrap();
        db.flush().unwrap();
    }
    let refused = open(folder.path(), ROOMY).map(|_| ());
    assert!(matches!(refused, Err(BufferError::TooNew { found: 99, .. })), "{refused:?}");
    assert!(folder.path().join("buffer/db").exists());
    assert!(!folder.path().join("quarantine").exists());
}

#[tokio::test]
async fn a_torn_snapshot_does_not_keep_the_log_from_opening() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..3 {
        let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
        assert_eq!(read_all(&buffer).await, expected);
        expected.extend(append_all(&buffer, (0..100).map(|n| reading(round, n))).await);
        close(&buffer, keeper).await;
        let database = folder.path().join("buffer");
        fs::write(database.join("snap.0000000000001234.generating"), b"torn").unwrap();
        if round == 1 {
            // And one whose content is torn.
            fs::write(database.join("snap.00000000000FFFFF"), b"torn, too").unwrap();
        }
    }
    assert!(!folder.path().join("quarantine").exists(), "nothing had to be set aside");
}

/// Fills a log and leaves it as a crash does; a sink has had the first third.
async fn filled(folder: &Path, readings: u64) -> Vec<Entry> {
    let live = folder.join("live");
    let (buffer, keeper) = open(&live, ROOMY).unwrap();
    buffer.register("club").await.unwrap();
    let mut entries = Vec::new();
    for from in (0..readings).step_by(50) {
        entries.extend(append_all(&buffer, (from..from + 50).map(|n| reading(1, n))).await);
        if from % 1000 == 0 {
            let kind = EventKind::Started { version: from.to_string() };
            entries.extend(
                append_all(&buffer, [Fact::Event(Event { at: clock().now(), kind })]).await,
            );
        }
    }
    buffer.taken("club", Span::new(EntryId(0), EntryId(readings / 3)), Vec::new());
    buffer.flush();
    within(buffer.responds()).await.unwrap();
    append_all(&buffer, [reading(1, readings)]).await;
    close(&buffer, keeper).await;
    fs::remove_dir_all(folder.join("crashed")).ok();
    crash_image(&live, &folder.join("crashed"));
    entries
}

fn database(folder: &Path) -> PathBuf {
    folder.join("crashed/buffer/db")
}

/// Opens a damaged folder and looks at all that comes out. Returns how many of the wanted entries came back.
async fn opened_after_damage(folder: &Path, expected: &[Entry], what: &str) -> usize {
    let crashed = folder.join("crashed");
    let (buffer, keeper) = open(&crashed, ROOMY).unwrap();
    // Collecting goes on at once, with numbers that were never used.
    let fresh = append_all(&buffer, [reading(9, 0)]).await;
    let newest = expected.last().unwrap().id;
    assert!(fresh[0].id > newest, "{what}: {} is not behind {newest}", fresh[0].id);
    salvaged(&buffer).await;
    let all = read_all(&buffer).await;
    let by_id: BTreeMap<EntryId, &Fact> = expected.iter().map(|e| (e.id, &e.fact)).collect();
    assert!(all.is_sorted_by_key(|entry| entry.id), "{what}");
    for entry in all.iter().filter(|entry| entry.id <= newest) {
        assert_eq!(by_id.get(&entry.id), Some(&&entry.fact), "{what}: never a wrong value");
    }
    let cursor = buffer.register("club").await.unwrap();
    let wanted: Vec<&Entry> = expected.iter().filter(|e| cursor.wants(e.id)).collect();
    let there = wanted.iter().filter(|e| all.binary_search_by_key(&e.id, |e| e.id).is_ok()).count();
    // What is missing is told.
    let told = gaps(&all, GapReason::Damaged);
    let quarantined = !told.is_empty();
    for entry in wanted.iter().filter(|e| quarantined && !all.iter().any(|a| a.id == e.id)) {
        let told = told.iter().any(|(first, last)| (*first..=*last).contains(&entry.id.0));
        assert!(told, "{what}: {} is missing and not told", entry.id);
    }
    close(&buffer, keeper).await;
    // The second boot after the damage is as good as the first.
    let (buffer, keeper) = open(&crashed, ROOMY).unwrap();
    salvaged(&buffer).await;
    let again = read_all(&buffer).await;
    assert_eq!(again[..all.len()], all[..], "{what}: opened once more");
    let bad = buffer.verify().await.unwrap().bad;
    assert_eq!(bad, [], "{what}");
    close(&buffer, keeper).await;
    there * 1000 / wanted.len().max(1)
}

/// Thirty times: somewhere in the data file a bit flips, or a block is zeroed. The seed is fixed.
async fn damaged(name: &str, readings: u64, damage: impl Fn(&fs::File, u64)) {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path(), readings).await;
    let pristine = folder.path().join("pristine");
    crash_image(&folder.path().join("crashed"), &pristine);
    let mut random = fastrand::Rng::with_seed(1);
    let mut worst = 1000;
    let mut sum = 0;
    for round in 0..30 {
        fs::remove_dir_all(folder.path().join("crashed")).unwrap();
        crash_image(&pristine, &folder.path().join("crashed"));
        let file = fs::OpenOptions::new().write(true).read(true).open(database(folder.path()));
        let file = file.unwrap();
        let place = random.u64(..file.metadata().unwrap().len());
        damage(&file, place);
        drop(file);
        let what = format!("{name}, round {round}, at {place}");
        let there = opened_after_damage(folder.path(), &expected, &what).await;
        if there < 990 {
            println!("{what}: {there} of 1000");
        }
        worst = worst.min(there);
        sum += there;
    }
    println!("{name}: {} of 1000 back on average, {worst} at worst", sum / 30);
    assert!(sum / 30 >= 990, "{name}: {} of 1000 on average", sum / 30);
}

#[tokio::test]
async fn flipped_bits_never_give_a_wrong_value_and_cost_little() {
    damaged("a flipped bit", 20_000, |file, place| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << (place % 8))], place).unwrap();
    })
    .await;
}

#[tokio::test]
async fn zeroed_blocks_never_give_a_wrong_value_and_cost_little() {
    damaged("4 KiB of zeros", 20_000, |file, place| {
        file.write_all_at(&[0; 4096], place / 4096 * 4096).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_large_zeroed_block_never_gives_a_wrong_value() {
    // In a smaller log that is too large a part of all there is.
    damaged("64 KiB of zeros", 80_000, |file, place| {
        file.write_all_at(&[0; 65_536], place / 4096 * 4096).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_data_file_of_noise_is_set_aside_and_collecting_begins_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path(), 2000).await;
    let length = fs::metadata(database(folder.path())).unwrap().len();
    let noise: Vec<u8> = {
        let mut random = fastrand::Rng::with_seed(2);
        std::iter::repeat_with(|| random.u8(..)).take(length as usize).collect()
    };
    fs::write(database(folder.path()), noise).unwrap();
    // And the chunks that the database had not taken yet.
    fs::write(folder.path().join("crashed/buffer/journal"), [0x5A; 131_072]).unwrap();
    let there = opened_after_damage(folder.path(), &expected, "noise").await;
    assert_eq!(there, 0);
    assert!(fs::read_dir(folder.path().join("crashed/quarantine")).unwrap().next().is_none());
}

#[tokio::test]
async fn a_damaged_database_without_the_file_beside_it_gives_back_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path(), 5000).await;
    let file = fs::OpenOptions::new().write(true).open(database(folder.path())).unwrap();
    file.write_all_at(&[0; 4096], 0).unwrap();
    fs::remove_file(folder.path().join("crashed/cursors")).unwrap();
    // Four starts that got no further.
    fs::write(folder.path().join("crashed/opening"), [4]).unwrap();
    let there = opened_after_damage(folder.path(), &expected, "no cursors").await;
    assert!(there >= 900, "{there} of 1000");
}

#[tokio::test]
async fn a_daemon_that_dies_each_time_it_opens_its_database_sets_it_aside() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path(), 2000).await;
    // Four starts that got no further.
    fs::write(folder.path().join("crashed/opening"), [4]).unwrap();
    let there = opened_after_damage(folder.path(), &expected, "four deaths").await;
    assert_eq!(there, 1000, "all of it was carved out");
    assert!(!folder.path().join("crashed/opening").exists());
}

#[tokio::test]
async fn what_every_destination_has_had_is_not_put_back() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 6000).await;
    // Four starts that got no further.
    fs::write(folder.path().join("crashed/opening"), [4]).unwrap();
    let (buffer, keeper) = open(&folder.path().join("crashed"), ROOMY).unwrap();
    append_all(&buffer, [reading(9, 0)]).await;
    salvaged(&buffer).await;
    let all = read_all(&buffer).await;
    let oldest = all.iter().find(is_reading).unwrap().id.0;
    // Chunk by chunk: the one that the cursor stands in is put back whole.
    assert!((1000..=2000).contains(&oldest), "{oldest}");
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn inspecting_a_damaged_folder_is_an_error_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), 2000).await;
    let file = fs::OpenOptions::new().write(true).open(database(folder.path())).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xA5; length as usize], 0).unwrap();
    let crashed = folder.path().join("crashed");
    let inspect = Options { purpose: Purpose::Inspect, ..options(&crashed, ROOMY) };
    let refused = Buffer::open(&inspect, &clock()).map(|_| ());
    assert!(matches!(refused, Err(BufferError::Damaged { .. })), "{refused:?}");
    assert!(!crashed.join("quarantine").exists());
    // And an empty folder is not made into one with a buffer.
    let empty = Options { data_dir: folder.path().join("nothing"), ..inspect };
    assert!(Buffer::open(&empty, &clock()).is_err());
    assert!(!folder.path().join("nothing/buffer").exists());
}

#[tokio::test]
async fn inspecting_changes_nothing_and_takes_nothing_in() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path(), 2000).await;
    let inspect =
        Options { purpose: Purpose::Inspect, ..options(&folder.path().join("live"), ROOMY) };
    for _ in 0..2 {
        let (buffer, keeper) = Buffer::open(&inspect, &clock()).unwrap();
        assert_eq!(read_all(&buffer).await[..expected.len()], expected[..]);
        assert!(matches!(buffer.append(reading(0, 0)).await, Err(BufferError::NotCollecting)));
        close(&buffer, keeper).await;
    }
    let (buffer, keeper) = open(&folder.path().join("live"), ROOMY).unwrap();
    let all = read_all(&buffer).await;
    assert_eq!(gaps(&all, GapReason::UncleanStop), []);
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_new_database_holds_all_that_the_old_one_held() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    buffer.register("club").await.unwrap();
    let mut expected = append_all(&buffer, (0..5000).map(|n| reading(0, n))).await;
    let rejected = Rejected { entry: expected[3].clone(), reason: "no".to_owned() };
    buffer.taken("club", Span::new(EntryId(0), EntryId(700)), vec![rejected]);
    within(buffer.rotate()).await.unwrap();
    assert_eq!(read_all(&buffer).await, expected);
    expected.extend(append_all(&buffer, (0..100).map(|n| reading(1, n))).await);
    close(&buffer, keeper).await;
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    assert_eq!(read_all(&buffer).await, expected);
    assert_eq!(buffer.register("club").await.unwrap(), Cursor::at(EntryId(700)));
    assert_eq!(buffer.letters(0, 10).await.unwrap()[0].entries, expected[3..4]);
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_rotation_that_was_cut_short_anywhere_leaves_one_whole_database() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path(), 1000).await;
    let whole = folder.path().join("crashed/buffer");
    // What is there when the power goes: before the first rename, between the two, after the second.
    let torn = |to: &Path| {
        fs::create_dir_all(to).unwrap();
        fs::write(to.join("db"), b"half a copy").unwrap();
    };
    for (step, place) in
        [("buffer", "buffer.new"), ("buffer.new", "buffer.old"), ("buffer", "buffer.old")]
    {
        let image = folder.path().join(format!("{step}-{place}"));
        crash_image(&folder.path().join("crashed"), &image);
        fs::rename(image.join("buffer"), image.join(step)).unwrap();
        match place {
            "buffer.new" => torn(&image.join(place)),
            old => crash_image(&whole, &image.join(old)),
        }
        let (buffer, keeper) = open(&image, ROOMY).unwrap();
        assert_eq!(read_all(&buffer).await[..expected.len()], expected[..], "{step} {place}");
        close(&buffer, keeper).await;
        let left = |name: &str| image.join(name).exists();
        assert!(!left("buffer.new") && !left("buffer.old") && !left("quarantine"));
    }
}

#[tokio::test]
async fn copying_a_large_database_shows_that_it_gets_on() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    // Two megabytes and more.
    for from in (0..300_000).step_by(10_000) {
        append_all(&buffer, (from..from + 10_000).map(|n| reading(1, n))).await;
    }
    let before = buffer.pieces_done();
    within(buffer.rotate()).await.unwrap();
    assert!(buffer.pieces_done() >= before + 2, "{}", buffer.pieces_done() - before);
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn refused_entries_are_kept_apart_and_come_again_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    buffer.register("club").await.unwrap();
    let entries = append_all(&buffer, (0..10).map(|n| reading(0, n))).await;
    let refuse =
        |n: usize, reason: &str| Rejected { entry: entries[n].clone(), reason: reason.to_owned() };
    let refused = vec![refuse(2, "too old"), refuse(5, "too old"), refuse(7, "no such strap")];
    buffer.taken("club", Span::new(EntryId(0), EntryId(10)), refused);
    append_all(&buffer, [reading(0, 11)]).await;
    close(&buffer, keeper).await;

    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    let letters = buffer.letters(0, 10).await.unwrap();
    let told: Vec<_> = letters.iter().map(|l| (l.reason.as_str(), l.entries.len())).collect();
    assert_eq!(told, [("too old", 2), ("no such strap", 1)]);
    assert_eq!(buffer.state().borrow().letters["club"].kept, 3);
    assert_eq!(buffer.requeued("club").await.unwrap(), None);
    assert_eq!(buffer.requeue(Some("other")).await.unwrap(), 0);
    assert_eq!(buffer.requeue(Some("club")).await.unwrap(), 3);
    let first = buffer.requeued("club").await.unwrap().unwrap();
    assert_eq!(first.entries, [entries[2].clone(), entries[5].clone()]);
    // One of the two is refused again.
    buffer.settle(&first, vec![refuse(5, "still too old")]);
    let second = buffer.requeued("club").await.unwrap().unwrap();
    buffer.settle(&second, Vec::new());
    assert_eq!(buffer.requeued("club").await.unwrap(), None);
    append_all(&buffer, [reading(0, 12)]).await;
    close(&buffer, keeper).await;

    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    let letters = buffer.letters(0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].reason.as_str(), &letters[0].entries[..]),
        ("still too old", &entries[5..6])
    );
    let counted = buffer.state().borrow().letters["club"];
    assert_eq!((counted.kept, counted.requeued), (1, 0));
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn refused_entries_outlive_a_damaged_database() {
    let folder = tempfile::tempdir().unwrap();
    let expected = filled(folder.path(), 5000).await;
    let crashed = folder.path().join("crashed");
    let refused: Vec<Rejected> = (1..4)
        .map(|n| Rejected { entry: expected[n * 100].clone(), reason: format!("no {n}") })
        .collect();
    {
        let (buffer, keeper) = open(&crashed, ROOMY).unwrap();
        buffer.taken("club", Span::new(EntryId(0), EntryId(1000)), refused.clone());
        close(&buffer, keeper).await;
    }
    // The head of the first segment: the database does not open, or without much of what was in it.
    let file = fs::OpenOptions::new().write(true).open(database(folder.path())).unwrap();
    file.write_all_at(&[0; 8192], 0).unwrap();
    for round in 0..2 {
        let (buffer, keeper) = open(&crashed, ROOMY).unwrap();
        append_all(&buffer, [reading(1, 6000 + round)]).await;
        salvaged(&buffer).await;
        let mut letters = buffer.letters(0, 10).await.unwrap();
        letters.sort_by(|a, b| a.reason.cmp(&b.reason));
        let there = letters.iter().map(|letter| (&letter.reason, &letter.entries[..]));
        assert!(there.eq(refused.iter().map(|r| (&r.reason, std::slice::from_ref(&r.entry)))));
        assert_eq!(buffer.state().borrow().letters["club"].kept, 3);
        assert!(fs::read_dir(crashed.join("quarantine")).unwrap().next().is_none());
        close(&buffer, keeper).await;
    }
}

#[tokio::test]
async fn rewinding_moves_a_cursor_back_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    buffer.register("club").await.unwrap();
    let entries = append_all(&buffer, (0..3000).map(|n| reading(0, n))).await;
    buffer.taken("club", Span::new(EntryId(0), EntryId(3000)), Vec::new());
    let at = |n: usize| entries[n].fact.at().unix_us();
    assert_eq!(buffer.place_at(at(1234)).await.unwrap(), EntryId(1234));
    assert_eq!(buffer.place_at(at(1234) - 1).await.unwrap(), EntryId(1234));
    assert_eq!(buffer.place_at(0).await.unwrap(), EntryId(0));
    assert_eq!(buffer.place_at(at(2999) + 1).await.unwrap(), EntryId(3000));
    let was = buffer.rewind("club", EntryId(1234)).await.unwrap();
    assert_eq!(was, Cursor::at(EntryId(3000)));
    assert_eq!(buffer.state().borrow().rewound["club"], 1);
    let unknown = buffer.rewind("nobody", EntryId(0)).await;
    assert!(matches!(unknown, Err(BufferError::NoSuchSink(_))), "{unknown:?}");
    close(&buffer, keeper).await;
    let (buffer, keeper) = open(folder.path(), ROOMY).unwrap();
    assert_eq!(buffer.register("club").await.unwrap(), Cursor::at(EntryId(1234)));
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn events_outlive_readings_when_the_log_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 64 << 10).unwrap();
    let mut events = Vec::new();
    for hour in 0..8 {
        let kind = EventKind::Started { version: format!("hour {hour}") };
        events.extend(append_all(&buffer, [Fact::Event(Event { at: clock().now(), kind })]).await);
        append_all(&buffer, (0..3600).map(|n| reading(0, hour * 3600 + n))).await;
    }
    append_all(&buffer, [reading(0, 40_000)]).await;
    let all = read_all(&buffer).await;
    assert!(all.iter().find(is_reading).unwrap().id > EntryId(3600), "readings made room");
    for event in events {
        assert!(all.contains(&event), "{event:?}");
    }
    close(&buffer, keeper).await;
}
