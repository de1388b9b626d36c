//! What the pages and the command line ask for.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Site, assets, ranking};
use crate::athlete::{Athlete, MaxHr};
use crate::buffer::{Health, Letters};
use crate::format::samples::rfc3339;
use crate::live::{self, GONE_AFTER, Link, SinkState, Snapshot};
use crate::reading::{Contact, StrapId};
use crate::roster::People;
use crate::session::Body;
use crate::session::zones::{self, Zones};
use crate::timeline::Placed;

/// The whole board is sent so often: simpler than differences, and it heals itself.
const TILES_EVERY: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const RECONNECT_AFTER: Duration = Duration::from_secs(2);
/// A buffer that has committed nothing for so long while it should is ill.
const BUFFER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Tiles<'a> {
    gateway: &'a str,
    label: Option<&'a str>,
    time: String,
    tiles: Vec<Tile<'a>>,
    classes: Vec<ClassTile<'a>>,
    straps: Straps,
    sinks: Vec<SinkTile<'a>>,
    buffer: Waiting,
}

#[derive(Serialize)]
struct Tile<'a> {
    strap: &'a str,
    name: Option<&'a str>,
    bpm: Option<u16>,
    zone: Option<u8>,
    percent_of_max: Option<u16>,
    contact: Contact,
    age_ms: u128,
    link: Link,
    battery_percent: Option<u8>,
    rssi_dbm: Option<i16>,
    /// Effort points of the session that goes on.
    points: Option<u32>,
    /// Place by these in the class, of whoever does not hide from it.
    place: Option<usize>,
    /// What zone and percentage are taken from, unless it is what the configuration says for everybody.
    max_hr: Option<MaxHr>,
}

#[derive(Serialize)]
struct ClassTile<'a> {
    name: &'a str,
    left_s: u32,
}

#[derive(Serialize)]
struct Straps {
    connected: usize,
    seen: usize,
}

#[derive(Serialize)]
struct SinkTile<'a> {
    name: &'a str,
    state: &'static str,
}

#[derive(Serialize)]
struct Waiting {
    waiting: u64,
}

impl Site {
    fn tiles<'a>(&'a self, snapshot: &'a Snapshot, people: &'a People) -> Tiles<'a> {
        let now = Instant::now();
        let site = &*self.0;
        let (at, timeline) = (site.clock.now(), self.timeline());
        let today = timeline.place(&at);
        let places = ranking::places(snapshot, people);
        let recent = snapshot.straps.iter().filter(|(_, strap)| now - strap.seen < GONE_AFTER);
        let recent: Vec<_> = recent.collect();
        let connected = recent.iter().filter(|(_, strap)| strap.link == Link::Connected).count();
        let tiles = recent.iter().filter_map(|(id, strap)| {
            let wearer = people.wearer(id).map(AsRef::as_ref);
            let is_hidden = wearer.is_some_and(|wearer| wearer.hide.tile);
            let points = snapshot.sessions.get(id).and_then(|session| session.effort.points);
            let points = points.filter(|_| !wearer.is_some_and(|wearer| wearer.hide.numbers));
            (!is_hidden).then(|| Tile {
                points: points.map(|points| ranking::whole(Some(points))),
                place: places.get(id).copied(),
                ..self.tile(id, strap, wearer, now, &today)
            })
        });
        let committed = site.buffer.state().borrow().committed;
        let waiting = snapshot.sinks.values().map(|sink| committed.0.saturating_sub(sink.next.0));
        Tiles {
            gateway: &site.gateway,
            label: site.config.gateway.label.as_deref(),
            time: rfc3339(site.clock.now().unix_us()),
            straps: Straps { connected, seen: recent.len() },
            tiles: tiles.collect(),
            classes: snapshot
                .classes
                .running(&at, &timeline)
                .map(|class| ClassTile { name: &class.name, left_s: class.left_s(&at, &timeline) })
                .collect(),
            sinks: snapshot
                .sinks
                .iter()
                .map(|(name, sink)| SinkTile { name, state: state_word(&sink.state) })
                .collect(),
            buffer: Waiting { waiting: waiting.max().unwrap_or(0) },
        }
    }

    fn tile<'a>(
        &'a self,
        id: &'a StrapId,
        strap: &live::Strap,
        wearer: Option<&'a Athlete>,
        now: Instant,
        today: &Placed,
    ) -> Tile<'a> {
        let config = &self.0.config;
        let known = config.straps.get(id);
        let bpm = strap.heart_rate.and_then(|(bpm, _, _)| (bpm != 0).then_some(bpm));
        let (contact, at) = match strap.heart_rate {
            Some((_, contact, at)) => (contact, at),
            None => (Contact::Unknown, strap.seen),
        };
        let body = wearer.map(|wearer| Body::at(&wearer.profile, today)).unwrap_or_default();
        let max_bpm = body.max.map(|max| max.bpm);
        let max = max_bpm
            .or(known.and_then(|known| known.max_heart_rate_bpm))
            .unwrap_or(config.web.max_heart_rate_bpm);
        let zones = body.zones.unwrap_or_else(|| Zones::of_max(max));
        let zone = bpm.map(|bpm| zones.zone(bpm));
        let label = known.and_then(|known| known.label.as_deref());
        let shown = bpm.filter(|_| !wearer.is_some_and(|wearer| wearer.hide.numbers));
        Tile {
            strap: id.as_str(),
            name: wearer.map(|wearer| wearer.display_name.as_str()).or(label),
            bpm: shown,
            zone,
            percent_of_max: shown.map(|bpm| zones::percent_of_max(bpm, max)),
            contact,
            age_ms: (now - at).as_millis(),
            link: strap.link,
            battery_percent: strap.battery_percent,
            rssi_dbm: strap.rssi_dbm,
            points: None,
            place: None,
            max_hr: body.max.filter(|_| !wearer.is_some_and(|wearer| wearer.hide.numbers)),
        }
    }
}

