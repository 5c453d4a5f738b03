//! Tables that are held back while all others go on: a module does not fit them, they changed and
//! `schema_changes` says so, or their rows cannot be decoded. Their changes become dead letters or
//! are kept in a file (`kept`); what the checkpoint says of them is here, and what has to be made
//! good when they go on: rows that were removed meanwhile are not found by reading the table anew.

pub(crate) mod kept;
pub(crate) mod options;
pub(crate) mod record;
pub(crate) mod streak;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wasmgate_codec::pgoutput::{OldKind, Tuple, TupleValue};
use wasmgate_connector::{KeptChanges, Quarantined};
use wasmgate_model::Position;

use self::kept::Kept;
use crate::catalog::TableName;
use crate::table::Table;

/// Code of the dead letters.
pub(crate) const CODE: &str = "table-quarantined";
/// Stage of the dead letters.
pub(crate) const STAGE: &str = "quarantine";
/// Keys of removed rows that are kept of one table, and their bytes; they are in every checkpoint.
const KEYS_MAX: usize = 1000;
const BYTES_MAX: usize = 64 << 10;

/// Text of the columns of a row's key.
pub(crate) type RowKey = BTreeMap<String, String>;

/// A table that is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub name: (String, String),
    pub reason: String,
    /// Position of the first change that was held back: place in the log, number.
    pub since: (u64, u64),
    /// Keys of rows that were removed since; `None`: of more than are kept.
    pub removed: Option<Vec<RowKey>>,
    /// It goes on once the log is read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<u64>,
    /// Its changes are kept; `None`: they become dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// What is kept becomes dead letters when the table goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard: bool,
}

impl Held {
    pub(crate) fn new(name: &TableName, reason: String, since: Position) -> Self {
        Self {
            name: (name.schema.clone(), name.table.clone()),
            reason,
            since: (since.major, since.minor),
            removed: Some(Vec::new()),
            resume_at: None,
            kept: None,
            discard: false,
        }
    }

    /// Whether it is this table.
    pub(crate) fn is(&self, name: &TableName) -> bool {
        self.name.1 == name.table && self.name.0 == name.schema
    }

    pub(crate) fn table(&self) -> TableName {
        TableName { schema: self.name.0.clone(), table: self.name.1.clone() }
    }

    pub(crate) fn shown(&self) -> Quarantined {
        Quarantined {
            table: self.table().to_string(),
            reason: self.reason.clone(),
            since: Position::new(self.since.0, self.since.1),
            resuming: self.resume_at.is_some(),
            kept: self.kept.as_ref().map(|kept| KeptChanges {
                changes: kept.events,
                bytes: kept.bytes - kept.delivered.min(kept.bytes),
            }),
        }
    }

    /// Remembers that a row was removed; `None`: it cannot be told which, or all were.
    pub(crate) fn remove(&mut self, key: Option<RowKey>) {
        let (Some(key), Some(removed)) = (key, &mut self.removed) else {
            self.removed = None;
            return;
        };
        removed.push(key);
        let bytes = |k: &RowKey| k.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
        if removed.len() > KEYS_MAX || removed.iter().map(bytes).sum::<usize>() > BYTES_MAX {
            self.removed = None;
        }
    }
}

/// The key that an old tuple tells; `None`: it does not tell all of it.
pub(crate) fn row_key(table: &Table, kind: OldKind, old: Tuple<'_>) -> Option<RowKey> {
    let mut key = RowKey::new();
    for (column, value) in table.columns.iter().zip(old.iter()).filter(|(c, _)| c.key) {
        let TupleValue::Text(text) = value else { return None };
        if !column.identity && kind != OldKind::Full {
            return None;
        }
        key.insert(column.name.clone(), String::from_utf8(text.to_vec()).ok()?);
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn removed_rows_are_kept_up_to_a_bound() {
        let name = TableName { schema: "s".into(), table: "t".into() };
        let mut held = Held::new(&name, "why".into(), Position::new(1, 2));
        let key = |n: usize| RowKey::from([("id".to_owned(), n.to_string())]);
        (0..KEYS_MAX).for_each(|n| held.remove(Some(key(n))));
        assert_eq!(held.removed.as_ref().unwrap().len(), KEYS_MAX);
        held.remove(Some(key(0)));
        assert_eq!(held.removed, None);
        held.remove(Some(key(1)));
        assert_eq!(held.removed, None, "what is forgotten stays forgotten");
    }
}
