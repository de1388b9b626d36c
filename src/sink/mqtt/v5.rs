//! One connection in MQTT 5: the only file that names `rumqttc`.
//!
//! The client lives as long as its connection. Nothing of it is used again: what it had queued or in flight is in our
//! log anyway, and a client that resends by itself would tell us less than the truth about what arrived.

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, LastWill, LastWillProperties,
    MqttOptions, Packet, PubAckReason, PublishNotice, PublishNoticeError, PublishOptions,
    PublishProperties, PublishResult, QoS, StateError, TlsConfiguration, Transport,
};
use tokio::sync::{mpsc, oneshot};

use super::broker::{Broker, CONNECT_WITHIN, MOST_PACKET_BYTES};
use super::connection::Accepted;
use super::message::{Content, Message, Publish, Qos, Refused, Retain};
use super::pump::{End, IN_FLIGHT, Unanswered, pump, together};
use super::refusal::Refusal;

/// Packet ids in use at once; far more than in flight, so that a late acknowledgement never blocks the next lap.
const PACKET_IDS: u16 = 1000;

/// Connects, tells `up`, publishes what comes, and ends with the connection.
pub(super) async fn run(
    broker: &Broker,
    queue: mpsc::Receiver<Publish>,
    up: oneshot::Sender<Accepted>,
) -> End {
    let (client, mut events) =
        AsyncClient::builder(options(broker)).capacity(IN_FLIGHT * 2).build();
    let mut up = Some(up);
    let connection = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                    let limits = connack.properties.as_ref();
                    let accepted =
                        Accepted { most_packet_bytes: limits.and_then(|p| p.max_packet_size) };
                    if let Some(up) = up.take() {
                        // Nobody waits any more: stopping.
                        let _ = up.send(accepted);
                    }
                }
                Ok(_) => {}
                Err(ConnectionError::RequestsDone) => return End::Closed,
                Err(error) => return ended(&error, up.is_none()),
            }
        }
    };
    let feeding = async {
        let publish = |message: Message| {
            let topic = message.topic.clone();
            let (qos, payload, options) = translate(message);
            client
                .try_publish_tracked(topic.clone(), payload, options)
                .map(|notice| answer(notice, topic, qos))
                .map_err(|error| format!("the MQTT client refused a message: {error}"))
        };
        if let Err(reason) = pump(queue, broker.ack_within, publish).await {
            return End::Lost(reason);
        }
        if let Err(error) = client.disconnect().await {
            return End::Lost(format!("the MQTT client could not disconnect: {error}"));
        }
        std::future::pending().await
    };
    together(connection, feeding).await
}

fn options(broker: &Broker) -> MqttOptions {
    let mut options =
        MqttOptions::new(broker.client_id.clone(), (broker.host.clone(), broker.port));
    let content_type = Some(Content::Text.media_type().to_owned());
    let will = LastWillProperties {
        delay_interval: None,
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    options
        .set_clean_start(true)
        .set_keep_alive(broker.keep_alive_s)
        .set_max_packet_size(Some(MOST_PACKET_BYTES))
        .set_outgoing_inflight_upper_limit(PACKET_IDS)
        .set_connect_timeout(CONNECT_WITHIN)
        .set_last_will(LastWill::new(
            broker.topics.state(),
            "offline",
            QoS::AtLeastOnce,
            true,
            Some(will),
        ));
    match (&broker.username, &broker.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, _) => {}
    }
    if let Some(tls) = &broker.tls {
        let tls = TlsConfiguration::Rustls(tls.config());
        options.set_transport(Transport::tls_with_config(tls));
    }
    let mut network = options.network_options();
    // One attempt may use up the whole time; and a small message should not wait for the next one.
    network.set_connection_timeout(CONNECT_WITHIN.as_secs());
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options
}

fn translate(message: Message) -> (Qos, Vec<u8>, PublishOptions) {
    let user_properties = message.about.map_or_else(Vec::new, |about| {
        vec![
            ("gateway".to_owned(), about.gateway),
            ("first_seq".to_owned(), about.first.to_string()),
            ("count".to_owned(), about.count.to_string()),
        ]
    });
    let properties = PublishProperties {
        content_type: Some(message.content.media_type().to_owned()),
        user_properties,
        ..PublishProperties::default()
    };
    let qos = match message.qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    };
    let options =
        PublishOptions::new(qos).retain(message.retain == Retain::Yes).properties(properties);
    (message.qos, message.payload, options)
}

