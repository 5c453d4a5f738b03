//! How existing rows are read, in plain fields that the host maps its configuration onto.

use std::collections::BTreeMap;

use regex::Regex;

/// Settings of snapshots. `Watermarks`: how a server's chunks are set against its stream.
#[derive(Debug, Clone)]
pub struct Snapshots<Watermarks> {
    /// Connections that read at the same time. At least 1. With 1 the tables come one after the
    /// other.
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

impl<Watermarks: Default> Default for Snapshots<Watermarks> {
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

impl<Watermarks> Snapshots<Watermarks> {
    /// Whether the existing rows of a table are read.
    #[must_use]
    pub fn includes(&self, table: &str) -> bool {
        self.include.is_empty() || self.include.iter().any(|r| r.is_match(table))
    }
}
