//! How existing rows are read, of every database: raw to the connectors' settings.

use std::collections::BTreeMap;

use wasmgate_replication::Snapshots;

use super::Checks;
use crate::config::problem::Problem;
use crate::config::{Field, raw};

/// Most connections of one snapshot.
const THREADS_MAX: usize = 64;
/// Most rows of a chunk: one is held in memory.
const CHUNK_ROWS_MAX: usize = 1_000_000;

/// Watermarks of a database.
pub(super) trait Marks: Default {
    /// In the connector's settings.
    type Checked;
    /// How its tables are named.
    const TABLE: &str;
    /// Watermarks that need no signal table.
    const WITHOUT_TABLE: &str;

    fn checked(&self) -> Self::Checked;

    /// Whether they are rows of the signal table.
    fn in_table(&self) -> bool;
}

impl Checks<'_> {
    pub(super) fn snapshots<M: Marks>(
        &mut self,
        field: &Field,
        raw: raw::Snapshots<M>,
        tables: &[String],
        signals: &raw::Signals,
    ) -> Snapshots<M::Checked> {
        self.bounds(&field.member("threads"), raw.threads, 1, THREADS_MAX);
        self.selects(&field.member("select"), &raw.select, tables, M::TABLE);
        self.bounds(&field.member("chunk_rows"), raw.chunk_rows, 1, CHUNK_ROWS_MAX);
        if raw.watermarks.in_table() && signals.table.is_none() {
            let without = M::WITHOUT_TABLE;
            let help = format!("set `signals.table`, or use the watermarks `{without}`");
            let problem = Problem::new("these watermarks are rows of the signal table").help(help);
            self.refuse(&field.member("watermarks"), problem);
        }
        Snapshots {
            threads: raw.threads,
            include: raw.include.into_iter().map(|pattern| pattern.0).collect(),
            select: raw.select,
            chunk_rows: raw.chunk_rows,
            chunked_above: Some(raw.chunked_above.0),
            watermarks: raw.watermarks.checked(),
        }
    }

    /// Statements by table; `form`: how a table is named.
    fn selects(
        &mut self,
        field: &Field,
        select: &BTreeMap<String, String>,
        tables: &[String],
        form: &str,
    ) {
        for (table, statement) in select {
            let field = field.member(table);
            let parts = table.split_once('.');
            if parts.is_none_or(|(schema, name)| schema.is_empty() || name.is_empty()) {
                let message = format!("found `{table}`, expected `{form}`");
                self.refuse(&field, Problem::new(message));
            } else if !tables.is_empty() && !tables.contains(table) {
                let message = format!("`{table}` is not among `tables`");
                self.refuse(&field, Problem::new(message));
            }
            self.filled(&field, statement);
        }
    }
}
