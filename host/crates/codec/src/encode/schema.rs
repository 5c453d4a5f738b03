//! Connect schemas as JSON, in the order of members that Kafka Connect's JsonConverter has, and
//! the schemas of envelopes, rows and keys. Made once per schema and shape of the edits; a record
//! copies the bytes.

use std::sync::Arc;

use wasmgate_model::{
    Batch, ConnectSchema, ConnectShape as S, Edits, Field, Kind, Logical, Schema, Shape, Style,
};

use super::decimal::numeric_default;
use super::row::payload_name;
use crate::connect::{of_field, of_type};
use crate::json::{write_int, write_string};

/// Fields of a struct, by name.
type Fields = Vec<(Arc<str>, ConnectSchema)>;

/// The name of a type in the JSON form.
fn type_name(shape: &S) -> &'static [u8] {
    match shape {
        S::Boolean => b"boolean",
        S::Int8 => b"int8",
        S::Int16 => b"int16",
        S::Int32 => b"int32",
        S::Int64 => b"int64",
        S::Float => b"float",
        S::Double => b"double",
        S::String => b"string",
        S::Bytes => b"bytes",
        S::Array(_) => b"array",
        S::Map(_) => b"map",
        S::Struct(_) => b"struct",
    }
}

/// Writes schemas.
#[derive(Debug, Clone, Copy)]
pub(super) struct SchemaWriter {
    /// Defaults of decimals are numbers.
    pub(super) numeric_decimals: bool,
}

impl SchemaWriter {
    /// Appends a schema; `field`: its name in a struct.
    pub(super) fn write(self, schema: &ConnectSchema, field: Option<&str>, out: &mut Vec<u8>) {
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        put(b"{\"type\":\"");
        put(type_name(&schema.shape));
        put(b"\"");
        match &schema.shape {
            S::Array(item) => {
                put(b",\"items\":");
                self.write(item, None, out);
            }
            S::Map(pair) => {
                put(b",\"keys\":");
                self.write(&pair.0, None, out);
                out.extend_from_slice(b",\"values\":");
                self.write(&pair.1, None, out);
            }
            S::Struct(fields) => {
                put(b",\"fields\":[");
                for (i, (name, schema)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.write(schema, Some(name), out);
                }
                out.push(b']');
            }
            _ => {}
        }
        let optional: &[u8] = if schema.optional { b"true" } else { b"false" };
        out.extend_from_slice(b",\"optional\":");
        out.extend_from_slice(optional);
        self.meaning(schema, out);
        if let Some(field) = field {
            text(b",\"field\":", field, out);
        }
        out.push(b'}');
    }

    fn meaning(self, schema: &ConnectSchema, out: &mut Vec<u8>) {
        if let Some(name) = &schema.name {
            text(b",\"name\":", name, out);
        }
        if let Some(version) = schema.version {
            out.extend_from_slice(b",\"version\":");
            write_int(version.into(), out);
        }
        if let Some(doc) = &schema.doc {
            text(b",\"doc\":", doc, out);
        }
        if !schema.parameters.is_empty() {
            out.extend_from_slice(b",\"parameters\":");
            for (i, (name, value)) in schema.parameters.iter().enumerate() {
                out.push(if i == 0 { b'{' } else { b',' });
                write_string(name, out);
                text(b":", value, out);
            }
            out.push(b'}');
        }
        if let Some(default) = &schema.default {
            out.extend_from_slice(b",\"default\":");
            match numeric_default(schema, default).filter(|_| self.numeric_decimals) {
                Some(number) => out.extend_from_slice(number.as_bytes()),
                None => out.extend_from_slice(default.as_bytes()),
            }
        }
    }

    /// What stands before the payload: `{"schema":…,"payload":`.
    pub(super) fn opening(self, schema: &ConnectSchema) -> Arc<[u8]> {
        let mut out = b"{\"schema\":".to_vec();
        self.write(schema, None, &mut out);
        out.extend_from_slice(b",\"payload\":");
        out.into()
    }
}

fn text(before: &[u8], value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    write_string(value, out);
}

