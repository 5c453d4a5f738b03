//! Tuples to rows: which records a change becomes, and what their images hold where the server
//! sent less than a row. Source of the shapes: Debezium's connector, as recorded (replica
//! identities, key changes, unchanged large values).

use std::sync::atomic::Ordering;

use wasmgate_codec::encode::original;
use wasmgate_codec::mask::Mask;
use wasmgate_codec::pgoutput::{OldKind, Tuple, TupleValue};
use wasmgate_codec::pgvalue::{ColumnType, ValueError, push_binary, push_text, push_zero};
use wasmgate_model::{
    Batch, Column, DeadLetterCause, Kind, Op, Payload, Position, Reject, Rows, Verdict,
};

use crate::snapshot::lines::next_binary;
use crate::source_block::source_column;
use crate::table::{ColumnMask, Table, TableColumn};

/// Code of rows with a value that is not one of its type.
pub(crate) const UNDECODABLE: &str = "bad-value";

/// What the source block and the position of a row say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub time_us: i64,
    pub snapshot: &'a str,
    pub sequence: &'a [u8],
    pub transaction: i64,
    pub lsn: u64,
    /// The row's place in its transaction, where transaction metadata is asked for.
    pub block: Option<TransactionBlock<'a>>,
    /// Name of the replication origin that the transaction came by, and its place there.
    pub replicated: Option<(&'a str, u64)>,
}

/// The envelope's `transaction` object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransactionBlock<'a> {
    pub id: &'a [u8],
    /// Place among the changes of the transaction, from 1.
    pub total_order: i64,
    /// Place among the changes of the table in the transaction, from 1.
    pub data_collection_order: i64,
}

impl TransactionBlock<'_> {
    /// The place after this one.
    fn next(self) -> Self {
        let (total_order, data_collection_order) =
            (self.total_order + 1, self.data_collection_order + 1);
        Self { total_order, data_collection_order, ..self }
    }
}

/// Which columns of a tuple are real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Image {
    Whole,
    /// Only the replica identity's; the others become null, or zero where null is not allowed.
    Key,
}

/// Appends an inserted or snapshot row.
pub(crate) fn push_new<'v>(
    table: &Table,
    batch: &mut Batch,
    op: Op,
    at: Position,
    origin: &Origin<'_>,
    values: impl Iterator<Item = TupleValue<'v>>,
) {
    let failed = fill(table, batch, Image::Whole, values, None);
    end_row(batch, op, at, origin, failed);
}

/// Appends a row of a copy: its image alone. What is the same for the whole copy is filled in when
/// the batch is full.
pub(crate) fn push_copied<'v>(
    table: &Table,
    batch: &mut Batch,
    values: impl Iterator<Item = TupleValue<'v>>,
) {
    let failed = fill(table, batch, Image::Whole, values, None);
    end_copied(batch, failed);
}

/// The same of a row that came in binary: so many values, each behind its length, -1 for null.
pub(crate) fn push_copied_binary(table: &Table, batch: &mut Batch, row: &[u8]) {
    let failed = match &mut batch.payload {
        Payload::Rows(Rows { current, .. }) => fill_binary(table, current, row),
        Payload::Documents(_) => None,
    };
    end_copied(batch, failed);
}

fn end_copied(batch: &mut Batch, failed: Failed) {
    let row = batch.ops.len() as u32;
    batch.ops.push(Op::Snapshot);
    reject(batch, row, failed);
}

/// [`fill_columns`] where every column of the rows takes its values as they are.
fn fill_binary(table: &Table, columns: &mut [Column], row: &[u8]) -> Failed {
    let mut failed = None;
    let mut fields = columns.iter_mut().enumerate();
    let mut rest = row.get(2..).unwrap_or(&[]);
    for column in &table.columns {
        let value = next_binary(&mut rest);
        let (Some(ty), Some(form)) = (&column.ty, &column.form) else { continue };
        let Some((number, field)) = fields.next() else { break };
        let before = field.len();
        let pushed = match value {
            // Those without a form in records are looked after.
            Some(TupleValue::Binary(bytes)) if ty.kind != Kind::Decimal => {
                push_binary(field, ty, form, bytes)
            }
            value => Cell { table, image: Image::Whole, column }.push(field, ty, None, value),
        };
        if let Err(error) = pushed {
            failed.get_or_insert((number, error));
            if field.len() == before {
                field.push_null();
            }
        }
    }
    failed
}

