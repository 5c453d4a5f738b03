//! Online checks: are the brokers there, do they let us in, do the topics exist. Changes nothing.

use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use wasmgate_connector::Finding;
use wasmgate_model::Fault;

use crate::client::{self, LastError};
use crate::fault::{self, Side};

/// Bound on each question to the brokers.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// Keeps what librdkafka says while it tries to connect.
#[derive(Default)]
pub(crate) struct Probe {
    last: LastError,
}

impl ClientContext for Probe {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.last.keep(&error, reason);
    }
}

impl ConsumerContext for Probe {}

/// Asks the brokers for the metadata of `topic`, or of every topic. Never creates a topic.
/// Blocks up to [`ANSWER`].
///
/// # Errors
/// No broker answers, or they refuse us; the message says what to do.
pub(crate) fn metadata(
    config: &ClientConfig,
    topic: Option<&str>,
    side: Side,
) -> Result<Metadata, Fault> {
    let servers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    let mut probe = ClientConfig::new();
    for (name, value) in config.config_map() {
        let shared = ["bootstrap.servers", "client.id"].contains(&name);
        let kept = ["security.", "sasl.", "ssl.", "socket.", "broker.", "enable.ssl", "test.mock"];
        if shared || kept.iter().any(|prefix| name.starts_with(prefix)) {
            probe.set(name, value);
        }
    }
    probe.set("allow.auto.create.topics", "false");
    let consumer = BaseConsumer::from_config_and_context(&probe, Probe::default())
        .map_err(|error| fault::config("cannot create a client").because(fault::code(&error)))?;
    let client: &Client<Probe> = consumer.client();
    client.fetch_metadata(topic, ANSWER).map_err(|error| {
        // Serves the error callbacks, which say more than the time-out of the call.
        while consumer.poll(Duration::ZERO).is_some() {}
        let (code, reason) = match client.context().last.take() {
            Some((code, reason)) => (code, format!(" ({reason})")),
            None => (fault::code(&error), String::new()),
        };
        let hint = match fault::is_refusal(code) {
            true => "check the sasl.* and security.protocol properties",
            false => "check bootstrap_servers and that the brokers run",
        };
        side.fault(code, format!("no answer from kafka at {servers}{reason}; {hint}"))
    })
}

/// Findings on the brokers and these topics; expressions (`^...`) are not looked up.
pub(crate) async fn topics(config: ClientConfig, topics: Vec<String>, side: Side) -> Vec<Finding> {
    let looked = tokio::task::spawn_blocking(move || topics_blocking(&config, &topics, side)).await;
    looked.unwrap_or_else(|error| vec![bad(error.to_string(), None)])
}

fn topics_blocking(config: &ClientConfig, topics: &[String], side: Side) -> Vec<Finding> {
    let all = match metadata(config, None, side) {
        Ok(all) => all,
        Err(fault) => return vec![bad(fault.chain(), None)],
    };
    let mut findings = vec![Finding {
        ok: true,
        what: format!("{} brokers answer", all.brokers().len()),
        fix: None,
    }];
    for name in topics.iter().filter(|name| !name.starts_with('^')) {
        let found = all.topics().iter().find(|topic| topic.name() == name);
        findings.push(match found {
            Some(topic) => Finding {
                ok: true,
                what: format!("topic {name} has {} partitions", topic.partitions().len()),
                fix: None,
            },
            // A producer may create it, where the brokers allow that.
            None => Finding {
                ok: side == Side::Sink,
                what: format!("topic {name} does not exist, or may not be described"),
                fix: Some(create(name)),
            },
        });
    }
    findings
}

/// The statement that creates a topic.
pub(crate) fn create(topic: &str) -> String {
    format!("kafka-topics.sh --bootstrap-server HOST:PORT --create --topic {topic}")
}

/// Whether the brokers say that they do not know a topic.
pub(crate) fn is_unknown(metadata: &Metadata, name: &str) -> bool {
    let found = metadata.topics().iter().find(|topic| topic.name() == name);
    found.is_none_or(|topic| {
        let code = topic.error().map(Code::from);
        matches!(code, Some(Code::UnknownTopicOrPartition | Code::UnknownTopic))
    })
}

fn bad(what: String, fix: Option<String>) -> Finding {
    Finding { ok: false, what, fix }
}
