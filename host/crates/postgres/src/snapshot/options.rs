//! How existing rows are read.

use std::collections::BTreeMap;

use regex::Regex;

/// How rows that are read while the stream runs are set against its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watermarks {
    /// By logical messages of ours in the log: no table and no privilege is needed.
    #[default]
    Message,
    /// By the places of the log alone: nothing is written, as a standby and a reader without the
    /// right to write need it. A quiet server may let it wait for its next change.
    ReadOnly,
    /// By rows of the signal table, one when a chunk is begun and one when it is read; they are
    /// records of that table (Debezium's `insert_insert`).
    InsertInsert,
    /// As [`Watermarks::InsertInsert`], and the first row is deleted instead of a second one.
    InsertDelete,
}

/// Settings of snapshots.
#[derive(Debug, Clone)]
pub struct Snapshots {
    /// Connections that copy at the same time. At least 1. With 1 the tables come one after the
    /// other, each in the order of its pages.
    pub threads: usize,
    /// Names of the tables (`schema.table`) whose existing rows are read; anchored at both ends by
    /// whoever makes them. Empty: all.
    pub include: Vec<Regex>,
    /// Statements that give the rows of a table (`schema.table`) instead of the table itself.
    pub select: BTreeMap<String, String>,
    /// Rows of a chunk of a snapshot that runs beside the stream. At least 1.
    pub chunk_rows: usize,
    /// Tables of more than so many bytes are read in chunks beside the stream by the first
    /// snapshot, too, so that a restart goes on at the last chunk. `None`: none is.
    pub chunked_above: Option<u64>,
    pub watermarks: Watermarks,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            threads: 1,
            include: Vec::new(),
            select: BTreeMap::new(),
            chunk_rows: 1024,
            chunked_above: None,
            watermarks: Watermarks::default(),
        }
    }
}

impl Snapshots {
    /// Whether the existing rows of a table are read.
    pub(crate) fn includes(&self, table: &str) -> bool {
        self.include.is_empty() || self.include.iter().any(|r| r.is_match(table))
    }
}