/// Appends an update whose key did not change.
fn push_update(
    table: &Table,
    batch: &mut Batch,
    at: Position,
    origin: &Origin<'_>,
    old: Option<Tuple<'_>>,
    new: Tuple<'_>,
) {
    let mut failed = fill(table, batch, Image::Whole, new.iter(), old);
    let row = batch.len();
    if let (Some(old), Payload::Rows(rows)) = (old, &mut batch.payload) {
        let result = fill_columns(table, &mut rows.old, Image::Whole, old.iter(), None);
        failed = failed.or(result);
        rows.set_old(row);
    }
    end_row(batch, Op::Update, at, origin, failed);
}

/// Appends a delete and, where asked for, its tombstone.
pub(crate) fn push_delete(
    table: &Table,
    batch: &mut Batch,
    at: Position,
    origin: &Origin<'_>,
    (kind, old): (OldKind, Tuple<'_>),
    tombstone: bool,
) {
    let image = match kind {
        OldKind::Full => Image::Whole,
        OldKind::Key => Image::Key,
    };
    let failed = fill(table, batch, image, old.iter(), None);
    end_row(batch, Op::Delete, at, origin, failed);
    if tombstone {
        let failed = fill(table, batch, image, old.iter(), None);
        end_row(batch, Op::Tombstone, next(at, 1), origin, failed);
    }
}

/// Appends an update. A changed key becomes delete, tombstone and create; their headers name the
/// other key.
pub(crate) fn push_updated(
    table: &Table,
    batch: &mut Batch,
    at: Position,
    origin: &Origin<'_>,
    old: Option<(OldKind, Tuple<'_>)>,
    new: Tuple<'_>,
    tombstone: bool,
) {
    let full = old.filter(|(kind, _)| *kind == OldKind::Full).map(|(_, tuple)| tuple);
    match old {
        Some((kind, tuple)) if key_differs(table, kind, tuple, new) => {
            let deleted = batch.len();
            push_delete(table, batch, at, origin, (kind, tuple), tombstone);
            let created = batch.len();
            let failed = fill(table, batch, Image::Whole, new.iter(), full);
            let block = origin.block.map(TransactionBlock::next);
            end_row(batch, Op::Create, next(at, 2), &Origin { block, ..*origin }, failed);
            let old_key = original(batch, deleted).0;
            let new_key = original(batch, created).0;
            for row in deleted..created {
                batch.headers.push("__debezium.newkey", new_key.as_deref());
                batch.headers.end_row(row);
            }
            batch.headers.push("__debezium.oldkey", old_key.as_deref());
            batch.headers.end_row(created);
        }
        _ => push_update(table, batch, at, origin, full, new),
    }
}

/// Appends a truncate: no key, no image.
pub(crate) fn push_truncate(table: &Table, batch: &mut Batch, at: Position, origin: &Origin<'_>) {
    let row = batch.len();
    if let Payload::Rows(rows) = &mut batch.payload {
        rows.current.iter_mut().for_each(Column::push_null);
    }
    batch.null_keys.push(row as u32);
    debug_assert_eq!(batch.schema.id, table.schema.id);
    end_row(batch, Op::Truncate, at, origin, None);
}

fn next(at: Position, by: u64) -> Position {
    Position::new(at.major, at.minor + by)
}

/// Whether an update moves its record to another key, as far as the old tuple tells: it becomes
/// two changes.
pub(crate) fn key_differs(table: &Table, kind: OldKind, old: Tuple<'_>, new: Tuple<'_>) -> bool {
    let values = old.iter().zip(new.iter()).zip(&table.columns);
    values.into_iter().any(|((old, new), column)| {
        let told = column.key && (column.identity || kind == OldKind::Full);
        told && new != TupleValue::Unchanged && differ(column, old, new)
    })
}

/// Whether two values of a column are others. In binary there are several ways to write an array
/// (it may have room for nulls and none) or what is no number.
fn differ(column: &TableColumn, old: TupleValue<'_>, new: TupleValue<'_>) -> bool {
    let same = |old, new| match (column.text(old), column.text(new)) {
        (Some(old), Some(new)) => old == new,
        _ => false,
    };
    let binary = |value| matches!(value, TupleValue::Binary(_));
    old != new && !(binary(old) && binary(new) && same(old, new))
}

/// Whether an update changes none of the columns that the rows have.
pub(crate) fn is_unchanged(table: &Table, old: Tuple<'_>, new: Tuple<'_>) -> bool {
    let values = old.iter().zip(new.iter()).zip(&table.columns);
    values.into_iter().all(|((old, new), column)| {
        column.ty.is_none() || new == TupleValue::Unchanged || !differ(column, old, new)
    })
}

/// What does not convert: field and reason.
type Failed = Option<(usize, ValueError)>;

fn fill<'v>(
    table: &Table,
    batch: &mut Batch,
    image: Image,
    values: impl Iterator<Item = TupleValue<'v>>,
    old: Option<Tuple<'_>>,
) -> Failed {
    match &mut batch.payload {
        Payload::Rows(Rows { current, .. }) => fill_columns(table, current, image, values, old),
        Payload::Documents(_) => None,
    }
}

/// Appends one value to every column, whatever the tuple holds, so that columns stay aligned.
/// `columns` are the fields of the rows; behind them may stand those of the key alone.
fn fill_columns<'v>(
    table: &Table,
    columns: &mut [Column],
    image: Image,
    mut values: impl Iterator<Item = TupleValue<'v>>,
    old: Option<Tuple<'_>>,
) -> Failed {
    let mut failed = None;
    let fields = columns.len().min(table.schema.fields.len());
    let (fields, key_only) = columns.split_at_mut(fields);
    let mut fields = fields.iter_mut().enumerate();
    let mut old = old.map(|t| t.iter());
    for column in &table.columns {
        let value = values.next();
        let before = old.as_mut().and_then(Iterator::next);
        let value = match value {
            Some(TupleValue::Unchanged) => before.or(value),
            _ => value,
        };
        let cell = Cell { table, image, column };
        if let Some((place, ty)) = &column.key_only
            && let Some(field) = key_only.get_mut(*place)
            && let Err(error) = cell.push(field, ty, None, value)
        {
            failed.get_or_insert((table.schema.fields.len() + place, error));
        }
        let Some(ty) = &column.ty else { continue };
        let Some((number, field)) = fields.next() else { break };
        if let Err(error) = cell.push(field, ty, column.mask.as_ref(), value) {
            failed.get_or_insert((number, error));
        }
    }
    failed
}

