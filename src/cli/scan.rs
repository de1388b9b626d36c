//! `pulsegate scan`: which straps are in range, without connecting to any.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::ConfigArg;
use crate::ble::supervisor::SupervisorError;
use crate::ble::{RadioEvent, Scan, Started, bluez};
use crate::clock::{Clock, SyncSource};
use crate::exit::{Exit, Failure};
use crate::reading::{Measurement, StrapId};
use crate::{log, simulate};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// How long to listen
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// As JSON; fields are only ever added
    #[arg(long)]
    json: bool,
    /// Virtual straps instead of Bluetooth
    #[arg(long, value_name = "STRAPS", value_parser = clap::value_parser!(u16).range(1..=500))]
    simulate: Option<u16>,
}

/// A strap as heard.
#[derive(Debug, Serialize)]
struct Found {
    id: StrapId,
    model: Option<Arc<str>>,
    address: String,
    adapter: String,
    rssi_dbm: Option<i16>,
    /// Heart rate, when it broadcasts one.
    bpm: Option<u16>,
    /// Whether it can be connected to now.
    connectable: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    log::start("warn");
    let (config, _) = args.config.load()?;
    let clock =
        Clock::new(SyncSource::default()).map_err(|error| Failure::new(Exit::Software, error))?;
    let stop = CancellationToken::new();
    let found = match args.simulate {
        Some(straps) => {
            let settings =
                simulate::Settings { straps: straps.into(), seed: 1, mishaps: false, speed: 1 };
            listen(simulate::start(settings, clock, stop.clone()), args.seconds, &stop).await?
        }
        None => {
            let radio = bluez::start(config.bluetooth.adapters, clock, stop.clone());
            listen(radio, args.seconds, &stop).await?
        }
    };
    let mut found: Vec<Found> = found.into_values().collect();
    found.sort_by_key(|found| std::cmp::Reverse(found.rssi_dbm));
    if args.json {
        let text = serde_json::to_string_pretty(&found);
        println!("{}", text.map_err(|error| Failure::new(Exit::Software, error))?);
    } else {
        print(&found);
    }
    Ok(())
}

async fn listen<R>(
    started: Started<R>,
    seconds: u64,
    stop: &CancellationToken,
) -> Result<BTreeMap<StrapId, Found>, Failure> {
    let Started { mut events, driver, radio: _radio } = started;
    let until = Instant::now() + Duration::from_secs(seconds);
    let heard = async {
        let heard = hear(&mut events, until).await;
        stop.cancel();
        // The radio may have more to say than there is room for; it must not wait for us.
        drop(events);
        heard
    };
    let (heard, ended) = tokio::join!(heard, driver);
    ended.map_err(|error| Failure::new(Exit::Software, error))?;
    heard
}

async fn hear(
    events: &mut mpsc::Receiver<RadioEvent>,
    until: Instant,
) -> Result<BTreeMap<StrapId, Found>, Failure> {
    let mut scan = Scan::default();
    let mut found: BTreeMap<StrapId, Found> = BTreeMap::new();
    let mut adapters = 0;
    while let Ok(Some(event)) = timeout_at(until, events.recv()).await {
        match event {
            RadioEvent::AdapterUp { .. } => adapters += 1,
            RadioEvent::NoAdapter { reason } if adapters == 0 => {
                return Err(Failure::new(Exit::Unavailable, SupervisorError::NoAdapter { reason }));
            }
            RadioEvent::NoAdapter { .. } | RadioEvent::AdapterDown { .. } => {}
            RadioEvent::Sighting(sighting) => {
                let Some(identity) = scan.heard(&sighting) else { continue };
                let bpm = scan.broadcast(&sighting).and_then(|reading| match reading.measurement {
                    Measurement::HeartRate(heart_rate) => Some(heart_rate.bpm),
                    Measurement::Battery(_) => None,
                });
                let before = found.get(&identity.id).and_then(|found| found.bpm);
                found.insert(
                    identity.id.clone(),
                    Found {
                        id: identity.id,
                        model: identity.model,
                        address: sighting.peer.address.to_string(),
                        adapter: sighting.peer.adapter.to_string(),
                        rssi_dbm: sighting.rssi_dbm,
                        bpm: bpm.or(before),
                        connectable: sighting.heart_rate_service,
                    },
                );
            }
        }
    }
    Ok(found)
}

fn print(found: &[Found]) {
    if found.is_empty() {
        println!(
            "no strap in range. Wet the electrodes, put it on, and close other apps that use it."
        );
        return;
    }
    println!(
        "{:<14} {:<12} {:<18} {:<8} {:>8} {:>4}  ",
        "STRAP", "MODEL", "ADDRESS", "ADAPTER", "RSSI", "BPM"
    );
    for strap in found {
        let rssi = strap.rssi_dbm.map_or("-".to_owned(), |rssi| format!("{rssi} dBm"));
        let bpm = strap.bpm.map_or("-".to_owned(), |bpm| bpm.to_string());
        let note = if strap.connectable { "" } else { "in use by another app or watch" };
        let model = strap.model.as_deref().unwrap_or("-");
        println!(
            "{:<14} {model:<12} {:<18} {:<8} {rssi:>8} {bpm:>4}  {note}",
            strap.id.as_str(),
            strap.address,
            strap.adapter
        );
    }
}
