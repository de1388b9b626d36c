//! The buffer's promise: what is durable stays, ids are never reused, cursors hold, room is made in the open.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/buffer.rs"]
mod support;

use std::time::Duration;

use proptest::prelude::*;
use pulsegate::buffer::record::{CHUNK_MAX, ChunkBuilder, decode, header};
use pulsegate::buffer::{Buffer, BufferError, Cursor, Options, Purpose, Span};
use pulsegate::reading::{
    At, BootId, Class, ClockTrust, Contact, Entry, EntryId, Event, EventKind, Fact, GapReason,
    HeartRate, Measurement, Reading, RrInterval, Source, StrapId,
};
use support::{append_all, clock, close, crash_image, open, options, read_all, reading, within};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_reading_takes_at_most_ten_bytes() {
    for straps in [1, 20] {
        let folder = tempfile::tempdir().unwrap();
        let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
        let seconds = 3600 / straps as u64;
        let facts =
            (0..seconds).flat_map(|second| (0..straps).map(move |strap| reading(strap, second)));
        // Committed second by second, as it happens.
        let mut count = 0;
        for chunk in facts.collect::<Vec<_>>().chunks(straps) {
            count += append_all(&buffer, chunk.to_vec()).await.len();
        }
        let bytes = buffer.state().borrow().bytes;
        let each = bytes as f64 / count as f64;
        println!("{straps} straps: {each:.2} bytes a reading");
        assert!(each <= 10.0, "{straps} straps: {each} bytes a reading");
        close(&buffer, keeper).await;
    }
}

#[tokio::test]
async fn reading_in_pieces_while_more_comes_in_gives_what_one_read_gives() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    // More readers than their left-overs are kept of; each takes pieces of another size.
    let mut readers: Vec<Vec<Entry>> = vec![Vec::new(); 6];
    for round in 0..60 {
        let facts = (0..70usize).map(|n| match reading(n % 23, round * 4 + n as u64 / 23) {
            Fact::Reading(Reading { strap, at, .. }) if n % 23 == 22 => {
                let kind = EventKind::StrapLost { strap, reason: "out of range".into() };
                Fact::Event(Event { at, kind })
            }
            reading => reading,
        });
        append_all(&buffer, facts).await;
        for (n, taken) in readers.iter_mut().enumerate() {
            let from = taken.last().map_or(EntryId(0), |entry| entry.id.plus(1));
            // Some fall behind, some are up with the newest, and one also stops at a place.
            let end = if n == 5 { from.plus(50) } else { EntryId(u64::MAX) };
            for piece in [1 + n * 13, 9 + n] {
                let from = taken.last().map_or(EntryId(0), |entry| entry.id.plus(1));
                taken.extend(buffer.read(from, end, piece).await.unwrap());
            }
        }
    }
    let all = read_all(&buffer).await;
    assert_eq!(all.len(), 60 * 70);
    for (n, mut taken) in readers.into_iter().enumerate() {
        assert_eq!(taken, all[..taken.len()], "reader {n}");
        while taken.len() < all.len() {
            let from = taken.last().unwrap().id.plus(1);
            taken.extend(buffer.read(from, EntryId(u64::MAX), 37).await.unwrap());
        }
        assert_eq!(taken, all, "reader {n}");
        // Once more from the middle, where something else was left over.
        let again = buffer.read(all[1000].id, EntryId(u64::MAX), 500).await.unwrap();
        assert_eq!(again, all[1000..1500], "reader {n}");
    }
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn what_was_durable_is_there_after_reopening_and_ids_go_on_without_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..4 {
        let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
        assert_eq!(read_all(&buffer).await, expected, "round {round}");
        expected.extend(append_all(&buffer, (0..500).map(|n| reading(round, n))).await);
        assert_eq!(read_all(&buffer).await, expected, "round {round}");
        close(&buffer, keeper).await;
    }
    let ids: Vec<u64> = expected.iter().map(|entry| entry.id.0).collect();
    assert_eq!(ids, (0..2000).collect::<Vec<_>>());
    let blobs = std::fs::read_dir(folder.path().join("buffer/blobs")).unwrap().count();
    assert_eq!(blobs, 0, "values so large that sled keeps them in files it never syncs");
}

