//! What the client library's errors and the broker's reason codes mean, as [`Trouble`].

use super::trouble::Trouble;
use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, PubAckReason, StateError};

/// What an error of the event loop means; `wire` is what the stream below it saw, and knows better.
pub(crate) fn of_poll(error: &ConnectionError, wire: Option<Trouble>) -> Trouble {
    match error {
        ConnectionError::ConnectionRefused(code) => of_connack(*code),
        ConnectionError::MqttState(state) => of_state(state, wire),
        ConnectionError::Timeout(_) => wire.unwrap_or(Trouble::ConnectTimeout),
        ConnectionError::Io(e) => wire.unwrap_or_else(|| super::tls::of_io(e)),
        ConnectionError::NotConnAck(_) => {
            Trouble::Protocol("the broker's first packet is not a CONNACK".to_owned())
        }
        // The rest cannot happen without a session store, a proxy or our own disconnect; their texts
        // hold no payload.
        other => wire.unwrap_or_else(|| Trouble::Protocol(other.to_string())),
    }
}

fn of_state(error: &StateError, wire: Option<Trouble>) -> Trouble {
    match error {
        StateError::ServerDisconnect { reason_code, .. } => of_disconnect(*reason_code),
        StateError::ConnFail { reason } => of_connack(*reason),
        StateError::AwaitPingResp => Trouble::KeepAliveTimeout,
        StateError::OutgoingPacketTooLarge { .. } => Trouble::PacketTooLarge,
        StateError::Io(e) => wire.unwrap_or_else(|| super::tls::of_io(e)),
        StateError::ConnectionAborted => {
            wire.unwrap_or_else(|| Trouble::Closed("by the broker, without a reason".to_owned()))
        }
        StateError::Deserialization(rumqttc::mqttbytes::Error::OutgoingPacketTooLarge {
            ..
        }) => Trouble::PacketTooLarge,
        StateError::Deserialization(e) => wire.unwrap_or_else(|| match e {
            // An MQTT 3 broker answers a CONNECT of version 5 in the old form.
            rumqttc::mqttbytes::Error::InvalidProtocolLevel(_) => {
                Trouble::Unsupported("MQTT 5".to_owned())
            }
            other => Trouble::Protocol(other.to_string()),
        }),
        other => wire.unwrap_or_else(|| Trouble::Protocol(other.to_string())),
    }
}

fn of_connack(code: ConnectReturnCode) -> Trouble {
    use ConnectReturnCode as C;
    match code {
        C::BadUserNamePassword | C::NotAuthorized | C::BadAuthenticationMethod => {
            Trouble::NotAuthorised
        }
        C::BadClientId | C::ClientIdentifierNotValid => Trouble::ClientId,
        C::Banned => Trouble::Banned,
        C::QuotaExceeded => Trouble::Quota,
        C::PacketTooLarge => Trouble::PacketTooLarge,
        C::ServiceUnavailable
        | C::ServerUnavailable
        | C::ServerBusy
        | C::ConnectionRateExceeded => Trouble::ServerBusy,
        C::UseAnotherServer | C::ServerMoved => Trouble::ServerMoved,
        C::RefusedProtocolVersion | C::UnsupportedProtocolVersion => {
            Trouble::Unsupported("MQTT 5".to_owned())
        }
        C::RetainNotSupported => Trouble::Unsupported("retained messages".to_owned()),
        C::QoSNotSupported => Trouble::Unsupported("QoS 1".to_owned()),
        C::Success
        | C::UnspecifiedError
        | C::MalformedPacket
        | C::ProtocolError
        | C::ImplementationSpecificError
        | C::TopicNameInvalid
        | C::PayloadFormatInvalid => Trouble::Protocol(format!("CONNACK says {code:?}")),
    }
}

