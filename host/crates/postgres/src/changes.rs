//! Changes of tables that stop the pipeline: with `schema_changes: halt` a table's columns are kept
//! in the checkpoint, and the first record of another shape waits until somebody has looked.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};
use wasmgate_codec::pgoutput::Relation;
use wasmgate_model::{Fault, FaultKind};

use crate::catalog::TableName;

/// What becomes of a table's records after its columns or its key changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaChanges {
    /// They go on, with the schema of their own time.
    #[default]
    Evolve,
    /// The pipeline stops before the first of them; resuming it accepts the change.
    Halt,
    /// The table is held back and all others go on; resuming it accepts the change.
    DeadLetter,
}

/// Stable code of the fault.
const CODE: &str = "SCHEMA_CHANGED";

/// Changes that the pipeline stopped over. It lives as long as the source: opening it again after
/// such a stop is somebody's word that the change is right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(Arc<Mutex<HashSet<String>>>);

impl Told {
    /// Whether this was told before.
    fn again(&self, what: &str) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned())
    }
}

/// A relation's columns: name, and type, modifier and place in the key as one text.
pub(crate) fn columns(relation: &Relation<'_>) -> Value {
    let key = |is: bool| if is { " key" } else { "" };
    let each = relation.columns.iter().map(|c| {
        let text = format!("{}:{}{}", c.type_oid, c.type_modifier, key(c.key));
        (c.name.to_owned(), text.into())
    });
    Value::Object(each.collect::<Map<_, _>>())
}

/// Holds a table against what it was. `Ok(true)`: it is new or another, and that is accepted.
///
/// # Errors
/// It is another, and nobody was told yet.
pub(crate) fn hold(
    tables: Option<&Value>,
    name: &TableName,
    now: &Value,
    told: &Told,
) -> Result<bool, Fault> {
    let Some(before) = tables.and_then(|tables| tables.get(name.to_string())) else {
        return Ok(true);
    };
    let changes = differences(before, now);
    if changes.is_empty() {
        return Ok(false);
    }
    if told.again(&format!("{name} {now}")) {
        tracing::info!(table = %name, changes = changes.join(", "), "a change of a table is accepted");
        return Ok(true);
    }
    let what = format!(
        "table {name} changed ({}) and `schema_changes` is halt: look whether everything behind can \
         take it; resuming the pipeline accepts it",
        changes.join(", ")
    );
    Err(Fault::new(FaultKind::SourceRefused, what).coded(CODE))
}

/// What is different from what was accepted last, in words; `None`: the table is new.
pub(crate) fn changed(
    tables: Option<&Value>,
    name: &TableName,
    now: &Value,
) -> Option<Vec<String>> {
    let before = tables.and_then(|tables| tables.get(name.to_string()))?;
    Some(differences(before, now))
}

/// What is different, in words.
fn differences(before: &Value, now: &Value) -> Vec<String> {
    let empty = Map::new();
    let (before, now) = (before.as_object().unwrap_or(&empty), now.as_object().unwrap_or(&empty));
    let mut words = Vec::new();
    for (name, is) in now {
        match before.get(name) {
            None => words.push(format!("column {name} is new")),
            Some(was) if was != is => {
                words.push(format!("column {name} is of another type or key"))
            }
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    words.extend(gone.map(|name| format!("column {name} is gone")));
    words
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_told_once_and_accepted_the_second_time() {
        let name = TableName { schema: "s".into(), table: "t".into() };
        let told = Told::default();
        let before = json!({ "s.t": { "id": "23:-1 key", "v": "25:-1" } });
        let same = json!({ "id": "23:-1 key", "v": "25:-1" });
        let other = json!({ "id": "20:-1 key", "w": "25:-1" });
        assert!(hold(None, &name, &same, &told).unwrap(), "the first look is kept");
        assert!(!hold(Some(&before), &name, &same, &told).unwrap());
        let fault = hold(Some(&before), &name, &other, &told).unwrap_err();
        let want = "column id is of another type or key, column w is new, column v is gone";
        assert!(fault.to_string().contains(want), "{fault}");
        assert!(hold(Some(&before), &name, &other, &told).unwrap());
    }
}
