//! Records for measuring a module that nobody wrote a case for: whatever it reads, filled in.

use serde_json::{Map, Value, json};
use wasmgate_case_file::CaseFile;
use wasmgate_connector::Read;
use wasmgate_model::{FieldPath, Kind};

use crate::bound::Bound;

/// The case with one record in place of its own, which has every field that the stage reads.
#[must_use]
pub fn made_up(mut case: CaseFile, bound: &Bound) -> CaseFile {
    let reads = bound.projection.iter().flat_map(|projection| &projection.reads);
    let reads: Vec<&Read> = reads.collect();
    let Some(row) = case.rows.first_mut() else { return case };
    let mut fields = Map::new();
    let mut key = Map::new();
    for read in reads {
        match FieldPath::parse(&read.name, bound.schema.envelope) {
            Some(FieldPath::Current(name)) => put(&mut fields, &name, value(read.kind)),
            Some(FieldPath::KeyField(name)) => put(&mut key, &name, value(read.kind)),
            Some(FieldPath::Header(name)) => {
                row.input.headers.push((name.to_string(), value(read.kind)));
            }
            _ => {}
        }
    }
    row.input.key = if key.is_empty() { json!("key") } else { Value::Object(key) };
    row.input.value = Value::Object(fields);
    case.rows.truncate(1);
    case
}

fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((outer, inner)) => {
            let nested = members.entry(outer).or_insert_with(|| json!({}));
            if let Value::Object(nested) = nested {
                put(nested, inner, value);
            }
        }
        None => drop(members.insert(name.to_owned(), value)),
    }
}

fn value(kind: Kind) -> Value {
    match kind {
        Kind::Boolean => json!(true),
        Kind::Integer | Kind::DateDays => json!(20_000),
        Kind::TimestampUs => json!(1_700_000_000_000_000_i64),
        Kind::TimeUs => json!(43_200_000_000_i64),
        Kind::Float => json!(12.5),
        Kind::Text => json!("sixteen letters!"),
        Kind::Bytes => json!("AAECAwQFBgc="),
        Kind::Json => json!({ "a": [1, 2] }),
        Kind::Decimal => json!("12.50"),
        Kind::Uuid => json!("6f2c1d0e-8c5b-4f0a-9a57-0d2f6a3b1c4d"),
    }
}