#[tokio::test]
async fn after_a_crash_no_id_is_used_again_and_the_gap_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(&folder.path().join("live"), 1 << 30).unwrap();
    let expected = append_all(&buffer, (0..100).map(|n| reading(0, n))).await;
    // Given out, perhaps seen by a dashboard, and not committed when the crash comes.
    let unsafe_id = buffer.append(reading(0, 100)).await.unwrap();
    let crashed = folder.path().join("crashed");
    crash_image(&folder.path().join("live"), &crashed);
    close(&buffer, keeper).await;

    let (buffer, keeper) = open(&crashed, 1 << 30).unwrap();
    let after = append_all(&buffer, [reading(0, 200)]).await;
    let all = read_all(&buffer).await;
    assert_eq!(all[..100], expected[..]);
    let first = EntryId(100);
    let gap = all.iter().find_map(|entry| match &entry.fact {
        Fact::Event(Event { kind: EventKind::Gap { first, last, reason, .. }, .. }) => {
            Some((*first, *last, *reason))
        }
        _ => None,
    });
    let (gap_first, gap_last, reason) = gap.unwrap();
    assert_eq!((gap_first, reason), (first, GapReason::UncleanStop));
    assert!(
        gap_last >= unsafe_id && after[0].id > gap_last,
        "{gap_last} {unsafe_id} {}",
        after[0].id
    );
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn cursors_are_kept_and_a_new_sink_begins_with_the_oldest_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    append_all(&buffer, (0..100).map(|n| reading(0, n))).await;
    assert_eq!(buffer.register("club").await.unwrap(), Cursor::at(EntryId(0)));
    buffer.taken("club", Span::new(EntryId(0), EntryId(40)), Vec::new());
    buffer.taken("club", Span::new(EntryId(0), EntryId(30)), Vec::new());
    close(&buffer, keeper).await;

    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    assert_eq!(buffer.register("club").await.unwrap(), Cursor::at(EntryId(40)), "never backwards");
    assert_eq!(buffer.register("new").await.unwrap(), Cursor::at(EntryId(0)));
    close(&buffer, keeper).await;

    // The database is gone, the copy of the cursors is not: ids and cursors go on.
    std::fs::remove_dir_all(folder.path().join("buffer")).unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    assert_eq!(buffer.register("club").await.unwrap(), Cursor::at(EntryId(40)));
    let after = append_all(&buffer, [reading(0, 0)]).await;
    assert!(after[0].id >= EntryId(100), "{:?}", after[0].id);
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_full_log_drops_its_oldest_and_tells_whoever_had_not_taken_them() {
    let folder = tempfile::tempdir().unwrap();
    let max_bytes = 64 << 10;
    let (buffer, keeper) = open(folder.path(), max_bytes).unwrap();
    buffer.register("slow").await.unwrap();
    for hour in 0..10 {
        append_all(&buffer, (hour * 3600..(hour + 1) * 3600).map(|n| reading(0, n))).await;
    }
    // The gap of the last commit is told with the one after it.
    for second in 0..2 {
        append_all(&buffer, [reading(0, 40_000 + second)]).await;
    }
    let state = buffer.state().borrow().clone();
    assert!(state.bytes <= max_bytes + CHUNK_MAX as u64, "{}", state.bytes);
    assert!(state.oldest > EntryId(0));
    let all = read_all(&buffer).await;
    let is_reading = |entry: &&Entry| matches!(entry.fact, Fact::Reading(_));
    assert_eq!(all.iter().find(is_reading).unwrap().id, state.oldest);
    let gaps: Vec<(u64, u64, u64)> = all
        .iter()
        .filter_map(|entry| match &entry.fact {
            Fact::Event(Event {
                kind: EventKind::Gap { first, last, count, reason: GapReason::BufferFull },
                ..
            }) => Some((first.0, last.0, count.unwrap())),
            _ => None,
        })
        .collect();
    // Every reading before the oldest is told, once; the events among them are still there.
    assert_eq!(gaps.first().unwrap().0, 0);
    assert_eq!(gaps.last().unwrap().1 + 1, state.oldest.0, "{gaps:?}");
    assert!(gaps.windows(2).all(|pair| pair[0].1 < pair[1].0), "{gaps:?}");
    let events_before = all.iter().filter(|entry| entry.id < state.oldest).count() as u64;
    let told: u64 = gaps.iter().map(|(.., count)| count).sum();
    assert_eq!((told, state.lost["slow"]), (state.oldest.0 - events_before, told));
    close(&buffer, keeper).await;

    let (buffer, keeper) = open(folder.path(), max_bytes).unwrap();
    let verified = buffer.verify().await.unwrap();
    let state = buffer.state().borrow().clone();
    assert_eq!((state.bytes, state.entries), (verified.bytes, verified.entries), "{verified:?}");
    assert_eq!(verified.bad, []);
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_sink_of_an_earlier_run_loses_nothing_when_the_log_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let max_bytes = 64 << 10;
    let (buffer, keeper) = open(folder.path(), max_bytes).unwrap();
    buffer.register("taken-out").await.unwrap();
    append_all(&buffer, [reading(0, 0)]).await;
    close(&buffer, keeper).await;
    let (buffer, keeper) = open(folder.path(), max_bytes).unwrap();
    for hour in 0..6 {
        append_all(&buffer, (hour * 3600..(hour + 1) * 3600).map(|n| reading(0, n))).await;
    }
    for second in 0..2 {
        append_all(&buffer, [reading(0, 40_000 + second)]).await;
    }
    assert!(buffer.state().borrow().oldest > EntryId(0), "it was full");
    let is_gap = |entry: &Entry| matches!(&entry.fact, Fact::Event(event) if matches!(event.kind, EventKind::Gap { .. }));
    assert!(!read_all(&buffer).await.iter().any(is_gap), "nobody who is there has lost anything");
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_new_log_begins_where_it_is_told_and_an_old_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let open_at = |first| {
        let options = Options { first: EntryId(first), ..options(folder.path(), 1 << 20) };
        Buffer::open(&options, &clock()).unwrap()
    };
    let (buffer, keeper) = open_at(7 << 32);
    assert_eq!(append_all(&buffer, [reading(0, 0)]).await[0].id, EntryId(7 << 32));
    close(&buffer, keeper).await;
    let (buffer, mut keeper) = open_at(9 << 32);
    assert_eq!(append_all(&buffer, [reading(0, 1)]).await[0].id, EntryId((7 << 32) + 1));
    buffer.close();
    keeper.ended().await.unwrap();
    // Asked again on the way out of the daemon: told once, and no panic.
    keeper.ended().await.unwrap();
    keeper.join();
}

