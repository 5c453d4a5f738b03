//! What a MySQL source can be told. Plain fields: the host maps its configuration onto them.
//! Defaults are those of Debezium's MySQL connector where it has the option.

use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use secrecy::SecretString;
use wasmgate_codec::mask::Mask;
pub use wasmgate_codec::mysqlvalue::{BigintMode, DecimalMode, Modes, TimeMode};
pub use wasmgate_replication::{Notifications, Signals};

/// When the existing rows of the tables are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Snapshot {
    /// On the first start, then the stream.
    #[default]
    Initial,
    /// Not at all: the stream from where [`Settings::start`] says.
    Never,
    /// On the first start, then the source is completed.
    InitialOnly,
    /// On every start, then the stream.
    Always,
    /// On the first start, and again when our place in the log is lost.
    WhenNeeded,
    /// No rows: the definitions of the tables are taken from the server again, for a checkpoint
    /// behind which none has changed.
    Recovery,
}

/// Where the stream begins that has no snapshot before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the end of the server's log.
    #[default]
    Latest,
    /// At the oldest change that the server still has.
    Earliest,
}

/// How the connection is protected; the names of the `mysql` client's `--ssl-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Plain text.
    Disabled,
    /// TLS where the server offers it, without looking at its certificate.
    #[default]
    Preferred,
    /// TLS or nothing; the certificate is not looked at.
    Required,
    /// TLS, and the certificate descends from a trusted root.
    VerifyCa,
    /// As [`SslMode::VerifyCa`], and the certificate names the host.
    VerifyIdentity,
}

/// Names that take part or stay out, by patterns of the whole name. Empty lists take all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Where not empty: only these.
    pub include: Vec<Regex>,
    /// None of these.
    pub exclude: Vec<Regex>,
}

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        let among = |list: &[Regex]| list.iter().any(|p| p.is_match(name));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }
}

/// Rules for columns, which patterns name as `database.table.column`.
#[derive(Debug, Clone, Default)]
pub struct ColumnRules {
    /// Columns of the records. A key has its columns all the same.
    pub filter: Filter,
    /// Masks of text; the first that fits a column is its. Keys are not masked.
    pub masks: Vec<(Vec<Regex>, Mask)>,
    /// Keys by table (`database.table`), in place of the table's own; the first that fits.
    pub keys: Vec<(Regex, Vec<String>)>,
}

impl ColumnRules {
    pub(crate) fn mask(&self, column: &str) -> Option<&Mask> {
        let mut masks = self.masks.iter();
        masks.find(|(patterns, _)| patterns.iter().any(|p| p.is_match(column))).map(|(_, m)| m)
    }

    pub(crate) fn key(&self, table: &str) -> Option<&[String]> {
        self.keys.iter().find(|(p, _)| p.is_match(table)).map(|(_, columns)| columns.as_slice())
    }
}

/// How rows that are read while the stream runs are set against its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watermarks {
    /// By the executed transactions and the places of the log: nothing is written. MySQL needs
    /// GTIDs for it.
    #[default]
    ReadOnly,
    /// By rows of the signal table, one when a chunk is begun and one when it is read; they are
    /// records of that table (Debezium's `insert_insert`).
    InsertInsert,
    /// As [`Watermarks::InsertInsert`], and the first row is deleted instead of a second one.
    InsertDelete,
}

/// So often a view between two transactions is tried.
pub const VIEW_TRIES: usize = 50;

/// How existing rows are read. Connections read tables, and ranges of one table, by name one after
/// the other.
pub type Snapshots = wasmgate_replication::Snapshots<Watermarks>;

/// Signs of life, as records of the topic `<topic_prefix>.<name of the source>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeats {
    pub interval: Duration,
    /// First part of the topic; Debezium's is `__debezium-heartbeat`.
    pub topic_prefix: String,
    /// A statement that is run at each of them.
    pub query: Option<String>,
}

/// Settings of one MySQL or MariaDB source.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host name or address.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// `None`: the server must not ask for one.
    pub password: Option<SecretString>,
    /// First part of topic names; `source.name` of the envelope.
    pub topic_prefix: String,
    /// Databases whose tables are captured. Empty: those of `tables`, else all but the server's
    /// own.
    pub databases: Vec<String>,
    /// `database.table` each. Empty: all tables of `databases`.
    pub tables: Vec<String>,
    /// Further, by patterns of the database's name.
    pub database_filter: Filter,
    /// Further, by patterns of `database.table`.
    pub table_filter: Filter,
    pub columns: ColumnRules,
    /// Whose transactions are captured: by the uuid of the server that executed them, of MariaDB's
    /// by their domain.
    pub gtid_sources: Filter,
    /// Number of this reader among the server's replicas, from 1. Two readers with one number
    /// throw each other out. `None`: made of host, port, topic prefix, [`Settings::history_dir`]
    /// and the machine's name, which no two pipelines have in common.
    pub server_id: Option<u32>,
    pub snapshot: Snapshot,
    pub start: Start,
    pub ssl_mode: SslMode,
    /// PEM file with trusted roots; `None`: those that are built in.
    pub ssl_root_cert: Option<PathBuf>,
    /// PEM files with the client's certificate and its key.
    pub ssl_client: Option<(PathBuf, PathBuf)>,
    pub modes: Modes,
    /// Every delete is followed by a record with the same key and no value.
    pub tombstones_on_delete: bool,
    /// Truncates are counted, not delivered (Debezium's `skipped.operations: t`).
    pub skip_truncate: bool,
    /// Rows carry their place in the transaction (Debezium's `provide.transaction.metadata`).
    pub transaction_metadata: bool,
    /// `source.query` holds the statement, where the server logs it.
    pub include_query: bool,
    /// Changes of schemas become records of the topic [`Settings::topic_prefix`] (Debezium's
    /// `include.schema.changes`).
    pub include_schema_changes: bool,
    /// Those records have the comments of tables and columns (Debezium's
    /// `include.schema.comments`).
    pub include_schema_comments: bool,
    /// Heartbeat records.
    pub heartbeats: Option<Heartbeats>,
    /// How often an idle log is noted as read.
    pub heartbeat: Duration,
    /// Bound on connecting, TLS and authentication together.
    pub connect_timeout: Duration,
    pub snapshots: Snapshots,
    /// So often views of several connections between two transactions are tried before writers are
    /// held up for a moment: [`VIEW_TRIES`]. No option of users; with 0 every server is to a test
    /// as one whose commits never pause.
    pub view_tries: usize,
    pub signals: Signals,
    pub notifications: Notifications,
    /// Folder for the history of the tables' definitions; made when missing.
    pub history_dir: PathBuf,
}

