//! The supervisor over virtual straps, in virtual time: straps that drop out come back, and nothing is read twice.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pulsegate::ble::Started;
use pulsegate::ble::supervisor::{NoAdapter, Rules, Supervisor, Wanted};
use pulsegate::buffer::{Buffer, Options, Purpose};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::intake::Intake;
use pulsegate::live::Board;
use pulsegate::reading::{Entry, EntryId, EventKind, Fact, StrapId};
use pulsegate::simulate::{self, Settings};
use tokio_util::sync::CancellationToken;

/// Fewer readings than the buffer takes without a commit: its thread lives in real time, we do not.
const SECONDS: u64 = 300;
const STRAPS: usize = 20;

fn rules() -> Rules {
    Rules {
        connect: Wanted::All,
        ignore: BTreeSet::new(),
        links_per_adapter: STRAPS,
        broadcast: true,
        min_rssi_dbm: -100,
        silence: Duration::from_secs(15),
        no_adapter: NoAdapter::Fail,
    }
}

/// Runs straps for some minutes and returns what was kept.
async fn run(rules: Rules, settings: Settings) -> Vec<Entry> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(SyncSource::Vouched).unwrap();
    let options = Options {
        data_dir: folder.path().to_owned(),
        commit_every: Duration::from_millis(50),
        max_bytes: 1 << 30,
        max_age: None,
        sinks: Vec::new(),
        purpose: Purpose::Collect,
        first: EntryId(0),
    };
    let (buffer, mut keeper) = Buffer::open(&options, &clock).unwrap();
    let intake = Intake::new(buffer.clone(), Board::default());
    let stop = CancellationToken::new();
    let Started { radio, events, driver } = simulate::start(settings, clock.clone(), stop.clone());
    let supervisor = Supervisor::new(radio, rules, intake.clone(), clock.clone(), stop.clone());
    let enough = async {
        tokio::time::sleep(Duration::from_secs(SECONDS)).await;
        stop.cancel();
    };
    let (supervised, driven, ()) = tokio::join!(supervisor.run(events), driver, enough);
    supervised.unwrap();
    driven.unwrap();
    let marker = EventKind::Started { version: "end".to_owned() };
    let last = Fact::Event(pulsegate::reading::Event { at: clock.now(), kind: marker });
    let last = intake.take(last).await.unwrap();
    // From here on in real time, which is the buffer's.
    tokio::time::resume();
    buffer.flush();
    buffer.durable(last).await.unwrap();
    let entries = buffer.read(EntryId(0), EntryId(u64::MAX), usize::MAX).await.unwrap();
    buffer.close();
    keeper.ended().await.unwrap();
    entries
}

#[tokio::test(start_paused = true)]
async fn straps_that_drop_out_are_read_again_by_themselves() {
    let settings = Settings { straps: STRAPS, seed: 3, mishaps: true, speed: 1 };
    let entries = run(rules(), settings).await;
    let mut connected: BTreeMap<StrapId, u32> = BTreeMap::new();
    let mut lost: BTreeMap<StrapId, u32> = BTreeMap::new();
    let mut dropped_out = 0;
    let mut readings = 0;
    for entry in &entries {
        match &entry.fact {
            Fact::Reading(_) => readings += 1,
            Fact::Event(event) => match &event.kind {
                EventKind::StrapConnected { strap, .. } => {
                    *connected.entry(strap.clone()).or_default() += 1;
                }
                EventKind::StrapLost { strap, reason } => {
                    *lost.entry(strap.clone()).or_default() += 1;
                    dropped_out += u32::from(reason != "stopping");
                }
                _ => {}
            },
        }
    }
    assert_eq!(connected.len(), STRAPS);
    assert!(dropped_out >= 3, "the seed has too few mishaps: {dropped_out}");
    // Every link that began has ended, the last ones by our stopping.
    assert_eq!(connected, lost);
    // 5 to 20 s away each, and half a second to a few to come back.
    let expected = STRAPS as u64 * SECONDS - u64::from(dropped_out) * 30;
    assert!(readings >= expected, "{readings} readings, at least {expected} expected");
    let ids: Vec<u64> = entries.iter().map(|entry| entry.id.0).collect();
    assert!(ids.iter().copied().eq(0..ids.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn links_are_shared_out_and_ignored_straps_are_left_alone() {
    let settings = Settings { straps: STRAPS, seed: 3, mishaps: false, speed: 1 };
    let ids = simulate::strap_ids(settings);
    let ignored = ids[0].clone();
    let wanted: BTreeSet<StrapId> = ids[..5].iter().cloned().collect();
    let few = Rules {
        links_per_adapter: 3,
        ignore: [ignored.clone()].into(),
        connect: Wanted::Only(wanted.clone()),
        ..rules()
    };
    let entries = run(few, settings).await;
    let straps: BTreeSet<StrapId> = entries
        .iter()
        .filter_map(|entry| match &entry.fact {
            Fact::Reading(reading) => Some(reading.strap.clone()),
            Fact::Event(_) => None,
        })
        .collect();
    assert_eq!(straps.len(), 3, "three links, and none of them given up for another");
    assert!(straps.is_subset(&wanted) && !straps.contains(&ignored));
}
