//! A call that fails is split until the culprit row is found; the rest goes on.

use wasmgate_connector::{Stage, StageInput, StageOutput, StageReject, StageVerdict};
use wasmgate_model::{Blame, Column, Fault, FaultKind};

use crate::binding::BoundStage;

/// Failing rows of one batch after which the module, not the rows, is at fault.
const CULPRITS_MAX: u32 = 64;

/// Calls the stage; on a fault of the guest, with fewer and fewer rows.
pub(crate) fn call(
    stage: &mut dyn Stage,
    bound: &BoundStage,
    input: &StageInput<'_>,
) -> Result<StageOutput, Fault> {
    match stage.process(input) {
        Ok(output) => Ok(output),
        Err(fault) if fault.blame() == Blame::Guest => {
            let mut search = Search { stage, bound, culprits: 0 };
            search.failed(input, fault)
        }
        Err(fault) => Err(fault),
    }
}

struct Search<'a> {
    stage: &'a mut dyn Stage,
    bound: &'a BoundStage,
    culprits: u32,
}

impl Search<'_> {
    fn failed(&mut self, input: &StageInput<'_>, fault: Fault) -> Result<StageOutput, Fault> {
        if input.rows > 1 {
            let middle = input.rows / 2;
            let mut output = self.part(input, 0, middle)?;
            let second = self.part(input, middle, input.rows)?;
            join(&mut output, second, middle);
            return Ok(output);
        }
        self.culprits += 1;
        if self.culprits > CULPRITS_MAX {
            let what = format!(
                "the module failed on more than {CULPRITS_MAX} records of one batch; replace or \
                 remove it, then resume the pipeline"
            );
            return Err(Fault::new(FaultKind::ModuleRefused, what).because(fault));
        }
        let code = fault.kind.label().to_owned();
        let verdict = StageVerdict::DeadLetter { code, message: fault.chain() };
        let empty = |kind| {
            let mut column = Column::new(kind);
            column.push_null();
            column
        };
        Ok(StageOutput {
            columns: self.bound.projection.writes.iter().map(|w| empty(w.kind)).collect(),
            rejects: vec![StageReject { row: 0, verdict }],
            ..StageOutput::default()
        })
    }

    fn part(&mut self, input: &StageInput<'_>, from: u32, to: u32) -> Result<StageOutput, Fault> {
        let rows: Vec<u32> = (from..to).collect();
        let columns: Vec<Column> = input
            .columns
            .iter()
            .map(|c| {
                let mut part = Column {
                    values: c.values.clone(),
                    ..Column::new(wasmgate_model::Kind::Boolean)
                };
                c.gather_into(&rows, &mut part);
                part
            })
            .collect();
        let part = StageInput {
            schema: input.schema,
            rows: to - from,
            ops: input.ops.get(from as usize..to as usize).unwrap_or(&[]),
            columns: &columns.iter().collect::<Vec<_>>(),
        };
        match self.stage.process(&part) {
            Ok(output) => Ok(output),
            Err(fault) if fault.blame() == Blame::Guest => self.failed(&part, fault),
            Err(fault) => Err(fault),
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
