//! The configuration file as types, and the check that lists everything wrong with it at once.
//!
//! Nothing here acts. Every key has a default, so an empty file is a good file. `config/pulsegate.toml` shows each
//! key; a test keeps the two together.

mod load;

pub use load::{ConfigError, Problem, load, parse};

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::format::EntryFormat;
use crate::reading::StrapId;

/// Where the configuration is looked for when no `--config` is given.
pub const DEFAULT_PATH: &str = "/etc/pulsegate/pulsegate.toml";

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the buffer and of everything else that must survive a restart.
    pub data_dir: Option<PathBuf>,
    /// Who this box is.
    pub gateway: Gateway,
    /// How straps are found and read.
    pub bluetooth: Bluetooth,
    /// What is known of single straps, by the id printed on them.
    pub straps: BTreeMap<StrapId, Strap>,
    /// How readings are kept.
    pub buffer: Buffer,
    /// What comes first after an outage.
    pub delivery: Delivery,
    /// When sessions begin and end.
    pub sessions: Sessions,
    /// Whether the wall clock can be believed.
    pub clock: Clock,
    /// How files come in.
    pub import: Import,
    /// The wall page.
    pub web: Web,
    /// Destinations, by a name of your choice.
    pub sinks: BTreeMap<String, Sink>,
}

/// `[gateway]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Identity in every message; made at the first start and kept when not given.
    pub id: Option<String>,
    /// What people call this box.
    pub label: Option<String>,
    /// Time zone of its days, as the IANA names it; the system's when not given.
    pub time_zone: Option<String>,
}

/// `[bluetooth]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bluetooth {
    /// Adapters to use, by name (`hci0`) or address; all when empty.
    pub adapters: Vec<String>,
    /// Which straps to connect to.
    pub connect: Connect,
    /// Straps connected at once per adapter.
    pub links_per_adapter: u16,
    /// Take heart rate from advertisements of straps that are not connected.
    pub broadcast: bool,
    /// Straps heard more weakly than this are not connected to.
    pub min_rssi_dbm: i16,
    /// A connected strap that sends nothing for so long is disconnected and tried again.
    pub silence_s: u16,
}

impl Default for Bluetooth {
    fn default() -> Self {
        Self {
            adapters: Vec::new(),
            connect: Connect::All,
            links_per_adapter: 7,
            broadcast: true,
            min_rssi_dbm: -95,
            silence_s: 15,
        }
    }
}

/// Which straps to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connect {
    /// Every strap in range.
    All,
    /// Only those with a `[straps.ID]` table, and those entered at the desk.
    Known,
    /// None: broadcasts only.
    None,
}

/// `[straps.ID]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Strap {
    /// Shown on the wall instead of the id. It leaves the box only as the page on the wall.
    pub label: Option<String>,
    /// Maximum heart rate of whoever wears it, for zones.
    pub max_heart_rate_bpm: Option<u16>,
    /// Neither connect nor listen to this strap.
    pub ignore: bool,
}

/// `[buffer]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Buffer {
    /// Longest time between a reading and its place on the disk: what a power cut can take.
    pub commit_every_ms: u32,
    /// Size of what is kept; the oldest goes first.
    pub max_mb: u32,
    /// Age of what is kept; 0 for no limit.
    pub max_days: u32,
}

impl Buffer {
    /// Size of what is kept, in bytes.
    pub fn max_bytes(&self) -> u64 {
        u64::from(self.max_mb) << 20
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self { commit_every_ms: 1000, max_mb: 256, max_days: 0 }
    }
}

/// `[delivery]`: after an outage the newest entries go first, and what has piled up drains behind them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Share of a sink's time that what has piled up may take.
    pub backlog_share_percent: u16,
    /// Most entries of what has piled up that go to one sink in a second.
    pub backlog_per_s: u32,
    /// The drain begins after a random time up to this.
    pub backlog_start_s: u16,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { backlog_share_percent: 50, backlog_per_s: 1000, backlog_start_s: 10 }
    }
}

/// `[sessions]`: what a strap sends from putting it on to taking it off is a session, and is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Heart rate for so long begins a session.
    pub begin_s: u16,
    /// No heart rate for so long ends it; a shorter gap is a pause.
    pub silence_s: u16,
    /// After so many minutes without the box itself, no session goes on.
    pub outage_min: u16,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { begin_s: 10, silence_s: 180, outage_min: 30 }
    }
}

/// `[clock]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clock {
    /// What confirms the wall clock.
    pub synced_by: SyncedBy,
}

/// What confirms the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncedBy {
    /// systemd-timesyncd.
    #[default]
    Timesyncd,
    /// The operator: the machine is kept on time by something else.
    Operator,
}

