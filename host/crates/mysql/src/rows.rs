//! Rows to records: which records a change becomes. Source of the shapes: Debezium's connector,
//! as recorded (key changes, tombstones).

use wasmgate_codec::encode::original;
use wasmgate_codec::mysqlvalue::{ColumnType, Failed, Image, RowsKind, push};
use wasmgate_model::{
    Batch, Column, DeadLetterCause, Op, Payload, Position, Reject, Rows, Verdict,
};

use crate::quarantine::{Kept, RowKey};
use crate::table::{Table, source_column};

/// What the source block and the position of a row say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub time_us: i64,
    pub snapshot: &'a str,
    pub server_id: u32,
    pub gtid: Option<&'a str>,
    pub file: &'a str,
    pub offset: u64,
    /// Number of the row in its event.
    pub row: u32,
    pub thread: Option<u32>,
    pub query: Option<&'a str>,
    /// Where transactions are told.
    pub transaction: Option<Block<'a>>,
}

/// A row's place in its transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    pub id: &'a str,
    /// Among all rows, and among those of its table; from 1.
    pub total_order: u64,
    pub table_order: u64,
}

impl Origin<'_> {
    /// The same for the record after it.
    fn following(&self) -> Self {
        let transaction = self.transaction.map(|block| Block {
            total_order: block.total_order + 1,
            table_order: block.table_order + 1,
            ..block
        });
        Self { transaction, ..*self }
    }
}

/// Records that one change can become, whatever the options: numbers mean the same after a restart
/// with others.
pub(crate) fn numbers(kind: RowsKind) -> u64 {
    match kind {
        RowsKind::Insert => 1,
        RowsKind::Delete => 2,
        RowsKind::Update | RowsKind::PartialUpdate => 3,
    }
}

/// Whether an update changes the key, so that it becomes two changes.
pub(crate) fn splits(table: &Table, (first, second): &(Image<'_>, Option<Image<'_>>)) -> bool {
    second.as_ref().is_some_and(|second| key_differs(table, first, second))
}

/// Appends the records of one change.
pub(crate) fn push_change<'e>(
    table: &Table,
    batch: &mut Batch,
    kind: RowsKind,
    at: Position,
    origin: &Origin<'_>,
    (first, second): (Image<'e>, Option<Image<'e>>),
    tombstone: bool,
) {
    match (kind, second) {
        (RowsKind::Insert, _) | (RowsKind::Update | RowsKind::PartialUpdate, None) => {
            let failed = fill(table, batch, &first, None);
            end_row(batch, Op::Create, at, origin, failed);
        }
        (RowsKind::Delete, _) => push_delete(table, batch, at, origin, &first, tombstone),
        (RowsKind::Update | RowsKind::PartialUpdate, Some(second)) => {
            push_update(table, batch, at, origin, &first, &second, tombstone);
        }
    }
}

/// Appends a delete and, where asked for, its tombstone.
fn push_delete(
    table: &Table,
    batch: &mut Batch,
    at: Position,
    origin: &Origin<'_>,
    old: &Image<'_>,
    tombstone: bool,
) {
    let failed = fill(table, batch, old, None);
    end_row(batch, Op::Delete, at, origin, failed);
    if tombstone {
        let failed = fill(table, batch, old, None);
        end_row(batch, Op::Tombstone, next(at, 1), origin, failed);
    }
}

/// Appends an update. A changed key becomes delete, tombstone and create; their headers name the
/// other key.
fn push_update<'e>(
    table: &Table,
    batch: &mut Batch,
    at: Position,
    origin: &Origin<'_>,
    old: &Image<'e>,
    new: &Image<'e>,
    tombstone: bool,
) {
    if !key_differs(table, old, new) {
        let mut failed = fill(table, batch, new, Some(old));
        let row = batch.len();
        if let Payload::Rows(rows) = &mut batch.payload {
            failed = failed.or(old.fill(&table.wires, &table.types, &mut rows.old, None));
            table.mask(&mut rows.old);
            rows.set_old(row);
        }
        return end_row(batch, Op::Update, at, origin, failed);
    }
    let deleted = batch.len();
    push_delete(table, batch, at, origin, old, tombstone);
    let created = batch.len();
    let failed = fill(table, batch, new, Some(old));
    end_row(batch, Op::Create, next(at, 2), &origin.following(), failed);
    let old_key = original(batch, deleted).0;
    let new_key = original(batch, created).0;
    for row in deleted..created {
        batch.headers.push("__debezium.newkey", new_key.as_deref());
        batch.headers.end_row(row);
    }
    batch.headers.push("__debezium.oldkey", old_key.as_deref());
    batch.headers.end_row(created);
}

