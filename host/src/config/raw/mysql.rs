//! The MySQL source, as it is written.

mod events;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::raw::postgres::{Filter, Key, Mask, Notifications, Signals};
use crate::config::raw::{Decimals, Snapshots};
use crate::config::units::{Secret, Time};

pub(crate) use events::MySqlEvents;

/// Changes of MySQL or MariaDB tables, through the binary log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MySql {
    /// Host name or address. Default `127.0.0.1`.
    #[serde(default = "loopback")]
    pub(crate) host: String,
    /// TCP port. Default 3306.
    #[serde(default = "mysql_port")]
    pub(crate) port: u16,
    /// User with `REPLICATION SLAVE`, `REPLICATION CLIENT` (MariaDB: `BINLOG MONITOR`) and `SELECT`
    /// on the tables. Required.
    pub(crate) user: String,
    /// The user's password. Default none. Write `${env:NAME}` or `${file:PATH}`.
    pub(crate) password: Option<Secret>,
    /// First part of topic names: `<topic_prefix>.<database>.<table>`. Required: letters, digits,
    /// `.`, `_` and `-`.
    pub(crate) topic_prefix: String,
    /// Databases whose tables are captured. Default: those of `tables`, else all but the server's
    /// own (`mysql`, `sys`, ...).
    #[serde(default)]
    pub(crate) databases: Vec<String>,
    /// Tables as `database.table`. Default: all of `databases`, also those that are made later.
    #[serde(default)]
    pub(crate) tables: Vec<String>,
    /// Which databases and tables take part, by patterns beside the names above.
    #[serde(default)]
    pub(crate) filters: MySqlFilters,
    /// Which columns records have, which of them are masked, and what makes a key.
    #[serde(default)]
    pub(crate) columns: MySqlColumns,
    /// Number of this reader among the server's replicas, from 1. Two readers with one number
    /// throw each other out. Default: made of `host`, `port`, `topic_prefix`, the pipeline's
    /// directory and the machine's name.
    pub(crate) server_id: Option<u32>,
    /// When existing rows are read. Default `initial`.
    #[serde(default)]
    pub(crate) snapshot: MySqlSnapshot,
    /// How existing rows are read.
    #[serde(default)]
    pub(crate) snapshots: Snapshots<MySqlWatermarks>,
    /// Where signals come from: what the source is asked to do while it runs.
    #[serde(default)]
    pub(crate) signals: Signals,
    /// Where it is told what snapshots do. Default: nowhere.
    #[serde(default)]
    pub(crate) notifications: Notifications,
    /// Where the stream begins with `snapshot: never`. Default `latest`.
    #[serde(default)]
    pub(crate) start: MySqlStart,
    /// How the connection is protected, as the `mysql` client's `--ssl-mode`. Default `preferred`.
    #[serde(default)]
    pub(crate) ssl_mode: MySqlSslMode,
    /// PEM file with trusted root certificates for `verify_ca` and `verify_identity`. Default:
    /// those of the public web that are built in.
    pub(crate) ssl_root_cert: Option<PathBuf>,
    /// PEM file with the client's certificate; needs `ssl_key`. Default none.
    pub(crate) ssl_cert: Option<PathBuf>,
    /// PEM file with the certificate's key. Default none.
    pub(crate) ssl_key: Option<PathBuf>,
    /// How `decimal` values are written. Default `precise`.
    #[serde(default)]
    pub(crate) decimals: Decimals,
    /// How `bigint unsigned` values are written. Default `long`.
    #[serde(default)]
    pub(crate) bigint_unsigned: BigintUnsigned,
    /// How dates and times are written. Default `adaptive_time_microseconds`.
    #[serde(default)]
    pub(crate) times: Times,
    /// How bytes are written. Default `base64`.
    #[serde(default)]
    pub(crate) binaries: Binaries,
    /// Years 0 to 69 of dates become 2000 to 2069, and 70 to 99 become 1970 to 1999. Default true.
    #[serde(default = "yes")]
    pub(crate) adjust_years: bool,
    /// Every delete is followed by a record with the same key and no value. Default true.
    #[serde(default = "yes")]
    pub(crate) tombstones_on_delete: bool,
    /// `TRUNCATE` is counted but gives no record. Default true.
    #[serde(default = "yes")]
    pub(crate) skip_truncate: bool,
    /// Records carry their place in the transaction (`transaction` of the envelope). Default
    /// false.
    #[serde(default)]
    pub(crate) transaction_blocks: bool,
    /// `source.query` holds the statement, where the server logs it
    /// (`binlog_rows_query_log_events`; of MariaDB `binlog_annotate_row_events`, where each
    /// statement is a question more to the server). Default false.
    #[serde(default)]
    pub(crate) include_query: bool,
    /// Records beside the changes of tables.
    #[serde(default)]
    pub(crate) events: MySqlEvents,
    /// How often an idle log is noted as read, so that a restart begins near its end. Default
    /// `10s`, from `100ms` to `1h`.
    #[serde(default = "ten_seconds")]
    pub(crate) heartbeat: Time,
    /// Bound on connecting, TLS and authentication together. Default `10s`, from `100ms` to `5m`.
    #[serde(default = "ten_seconds")]
    pub(crate) connect_timeout: Time,
}

