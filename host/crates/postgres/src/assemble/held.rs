//! Tables that are held back: where their changes go instead of into their batches.

use std::sync::Arc;

use wasmgate_codec::document::{self, InboundRecord};
use wasmgate_codec::pgoutput::{Message, decode};
use wasmgate_model::{
    Batch, DeadLetterCause, Fault, FaultKind, Plan, Position, Reject, Schema, Verdict,
};
use wasmgate_replication::cause;

use super::{Assembler, now_us};
use crate::catalog::TableName;
use crate::quarantine::kept::{Kept, Records};
use crate::quarantine::record::{Description, Stamp};
use crate::quarantine::{Held, RowKey, delete_message};
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
        self.state.quarantine.iter().any(|held| held.is_due(&self.to.major))
    }

    /// Changes what is held back, and shows it.
    pub(crate) fn quarantine(&mut self, change: impl FnOnce(&mut Vec<Held>)) {
        change(&mut self.state().quarantine);
        self.show_held();
    }

    fn show_held(&self) {
        let shown = self.state.quarantine.iter().map(Held::shown).collect();
        self.context.status.quarantine(shown);
    }

    /// Puts kept changes on disk; before every delivery, whose checkpoint promises them.
    pub(crate) async fn seal(&mut self) -> Result<(), Fault> {
        if self.state.quarantine.iter().any(|held| held.kept.is_some()) {
            self.show_held();
        }
        self.keeper.seal().await
    }

    /// Holds a table back from `at` on.
    pub(crate) fn hold(
        &mut self,
        name: &TableName,
        at: Position,
        reason: String,
    ) -> Result<(), Fault> {
        if self.is_held(name) {
            return Ok(());
        }
        tracing::warn!(table = %name, reason, "the table is quarantined; all others go on");
        let kept = self.keeper.begin()?;
        self.quarantine(|all| all.push(Held { kept, ..Held::new(name, reason, at) }));
        Ok(())
    }

    /// Holds a table back whose rows cannot be decoded, one after the other: looks at the rows of
    /// a batch from `from` on. `at`: of the first change that is held back then. Answers whether it
    /// was held back.
    pub(crate) fn hold_undecodable(
        &mut self,
        name: &TableName,
        (batch, from): (&Batch, usize),
        at: Position,
    ) -> Result<bool, Fault> {
        let rows = batch.rejects.last().is_some_and(|reject| reject.row as usize >= from);
        if !rows && self.streaks.is_empty() {
            return Ok(false);
        }
        let mut streak = self.streaks.remove(name).unwrap_or_default();
        let reason = streak.count(batch, from, self.keeper.undecodable_rows());
        if streak.goes_on() && reason.is_none() {
            self.streaks.insert(name.clone(), streak);
        }
        match reason {
            Some(reason) => self.hold(name, at, reason).map(|()| true),
            None => Ok(false),
        }
    }

    /// The same for the last rows of the open batch of a table.
    pub(crate) fn hold_undecodable_since(
        &mut self,
        table: &Table,
        from: usize,
        at: Position,
    ) -> Result<(), Fault> {
        let Some(place) = self.places.get(&table.schema.id).copied() else { return Ok(()) };
        let open = std::mem::take(&mut self.open);
        let held = match open.get(place) {
            Some(batch) => self.hold_undecodable(&table.name, (batch, from), at),
            None => Ok(false),
        };
        self.open = open;
        held.map(|_| ())
    }

    /// Whether the last row of some table could not be decoded.
    pub(crate) fn has_streaks(&self) -> bool {
        !self.streaks.is_empty()
    }

    /// Rows in a row that cannot be decoded and hold their table back; 0: none do.
    pub(crate) fn undecodable_rows(&self) -> u32 {
        self.keeper.undecodable_rows()
    }

    /// Whether changes of tables are kept, or were.
    pub(crate) fn keeps(&self) -> bool {
        self.keeper.is_used()
    }

    /// Whether the changes of a table are kept.
    pub(crate) fn keeps_changes_of(&self, name: &TableName) -> bool {
        self.kept(name).is_some()
    }

    /// What is kept of a table.
    pub(crate) fn kept(&self, name: &TableName) -> Option<&Kept> {
        let held = self.state.quarantine.iter().find(|held| held.is(name));
        held.and_then(|held| held.kept.as_ref())
    }

    /// Reads what is kept of a table and not delivered.
    pub(crate) fn kept_records(&mut self, name: &TableName) -> Result<Option<Records>, Fault> {
        let held = self.state.quarantine.iter().find(|held| held.is(name));
        let Some(kept) = held.and_then(|held| held.kept.as_ref()) else { return Ok(None) };
        self.keeper.records(kept).map(Some)
    }

    /// Says that kept changes were delivered, up to where `records` stands.
    pub(crate) fn kept_delivered(&mut self, name: &TableName, changes: u64, records: &Records) {
        let held = self.state().quarantine.iter_mut().find(|held| held.is(name));
        if let Some(kept) = held.and_then(|held| held.kept.as_mut()) {
            (kept.delivered, kept.described) = records.place();
            kept.events = kept.events.saturating_sub(changes);
        }
    }

    /// Keeps a change. `removed` as with [`Assembler::hold_back`].
    pub(crate) fn keep(
        &mut self,
        name: &TableName,
        description: &Arc<Description>,
        change: (&Stamp, &[u8]),
        removed: Option<Option<RowKey>>,
    ) -> Result<(), Fault> {
        self.news = true;
        let bytes = |held: &Held| held.kept.as_ref().map_or(0, |kept| kept.bytes);
        let all: u64 = self.state.quarantine.iter().map(bytes).sum();
        let held = self.state.quarantine.iter_mut().find(|held| held.is(name));
        let Some(held) = held else { return Ok(()) };
        let Some(kept) = held.kept.as_mut() else { return Ok(()) };
        // What it takes to come to the place where the table goes on is not refused any more.
        let bound = (all - kept.bytes, held.resume_at.is_none());
        self.keeper.append(kept, bound, description, change)?;
        if let Some(key) = removed {
            held.remove(key);
        }
        Ok(())
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
            self.hold(&table.name, at, reason)?;
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
        let cause = self.cause_of(&table.name);
        if let Some(key) = removed {
            let held = self.state().quarantine.iter_mut().find(|held| held.is(&table.name));
            held.into_iter().for_each(|held| held.remove(key.clone()));
        }
        let schema = self.letters_of(table);
        let place = match self.places.get(&schema.id) {
            Some(place) => *place,
            None => {
                let batch = self.letters(&schema);
                self.open.push(batch);
                self.places.insert(schema.id, self.open.len() - 1);
                self.open.len() - 1
            }
        };
        append_letter(self.opened(place)?, record, cause);
        Ok(())
    }

    /// Why a change of a table that is held back becomes a dead letter.
    pub(crate) fn cause_of(&self, name: &TableName) -> DeadLetterCause {
        let held = self.state.quarantine.iter().find(|held| held.is(name));
        held.map_or_else(|| cause(String::new()), Held::cause)
    }

    /// A batch for the dead letters of a table that is held back.
    pub(crate) fn batch_of_letters(&mut self, table: &Table) -> Batch {
        let schema = self.letters_of(table);
        self.letters(&schema)
    }

    /// The chain never sees these records: it is not asked what it wants of them.
    fn letters(&self, schema: &Arc<Schema>) -> Batch {
        let plan = Plan { chain: self.context.planner.version(), ..Plan::default() };
        Batch::documents(Arc::clone(schema), Arc::new(plan))
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
    /// row, or by a truncate where too many were; kept changes that were delivered told it
    /// themselves. Only where [`Assembler::is_free`].
    pub(crate) fn release(&mut self, table: &Table, tombstones: bool) -> Result<(), Fault> {
        let held = self.state.quarantine.iter().find(|held| held.is(&table.name));
        let Some(Held { removed, kept, discard, .. }) = held.cloned() else { return Ok(()) };
        let told = kept.is_some() && !discard;
        let removed = if told { Some(Vec::new()) } else { removed };
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
        if let Some(kept) = kept {
            self.keeper.release(&kept, self.to);
        }
        Ok(())
    }
}

/// Appends a dead letter.
pub(crate) fn append_letter(batch: &mut Batch, record: &InboundRecord<'_>, cause: DeadLetterCause) {
    document::append(batch, record);
    let row = batch.len().saturating_sub(1) as u32;
    batch.rejects.push(Reject { row, verdict: Verdict::DeadLetter(Box::new(cause)) });
}
