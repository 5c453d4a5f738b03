//! The configuration as it is written. Comments on fields are the reference page: what, default,
//! bounds; `wasmgate schema` prints them.

mod clickhouse;
mod connectors;
mod json;
mod mysql;
pub(crate) mod postgres;
mod sink;
mod snapshots;
mod source;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use clickhouse::{
    ClickHouse, ClickHouseCompression, ClickHouseEngine, ClickHouseEpoch, ClickHouseTable,
    ClickHouseTimes, ClickHouseTruncate, ClickHouseUnknown,
};
pub(crate) use connectors::Connectors;
pub(crate) use json::{DecimalFormat, Json};
pub(crate) use mysql::{
    BigintUnsigned, Binaries, MySql, MySqlColumns, MySqlEvents, MySqlSnapshot, MySqlSslMode,
    MySqlStart, MySqlWatermarks, Times,
};
pub(crate) use postgres::Notifications;
pub(crate) use postgres::{
    ChannelBinding, Connection, Decimals, Method, Negotiation, Postgres, Protocol, Signals,
    Snapshot, SslMode, Target, Watermarks,
};
pub(crate) use postgres::{
    Events, HeldEvents, InProgress, Origin, Quarantine, SchemaChanges, Stream, WireFormat,
};
pub(crate) use postgres::{Mismatch, OnWalLimit, PublicationMode, SlotCare};
pub(crate) use sink::{Compression, DeadLetters, FileSink, KafkaSink, Sink};
pub(crate) use snapshots::Snapshots;
pub(crate) use source::{
    FileSource, Format, KafkaSource, KafkaStart, SampleSource, SampleSystem, Source,
};
pub(crate) use token::{Role, Token};

use super::units::{Pattern, Size, Time};

/// Configuration of a wasmgate process. `${env:NAME}` and `${file:PATH}` in any value are
/// replaced after the document was parsed; `$${` stands for `${`. Relative paths start at the
/// working directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "wasmgate configuration")]
pub(crate) struct Config {
    /// Where checkpoints, state and compiled modules are kept. One process at a time. Default
    /// `./data`.
    #[serde(default = "data_dir")]
    pub(crate) data_dir: PathBuf,
    /// The HTTP interface: health, metrics, pipelines, modules.
    #[serde(default)]
    pub(crate) http: Http,
    /// What is logged, to standard error.
    #[serde(default)]
    pub(crate) log: Log,
    /// Where modules come from, and what they may use.
    #[serde(default)]
    pub(crate) modules: Modules,
    /// Defaults of pipelines that are made from connector documents (`run --connector`).
    #[serde(default)]
    pub(crate) connectors: Connectors,
    /// Pipelines by name: at least one, unless connector documents are given. Names are 1 to 64
    /// letters, digits, `-`, `_` and `.`, starting with a letter or digit.
    #[serde(default)]
    pub(crate) pipelines: BTreeMap<String, Pipeline>,
}

fn data_dir() -> PathBuf {
    "./data".into()
}

/// The HTTP interface.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Address and port to listen on. Default `127.0.0.1:8080`. An address that is not loopback
    /// needs `tokens`.
    pub(crate) listen: String,
    /// Bearer tokens, each of at least 16 characters: the text alone, which may do everything, or
    /// `{ token, role }` with a role of `viewer` (looks), `operator` (also pauses, resumes and
    /// restarts pipelines) or `deployer` (also changes modules: everything). Default none: every
    /// local process may use the interface. `/healthz` and `/readyz` never ask for one.
    pub(crate) tokens: Vec<Token>,
    /// Host names under which clients reach the interface, beside the loopback names; other
    /// `Host` headers are refused. Default none; with `tokens` and without `hosts`, every name
    /// is taken.
    pub(crate) hosts: Vec<String>,
    /// Largest component that can be uploaded. Default and most `32MiB`, from `1KiB`.
    pub(crate) upload_max: Size,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            tokens: Vec::new(),
            hosts: Vec::new(),
            upload_max: Size(wasmgate_admin::MODULE_BYTES_MAX),
        }
    }
}

/// What is logged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `text` (default) or `json`, one object a line.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info` (default), `debug` or `trace`.
    pub(crate) level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Where modules come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Modules {
    /// Directory that holds `NAME.wasm` files; watched while running. Default `./transforms`.
    pub(crate) dir: PathBuf,
    /// What one module instance may use.
    pub(crate) limits: ModuleLimits,
}

impl Default for Modules {
    fn default() -> Self {
        Self { dir: "./transforms".into(), limits: ModuleLimits::default() }
    }
}

