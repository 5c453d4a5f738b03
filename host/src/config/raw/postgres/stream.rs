//! How the Postgres source reads the stream.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Pattern, Size};

/// How the server writes values.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WireFormat {
    /// In binary, which costs the server and the gateway less, where the binary form of the types
    /// is known: in snapshots table by table, in the stream where it is of all columns of the
    /// publication. Else as text.
    #[default]
    Auto,
    /// As text.
    Text,
}

/// How the stream is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Stream {
    /// Whether large transactions are sent while they run. Default `on`.
    pub(crate) in_progress: InProgress,
    /// Prepared transactions are sent when they are prepared, and kept here until they are
    /// decided. The slot does not move past one meanwhile. Needs version 15. Default false:
    /// they are sent at `COMMIT PREPARED`.
    pub(crate) two_phase: bool,
    /// Transactions that came to the server by replication. Default `any`.
    pub(crate) origin: Origin,
    /// Which messages of `pg_logical_emit_message` become records on `<topic_prefix>.message`.
    pub(crate) messages: Messages,
    /// Memory for transactions that are not decided, all together; what is beyond it goes to files
    /// in the data directory. Default `16MiB`, from `64KiB` to `16GiB`.
    pub(crate) spill_memory: Size,
    /// Bound on these files. Default `64GiB`, from `1MiB` to `16384GiB`.
    pub(crate) spill_max: Size,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            in_progress: InProgress::default(),
            two_phase: false,
            origin: Origin::default(),
            messages: Messages::default(),
            spill_memory: Size(16 << 20),
            spill_max: Size(64 << 30),
        }
    }
}

/// Whether large transactions are sent while they run.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InProgress {
    /// When they commit; the server keeps them on its disk until then.
    Off,
    /// While they run; they are kept here until they commit.
    #[default]
    On,
    /// As `on`; from version 16 on the server also says where aborts stand in its log.
    Parallel,
}

/// Transactions that came to the server by replication.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// They are delivered as all others.
    #[default]
    Any,
    /// They are left out, so that what another capture wrote here does not go round in circles.
    None,
}

/// Which logical messages become records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Messages {
    /// Whether any do. Default true.
    pub(crate) on: bool,
    /// Prefixes, as regular expressions that match the whole prefix. Default: all.
    pub(crate) include: Vec<Pattern>,
    /// Prefixes that are left out, in the same way. Default: none.
    pub(crate) exclude: Vec<Pattern>,
}

impl Default for Messages {
    fn default() -> Self {
        Self { on: true, include: Vec::new(), exclude: Vec::new() }
    }
}