fn state_word(state: &SinkState) -> &'static str {
    match state {
        SinkState::Ok => "ok",
        SinkState::Retrying { .. } => "retrying",
        SinkState::Parked { .. } => "parked",
    }
}

/// The board once a second, as server-sent events.
pub(super) async fn live(State(site): State<Site>) -> Response {
    let Ok(place) = site.0.watchers.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are watching\n").into_response();
    };
    let stop = site.0.stop.clone();
    let first = Event::default().event("build").retry(RECONNECT_AFTER);
    let first = first.json_data(serde_json::json!({ "build": *assets::BUILD }));
    let tiles = tiles_every_second(site);
    let events = stream::iter(first.ok())
        .chain(tiles)
        // Holds the place for as long as the stream lives.
        .map(move |event| {
            let _held = &place;
            Ok::<_, Infallible>(event)
        })
        .take_until(stop.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn tiles_every_second(site: Site) -> impl Stream<Item = Event> {
    let mut tick = interval(TILES_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let board = site.0.board.watch();
    stream::unfold((site, board, tick), async |(site, board, mut tick)| {
        tick.tick().await;
        let people = site.0.roster.people();
        let event = Event::default().event("tiles").json_data(site.tiles(&board.borrow(), &people));
        // Plain numbers and texts always become JSON.
        event.ok().map(|event| (event, (site, board, tick)))
    })
}

/// For probes: 200 while the buffer answers, else 503. No detail, no key.
pub(super) async fn health(State(site): State<Site>) -> StatusCode {
    match tokio::time::timeout(BUFFER_LIMIT, site.0.buffer.responds()).await {
        Ok(Ok(())) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Everything that the daemon says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Identity of the box.
    pub gateway: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// How far the wall clock can be believed.
    pub clock: crate::reading::ClockTrust,
    /// Link that opens the wall page on a display.
    pub wall: Option<String>,
    /// Adapters.
    pub adapters: Vec<AdapterStatus>,
    /// Straps heard since the start.
    pub straps: Vec<StrapStatus>,
    /// Destinations.
    pub sinks: Vec<SinkStatus>,
    /// The buffer.
    pub buffer: BufferStatus,
    /// Notifications that could not be decoded.
    pub malformed: u64,
}

/// An adapter.
#[derive(Debug, Serialize, Deserialize)]
pub struct AdapterStatus {
    /// Name, such as `hci0`.
    pub name: String,
    /// Address.
    pub address: String,
    /// Whether it is there and scanning.
    pub up: bool,
    /// Straps connected through it.
    pub links: usize,
}

/// A strap.
#[derive(Debug, Serialize, Deserialize)]
pub struct StrapStatus {
    /// Its id.
    pub id: String,
    /// The display name of who wears it, else its label.
    pub label: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// `connected`, `broadcast` or `lost`.
    pub link: String,
    /// Last heart rate.
    pub bpm: Option<u16>,
    /// Battery level.
    pub battery_percent: Option<u8>,
    /// Signal strength.
    pub rssi_dbm: Option<i16>,
    /// Milliseconds since anything was heard.
    pub age_ms: u64,
    /// Heart-rate readings since the start.
    pub readings: u64,
}

/// A destination.
#[derive(Debug, Serialize, Deserialize)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// `ok`, `retrying` or `parked`.
    pub state: String,
    /// Why, unless it is `ok`.
    pub reason: Option<String>,
    /// Entries kept for it and not delivered yet.
    pub waiting: u64,
    /// Of these, what has piled up and drains behind the newest.
    #[serde(default)]
    pub backlog: u64,
    /// Entries taken by the far side since the start.
    pub delivered: u64,
    /// Entries refused for good since the start.
    pub rejected: u64,
    /// Entries dropped before it had them, since the log began.
    pub lost: u64,
    /// What was refused for good and is kept: `pulsegate buffer list --rejected`.
    pub dead_letters: Letters,
}

/// The buffer.
#[derive(Debug, Serialize, Deserialize)]
pub struct BufferStatus {
    /// How it is.
    pub health: Health,
    /// Entries kept.
    pub entries: u64,
    /// First place that is not durable yet.
    pub committed: u64,
    /// Oldest place still kept.
    pub oldest: u64,
    /// Size of the stored chunks.
    pub bytes: u64,
    /// Size of the files.
    pub bytes_on_disk: u64,
    /// Where the oldest begin to make room, as configured.
    pub max_bytes: u64,
    /// The same as it is now: less when the disk has no room.
    pub limit_bytes: u64,
}

/// The status document.
pub(super) async fn status(State(site): State<Site>) -> Json<Status> {
    let now = Instant::now();
    let inner = &*site.0;
    let board = inner.board.watch();
    let snapshot = board.borrow().clone();
    let buffer = inner.buffer.state().borrow().clone();
    let people = inner.roster.people();
    let name_of = |id: &StrapId| {
        let wearer = people.wearer(id).map(|athlete| athlete.display_name.clone());
        wearer.or_else(|| inner.config.straps.get(id)?.label.clone())
    };
    let straps = snapshot.straps.iter().map(|(id, strap)| StrapStatus {
        id: id.to_string(),
        label: name_of(id),
        model: strap.info.model.clone(),
        link: match strap.link {
            Link::Connected => "connected",
            Link::Broadcast => "broadcast",
            Link::Lost => "lost",
        }
        .to_owned(),
        bpm: strap.heart_rate.and_then(|(bpm, _, _)| (bpm != 0).then_some(bpm)),
        battery_percent: strap.battery_percent,
        rssi_dbm: strap.rssi_dbm,
        age_ms: u64::try_from((now - strap.seen).as_millis()).unwrap_or(u64::MAX),
        readings: strap.readings,
    });
    let adapters = snapshot.adapters.iter().map(|(name, adapter)| AdapterStatus {
        name: name.clone(),
        address: adapter.address.clone(),
        up: adapter.up,
        links: adapter.links,
    });
    let sinks = snapshot.sinks.iter().map(|(name, sink)| SinkStatus {
        name: name.clone(),
        state: state_word(&sink.state).to_owned(),
        reason: match &sink.state {
            SinkState::Ok => None,
            SinkState::Retrying { reason } | SinkState::Parked { reason } => Some(reason.clone()),
        },
        waiting: buffer.waiting(name),
        backlog: sink.backlog,
        delivered: sink.delivered,
        rejected: sink.rejected,
        lost: buffer.lost.get(name).copied().unwrap_or(0),
        dead_letters: buffer.letters.get(name).copied().unwrap_or_default(),
    });
    Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        gateway: inner.gateway.clone(),
        uptime_s: (now - inner.started).as_secs(),
        clock: inner.clock.now().trust,
        wall: site.wall_link(),
        adapters: adapters.collect(),
        straps: straps.collect(),
        sinks: sinks.collect(),
        buffer: BufferStatus {
            health: Health::of(&buffer),
            entries: buffer.entries,
            committed: buffer.committed.0,
            oldest: buffer.oldest.0,
            bytes: buffer.bytes,
            bytes_on_disk: buffer.bytes_on_disk,
            max_bytes: inner.config.buffer.max_bytes(),
            limit_bytes: buffer.limit_bytes,
        },
        malformed: snapshot.malformed,
    })
}
