//! Events of the Postgres source beside the changes of tables.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Size, Time};

/// What becomes of a table's records after its columns or its key changed.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SchemaChanges {
    /// They go on, each with the schema of its own time.
    #[default]
    Evolve,
    /// The pipeline stops before the first of them; resuming it accepts the change.
    Halt,
    /// The table is quarantined (`quarantine`), all others go on; the signal `resume-table` accepts
    /// the change and reads the table anew.
    DeadLetter,
}

/// What becomes of a table that has to wait while all others go on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Quarantine {
    /// What becomes of its changes meanwhile. Default `dead_letter`. A table that waits already
    /// goes on as it began.
    pub(crate) events: HeldEvents,
    /// Bound on what `keep` keeps in the data directory, all tables of the pipeline together. Where
    /// it is full the pipeline fails (`quarantine-full`), and nothing is lost: raise it and resume.
    /// Default `1GiB`, from `1MiB` to `16384GiB`.
    pub(crate) keep_max: Size,
    /// A table waits after so many of its rows in a row that cannot be decoded, each a dead letter;
    /// 0: never. Default 10, up to 1000000.
    pub(crate) undecodable_rows: u32,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { events: HeldEvents::default(), keep_max: Size(1 << 30), undecodable_rows: 10 }
    }
}

/// What becomes of the changes of a table that waits.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HeldEvents {
    /// Each becomes a dead letter.
    #[default]
    DeadLetter,
    /// They are kept in the data directory and delivered, in their order, when the table goes on.
    Keep,
}

/// Events beside the changes of tables.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Events {
    /// Begin and end of every transaction become records on `<topic_prefix>.transaction`, and the
    /// `transaction` block of every change says its place in its transaction. Default false.
    pub(crate) transactions: bool,
    /// How often a record goes to `__debezium-heartbeat.<topic_prefix>`. Default never, from
    /// `100ms` to `1h`.
    pub(crate) heartbeat: Option<Time>,
    /// A statement that is run with every such record. Default none.
    pub(crate) heartbeat_query: Option<String>,
    /// While nothing is written to this database and much to others of its server, a logical
    /// message (`pg_logical_emit_message`, prefix `wasmgate.heartbeat`) is written every
    /// `heartbeat` of the source, so that the slot moves on. Default true.
    pub(crate) idle_message: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self { transactions: false, heartbeat: None, heartbeat_query: None, idle_message: true }
    }
}
