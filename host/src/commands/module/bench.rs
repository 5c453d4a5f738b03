//! `wasmgate module bench`: what a module costs, measured through the runtime of the gateway:
//! the same instance, limits, deadline and checks of the answer that a lane has.

use std::path::Path;
use std::time::{Duration, Instant};

use wasmgate_cases::{Bound, CaseFile, Sample, made_up};
use wasmgate_connector::{Module as _, Stage};
use wasmgate_model::Fault;

use crate::commands::module::file::{case, transform};
use crate::exit::{Failure, print};

/// Records of one call.
const SIZES: [u32; 4] = [1, 16, 256, 1024];
/// A round is long enough for the clock.
const ROUND: Duration = Duration::from_millis(10);
const ROUNDS: usize = 21;
/// The round that counts, from the fastest: what else the machine does only ever adds time.
const COUNTS: usize = ROUNDS / 10;

/// Measures a module and shows nanoseconds per record.
///
/// # Errors
/// The module would be refused, cannot work with the configuration or the schema, or fails.
pub(crate) fn bench(
    file: &Path,
    config: Option<&str>,
    schema: Option<&Path>,
) -> Result<(), Failure> {
    let config = config.map(json).transpose()?;
    let mut case = match schema {
        Some(path) => case(path)?,
        None => CaseFile::parse("made up", "rows: [{ value: {}, expect: keep }]")
            .map_err(|problem| Failure::Runtime(problem.to_string()))?,
    };
    if let Some(config) = config {
        case.config = config;
    }
    let module = transform(file)?;
    let failed = |fault: Fault| Failure::Runtime(format!("{}: {}", file.display(), fault.chain()));
    let mut stage = module.open(&case.config.to_string()).map_err(|fault| {
        let (file, why) = (file.display(), fault.chain());
        Failure::Runtime(format!("{file}: {why}; --config gives one"))
    })?;
    let bound = Bound::new(&mut *stage, &case, &case.schema.name, 0).map_err(failed)?;
    if schema.is_none() {
        case = made_up(case, &bound);
    }
    let identity = module.identity();
    print(&format!("{} {}, {}", identity.name, identity.version, describe(&bound)))?;
    if cfg!(debug_assertions) {
        print("this wasmgate is a debug build: it is many times slower than a release")?;
    }
    if schema.is_none() {
        print("the records are made up; --schema CASE.yaml takes those of a case")?;
    }
    let empty = Sample::empty(&bound);
    match measure(&empty, &mut *stage) {
        Ok(ns) => print(&format!("call floor (no records) {ns:>10.0} ns per call"))?,
        Err(fault) => print(&format!("call floor: it takes no empty call: {}", fault.chain()))?,
    }
    print("records per call   ns per record   ns per call")?;
    for rows in SIZES {
        let sample = Sample::new(&case, &bound, rows).map_err(|f| Failure::Runtime(f.chain()))?;
        let ns = measure(&sample, &mut *stage).map_err(failed)?;
        print(&format!("{rows:>16} {:>15.1} {ns:>13.0}", ns / f64::from(rows)))?;
    }
    stage.close();
    Ok(())
}

fn json(text: &str) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::Runtime(format!("--config: not valid JSON: {error}")))
}

/// What a stage reads and writes, in a line.
pub(crate) fn describe(bound: &Bound) -> String {
    let Some(projection) = &bound.projection else {
        return format!("lets records of {} pass untouched", bound.schema.topic);
    };
    let list = |names: Vec<&str>| match names.as_slice() {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    let reads = projection.reads.iter().map(|read| read.name.as_str()).collect();
    let writes = projection.writes.iter().map(|write| write.name.as_str()).collect();
    format!("reads {}, writes {}", list(reads), list(writes))
}

/// Nanoseconds per call: the tenth percentile of some rounds, after one to warm up.
fn measure(sample: &Sample, stage: &mut dyn Stage) -> Result<f64, Fault> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..=ROUNDS {
        let begun = Instant::now();
        let mut calls = 0_u32;
        while begun.elapsed() < ROUND {
            sample.call(stage)?;
            calls += 1;
        }
        rounds.push(begun.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    rounds.remove(0);
    rounds.sort_by(f64::total_cmp);
    Ok(rounds.get(COUNTS).copied().unwrap_or_default())
}
