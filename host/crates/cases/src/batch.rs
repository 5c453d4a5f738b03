//! Records of a case as a batch of documents, decoded as the plan wants them.

use std::sync::Arc;

use serde_json::Value;
use wasmgate_case_file::{Input, SchemaCase};
use wasmgate_codec::document::{InboundRecord, append};
use wasmgate_model::{
    Batch, Column, DeadLetterCause, FieldPath, Kind, Op, Plan, Position, Reject, Verdict,
};

use crate::bound::Bound;

/// A batch of records of one topic and partition, ready for the stage.
pub(crate) fn fill(schema: &SchemaCase, bound: &Bound, inputs: &[&Input]) -> Batch {
    let mut batch = Batch::documents(Arc::clone(&bound.schema), Arc::clone(&bound.plan));
    batch.source_partition = inputs.first().map_or(-1, |input| input.partition);
    for (row, input) in inputs.iter().enumerate() {
        let key = bytes(&input.key);
        let value = value(schema, &bound.plan, input);
        append(
            &mut batch,
            &InboundRecord {
                key: key.as_deref(),
                value: value.as_deref(),
                time_us: input.timestamp_us,
                position: Position::new(input.offset, row as u64),
                partition: -1,
            },
        );
        for (name, value) in &input.headers {
            batch.headers.push(name, bytes(value).as_deref());
        }
        batch.headers.end_row(row);
    }
    wasmgate_codec::project(&mut batch);
    refuse_missing(&mut batch, bound);
    batch
}

/// Texts as they are, everything else as JSON; null is nothing.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        other => Some(other.to_string().into_bytes()),
    }
}

fn value(schema: &SchemaCase, plan: &Plan, input: &Input) -> Option<Vec<u8>> {
    if input.value.is_null() {
        return None;
    }
    let decimals = decimals(schema, plan);
    if decimals.is_empty() {
        return Some(input.value.to_string().into_bytes());
    }
    let mut value = input.value.clone();
    for member in images(schema) {
        let image = match member {
            Some(member) => value.get_mut(member),
            None => Some(&mut value),
        };
        let Some(members) = image.and_then(Value::as_object_mut) else { continue };
        for name in &decimals {
            if let Some(text) = members.get_mut(*name)
                && let Some(number) = text.as_str().and_then(|t| t.parse::<f64>().ok())
            {
                *text = Value::from(number);
            }
        }
    }
    Some(value.to_string().into_bytes())
}

/// Where rows lie in a value.
pub(crate) fn images(schema: &SchemaCase) -> &'static [Option<&'static str>] {
    if schema.envelope { &[Some("before"), Some("after")] } else { &[None] }
}

/// Decimal fields that are read as floats. A column of decimals is read so; a text in a document
/// is not, so it becomes a number here, and the text again in what leaves.
pub(crate) fn decimals<'c>(schema: &'c SchemaCase, plan: &Plan) -> Vec<&'c str> {
    let read_as_float = |name: &str| {
        plan.reads.iter().any(|read| match &read.path {
            FieldPath::Current(own) | FieldPath::Before(own) => {
                read.kind == Kind::Float && &**own == name
            }
            _ => false,
        })
    };
    let fields = schema.fields.iter().filter(|field| field.kind == "decimal");
    fields.map(|field| field.name.as_str()).filter(|name| read_as_float(name)).collect()
}

/// Dead-letters rows that lack a field which the stage cannot do without.
fn refuse_missing(batch: &mut Batch, bound: &Bound) {
    let Some(projection) = &bound.projection else { return };
    for (at, read) in projection.reads.iter().enumerate().filter(|(_, read)| !read.optional) {
        let absent = batch.read(at).map(|column: &Column| column.absent.clone());
        for row in absent.unwrap_or_default() {
            let tombstone = batch.ops.get(row as usize) == Some(&Op::Tombstone);
            if tombstone || batch.sel.binary_search(&row).is_err() {
                continue;
            }
            batch.sel.retain(|kept| *kept != row);
            let message = format!("field {:?} is not there; the module needs it", read.name);
            batch.rejects.push(Reject { row, verdict: dead_letter("missing-field", message) });
        }
    }
}

/// A verdict of the stage.
pub(crate) fn dead_letter(code: &str, message: String) -> Verdict {
    Verdict::DeadLetter(Box::new(DeadLetterCause {
        stage: "case".into(),
        code: code.into(),
        message,
        module: None,
    }))
}
