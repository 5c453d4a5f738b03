//! The Postgres source, as it is written. Groups of options that belong together stand in files of
//! their own beside this one.

mod columns;
mod connection;
mod events;
mod filters;
mod records;
mod slot;
mod snapshots;
mod stream;
mod values;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::connection::{
    ChannelBinding, Connection, Method, Negotiation, Protocol, Target,
};
pub(crate) use self::events::{Events, HeldEvents, Quarantine, SchemaChanges};
pub(crate) use self::slot::{Mismatch, OnWalLimit, PublicationMode, SlotCare};
pub(crate) use self::snapshots::{Notifications, Signals, Watermarks};
pub(crate) use self::stream::{InProgress, Origin, Stream, WireFormat};
use crate::config::raw::Snapshots;
use crate::config::units::{Secret, Size, Time};
pub(crate) use columns::{Columns, Key, Mask};
pub(crate) use filters::{Filter, Filters};
pub(crate) use records::{Adjustment, Operation, Records};
pub(crate) use values::{Binary, Hstore, Intervals, TimePrecision, Values};

/// Changes of Postgres tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    /// Host name, address, or directory of a Unix socket (starting with `/`). Default `$PGHOST`,
    /// else `127.0.0.1`.
    #[serde(default = "loopback")]
    pub(crate) host: String,
    /// TCP port. Default `$PGPORT`, else 5432.
    #[serde(default = "postgres_port")]
    pub(crate) port: u16,
    /// Name of the database. Required, unless `$PGDATABASE` says it.
    pub(crate) database: String,
    /// User with the `REPLICATION` attribute and `SELECT` on the tables. Required, unless `$PGUSER`
    /// says it.
    pub(crate) user: String,
    /// The user's password. Default `$PGPASSWORD`, else `connection.passfile`. Write `${env:NAME}`
    /// or `${file:PATH}`.
    pub(crate) password: Option<Secret>,
    /// First part of topic names: `<topic_prefix>.<schema>.<table>`. Required: letters, digits,
    /// `.`, `_` and `-`.
    pub(crate) topic_prefix: String,
    /// Tables as `schema.table`. Default: the tables of the publication, which must exist then.
    #[serde(default)]
    pub(crate) tables: Vec<String>,
    /// Which of the tables take part, of those in `tables` or those of the publication, also of
    /// tables that it gets later. Default: all.
    #[serde(default)]
    pub(crate) filters: Filters,
    /// Replication slot: lower-case letters, digits and `_`, at most 63; created when missing.
    /// One gateway per slot. Default `wasmgate`.
    #[serde(default = "own_name")]
    pub(crate) slot: String,
    /// Publication; `slot_care` says who makes and changes it. Default `wasmgate`.
    #[serde(default = "own_name")]
    pub(crate) publication: String,
    /// Who makes and changes slot and publication.
    #[serde(default)]
    pub(crate) slot_care: SlotCare,
    /// When existing rows are read. Default `initial`.
    #[serde(default)]
    pub(crate) snapshot: Snapshot,
    /// How existing rows are read.
    #[serde(default)]
    pub(crate) snapshots: Snapshots<Watermarks>,
    /// Where signals come from: what the source is asked to do while it runs.
    #[serde(default)]
    pub(crate) signals: Signals,
    /// Where it is told what snapshots do. Default: nowhere.
    #[serde(default)]
    pub(crate) notifications: Notifications,
    /// How the connection is protected, as libpq's `sslmode`. Default `$PGSSLMODE`, else `prefer`.
    #[serde(default)]
    pub(crate) sslmode: SslMode,
    /// PEM file with trusted root certificates, or `system` (with `verify-full` only). With one,
    /// the certificate is verified in every mode, as with libpq. Default `$PGSSLROOTCERT`, else
    /// `~/.postgresql/root.crt` where it is there, else none, which is the system's for
    /// `verify-full`.
    pub(crate) ssl_root_cert: Option<PathBuf>,
    /// The connection beyond that.
    #[serde(default)]
    pub(crate) connection: Connection,
    /// How `numeric` values are written. Default `precise`.
    #[serde(default)]
    pub(crate) decimals: Decimals,
    /// How other values are written.
    #[serde(default)]
    pub(crate) values: Values,
    /// Which columns records have, masks, keys.
    #[serde(default)]
    pub(crate) columns: Columns,
    /// Which changes give records, and what they are called.
    #[serde(default)]
    pub(crate) records: Records,
    /// Every delete is followed by a record with the same key and no value. Default true.
    #[serde(default = "yes")]
    pub(crate) tombstones_on_delete: bool,
    /// `TRUNCATE` is counted but gives no record. Default true; older than
    /// `records.skipped_operations`, which says more.
    pub(crate) skip_truncate: Option<bool>,
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
    /// How the server writes values; records are the same either way. Default `auto`.
    #[serde(default)]
    pub(crate) wire_format: WireFormat,
    /// How the stream is read.
    #[serde(default)]
    pub(crate) stream: Stream,
    /// Events beside the changes of tables.
    #[serde(default)]
    pub(crate) events: Events,
    /// What becomes of a table's records after its columns or its key changed. Default `evolve`.
    #[serde(default)]
    pub(crate) schema_changes: SchemaChanges,
    /// What becomes of a table that has to wait while all others go on.
    #[serde(default)]
    pub(crate) quarantine: Quarantine,
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
    /// Not at all. Debezium's word for it, `no_data`, means the same.
    #[serde(alias = "no_data")]
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
    /// Plain text; TLS where the server does not let us in without.
    Allow,
    /// TLS; plain text, with a warning, where the server has none or refuses us with it.
    #[default]
    Prefer,
    /// TLS or nothing; without a root certificate nobody's certificate is looked at.
    Require,
    /// TLS, and the certificate descends from `ssl_root_cert`.
    VerifyCa,
    /// TLS, and the certificate also names the host.
    VerifyFull,
}

impl SslMode {
    /// Whether there is no connection without TLS.
    pub(crate) fn is_binding(self) -> bool {
        matches!(self, Self::Require | Self::VerifyCa | Self::VerifyFull)
    }
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
