//! Tables that are held back: where their changes go instead of into their batches.

use std::sync::Arc;

use wasmgate_codec::document::{self, InboundRecord};
use wasmgate_codec::pgoutput::{Message, decode};
use wasmgate_model::{
    Batch, DeadLetterCause, Fault, FaultKind, Plan, Position, Reject, Schema, Verdict,
};

use super::{Assembler, now_us};
use crate::catalog::TableName;
use crate::quarantine::{CODE, Held, RowKey, STAGE, delete_message};
use crate::rows::{Origin, push_delete, push_truncate};
use crate::table::{Table, document_schema};

impl Assembler {
    /// Whether a table is held back.
    pub(crate) fn is_held(&self, name: &TableName) -> bool {
        self.state.quarantine.iter().any(|held| held.is(name))
    }

    /// Tables that are held back.
    pub(crate) fn held(&self) -> &[Held] {
        &self.state.quarantine
    }

    /// Whether a table is to go on here.
    pub(crate) fn resumes(&self) -> bool {
        let due = |held: &Held| held.resume_at.is_some_and(|at| at <= self.to.major);
        self.state.quarantine.iter().any(due)
    }

    /// Changes what is held back, and shows it.
    pub(crate) fn quarantine(&mut self, change: impl FnOnce(&mut Vec<Held>)) {
        change(&mut self.state().quarantine);
        let shown = self.state.quarantine.iter().map(Held::shown).collect();
        self.context.status.quarantine(shown);
    }

    /// Holds a table back from `at` on.
    pub(crate) fn hold(&mut self, name: &TableName, at: Position, reason: String) {
        if self.is_held(name) {
            return;
        }
        tracing::warn!(table = %name, reason, "the table is quarantined; all others go on");
        self.quarantine(|all| all.push(Held::new(name, reason, at)));
    }

    /// Asks whether the chain fits a table that no batch was opened for yet; holds it back where
    /// it does not.
    pub(super) fn refuses(&mut self, table: &Table, at: Position) -> Result<bool, Fault> {
        let planner = &self.context.planner;
        if self.chain == planner.version() && self.plans.contains_key(&table.schema.id) {
            return Ok(false);
        }
        self.hold_misfit(table, at)
    }

    /// Holds a table back that the chain does not fit.
    pub(crate) fn hold_misfit(&mut self, table: &Table, at: Position) -> Result<bool, Fault> {
        let refusal = self.context.planner.refusal(&table.schema)?;
        let refused = refusal.is_some();
        if let Some(reason) = refusal {
            self.hold(&table.name, at, reason);
        }
        Ok(refused)
    }

    /// Adds the dead letter of a change that is held back. `removed`: what it took away, `None`
    /// inside where that cannot be told.
    pub(crate) fn hold_back(
        &mut self,
        table: &Table,
        record: &InboundRecord<'_>,
        removed: Option<Option<RowKey>>,
    ) -> Result<(), Fault> {
        let name = &table.name;
        let held = self.state.quarantine.iter().find(|held| held.is(name));
        let message = held.map(|h| format!("table {name} is quarantined: {}", h.reason));
        let cause = DeadLetterCause {
            stage: STAGE.into(),
            code: CODE.into(),
            message: message.unwrap_or_default(),
            module: None,
        };
        if let Some(key) = removed {
            let held = self.state().quarantine.iter_mut().find(|held| held.is(name));
            held.into_iter().for_each(|held| held.remove(key.clone()));
        }
        let schema = self.letters_of(table);
        let place = match self.places.get(&schema.id) {
            Some(place) => *place,
            None => {
                // The chain never sees these records: it is not asked what it wants of them.
                let plan = Plan { chain: self.context.planner.version(), ..Plan::default() };
                self.open.push(Batch::documents(Arc::clone(&schema), Arc::new(plan)));
                self.places.insert(schema.id, self.open.len() - 1);
                self.open.len() - 1
            }
        };
        let batch = self.opened(place)?;
        document::append(batch, record);
        let row = batch.len().saturating_sub(1) as u32;
        batch.rejects.push(Reject { row, verdict: Verdict::DeadLetter(Box::new(cause)) });
        Ok(())
    }

    fn letters_of(&mut self, table: &Table) -> Arc<Schema> {
        if let Some((_, schema)) = self.letters.iter().find(|(name, _)| *name == table.name) {
            return Arc::clone(schema);
        }
        let schema = document_schema(&table.schema.topic);
        self.letters.push((table.name.clone(), Arc::clone(&schema)));
        schema
    }

    /// Lets a table go on that is read anew after this: tells what was removed meanwhile, row by
    /// row, or by a truncate where too many were. Only where [`Assembler::is_free`].
    pub(crate) fn release(&mut self, table: &Table, tombstones: bool) -> Result<(), Fault> {
        let held = self.state.quarantine.iter().find(|held| held.is(&table.name));
        let Some(Held { removed, .. }) = held.cloned() else { return Ok(()) };
        let messages: Option<Vec<Vec<u8>>> =
            removed.and_then(|keys| keys.iter().map(|key| delete_message(table, key)).collect());
        let mut batch = self.empty_batch(&table.schema)?;
        let (at, lsn) = (Position::default(), self.to.major);
        let (time_us, sequence) = (now_us(), format!("[null,\"{lsn}\"]"));
        let origin = Origin {
            time_us,
            snapshot: "incremental",
            sequence: sequence.as_bytes(),
            transaction: 0,
            lsn,
            block: None,
            replicated: None,
        };
        match &messages {
            None => push_truncate(table, &mut batch, at, &origin),
            Some(messages) => {
                for message in messages {
                    let Ok(Message::Delete { kind, old, .. }) = decode(message) else {
                        let what = "a delete that was put together cannot be read";
                        return Err(Fault::new(FaultKind::Internal, what));
                    };
                    push_delete(table, &mut batch, at, &origin, (kind, old), tombstones);
                }
            }
        }
        if !batch.is_empty() {
            self.add(batch, messages.iter().flatten().map(Vec::len).sum());
        }
        self.quarantine(|all| all.retain(|held| !held.is(&table.name)));
        Ok(())
    }
}
