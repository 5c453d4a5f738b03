//! Sinks and dead letters, as they are written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Json;
use crate::config::units::{Pattern, Secret, Time};

/// Where records go: `topics` and exactly one kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 2, "maxProperties" = 2))]
pub(crate) struct Sink {
    /// Regular expression that has to match the whole topic of the record as it leaves the last
    /// module. Required; `.*` takes everything.
    pub(crate) topics: Pattern,
    /// Kafka topics.
    pub(crate) kafka: Option<KafkaSink>,
    /// ClickHouse tables.
    pub(crate) clickhouse: Option<super::ClickHouse>,
    /// Files of JSON lines.
    pub(crate) file: Option<FileSink>,
    /// Standard output: topic, key and value with tabs between, one record a line.
    pub(crate) console: Option<ConsoleSink>,
    /// Nowhere; records are counted.
    pub(crate) blackhole: Option<Nothing>,
}

/// The standard output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsoleSink {
    /// How records are written as JSON.
    #[serde(default)]
    pub(crate) json: Json,
}

/// No settings.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Kafka topics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSink {
    /// `host:port`, several separated by commas. Required.
    pub(crate) bootstrap_servers: String,
    /// Topic for every record. Default: the record's own.
    pub(crate) topic: Option<String>,
    /// How records are written as JSON.
    #[serde(default)]
    pub(crate) json: Json,
    /// How record batches are compressed. Default `lz4`.
    #[serde(default)]
    pub(crate) compression: Compression,
    /// How long a record waits for others to share its batch. Default `5ms`, up to `15m`.
    #[serde(default = "linger")]
    pub(crate) linger: Time,
    /// Further librdkafka settings by name. Default none. Those the gateway depends on are
    /// refused.
    #[serde(default)]
    pub(crate) properties: std::collections::BTreeMap<String, Secret>,
}

fn linger() -> Time {
    Time(std::time::Duration::from_millis(5))
}

/// How record batches are compressed on the wire and in the log.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    None,
    Gzip,
    Snappy,
    #[default]
    Lz4,
    Zstd,
}

/// Files of JSON lines: exactly one of `dir` and `path`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 2))]
pub(crate) struct FileSink {
    /// Directory that gets one file per topic, `<topic>.jsonl`.
    pub(crate) dir: Option<PathBuf>,
    /// One file for every topic, in the order of the source.
    pub(crate) path: Option<PathBuf>,
    /// How records are written as JSON.
    #[serde(default)]
    pub(crate) json: Json,
}

/// Where records go that fail: exactly one kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct DeadLetters {
    /// Files of JSON lines.
    pub(crate) file: Option<FileDeadLetters>,
    /// A Kafka topic.
    pub(crate) kafka: Option<KafkaDeadLetters>,
}

/// Dead letters in files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileDeadLetters {
    /// Directory that gets `<pipeline>.jsonl`. Required.
    pub(crate) dir: PathBuf,
}

/// Dead letters in a Kafka topic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaDeadLetters {
    /// `host:port`, several separated by commas. Default: those of the pipeline's first Kafka
    /// sink.
    pub(crate) bootstrap_servers: Option<String>,
    /// Topic for failed records. Required.
    pub(crate) topic: String,
    /// Further librdkafka settings by name. Default none. Those the gateway depends on are
    /// refused.
    #[serde(default)]
    pub(crate) properties: std::collections::BTreeMap<String, Secret>,
}
