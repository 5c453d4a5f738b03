//! The ClickHouse sink, as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Pattern, Secret, Size, Time};

/// ClickHouse tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClickHouse {
    /// `http://host:8123` or `https://host:8443`; when one does not answer, the next is taken.
    /// At least one.
    pub(crate) hosts: Vec<String>,
    /// Default: the server's default user.
    pub(crate) user: Option<String>,
    /// Default none.
    pub(crate) password: Option<Secret>,
    /// A JSON Web Token instead of user and password; https only. Default none.
    pub(crate) token: Option<Secret>,
    /// PEM file of the certificates that servers are checked against. Default: the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// Default `default`. It has to exist.
    #[serde(default = "database")]
    pub(crate) database: String,
    /// How tables are named, made and written.
    #[serde(default)]
    pub(crate) table: ClickHouseTable,
    /// Topics whose tables differ; the first that matches holds. Default none.
    #[serde(default)]
    pub(crate) tables: Vec<ClickHouseTopics>,
    /// When rows that were gathered are written.
    #[serde(default)]
    pub(crate) batch: ClickHouseBatch,
    /// Inserts at a time, over all tables. Default 4, from 1 to 64.
    #[serde(default = "parallel")]
    pub(crate) parallel: u32,
    /// How inserts are compressed. Default `auto`: `lz4`, and `none` where every host is an address
    /// of this machine (`localhost`, `127.0.0.1`, `[::1]`); behind a tunnel set `lz4`.
    #[serde(default)]
    pub(crate) compression: ClickHouseCompression,
    /// The server gathers inserts of several clients. Rows still count as durable only when they
    /// are written; tables without replication do not recognise repeated inserts then. Default
    /// false.
    #[serde(default)]
    pub(crate) async_insert: bool,
    /// One request, from its first byte to the answer. Default `60s`, from `1s` to `1h`.
    #[serde(default = "timeout")]
    pub(crate) timeout: Time,
    /// Default `10s`, from `100ms` to `5m`.
    #[serde(default = "connect_timeout")]
    pub(crate) connect_timeout: Time,
}

fn database() -> String {
    "default".to_owned()
}

fn parallel() -> u32 {
    4
}

fn timeout() -> Time {
    Time(std::time::Duration::from_secs(60))
}

fn connect_timeout() -> Time {
    Time(std::time::Duration::from_secs(10))
}

/// Tables of some topics.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClickHouseTopics {
    /// Regular expression that has to match the whole topic. Required.
    pub(crate) topics: Pattern,
    /// What differs; what is left out is as in the sink's `table`.
    pub(crate) table: ClickHouseTable,
}

/// How tables are named, made and written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClickHouseTable {
    /// Name of the table. `{topic}` stands for the whole topic, `{schema}` and `{table}` for its
    /// last two parts between dots. Default `{table}`.
    pub(crate) name: Option<String>,
    /// Tables that are missing are made, for records whose types are known. Default true.
    pub(crate) create: Option<bool>,
    /// Missing columns are added, and types widened where nothing is lost; nothing is ever
    /// dropped. Default true.
    pub(crate) evolve: Option<bool>,
    /// Engine of tables made here. Default `replacing`; `append` where records have no key.
    pub(crate) engine: Option<ClickHouseEngine>,
    /// What a truncate of the source's table does. Default `refuse`.
    pub(crate) truncate: Option<ClickHouseTruncate>,
    /// What becomes of dates and times that the column cannot hold, infinity included. Default
    /// `refuse`.
    pub(crate) times: Option<ClickHouseTimes>,
    /// What a number in a document stands for where the column is a date and time. Default
    /// `microseconds`.
    pub(crate) epoch: Option<ClickHouseEpoch>,
    /// Columns of tables made here for JSON are of type `JSON` (server 25.3 or newer) instead of
    /// `String`. Default false.
    pub(crate) json: Option<bool>,
    /// Only these fields are written. Default all.
    pub(crate) include: Option<Vec<String>>,
    /// These fields are not written. Default none.
    pub(crate) exclude: Option<Vec<String>>,
    /// What a member of a document without a column does. Default `refuse`.
    pub(crate) unknown_fields: Option<ClickHouseUnknown>,
    /// Sorting key of tables made here. Default: the key of the record.
    pub(crate) order_by: Option<Vec<String>>,
    /// Partitioning of tables made here, as SQL. Default none.
    pub(crate) partition_by: Option<String>,
    /// Settings of every insert, by name. Default none. Those the gateway depends on are refused.
    pub(crate) settings: Option<BTreeMap<String, String>>,
    /// Settings of tables made here, by name. Default none, but for a deduplication window of
    /// 1000.
    pub(crate) table_settings: Option<BTreeMap<String, String>>,
}

/// When rows that were gathered are written: what comes first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClickHouseBatch {
    /// Rows of one insert. Default 50000, from 1 to 1000000.
    pub(crate) rows: u32,
    /// Bytes of gathered rows of one insert. Default `8MiB`, from `64KiB` to `12MiB`.
    pub(crate) bytes: Size,
    /// Time between two inserts of a table (for each partition of the source): an idle table
    /// shows a change at once, a busy one is written once in so long. Default `1s`, up to `1m`.
    pub(crate) interval: Time,
}

impl Default for ClickHouseBatch {
    fn default() -> Self {
        let interval = Time(std::time::Duration::from_secs(1));
        Self { rows: 50_000, bytes: Size(8 << 20), interval }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClickHouseCompression {
    #[default]
    Auto,
    None,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClickHouseEngine {
    /// `ReplacingMergeTree`: the newest row of a key, and deletes by mark.
    Replacing,
    /// `MergeTree`: every change is a row with `_op` and `_version`.
    Append,
    /// `CollapsingMergeTree`: the old image cancels the row before; the source has to send it.
    Collapsing,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClickHouseTruncate {
    /// It becomes a dead letter.
    Refuse,
    /// Nothing.
    Ignore,
    /// The table is truncated, in its place among the changes.
    Apply,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClickHouseTimes {
    /// The row becomes a dead letter.
    Refuse,
    /// The nearest value that the column holds; fractions are cut off.
    Clamp,
    /// NULL where the column is Nullable, else as `refuse`.
    Null,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClickHouseEpoch {
    Microseconds,
    Milliseconds,
    Seconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClickHouseUnknown {
    /// The document becomes a dead letter.
    Refuse,
    /// The member is left out.
    Ignore,
}
