//! Changes of a table that is held back: the records that they would have been, as dead letters.

use std::sync::Arc;

use serde_json::json;
use wasmgate_codec::document::InboundRecord;
use wasmgate_codec::encode::original;
use wasmgate_codec::mysqlvalue::{Image, RowsKind};
use wasmgate_model::{Batch, Fault, Op, Plan, Position};

use crate::assemble::Assembler;
use crate::catalog::TableName;
use crate::quarantine::{RowKey, row_key};
use crate::rows::Origin;
use crate::table::{Table, source_columns};

/// What records of a table take away, by their numbers in a batch; `None`: it cannot be told.
pub(super) type Removed = Vec<(usize, Option<RowKey>)>;

/// A batch for records of a table that is held back.
pub(super) fn aside(table: &Table) -> Batch {
    // No module sees them.
    Batch::rows(Arc::clone(&table.schema), Arc::new(Plan::default()), source_columns())
}

/// What a change takes away whose first record is going to be `row`.
pub(super) fn look(
    removed: &mut Removed,
    row: usize,
    table: &Table,
    kind: RowsKind,
    (first, second): &(Image<'_>, Option<Image<'_>>),
) {
    let key = match (kind, second) {
        (RowsKind::Insert, _) => return,
        (RowsKind::Delete, _) | (_, None) => row_key(table, first),
        (_, Some(second)) => {
            let key = row_key(table, first);
            if key == row_key(table, second) {
                return;
            }
            key
        }
    };
    removed.push((row, key));
}

/// Puts the records of a batch among the dead letters.
pub(super) fn put(
    name: &TableName,
    batch: &Batch,
    removed: Removed,
    out: &mut Assembler,
) -> Result<(), Fault> {
    let mut removed = removed.into_iter().peekable();
    let rows = batch.ops.iter().zip(&batch.positions).zip(&batch.times_us).enumerate();
    for (row, ((op, position), time_us)) in rows {
        if *op == Op::Tombstone {
            continue;
        }
        let (key, value) = original(batch, row);
        let gone = removed.next_if(|(of, _)| *of == row).map(|(_, key)| key);
        let record = InboundRecord {
            key: key.as_deref(),
            value: value.as_deref(),
            time_us: *time_us,
            position: *position,
            partition: -1,
        };
        out.hold_back(name, &record, gone)?;
    }
    Ok(())
}

/// Puts an event whose rows cannot be read among the dead letters, as one.
pub(super) fn hold_unread(
    name: &TableName,
    kind: RowsKind,
    (origin, position): (&Origin<'_>, Position),
    out: &mut Assembler,
) -> Result<(), Fault> {
    let op = match kind {
        RowsKind::Insert => "c",
        RowsKind::Update | RowsKind::PartialUpdate => "u",
        RowsKind::Delete => "d",
    };
    let value = json!({
        "op": op,
        "rows": "unreadable",
        "source": { "db": name.0, "table": name.1, "gtid": origin.gtid, "file": origin.file,
                    "pos": origin.offset, "ts_us": origin.time_us },
    });
    let value = value.to_string();
    let record = InboundRecord {
        key: None,
        value: Some(value.as_bytes()),
        time_us: origin.time_us,
        position,
        partition: -1,
    };
    let removes = kind != RowsKind::Insert;
    out.hold_back(name, &record, removes.then_some(None))
}
