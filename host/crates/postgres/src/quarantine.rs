//! Tables that are held back while all others go on: a module does not fit them, they changed and
//! `schema_changes` says so, or their rows cannot be decoded. Their changes become dead letters or
//! are kept in a file (`kept`); the keys of rows that were removed meanwhile are here, as they are
//! told when the table goes on.

pub(crate) mod kept;
pub(crate) mod options;
pub(crate) mod record;
pub(crate) mod streak;

use wasmgate_codec::pgoutput::{OldKind, Tuple};
use wasmgate_connector::KeptChanges;
use wasmgate_replication::Keeps;

use self::kept::Kept;
use crate::table::Table;

/// Text of the columns of a row's key.
pub(crate) type RowKey = wasmgate_replication::RowKey<String>;

/// A table that is held back; places are those of the log.
pub(crate) type Held = wasmgate_replication::Held<String, u64, Kept>;

impl Keeps for Kept {
    fn shown(&self) -> KeptChanges {
        KeptChanges { changes: self.events, bytes: self.bytes - self.delivered.min(self.bytes) }
    }
}

/// The key that an old tuple tells; `None`: it does not tell all of it.
pub(crate) fn row_key(table: &Table, kind: OldKind, old: Tuple<'_>) -> Option<RowKey> {
    let mut key = RowKey::new();
    for (column, value) in table.columns.iter().zip(old.iter()).filter(|(c, _)| c.key) {
        let text = column.text(value)?;
        if !column.identity && kind != OldKind::Full {
            return None;
        }
        key.insert(column.name.clone(), String::from_utf8(text.into_owned()).ok()?);
    }
    (!key.is_empty()).then_some(key)
}

/// A delete as the server would send it of a row with this key; `None`: it is not the key that the
/// table has now.
pub(crate) fn delete_message(table: &Table, key: &RowKey) -> Option<Vec<u8>> {
    if table.columns.iter().filter(|c| c.key).count() != key.len() {
        return None;
    }
    let mut out = vec![b'D', 0, 0, 0, 0, b'K'];
    out.extend_from_slice(&u16::try_from(table.columns.len()).ok()?.to_be_bytes());
    for column in &table.columns {
        if !column.key {
            out.push(b'n');
            continue;
        }
        let text = key.get(&column.name)?;
        out.push(b't');
        out.extend_from_slice(&u32::try_from(text.len()).ok()?.to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    Some(out)
}
