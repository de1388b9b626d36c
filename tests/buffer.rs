//! The buffer's promise: what is durable stays, ids are never reused, cursors hold, room is made in the open.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use pulsegate::buffer::record::{CHUNK_MAX, ChunkBuilder, decode};
use pulsegate::buffer::{Buffer, BufferError, Keeper, Options};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::reading::{
    At, BootId, ClockTrust, Contact, Entry, EntryId, Event, EventKind, Fact, GapReason, HeartRate,
    Measurement, Reading, RrInterval, Source, StrapId,
};

const LIMIT: Duration = Duration::from_secs(60);

fn clock() -> Clock {
    Clock::new(SyncSource::Vouched).unwrap()
}

fn open(folder: &Path, max_bytes: u64) -> Result<(Buffer, Keeper), BufferError> {
    let options = Options {
        data_dir: folder.to_owned(),
        commit_every: Duration::from_millis(20),
        max_bytes,
        first: EntryId(0),
    };
    Buffer::open(&options, &clock())
}

async fn close(buffer: &Buffer, mut keeper: Keeper) {
    buffer.close();
    tokio::time::timeout(LIMIT, keeper.ended()).await.unwrap().unwrap();
    keeper.join();
}

/// A strap's reading at `second`, as an H10 sends it: one heart rate, one RR interval.
fn reading(strap: usize, second: u64) -> Fact {
    let jitter = (second * 7919 + strap as u64 * 104_729) % 30_000;
    let bpm = 120 + ((second / 3 + strap as u64) % 40) as u16;
    let rr = (61_440 / u64::from(bpm) + (second * 31) % 40) as u16;
    Fact::Reading(Reading {
        strap: StrapId::new(&format!("{:08X}", 0x9F6E_0000 + strap)).unwrap(),
        at: At {
            boot: BootId(7),
            mono_us: 1_000_000 * second + jitter + strap as u64 * 1000,
            wall_offset_us: 1_790_000_000_000_000,
            trust: ClockTrust::Synced,
        },
        measurement: Measurement::HeartRate(HeartRate {
            bpm,
            contact: Contact::Unknown,
            energy_kj: None,
            rr: vec![RrInterval(rr)],
            source: Source::Link,
        }),
    })
}

async fn append_all(buffer: &Buffer, facts: impl IntoIterator<Item = Fact>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for fact in facts {
        let id = tokio::time::timeout(LIMIT, buffer.append(fact.clone())).await.unwrap().unwrap();
        entries.push(Entry { id, fact });
    }
    if let Some(last) = entries.last() {
        buffer.flush();
        tokio::time::timeout(LIMIT, buffer.durable(last.id)).await.unwrap().unwrap();
    }
    entries
}

async fn read_all(buffer: &Buffer) -> Vec<Entry> {
    buffer.read(EntryId(0), usize::MAX).await.unwrap()
}

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

/// Copies the folder as a crash leaves it: files as they are, no lock, nothing closed.
fn crash_image(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            crash_image(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
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
        Fact::Event(Event { kind: EventKind::Gap { first, last, reason }, .. }) => {
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
    assert_eq!(buffer.register("club").await.unwrap(), EntryId(0));
    buffer.advance("club", EntryId(40));
    buffer.advance("club", EntryId(30));
    close(&buffer, keeper).await;

    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    assert_eq!(buffer.register("club").await.unwrap(), EntryId(40), "never backwards");
    assert_eq!(buffer.register("new").await.unwrap(), EntryId(0));
    close(&buffer, keeper).await;

    // The database is gone, the copy of the cursors is not: ids and cursors go on.
    std::fs::remove_dir_all(folder.path().join("buffer")).unwrap();
    let (buffer, keeper) = open(folder.path(), 1 << 30).unwrap();
    assert_eq!(buffer.register("club").await.unwrap(), EntryId(40));
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
    // "slow" had nothing, so its place moved on to behind what is gone.
    assert!(state.cursors["slow"] >= state.oldest);
    let all = read_all(&buffer).await;
    assert_eq!(all.first().unwrap().id, state.oldest);
    let gaps: Vec<(u64, u64)> = all
        .iter()
        .filter_map(|entry| match &entry.fact {
            Fact::Event(Event {
                kind: EventKind::Gap { first, last, reason: GapReason::BufferFull },
                ..
            }) => Some((first.0, last.0)),
            _ => None,
        })
        .collect();
    assert!(gaps.iter().any(|(_, last)| last + 1 == state.oldest.0), "{gaps:?} {}", state.oldest);
    assert!(gaps.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "gaps join up: {gaps:?}");
    close(&buffer, keeper).await;

    let (buffer, keeper) = open(folder.path(), max_bytes).unwrap();
    assert_eq!(
        buffer.state().borrow().bytes,
        state_bytes(&buffer).await,
        "the size is known after reopening"
    );
    close(&buffer, keeper).await;
}

/// The size of the stored chunks, as counting them anew gives it.
async fn state_bytes(buffer: &Buffer) -> u64 {
    let mut builder: Option<ChunkBuilder> = None;
    let mut bytes = 0;
    // Chunks are as long as they were when they were closed; rebuilding them in order gives the same ones.
    for entry in read_all(buffer).await {
        let mut chunk =
            builder.take().unwrap_or_else(|| ChunkBuilder::new(entry.id, entry.fact.at()));
        if !chunk.push(entry.id, &entry.fact) {
            bytes += chunk.bytes().len() as u64;
            chunk = ChunkBuilder::new(entry.id, entry.fact.at());
            assert!(chunk.push(entry.id, &entry.fact));
        }
        builder = Some(chunk);
    }
    bytes + builder.map_or(0, |chunk| chunk.bytes().len() as u64)
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
        let options = Options {
            data_dir: folder.path().to_owned(),
            commit_every: Duration::from_millis(20),
            max_bytes: 1 << 20,
            first: EntryId(first),
        };
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
    assert!(matches!(buffer.read(EntryId(0), 1).await, Err(BufferError::Closed)));
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
    tokio::time::timeout(LIMIT, writers.join_all()).await.unwrap();
    buffer.flush();
    tokio::time::timeout(LIMIT, buffer.durable(EntryId(39_999))).await.unwrap().unwrap();
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
        any::<(u64, u64)>().prop_map(|(first, last)| EventKind::Gap {
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

/// Packs facts into as many chunks as they need.
fn pack(facts: &[Fact]) -> (Vec<Entry>, Vec<Vec<u8>>) {
    let mut entries = Vec::new();
    let mut chunks = Vec::new();
    let mut chunk: Option<ChunkBuilder> = None;
    for (n, fact) in facts.iter().enumerate() {
        let id = EntryId(n as u64);
        let mut open = chunk.take().unwrap_or_else(|| ChunkBuilder::new(id, fact.at()));
        if !open.push(id, fact) {
            chunks.push(open.bytes());
            open = ChunkBuilder::new(id, fact.at());
            assert!(open.push(id, fact));
        }
        entries.push(Entry { id, fact: fact.clone() });
        chunk = Some(open);
    }
    chunks.extend(chunk.map(|chunk| chunk.bytes()));
    (entries, chunks)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_unpacked(facts in proptest::collection::vec(any_fact(), 1..800)) {
        let (entries, chunks) = pack(&facts);
        prop_assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_MAX));
        let unpacked: Vec<Entry> = chunks.iter().flat_map(|chunk| decode(chunk).unwrap()).collect();
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
        bytes[8] = 1;
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
