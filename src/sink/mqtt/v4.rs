//! One connection in MQTT 3.1.1: the only file that names `rumqttc_v4`. The same surface as `v5`, for the same reasons.
//!
//! This version has no word for "refused": a broker that will not take a message acknowledges it and drops it.

use rumqttc_v4::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, LastWill, MqttOptions, NetworkOptions,
    Packet, PublishNotice, PublishOptions, PublishResult, QoS, TlsConfiguration, Transport,
};
use tokio::sync::{mpsc, oneshot};

use super::broker::{Broker, CONNECT_WITHIN, MOST_PACKET_BYTES};
use super::connection::Accepted;
use super::message::{Message, Publish, Qos, Refused, Retain};
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
    let mut network = NetworkOptions::new();
    // Covers the broker's answer too; and a small message should not wait for the next one.
    network.set_connection_timeout(CONNECT_WITHIN.as_secs());
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    let mut up = Some(up);
    let connection = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if let Some(up) = up.take() {
                        // Nobody waits any more: stopping.
                        let _ = up.send(Accepted { most_packet_bytes: None });
                    }
                }
                Ok(_) => {}
                Err(ConnectionError::RequestsDone) => return End::Closed,
                Err(ConnectionError::ConnectionRefused(code)) => return refused(code),
                Err(error) => return End::Lost(error.to_string()),
            }
        }
    };
    let feeding = async {
        let publish = |message: Message| {
            let (topic, qos, payload, options) = translate(message);
            client
                .try_publish_tracked(topic, payload, options)
                .map(|notice| answer(notice, qos))
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
    let most_bytes = usize::try_from(MOST_PACKET_BYTES).unwrap_or(usize::MAX);
    options
        .set_clean_session(true)
        .set_keep_alive(broker.keep_alive_s)
        .set_max_packet_size(most_bytes, most_bytes)
        .set_inflight(PACKET_IDS)
        .set_last_will(LastWill::new(broker.topics.state(), "offline", QoS::AtLeastOnce, true));
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
    options
}

fn translate(message: Message) -> (String, Qos, Vec<u8>, PublishOptions) {
    let qos = match message.qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    };
    let options = PublishOptions::new(qos).retain(message.retain == Retain::Yes);
    (message.topic, message.qos, message.payload, options)
}

async fn answer(notice: PublishNotice, qos: Qos) -> Result<Result<(), Refused>, Unanswered> {
    match notice.wait_async().await {
        Ok(PublishResult::Qos1(_)) => Ok(Ok(())),
        Ok(PublishResult::Qos0Flushed) if qos == Qos::AtMostOnce => Ok(Ok(())),
        Ok(other) => Err(Unanswered::Broken(format!("an answer that fits no message: {other:?}"))),
        Err(_) => Err(Unanswered::Gone),
    }
}

/// What a refusing CONNACK means for us.
fn refused(code: ConnectReturnCode) -> End {
    use ConnectReturnCode as Code;
    let refusal = match code {
        Code::BadUserNamePassword => Refusal::Credentials,
        Code::NotAuthorized => Refusal::NotAuthorised,
        Code::BadClientId => Refusal::ClientId,
        Code::RefusedProtocolVersion => Refusal::Version,
        Code::ServiceUnavailable | Code::Success => {
            return End::Lost(format!("the broker refused the connection ({code:?})"));
        }
    };
    End::Refused(refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_that_somebody_must_mend_are_final() {
        use ConnectReturnCode as Code;
        for (code, key) in [
            (Code::BadUserNamePassword, "password_file"),
            (Code::NotAuthorized, "username"),
            (Code::BadClientId, "client_id"),
            (Code::RefusedProtocolVersion, "version"),
        ] {
            assert!(
                matches!(refused(code), End::Refused(words) if words.contains(key)),
                "{code:?}"
            );
        }
        assert!(matches!(refused(Code::ServiceUnavailable), End::Lost(_)));
    }
}
