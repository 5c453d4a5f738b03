//! Case files on a module: open, bind, the records of each topic as one batch, compare.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmgate_case_file::{
    CaseFile, Failure, Found, Input, Report, RowCase, case_files, differences, read_case,
    refusal_difference,
};
use wasmgate_connector::{Module, Stage, StageInput};
use wasmgate_model::{Blame, Column, Fault, FaultKind};

use crate::apply;
use crate::batch::fill;
use crate::bound::Bound;

/// Time that all cases of one module may take together.
pub const CASES_TIME_MAX: Duration = Duration::from_secs(30);

/// Runs every case file of a folder.
///
/// # Errors
/// `ModuleRefused`: a file cannot be read or is no case file. `ModuleDeadline`: the cases take
/// longer than [`CASES_TIME_MAX`]. Faults of the host. What a module does wrong is in the report.
pub fn run(module: &dyn Module, dir: &Path) -> Result<Report, Fault> {
    run_files(module, &case_files(dir).map_err(cannot_run)?)
}

/// Runs case files, of which one at a time is in memory.
///
/// # Errors
/// As for [`run`].
pub fn run_files(module: &dyn Module, files: &[PathBuf]) -> Result<Report, Fault> {
    let mut report = Report { cases: files.len(), ..Report::default() };
    let until = Instant::now() + CASES_TIME_MAX;
    for file in files {
        let case = read_case(file).map_err(cannot_run)?;
        report.rows += case.rows.len();
        report.failures.extend(run_case(module, &case, until)?);
    }
    Ok(report)
}

fn cannot_run(problem: String) -> Fault {
    Fault::new(FaultKind::ModuleRefused, "its cases cannot be run").because(problem)
}

/// Runs case files that were read already.
///
/// # Errors
/// As for [`run`].
pub fn run_cases(module: &dyn Module, cases: &[CaseFile]) -> Result<Report, Fault> {
    let mut report = Report { cases: cases.len(), ..Report::default() };
    let until = Instant::now() + CASES_TIME_MAX;
    for case in cases {
        report.rows += case.rows.len();
        report.failures.extend(run_case(module, case, until)?);
    }
    Ok(report)
}

/// What is not as one case file says.
pub(crate) fn run_case(
    module: &dyn Module,
    case: &CaseFile,
    until: Instant,
) -> Result<Vec<Failure>, Fault> {
    let mut failures = Vec::new();
    let failure = |line, differences| Failure {
        case: case.name.clone(),
        about: case.about.clone(),
        line,
        differences,
    };
    if let Some(part) = &case.refuses {
        let refusal = refusal(module, case)?;
        let different = refusal_difference(part, refusal.as_deref());
        failures.extend(different.map(|line| failure(None, vec![line])));
        return Ok(failures);
    }
    match records(module, case, until) {
        Ok(ran) => {
            for (row, found) in case.rows.iter().zip(&ran.found) {
                let lines = differences(case, row, found);
                if !lines.is_empty() {
                    failures.push(failure(Some(row.line), lines));
                }
            }
            if let Some(topic) = ran.emitted {
                let line =
                    format!("additional records: expected none, found some of topic {topic}");
                failures.push(failure(None, vec![line]));
            }
        }
        Err(fault) if fault.kind == FaultKind::ModuleDeadline => return Err(fault),
        Err(fault) if fault.blame() == Blame::Guest => {
            let line = format!("expected to run, found a refusal: {}", fault.chain());
            failures.push(failure(None, vec![line]));
        }
        Err(fault) => return Err(fault),
    }
    Ok(failures)
}

/// Why the module refuses the configuration or the schema.
fn refusal(module: &dyn Module, case: &CaseFile) -> Result<Option<String>, Fault> {
    let opened = module.open(&case.config.to_string()).and_then(|mut stage| {
        let bound = Bound::new(&mut *stage, case, &case.schema.name, 0);
        stage.close();
        bound
    });
    match opened {
        Ok(_) => Ok(None),
        Err(fault) if fault.blame() == Blame::Guest => Ok(Some(fault.chain())),
        Err(fault) => Err(fault),
    }
}