fn of_disconnect(code: DisconnectReasonCode) -> Trouble {
    use DisconnectReasonCode as D;
    match code {
        D::SessionTakenOver => Trouble::TakenOver,
        D::NotAuthorized => Trouble::NotAuthorised,
        D::ServerBusy
        | D::ServerShuttingDown
        | D::ConnectionRateExceeded
        | D::MaximumConnectTime => Trouble::ServerBusy,
        D::KeepAliveTimeout => Trouble::KeepAliveTimeout,
        D::PacketTooLarge => Trouble::PacketTooLarge,
        D::MessageRateTooHigh | D::QuotaExceeded => Trouble::Quota,
        D::AdministrativeAction => Trouble::Administrative,
        D::UseAnotherServer | D::ServerMoved => Trouble::ServerMoved,
        D::RetainNotSupported => Trouble::Unsupported("retained messages".to_owned()),
        D::QoSNotSupported => Trouble::Unsupported("QoS 1".to_owned()),
        D::WildcardSubscriptionsNotSupported => {
            Trouble::Unsupported("wildcard subscriptions".to_owned())
        }
        D::NormalDisconnection => Trouble::Closed("by the broker, in good order".to_owned()),
        D::DisconnectWithWillMessage
        | D::UnspecifiedError
        | D::MalformedPacket
        | D::ProtocolError
        | D::ImplementationSpecificError
        | D::TopicFilterInvalid
        | D::TopicNameInvalid
        | D::ReceiveMaximumExceeded
        | D::TopicAliasInvalid
        | D::PayloadFormatInvalid
        | D::SharedSubscriptionNotSupported
        | D::SubscriptionIdentifiersNotSupported => {
            Trouble::Protocol(format!("DISCONNECT says {code:?}"))
        }
    }
}

/// What a PUBACK says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The broker has it.
    Taken,
    /// No broker will ever take this message: a dead letter.
    Never(&'static str),
    /// The broker does not take it now; the reason may go away.
    NotNow(Trouble),
}

/// What a PUBACK's reason code means.
pub(super) fn of_puback(reason: PubAckReason) -> Verdict {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Verdict::Taken,
        PubAckReason::PayloadFormatInvalid => Verdict::Never("payload-format-invalid"),
        PubAckReason::TopicNameInvalid => Verdict::Never("topic-name-invalid"),
        PubAckReason::NotAuthorized => Verdict::NotNow(Trouble::NotAuthorised),
        PubAckReason::QuotaExceeded => Verdict::NotNow(Trouble::Quota),
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse => {
            Verdict::NotNow(Trouble::Protocol(format!("PUBACK says {reason:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::trouble::Pace;

    #[test]
    fn each_refusal_of_the_broker_has_its_word_and_its_pace() {
        use ConnectReturnCode as C;
        use DisconnectReasonCode as D;
        let connack = |c| of_poll(&ConnectionError::ConnectionRefused(c), None);
        let disconnect = |reason_code| {
            let state = StateError::ServerDisconnect { reason_code, reason_string: None };
            of_poll(&ConnectionError::MqttState(state), None)
        };
        for (trouble, word, pace) in [
            (connack(C::BadUserNamePassword), "not-authorised", Pace::Slow),
            (connack(C::NotAuthorized), "not-authorised", Pace::Slow),
            (connack(C::ClientIdentifierNotValid), "client-id", Pace::Slow),
            (connack(C::Banned), "banned", Pace::Slow),
            (connack(C::QuotaExceeded), "quota", Pace::Slow),
            (connack(C::ServerUnavailable), "server-busy", Pace::Quick),
            (connack(C::ServerBusy), "server-busy", Pace::Quick),
            (connack(C::PacketTooLarge), "packet-too-large", Pace::Quick),
            (connack(C::UnsupportedProtocolVersion), "unsupported", Pace::Slow),
            (connack(C::ServerMoved), "server-moved", Pace::Slow),
            (connack(C::MalformedPacket), "protocol", Pace::Quick),
            (disconnect(D::SessionTakenOver), "taken-over", Pace::Yield),
            (disconnect(D::PacketTooLarge), "packet-too-large", Pace::Quick),
            (disconnect(D::KeepAliveTimeout), "keep-alive-timeout", Pace::Quick),
            (disconnect(D::ServerShuttingDown), "server-busy", Pace::Quick),
            (disconnect(D::AdministrativeAction), "administrative", Pace::Slow),
            (disconnect(D::NotAuthorized), "not-authorised", Pace::Slow),
            (disconnect(D::ProtocolError), "protocol", Pace::Quick),
        ] {
            assert_eq!((trouble.word(), trouble.pace()), (word, pace));
        }
    }

    #[test]
    fn what_the_stream_saw_is_more_exact_than_the_library_s_error() {
        let seen = Trouble::TlsClientCert("certificate required".to_owned());
        let aborted = ConnectionError::MqttState(StateError::ConnectionAborted);
        assert_eq!(of_poll(&aborted, Some(seen.clone())), seen);
        assert_eq!(of_poll(&aborted, None).word(), "closed");
    }
}
