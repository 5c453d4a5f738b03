//! Changes of a table that is held back: documents of names and texts, or kept as they were sent.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wasmgate_codec::document::InboundRecord;
use wasmgate_codec::pgoutput::{OldKind, Tuple, TupleValue};
use wasmgate_model::{Fault, Position};

use super::change::Change;
use crate::assemble::Assembler;
use crate::quarantine::record::{Description, Stamp};
use crate::quarantine::{RowKey, row_key};
use crate::rows::{Origin, key_differs};
use crate::table::Table;

/// A change as a dead letter: key and value.
pub(crate) struct Letter {
    key: Option<String>,
    value: String,
    time_us: i64,
}

impl Letter {
    /// At a position; between transactions the assembler gives it.
    pub(crate) fn record(&self, position: Position) -> InboundRecord<'_> {
        InboundRecord {
            key: self.key.as_ref().map(String::as_bytes),
            value: Some(self.value.as_bytes()),
            time_us: self.time_us,
            position,
            partition: -1,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.value.len()
    }
}

/// Puts a change among the dead letters.
pub(super) fn hold_back(
    table: &Table,
    change: &Change<'_>,
    at: Position,
    origin: &Origin<'_>,
    out: &mut Assembler,
) -> Result<(), Fault> {
    let letter = Letter::of(table, change, origin);
    out.hold_back(table, &letter.record(at), removed(table, change))
}

/// Keeps a change until the table goes on.
pub(super) fn keep(
    table: &Table,
    description: &Arc<Description>,
    change: &Change<'_>,
    origin: &Origin<'_>,
    out: &mut Assembler,
) -> Result<(), Fault> {
    let (stamp, message) = (Stamp::of(origin), change.message());
    out.keep(&table.name, description, (&stamp, &message), removed(table, change))
}

impl Letter {
    pub(crate) fn of(table: &Table, change: &Change<'_>, origin: &Origin<'_>) -> Self {
        let (before, after) = match *change {
            Change::Insert(new) => (None, Some(new)),
            Change::Update(old, new) => (old.map(|(_, old)| old), Some(new)),
            Change::Delete(_, old) => (Some(old), None),
            Change::Truncate => (None, None),
        };
        let image = |tuple: Option<Tuple<'_>>| tuple.map(|tuple| image(table, tuple, false));
        let value = json!({
            "op": change.op().letter(),
            "table": table.name.to_string(),
            "txId": origin.transaction,
            "lsn": origin.lsn,
            "ts_us": origin.time_us,
            "before": image(before),
            "after": image(after),
        });
        let key = after.or(before).map(|tuple| self::image(table, tuple, true).to_string());
        Self { key, value: value.to_string(), time_us: origin.time_us }
    }
}

/// What a change takes away: nothing, a row, or rows that cannot be told.
fn removed(table: &Table, change: &Change<'_>) -> Option<Option<RowKey>> {
    let row = |kind: OldKind, old: Tuple<'_>| Some(row_key(table, kind, old));
    match *change {
        Change::Update(Some((kind, old)), new) if key_differs(table, kind, old, new) => {
            row(kind, old)
        }
        Change::Delete(kind, old) => row(kind, old),
        Change::Truncate => Some(None),
        Change::Insert(_) | Change::Update(..) => None,
    }
}

/// The texts of a tuple. Columns that records do not have, or have masked, are left out.
fn image(table: &Table, tuple: Tuple<'_>, key: bool) -> Value {
    let mut image = Map::new();
    for (column, value) in table.columns.iter().zip(tuple.iter()) {
        if column.ty.is_none() || column.mask.is_some() || (key && !column.key) {
            continue;
        }
        let value = match value {
            TupleValue::Null => Value::Null,
            TupleValue::Unchanged => continue,
            TupleValue::Text(text) => String::from_utf8_lossy(text).into(),
            TupleValue::Binary(bytes) => match column.text(value) {
                Some(text) => String::from_utf8_lossy(&text).into(),
                None => format!("\\x{}", hex(bytes)).into(),
            },
        };
        image.insert(column.name.clone(), value);
    }
    Value::Object(image)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
