//! Copied rows to a batch. What is the same for every row of a copy is filled in once per batch.

use std::sync::Arc;

use wasmgate_codec::project;
use wasmgate_connector::SourceContext;
use wasmgate_model::{Batch, Column, Fault, Kind, Payload, Position};

use super::lines::{Format, Lines};
use crate::assemble::now_us;
use crate::rows::{push_copied, push_copied_binary};
use crate::source_block::{source_column, source_columns};
use crate::table::Table;

/// What the source block says of every row of a copy.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub time_us: i64,
    /// `true` or `incremental`; `marks` changes it for some rows.
    pub snapshot: &'static str,
    pub sequence: Vec<u8>,
    pub transaction: Option<i64>,
    pub lsn: Option<u64>,
}

/// A batch that is being filled with the rows of one table.
pub(crate) struct Filling<'a> {
    context: &'a SourceContext,
    table: &'a Table,
    stamp: &'a Stamp,
    batch: Batch,
    lines: Lines,
    format: Format,
    /// Of the rows in the batch.
    pub bytes: usize,
}

fn empty(context: &SourceContext, table: &Table) -> Result<Batch, Fault> {
    let plan = context.planner.plan(&table.schema)?;
    let used = context.pool.take(&table.schema, &plan);
    Ok(used.unwrap_or_else(|| Batch::rows(Arc::clone(&table.schema), plan, source_columns())))
}

impl<'a> Filling<'a> {
    pub(crate) fn new(
        context: &'a SourceContext,
        table: &'a Table,
        stamp: &'a Stamp,
        format: Format,
    ) -> Result<Self, Fault> {
        let batch = empty(context, table)?;
        Ok(Self { context, table, stamp, batch, lines: Lines::default(), format, bytes: 0 })
    }

    /// Appends one row of a COPY.
    pub(crate) fn row(&mut self, row: &[u8]) {
        if self.format == Format::Binary && self.table.is_plain() {
            push_copied_binary(self.table, &mut self.batch, row);
        } else {
            push_copied(self.table, &mut self.batch, self.lines.values(self.format, row));
        }
        self.bytes += row.len();
    }

    pub(crate) fn rows(&self) -> usize {
        self.batch.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        let limits = &self.context.limits;
        self.batch.len() >= limits.rows || self.bytes >= limits.bytes
    }

    /// The batch so far, but for its positions; the next one is begun.
    pub(crate) fn take(&mut self) -> Result<Batch, Fault> {
        let next = empty(self.context, self.table)?;
        let mut batch = std::mem::replace(&mut self.batch, next);
        self.bytes = 0;
        finish(&mut batch, self.stamp);
        Ok(batch)
    }
}

fn finish(batch: &mut Batch, stamp: &Stamp) {
    let rows = batch.len();
    batch.times_us.resize(rows, stamp.time_us);
    batch.positions.resize(rows, Position::default());
    batch.received_us = now_us();
    if let Payload::Rows(payload) = &mut batch.payload {
        for (i, column) in payload.source.iter_mut().enumerate() {
            fill(column, i, stamp, rows);
        }
    }
    project(batch);
}

fn fill(column: &mut Column, number: usize, stamp: &Stamp, rows: usize) {
    use source_column::{LSN, SEQUENCE, SNAPSHOT, TIME_US, TRANSACTION};
    let (text, int) = match number {
        SNAPSHOT => (Some(stamp.snapshot.as_bytes()), None),
        SEQUENCE => (Some(&stamp.sequence[..]), None),
        TIME_US => (None, Some(stamp.time_us)),
        TRANSACTION => (None, stamp.transaction),
        LSN => (None, stamp.lsn.map(|lsn| lsn as i64)),
        _ => (None, None),
    };
    for _ in 0..rows {
        match (text, int) {
            (Some(text), _) => column.push_bytes(text),
            (None, Some(int)) => column.push_int(int),
            (None, None) => return column.fill_nulls(rows),
        }
    }
}

/// Gives one row another marker.
pub(crate) fn mark(batch: &mut Batch, row: usize, marker: &str) {
    let Payload::Rows(rows) = &mut batch.payload else { return };
    let Some(column) = rows.source.get_mut(source_column::SNAPSHOT) else { return };
    let mut marked = Column::new(Kind::Text);
    for i in 0..column.len() {
        marked.push_bytes(if i == row {
            marker.as_bytes()
        } else {
            column.bytes(i).unwrap_or_default()
        });
    }
    *column = marked;
}

/// The marker of a row.
pub(crate) fn marker(batch: &Batch, row: usize) -> &str {
    match &batch.payload {
        Payload::Rows(rows) => {
            let column = rows.source.get(source_column::SNAPSHOT);
            column.and_then(|c| c.text(row)).unwrap_or_default()
        }
        Payload::Documents(_) => "",
    }
}