/// What a case gave.
#[derive(Default)]
struct Ran {
    found: Vec<Found>,
    /// Topic of additional records, which no case can expect.
    emitted: Option<String>,
}

fn records(module: &dyn Module, case: &CaseFile, until: Instant) -> Result<Ran, Fault> {
    let stage = &mut *module.open(&case.config.to_string())?;
    let mut ran = Ran::default();
    let mut bound: HashMap<&str, Bound> = HashMap::new();
    let place = |row: &RowCase| (row.input.topic.clone(), row.input.partition);
    for rows in case.rows.chunk_by(|a, b| place(a) == place(b)) {
        let Some(first) = rows.first() else { continue };
        let topic = first.input.topic.as_str();
        if !bound.contains_key(topic) {
            let id = bound.len() as u64;
            bound.insert(topic, Bound::new(stage, case, topic, id)?);
        }
        let Some(bound) = bound.get(topic) else { continue };
        let inputs: Vec<&Input> = rows.iter().map(|row| &row.input).collect();
        let mut call = Call { stage, case, bound, until, emitted: &mut ran.emitted };
        ran.found.extend(call.run(&inputs)?);
    }
    stage.close();
    Ok(ran)
}

/// One schema's records on their way.
struct Call<'a> {
    stage: &'a mut dyn Stage,
    case: &'a CaseFile,
    bound: &'a Bound,
    until: Instant,
    emitted: &'a mut Option<String>,
}

impl Call<'_> {
    /// One call; when it fails, one call per record, as the pipeline finds the culprit.
    fn run(&mut self, inputs: &[&Input]) -> Result<Vec<Found>, Fault> {
        if Instant::now() > self.until {
            let what = format!("its cases take longer than {} s", CASES_TIME_MAX.as_secs());
            return Err(Fault::new(FaultKind::ModuleDeadline, what));
        }
        match self.process(inputs) {
            Ok(found) => Ok(found),
            Err(fault) if fault.blame() != Blame::Guest => Err(fault),
            Err(fault) if inputs.len() == 1 => {
                let (code, message) = (fault.kind.label().to_owned(), fault.chain());
                Ok(vec![Found::DeadLettered { code, message }])
            }
            Err(_) => {
                let mut found = Vec::with_capacity(inputs.len());
                for input in inputs {
                    found.extend(self.run(&[*input])?);
                }
                Ok(found)
            }
        }
    }

    fn process(&mut self, inputs: &[&Input]) -> Result<Vec<Found>, Fault> {
        let schema = &self.case.schema;
        let mut batch = fill(schema, self.bound, inputs);
        if let Some(projection) = &self.bound.projection
            && !batch.sel.is_empty()
        {
            let columns = gather(&batch);
            let columns: Vec<&Column> = columns.iter().collect();
            let ops = batch.sel.iter().filter_map(|&row| batch.ops.get(row as usize).copied());
            let ops = if projection.ops { ops.collect() } else { Vec::new() };
            let rows = batch.sel.len() as u32;
            let id = self.bound.schema.id;
            let input = StageInput { schema: id, rows, ops: &ops, columns: &columns };
            let output = self.stage.process(&input)?;
            if let Some(extra) = output.extra.first() {
                *self.emitted = Some(extra.topic.clone());
            }
            apply::answer(&mut batch, projection, output);
        }
        Ok(apply::found(schema, &batch, inputs))
    }
}

/// The columns of the rows in play.
pub(crate) fn gather(batch: &wasmgate_model::Batch) -> Vec<Column> {
    let reads = batch.plan.reads.iter().enumerate().map(|(at, read)| {
        let mut column = Column::new(read.kind);
        match batch.read(at) {
            Some(found) => found.gather_into(&batch.sel, &mut column),
            None => column = Column::all_absent(read.kind, batch.sel.len()),
        }
        column
    });
    reads.collect()
}
