//! librdkafka's errors as faults: whose doing, and whether trying again helps. The one table.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use wasmgate_model::{Fault, FaultKind};

/// A fault of the configuration.
pub(crate) fn config(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Config, message)
}

/// Which end of the pipeline a client serves; decides between source and sink faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Sink,
}

impl Side {
    /// The fault kind of a server that cannot be reached.
    pub(crate) fn unavailable(self) -> FaultKind {
        match self {
            Self::Source => FaultKind::SourceUnavailable,
            Self::Sink => FaultKind::SinkUnavailable,
        }
    }

    /// The fault kind of a server that says no.
    pub(crate) fn refused(self) -> FaultKind {
        match self {
            Self::Source => FaultKind::SourceRefused,
            Self::Sink => FaultKind::SinkRefused,
        }
    }

    /// The fault of an error: refused where somebody must change something, else unavailable.
    pub(crate) fn fault(self, code: Code, message: impl Into<String>) -> Fault {
        let kind = if is_refusal(code) { self.refused() } else { self.unavailable() };
        Fault::new(kind, message).because(code)
    }
}

/// Whether the broker will say the same until somebody changes credentials, rights or settings.
pub(crate) fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::SecurityDisabled
            | Code::UnsupportedFeature
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::InconsistentGroupProtocol
            | Code::FencedInstanceId
    )
}

/// Why the sink will never take a record, as a metric label; `None`: the error is not the record's.
pub(crate) fn record_code(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::MessageSizeTooLarge => "record-too-large",
        Code::InvalidMessage | Code::InvalidRecord | Code::InvalidTimestamp => "invalid-record",
        Code::UnknownTopic | Code::UnknownTopicOrPartition => "unknown-topic",
        Code::InvalidTopic => "invalid-topic",
        Code::UnknownPartition => "unknown-partition",
        Code::PolicyViolation => "policy-violation",
        _ => return None,
    })
}

/// The code of an error; errors without one (creation) count as a bad argument.
pub(crate) fn code(error: &KafkaError) -> Code {
    error.rdkafka_error_code().unwrap_or(Code::InvalidArgument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_causes_once() {
        let fault = Side::Sink.fault(Code::BrokerTransportFailure, "cannot reach the brokers");
        assert_eq!(fault.kind, FaultKind::SinkUnavailable);
        assert_eq!(fault.chain().matches("ransport").count(), 2, "{}", fault.chain());
        let fault = Side::Source.fault(Code::SaslAuthenticationFailed, "the brokers refuse us");
        assert_eq!(fault.kind, FaultKind::SourceRefused);
    }

    #[test]
    fn only_errors_of_the_record_refuse_it() {
        assert_eq!(record_code(Code::MessageSizeTooLarge), Some("record-too-large"));
        for code in [Code::BrokerTransportFailure, Code::NotEnoughReplicas, Code::PurgeQueue] {
            assert_eq!(record_code(code), None);
        }
    }
}
