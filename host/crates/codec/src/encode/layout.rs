//! What the records of one schema have in common: names, escaped and ready to be copied.

use std::sync::Arc;

use wasmgate_model::{Batch, Edits, Kind, Schema, Shape};

use super::options::JsonOptions;
use super::schema::{SchemaWriter, key_schema, value_schema};

use crate::json;

/// Names of one schema as they stand in JSON.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// `,"name":` per field of the schema.
    pub(super) names: Vec<Member>,
    /// Column number, name and `,"name":` per key field.
    pub(super) key: Vec<(usize, Arc<str>, Member)>,
    /// `{"schema":…,"payload":` of keys.
    key_opening: Option<Arc<[u8]>>,
    /// The same of values, with what of the edits it was made for.
    value_opening: Option<(Form, Arc<[u8]>)>,
}

/// What of a batch's edits decides the schema of its values.
#[derive(Debug, Clone, PartialEq, Default)]
struct Form {
    row: bool,
    removed: Vec<Arc<str>>,
    renamed: Vec<(Arc<str>, Arc<str>)>,
    written: Vec<(Arc<str>, Kind)>,
}

impl Form {
    fn of(edits: Option<&Edits>) -> Self {
        let Some(edits) = edits else { return Self::default() };
        Self {
            row: edits.shape == Shape::Row,
            removed: edits.removed.clone(),
            renamed: edits.renamed.clone(),
            written: edits.written.iter().map(|w| (Arc::clone(&w.name), w.kind)).collect(),
        }
    }
}

/// What stands before payloads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Openings {
    pub(super) key: Option<Arc<[u8]>>,
    pub(super) value: Option<Arc<[u8]>>,
}

impl Layout {
    pub(crate) fn new(schema: &Schema) -> Self {
        let names = schema.fields.iter().map(|f| Member::new(&f.name)).collect();
        let key = schema.key.iter();
        let field = |name: &Arc<str>| {
            Some((schema.key_field(name)?.0, Arc::clone(name), Member::new(name)))
        };
        let key = key.filter_map(field).collect();
        Self { names, key, key_opening: None, value_opening: None }
    }

    /// What stands before the payloads of a batch of rows; made when it differs from the last.
    pub(crate) fn openings(
        &mut self,
        batch: &Batch,
        edits: Option<&Edits>,
        options: JsonOptions,
    ) -> Openings {
        let writer = SchemaWriter { numeric_decimals: options.numeric_decimals };
        let key = (options.key_schemas || options.header_schemas).then(|| {
            let made = || writer.opening(&key_schema(&batch.schema, &[]));
            Arc::clone(self.key_opening.get_or_insert_with(made))
        });
        let value = options.value_schemas.then(|| {
            let form = Form::of(edits);
            match &self.value_opening {
                Some((known, opening)) if *known == form => Arc::clone(opening),
                _ => {
                    let opening = writer.opening(&value_schema(batch, edits, &[]));
                    self.value_opening = Some((form, Arc::clone(&opening)));
                    opening
                }
            }
        });
        Openings { key, value }
    }
}

/// Longest member name, with its comma, quotes and colon, that is copied as a whole field.
const SHORT: usize = 32;

/// `,"name":`; the object that it stands in turns its first comma into its brace.
#[derive(Debug, Clone)]
pub(super) struct Member {
    text: Box<[u8]>,
    /// The text filled up, where it is short: copying a number of bytes that the compiler knows
    /// and taking back what was too much is cheaper than copying few.
    short: Option<[u8; SHORT]>,
}

impl Member {
    pub(super) fn new(name: &str) -> Self {
        let mut text = vec![b','];
        json::write_string(name, &mut text);
        text.push(b':');
        let mut filled = [0; SHORT];
        let short = filled.get_mut(..text.len()).map(|start| start.copy_from_slice(&text));
        Self { short: short.map(|()| filled), text: text.into() }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match &self.short {
            Some(filled) => {
                let end = out.len() + self.text.len();
                out.extend_from_slice(filled);
                out.truncate(end);
            }
            None => out.extend_from_slice(&self.text),
        }
    }
}

/// Ends an object whose members begin at `start` of `out`, each with a comma before it.
pub(super) fn close_object(start: usize, out: &mut Vec<u8>) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}
