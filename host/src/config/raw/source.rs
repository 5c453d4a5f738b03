//! Sources, as they are written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::raw::{MySql, Postgres};
use crate::config::units::{Secret, Size, Time};

/// Where records come from: exactly one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct Source {
    /// Changes of Postgres tables, through logical replication (`pgoutput`).
    pub(crate) postgres: Option<Postgres>,
    /// Changes of MySQL or MariaDB tables, through the binary log.
    pub(crate) mysql: Option<MySql>,
    /// Records of Kafka topics.
    pub(crate) kafka: Option<KafkaSource>,
    /// Lines of a file.
    pub(crate) file: Option<FileSource>,
    /// Made-up records of a reference system.
    pub(crate) sample: Option<SampleSource>,
}

/// What the values of records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// One JSON document each.
    #[default]
    Json,
    /// Debezium's change envelope as JSON.
    DebeziumJson,
    /// Anything; modules see no fields.
    Bytes,
}

/// Records of Kafka topics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSource {
    /// `host:port`, several separated by commas. Required.
    pub(crate) bootstrap_servers: String,
    /// Topics to read; one that starts with `^` is a regular expression. At least one.
    pub(crate) topics: Vec<String>,
    /// Consumer group. Required.
    pub(crate) group: String,
    /// What the values are. Default `json`.
    #[serde(default)]
    pub(crate) format: Format,
    /// With `format: debezium-json`: an object without a schema is a change envelope too when it
    /// has `op`, `source`, and `after` or `before`. Default false, as Debezium tells envelopes by
    /// their schema: say true for topics that were written with `schemas.enable=false`.
    pub(crate) bare_envelopes: Option<bool>,
    /// Where to start in a partition for which the group has no committed offset. Default
    /// `earliest`.
    #[serde(default)]
    pub(crate) start: KafkaStart,
    /// `group.instance.id`: a restart within `session_timeout` moves no partition. Default none.
    pub(crate) instance_id: Option<String>,
    /// How long the group waits for a member that is silent. Default `45s`, from `1s` to `1h`.
    #[serde(default = "session_timeout")]
    pub(crate) session_timeout: Time,
    /// How long records in flight of a partition that the group takes away may need to settle.
    /// Default `10s`, from `0ms` to `10m`.
    #[serde(default = "ten_seconds")]
    pub(crate) revoke_timeout: Time,
    /// Further librdkafka settings by name. Default none. Those the gateway depends on are
    /// refused.
    #[serde(default)]
    pub(crate) properties: std::collections::BTreeMap<String, Secret>,
}

fn ten_seconds() -> Time {
    Time(std::time::Duration::from_secs(10))
}

fn session_timeout() -> Time {
    Time(std::time::Duration::from_secs(45))
}

/// Where to start in a partition for which the group has no committed offset.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KafkaStart {
    /// At the oldest record.
    #[default]
    Earliest,
    /// After the newest record.
    Latest,
}

/// Lines of a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSource {
    /// The file. Required.
    pub(crate) path: PathBuf,
    /// What the values are. Default `json`.
    #[serde(default)]
    pub(crate) format: Format,
    /// With `format: debezium-json`: an object without a schema is a change envelope too when it
    /// has `op`, `source`, and `after` or `before`. Default false, as Debezium tells envelopes by
    /// their schema: say true for topics that were written with `schemas.enable=false`.
    pub(crate) bare_envelopes: Option<bool>,
    /// Given: every line is one bare document for this topic. Default: every line is an object
    /// with `topic`, `key`, `value`, `headers` and `timestamp`, as the file sink writes it.
    pub(crate) topic: Option<String>,
    /// Wait for more at the end of the file. Default false: the pipeline is completed there.
    #[serde(default)]
    pub(crate) follow: bool,
    /// A longer line becomes a dead letter. Default `16MiB`, from `1KiB` to `256MiB`.
    #[serde(default = "sixteen_mebibytes")]
    pub(crate) max_line: Size,
}

fn sixteen_mebibytes() -> Size {
    Size(16 << 20)
}

/// Made-up records. The same seed makes the same records.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SampleSource {
    /// Whose records. Default `orders`.
    pub(crate) system: SampleSystem,
    /// Rows per second, at least 1. Default: as fast as they are taken.
    pub(crate) rate: Option<u32>,
    /// Seed of the generator. Default 0.
    pub(crate) seed: u64,
    /// The pipeline is completed after so many rows. Default: never.
    pub(crate) rows: Option<u64>,
    /// First part of the topic. Default: the system's own.
    pub(crate) topic_prefix: Option<String>,
}

/// Whose records the sample source makes.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SampleSystem {
    /// Change envelopes of one table of orders.
    #[default]
    Orders,
    /// Call records of a telecom operator as flat JSON.
    Telecom,
}
