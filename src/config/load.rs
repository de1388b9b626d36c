//! Reading the file: every mistake with its key path and line, all of them in one run.
//!
//! serde stops at the first mistake. So each one is noted, the key that holds it taken out of the parsed table, and
//! the rest tried again, until nothing is wrong any more. Then values are checked that have the right type but make no
//! sense.

use std::fmt;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};
use url::Url;

use super::{Config, Connect, Mqtt, Sink};

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {path:?}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something wrong.
    #[error("{} in the configuration {path:?}:\n{}", count(problems), list(problems))]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Everything that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Path of the key, such as `sinks.club.mqtt.url`; empty when the text is no TOML.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, message } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "line {line}: {key}{colon}{message}")
    }
}

fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "1 mistake".to_owned(),
        n => format!("{n} mistakes"),
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Reads and checks a file.
///
/// # Errors
/// When it cannot be read, or with all that is wrong in it.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
}

/// Checks the text of a file.
///
/// # Errors
/// All that is wrong in it, in the order of the file.
pub fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let (original, syntax) = DeTable::parse_recoverable(text);
    let mut report = Report { text, original: &original, problems: Vec::new() };
    for error in syntax {
        report.add(error.span(), String::new(), error.message().to_owned());
    }
    let mut table = original.clone();
    let config = loop {
        match Config::deserialize(Deserializer::from(table.clone())) {
            Ok(config) => break config,
            Err(error) => {
                let span = error.span();
                let path =
                    span.clone().map(|span| locate(table.get_ref(), &span)).unwrap_or_default();
                report.add_at(&path, span, error.message().trim());
                if path.is_empty() || !remove(table.get_mut(), &path) {
                    break Config::default();
                }
            }
        }
    };
    check(&config, &mut report);
    report.problems.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
    if report.problems.is_empty() { Ok(config) } else { Err(report.problems) }
}

struct Report<'a> {
    text: &'a str,
    original: &'a Spanned<DeTable<'a>>,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn add(&mut self, span: Option<Range<usize>>, key: String, message: String) {
        let before = span.and_then(|span| self.text.get(..span.start)).unwrap_or_default();
        self.problems.push(Problem { line: 1 + before.matches('\n').count(), key, message });
    }

    /// A mistake of type or name. A missing key is told under its own name.
    fn add_at(&mut self, path: &[String], span: Option<Range<usize>>, message: &str) {
        let missing =
            message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        let key = path.iter().map(String::as_str).chain(missing).collect::<Vec<_>>().join(".");
        let message = match missing {
            Some(_) => "is missing and has no default".to_owned(),
            None => plain(message),
        };
        self.add(span, key, message);
    }

    /// A value that makes no sense; its line is where its key stands, or the nearest table around it.
    fn senseless(&mut self, path: &[&str], message: impl Into<String>) {
        let mut table = self.original.get_ref();
        let mut span = None;
        for part in path {
            let Some((key, value)) = table.get_key_value(*part) else { break };
            span = Some(key.span());
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        self.add(span, path.join("."), message.into());
    }

    fn range<T: Copy + PartialOrd + fmt::Display>(
        &mut self,
        path: &[&str],
        value: T,
        allowed: &RangeInclusive<T>,
    ) {
        if !allowed.contains(&value) {
            let (from, to) = (allowed.start(), allowed.end());
            self.senseless(path, format!("{value} is out of range: {from} to {to} is allowed"));
        }
    }
}

/// serde names Rust's types; people know numbers.
fn plain(message: &str) -> String {
    let Some((what, wanted)) = message.rsplit_once("expected ") else { return message.to_owned() };
    let wanted = match wanted {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i16" => "a whole number from -32768 to 32767",
        "a boolean" => "true or false",
        other => other,
    };
    format!("{what}expected {wanted}")
}

