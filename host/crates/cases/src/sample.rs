//! Input for measuring a module: the records of a case, repeated to any number, decoded.

use wasmgate_case_file::{CaseFile, Input};
use wasmgate_connector::{Stage, StageInput, StageOutput};
use wasmgate_model::{Column, Fault, FaultKind, Op};

use crate::batch::fill;
use crate::bound::Bound;
use crate::run::gather;

/// The columns of one call.
#[derive(Debug)]
pub struct Sample {
    schema: u64,
    rows: u32,
    ops: Vec<Op>,
    columns: Vec<Column>,
}

impl Sample {
    /// `rows` records, taken from the case's in turn. Records that do not reach the module (they
    /// lack what it needs, or do not convert) are left out.
    ///
    /// # Errors
    /// `Config`: the case has no record that reaches the module, or the module does not look at
    /// its records.
    pub fn new(case: &CaseFile, bound: &Bound, rows: u32) -> Result<Self, Fault> {
        let Some(projection) = &bound.projection else {
            let what = "the module lets records of this schema pass untouched: nothing to measure";
            return Err(Fault::new(FaultKind::Config, what));
        };
        let own = case.rows.iter().map(|row| &row.input).filter(|i| i.topic == case.schema.name);
        let fit: Vec<&Input> =
            own.filter(|i| !fill(&case.schema, bound, &[i]).sel.is_empty()).collect();
        if fit.is_empty() {
            let what = "no record of the case reaches the module: give one that has its fields";
            return Err(Fault::new(FaultKind::Config, what));
        }
        let inputs: Vec<&Input> = fit.into_iter().cycle().take(rows as usize).collect();
        let batch = fill(&case.schema, bound, &inputs);
        let ops = if projection.ops { batch.ops.clone() } else { Vec::new() };
        Ok(Self { schema: bound.schema.id, rows, ops, columns: gather(&batch) })
    }

    /// No records: what a call costs by itself.
    #[must_use]
    pub fn empty(bound: &Bound) -> Self {
        let reads = bound.projection.iter().flat_map(|projection| &projection.reads);
        let columns = reads.map(|read| Column::new(read.kind)).collect();
        Self { schema: bound.schema.id, rows: 0, ops: Vec::new(), columns }
    }

    /// Calls the stage with it.
    ///
    /// # Errors
    /// The call failed.
    pub fn call(&self, stage: &mut dyn Stage) -> Result<StageOutput, Fault> {
        // References are made anew: a call of the pipeline does the same.
        let columns: Vec<&Column> = self.columns.iter().collect();
        let (schema, rows, ops) = (self.schema, self.rows, &self.ops[..]);
        stage.process(&StageInput { schema, rows, ops, columns: &columns })
    }
}