/// `[import]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Import {
    /// Folder that files are taken from, seen from the data folder; none when not given.
    pub folder: Option<PathBuf>,
    /// A file in the folder that is damaged is taken as it is once it has not changed for so long; one that says that more
    /// must come, after ten times as long.
    pub settle_s: u16,
    /// Size of a recording, unpacked.
    pub max_file_mb: u16,
    /// Size of an archive.
    pub max_archive_mb: u16,
    /// Messages in a FIT file.
    pub max_messages: u32,
    /// Definitions in a FIT file.
    pub max_definitions: u32,
    /// Segments of a FIT file.
    pub max_segments: u16,
    /// Time that reading one recording may take.
    pub read_limit_s: u16,
}

impl Default for Import {
    fn default() -> Self {
        Self {
            folder: None,
            settle_s: 60,
            max_file_mb: 32,
            max_archive_mb: 256,
            max_messages: 1_500_000,
            max_definitions: 65_536,
            max_segments: 64,
            read_limit_s: 60,
        }
    }
}

/// `[web]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Address and port of the page; none when empty.
    pub listen: String,
    /// Further host names under which browsers may ask.
    pub host_names: Vec<String>,
    /// Maximum heart rate for the zones of straps that have none of their own.
    pub max_heart_rate_bpm: u16,
    /// Who may ask for what is known of people; nobody when not given.
    pub terra: Option<TerraApi>,
}

/// `[web.terra]`: historical requests under `/v2/`, in the shape of Terra's API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerraApi {
    /// What a backend says of itself in the header `dev-id`.
    pub dev_id: String,
    /// File that holds what it shows in the header `x-api-key`.
    pub api_key_file: PathBuf,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7373".to_owned(),
            host_names: Vec::new(),
            max_heart_rate_bpm: 190,
            terra: None,
        }
    }
}

/// `[sinks.NAME.KIND]`: one destination. Externally tagged, so that a mistake keeps its line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sink {
    /// An MQTT broker.
    Mqtt(Mqtt),
    /// A file of one JSON object a line.
    File(File),
}

impl Sink {
    /// Whether it is sent Terra's payloads, and so what a backend has asked for.
    pub fn writes_terra(&self) -> bool {
        match self {
            Self::File(file) => file.format == EntryFormat::Terra,
            Self::Mqtt(_) => false,
        }
    }
}

/// `[sinks.NAME.mqtt]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// `mqtt://host:1883` or `mqtts://host:8883`.
    pub url: String,
    /// Protocol version.
    #[serde(default)]
    pub version: MqttVersion,
    /// Client id; `pulsegate-<gateway id>-<sink name>` when not given.
    #[serde(default)]
    pub client_id: Option<String>,
    /// User name.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// File with the certificate (PEM) of the authority that signed the broker's; the system's when not given.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// First part of every topic.
    #[serde(default = "topic_prefix")]
    pub topic_prefix: String,
    /// Also publish every reading at once, at QoS 0, for dashboards.
    #[serde(default = "yes")]
    pub live: bool,
    /// Keep-alive interval.
    #[serde(default = "keep_alive_s")]
    pub keep_alive_s: u16,
    /// A message not acknowledged for so long breaks the connection, and is sent again.
    #[serde(default = "ack_timeout_s")]
    pub ack_timeout_s: u16,
}

fn topic_prefix() -> String {
    "pulsegate".to_owned()
}

fn yes() -> bool {
    true
}

fn keep_alive_s() -> u16 {
    30
}

fn ack_timeout_s() -> u16 {
    30
}

/// MQTT protocol version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MqttVersion {
    /// Version 5.
    #[default]
    #[serde(rename = "5")]
    V5,
    /// Version 3.1.1.
    #[serde(rename = "3.1.1")]
    V3,
}

/// `[sinks.NAME.file]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where to write, seen from the data folder; `-` is standard output.
    pub path: PathBuf,
    /// What is written of an entry.
    #[serde(default)]
    pub format: EntryFormat,
    /// A new file is begun beyond this size.
    #[serde(default = "rotate_mb")]
    pub rotate_mb: u32,
    /// How many full files are kept beside the one being written.
    #[serde(default = "keep_files")]
    pub keep_files: u16,
}

fn rotate_mb() -> u32 {
    64
}

fn keep_files() -> u16 {
    8
}

impl Config {
    /// The data folder: as configured, else the service manager's (`STATE_DIRECTORY`), else under the user's state
    /// folder.
    pub fn data_dir(&self) -> PathBuf {
        let from_env =
            |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        self.data_dir
            .clone()
            .or_else(|| from_env("STATE_DIRECTORY"))
            .or_else(|| from_env("XDG_STATE_HOME").map(|folder| folder.join("pulsegate")))
            .or_else(|| from_env("HOME").map(|home| home.join(".local/state/pulsegate")))
            .unwrap_or_else(|| PathBuf::from("/var/lib/pulsegate"))
    }
}
