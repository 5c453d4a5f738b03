//! Tables that are held back: where their changes go instead of into their batches.

use std::sync::Arc;

use wasmgate_codec::document::{self, InboundRecord};
use wasmgate_model::{Batch, Fault, Plan, Position, Reject, Schema, Verdict};
use wasmgate_replication::cause;

use super::{Assembler, now_us};
use crate::catalog::TableName;
use crate::quarantine::{Held, RowKey};
use crate::rows::{Origin, push_gone, push_truncate};
use crate::state::Place;
use crate::table::{Table, document_schema, topic};

impl Assembler {
    /// Whether a table is held back.
    pub(crate) fn is_held(&self, name: &TableName) -> bool {
        self.held.iter().any(|held| held.name == *name)
    }

    /// Tables that are held back.
    pub(crate) fn held(&self) -> &[Held] {
        &self.held
    }

    /// Whether a table is to go on where the log is read so far.
    pub(crate) fn resumes(&self, read_to: &Place) -> bool {
        self.held.iter().any(|held| held.is_due(read_to))
    }

    /// Changes what is held back, and shows it.
    pub(crate) fn quarantine(&mut self, change: impl FnOnce(&mut Vec<Held>)) {
        change(&mut self.held);
        let shown = self.held.iter().map(Held::shown).collect();
        self.context.status.quarantine(shown);
    }

    /// Holds a table back from `at` on.
    pub(crate) fn hold(&mut self, (database, table): &TableName, at: Position, reason: String) {
        let name = (database.clone(), table.clone());
        if self.is_held(&name) {
            return;
        }
        tracing::warn!(database, table, reason, "the table is quarantined; all others go on");
        self.quarantine(|all| all.push(Held::new(&name, reason, at)));
    }

    /// Whether the records of a table have to wait; asks the chain where it was not asked yet, and
    /// holds the table back from `at` on where it does not fit.
    pub(crate) fn holds(&mut self, table: &Table, at: Position) -> Result<bool, Fault> {
        if self.is_held(&table.name) {
            return Ok(true);
        }
        let planner = &self.context.planner;
        if self.chain == planner.version() && self.plans.contains_key(&table.schema.id) {
            return Ok(false);
        }
        let refusal = planner.refusal(&table.schema)?;
        let refused = refusal.is_some();
        if let Some(reason) = refusal {
            self.hold(&table.name, at, reason);
        }
        Ok(refused)
    }

    /// Why the chain does not take a table; `None`: it does.
    pub(crate) fn refusal(&self, table: &Table) -> Result<Option<String>, Fault> {
        self.context.planner.refusal(&table.schema)
    }

    /// Adds the dead letter of a change that is held back. `removed`: what it took away, `None`
    /// inside where that cannot be told.
    pub(crate) fn hold_back(
        &mut self,
        name: &TableName,
        record: &InboundRecord<'_>,
        removed: Option<Option<RowKey>>,
    ) -> Result<(), Fault> {
        let held = self.held.iter_mut().find(|held| held.name == *name);
        let mut why = cause(String::new());
        if let Some(held) = held {
            why = held.cause();
            if let Some(key) = removed {
                held.remove(key);
            }
        }
        let schema = self.letters_of(name);
        if !self.places.contains_key(&schema.id) {
            // The chain never sees these records: it is not asked what it wants of them.
            let plan = Plan { chain: self.context.planner.version(), ..Plan::default() };
            self.open.push(Batch::documents(Arc::clone(&schema), Arc::new(plan)));
            self.places.insert(schema.id, self.open.len() - 1);
        }
        let batch = self.batch_of(&schema)?;
        document::append(batch, record);
        let row = batch.len().saturating_sub(1) as u32;
        batch.rejects.push(Reject { row, verdict: Verdict::DeadLetter(Box::new(why)) });
        self.appended(1, record.value.map_or(0, <[u8]>::len), record.position);
        Ok(())
    }

    /// All rows of a table are gone; where it is held back that is remembered.
    pub(crate) fn all_gone(&mut self, name: &TableName) {
        self.held.iter_mut().filter(|held| held.name == *name).for_each(|held| held.remove(None));
    }

    fn letters_of(&mut self, name: &TableName) -> Arc<Schema> {
        if let Some((_, schema)) = self.letters.iter().find(|(known, _)| known == name) {
            return Arc::clone(schema);
        }
        let schema = document_schema(&topic(&self.prefix, name));
        self.letters.push((name.clone(), Arc::clone(&schema)));
        schema
    }

    /// Lets a table go on that is read anew after this: tells what was removed meanwhile, row by
    /// row, or by a truncate where too many were. No transaction is open.
    pub(crate) fn release(
        &mut self,
        table: &Table,
        place: &Place,
        tombstones: bool,
    ) -> Result<(), Fault> {
        let Some(held) = self.held.iter().find(|held| held.name == table.name) else {
            return Ok(());
        };
        let names: Vec<&str> = table.schema.key.iter().map(|k| &**k).collect();
        let is_key =
            |key: &RowKey| key.len() == names.len() && names.iter().all(|n| key.contains_key(*n));
        let removed = held.removed.clone().filter(|keys| keys.iter().all(is_key));
        let origin = Origin {
            time_us: now_us(),
            snapshot: "incremental",
            server_id: 0,
            gtid: None,
            file: &place.file,
            offset: place.offset,
            row: 0,
            thread: None,
            query: None,
            transaction: None,
        };
        let Position { major, minor } = self.place();
        let at = Position::new(major, minor + 1);
        let batch = self.batch(table)?;
        let before = batch.len();
        match removed {
            None => push_truncate(batch, at, &origin),
            Some(keys) => {
                let mut at = at;
                for key in keys {
                    at.minor = push_gone(table, batch, &key, at, &origin, tombstones);
                }
            }
        }
        let rows = batch.len() - before;
        if rows > 0 {
            self.appended(rows, 0, Position::new(major, minor + rows as u64));
        }
        self.quarantine(|all| all.retain(|held| held.name != table.name));
        Ok(())
    }
}
