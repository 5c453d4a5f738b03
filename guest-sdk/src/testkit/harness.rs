//! The harness: configuration and records in, fates and what the rule told the host out.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::config;
use crate::contract::{Batch, Field, Kind, Op, Output, Schema};
use crate::log::Level;
use crate::policy::{Decision, Failure, Policy};
use crate::stage::Transform;
use crate::testkit::record::{Fate, Record};
use crate::testkit::{admit, answer, host, input};

/// A rule, opened.
pub struct Harness<T> {
    rule: T,
    schema: Schema,
}

impl<T> fmt::Debug for Harness<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Harness").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl<T: Transform> Harness<T> {
    /// Opens the rule with a configuration in JSON.
    ///
    /// # Errors
    /// What the rule answers to a configuration that it refuses.
    pub fn new(config: &str) -> Result<Self, String> {
        let schema = Schema {
            id: 1,
            source: "test".to_owned(),
            fields: Vec::new(),
            key: Vec::new(),
            defaults: Vec::new(),
            open: true,
            envelope: false,
        };
        Ok(Self { rule: T::open(config::from_text(config)?)?, schema })
    }

    /// The topic that `bind` sees as the schema's source.
    #[must_use]
    pub fn source(mut self, topic: &str) -> Self {
        topic.clone_into(&mut self.schema.source);
        self
    }

    /// The fields of the schema, all nullable but those of the key. Without this call the schema
    /// is open: plain JSON.
    #[must_use]
    pub fn schema(mut self, fields: &[(&str, Kind)], key: &[&str]) -> Self {
        let named = fields.iter().map(|(name, kind)| Field {
            name: (*name).to_owned(),
            kind: *kind,
            nullable: !key.contains(name),
        });
        self.schema.fields = named.collect();
        self.schema.key = key.iter().map(|name| (*name).to_owned()).collect();
        self.schema.open = false;
        self
    }

    /// Fields that are never null, beside those of the key.
    pub(crate) fn not_null(mut self, names: &[&str]) -> Self {
        for field in &mut self.schema.fields {
            field.nullable &= !names.contains(&field.name.as_str());
        }
        self
    }

    /// Whether records are change envelopes, for [`Harness::admit`].
    pub(crate) fn envelope(mut self, envelope: bool) -> Self {
        self.schema.envelope = envelope;
        self
    }

    /// Binds the schema, and checks that it has what the rule asks for, as the gateway does.
    pub(crate) fn admit(&mut self) -> Result<(), String> {
        match self.rule.bind(&self.schema)? {
            Some(projection) => admit::check(&self.schema, &projection.reads),
            None => Ok(()),
        }
    }

    /// Defaults of fields, where the source says them.
    #[must_use]
    pub fn defaults(mut self, defaults: &[(&str, Value)]) -> Self {
        let texts = defaults.iter().map(|(name, value)| ((*name).to_owned(), value.to_string()));
        self.schema.defaults = texts.collect();
        self
    }

    /// Runs plain records: a JSON list of their values.
    ///
    /// # Errors
    /// `bind` or `process` failed, or the answer breaks the contract.
    pub fn run(&mut self, values: Value) -> Result<Run, String> {
        let Value::Array(values) = values else {
            return Err("expected a JSON list of records".to_owned());
        };
        let source = self.schema.source.clone();
        self.run_records(values.into_iter().map(|v| Record::new(v).topic(&source)).collect())
    }

    /// Runs records in one call per schema: plain ones and envelopes.
    ///
    /// # Errors
    /// `bind` or `process` failed, or the answer breaks the contract.
    pub fn run_records(&mut self, records: Vec<Record>) -> Result<Run, String> {
        let mut fates: Vec<Option<Fate>> = records.iter().map(|_| None).collect();
        for envelope in [false, true] {
            let rows = records.iter().enumerate().filter(|(_, record)| record.envelope == envelope);
            let (places, rows): (Vec<_>, Vec<_>) = rows.map(|(at, r)| (at, r.clone())).unzip();
            if rows.is_empty() {
                continue;
            }
            for (place, fate) in places.into_iter().zip(self.call(envelope, rows)?) {
                if let Some(slot) = fates.get_mut(place) {
                    *slot = Some(fate);
                }
            }
        }
        let (logs, counters) = host::take();
        Ok(Run { fates: fates.into_iter().flatten().collect(), logs, counters })
    }

    fn call(&mut self, envelope: bool, records: Vec<Record>) -> Result<Vec<Fate>, String> {
        let id = if envelope { 2 } else { 1 };
        let schema = Schema { id, envelope, ..self.schema.clone() };
        let Some(projection) = self.rule.bind(&schema)? else {
            return Ok(records.into_iter().map(Fate::Kept).collect());
        };
        let walked = input::walks(&projection);
        let inputs: Vec<_> = records
            .iter()
            .map(|record| match &record.value {
                Value::Object(_) | Value::Null => {
                    input::row(record, &projection.reads, &schema.fields)
                }
                _ if walked => Err(input::no_object()),
                _ => input::row(record, &projection.reads, &schema.fields),
            })
            .collect();
        let mut columns = vec![Vec::new(); projection.reads.len()];
        let mut passed = Vec::new();
        for (record, cells) in records.iter().zip(&inputs) {
            let Ok(cells) = cells else { continue };
            passed.push(record.clone());
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.push(cell.clone());
            }
        }
        let reads = projection.reads.iter().zip(columns);
        let batch = Batch {
            schema: id,
            rows: passed.len() as u32,
            ops: if projection.ops { ops(&passed) } else { Vec::new() },
            columns: reads.map(|(read, cells)| input::column(read, cells)).collect(),
        };
        let output: Output = self.rule.process(id, &batch)?;
        answer::check(&output, &projection, batch.rows)?;
        let mut answered = answer::fates(&output, &projection, passed).into_iter();
        let fates = inputs.into_iter().map(|cells| match cells {
            Ok(_) => answered.next(),
            Err((code, message)) => Some(Fate::DeadLettered { code, message }),
        });
        Ok(fates.flatten().collect())
    }
}

