//! What the connector can be told. Plain fields: the host maps its configuration onto them and
//! calls `validate`, which needs no server. Everything that has no field of its own can be set by
//! librdkafka's name in `properties`, except what the promises rest on.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use wasmgate_model::Fault;

use crate::client;
use crate::fault::config;

pub use wasmgate_codec::document::Format;
use wasmgate_codec::encode::JsonOptions;

/// Settings by librdkafka's names (`security.protocol`, `sasl.password`, ...). Values may be
/// secret and are never shown.
pub type Properties = BTreeMap<String, SecretString>;

/// Where a group begins that has no committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the oldest record the broker holds.
    #[default]
    Earliest,
    /// After the newest.
    Latest,
}

/// How record batches are compressed on the wire and in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    #[default]
    Lz4,
    Zstd,
}

impl Compression {
    /// librdkafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Settings of one Kafka source.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// `host:port`, comma separated.
    pub bootstrap_servers: String,
    /// Names; one that starts with `^` is a regular expression over all topics.
    pub topics: Vec<String>,
    /// The consumer group. Gateways with the same group share the partitions.
    pub group: String,
    /// How values are read.
    pub format: Format,
    /// Where a group begins that has no committed offset.
    pub start: Start,
    /// `group.instance.id`: a restart within the session timeout moves no partition.
    pub instance_id: Option<String>,
    /// How long the group waits for a member that is silent (default 45 s).
    pub session_timeout: Duration,
    /// How long a revoked partition's records in flight may take to settle before the partition
    /// is given up anyway; its next owner repeats what was not settled (default 10 s).
    pub revoke_timeout: Duration,
    pub properties: Properties,
}

impl SourceSettings {
    /// Settings with every default.
    #[must_use]
    pub fn new(
        bootstrap_servers: impl Into<String>,
        topics: Vec<String>,
        group: impl Into<String>,
        format: Format,
    ) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topics,
            group: group.into(),
            format,
            start: Start::default(),
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            revoke_timeout: Duration::from_secs(10),
            properties: Properties::new(),
        }
    }

    /// Looks at the settings without a server.
    ///
    /// # Errors
    /// A `Config` fault that names the field, what was found and what to do.
    pub fn validate(&self) -> Result<(), Fault> {
        servers(&self.bootstrap_servers)?;
        if self.topics.is_empty() {
            return Err(config("topics: empty, name at least one topic"));
        }
        self.topics.iter().try_for_each(|name| match name.starts_with('^') {
            true => Ok(()),
            false => topic("topics", name),
        })?;
        if self.group.is_empty() {
            return Err(config("group: empty, name the consumer group"));
        }
        if self.instance_id.is_some() && client::is(&self.properties, "group.protocol", "consumer")
        {
            return Err(config(
                "instance_id: cannot be used with group.protocol=consumer: after a crash the \
                 broker refuses the restarted instance until the old session ends; remove one",
            ));
        }
        client::consumer(self).map(drop)
    }
}

/// Settings of one Kafka sink.
#[derive(Debug, Clone)]
pub struct SinkSettings {
    /// `host:port`, comma separated.
    pub bootstrap_servers: String,
    /// Every record goes to this topic; `None`: to the record's own.
    pub topic: Option<String>,
    /// How records are written as JSON.
    pub json: JsonOptions,
    /// Default lz4.
    pub compression: Compression,
    /// How long a record waits for others to share its batch (default 5 ms, 0 to 900 s). Zero
    /// costs throughput at the broker and saves the wait.
    pub linger: Duration,
    pub properties: Properties,
}

impl SinkSettings {
    /// Settings with every default.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topic: None,
            json: JsonOptions::default(),
            compression: Compression::default(),
            linger: Duration::from_millis(5),
            properties: Properties::new(),
        }
    }

    /// Looks at the settings without a server.
    ///
    /// # Errors
    /// A `Config` fault that names the field, what was found and what to do.
    pub fn validate(&self) -> Result<(), Fault> {
        servers(&self.bootstrap_servers)?;
        self.topic.iter().try_for_each(|name| topic("topic", name))?;
        if self.linger > Duration::from_secs(900) {
            return Err(config("linger: longer than 900s, librdkafka's bound"));
        }
        client::producer(self).map(drop)
    }
}

