//! The configuration: mistakes are told with key path and line, all at once, and the shipped file shows every key.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;

use pulsegate::config::{
    self, Bluetooth, Buffer, Clock, Config, Connect, Delivery, File, Gateway, Import, Mqtt,
    MqttVersion, Sessions, Sink, Strap, SyncedBy, TerraApi, Web,
};
use pulsegate::format::EntryFormat;
use pulsegate::reading::StrapId;

/// Eighteen kinds of mistakes. The number in the comment is the line.
const WRONG: &str = r#"data_dirr = "/var/lib/pulsegate"          # 1 unknown key at the top
[gateway]
id = "club north"                          # 3 a space in an id
time_zone = "Middle-earth/Shire"           # 4 nowhere
[bluetooth]
connect = "some"                           # 6 unknown choice
links_per_adapter = "seven"                # 7 wrong type
min_rssi_dbm = -400                        # 8 out of range
silence_s = -1                             # 9 negative
[straps."9F/5322"]                         # 10 no strap id
[straps.9F6E5322]
max_heart_rate_bpm = 20                    # 12 out of range
[web]
listen = "7373"                            # 14 no address
[buffer]
max_mb = 3.5                               # 16 a fraction
[sinks.a.mqqt]                             # 17 unknown kind
url = "mqtt://x"
[sinks.b.mqtt]                             # 19 url is missing
keep_alive_s = 60
[sinks.c.mqtt]
url = "http://broker.example"              # 22 wrong scheme
[sinks.d.mqtt]
url = "mqtt://me:secret@broker.example"    # 24 credentials in the url
topic_prefix = "a/+/b"                     # 25 wildcard
password_file = "/x"                       # 26 without user name
[sinks.e.file]
path = "-"
rotat_mb = 5                               # 29 unknown key
[delivery]
backlog_share_percent = 0                  # 31 out of range
backlog_per_s = 9                          # 32 out of range
backlog_start_s = 3601                     # 33 out of range
[import]
folder = ""                                # 35 empty
max_file_mb = 0                            # 36 out of range
[sessions]
begin_s = 0                                # 38 out of range
silence_s = 14                             # 39 out of range
outage_min = 721                           # 40 out of range
[web.terra]
dev_id = "club backend"                    # 42 a space in an id
api_key_file = "/x"
"#;

#[test]
fn every_mistake_is_told_with_key_path_and_line_in_one_run() {
    let problems = config::parse(WRONG).unwrap_err();
    let told: Vec<(usize, &str)> = problems.iter().map(|p| (p.line, p.key.as_str())).collect();
    let expected = [
        (1, "data_dirr"),
        (3, "gateway.id"),
        (4, "gateway.time_zone"),
        (6, "bluetooth.connect"),
        (7, "bluetooth.links_per_adapter"),
        (8, "bluetooth.min_rssi_dbm"),
        (9, "bluetooth.silence_s"),
        (10, "straps.9F/5322"),
        (12, "straps.9F6E5322.max_heart_rate_bpm"),
        (14, "web.listen"),
        (16, "buffer.max_mb"),
        (17, "sinks.a.mqqt"),
        (19, "sinks.b.mqtt.url"),
        (22, "sinks.c.mqtt.url"),
        (24, "sinks.d.mqtt.url"),
        (25, "sinks.d.mqtt.topic_prefix"),
        (26, "sinks.d.mqtt.password_file"),
        (29, "sinks.e.file.rotat_mb"),
        (31, "delivery.backlog_share_percent"),
        (32, "delivery.backlog_per_s"),
        (33, "delivery.backlog_start_s"),
        (35, "import.folder"),
        (36, "import.max_file_mb"),
        (38, "sessions.begin_s"),
        (39, "sessions.silence_s"),
        (40, "sessions.outage_min"),
        (42, "web.terra.dev_id"),
    ];
    assert_eq!(told, expected, "{problems:#?}");
    assert!(problems.iter().all(|problem| !problem.message.is_empty()));
    assert!(
        problems.iter().all(|problem| !problem.message.contains("secret")),
        "a password is not repeated"
    );
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let problems = config::parse("[web]\nlisten = \nhost_names = [\n").unwrap_err();
    assert!(problems.iter().any(|problem| problem.line == 2), "{problems:?}");
}

#[test]
fn an_empty_file_is_a_good_file() {
    assert_eq!(config::parse("").unwrap(), Config::default());
}

