//! Case files natively: the same files that `wasmgate module test` runs on the component.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use wasmgate_case_file::{
    CaseFile, Failure, Found, Input, Kept, Report, RowCase, SchemaCase, differences, load,
    refusal_difference,
};

use crate::contract::Kind;
use crate::stage::Transform;
use crate::testkit::harness::Harness;
use crate::testkit::record::{Fate, Record};

/// Runs every case file (`*.yaml`) of a folder on a rule; the path is the package's.
///
/// ```
/// # use wasmgate_sdk::prelude::*;
/// # #[derive(Row)] struct Ping { n: i64, #[write] even: bool }
/// # /// Marks even numbers.
/// # #[transform] fn parity(row: &mut Ping) -> Verdict { row.even = row.n % 2 == 0; keep() }
/// # let dir = std::env::temp_dir().join(format!("wasmgate-cases-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// # let text = "rows:\n  - { value: { n: 4 }, expect: { write: { even: true } } }\n";
/// # std::fs::write(dir.join("even.yaml"), text).unwrap();
/// wasmgate_sdk::testkit::run_cases::<parity>(&dir).unwrap();
/// # std::fs::remove_dir_all(&dir).unwrap();
/// ```
///
/// # Errors
/// A file cannot be read, or a record did not turn out as expected; unwrap it in a test.
pub fn run_cases<T: Transform>(dir: impl AsRef<Path>) -> Result<(), CasesFailed> {
    let cases = load(dir.as_ref()).map_err(CasesFailed)?;
    let mut report = Report { cases: cases.len(), ..Report::default() };
    for case in &cases {
        report.rows += case.rows.len();
        run::<T>(case, &mut report.failures);
    }
    if report.passed() { Ok(()) } else { Err(CasesFailed(report.to_string())) }
}

/// What was not as expected, in lines for people.
pub struct CasesFailed(String);

impl fmt::Debug for CasesFailed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\n{}", self.0)
    }
}

impl fmt::Display for CasesFailed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for CasesFailed {}

fn run<T: Transform>(case: &CaseFile, failures: &mut Vec<Failure>) {
    let mut fail = |line, differences| {
        let (name, about) = (case.name.clone(), case.about.clone());
        failures.push(Failure { case: name, about, line, differences });
    };
    let opened = open::<T>(case);
    if let Some(part) = &case.refuses {
        let refusal = opened.and_then(|mut rule| rule.admit()).err();
        if let Some(line) = refusal_difference(part, refusal.as_deref()) {
            fail(None, vec![line]);
        }
        return;
    }
    let mut rule = match opened {
        Ok(rule) => rule,
        Err(why) => {
            return fail(None, vec![format!("expected to run, found a refusal: {why}")]);
        }
    };
    let place = |row: &RowCase| (row.input.topic.clone(), row.input.partition);
    for rows in case.rows.chunk_by(|a, b| place(a) == place(b)) {
        let topic = rows.first().map_or(case.schema.name.as_str(), |row| &row.input.topic);
        rule = rule.source(topic);
        if let Err(why) = rule.admit() {
            return fail(None, vec![format!("expected to run, found a refusal: {why}")]);
        }
        for (row, found) in rows.iter().zip(records(&mut rule, case, rows)) {
            let lines = differences(case, row, &found);
            if !lines.is_empty() {
                fail(Some(row.line), lines);
            }
        }
    }
}

fn open<T: Transform>(case: &CaseFile) -> Result<Harness<T>, String> {
    let SchemaCase { name, fields, key, defaults, envelope } = &case.schema;
    let mut rule = Harness::<T>::new(&case.config.to_string())?.source(name).envelope(*envelope);
    if !case.schema.is_open() {
        let kinds: Vec<(&str, Kind)> = fields
            .iter()
            .filter_map(|field| Some((field.name.as_str(), Kind::from_name(field.kind)?)))
            .collect();
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        rule = rule.schema(&kinds, &key);
        let filled = fields.iter().filter(|field| !field.nullable);
        rule = rule.not_null(&filled.map(|field| field.name.as_str()).collect::<Vec<_>>());
    }
    let defaults: Vec<_> = defaults.iter().map(|(name, v)| (name.as_str(), v.clone())).collect();
    Ok(rule.defaults(&defaults))
}

/// One call for all records; when it fails one per record, as the gateway finds the culprit. A
/// panic is a trap there, and the rule is opened anew.
fn records<T: Transform>(rule: &mut Harness<T>, case: &CaseFile, rows: &[RowCase]) -> Vec<Found> {
    let made: Vec<Record> = rows.iter().map(|row| record(&row.input, &case.schema)).collect();
    let called = panic::catch_unwind(AssertUnwindSafe(|| rule.run_records(made)));
    let called = called.map_err(|payload| ("module-trap", panicked(&*payload)));
    if called.is_err()
        && let Ok(fresh) = open::<T>(case)
    {
        *rule = fresh.source(rows.first().map_or("", |row| &row.input.topic));
    }
    match called.and_then(|ran| ran.map_err(|message| ("module-error", message))) {
        Ok(run) => {
            let fates = run.fates().iter().zip(rows);
            fates.map(|(fate, row)| found(fate, &row.input)).collect()
        }
        Err((code, message)) if rows.len() == 1 => {
            vec![Found::DeadLettered { code: code.to_owned(), message }]
        }
        Err(_) => rows.chunks(1).flat_map(|row| records(rule, case, row)).collect(),
    }
}

/// What a panic said.
fn panicked(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

fn record(input: &Input, schema: &SchemaCase) -> Record {
    Record {
        topic: input.topic.clone(),
        partition: input.partition,
        offset: i64::try_from(input.offset).unwrap_or(i64::MAX),
        timestamp_us: input.timestamp_us,
        key: input.key.clone(),
        value: input.value.clone(),
        headers: input.headers.clone(),
        envelope: schema.envelope,
    }
}

fn found(fate: &Fate, input: &Input) -> Found {
    match fate {
        Fate::Discarded => Found::Dropped,
        Fate::DeadLettered { code, message } => {
            Found::DeadLettered { code: code.clone(), message: message.clone() }
        }
        Fate::Kept(record) => Found::Kept(Box::new(Kept {
            topic: record.topic.clone(),
            partition: (record.partition != input.partition).then_some(record.partition),
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        })),
    }
}