async fn answer(
    notice: PublishNotice,
    topic: String,
    qos: Qos,
) -> Result<Result<(), Refused>, Unanswered> {
    match notice.wait_async().await {
        Ok(PublishResult::Qos1(puback)) => Ok(verdict(puback.reason, &topic)),
        Ok(PublishResult::Qos0Flushed) if qos == Qos::AtMostOnce => Ok(Ok(())),
        Ok(other) => Err(Unanswered::Broken(format!("an answer that fits no message: {other:?}"))),
        Err(PublishNoticeError::RetainNotSupported) => {
            Ok(Err(Refused::ForGood("the broker keeps no retained messages".to_owned())))
        }
        Err(_) => Err(Unanswered::Gone),
    }
}

/// What a PUBACK means for us.
fn verdict(reason: PubAckReason, topic: &str) -> Result<(), Refused> {
    match reason {
        // The broker has it, whether or not anybody listens just now.
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
        PubAckReason::NotAuthorized => Err(Refused::Denied(format!(
            "not allowed to publish to {topic}: give the user of this box that right in the broker"
        ))),
        PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid => {
            Err(Refused::ForGood(format!("the broker refused a message to {topic} ({reason:?})")))
        }
        PubAckReason::QuotaExceeded => Err(Refused::Later("the broker is over its quota".into())),
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse => {
            Err(Refused::Later(format!("the broker could not take a message ({reason:?})")))
        }
    }
}

fn ended(error: &ConnectionError, was_up: bool) -> End {
    match error {
        ConnectionError::ConnectionRefused(code) => refused(*code),
        // A broker of the old version answers in the old format, which cannot be read.
        ConnectionError::MqttState(StateError::Deserialization(_)) if !was_up => {
            End::Lost(format!("{error}; does the broker speak MQTT 5? (`version = \"3.1.1\"`)"))
        }
        other => End::Lost(other.to_string()),
    }
}

/// What a refusing CONNACK means for us.
fn refused(code: ConnectReturnCode) -> End {
    use ConnectReturnCode as Code;
    let refusal = match code {
        Code::BadUserNamePassword => Refusal::Credentials,
        Code::NotAuthorized => Refusal::NotAuthorised,
        Code::ClientIdentifierNotValid | Code::BadClientId => Refusal::ClientId,
        Code::Banned => Refusal::Banned,
        Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion => Refusal::Version,
        _ => return End::Lost(format!("the broker refused the connection ({code:?})")),
    };
    End::Refused(refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_success() {
        use PubAckReason as Reason;
        assert_eq!(verdict(Reason::Success, "t"), Ok(()));
        assert_eq!(verdict(Reason::NoMatchingSubscribers, "t"), Ok(()));
        assert!(
            matches!(verdict(Reason::NotAuthorized, "a/b"), Err(Refused::Denied(words)) if words.contains("publish to a/b"))
        );
        for reason in [Reason::TopicNameInvalid, Reason::PayloadFormatInvalid] {
            assert!(matches!(verdict(reason, "t"), Err(Refused::ForGood(_))));
        }
        for reason in [
            Reason::QuotaExceeded,
            Reason::UnspecifiedError,
            Reason::ImplementationSpecificError,
            Reason::PacketIdentifierInUse,
        ] {
            assert!(matches!(verdict(reason, "t"), Err(Refused::Later(_))));
        }
    }

    #[test]
    fn only_refusals_that_somebody_must_mend_are_final() {
        use ConnectReturnCode as Code;
        for (code, key) in [
            (Code::BadUserNamePassword, "password_file"),
            (Code::NotAuthorized, "username"),
            (Code::ClientIdentifierNotValid, "client_id"),
            (Code::Banned, "banned"),
            (Code::UnsupportedProtocolVersion, "version"),
        ] {
            assert!(
                matches!(refused(code), End::Refused(words) if words.contains(key)),
                "{code:?}"
            );
        }
        for code in
            [Code::ServerUnavailable, Code::ServerBusy, Code::QuotaExceeded, Code::UseAnotherServer]
        {
            assert!(matches!(refused(code), End::Lost(_)), "{code:?}");
        }
    }
}
