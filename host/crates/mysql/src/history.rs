//! The history of the tables' definitions: which was in force where. A file of JSON lines
//! (position, table, definition or null for dropped), appended and fsynced before the first record
//! that was read with it is handed over. On a restart what lies behind the checkpoint is cut off:
//! the log brings those changes again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wasmgate_model::{Fault, FaultKind, Position};

use crate::catalog::TableName;
use crate::definition::TableDefinition;

/// Definitions in force, and the file behind them.
#[derive(Debug)]
pub(crate) struct History {
    path: PathBuf,
    tables: BTreeMap<TableName, TableDefinition>,
}

fn disk(path: &Path, error: std::io::Error) -> Fault {
    let what = format!("cannot keep the schema history in {}", path.display());
    Fault::new(FaultKind::Disk, what).because(error)
}

impl History {
    /// The definitions that were in force at a position; empty where there is no file.
    pub(crate) fn load(dir: &Path, prefix: &str, at: Position) -> Result<Self, Fault> {
        let name: String = prefix
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        let path = dir.join(format!("{name}.schemas.jsonl"));
        std::fs::create_dir_all(dir).map_err(|e| disk(dir, e))?;
        let mut history = Self { path, tables: BTreeMap::new() };
        let text = match std::fs::read_to_string(&history.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(history),
            Err(e) => return Err(disk(&history.path, e)),
        };
        // A line that a crash cut short was never relied on.
        for line in text.lines() {
            let Some((position, table, definition)) = parse(line) else { break };
            if position > at {
                break;
            }
            match definition {
                Some(definition) => history.tables.insert(table, definition),
                None => history.tables.remove(&table),
            };
        }
        history.rewrite(at)?;
        Ok(history)
    }

    /// Definitions without a file: only to look at.
    pub(crate) fn unsaved(tables: BTreeMap<TableName, TableDefinition>) -> Self {
        Self { path: PathBuf::new(), tables }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(crate) fn get(&self, name: &TableName) -> Option<&TableDefinition> {
        self.tables.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &TableName> {
        self.tables.keys()
    }

    /// Replaces everything: what is in force at the start.
    pub(crate) fn begin(
        &mut self,
        at: Position,
        tables: BTreeMap<TableName, TableDefinition>,
    ) -> Result<(), Fault> {
        self.tables = tables;
        self.rewrite(at)
    }

    /// A table is defined anew, or dropped, from a position on.
    pub(crate) fn set(
        &mut self,
        at: Position,
        name: &TableName,
        definition: Option<TableDefinition>,
    ) -> Result<(), Fault> {
        if self.tables.get(name) == definition.as_ref() {
            return Ok(());
        }
        let text = line(at, name, definition.as_ref());
        let append = || {
            let mut file = std::fs::File::options().create(true).append(true).open(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()
        };
        append().map_err(|e| disk(&self.path, e))?;
        match definition {
            Some(definition) => self.tables.insert(name.clone(), definition),
            None => self.tables.remove(name),
        };
        Ok(())
    }

    /// Writes what is in force beside the file, then over it.
    fn rewrite(&self, at: Position) -> Result<(), Fault> {
        let mut text = String::new();
        for (name, definition) in &self.tables {
            text.push_str(&line(at, name, Some(definition)));
        }
        let beside = self.path.with_extension("part");
        let write = || {
            let mut file = std::fs::File::create(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            std::fs::rename(&beside, &self.path)
        };
        write().map_err(|e| disk(&self.path, e))
    }
}

fn line(
    at: Position,
    (database, table): &TableName,
    definition: Option<&TableDefinition>,
) -> String {
    let value = json!({
        "at": [at.major, at.minor],
        "database": database,
        "table": table,
        "definition": definition.map(TableDefinition::to_json),
    });
    format!("{value}\n")
}

fn parse(line: &str) -> Option<(Position, TableName, Option<TableDefinition>)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let at = value.get("at")?;
    let at = Position::new(at.get(0)?.as_u64()?, at.get(1)?.as_u64()?);
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let definition = match value.get("definition")? {
        Value::Null => None,
        definition => Some(TableDefinition::from_json(definition)?),
    };
    Some((at, (text("database")?, text("table")?), definition))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_the_checkpoint_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let name = |t: &str| ("d".to_owned(), t.to_owned());
        let defined = |comment: &str| TableDefinition {
            comment: comment.into(),
            key: vec!["id".into()],
            ..TableDefinition::default()
        };
        let at = |n| Position::new(n, 0);
        let mut history = History::load(dir.path(), "p.q", at(1)).unwrap();
        assert!(history.is_empty());
        let first = BTreeMap::from([(name("a"), defined("1")), (name("b"), defined("1"))]);
        history.begin(at(1), first).unwrap();
        history.set(at(5), &name("a"), Some(defined("2"))).unwrap();
        history.set(at(6), &name("b"), None).unwrap();
        history.set(at(9), &name("a"), Some(defined("3"))).unwrap();
        let again = History::load(dir.path(), "p.q", at(6)).unwrap();
        assert_eq!(again.get(&name("a")), Some(&defined("2")));
        assert_eq!(again.get(&name("b")), None);
        // The later version is gone from the file too.
        let last = History::load(dir.path(), "p.q", at(100)).unwrap();
        assert_eq!(last.get(&name("a")), Some(&defined("2")));
    }
}