/// A place that a value goes to.
#[derive(Clone, Copy)]
struct Cell<'a> {
    table: &'a Table,
    image: Image,
    column: &'a TableColumn,
}

impl Cell<'_> {
    /// Appends a value; null where it is none of its type.
    fn push(
        self,
        field: &mut Column,
        ty: &ColumnType,
        mask: Option<&ColumnMask>,
        value: Option<TupleValue<'_>>,
    ) -> Result<(), ValueError> {
        let rows = field.len();
        let result = match value {
            _ if mask.is_some() => self.masked(field, ty, mask, value),
            _ if self.is_unknown() => {
                push_unknown(field, self.column, ty);
                Ok(())
            }
            Some(value @ (TupleValue::Text(_) | TupleValue::Binary(_))) => {
                self.value(field, ty, value)
            }
            Some(TupleValue::Unchanged) => {
                field.push_absent();
                Ok(())
            }
            Some(TupleValue::Null) => {
                field.push_null();
                Ok(())
            }
            None => Err(ValueError { expected: "there" }),
        };
        if result.is_err() && field.len() == rows {
            field.push_null();
        }
        result
    }

    /// Whether the server sends nothing for the column with this image.
    fn is_unknown(self) -> bool {
        self.image == Image::Key && !self.column.identity
    }

    /// What stands for a value that is masked. Stars stand for anything, null too.
    fn masked(
        self,
        field: &mut Column,
        ty: &ColumnType,
        mask: Option<&ColumnMask>,
        value: Option<TupleValue<'_>>,
    ) -> Result<(), ValueError> {
        let Some(ColumnMask { mask, length }) = mask else { return Ok(()) };
        let mut plain = Column::new(ty.kind);
        self.push(&mut plain, ty, None, value)?;
        match plain.bytes(0) {
            _ if matches!(mask, Mask::Stars(_)) => {}
            None => {
                field.push_from(&plain, 0);
                return Ok(());
            }
            Some(bytes) if ty.kind == Kind::Bytes => {
                field.push_bytes(mask.bytes(bytes));
                return Ok(());
            }
            Some(_) => {}
        }
        let mut text = Vec::new();
        mask.text(plain.bytes(0).unwrap_or(&[]), *length, &mut text);
        field.push_bytes(&text);
        Ok(())
    }

    /// A value that the server sent. NaN and infinite `numeric`s have no form as Connect's
    /// Decimal: where the column may be null they are null, and the log says so once per version
    /// of a table.
    fn value(
        self,
        field: &mut Column,
        ty: &ColumnType,
        value: TupleValue<'_>,
    ) -> Result<(), ValueError> {
        let row = field.len() as u32;
        match (value, &self.column.form) {
            (TupleValue::Binary(bytes), Some(form)) => push_binary(field, ty, form, bytes)?,
            (TupleValue::Binary(_), None) => return Err(ValueError { expected: "text" }),
            (TupleValue::Text(text), _) => push_text(field, ty, text)?,
            (TupleValue::Null | TupleValue::Unchanged, _) => field.push_null(),
        }
        if field.nulls.last() != Some(&row) {
            return Ok(());
        }
        if !self.column.nullable {
            let expected = "finite, as NOT NULL columns have to be in decimal mode `precise`";
            return Err(ValueError { expected });
        }
        if !self.table.not_finite.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                table = %self.table.name,
                "NaN and infinity are null in decimal mode `precise`; `string` and `double` keep \
                 them"
            );
        }
        Ok(())
    }
}