#[tokio::test]
async fn a_second_daemon_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 20).unwrap();
    let second = open(folder.path(), 1 << 20).map(|_| ());
    assert!(matches!(second, Err(BufferError::InUse { .. })), "{second:?}");
    close(&buffer, keeper).await;
}

#[tokio::test]
async fn a_closed_buffer_says_so_and_an_oversized_entry_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 20).unwrap();
    let Fact::Reading(mut huge) = reading(0, 0) else { unreachable!() };
    if let Measurement::HeartRate(heart_rate) = &mut huge.measurement {
        heart_rate.rr = vec![RrInterval(65_535); 5000];
    }
    assert!(matches!(buffer.append(Fact::Reading(huge)).await, Err(BufferError::TooLarge(_))));
    append_all(&buffer, [reading(0, 1)]).await;
    close(&buffer, keeper).await;
    assert!(matches!(buffer.append(reading(0, 2)).await, Err(BufferError::Closed)));
    assert!(matches!(buffer.read(EntryId(0), EntryId(1), 1).await, Err(BufferError::Closed)));
}

#[tokio::test]
async fn a_commit_comes_by_itself_once_its_time_is_up_and_not_before() {
    for (commit_every, by_itself) in [(Duration::from_millis(300), true), (HOUR, false)] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { commit_every, ..options(folder.path(), 1 << 30) };
        let (buffer, keeper) = Buffer::open(&options, &clock()).unwrap();
        // The first one is not waited with.
        append_all(&buffer, [reading(0, 0)]).await;
        let started = std::time::Instant::now();
        let id = buffer.append(reading(0, 1)).await.unwrap();
        within(buffer.responds()).await.unwrap();
        let waits = buffer.state().borrow().committed <= id;
        assert!(waits || started.elapsed() >= commit_every);
        if by_itself {
            within(buffer.durable(id)).await.unwrap();
        }
        close(&buffer, keeper).await;
    }
}

