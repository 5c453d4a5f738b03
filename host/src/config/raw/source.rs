//! Sources, as they are written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Secret, Size, Time};

/// Where records come from: exactly one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct Source {
    /// Changes of Postgres tables, through logical replication (`pgoutput`).
    pub(crate) postgres: Option<Postgres>,
    /// Records of Kafka topics.
    pub(crate) kafka: Option<KafkaSource>,
    /// Lines of a file.
    pub(crate) file: Option<FileSource>,
    /// Made-up records of a reference system.
    pub(crate) sample: Option<SampleSource>,
}

/// Changes of Postgres tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    /// Host name, address, or directory of a Unix socket (starting with `/`). Default
    /// `127.0.0.1`.
    #[serde(default = "loopback")]
    pub(crate) host: String,
    /// TCP port. Default 5432.
    #[serde(default = "postgres_port")]
    pub(crate) port: u16,
    /// Name of the database. Required.
    pub(crate) database: String,
    /// User with the `REPLICATION` attribute and `SELECT` on the tables. Required.
    pub(crate) user: String,
    /// The user's password. Default none. Write `${env:NAME}` or `${file:PATH}`.
    pub(crate) password: Option<Secret>,
    /// First part of topic names: `<topic_prefix>.<schema>.<table>`. Required: letters, digits,
    /// `.`, `_` and `-`.
    pub(crate) topic_prefix: String,
    /// Tables as `schema.table`. Default: the tables of the publication, which must exist then.
    #[serde(default)]
    pub(crate) tables: Vec<String>,
    /// Replication slot: lower-case letters, digits and `_`, at most 63; created when missing.
    /// One gateway per slot. Default `wasmgate`.
    #[serde(default = "own_name")]
    pub(crate) slot: String,
    /// Publication; created for `tables` when missing, never altered. Default `wasmgate`.
    #[serde(default = "own_name")]
    pub(crate) publication: String,
    /// When existing rows are read. Default `initial`.
    #[serde(default)]
    pub(crate) snapshot: Snapshot,
    /// How the connection is protected, as libpq's `sslmode`. Default `prefer`.
    #[serde(default)]
    pub(crate) sslmode: SslMode,
    /// PEM file with trusted root certificates. Default: the system's.
    pub(crate) ssl_root_cert: Option<PathBuf>,
    /// How `numeric` values are written. Default `precise`.
    #[serde(default)]
    pub(crate) decimals: Decimals,
    /// Every delete is followed by a record with the same key and no value. Default true.
    #[serde(default = "yes")]
    pub(crate) tombstones_on_delete: bool,
    /// `TRUNCATE` is counted but gives no record. Default true.
    #[serde(default = "yes")]
    pub(crate) skip_truncate: bool,
    /// How often the server is asked where its log ends, so that the slot of an idle database
    /// moves on. Default `10s`, from `100ms` to `1h`.
    #[serde(default = "ten_seconds")]
    pub(crate) heartbeat: Time,
    /// Bound on connecting, TLS and authentication together. Default `10s`, from `100ms` to `5m`.
    #[serde(default = "ten_seconds")]
    pub(crate) connect_timeout: Time,
    /// How often the settled position is told to the server; keep it under the server's
    /// `wal_sender_timeout`. Default `10s`, from `100ms` to `5m`.
    #[serde(default = "ten_seconds")]
    pub(crate) status_interval: Time,
    /// Bytes read ahead of the decoder. Default `8MiB`, from `64KiB` to `1GiB`.
    #[serde(default = "eight_mebibytes")]
    pub(crate) read_ahead: Size,
}

fn loopback() -> String {
    "127.0.0.1".into()
}

fn postgres_port() -> u16 {
    5432
}

fn own_name() -> String {
    "wasmgate".into()
}

fn yes() -> bool {
    true
}

fn ten_seconds() -> Time {
    Time(std::time::Duration::from_secs(10))
}

fn eight_mebibytes() -> Size {
    Size(8 << 20)
}

/// When the existing rows of the tables are read.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Snapshot {
    /// On the first start, then the stream.
    #[default]
    Initial,
    /// Not at all.
    Never,
    /// On the first start; then the pipeline is completed.
    InitialOnly,
    /// On every start, then the stream.
    Always,
    /// On the first start, and again when the place in the log is lost.
    WhenNeeded,
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SslMode {
    /// Plain text.
    Disable,
    /// TLS where the server offers it, without looking at its certificate.
    #[default]
    Prefer,
    /// TLS or nothing.
    Require,
    /// TLS, and the certificate descends from a trusted root.
    VerifyCa,
    /// TLS, and the certificate also names the host.
    VerifyFull,
}

/// How `numeric` values are written (Debezium's `decimal.handling.mode`).
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decimals {
    /// The unscaled value as base64.
    #[default]
    Precise,
    /// A JSON number; may lose digits.
    Double,
    /// Decimal text.
    String,
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
