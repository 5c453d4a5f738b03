//! What the connector can be told. Plain fields: the host maps its configuration onto them.
//! Defaults are those of the design's configuration page and of Debezium's PostgreSQL connector.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::shape::{Filters, Shape};

use crate::changes::SchemaChanges;
use crate::connection::Connection;
use crate::events::Events;
use crate::quarantine::options::Quarantine;
use crate::slot_care::SlotCare;
use crate::snapshot::options::Snapshots;
use crate::streaming::Streaming;
use wasmgate_replication::{Notifications, Signals};

/// When the existing rows of the tables are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Snapshot {
    /// On the first start, then the stream.
    #[default]
    Initial,
    /// Not at all: the stream from where the slot stands (from now, for a new slot).
    Never,
    /// On the first start, then the source is completed.
    InitialOnly,
    /// On every start, then the stream.
    Always,
    /// On the first start, and again when our place in the log is lost.
    WhenNeeded,
}

/// How the server writes values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireFormat {
    /// In binary where that form is known here of every type that would come so: in a copy of the
    /// columns of its table, in the stream of all columns that the publication sends, for there it
    /// is asked for once. Else as text.
    #[default]
    Auto,
    /// As text.
    Text,
}

/// How the connection is protected; libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Plain text.
    Disable,
    /// Plain text; TLS where the server does not let us in without.
    Allow,
    /// TLS; plain text where the server has none or does not let us in with it.
    #[default]
    Prefer,
    /// TLS or nothing. As in the modes before it, the certificate is checked only where a root
    /// certificate is given.
    Require,
    /// TLS, and the certificate descends from a trusted root.
    VerifyCa,
    /// As [`SslMode::VerifyCa`], and the certificate names the host.
    VerifyFull,
}

/// Settings of one Postgres source.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host name, address, or a directory with a Unix socket (starts with `/`).
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    /// `None`: the server must not ask for one.
    pub password: Option<SecretString>,
    /// First part of topic names; `source.name` of the envelope.
    pub topic_prefix: String,
    /// `schema.table` each. Empty: the tables of the publication, which must exist then.
    pub tables: Vec<String>,
    /// Which of the tables, of those named or those of the publication, take part.
    pub filters: Filters,
    /// Replication slot; created when missing. One gateway per slot.
    pub slot: String,
    /// Publication; `slot_care` says who makes and changes it.
    pub publication: String,
    pub slot_care: SlotCare,
    pub snapshot: Snapshot,
    pub snapshots: Snapshots,
    pub notifications: Notifications,
    pub signals: Signals,
    pub sslmode: SslMode,
    /// PEM file with trusted roots, or `system`; `None`: the system's for
    /// [`SslMode::VerifyFull`], else none.
    pub ssl_root_cert: Option<PathBuf>,
    pub connection: Connection,
    /// What records look like.
    pub shape: Shape,
    /// Every delete is followed by a record with the same key and no value.
    pub tombstones_on_delete: bool,
    pub events: Events,
    pub schema_changes: SchemaChanges,
    pub quarantine: Quarantine,
    /// How often the server is asked how far its log is, so that an idle database's slot moves
    /// on. `None`: only when the server tells it by itself.
    pub heartbeat: Option<Duration>,
    /// Bound on connecting, TLS and authentication together.
    pub connect_timeout: Duration,
    /// How often the settled position is told to the server. Keep it well under the server's
    /// `wal_sender_timeout`; the server's own questions are answered at once.
    pub status_interval: Duration,
    /// Bytes of the stream that are read ahead of the decoder.
    pub read_ahead: usize,
    pub wire_format: WireFormat,
    pub stream: Streaming,
}

impl Default for Settings {
    /// Everything that has a sensible default; `database`, `user` and `topic_prefix` are empty
    /// and must be given.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 5432,
            database: String::new(),
            user: String::new(),
            password: None,
            topic_prefix: String::new(),
            tables: Vec::new(),
            filters: Filters::default(),
            slot: "wasmgate".into(),
            publication: "wasmgate".into(),
            slot_care: SlotCare::default(),
            snapshot: Snapshot::default(),
            snapshots: Snapshots::default(),
            notifications: Notifications::default(),
            signals: Signals::default(),
            sslmode: SslMode::default(),
            ssl_root_cert: None,
            connection: Connection::default(),
            shape: Shape::default(),
            tombstones_on_delete: true,
            events: Events::default(),
            schema_changes: SchemaChanges::default(),
            quarantine: Quarantine::default(),
            heartbeat: Some(Duration::from_secs(10)),
            connect_timeout: Duration::from_secs(10),
            status_interval: Duration::from_secs(10),
            read_ahead: 8 << 20,
            wire_format: WireFormat::default(),
            stream: Streaming::default(),
        }
    }
}
