//! librdkafka's configuration: our defaults, the user's properties, and what nobody may change
//! because the promises rest on it. Also the callbacks that every client shares.

use std::sync::{Mutex, PoisonError};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use secrecy::ExposeSecret;
use wasmgate_model::Fault;

use crate::fault::{code, config};
use crate::settings::{Properties, SinkSettings, SourceSettings};

/// Set by fields of the settings, or fixed: (property, what to do instead).
const OWNED: [(&str, &str); 14] = [
    ("bootstrap.servers", "set bootstrap_servers"),
    ("metadata.broker.list", "set bootstrap_servers"),
    ("group.id", "set group"),
    ("group.instance.id", "set instance_id"),
    ("auto.offset.reset", "set start"),
    ("session.timeout.ms", "set session_timeout"),
    ("enable.auto.commit", "offsets are committed when records are settled"),
    ("enable.auto.offset.store", "offsets are committed when records are settled"),
    ("compression.type", "set compression"),
    ("compression.codec", "set compression"),
    ("linger.ms", "set linger"),
    ("enable.idempotence", "order and at-least-once rest on it"),
    ("acks", "at-least-once rests on all replicas"),
    ("transactional.id", "the sink does not use transactions"),
];

/// What a producer holds, in KiB.
const QUEUE_KIB: u64 = 16 << 10;
/// What one fetch may bring, as it is on the wire.
const FETCH_BYTES: u64 = 2 << 20;

/// Whether the user set a property to this value.
pub(crate) fn is(properties: &Properties, name: &str, value: &str) -> bool {
    properties.get(name).is_some_and(|v| v.expose_secret() == value)
}

/// The configuration of a source's consumer.
pub(crate) fn consumer(settings: &SourceSettings) -> Result<ClientConfig, Fault> {
    let mut client = base(&settings.bootstrap_servers);
    client
        .set("group.id", &settings.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Where a group starts is decided at assignment. What is left is a place that retention
        // took away under a running reader: that must be said, not skipped.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        // The default of 1000 makes the next fetch wait a second whenever the queue was full.
        .set("fetch.queue.backoff.ms", "5")
        // What is fetched ahead is held unpacked, many times its size on the wire, and librdkafka's
        // defaults allow 64 MB and 50 MB a fetch. These keep a fast broker busy; a far one may want
        // more (`properties`).
        .set("queued.max.messages.kbytes", "8192")
        .set("fetch.message.max.bytes", "524288")
        .set("fetch.max.bytes", FETCH_BYTES.max(largest(&settings.properties)).to_string())
        .set("enable.partition.eof", "false");
    if let Some(instance) = &settings.instance_id {
        client.set("group.instance.id", instance);
    }
    if !is(&settings.properties, "group.protocol", "consumer") {
        let timeout = settings.session_timeout.as_millis().to_string();
        client
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", timeout);
    }
    finish(client, &settings.properties)
}

/// The configuration of a producer.
pub(crate) fn producer(settings: &SinkSettings) -> Result<ClientConfig, Fault> {
    let mut client = base(&settings.bootstrap_servers);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // Java's placement: users co-partition by it. Null keys are spread.
        .set("partitioner", "murmur2_random")
        // Retry for ever: a broker that is down is back-pressure, not an error.
        .set("message.timeout.ms", "0")
        .set("compression.type", settings.compression.name())
        .set("linger.ms", format!("{}", settings.linger.as_secs_f64() * 1000.0))
        .set("queue.buffering.max.kbytes", queue_kib(&settings.properties).to_string());
    finish(client, &settings.properties)
}

/// How much the producer holds: little, because the batches behind it are held, too; but never
/// less than a record may have, which would wait for room for ever.
fn queue_kib(properties: &Properties) -> u64 {
    QUEUE_KIB.max(largest(properties).div_ceil(1024) * 2)
}

/// The largest record that the user lets pass, in bytes; 0: librdkafka's default.
fn largest(properties: &Properties) -> u64 {
    let set = properties.get("message.max.bytes");
    set.and_then(|value| value.expose_secret().parse().ok()).unwrap_or(0)
}

fn base(servers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", servers)
        .set("client.id", "wasmgate")
        .set("socket.nagle.disable", "true")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "2000")
        // Partitions added to a topic are seen within half a minute, not five.
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set_log_level(RDKafkaLogLevel::Warning);
    client
}

/// Adds the user's properties and has librdkafka judge the whole.
fn finish(mut client: ClientConfig, properties: &Properties) -> Result<ClientConfig, Fault> {
    for (name, value) in properties {
        if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| owned == name) {
            return Err(config(format!("properties.{name}: cannot be set here: {instead}")));
        }
        client.set(name, value.expose_secret());
    }
    match client.create_native_config() {
        Ok(_) => Ok(client),
        // The value may be a secret, and librdkafka's text contains it.
        Err(KafkaError::ClientConfig(_, _, name, _)) => Err(config(format!(
            "properties.{name}: librdkafka knows no such property or refuses its value; \
             see its CONFIGURATION.md"
        ))),
        Err(error) => Err(config("librdkafka refuses the configuration").because(code(&error))),
    }
}

/// What a client last said about itself, for the message of a fault.
#[derive(Debug, Default)]
pub(crate) struct LastError(Mutex<Option<(Code, String)>>);

impl LastError {
    /// Keeps an error that librdkafka reports outside of any call.
    pub(crate) fn keep(&self, error: &KafkaError, reason: &str) {
        let entry = (code(error), reason.to_owned());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
    }

    /// The last one, which is forgotten.
    pub(crate) fn take(&self) -> Option<(Code, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Passes librdkafka's own log lines on. They name brokers and errors, never records.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    // A broker that is away: the error callback says it too, and says it once.
    if matches!(facility, "FAIL" | "ERROR") {
        return tracing::debug!(facility, line, "librdkafka reports an error");
    }
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::warn!(facility, line, "librdkafka reports an error"),
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(facility, line, "librdkafka reports");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, line, "librdkafka reports");
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn bounds_grow_with_the_largest_record() {
        let topics = vec!["orders".to_owned()];
        let format = crate::settings::Format::Json;
        let mut source = SourceSettings::new("a:1", topics, "g", format);
        let mut sink = SinkSettings::new("a:1");
        for (largest, fetch, queue) in
            [(None, "2097152", "16384"), (Some("20000000"), "20000000", "39064")]
        {
            if let Some(bytes) = largest {
                source.properties.insert("message.max.bytes".to_owned(), bytes.into());
                sink.properties.insert("message.max.bytes".to_owned(), bytes.into());
            }
            assert_eq!(consumer(&source).unwrap().get("fetch.max.bytes"), Some(fetch));
            let producer = producer(&sink).unwrap();
            assert_eq!(producer.get("queue.buffering.max.kbytes"), Some(queue));
        }
    }
    use crate::settings::Format;

    /// The promises and the measured throughput rest on these.
    #[test]
    fn what_must_not_change_by_accident() {
        let topics = vec!["t".to_owned()];
        let source = consumer(&SourceSettings::new("a:1", topics, "g", Format::Json)).unwrap();
        for (name, value) in [
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("fetch.queue.backoff.ms", "5"),
            ("auto.offset.reset", "error"),
        ] {
            assert_eq!(source.get(name), Some(value), "{name}");
        }
        let sink = producer(&SinkSettings::new("a:1")).unwrap();
        for (name, value) in [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("partitioner", "murmur2_random"),
            ("message.timeout.ms", "0"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
        ] {
            assert_eq!(sink.get(name), Some(value), "{name}");
        }
    }
}
