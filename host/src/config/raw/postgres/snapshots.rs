//! How chunks of Postgres tables are set against the stream, as it is written; signals and
//! notifications, which are the same for every database.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::Secret;

/// How chunks that are read beside the stream are set against its changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Watermarks {
    /// By logical messages in the log: needs no table and no privilege. On a standby as
    /// `read_only`.
    #[default]
    Message,
    /// By the place in the log alone; nothing is written.
    ReadOnly,
    /// By rows of the signal table that open and close each chunk, which become records of it.
    /// Needs `signals.table` and INSERT on it.
    InsertInsert,
    /// As `insert_insert`, and the opening row is deleted at the end. Needs DELETE, too.
    InsertDelete,
}

/// Where signals come from, beside `POST /api/v1/pipelines/{pipeline}/signals`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signals {
    /// Table `schema.table` (of MySQL `database.table`) with three columns: id, type and data, as
    /// text. It is captured with the others; an existing publication of Postgres has to contain
    /// it. Default: none.
    pub(crate) table: Option<String>,
    /// A file to which signals are appended, one JSON object `{"id", "type", "data"}` a line.
    /// Default: none.
    pub(crate) file: Option<PathBuf>,
    /// A Kafka topic with a JSON object `{"id", "type", "data"}` in each record whose key is the
    /// `topic_prefix`. Default: none.
    pub(crate) kafka: Option<KafkaSignals>,
}

/// Signals in a Kafka topic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSignals {
    /// `host:port`, several separated by commas. Required.
    pub(crate) bootstrap_servers: String,
    /// The topic; one partition keeps signals in their order. Required.
    pub(crate) topic: String,
    /// Consumer group; one of its own for each pipeline. Default
    /// `wasmgate-signals-<pipeline>`.
    pub(crate) group: Option<String>,
    /// Further librdkafka settings by name. Default none.
    #[serde(default)]
    pub(crate) properties: BTreeMap<String, Secret>,
}

/// Where it is told what snapshots do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notifications {
    /// Topic for records of it, by its whole name: letters, digits, `.`, `_` and `-`. Default:
    /// none.
    pub(crate) topic: Option<String>,
    /// Whether lines of the log tell of it. Default false.
    #[serde(default)]
    pub(crate) log: bool,
}