#[tokio::test]
async fn more_than_fits_into_memory_waits_and_arrives_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for strap in 0..8 {
        let buffer = buffer.clone();
        writers.spawn(async move {
            for second in 0..5000 {
                buffer.append(reading(strap, second)).await.unwrap();
            }
        });
    }
    within(writers.join_all()).await;
    buffer.flush();
    within(buffer.durable(EntryId(39_999))).await.unwrap();
    let all = read_all(&buffer).await;
    assert!(all.iter().map(|entry| entry.id.0).eq(0..40_000));
    for strap in 0..8 {
        let own = all.iter().filter(|entry| match &entry.fact {
            Fact::Reading(own) => own.strap.as_str().ends_with(&format!("{strap}")),
            Fact::Event(_) => false,
        });
        let expected = (0..5000).map(|second| reading(strap, second));
        assert!(own.map(|entry| entry.fact.clone()).eq(expected), "strap {strap}");
    }
    close(&buffer, keeper).await;
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let at = (0..4u64, any::<u32>(), 0..2i64).prop_map(|(trust, mono, offset)| At {
        boot: BootId(1),
        mono_us: u64::from(mono),
        wall_offset_us: offset,
        trust: if trust == 0 { ClockTrust::Restored } else { ClockTrust::Synced },
    });
    let heart_rate = (
        any::<u16>(),
        prop_oneof![Just(Contact::Unknown), Just(Contact::NotWorn), Just(Contact::Worn)],
        proptest::option::of(any::<u16>()),
        proptest::collection::vec(any::<u16>().prop_map(RrInterval), 0..12),
        prop_oneof![Just(Source::Link), Just(Source::Broadcast)],
    )
        .prop_map(|(bpm, contact, energy_kj, rr, source)| {
            Measurement::HeartRate(HeartRate { bpm, contact, energy_kj, rr, source })
        });
    let measurement = prop_oneof![9 => heart_rate, 1 => (0..=100u8).prop_map(Measurement::Battery)];
    let strap = (0..300u32).prop_map(|n| StrapId::new(&format!("S{n}")).unwrap());
    let kind = prop_oneof![
        "[a-zäöü \"\\\\]{0,40}"
            .prop_map(|reason| EventKind::StrapLost { strap: StrapId::new("S1").unwrap(), reason }),
        any::<(u64, u64, Option<u64>)>().prop_map(|(first, last, count)| EventKind::Gap {
            count,
            first: EntryId(first),
            last: EntryId(last),
            reason: GapReason::BufferFull
        }),
    ];
    (at, strap, measurement, proptest::option::weighted(0.1, kind)).prop_map(
        |(at, strap, measurement, kind)| match kind {
            Some(kind) => Fact::Event(Event { at, kind }),
            None => Fact::Reading(Reading { strap, at, measurement }),
        },
    )
}

