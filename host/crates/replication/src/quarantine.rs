//! Tables that are held back while all others go on: what the checkpoint says of them, and what has
//! to be made good when they go on: rows that were removed meanwhile are not found by reading the
//! table anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wasmgate_connector::{KeptChanges, Quarantined};
use wasmgate_model::{DeadLetterCause, Position};

use crate::name::{Named, TableName};

/// Code of the dead letters.
const CODE: &str = "table-quarantined";
/// Stage of the dead letters.
const STAGE: &str = "quarantine";
/// Keys of removed rows that are kept of one table, and their bytes; they are in every checkpoint.
const KEYS_MAX: usize = 1000;
const BYTES_MAX: usize = 64 << 10;

/// A value of a key as the checkpoint keeps it.
pub trait KeyValue {
    /// Bytes that it takes there, about.
    fn weight(&self) -> usize;
}

impl KeyValue for String {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// Values of the columns of a row's key.
pub type RowKey<V> = BTreeMap<String, V>;

/// Changes of a table that are kept until it goes on.
pub trait Keeps {
    /// For people.
    fn shown(&self) -> KeptChanges;
}

/// No change is kept: each becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepsNone {}

impl Keeps for KeepsNone {
    fn shown(&self) -> KeptChanges {
        match *self {}
    }
}

/// A table that is held back. `V`: values of keys, `At`: a place in the log, `K`: what is kept of
/// its changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held<V, At, K = KeepsNone> {
    pub name: (String, String),
    pub reason: String,
    /// Position of the first change that was held back.
    pub since: (u64, u64),
    /// Keys of rows that were removed since; `None`: of more than are kept, or nobody can tell.
    pub removed: Option<Vec<RowKey<V>>>,
    /// It goes on once the log is read so far.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<At>,
    /// Its changes are kept; `None`: they become dead letters.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub kept: Option<K>,
    /// What is kept becomes dead letters when the table goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard: bool,
}

fn none<T>() -> Option<T> {
    None
}

impl<V: KeyValue, At: PartialOrd, K: Keeps> Held<V, At, K> {
    /// A table that is held back from `since` on.
    #[must_use]
    pub fn new(name: &impl Named, reason: String, since: Position) -> Self {
        let (schema, table) = name.parts();
        Self {
            name: (schema.to_owned(), table.to_owned()),
            reason,
            since: (since.major, since.minor),
            removed: Some(Vec::new()),
            resume_at: None,
            kept: None,
            discard: false,
        }
    }

    /// Whether it is this table.
    #[must_use]
    pub fn is(&self, name: &impl Named) -> bool {
        let (schema, table) = name.parts();
        self.name.1 == table && self.name.0 == schema
    }

    /// Its name.
    #[must_use]
    pub fn table(&self) -> TableName {
        TableName::from(&self.name)
    }

    /// Whether it is to go on where the log is read so far.
    #[must_use]
    pub fn is_due(&self, read_to: &At) -> bool {
        self.resume_at.as_ref().is_some_and(|at| at <= read_to)
    }

    /// For people.
    #[must_use]
    pub fn shown(&self) -> Quarantined {
        Quarantined {
            table: self.table().to_string(),
            reason: self.reason.clone(),
            since: Position::new(self.since.0, self.since.1),
            resuming: self.resume_at.is_some(),
            kept: self.kept.as_ref().map(Keeps::shown),
        }
    }

    /// Remembers that a row was removed; `None`: it cannot be told which, or all were.
    pub fn remove(&mut self, key: Option<RowKey<V>>) {
        let (Some(key), Some(removed)) = (key, &mut self.removed) else {
            self.removed = None;
            return;
        };
        removed.push(key);
        let bytes = |k: &RowKey<V>| k.iter().map(|(n, v)| n.len() + v.weight()).sum::<usize>();
        if removed.len() > KEYS_MAX || removed.iter().map(bytes).sum::<usize>() > BYTES_MAX {
            self.removed = None;
        }
    }

    /// Why a change of it becomes a dead letter.
    #[must_use]
    pub fn cause(&self) -> DeadLetterCause {
        cause(format!("table {} is quarantined: {}", self.table(), self.reason))
    }
}

/// Why a change becomes a dead letter that is held back, in words.
#[must_use]
pub fn cause(message: String) -> DeadLetterCause {
    DeadLetterCause { stage: STAGE.into(), code: CODE.into(), message, module: None }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn removed_rows_are_kept_up_to_a_bound() {
        let name = TableName { schema: "s".into(), table: "t".into() };
        let mut held = Held::<String, u64>::new(&name, "why".into(), Position::new(1, 2));
        let key = |n: usize| RowKey::from([("id".to_owned(), n.to_string())]);
        (0..KEYS_MAX).for_each(|n| held.remove(Some(key(n))));
        assert_eq!(held.removed.as_ref().unwrap().len(), KEYS_MAX);
        held.remove(Some(key(0)));
        assert_eq!(held.removed, None);
        held.remove(Some(key(1)));
        assert_eq!(held.removed, None, "what is forgotten stays forgotten");
    }

    #[test]
    fn what_is_held_back_survives_its_text() {
        let name = TableName { schema: "s".into(), table: "t".into() };
        let mut held = Held::<String, u64>::new(&name, "why".into(), Position::new(1, 2));
        let least = r#"{"name":["s","t"],"reason":"why","since":[1,2],"removed":[]}"#;
        assert_eq!(serde_json::to_string(&held).unwrap(), least);
        assert_eq!(serde_json::from_str::<Held<String, u64>>(least).unwrap(), held);
        held.resume_at = Some(7);
        held.discard = true;
        assert!(held.is_due(&7) && !held.is_due(&6) && held.is(&name));
        let text = serde_json::to_string(&held).unwrap();
        assert_eq!(serde_json::from_str::<Held<String, u64>>(&text).unwrap(), held, "{text}");
    }
}
