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
    pub(super) names: Vec<Box<[u8]>>,
    /// Column number, name and `,"name":` per key field.
    pub(super) key: Vec<(usize, Arc<str>, Box<[u8]>)>,
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
        let names = schema.fields.iter().map(|f| member(&f.name)).collect();
        let key = schema.key.iter();
        let field =
            |name: &Arc<str>| Some((schema.key_field(name)?.0, Arc::clone(name), member(name)));
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

/// `,"name":`; the object that it stands in turns its first comma into its brace.
pub(super) fn member(name: &str) -> Box<[u8]> {
    let mut text = vec![b','];
    json::write_string(name, &mut text);
    text.push(b':');
    text.into()
}

/// Ends an object whose members begin at `start` of `out`, each with a comma before it.
pub(super) fn close_object(start: usize, out: &mut Vec<u8>) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}