/// The path of the deepest key at a place in the text.
fn locate(table: &DeTable<'_>, place: &Range<usize>) -> Vec<String> {
    let holds = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    for (key, value) in table {
        if holds(key.span()) {
            return vec![key.get_ref().to_string()];
        }
        let inner = match value.get_ref() {
            // A table's own span is its header; its keys stand elsewhere.
            DeValue::Table(inner) => locate(inner, place),
            _ => Vec::new(),
        };
        if !inner.is_empty() || holds(value.span()) {
            let mut path = vec![key.get_ref().to_string()];
            path.extend(inner);
            return path;
        }
    }
    Vec::new()
}

fn remove(table: &mut DeTable<'_>, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        return table.remove(first.as_str()).is_some();
    }
    match table.get_mut(first.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => {
            let removed = remove(inner, rest);
            // A sink whose only kind was wrong: what is left of it says nothing more.
            if inner.is_empty() {
                table.remove(first.as_str());
            }
            removed
        }
        _ => false,
    }
}

/// Longest name, id or topic part.
const NAME_MAX: usize = 64;

fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

const NAME_RULE: &str = "1 to 64 letters, digits, `-`, `_` or `.`";

fn check(config: &Config, report: &mut Report<'_>) {
    if let Some(id) = config.gateway.id.as_deref().filter(|id| !is_name(id)) {
        report.senseless(&["gateway", "id"], format!("{id:?} is no id: {NAME_RULE}"));
    }
    if let Some(Err(error)) = config.gateway.time_zone.as_deref().map(TimeZone::get) {
        report.senseless(
            &["gateway", "time_zone"],
            format!("{error}; it looks like \"Europe/Helsinki\", and needs the package tzdata"),
        );
    }
    let bluetooth = &config.bluetooth;
    report.range(&["bluetooth", "links_per_adapter"], bluetooth.links_per_adapter, &(1..=128));
    report.range(&["bluetooth", "min_rssi_dbm"], bluetooth.min_rssi_dbm, &(-127..=20));
    report.range(&["bluetooth", "silence_s"], bluetooth.silence_s, &(5..=600));
    if bluetooth.connect == Connect::None && !bluetooth.broadcast {
        report.senseless(
            &["bluetooth", "broadcast"],
            "with connect = \"none\" and broadcast = false no strap is ever read",
        );
    }
    for (id, strap) in &config.straps {
        if let Some(max) = strap.max_heart_rate_bpm {
            report.range(&["straps", id.as_str(), "max_heart_rate_bpm"], max, &(100..=240));
        }
    }
    report.range(&["buffer", "commit_every_ms"], config.buffer.commit_every_ms, &(50..=60_000));
    report.range(&["buffer", "max_mb"], config.buffer.max_mb, &(8..=16_384));
    let delivery = &config.delivery;
    let key = |last| ["delivery", last];
    report.range(&key("backlog_share_percent"), delivery.backlog_share_percent, &(1..=100));
    report.range(&key("backlog_per_s"), delivery.backlog_per_s, &(10..=1_000_000));
    report.range(&key("backlog_start_s"), delivery.backlog_start_s, &(0..=3600));
    let sessions = &config.sessions;
    let key = |last| ["sessions", last];
    report.range(&key("begin_s"), sessions.begin_s, &(1..=600));
    report.range(&key("silence_s"), sessions.silence_s, &(15..=3600));
    report.range(&key("outage_min"), sessions.outage_min, &(1..=720));
    let import = &config.import;
    let key = |last| ["import", last];
    report.range(&key("settle_s"), import.settle_s, &(1..=3600));
    report.range(&key("max_file_mb"), import.max_file_mb, &(1..=1024));
    report.range(&key("max_archive_mb"), import.max_archive_mb, &(1..=4096));
    report.range(&key("max_messages"), import.max_messages, &(1000..=100_000_000));
    report.range(&key("max_definitions"), import.max_definitions, &(16..=16_777_216));
    report.range(&key("max_segments"), import.max_segments, &(1..=10_000));
    report.range(&key("read_limit_s"), import.read_limit_s, &(1..=3600));
    if import.folder.as_ref().is_some_and(|folder| folder.as_os_str().is_empty()) {
        report.senseless(&key("folder"), "is empty; leave it out to have no folder watched");
    }
    report.range(&["web", "max_heart_rate_bpm"], config.web.max_heart_rate_bpm, &(100..=240));
    let listen = &config.web.listen;
    if !listen.is_empty() && listen.parse::<SocketAddr>().is_err() {
        report.senseless(
            &["web", "listen"],
            format!("{listen:?} is no address with a port, such as \"127.0.0.1:7373\" or \"0.0.0.0:7373\""),
        );
    }
    if let Some(terra) = &config.web.terra {
        if !is_name(&terra.dev_id) {
            let text = format!("{:?} is no id: {NAME_RULE}", terra.dev_id);
            report.senseless(&["web", "terra", "dev_id"], text);
        }
        if listen.is_empty() {
            let text = "needs [web] listen: nobody can ask where nothing listens";
            report.senseless(&["web", "terra"], text);
        }
    }
    for (name, sink) in &config.sinks {
        if !is_name(name) {
            report.senseless(
                &["sinks", name],
                format!("{name:?} is no name for a sink: {NAME_RULE}"),
            );
        }
        match sink {
            Sink::Mqtt(mqtt) => check_mqtt(name, mqtt, report),
            Sink::File(file) => {
                report.range(&["sinks", name, "file", "rotate_mb"], file.rotate_mb, &(1..=65_536));
                report.range(
                    &["sinks", name, "file", "keep_files"],
                    file.keep_files,
                    &(1..=10_000),
                );
                if file.path.as_os_str().is_empty() {
                    report.senseless(
                        &["sinks", name, "file", "path"],
                        "is empty; `-` is standard output",
                    );
                }
            }
        }
    }
}

