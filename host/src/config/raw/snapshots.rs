//! How existing rows of tables are read, as it is written: the same for every database but for its
//! watermarks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::{Pattern, Size};

/// How existing rows are read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Snapshots<W: Default> {
    /// Connections that read at the same time, tables and ranges of one table beside each other.
    /// With 1 tables come one after the other. Default 1, from 1 to 64.
    pub(crate) threads: usize,
    /// Tables whose existing rows are read, as regular expressions that match the whole
    /// `schema.table` (of MySQL `database.table`). Default: all.
    pub(crate) include: Vec<Pattern>,
    /// By `schema.table` (of MySQL `database.table`): the SELECT that gives its rows instead of
    /// the table. It has to give every column of the table, by name. Default: none.
    pub(crate) select: BTreeMap<String, String>,
    /// Rows that are read at a time beside the stream (Debezium's
    /// `incremental.snapshot.chunk.size`). Default 1024, from 1 to 1000000.
    pub(crate) chunk_rows: usize,
    /// The first snapshot reads tables of more than this in chunks beside the stream, so that a
    /// restart goes on at the last chunk; for all others it begins again. Tables without a key are
    /// always copied whole. Default `16GiB`; `1024TiB`, say, turns it off.
    pub(crate) chunked_above: Size,
    /// How chunks are set against the stream. Default `message`, of MySQL `read_only`.
    pub(crate) watermarks: W,
}

impl<W: Default> Default for Snapshots<W> {
    fn default() -> Self {
        Self {
            threads: 1,
            include: Vec::new(),
            select: BTreeMap::new(),
            chunk_rows: 1024,
            chunked_above: Size(16 << 30),
            watermarks: W::default(),
        }
    }
}
