//! A stage's answer applied to its batch, and what left it, read back from what the gateway
//! would write.

use std::mem;

use serde_json::Value;
use wasmgate_case_file::{Found, Input, Kept, SchemaCase};
use wasmgate_codec::encode::{BatchWriter, ValueWriter};
use wasmgate_connector::{Projection, StageOutput, StageVerdict};
use wasmgate_model::{Batch, Edits, Reject, Removal, Verdict, WrittenColumn};

use crate::batch::{dead_letter, decimals, images};

/// Moves an answer into the batch.
pub(crate) fn answer(batch: &mut Batch, projection: &Projection, mut output: StageOutput) {
    let mut keep = Vec::with_capacity(batch.sel.len());
    let mut rejects = mem::take(&mut output.rejects).into_iter().peekable();
    for (at, &row) in batch.sel.iter().enumerate() {
        match rejects.next_if(|reject| reject.row == at as u32) {
            None => keep.push(at as u32),
            Some(reject) => {
                let verdict = match reject.verdict {
                    StageVerdict::Drop => Verdict::Drop { stage: "case".into() },
                    StageVerdict::DeadLetter { code, message } => dead_letter(&code, message),
                };
                batch.rejects.push(Reject { row, verdict });
            }
        }
    }
    edits(&mut batch.edits, projection, &mut output, &keep);
    for (at, fields) in mem::take(&mut output.removals) {
        if let Some(&row) = batch.sel.get(at as usize) {
            batch.edits.removals.push(Removal { row, fields });
        }
    }
    let sel = &mut batch.sel;
    *sel = keep.iter().filter_map(|&at| sel.get(at as usize).copied()).collect();
}

fn edits(edits: &mut Edits, projection: &Projection, output: &mut StageOutput, keep: &[u32]) {
    edits.shape = projection.shape;
    let writes = |name: &str| projection.writes.iter().any(|write| write.name == name);
    for name in &projection.removes {
        match name.strip_prefix("$key.") {
            Some(field) => edits.key_removed.push(field.into()),
            None if writes(name) => {}
            None => edits.removed.push(name.as_str().into()),
        }
    }
    let renames = projection.renames.iter();
    edits.renamed = renames.map(|(from, to)| (from.as_str().into(), to.as_str().into())).collect();
    for (write, mut column) in projection.writes.iter().zip(mem::take(&mut output.columns)) {
        column.compact(keep);
        let name = write.name.as_str();
        match name {
            "$topic" => edits.topic = Some(column),
            "$key" => edits.key = Some(column),
            "$partition" => edits.partition = Some(column),
            "$tombstone" => edits.tombstone = Some(column),
            _ => match name.strip_prefix("$header.") {
                Some(header) => edits.headers.push((header.into(), column)),
                None => {
                    let (name, kind) = (name.into(), write.kind);
                    edits.written.push(WrittenColumn { name, kind, column });
                }
            },
        }
    }
}

/// What became of every record of the batch, in order.
pub(crate) fn found(schema: &SchemaCase, batch: &Batch, inputs: &[&Input]) -> Vec<Found> {
    let mut values = ValueWriter::new();
    let writer = values.begin(batch);
    let row = |(row, input): (usize, &&Input)| {
        let number = row as u32;
        if let Ok(at) = batch.sel.binary_search(&number) {
            return left(schema, batch, &writer, at, input);
        }
        match batch.rejects.iter().find(|reject| reject.row == number).map(|r| &r.verdict) {
            Some(Verdict::DeadLetter(cause)) => {
                let (code, message) = (cause.code.to_string(), cause.message.clone());
                Found::DeadLettered { code, message }
            }
            _ => Found::Dropped,
        }
    };
    inputs.iter().enumerate().map(row).collect()
}

fn left(
    schema: &SchemaCase,
    batch: &Batch,
    writer: &BatchWriter<'_>,
    at: usize,
    input: &Input,
) -> Found {
    let mut bytes = Vec::new();
    let mut value = match writer.value(at, &mut bytes) {
        Ok(true) => parsed(&bytes),
        Ok(false) => Value::Null,
        Err(error) => {
            let (code, message) = (error.code().to_owned(), error.to_string());
            return Found::DeadLettered { code, message };
        }
    };
    restore(&mut value, schema, batch, input);
    let mut key = Vec::new();
    let key = if writer.key(at, &mut key) { parsed(&key) } else { Value::Null };
    let mut headers = Vec::new();
    writer.headers(at, &mut |name, value| {
        let value = value.map_or(Value::Null, |v| Value::from(String::from_utf8_lossy(v)));
        headers.push((name.to_owned(), value));
    });
    let (topic, partition) = (batch.topic(at).to_owned(), writer.partition(at));
    Found::Kept(Box::new(Kept { topic, partition, key, value, headers }))
}

/// What was written: JSON, else text.
fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(bytes).into_owned()))
}

/// Gives decimals that nobody wrote their text back.
fn restore(value: &mut Value, schema: &SchemaCase, batch: &Batch, input: &Input) {
    for name in decimals(schema, &batch.plan) {
        let written = |image: &&Option<&str>| image.is_none_or(|m| value.get(m).is_some());
        let images: Vec<_> = images(schema).iter().filter(written).copied().collect();
        for member in images {
            let original = match member {
                Some(member) => input.value.get(member),
                None => Some(&input.value),
            };
            let image = match member {
                Some(member) => value.get_mut(member),
                None => Some(&mut *value),
            };
            if let Some(text) = original.and_then(|image| image.get(name))
                && let Some(found) = image.and_then(|image| image.get_mut(name))
                && text.as_str().and_then(|t| t.parse().ok()) == found.as_f64()
            {
                *found = text.clone();
            }
        }
    }
}