/// Which databases and tables take part. Patterns are regular expressions of the whole name,
/// whatever the case.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MySqlFilters {
    /// By the database's name (`database.include.list`, `database.exclude.list`). Default: all.
    pub(crate) databases: Filter,
    /// By `database.table` (`table.include.list`, `table.exclude.list`). Default: all.
    pub(crate) tables: Filter,
    /// Whose transactions are captured, by the uuid of the server that executed them first; of
    /// MariaDB's by their domain (`gtid.source.includes`, `gtid.source.excludes`). Default: all.
    pub(crate) gtid_sources: Filter,
}

/// Rules for columns, which patterns name as `database.table.column`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MySqlColumns {
    /// Columns of the records (`column.include.list`, `column.exclude.list`). Default: all. Keys
    /// have their columns all the same.
    pub(crate) filter: Filter,
    /// Text columns whose values leave masked; the first mask that names a column is its. Default
    /// none. Keys are not masked.
    pub(crate) masks: Vec<Mask>,
    /// Keys in place of the tables' own (`message.key.columns`); the first that names a table is
    /// its. Default none.
    pub(crate) keys: Vec<Key>,
}

/// How chunks that are read beside the stream are set against its changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MySqlWatermarks {
    /// By executed transactions and places of the log; nothing is written. MySQL needs GTIDs.
    #[default]
    ReadOnly,
    /// By rows of the signal table that open and close each chunk, which become records of it.
    /// Needs `signals.table` and INSERT on it.
    InsertInsert,
    /// As `insert_insert`, and the opening row is deleted at the end. Needs DELETE, too.
    InsertDelete,
}

fn loopback() -> String {
    "127.0.0.1".into()
}

fn mysql_port() -> u16 {
    3306
}

fn yes() -> bool {
    true
}

fn ten_seconds() -> Time {
    Time(std::time::Duration::from_secs(10))
}

/// When the existing rows of the tables are read.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MySqlSnapshot {
    /// On the first start, then the stream.
    #[default]
    Initial,
    /// Not at all. Debezium's word for it, `no_data`, means the same.
    #[serde(alias = "no_data")]
    Never,
    /// On the first start; then the pipeline is completed.
    InitialOnly,
    /// On every start, then the stream.
    Always,
    /// On the first start, and again when the place in the log is lost.
    WhenNeeded,
    /// Not at all: the definitions of the tables are taken from the server again, for a checkpoint
    /// behind which no captured table has changed.
    Recovery,
}

/// Where the stream begins that has no snapshot before it.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MySqlStart {
    /// At the end of the server's log.
    #[default]
    Latest,
    /// At the oldest change that the server still has.
    Earliest,
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MySqlSslMode {
    /// Plain text.
    Disabled,
    /// TLS where the server offers it; nobody's certificate is looked at.
    #[default]
    Preferred,
    /// TLS or nothing; nobody's certificate is looked at.
    Required,
    /// TLS, and the certificate descends from a trusted root.
    VerifyCa,
    /// TLS, and the certificate also names the host.
    VerifyIdentity,
}

/// How `bigint unsigned` values are written (Debezium's `bigint.unsigned.handling.mode`).
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BigintUnsigned {
    /// 64 bits with a sign: 2^63 and above become negative.
    #[default]
    Long,
    /// The unscaled value as base64.
    Precise,
}

/// How dates and times are written (Debezium's `time.precision.mode`; its `adaptive` does not
/// exist for MySQL).
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Times {
    /// `datetime` by its digits in milliseconds or microseconds, `time` in microseconds.
    #[default]
    AdaptiveTimeMicroseconds,
    /// Milliseconds; a `time` beyond a day is null.
    Connect,
    /// ISO 8601 text; a `time` beyond a day is null.
    Isostring,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// How bytes are written (Debezium's `binary.handling.mode`).
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Binaries {
    /// Base64.
    #[default]
    Base64,
    /// Base64 for URLs and file names.
    Base64UrlSafe,
    /// Hexadecimal digits.
    Hex,
}