fn check_mqtt(name: &str, mqtt: &Mqtt, report: &mut Report<'_>) {
    let key = |last| ["sinks", name, "mqtt", last];
    match Url::parse(&mqtt.url) {
        Err(error) => {
            report.senseless(
                &key("url"),
                format!("{error}; it looks like \"mqtt://broker.example:1883\""),
            );
        }
        Ok(url) => {
            if !matches!(url.scheme(), "mqtt" | "mqtts") {
                let scheme = url.scheme();
                report.senseless(
                    &key("url"),
                    format!("the scheme {scheme:?} is unknown: mqtt or mqtts"),
                );
            } else if url.host_str().is_none_or(str::is_empty) {
                report
                    .senseless(&key("url"), "has no host, such as \"mqtt://broker.example:1883\"");
            } else if !url.username().is_empty() || url.password().is_some() {
                report.senseless(
                    &key("url"),
                    "holds credentials; use `username` and `password_file`",
                );
            } else if !matches!(url.path(), "" | "/") || url.query().is_some() {
                report.senseless(&key("url"), "has a path; a broker is a host and a port");
            }
            if mqtt.ca_file.is_some() && url.scheme() == "mqtt" {
                report.senseless(&key("ca_file"), "only works with an mqtts:// url");
            }
        }
    }
    let prefix = &mqtt.topic_prefix;
    if prefix.is_empty() || prefix.split('/').any(|part| !is_name(part)) {
        report.senseless(
            &key("topic_prefix"),
            format!("{prefix:?}: each part between slashes is {NAME_RULE}"),
        );
    }
    if mqtt.password_file.is_some() && mqtt.username.is_none() {
        report.senseless(&key("password_file"), "needs a `username`");
    }
    report.range(&key("keep_alive_s"), mqtt.keep_alive_s, &(5..=3600));
    report.range(&key("ack_timeout_s"), mqtt.ack_timeout_s, &(5..=600));
}
