//! Which broker, as whom, on which topics: the settings made ready, the same for both protocol versions.

use std::path::Path;
use std::time::Duration;

use url::{Host, Url};

use super::tls::Tls;
use crate::config::{self, MqttVersion};
use crate::secret::{self, Secret};

/// Longest wait for a connection: name, TCP, TLS and the broker's CONNACK.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Largest packet in either direction: a message of 64 KiB with one very long entry, and twice that for good measure.
/// The libraries' own limit is 10 KiB.
pub(super) const MOST_PACKET_BYTES: u32 = 256 * 1024;

/// Everything a connection needs to know. Shows no secret.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) version: MqttVersion,
    pub(super) client_id: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) tls: Option<Tls>,
    pub(super) keep_alive_s: u16,
    pub(super) ack_within: Duration,
    pub(super) topics: Topics,
}

impl Broker {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// In words, when the settings cannot work.
    pub(super) fn new(sink: &str, settings: &config::Mqtt, gateway: &str) -> Result<Self, String> {
        let url = Url::parse(&settings.url).map_err(|error| format!("url: {error}"))?;
        let secure = match url.scheme() {
            "mqtt" => false,
            "mqtts" => true,
            other => return Err(format!("url: the scheme {other:?} is unknown: mqtt or mqtts")),
        };
        // Other schemes than http leave an address as an opaque name; brackets are all that tells an IPv6 one.
        let host = match url.host() {
            Some(Host::Ipv6(_)) if secure => {
                return Err("url: mqtts needs the broker's name, not an IPv6 address".to_owned());
            }
            Some(host) => host.to_string(),
            None => return Err("url: has no host".to_owned()),
        };
        let password = settings.password_file.as_deref().map(read_password).transpose()?;
        let tls = secure.then(|| Tls::new(settings.ca_file.as_deref())).transpose()?;
        let default_id = || format!("pulsegate-{gateway}-{sink}");
        Ok(Self {
            host,
            port: url.port().unwrap_or(if secure { 8883 } else { 1883 }),
            version: settings.version,
            client_id: settings.client_id.clone().unwrap_or_else(default_id),
            username: settings.username.clone(),
            password,
            tls,
            keep_alive_s: settings.keep_alive_s,
            ack_within: Duration::from_secs(settings.ack_timeout_s.into()),
            topics: Topics::new(&settings.topic_prefix, gateway),
        })
    }

    /// Host and port, for people.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn read_password(path: &Path) -> Result<Secret, String> {
    secret::read(path).map_err(|error| format!("password_file {}: {error}", path.display()))
}

/// Names of the topics. No name of a person is ever part of one.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    base: String,
}

impl Topics {
    pub(super) fn new(prefix: &str, gateway: &str) -> Self {
        Self { base: format!("{prefix}/{gateway}") }
    }

    /// Retained: `online`, or `offline` as the last will.
    pub(super) fn state(&self) -> String {
        format!("{}/state", self.base)
    }

    pub(super) fn info(&self) -> String {
        format!("{}/info", self.base)
    }

    pub(super) fn health(&self) -> String {
        format!("{}/health", self.base)
    }

    pub(super) fn batch(&self) -> String {
        format!("{}/batch", self.base)
    }

    pub(super) fn event(&self) -> String {
        format!("{}/event", self.base)
    }

    /// `last` is `hr`, `state` or `info`.
    pub(super) fn strap(&self, strap: &str, last: &str) -> String {
        format!("{}/strap/{strap}/{last}", self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> config::Mqtt {
        let config = config::parse(&format!("[sinks.club.mqtt]\n{text}")).unwrap();
        match config.sinks.into_values().next() {
            Some(config::Sink::Mqtt(settings)) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn host_port_and_client_id_have_their_defaults() {
        let broker =
            |url: &str| Broker::new("club", &settings(&format!("url = {url:?}")), "box-1").unwrap();
        assert_eq!(broker("mqtt://broker.example").address(), "broker.example:1883");
        assert_eq!(broker("mqtt://10.0.0.7:11883/").address(), "10.0.0.7:11883");
        assert_eq!(broker("mqtt://[::1]:7").address(), "[::1]:7");
        assert_eq!(broker("mqtt://x").client_id, "pulsegate-box-1-club");
        assert_eq!(broker("mqtt://x").topics.strap("AB", "hr"), "pulsegate/box-1/strap/AB/hr");
    }

    #[test]
    fn tls_has_its_own_port_and_believes_only_the_file_given() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("ca.pem");
        let text = format!("url = \"mqtts://broker.example\"\nca_file = {missing:?}");
        assert!(Broker::new("club", &settings(&text), "g").unwrap_err().contains("ca_file"));
        let text = "url = \"mqtts://[::1]\"";
        assert!(Broker::new("club", &settings(text), "g").unwrap_err().contains("IPv6"));
    }

    #[test]
    fn the_password_comes_from_its_file_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let text = format!("url = \"mqtt://x\"\nusername = \"me\"\npassword_file = {file:?}");
        let told = Broker::new("club", &settings(&text), "g").unwrap_err();
        assert!(told.contains("password_file") && told.contains("password"), "{told}");
        std::fs::write(&file, "hunter2\n").unwrap();
        let broker = Broker::new("club", &settings(&text), "g").unwrap();
        assert_eq!(broker.password.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{broker:?}").contains("hunter2"));
    }
}
