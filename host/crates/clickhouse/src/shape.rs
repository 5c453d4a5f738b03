//! The fields that the records of a batch leave with: names, kinds, and where their values are.

use std::sync::Arc;

use wasmgate_model::{Batch, Edits, Kind, Logical, Payload};

/// A field of the flat row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShapeField {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) logical: Logical,
    pub(crate) nullable: bool,
    /// Number of the payload's column.
    pub(crate) own: Option<usize>,
    /// Number of the column that a stage wrote; where it is absent, `own` holds.
    pub(crate) written: Option<usize>,
}

/// Fields of a batch in the order they go out; of documents nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    pub(crate) topic: Arc<str>,
    /// `None`: documents.
    pub(crate) fields: Option<Vec<ShapeField>>,
    /// Names of the key fields as they go out.
    pub(crate) key: Vec<Arc<str>>,
    /// Those of them that the rows have otherwise or not at all: masked, excluded.
    pub(crate) hidden: Vec<Arc<str>>,
    pub(crate) envelope: bool,
}

impl Shape {
    /// The shape of a batch's records that go to `topic`.
    pub(crate) fn of(batch: &Batch, topic: &str) -> Self {
        let schema = &batch.schema;
        let topic = if *schema.topic == *topic { Arc::clone(&schema.topic) } else { topic.into() };
        let key = schema.key.iter().map(|k| last_name(&batch.edits, k)).collect();
        let hidden = schema.key_only.iter().map(|f| last_name(&batch.edits, &f.name)).collect();
        let fields = matches!(batch.payload, Payload::Rows(_)).then(|| fields(batch));
        Self { topic, fields, key, hidden, envelope: schema.envelope }
    }
}

/// The record's own fields under their last names, then what stages added.
fn fields(batch: &Batch) -> Vec<ShapeField> {
    let edits = &batch.edits;
    let own = batch.schema.fields.iter().enumerate().map(|(number, field)| ShapeField {
        name: Arc::clone(&field.name),
        kind: field.kind,
        logical: field.logical.clone(),
        nullable: field.nullable,
        own: (!edits.removed.contains(&field.name)).then_some(number),
        written: None,
    });
    let mut fields: Vec<ShapeField> = own.collect();
    for (number, written) in edits.written.iter().enumerate() {
        let name = payload_name(edits, &written.name);
        if let Some(field) = fields.iter_mut().find(|field| *field.name == *name) {
            if field.kind != written.kind {
                (field.kind, field.logical) = (written.kind, Logical::Plain);
            } else if matches!(field.logical, Logical::JsonValue | Logical::Array(_)) {
                field.logical = Logical::Plain;
            }
            field.written = Some(number);
            continue;
        }
        fields.push(ShapeField {
            name: name.into(),
            kind: written.kind,
            logical: Logical::Plain,
            nullable: true,
            own: None,
            written: Some(number),
        });
    }
    fields.retain(|field| field.own.is_some() || field.written.is_some());
    for field in &mut fields {
        field.name = last_name(edits, &field.name);
    }
    fields
}

/// The name in the payload of a field that stages call `name`.
fn payload_name<'n>(edits: &'n Edits, name: &'n str) -> &'n str {
    let mut renamed = edits.renamed.iter();
    if renamed.clone().any(|(old, _)| **old == *name) {
        return name;
    }
    renamed.find(|(_, new)| **new == *name).map_or(name, |(old, _)| old)
}

fn last_name(edits: &Edits, name: &Arc<str>) -> Arc<str> {
    let renamed = edits.renamed.iter().find(|(old, _)| old == name);
    Arc::clone(renamed.map_or(name, |(_, new)| new))
}