/// Packs facts into as many chunks as they need, a class at a time; every seventh id is followed by unused ones.
fn pack(facts: &[Fact]) -> (Vec<Entry>, Vec<Vec<u8>>) {
    let ids = (0..facts.len() as u64).map(|n| EntryId(n + n / 7 * 1000));
    let entries: Vec<Entry> =
        ids.zip(facts).map(|(id, fact)| Entry { id, fact: fact.clone() }).collect();
    let mut chunks = Vec::new();
    for class in Class::ALL {
        let mut chunk: Option<ChunkBuilder> = None;
        for Entry { id, fact } in entries.iter().filter(|entry| entry.fact.class() == class) {
            let mut open = chunk.take().unwrap_or_else(|| ChunkBuilder::new(*id, fact));
            if !open.push(*id, fact) {
                chunks.push(open.bytes());
                open = ChunkBuilder::new(*id, fact);
                assert!(open.push(*id, fact));
            }
            chunk = Some(open);
        }
        chunks.extend(chunk.map(|chunk| chunk.bytes()));
    }
    (entries, chunks)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_unpacked(facts in proptest::collection::vec(any_fact(), 1..800)) {
        let (entries, chunks) = pack(&facts);
        prop_assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_MAX));
        let mut unpacked = Vec::new();
        for chunk in &chunks {
            let (header, entries) = (header(chunk).unwrap(), decode(chunk).unwrap());
            prop_assert_eq!(header.first, entries[0].id);
            prop_assert_eq!(header.last, entries.last().unwrap().id);
            prop_assert_eq!(usize::from(header.count), entries.len());
            unpacked.extend(entries);
        }
        unpacked.sort_by_key(|entry| entry.id);
        prop_assert_eq!(unpacked, entries);
    }

    #[test]
    fn damaged_chunks_are_refused_and_never_panic(
        facts in proptest::collection::vec(any_fact(), 1..60),
        place: prop::sample::Index,
        flip in 1..=255u8,
    ) {
        let (_, chunks) = pack(&facts);
        let mut bytes = chunks[0].clone();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(decode(&bytes).is_err());
        prop_assert!(decode(&bytes[..place]).is_err());
        // With a checksum that fits, contents may be anything.
        if bytes.len() > 8 {
            let crc = crc32(&bytes[8..]);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(mut bytes in proptest::collection::vec(any::<u8>(), 54..400)) {
        let _ = decode(&bytes);
        bytes[..4].copy_from_slice(b"PGc\x01");
        bytes[8] = 1 + bytes[8] % 2;
        let length = bytes.len() as u16;
        bytes[9..11].copy_from_slice(&length.to_le_bytes());
        let crc = crc32(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        let _ = decode(&bytes);
    }
}

/// CRC-32 (IEEE), bit by bit: another implementation than the one under test uses.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (0u32.wrapping_sub(crc & 1)))
        })
    })
}

#[tokio::test]
async fn a_log_killed_before_its_first_entry_goes_on_behind_what_was_set_aside() {
    for first in [EntryId(0), EntryId(7 << 32)] {
        let folder = tempfile::tempdir().unwrap();
        let (live, crashed) = (folder.path().join("live"), folder.path().join("crashed"));
        let with_first = |path: &std::path::Path| Options { first, ..options(path, 1 << 30) };
        let (buffer, keeper) = Buffer::open(&with_first(&live), &clock()).unwrap();
        crash_image(&live, &crashed);
        close(&buffer, keeper).await;
        let mut known = Vec::new();
        for _ in 0..3 {
            let (buffer, keeper) = Buffer::open(&with_first(&crashed), &clock()).unwrap();
            known.extend(append_all(&buffer, [reading(0, 1)]).await);
            let all = read_all(&buffer).await;
            assert!(known.iter().all(|entry| all.contains(entry)));
            let gaps: Vec<_> = all.iter().filter(|entry| !known.contains(entry)).collect();
            let [Entry { id, fact: Fact::Event(gap) }] = gaps[..] else { panic!("{gaps:?}") };
            let EventKind::Gap { first: begins, last, reason, .. } = &gap.kind else { panic!() };
            assert_eq!((*begins, last.plus(1), *reason), (first, *id, GapReason::UncleanStop));
            close(&buffer, keeper).await;
            // To look at it is enough to see whether anything is missing.
            let inspect = Options { purpose: Purpose::Inspect, ..with_first(&crashed) };
            let (buffer, keeper) = Buffer::open(&inspect, &clock()).unwrap();
            close(&buffer, keeper).await;
        }
    }
}