/// The shipped file with its examples switched on: lines `#key = value` and `#[table]` without a space.
fn shipped_with_examples() -> String {
    let shipped = include_str!("../config/pulsegate.toml");
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_owned(),
        _ => line.to_owned(),
    };
    shipped.lines().map(switch_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    assert_eq!(config::parse(include_str!("../config/pulsegate.toml")).unwrap(), Config::default());
    let examples = config::parse(&shipped_with_examples()).unwrap();
    let shown = |sink: &Sink, minimal: &str| {
        let minimal = config::parse(minimal).unwrap().sinks.remove("x").unwrap();
        match (sink, minimal) {
            (Sink::Mqtt(shown), Sink::Mqtt(default)) => {
                assert_eq!(shown.version, default.version);
                assert_eq!(shown.topic_prefix, default.topic_prefix);
                assert_eq!(shown.live, default.live);
                assert_eq!(shown.keep_alive_s, default.keep_alive_s);
                assert_eq!(shown.ack_timeout_s, default.ack_timeout_s);
            }
            (Sink::File(shown), Sink::File(default)) => {
                assert_eq!(
                    (shown.format, shown.rotate_mb, shown.keep_files),
                    (default.format, default.rotate_mb, default.keep_files)
                );
            }
            _ => panic!("another kind of sink"),
        }
    };
    shown(&examples.sinks["club"], "[sinks.x.mqtt]\nurl = 'mqtt://h'");
    shown(&examples.sinks["archive"], "[sinks.x.file]\npath = '-'");
}

/// Every key there is: a struct literal without defaults, so that a new key does not compile before it is here.
fn every_key() -> Config {
    let path = Some("/x".into());
    let text = Some("x".to_owned());
    Config {
        data_dir: path.clone(),
        gateway: Gateway { id: text.clone(), label: text.clone(), time_zone: text.clone() },
        bluetooth: Bluetooth {
            adapters: Vec::new(),
            connect: Connect::All,
            links_per_adapter: 1,
            broadcast: true,
            min_rssi_dbm: -90,
            silence_s: 15,
        },
        straps: [(
            StrapId::new("9F6E5322").unwrap(),
            Strap { label: text.clone(), max_heart_rate_bpm: Some(180), ignore: false },
        )]
        .into(),
        buffer: Buffer { commit_every_ms: 1000, max_mb: 256, max_days: 0 },
        delivery: Delivery { backlog_share_percent: 50, backlog_per_s: 1000, backlog_start_s: 10 },
        sessions: Sessions { begin_s: 10, silence_s: 180, outage_min: 30 },
        clock: Clock { synced_by: SyncedBy::Operator },
        import: Import {
            folder: path.clone(),
            settle_s: 60,
            max_file_mb: 32,
            max_archive_mb: 256,
            max_messages: 1_500_000,
            max_definitions: 65_536,
            max_segments: 64,
            read_limit_s: 60,
        },
        web: Web {
            listen: String::new(),
            host_names: Vec::new(),
            max_heart_rate_bpm: 190,
            terra: Some(TerraApi { dev_id: "x".to_owned(), api_key_file: "/x".into() }),
        },
        sinks: [
            (
                "club".to_owned(),
                Sink::Mqtt(Mqtt {
                    url: "mqtt://h".to_owned(),
                    version: MqttVersion::V3,
                    client_id: text.clone(),
                    username: text,
                    password_file: path.clone(),
                    ca_file: path,
                    topic_prefix: "x".to_owned(),
                    live: true,
                    keep_alive_s: 30,
                    ack_timeout_s: 30,
                }),
            ),
            (
                "archive".to_owned(),
                Sink::File(File {
                    path: "-".into(),
                    format: EntryFormat::default(),
                    rotate_mb: 1,
                    keep_files: 1,
                }),
            ),
        ]
        .into(),
    }
}

fn key_paths(prefix: &str, table: &toml::Table, into: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => key_paths(&path, inner, into),
            _ => {
                into.insert(path);
            }
        }
    }
}

#[test]
fn the_shipped_file_shows_every_key_and_no_other() {
    let (mut shown, mut known) = (BTreeSet::new(), BTreeSet::new());
    key_paths("", &toml::from_str(&shipped_with_examples()).unwrap(), &mut shown);
    key_paths("", &toml::Table::try_from(every_key()).unwrap(), &mut known);
    assert_eq!(shown, known);
}

#[test]
fn each_key_of_the_shipped_file_has_a_sentence_above_it() {
    let lines: Vec<&str> = include_str!("../config/pulsegate.toml").lines().collect();
    for pair in lines.windows(2) {
        let is_key = pair[1]
            .trim_start_matches('#')
            .split_once(" = ")
            .is_some_and(|(k, _)| !k.contains(' '));
        if is_key {
            assert!(pair[0].starts_with("# "), "no sentence above: {}", pair[1]);
        }
    }
}