/// Settings of dead letters in a Kafka topic.
#[derive(Debug, Clone)]
pub struct DeadLetterSettings {
    /// `host:port`, comma separated.
    pub bootstrap_servers: String,
    /// Where letters go for which the policy names no topic.
    pub topic: String,
    pub properties: Properties,
}

impl DeadLetterSettings {
    /// Looks at the settings without a server.
    ///
    /// # Errors
    /// A `Config` fault that names the field, what was found and what to do.
    pub fn validate(&self) -> Result<(), Fault> {
        topic("topic", &self.topic)?;
        self.producer().validate()
    }

    /// The producer's settings: a letter waits for no other.
    pub(crate) fn producer(&self) -> SinkSettings {
        let mut settings = SinkSettings::new(self.bootstrap_servers.clone());
        settings.linger = Duration::ZERO;
        settings.properties = self.properties.clone();
        settings
    }
}

fn servers(servers: &str) -> Result<(), Fault> {
    let bad = servers.split(',').find(|server| {
        let port = server.trim().rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        !matches!(port, Some(Ok(port)) if port > 0)
    });
    match bad {
        None => Ok(()),
        Some(bad) => Err(config(format!(
            "bootstrap_servers: found {bad:?}, expected host:port, comma separated"
        ))),
    }
}

/// Kafka's rule for topic names.
fn topic(field: &str, name: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = !name.is_empty() && name.len() <= 249 && name != "." && name != "..";
    if fits && name.chars().all(legal) {
        return Ok(());
    }
    Err(config(format!(
        "{field}: {name:?} is no topic name; use 1 to 249 letters, digits, '.', '_' and '-'"
    )))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn source(change: impl FnOnce(&mut SourceSettings)) -> SourceSettings {
        let topics = vec!["orders".to_owned()];
        let mut settings = SourceSettings::new("localhost:9092", topics, "g", Format::Json);
        change(&mut settings);
        settings
    }

    fn set(properties: &mut Properties, name: &str, value: &str) {
        properties.insert(name.to_owned(), SecretString::from(value));
    }

    #[test]
    fn defaults_are_accepted() {
        source(|_| ()).validate().unwrap();
        SinkSettings::new("a:1, b:2").validate().unwrap();
        let topic = "orders.dlq".to_owned();
        let servers = "a:1".to_owned();
        let properties = Properties::new();
        let letters = DeadLetterSettings { bootstrap_servers: servers, topic, properties };
        letters.validate().unwrap();
    }

    /// (what is changed, what the message names).
    type Case = (fn(&mut SourceSettings), &'static str);

    #[test]
    fn mistakes_name_the_field_and_no_value() {
        let cases: [Case; 8] = [
            (|s| s.bootstrap_servers = "localhost".to_owned(), "bootstrap_servers"),
            (|s| s.topics.clear(), "topics"),
            (|s| s.topics.push("a b".to_owned()), "topics"),
            (|s| s.group.clear(), "group"),
            (|s| set(&mut s.properties, "enable.auto.commit", "true"), "enable.auto.commit"),
            (|s| set(&mut s.properties, "no.such.thing", "hidden"), "no.such.thing"),
            (|s| set(&mut s.properties, "fetch.wait.max.ms", "hidden"), "fetch.wait.max.ms"),
            (
                |s| {
                    s.instance_id = Some("one".to_owned());
                    set(&mut s.properties, "group.protocol", "consumer");
                },
                "instance_id",
            ),
        ];
        for (change, named) in cases {
            let text = source(change).validate().unwrap_err().chain();
            assert!(text.contains(named), "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
    }
}