impl Default for Settings {
    /// Everything that has a sensible default; `user`, `topic_prefix` and `history_dir` are empty
    /// and must be given.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 3306,
            user: String::new(),
            password: None,
            topic_prefix: String::new(),
            databases: Vec::new(),
            tables: Vec::new(),
            database_filter: Filter::default(),
            table_filter: Filter::default(),
            columns: ColumnRules::default(),
            gtid_sources: Filter::default(),
            server_id: None,
            snapshot: Snapshot::default(),
            start: Start::default(),
            ssl_mode: SslMode::default(),
            ssl_root_cert: None,
            ssl_client: None,
            modes: Modes::default(),
            tombstones_on_delete: true,
            skip_truncate: true,
            transaction_metadata: false,
            include_query: false,
            include_schema_changes: false,
            include_schema_comments: false,
            heartbeats: None,
            heartbeat: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            snapshots: Snapshots::default(),
            view_tries: VIEW_TRIES,
            signals: Signals::default(),
            notifications: Notifications::default(),
            history_dir: PathBuf::new(),
        }
    }
}

/// Databases that belong to the server.
const OWN: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

impl Settings {
    /// Whether a table is captured.
    pub(crate) fn wants(&self, database: &str, table: &str) -> bool {
        if OWN.contains(&database) {
            return false;
        }
        if self.is_signal_table(database, table) {
            return true;
        }
        let named = |t: &String| {
            t.split_once('.').is_some_and(|(db, name)| (db, name) == (database, table))
        };
        let database_fits =
            self.databases.is_empty() || self.databases.iter().any(|d| d == database);
        let patterns = self.database_filter.wants(database)
            && (self.table_filter.include.is_empty() && self.table_filter.exclude.is_empty()
                || self.table_filter.wants(&format!("{database}.{table}")));
        database_fits && patterns && (self.tables.is_empty() || self.tables.iter().any(named))
    }

    /// Database and name of the signal table.
    pub(crate) fn signal_table(&self) -> Option<(String, String)> {
        self.signals.table().map(|name| (name.schema, name.table))
    }

    fn is_signal_table(&self, database: &str, table: &str) -> bool {
        let named = self.signals.table.as_deref().and_then(|name| name.split_once('.'));
        named == Some((database, table))
    }

    /// Whether the first snapshot reads a table. The signal table is not a table of the user's,
    /// unless it is named as one.
    pub(crate) fn copies_first(&self, database: &str, table: &str) -> bool {
        let name = format!("{database}.{table}");
        let named = self.tables.is_empty() || self.tables.contains(&name);
        self.snapshots.includes(&name) && (named || !self.is_signal_table(database, table))
    }

    /// Whether tables of a database may be captured.
    pub(crate) fn wants_database(&self, database: &str) -> bool {
        let named = |t: &String| t.split_once('.').is_some_and(|(of, _)| of == database);
        !OWN.contains(&database)
            && (self.databases.is_empty() || self.databases.iter().any(|d| d == database))
            && self.database_filter.wants(database)
            && (self.tables.is_empty() || self.tables.iter().any(named))
    }

    /// Number of this reader among the replicas.
    pub(crate) fn reader_id(&self) -> u32 {
        self.server_id.unwrap_or_else(|| {
            let dir = std::path::absolute(&self.history_dir);
            let dir = dir.unwrap_or_else(|_| self.history_dir.clone());
            let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let Self { host, port, topic_prefix, .. } = self;
            let text = format!("{host}:{port}/{topic_prefix}/{}/{machine}", dir.display());
            // FNV-1a: the same settings give the same number after every restart.
            let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
                (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
            });
            0x4000_0000 | (hash ^ hash >> 32) as u32 & 0x3fff_ffff
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_on_one_server_have_numbers_of_their_own() {
        let of = |dir: &str| Settings { history_dir: dir.into(), ..Settings::default() };
        let number = of("/data/sources/a/schemas").reader_id();
        assert_eq!(number, of("/data/sources/a/schemas").reader_id());
        assert_ne!(number, of("/data/sources/b/schemas").reader_id());
        assert_ne!(number, of("/other/sources/a/schemas").reader_id());
        assert_eq!(Settings { server_id: Some(7), ..of("a") }.reader_id(), 7);
    }
}