fn named(fields: Fields, base: &str, what: &str) -> ConnectSchema {
    ConnectSchema {
        name: Some(format!("{base}.{what}").into()),
        ..ConnectSchema::new(S::Struct(fields))
    }
}

fn base(schema: &Schema) -> &str {
    schema.connect.as_ref().map_or(&schema.topic, |names| &names.base)
}

/// The schema of keys, but for these fields.
pub(super) fn key_schema(schema: &Schema, without: &[&str]) -> ConnectSchema {
    let fields = schema.key.iter().filter(|name| !without.contains(&&***name));
    let fields = fields.filter_map(|name| {
        let (_, field) = schema.key_field(name)?;
        Some((Arc::clone(name), of_field(field)))
    });
    named(fields.collect(), base(schema), "Key").required()
}

/// The schema of values: of the envelope, or of the flat row where stages made it one. `without`:
/// payload names of fields that one row leaves without.
pub(super) fn value_schema(
    batch: &Batch,
    edits: Option<&Edits>,
    without: &[&str],
) -> ConnectSchema {
    let schema = &*batch.schema;
    let (fields, added) = image(schema, edits, without);
    let row = named(fields, base(schema), "Value");
    if !schema.envelope || edits.is_some_and(|e| e.shape == Shape::Row) {
        // Debezium's unwrapping keeps the row's schema, or makes a new one with what it adds.
        return ConnectSchema { optional: !added && schema.envelope, ..row };
    }
    let before = named(image(schema, None, &[]).0, base(schema), "Value");
    let number = || ConnectSchema::new(S::Int64);
    let mut fields: Fields = vec![("before".into(), before), ("after".into(), row)];
    if let Some(names) = &schema.connect {
        fields.push(("source".into(), names.source.clone()));
    }
    fields.push(("transaction".into(), block()));
    fields.push(("op".into(), ConnectSchema::new(S::String).required()));
    for name in ["ts_ms", "ts_us", "ts_ns"] {
        fields.push((name.into(), number()));
    }
    let envelope = named(fields, base(schema), "Envelope").required();
    ConnectSchema { version: Some(2), ..envelope }
}

/// The schema of the transaction block.
fn block() -> ConnectSchema {
    let order = || ConnectSchema::new(S::Int64).required();
    let fields: Fields = vec![
        ("id".into(), ConnectSchema::new(S::String).required()),
        ("total_order".into(), order()),
        ("data_collection_order".into(), order()),
    ];
    ConnectSchema::named(S::Struct(fields), "event.block")
}

/// The fields of the current image with what stages did to it, and whether they added any.
fn image(schema: &Schema, edits: Option<&Edits>, without: &[&str]) -> (Fields, bool) {
    let mut fields: Vec<(Arc<str>, Option<ConnectSchema>, Arc<str>)> = Vec::new();
    for field in &schema.fields {
        let said = of_field(field);
        fields.push((Arc::clone(&field.name), Some(said), Arc::clone(&field.name)));
    }
    let mut added = false;
    if let Some(edits) = edits {
        for (name, schema, shown) in &mut fields {
            if edits.removed.iter().any(|removed| removed == name) {
                *schema = None;
            }
            if let Some((_, new)) = edits.renamed.iter().find(|(old, _)| old == name) {
                *shown = Arc::clone(new);
            }
        }
        for written in &edits.written {
            let (name, new) = payload_name(edits, &written.name);
            let of = |field: &Field| of_field(field);
            let field = schema.field(name).map(|(_, f)| f).filter(|f| f.kind == written.kind);
            let said = field.map_or_else(|| of_written(written.kind), of);
            match fields.iter_mut().find(|(known, ..)| **known == *name) {
                Some((_, schema, _)) => *schema = Some(said),
                None => {
                    added = true;
                    fields.push((name.into(), Some(said), new.unwrap_or(name).into()));
                }
            }
        }
    }
    let left = fields.into_iter().filter(|(name, ..)| !without.contains(&&**name));
    let fields = left.filter_map(|(_, schema, shown)| Some((shown, schema?))).collect();
    (fields, added)
}

/// The schema of a field that a stage adds.
fn of_written(kind: Kind) -> ConnectSchema {
    of_type(kind, &Logical::Plain, Style::Plain)
}