fn ops(records: &[Record]) -> Vec<Op> {
    records.iter().map(Record::op).collect()
}

/// What a run gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    fates: Vec<Fate>,
    logs: Vec<(Level, String)>,
    counters: BTreeMap<String, u64>,
}

impl Run {
    /// One fate per record, in order.
    #[must_use]
    pub fn fates(&self) -> &[Fate] {
        &self.fates
    }

    /// A record that went on.
    ///
    /// # Panics
    /// It did not; the message says what became of it.
    #[must_use]
    pub fn record(&self, number: usize) -> &Record {
        match self.fates.get(number) {
            Some(Fate::Kept(record)) => record,
            Some(fate) => panic!("record {number} did not go on: {fate:?}"),
            None => panic!("there is no record {number}, only {}", self.fates.len()),
        }
    }

    /// The value of a record that went on.
    ///
    /// # Panics
    /// It did not; the message says what became of it.
    #[must_use]
    pub fn value(&self, number: usize) -> &Value {
        &self.record(number).value
    }

    /// The code under which a record was dead-lettered.
    #[must_use]
    pub fn code(&self, number: usize) -> Option<&str> {
        match self.fates.get(number) {
            Some(Fate::DeadLettered { code, .. }) => Some(code),
            _ => None,
        }
    }

    /// The message with which a record was dead-lettered.
    #[must_use]
    pub fn message(&self, number: usize) -> Option<&str> {
        match self.fates.get(number) {
            Some(Fate::DeadLettered { message, .. }) => Some(message),
            _ => None,
        }
    }

    /// Whether a record was discarded.
    #[must_use]
    pub fn discarded(&self, number: usize) -> bool {
        matches!(self.fates.get(number), Some(Fate::Discarded))
    }

    /// What the rule logged.
    #[must_use]
    pub fn logs(&self) -> &[(Level, String)] {
        &self.logs
    }

    /// What the rule added to a counter.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }
}

/// Opens a policy and asks it about one failure.
///
/// # Errors
/// What the policy answers to a configuration that it refuses.
pub fn decide<P: Policy>(config: &str, failure: &Failure) -> Result<Decision, String> {
    Ok(P::open(config::from_text(config)?)?.decide(failure))
}

/// A first failure of a record in `stage`; change what the test is about.
#[must_use]
pub fn failure(stage: &str, code: &str) -> Failure {
    Failure {
        stage: stage.to_owned(),
        code: code.to_owned(),
        message: "a failure made by a test".to_owned(),
        attempt: 1,
        age_ms: 0,
        topic: "test".to_owned(),
        partition: 0,
        op: Op::Append,
        key: None,
        value: None,
    }
}
