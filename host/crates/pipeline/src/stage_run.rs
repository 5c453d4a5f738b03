//! Runs one stage on the rows in play: gathers what it reads, finds the culprit when a call
//! fails, and applies the answer to the batch.

mod split;

use std::mem;
use std::sync::Arc;

use wasmgate_connector::{Emission, Stage, StageInput, StageOutput, StageVerdict};
use wasmgate_model::{Batch, Column, DeadLetterCause, Fault, Op, Reject, Removal, Values, Verdict};
use wasmgate_telemetry::StageMetrics;

use self::split::{Answer, Caller};
use crate::binding::{BoundRead, BoundStage, Input};
use crate::convert::convert;
use crate::guard::{Admit, Guard};
use crate::watch::Watch;

/// Buffers of a stage in a lane, reused from call to call.
#[derive(Default)]
pub(crate) struct Scratch {
    columns: Vec<Column>,
    ops: Vec<Op>,
}

/// A stage about to run: who it is, its instance, how it is bound, and who watches it.
pub(crate) struct StageRun<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) stage: &'a mut dyn Stage,
    pub(crate) bound: &'a BoundStage,
    pub(crate) guard: &'a Guard,
    pub(crate) metrics: &'a StageMetrics,
    pub(crate) watch: &'a mut Watch,
}

/// What a stage did beside its edits.
#[derive(Default)]
pub(crate) struct Ran {
    pub(crate) emitted: Vec<Emission>,
    /// Payload rows of the call, if there are emissions.
    pub(crate) rows: Vec<u32>,
    /// Rows went through the module.
    pub(crate) touched: bool,
}

impl StageRun<'_> {
    /// Runs the stage on `batch.sel`. `slots` are the written columns so far, aligned with it.
    /// The answer is applied but for its emissions, which are returned.
    pub(crate) fn run(
        &mut self,
        batch: &mut Batch,
        slots: &mut [Option<Column>],
        scratch: &mut Scratch,
    ) -> Result<Ran, Fault> {
        let rows = batch.sel.len();
        if rows == 0 {
            return Ok(Ran::default());
        }
        let probe = match self.guard.admit() {
            Admit::Call => false,
            Admit::Probe => true,
            Admit::Pause => return Err(self.guard.fault()),
            Admit::Bypass => {
                self.metrics.bypassed.inc_by(rows as u64);
                return Ok(Ran::default());
            }
            Admit::DeadLetter => {
                let shut = self.caller().shut(rows as u32);
                self.reject(&shut, batch, slots);
                return Ok(Ran::default());
            }
        };
        self.refuse_missing(batch, slots);
        if batch.sel.is_empty() {
            return Ok(Ran::default());
        }
        let Answer::Output(mut output) = self.call(batch, slots, scratch, probe)? else {
            self.metrics.bypassed.inc_by(batch.sel.len() as u64);
            return Ok(Ran::default());
        };
        let emitted = mem::take(&mut output.extra);
        let rows = if emitted.is_empty() { Vec::new() } else { batch.sel.clone() };
        self.store(&mut output, slots);
        for (row, fields) in mem::take(&mut output.removals) {
            if let Some(&row) = batch.sel.get(row as usize) {
                batch.edits.removals.push(Removal { row, fields });
            }
        }
        self.reject(&output, batch, slots);
        Ok(Ran { emitted, rows, touched: true })
    }

    fn caller(&mut self) -> Caller<'_> {
        Caller {
            stage: &mut *self.stage,
            bound: self.bound,
            guard: self.guard,
            metrics: self.metrics,
            watch: &mut *self.watch,
        }
    }

    /// Calls the stage with what it reads of the rows in play.
    fn call(
        &mut self,
        batch: &Batch,
        slots: &[Option<Column>],
        scratch: &mut Scratch,
        probe: bool,
    ) -> Result<Answer, Fault> {
        let owned = self.gather(batch, slots, scratch);
        let full = batch.sel.len() == batch.len();
        let columns: Vec<&Column> = self
            .bound
            .reads
            .iter()
            .zip(&owned)
            .filter_map(|(read, own)| match (&read.input, full) {
                (Input::Plan(i), true) => batch.read(*i),
                _ => Some(own),
            })
            .collect();
        scratch.ops.clear();
        if self.bound.projection.ops {
            let ops = batch.sel.iter().filter_map(|&row| batch.ops.get(row as usize));
            scratch.ops.extend(ops);
        }
        let input = StageInput {
            schema: self.bound.view.id,
            rows: batch.sel.len() as u32,
            ops: &scratch.ops,
            columns: &columns,
        };
        self.metrics.given(u64::from(input.rows), columns.iter().map(|c| bytes(c)).sum());
        let caller = self.caller();
        let answer = if probe { caller.probe(&input) } else { caller.call(&input) }?;
        scratch.columns = owned;
        Ok(answer)
    }

    /// One owned column per read; where the payload's column can be lent as it is, an empty one.
    fn gather(
        &self,
        batch: &Batch,
        slots: &[Option<Column>],
        scratch: &mut Scratch,
    ) -> Vec<Column> {
        let full = batch.sel.len() == batch.len();
        let mut owned = mem::take(&mut scratch.columns);
        owned.truncate(self.bound.reads.len());
        while let Some(read) = self.bound.reads.get(owned.len()) {
            owned.push(Column::new(read.kind));
        }
        for (read, out) in self.bound.reads.iter().zip(&mut owned) {
            match &read.input {
                Input::Plan(_) if full => {}
                Input::Plan(i) => match batch.read(*i) {
                    Some(column) => column.gather_into(&batch.sel, out),
                    None => *out = Column::all_absent(read.kind, batch.sel.len()),
                },
                Input::Slot { slot, from, below } => {
                    *out = overlay(batch, slots.get(*slot), *from, *below, read);
                }
                Input::Absent => *out = Column::all_absent(read.kind, batch.sel.len()),
            }
        }
        owned
    }

    /// Dead-letters rows that lack a field which the stage cannot do without.
    fn refuse_missing(&self, batch: &mut Batch, slots: &mut [Option<Column>]) {
        for read in self.bound.reads.iter().filter(|r| r.required) {
            let Input::Plan(i) = read.input else { continue };
            let Some(column) = batch.read(i) else {
                continue;
            };
            if column.absent.is_empty() {
                continue;
            }
            let mut keep = Vec::with_capacity(batch.sel.len());
            let mut missing = Vec::new();
            for (at, &row) in batch.sel.iter().enumerate() {
                let tombstone = batch.ops.get(row as usize) == Some(&Op::Tombstone);
                if column.is_absent(row as usize) && !tombstone {
                    missing.push(row);
                } else {
                    keep.push(at as u32);
                }
            }
            if missing.is_empty() {
                continue;
            }
            let message = format!("field {:?} is not there; the module needs it", read.name);
            for row in missing {
                let verdict = self.dead_letter("missing-field", message.clone());
                batch.rejects.push(Reject { row, verdict });
            }
            keep_rows(batch, slots, &keep);
        }
    }

    fn dead_letter(&self, code: &str, message: String) -> Verdict {
        Verdict::DeadLetter(Box::new(DeadLetterCause {
            stage: Arc::clone(self.name),
            code: code.into(),
            message,
            module: Some(Arc::clone(&self.guard.module)),
        }))
    }

    fn store(&self, output: &mut StageOutput, slots: &mut [Option<Column>]) {
        for (column, &slot) in mem::take(&mut output.columns).into_iter().zip(&self.bound.writes) {
            let Some(place) = slots.get_mut(slot) else {
                continue;
            };
            *place = Some(match place.take() {
                Some(below) if !column.absent.is_empty() => merge(&column, &below),
                _ => column,
            });
        }
    }

    fn reject(&self, output: &StageOutput, batch: &mut Batch, slots: &mut [Option<Column>]) {
        if output.rejects.is_empty() {
            return;
        }
        let mut keep = Vec::with_capacity(batch.sel.len());
        let mut rejects = output.rejects.iter().peekable();
        for (at, &row) in batch.sel.iter().enumerate() {
            if rejects.peek().is_none_or(|r| r.row != at as u32) {
                keep.push(at as u32);
                continue;
            }
            let verdict = match rejects.next().map(|r| &r.verdict) {
                Some(StageVerdict::DeadLetter { code, message }) => {
                    self.dead_letter(code, message.clone())
                }
                _ => Verdict::Drop { stage: Arc::clone(self.name) },
            };
            batch.rejects.push(Reject { row, verdict });
        }
        keep_rows(batch, slots, &keep);
    }
}