/// What one module instance may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ModuleLimits {
    /// Linear memory of an instance. Default `64MiB`, from `1MiB` to `4GiB`.
    pub(crate) memory: Size,
    /// Time for one call, which is at most one batch. Default `1s`, from `10ms` to `60s`.
    pub(crate) batch_time: Time,
}

impl Default for ModuleLimits {
    fn default() -> Self {
        let batch_time = Time(std::time::Duration::from_secs(1));
        Self { memory: Size(64 << 20), batch_time }
    }
}

/// One pipeline: a source, the modules its records pass, and where they go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pipeline {
    /// Where records come from: exactly one kind.
    pub(crate) source: Source,
    /// The modules that every record passes, in order. Default none.
    #[serde(default)]
    pub(crate) transforms: Vec<Transform>,
    /// Where records go: the first whose `topics` match takes a record; one that no sink takes
    /// becomes a dead letter. At least one.
    pub(crate) sinks: Vec<Sink>,
    /// Where records go that fail. Default `file: { dir: <data_dir>/dead-letters }`.
    pub(crate) dead_letters: Option<DeadLetters>,
    /// A module that decides about failed records. Default none: every failed record becomes a
    /// dead letter.
    pub(crate) policy: Option<Policy>,
    /// How much travels together.
    #[serde(default)]
    pub(crate) batch: Batch,
    /// OS threads that run the modules; a partition of the source stays on one. Default: one per
    /// CPU. From 1 to 64.
    pub(crate) lanes: Option<u32>,
}

/// One module in a pipeline.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transform {
    /// Name of the module: its file in `modules.dir` without `.wasm`.
    pub(crate) module: String,
    /// Which records it sees. Default all.
    pub(crate) when: Option<When>,
    /// The module's own settings; `wasmgate module inspect` shows their schema. Default none.
    #[serde(default)]
    pub(crate) config: serde_json::Map<String, serde_json::Value>,
    /// What happens when the module fails again and again.
    #[serde(default)]
    pub(crate) on_failures: OnFailures,
    /// What happens to records of a table or topic whose schema the module does not fit. Default
    /// `pause`.
    #[serde(default)]
    pub(crate) on_misfit: OnMisfit,
    /// Every record that the module touched gets a header `wasmgate.module.NAME` with the
    /// module's version and the first digits of its digest. Default false.
    #[serde(default)]
    pub(crate) record_version_header: bool,
}

/// When a module is not called any more, and what becomes of its records then. A failure is a
/// record, alone, on which it traps, runs over its time or memory, answers `err` or breaks the
/// contract.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OnFailures {
    /// Failures within `window`, or within one batch. Default 10, from 1 to 1000.
    pub(crate) count: u32,
    /// Default `60s`, from `1s` to `1h`. Unless the pipeline pauses, the module is tried again
    /// with one batch after so long.
    pub(crate) window: Time,
    /// Default `pause`.
    pub(crate) then: Then,
}

impl Default for OnFailures {
    fn default() -> Self {
        let window = Time(std::time::Duration::from_secs(60));
        Self { count: 10, window, then: Then::Pause }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Then {
    /// The pipeline pauses until another version is swapped in or somebody resumes it; nothing is
    /// lost.
    #[default]
    Pause,
    /// Its records become dead letters.
    DeadLetter,
    /// Its records go on without it.
    Bypass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnMisfit {
    /// A table of a Postgres source is quarantined alone. With other sources the pipeline pauses
    /// until a version that fits is swapped in or somebody resumes it.
    #[default]
    Pause,
    /// They become dead letters; other tables and topics go on.
    DeadLetter,
}

/// Which records a module sees.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    /// Regular expressions; one has to match the whole topic of the record as it came from the
    /// source. At least one.
    pub(crate) topics: Vec<Pattern>,
}

/// A module that decides about failed records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// Name of a module of the world `dead-letter-policy`.
    pub(crate) module: String,
    /// The module's own settings. Default none.
    #[serde(default)]
    pub(crate) config: serde_json::Map<String, serde_json::Value>,
}

/// How much travels together. Batches grow with the load up to `rows` and `bytes`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Batch {
    /// Records at most. Default 1024, from 1 to 65536.
    pub(crate) rows: u32,
    /// Bytes at most. Default `1MiB`, from `1KiB` to `256MiB`.
    pub(crate) bytes: Size,
    /// How long a batch waits for more. Default `5ms`, up to `10s`.
    pub(crate) wait: Time,
}

impl Default for Batch {
    fn default() -> Self {
        let wait = Time(std::time::Duration::from_millis(5));
        Self { rows: 1024, bytes: Size(1 << 20), wait }
    }
}