/// A value that the server did not send with a delete.
fn push_unknown(field: &mut Column, column: &TableColumn, ty: &ColumnType) {
    if column.nullable {
        return field.push_null();
    }
    let default = column.default.as_ref().map(|text| push_text(field, ty, text.as_bytes()));
    if !matches!(default, Some(Ok(()))) {
        push_zero(field, ty);
    }
}

fn end_row(batch: &mut Batch, op: Op, at: Position, origin: &Origin<'_>, failed: Failed) {
    let row = batch.ops.len() as u32;
    batch.ops.push(op);
    batch.times_us.push(origin.time_us);
    batch.positions.push(at);
    if let Payload::Rows(rows) = &mut batch.payload {
        use source_column::{
            BLOCK_ID, BLOCK_ORDER, BLOCK_TABLE_ORDER, LSN, ORIGIN, ORIGIN_LSN, SEQUENCE, SNAPSHOT,
            TIME_US, TRANSACTION,
        };
        put(rows, TIME_US, |c| c.push_int(origin.time_us));
        put(rows, SNAPSHOT, |c| c.push_bytes(origin.snapshot.as_bytes()));
        put(rows, SEQUENCE, |c| c.push_bytes(origin.sequence));
        put(rows, TRANSACTION, |c| c.push_int(origin.transaction));
        put(rows, LSN, |c| c.push_int(origin.lsn as i64));
        // What most rows have not is filled in when the batch is whole.
        let before = row as usize;
        if let Some(block) = origin.block {
            put_rare(rows, (BLOCK_ID, before), |c| c.push_bytes(block.id));
            put_rare(rows, (BLOCK_ORDER, before), |c| c.push_int(block.total_order));
            let order = block.data_collection_order;
            put_rare(rows, (BLOCK_TABLE_ORDER, before), |c| c.push_int(order));
        }
        if let Some((name, lsn)) = origin.replicated {
            put_rare(rows, (ORIGIN, before), |c| c.push_bytes(name.as_bytes()));
            put_rare(rows, (ORIGIN_LSN, before), |c| c.push_int(lsn as i64));
        }
    }
    reject(batch, row, failed);
}

fn put(rows: &mut Rows, number: usize, push: impl FnOnce(&mut Column)) {
    if let Some(column) = rows.source.get_mut(number) {
        push(column);
    }
}

/// The same in a column that earlier rows may have left out.
fn put_rare(rows: &mut Rows, (number, before): (usize, usize), push: impl FnOnce(&mut Column)) {
    put(rows, number, |column| {
        column.fill_nulls(before);
        push(column);
    });
}

/// Fills in what the source blocks of a whole batch do not say.
pub(crate) fn end_rows(batch: &mut Batch) {
    let count = batch.len();
    if let Payload::Rows(rows) = &mut batch.payload {
        rows.source.iter_mut().for_each(|column| column.fill_nulls(count));
    }
}

/// A row with a value that does not convert becomes a dead letter.
fn reject(batch: &mut Batch, row: u32, failed: Failed) {
    if let Some((field, error)) = failed {
        let schema = &batch.schema;
        let name = schema.fields.iter().chain(&schema.key_only).nth(field);
        let name = name.map_or("?", |f| &f.name);
        let message = format!("field {name} of {}: {error}", batch.schema.topic);
        let cause = DeadLetterCause {
            stage: "decode".into(),
            code: UNDECODABLE.into(),
            message,
            module: None,
        };
        batch.rejects.push(Reject { row, verdict: Verdict::DeadLetter(Box::new(cause)) });
    }
}