/// Appends the delete of a row of which the key is all that is known, and its tombstone; answers
/// the number behind them.
pub(crate) fn push_gone(
    table: &Table,
    batch: &mut Batch,
    key: &RowKey,
    at: Position,
    origin: &Origin<'_>,
    tombstone: bool,
) -> u64 {
    let ops: &[Op] = if tombstone { &[Op::Delete, Op::Tombstone] } else { &[Op::Delete] };
    let mut minor = at.minor;
    for op in ops {
        let failed = fill_gone(table, batch, key);
        end_row(batch, *op, Position::new(at.major, minor), origin, failed);
        minor += 1;
    }
    minor
}

fn fill_gone(table: &Table, batch: &mut Batch, key: &RowKey) -> Failed {
    let Payload::Rows(rows) = &mut batch.payload else { return None };
    let mut failed = None;
    let mut fields = rows.current.iter_mut();
    for (i, (ty, (name, _))) in table.types.iter().zip(&table.all).enumerate() {
        let Some(ty) = ty else { continue };
        let Some(column) = fields.next() else { break };
        let rows = column.len();
        if let Some(Err(error)) = key.get(name).map(|value| push(column, ty, value.datum())) {
            failed.get_or_insert((i, error));
        }
        if column.len() == rows {
            column.push_null();
        }
    }
    let value = |i: usize, _: &ColumnType| key.get(&table.all.get(i)?.0).map(Kept::datum);
    table.fill_key(&mut rows.current, value);
    table.mask(&mut rows.current);
    failed
}

/// Appends a truncate: no key, no image.
pub(crate) fn push_truncate(batch: &mut Batch, at: Position, origin: &Origin<'_>) {
    let row = batch.len();
    if let Payload::Rows(rows) = &mut batch.payload {
        rows.current.iter_mut().for_each(Column::push_null);
    }
    batch.null_keys.push(row as u32);
    end_row(batch, Op::Truncate, at, origin, None);
}

fn next(at: Position, by: u64) -> Position {
    Position::new(at.major, at.minor + by)
}

fn key_differs(table: &Table, old: &Image<'_>, new: &Image<'_>) -> bool {
    let values = old.values(&table.wires).zip(new.values(&table.wires)).zip(&table.keys);
    let Some(last) = table.keys.iter().rposition(|key| *key) else { return false };
    values.take(last + 1).any(|((old, new), key)| *key && old != new)
}

fn fill<'e>(
    table: &Table,
    batch: &mut Batch,
    image: &Image<'e>,
    before: Option<&Image<'e>>,
) -> Failed {
    match &mut batch.payload {
        Payload::Rows(Rows { current, .. }) => {
            let failed = image.fill(&table.wires, &table.types, current, before);
            table.fill_key(current, |i, _| image.values(&table.wires).nth(i).flatten());
            table.mask(current);
            failed
        }
        Payload::Documents(_) => None,
    }
}

/// Ends a row whose image was filled.
pub(crate) fn end_row(
    batch: &mut Batch,
    op: Op,
    at: Position,
    origin: &Origin<'_>,
    failed: Failed,
) {
    let row = batch.ops.len() as u32;
    batch.ops.push(op);
    batch.times_us.push(origin.time_us);
    batch.positions.push(at);
    if let Payload::Rows(rows) = &mut batch.payload {
        use source_column::{
            FILE, GTID, POS, QUERY, ROW, SERVER_ID, SNAPSHOT, TABLE_ORDER, THREAD, TIME_US,
            TOTAL_ORDER, TRANSACTION,
        };
        let source = &mut rows.source;
        let mut int = |i: usize, value: Option<i64>| match (source.get_mut(i), value) {
            (Some(column), Some(value)) => column.push_int(value),
            (Some(column), None) => column.push_null(),
            (None, _) => {}
        };
        int(TIME_US, Some(origin.time_us));
        int(SERVER_ID, Some(origin.server_id.into()));
        int(POS, i64::try_from(origin.offset).ok());
        int(ROW, Some(origin.row.into()));
        int(THREAD, origin.thread.map(i64::from));
        let order = |of: fn(Block<'_>) -> u64| origin.transaction.map(|b| of(b) as i64);
        int(TOTAL_ORDER, order(|b| b.total_order));
        int(TABLE_ORDER, order(|b| b.table_order));
        let mut text = |i: usize, value: Option<&str>| match (source.get_mut(i), value) {
            (Some(column), Some(value)) => column.push_bytes(value.as_bytes()),
            (Some(column), None) => column.push_null(),
            (None, _) => {}
        };
        text(SNAPSHOT, Some(origin.snapshot));
        text(GTID, origin.gtid);
        text(FILE, Some(origin.file));
        text(QUERY, origin.query);
        text(TRANSACTION, origin.transaction.map(|b| b.id));
    }
    if let Some((field, error)) = failed {
        let message = format!("column {} of {}: {error}", field + 1, batch.schema.topic);
        let cause = DeadLetterCause {
            stage: "decode".into(),
            code: "bad-value".into(),
            message,
            module: None,
        };
        batch.rejects.push(Reject { row, verdict: Verdict::DeadLetter(Box::new(cause)) });
    }
}
