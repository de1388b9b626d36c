//! The MQTT sink against a real mosquitto, and against brokers that misbehave in the ways that lose messages elsewhere.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use pulsegate::archive::Archive;
use pulsegate::buffer::{self, Buffer, Keeper};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::config;
use pulsegate::history::{Bounds, History};
use pulsegate::intake::Intake;
use pulsegate::live::{Board, SinkState};
use pulsegate::reading::{
    Contact, EntryId, Event, EventKind, Fact, HeartRate, Measurement, Reading, RrInterval, Source,
    StrapId, StrapInfo,
};
use pulsegate::roster::Roster;
use pulsegate::sink::{self, Context};
use serde_json::Value;
use support::mosquitto::{Mosquitto, Received, Subscriber, certificates, free_port, until};
use support::{Reaction, Scripted};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const V5: &str = "5";
const V3: &str = "3.1.1";

// ---- the box ------------------------------------------------------------------------------------

/// The part of the daemon between the straps and the broker.
struct Gateway {
    context: Context,
    intake: Intake,
    clock: Clock,
    tasks: JoinSet<sink::TaskEnd>,
    _keeper: Keeper,
    folder: tempfile::TempDir,
}

impl Gateway {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(SyncSource::Vouched).unwrap();
        let options = buffer::Options {
            data_dir: folder.path().to_owned(),
            commit_every: Duration::from_millis(50),
            max_bytes: 64 << 20,
            max_age: None,
            sinks: Vec::new(),
            purpose: buffer::Purpose::Collect,
            first: EntryId(0),
        };
        let (buffer, keeper) = Buffer::open(&options, &clock).unwrap();
        let board = Board::default();
        let context = Context {
            gateway: "box-1".into(),
            board: board.clone(),
            buffer: buffer.clone(),
            stop: CancellationToken::new(),
            archive: Archive::new(
                History::new(folder.path()),
                Roster::start(folder.path()),
                TimeZone::UTC,
                Bounds::default(),
            ),
            data_dir: folder.path().to_owned(),
            delivery: config::Delivery::default(),
        };
        let intake = Intake::new(buffer, board);
        Self { context, intake, clock, tasks: JoinSet::new(), _keeper: keeper, folder }
    }

    /// Adds a sink with settings in TOML.
    fn sink(&mut self, name: &str, version: &str, port: u16, more: &str) {
        let text = format!(
            "[sinks.{name}.mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nversion = {version:?}\n{more}"
        );
        self.sink_from(name, &text);
    }

    fn sink_from(&mut self, name: &str, text: &str) {
        let config = config::parse(text).unwrap();
        sink::spawn(&mut self.tasks, name, &config.sinks[name], &self.context).unwrap();
    }

    async fn reading(&self, n: u64) -> EntryId {
        let measurement = Measurement::HeartRate(HeartRate {
            bpm: 60 + u16::try_from(n % 120).unwrap(),
            contact: Contact::Worn,
            energy_kj: None,
            rr: vec![RrInterval(512), RrInterval(1024)],
            source: Source::Link,
        });
        let reading = Reading { strap: strap(), at: self.clock.now(), measurement };
        self.intake.take(Fact::Reading(reading)).await.unwrap()
    }

    async fn event(&self, kind: EventKind) -> EntryId {
        self.intake.take(Fact::Event(Event { at: self.clock.now(), kind })).await.unwrap()
    }

    async fn events(&self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.event(EventKind::Started { version: n.to_string() }).await.0);
        }
        ids
    }

    fn delivered(&self, sink: &str) -> u64 {
        self.context.board.watch().borrow().sinks.get(sink).map_or(0, |sink| sink.delivered)
    }

    /// Waits until the sink has asked where it stands: what comes in from then on is no backlog.
    async fn begun(&self, name: &str) {
        let state = self.context.buffer.state();
        until("the sink begins", || state.borrow().cursors.contains_key(name).then_some(())).await;
    }

    async fn all_delivered(&self, sink: &str, count: usize) {
        until("everything delivered", || (self.delivered(sink) >= count as u64).then_some(()))
            .await;
        assert_eq!(self.delivered(sink), count as u64);
    }

    async fn state(&self, sink: &str, wanted: impl Fn(&SinkState) -> bool) -> SinkState {
        until("the state of the sink", || {
            let snapshot = self.context.board.watch();
            let state = snapshot.borrow().sinks.get(sink).map(|sink| sink.state.clone());
            state.filter(&wanted)
        })
        .await
    }

    async fn retrying(&self, sink: &str) -> String {
        match self.state(sink, |state| matches!(state, SinkState::Retrying { .. })).await {
            SinkState::Retrying { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn parked(&self, sink: &str) -> String {
        match self.state(sink, |state| matches!(state, SinkState::Parked { .. })).await {
            SinkState::Parked { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Stops as the daemon does.
    async fn stop(mut self) {
        self.context.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    }
}

fn strap() -> StrapId {
    StrapId::new("9F6E5322").unwrap()
}

fn ids(entries: &[(u64, Value)]) -> Vec<u64> {
    entries.iter().map(|(id, _)| *id).collect()
}

/// Repeats are allowed when they say the same; without them the order must be that of the log.
fn without_repeats(entries: Vec<(u64, Value)>) -> Vec<u64> {
    let mut seen: BTreeMap<u64, Value> = BTreeMap::new();
    let mut order = Vec::new();
    for (id, sample) in entries {
        match seen.get(&id) {
            Some(before) => assert_eq!(before, &sample),
            None => {
                order.push(id);
                seen.insert(id, sample);
            }
        }
    }
    order
}

// ---- with mosquitto -----------------------------------------------------------------------------

async fn everything_arrives_once_and_in_order(version: &str, test: &str) {
    let Some(mut broker) = Mosquitto::new(test) else { return };
    broker.start().await;
    let subscriber = Subscriber::new(broker.port, "backend").await;
    let mut gateway = Gateway::new();
    gateway.sink("club", version, broker.port, "live = false");
    gateway.begun("club").await;
    let mut expected = gateway.events(3).await;
    for n in 0..5000 {
        expected.push(gateway.reading(n).await.0);
        if n % 1000 == 0 {
            expected.extend(gateway.events(1).await);
        }
    }
    let entries = subscriber.distinct(expected.len()).await;
    assert_eq!(ids(&entries), expected);
    gateway.all_delivered("club", expected.len()).await;

    let (seq, sample) = &entries[3];
    assert_eq!((sample["v"].as_u64(), &sample["gateway"]), (Some(1), &"box-1".into()));
    assert_eq!((sample["strap"].as_str(), sample["bpm"].as_u64()), (Some("9F6E5322"), Some(60)));
    assert_eq!(sample["rr_ms"], serde_json::json!([500.0, 1000.0]));
    assert_eq!(sample["ts_quality"], "synced");
    assert_eq!(entries[0].1["event"], "started");

    let batch = subscriber
        .message("a batch", |m| m.topic == "pulsegate/box-1/batch" && m.at_least_once)
        .await;
    assert!(!batch.retained);
    if version == V5 {
        let count = batch.json()["readings"].as_array().unwrap().len();
        assert_eq!(batch.content_type.as_deref(), Some("application/json"));
        let property = |key: &str, value: String| (key.to_owned(), value);
        let expected = [
            property("gateway", "box-1".into()),
            property("first_seq", seq.to_string()),
            property("count", count.to_string()),
        ];
        assert_eq!(batch.user_properties, expected);
    }
    for message in subscriber.received() {
        assert!(message.payload.len() <= 64 * 1024);
        assert!(!message.topic.contains("/strap/9F6E5322/hr"), "live values were not asked for");
    }
}

#[tokio::test]
async fn everything_arrives_once_and_in_order_v5() {
    everything_arrives_once_and_in_order(V5, "everything_arrives_once_and_in_order_v5").await;
}

#[tokio::test]
async fn everything_arrives_once_and_in_order_v3() {
    everything_arrives_once_and_in_order(V3, "everything_arrives_once_and_in_order_v3").await;
}

async fn the_broker_knows_whether_the_box_is_there(version: &str, test: &str) {
    let Some(mut broker) = Mosquitto::new(test) else { return };
    broker.start().await;
    let subscriber = Subscriber::new(broker.port, "backend").await;
    let state = "pulsegate/box-1/state";
    let said = |word: &'static str| {
        move |seen: Vec<String>| (seen.last().map(String::as_str) == Some(word)).then_some(())
    };
    let states = || {
        let received = subscriber.received();
        received.iter().filter(|m| m.topic == state).map(|m| m.text()).collect::<Vec<_>>()
    };
    let mut gateway = Gateway::new();
    gateway.sink("club", version, broker.port, "");
    // Nothing to deliver: it is connected nevertheless.
    until("online", || said("online")(states())).await;
    let late = Subscriber::new(broker.port, "late").await;
    let retained = late.message("the retained state", |m| m.topic == state).await;
    assert_eq!((retained.text().as_str(), retained.retained), ("online", true));
    let info = late.message("the retained info", |m| m.topic == "pulsegate/box-1/info").await;
    assert_eq!(info.json()["version"], env!("CARGO_PKG_VERSION"));

    // No goodbye: the last will.
    gateway.tasks.abort_all();
    drop(gateway);
    until("offline by the last will", || said("offline")(states())).await;
    let after = Subscriber::new(broker.port, "after").await;
    let retained = after.message("the retained will", |m| m.topic == state).await;
    assert_eq!((retained.text().as_str(), retained.retained), ("offline", true));

    let mut gateway = Gateway::new();
    gateway.sink("club", version, broker.port, "");
    until("online again", || said("online")(states())).await;
    let before = Instant::now();
    gateway.stop().await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    until("offline by itself", || said("offline")(states())).await;
    assert_eq!(states(), ["online", "offline", "online", "offline"]);
    let later = Subscriber::new(broker.port, "later").await;
    let retained = later.message("the retained state", |m| m.topic == state).await;
    assert_eq!(retained.text(), "offline");
}

#[tokio::test]
async fn the_broker_knows_whether_the_box_is_there_v5() {
    the_broker_knows_whether_the_box_is_there(V5, "the_broker_knows_whether_the_box_is_there_v5")
        .await;
}

#[tokio::test]
async fn the_broker_knows_whether_the_box_is_there_v3() {
    the_broker_knows_whether_the_box_is_there(V3, "the_broker_knows_whether_the_box_is_there_v3")
        .await;
}

async fn a_broker_that_comes_later_gets_everything(version: &str, test: &str) {
    let Some(mut broker) = Mosquitto::new(test) else { return };
    // It must know the subscriber: a broker keeps nothing for somebody it has never seen.
    broker.start().await;
    let subscriber = Subscriber::new(broker.port, "backend").await;
    broker.stop().await;

    let mut gateway = Gateway::new();
    gateway.sink("club", version, broker.port, "");
    let mut expected = Vec::new();
    for n in 0..300 {
        expected.push(gateway.reading(n).await.0);
    }
    let reason = gateway.retrying("club").await;
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
    assert_eq!(gateway.delivered("club"), 0);
    broker.start().await;
    let entries = subscriber.distinct(expected.len()).await;
    assert_eq!(without_repeats(entries), expected);
    gateway.all_delivered("club", expected.len()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_broker_that_comes_later_gets_everything_v5() {
    a_broker_that_comes_later_gets_everything(V5, "a_broker_that_comes_later_gets_everything_v5")
        .await;
}

#[tokio::test]
async fn a_broker_that_comes_later_gets_everything_v3() {
    a_broker_that_comes_later_gets_everything(V3, "a_broker_that_comes_later_gets_everything_v3")
        .await;
}

async fn a_broker_killed_again_and_again_gets_everything(version: &str, test: &str) {
    let Some(mut broker) = Mosquitto::new(test) else { return };
    broker.start().await;
    let subscriber = Subscriber::new(broker.port, "backend").await;
    let mut gateway = Gateway::new();
    gateway.sink("club", version, broker.port, "live = false");
    let mut expected = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let mut kills = 0;
    for n in 0..3000 {
        // A room full of people, faster than life.
        tick.tick().await;
        expected.push(gateway.reading(n).await.0);
        if n % 900 == 600 {
            // A mosquitto that is killed forgets what it has acknowledged and not yet saved. That is its own affair:
            // frozen first, with nothing on its way to its clients, and something on its way to it.
            gateway.all_delivered("club", expected.len()).await;
            broker.freeze();
            for more in 0..100 {
                expected.push(gateway.reading(more).await.0);
            }
            let mut seen = 0;
            until("messages under way", || {
                let (by_broker, by_clients) = broker.unread();
                let still = seen == subscriber.count();
                seen = subscriber.count();
                (still && by_clients == 0 && by_broker > 100).then_some(())
            })
            .await;
            broker.kill();
            kills += 1;
            broker.start().await;
            subscriber.subscribed(kills + 1).await;
        }
    }
    gateway.all_delivered("club", expected.len()).await;
    let entries = subscriber.distinct(expected.len()).await;
    assert_eq!((without_repeats(entries), kills), (expected, 3));
    gateway.stop().await;
}

#[tokio::test]
async fn a_broker_killed_again_and_again_gets_everything_v5() {
    a_broker_killed_again_and_again_gets_everything(
        V5,
        "a_broker_killed_again_and_again_gets_everything_v5",
    )
    .await;
}

#[tokio::test]
async fn a_broker_killed_again_and_again_gets_everything_v3() {
    a_broker_killed_again_and_again_gets_everything(
        V3,
        "a_broker_killed_again_and_again_gets_everything_v3",
    )
    .await;
}

async fn a_wrong_password_parks_this_sink_and_no_other(version: &str, test: &str) {
    let Some(mut broker) = Mosquitto::new(test) else { return };
    broker.require_password("box", "right");
    broker.start().await;
    let mut gateway = Gateway::new();
    let file = |name: &str| gateway.folder.path().join(name);
    std::fs::write(file("wrong"), "wrong\n").unwrap();
    std::fs::write(file("right"), "right\n").unwrap();
    let settings = |name: &str| format!("username = \"box\"\npassword_file = {:?}\n", file(name));
    let (wrong, right) = (settings("wrong"), settings("right"));
    gateway.sink("stranger", version, broker.port, &wrong);
    gateway.sink("club", version, broker.port, &right);
    let count = gateway.events(30).await.len();
    let reason = gateway.parked("stranger").await;
    assert!(reason.contains("password_file") && !reason.contains("wrong"), "{reason}");
    gateway.all_delivered("club", count).await;
    assert_eq!(gateway.delivered("stranger"), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_wrong_password_parks_this_sink_and_no_other_v5() {
    let test = "a_wrong_password_parks_this_sink_and_no_other_v5";
    a_wrong_password_parks_this_sink_and_no_other(V5, test).await;
}

#[tokio::test]
async fn a_wrong_password_parks_this_sink_and_no_other_v3() {
    let test = "a_wrong_password_parks_this_sink_and_no_other_v3";
    a_wrong_password_parks_this_sink_and_no_other(V3, test).await;
}

async fn the_present_is_shown(version: &str, test: &str) {
    let Some(mut broker) = Mosquitto::new(test) else { return };
    broker.start().await;
    let subscriber = Subscriber::new(broker.port, "wall").await;
    let mut gateway = Gateway::new();
    gateway.sink("club", version, broker.port, "topic_prefix = \"gym/north\"");
    let topic = |last: &str| format!("gym/north/box-1/{last}");
    let is = |last: &str| {
        let topic = topic(last);
        move |m: &Received| m.topic == topic
    };
    let health = subscriber.message("health", is("health")).await.json();
    assert!(health["rss_kb"].as_u64().unwrap() > 1000, "{health}");
    assert_eq!(health["straps"]["connected"], 0);
    assert!(health["buffer"]["entries_waiting"].is_u64() && health["sinks"].is_object());

    let info = StrapInfo { model: Some("H10".into()), ..StrapInfo::default() };
    let connected = EventKind::StrapConnected { strap: strap(), info: Box::new(info) };
    gateway.event(connected).await;
    let id = gateway.reading(7).await;
    let heart_rate = subscriber.message("a heart rate", is("strap/9F6E5322/hr")).await;
    assert!(!heart_rate.at_least_once && !heart_rate.retained);
    let json = heart_rate.json();
    assert_eq!((json["seq"].as_u64(), json["bpm"].as_u64()), (Some(id.0), Some(67)));
    let state = subscriber.message("the strap's state", is("strap/9F6E5322/state")).await;
    assert_eq!((state.text().as_str(), state.at_least_once), ("online", true));
    let info = subscriber.message("the strap's info", is("strap/9F6E5322/info")).await.json();
    assert_eq!((info["model"].as_str(), info["battery_percent"].as_u64()), (Some("H10"), None));

    let battery = Measurement::Battery(81);
    let reading = Reading { strap: strap(), at: gateway.clock.now(), measurement: battery };
    gateway.intake.take(Fact::Reading(reading)).await.unwrap();
    let charged = is("strap/9F6E5322/info");
    let with_battery = |m: &Received| charged(m) && m.json()["battery_percent"] == 81;
    subscriber.message("the battery", with_battery).await;

    let lost = EventKind::StrapLost { strap: strap(), reason: "out of range".into() };
    gateway.event(lost).await;
    let state = is("strap/9F6E5322/state");
    subscriber.message("the strap is gone", |m| state(m) && m.text() == "offline").await;

    // Whoever comes later finds the state, and no stale heart rate.
    let late = Subscriber::new(broker.port, "late").await;
    let state = late.message("the retained state", is("strap/9F6E5322/state")).await;
    assert_eq!((state.text().as_str(), state.retained), ("offline", true));
    let info = late.message("the retained info", is("strap/9F6E5322/info")).await;
    assert_eq!(info.json()["battery_percent"], 81);
    assert!(!late.received().iter().any(|m| m.topic.ends_with("/hr")));
    gateway.stop().await;
}

#[tokio::test]
async fn the_present_is_shown_v5() {
    the_present_is_shown(V5, "the_present_is_shown_v5").await;
}

#[tokio::test]
async fn the_present_is_shown_v3() {
    the_present_is_shown(V3, "the_present_is_shown_v3").await;
}

async fn tls_believes_only_the_authority_given(version: &str, test: &str) {
    let Some(mut broker) = Mosquitto::new(test) else { return };
    let folder = broker.folder().to_owned();
    if certificates(&folder).is_none() {
        println!("SKIPPED {test}: openssl is not installed (apt-get install openssl)");
        return;
    }
    let (port, path) = (broker.port, folder.display());
    broker.configure(&format!(
        "listener {port}\nallow_anonymous true\ncertfile {path}/cert.pem\nkeyfile {path}/key.pem\n"
    ));
    broker.start().await;
    let mut gateway = Gateway::new();
    let count = gateway.events(25).await.len();
    let settings = |name: &str, more: &str| {
        format!(
            "[sinks.{name}.mqtt]\nurl = \"mqtts://localhost:{port}\"\nversion = {version:?}\n{more}"
        )
    };
    // The system's authorities do not know this broker.
    gateway.sink_from("stranger", &settings("stranger", ""));
    let ca_file = format!("ca_file = \"{path}/ca.pem\"");
    gateway.sink_from("club", &settings("club", &ca_file));
    gateway.all_delivered("club", count).await;
    let reason = gateway.retrying("stranger").await;
    assert!(reason.contains("certificate"), "{reason}");
    assert_eq!(gateway.delivered("stranger"), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn tls_believes_only_the_authority_given_v5() {
    let test = "tls_believes_only_the_authority_given_v5";
    tls_believes_only_the_authority_given(V5, test).await;
}

#[tokio::test]
async fn tls_believes_only_the_authority_given_v3() {
    let test = "tls_believes_only_the_authority_given_v3";
    tls_believes_only_the_authority_given(V3, test).await;
}

// ---- with a scripted broker ---------------------------------------------------------------------

async fn a_broker_that_never_acknowledges_is_left(version: &str) {
    let broker = Scripted::new(|connection, _| match connection {
        1 => Reaction::Ignore,
        _ => Reaction::Take,
    })
    .await;
    let mut gateway = Gateway::new();
    let started = Instant::now();
    gateway.sink("club", version, broker.port, "ack_timeout_s = 5\nlive = false");
    let mut expected = gateway.events(30).await;
    for n in 0..600 {
        expected.push(gateway.reading(n).await.0);
    }
    let reason = gateway.retrying("club").await;
    assert!(reason.contains("not acknowledged a message for 5 s"), "{reason}");
    assert!(started.elapsed() >= Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!((gateway.delivered("club"), broker.taken().len()), (0, 0));
    let cursor = gateway.context.buffer.state().borrow().cursors["club"].clone();
    assert!(cursor.next.0 <= expected[0], "{cursor:?}");
    broker.connected(2).await;
    gateway.all_delivered("club", expected.len()).await;
    assert_eq!(ids(&broker.taken()), expected);
    gateway.stop().await;
}

#[tokio::test]
async fn a_broker_that_never_acknowledges_is_left_v5() {
    a_broker_that_never_acknowledges_is_left(V5).await;
}

#[tokio::test]
async fn a_broker_that_never_acknowledges_is_left_v3() {
    a_broker_that_never_acknowledges_is_left(V3).await;
}

async fn messages_under_way_when_the_session_is_lost_are_sent_again(version: &str) {
    // The case in which a plain rumqttc loses half of thirty messages without a word.
    let broker = Scripted::new(|connection, message| match (connection, message) {
        (1, 5) => Reaction::HangUp,
        (1, _) => Reaction::Ignore,
        // And once more, with some of them acknowledged.
        (2, 8..) => Reaction::HangUp,
        _ => Reaction::Take,
    })
    .await;
    let mut gateway = Gateway::new();
    let expected = gateway.events(30).await;
    gateway.sink("club", version, broker.port, "");
    gateway.all_delivered("club", 30).await;
    broker.connected(3).await;
    // Nothing left out; nothing acknowledged sent again, not even on the third connection.
    assert_eq!(ids(&broker.taken()), expected);
    gateway.stop().await;
}

#[tokio::test]
async fn messages_under_way_when_the_session_is_lost_are_sent_again_v5() {
    messages_under_way_when_the_session_is_lost_are_sent_again(V5).await;
}

#[tokio::test]
async fn messages_under_way_when_the_session_is_lost_are_sent_again_v3() {
    messages_under_way_when_the_session_is_lost_are_sent_again(V3).await;
}

#[tokio::test]
async fn a_message_refused_over_quota_is_sent_again() {
    static REFUSED: Mutex<bool> = Mutex::new(false);
    let broker = Scripted::new(|_, message| {
        let mut refused = REFUSED.lock().unwrap();
        if message == 3 && !*refused {
            *refused = true;
            return Reaction::Refuse(0x97);
        }
        Reaction::Take
    })
    .await;
    let mut gateway = Gateway::new();
    let expected = gateway.events(10).await;
    gateway.sink("club", V5, broker.port, "");
    let reason = gateway.retrying("club").await;
    assert!(reason.contains("quota"), "{reason}");
    gateway.all_delivered("club", 10).await;
    let mut taken = without_repeats(broker.taken());
    taken.sort_unstable();
    assert_eq!(taken, expected);
    assert_eq!(broker.connections(), 1, "a refusal is no reason to leave");
    gateway.stop().await;
}

#[tokio::test]
async fn a_box_that_may_not_publish_is_parked() {
    let broker = Scripted::new(|_, _| Reaction::Refuse(0x87)).await;
    let mut gateway = Gateway::new();
    gateway.events(3).await;
    gateway.sink("club", V5, broker.port, "");
    let reason = gateway.parked("club").await;
    assert!(reason.contains("not allowed to publish to pulsegate/box-1/event"), "{reason}");
    assert_eq!(gateway.delivered("club"), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_the_broker_will_never_take_does_not_stop_the_rest() {
    let broker = Scripted::new(|_, message| match message {
        2 => Reaction::Refuse(0x99),
        _ => Reaction::Take,
    })
    .await;
    let mut gateway = Gateway::new();
    let expected = gateway.events(4).await;
    gateway.sink("club", V5, broker.port, "");
    gateway.all_delivered("club", 3).await;
    let sinks = gateway.context.board.watch().borrow().sinks.clone();
    assert_eq!(sinks["club"].rejected, 1);
    assert_eq!(ids(&broker.taken()), [expected[0], expected[2], expected[3]]);
    gateway.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_no_broker() {
    let broker = Scripted::new(|_, _| Reaction::Ignore).await;
    let mut gateway = Gateway::new();
    gateway.events(3).await;
    gateway.sink("club", V5, broker.port, "");
    gateway.sink("nobody", V3, free_port(), "");
    until("both deliveries begun", || (broker.messages() == 3).then_some(())).await;
    let before = Instant::now();
    gateway.stop().await;
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
}

#[test]
fn settings_that_cannot_work_are_told_at_the_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut gateway = Gateway::new();
        let missing = Path::new("/nonexistent/password");
        let text = format!(
            "[sinks.club.mqtt]\nurl = \"mqtt://x\"\nusername = \"me\"\npassword_file = {missing:?}"
        );
        let config = config::parse(&text).unwrap();
        let sink = &config.sinks["club"];
        let told = sink::spawn(&mut gateway.tasks, "club", sink, &gateway.context).unwrap_err();
        assert!(told.contains("/nonexistent/password"), "{told}");
    });
}