/// Bytes of a column's values.
fn bytes(column: &Column) -> u64 {
    let bytes = match &column.values {
        Values::Booleans(v) => v.len(),
        Values::Ints(v) => v.len() * 8,
        Values::Floats(v) => v.len() * 8,
        Values::Texts(b) | Values::Blobs(b) => b.data.len(),
    };
    bytes as u64
}

/// Keeps the places `keep` of `sel`, and what is aligned with it.
pub(crate) fn keep_rows(batch: &mut Batch, slots: &mut [Option<Column>], keep: &[u32]) {
    for column in slots.iter_mut().flatten() {
        column.compact(keep);
    }
    let sel = &mut batch.sel;
    *sel = keep.iter().filter_map(|&at| sel.get(at as usize).copied()).collect();
}

/// `above`, and where it is absent `below`: two columns of the same length and storage.
fn merge(above: &Column, below: &Column) -> Column {
    let mut merged = Column { values: below.values.clone(), nulls: Vec::new(), absent: Vec::new() };
    merged.clear();
    for i in 0..above.len() {
        merged.push_from(if above.is_absent(i) { below } else { above }, i);
    }
    merged
}

fn overlay(
    batch: &Batch,
    slot: Option<&Option<Column>>,
    from: wasmgate_model::Kind,
    below: Option<usize>,
    read: &BoundRead,
) -> Column {
    let under = || {
        let mut column = Column::new(read.kind);
        match below.and_then(|i| batch.read(i)) {
            Some(source) => source.gather_into(&batch.sel, &mut column),
            None => column = Column::all_absent(read.kind, batch.sel.len()),
        }
        column
    };
    let Some(written) = slot.and_then(Option::as_ref) else {
        return under();
    };
    let written = convert(written, from, read.kind);
    if written.absent.is_empty() { written } else { merge(&written, &under()) }
}
