//! A call that fails is split until the culprit row is found; the rest goes on. What that may cost
//! is bounded by the stage's breaker.

use wasmgate_connector::{Stage, StageInput, StageOutput, StageReject, StageVerdict};
use wasmgate_model::{Blame, Column, Fault};
use wasmgate_telemetry::StageMetrics;

use crate::binding::BoundStage;
use crate::guard::Guard;
use crate::spec::Then;
use crate::watch::Watch;

/// Code of rows that are dead-lettered without a call.
const SHUT: &str = "breaker-open";

/// What came of a batch.
pub(crate) enum Answer {
    Output(StageOutput),
    /// The rows pass as they are.
    Bypass,
}

/// A stage, and who watches it.
pub(crate) struct Caller<'a> {
    pub(crate) stage: &'a mut dyn Stage,
    pub(crate) bound: &'a BoundStage,
    pub(crate) guard: &'a Guard,
    pub(crate) metrics: &'a StageMetrics,
    pub(crate) watch: &'a mut Watch,
}

impl Caller<'_> {
    /// Calls the stage; on a fault of the guest, with fewer and fewer rows.
    ///
    /// # Errors
    /// A fault that is not the guest's; or the breaker opened, and the pipeline is to pause.
    pub(crate) fn call(self, input: &StageInput<'_>) -> Result<Answer, Fault> {
        let mut search = Search { caller: self, culprits: 0, shut: false };
        match search.attempt(input) {
            Ok(output) => Ok(Answer::Output(output)),
            Err(fault) if fault.blame() == Blame::Guest => {
                let found = search.failed(input, fault);
                let bypass = search.shut && search.caller.guard.spec.then == Then::Bypass;
                if bypass { Ok(Answer::Bypass) } else { found.map(Answer::Output) }
            }
            Err(fault) => Err(fault),
        }
    }

    /// Calls the stage once. If that goes well its breaker closes, else nothing was learnt but
    /// that it fails still.
    ///
    /// # Errors
    /// A fault that is not the guest's.
    pub(crate) fn probe(self, input: &StageInput<'_>) -> Result<Answer, Fault> {
        let guard = self.guard;
        let mut search = Search { caller: self, culprits: 0, shut: true };
        match search.attempt(input) {
            Ok(output) => {
                guard.close();
                Ok(Answer::Output(output))
            }
            Err(fault) if fault.blame() == Blame::Guest => {
                guard.probe_failed(&fault);
                let bypass = guard.spec.then == Then::Bypass;
                let shut = || Answer::Output(search.refuse(input.rows));
                Ok(if bypass { Answer::Bypass } else { shut() })
            }
            Err(fault) => Err(fault),
        }
    }

    /// An answer that dead-letters every row.
    pub(crate) fn shut(self, rows: u32) -> StageOutput {
        Search { caller: self, culprits: 0, shut: true }.refuse(rows)
    }
}

struct Search<'a> {
    caller: Caller<'a>,
    culprits: u32,
    /// The breaker opened: no further call.
    shut: bool,
}

impl Search<'_> {
    fn attempt(&mut self, input: &StageInput<'_>) -> Result<StageOutput, Fault> {
        self.caller.watch.go_on()?;
        let mut answer = self.caller.stage.process(input);
        if let Ok(output) = &answer
            && let Err(fault) = self.caller.watch.count(output)
        {
            answer = Err(fault);
        }
        if let Err(fault) = &answer {
            self.caller.metrics.failed(fault.kind.label());
        }
        answer
    }

    fn failed(&mut self, input: &StageInput<'_>, fault: Fault) -> Result<StageOutput, Fault> {
        if input.rows > 1 {
            let middle = input.rows / 2;
            let mut output = self.part(input, 0, middle)?;
            let second = self.part(input, middle, input.rows)?;
            join(&mut output, second, middle);
            return Ok(output);
        }
        self.culprits += 1;
        let guard = self.caller.guard;
        self.shut = guard.failed(&fault, self.culprits);
        if self.shut && guard.spec.then != Then::DeadLetter {
            return Err(guard.fault());
        }
        Ok(self.rejected(1, fault.kind.label(), &fault.chain()))
    }

    fn part(&mut self, input: &StageInput<'_>, from: u32, to: u32) -> Result<StageOutput, Fault> {
        if self.shut {
            return Ok(self.refuse(to - from));
        }
        let rows: Vec<u32> = (from..to).collect();
        let columns = input.columns.iter().zip(&self.caller.bound.reads).map(|(column, read)| {
            let mut part = Column::new(read.kind);
            column.gather_into(&rows, &mut part);
            part
        });
        let columns: Vec<Column> = columns.collect();
        let part = StageInput {
            schema: input.schema,
            rows: to - from,
            ops: input.ops.get(from as usize..to as usize).unwrap_or(&[]),
            columns: &columns.iter().collect::<Vec<_>>(),
        };
        match self.attempt(&part) {
            Ok(output) => Ok(output),
            Err(fault) if fault.blame() == Blame::Guest => self.failed(&part, fault),
            Err(fault) => Err(fault),
        }
    }

    fn refuse(&self, rows: u32) -> StageOutput {
        self.rejected(rows, SHUT, &self.caller.guard.fault().chain())
    }

    /// An answer that rejects so many rows.
    fn rejected(&self, rows: u32, code: &str, message: &str) -> StageOutput {
        let nothing = |kind| {
            let mut column = Column::new(kind);
            (0..rows).for_each(|_| column.push_null());
            column
        };
        let reject = |row| {
            let (code, message) = (code.to_owned(), message.to_owned());
            StageReject { row, verdict: StageVerdict::DeadLetter { code, message } }
        };
        let writes = &self.caller.bound.projection.writes;
        StageOutput {
            columns: writes.iter().map(|w| nothing(w.kind)).collect(),
            rejects: (0..rows).map(reject).collect(),
            ..StageOutput::default()
        }
    }
}

/// Appends the answer for rows that start at `offset`.
fn join(output: &mut StageOutput, mut more: StageOutput, offset: u32) {
    for (column, more) in output.columns.iter_mut().zip(&more.columns) {
        column.append(more);
    }
    more.rejects.iter_mut().for_each(|r| r.row += offset);
    more.removals.iter_mut().for_each(|(row, _)| *row += offset);
    for emission in &mut more.extra {
        emission.parents.iter_mut().for_each(|p| *p += offset);
    }
    output.rejects.append(&mut more.rejects);
    output.removals.append(&mut more.removals);
    output.extra.append(&mut more.extra);
}
