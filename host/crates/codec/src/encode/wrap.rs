//! Schemas around what does not come from rows: documents, keys that stages wrote, headers. A
//! schema that nobody knows is null, as Kafka Connect has it for values without one.

use wasmgate_model::Schema;

use super::EncodeError;
use super::options::JsonOptions;
use super::schema::SchemaWriter;
use crate::json::{is_value, write_utf8};

const UNKNOWN: &[u8] = b"{\"schema\":null,\"payload\":";
const TEXT: &[u8] = b"{\"schema\":{\"type\":\"string\",\"optional\":true},\"payload\":";

/// What stands around payloads.
#[derive(Debug)]
pub(super) struct Wrap {
    options: JsonOptions,
    /// Before the keys and the values of documents; empty where there is no schema.
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Wrap {
    pub(super) fn new(schema: &Schema, options: JsonOptions) -> Self {
        let writer = SchemaWriter { numeric_decimals: options.numeric_decimals };
        let opening = |wanted: bool, of: Option<&wasmgate_model::ConnectSchema>| match of {
            _ if !wanted => Vec::new(),
            Some(schema) => writer.opening(schema).to_vec(),
            None => UNKNOWN.to_vec(),
        };
        let of = schema.documents.as_deref();
        Self {
            options,
            key: opening(options.key_schemas, of.map(|d| &d.key)),
            value: opening(options.value_schemas, of.map(|d| &d.value)),
        }
    }

    /// Appends the key of a document.
    pub(super) fn key(&self, key: &[u8], out: &mut Vec<u8>) {
        if self.key.is_empty() || is_wrapped(key) {
            out.extend_from_slice(key);
        } else if is_value(key) {
            wrapped(&self.key, key, out);
        } else {
            as_text(key, out);
        }
    }

    /// Appends a key that a stage wrote.
    pub(super) fn other_key(&self, key: &[u8], out: &mut Vec<u8>) {
        match (self.options.key_schemas && !is_wrapped(key), is_value(key)) {
            (false, _) => out.extend_from_slice(key),
            (true, true) if !key.starts_with(b"\"") => wrapped(UNKNOWN, key, out),
            (true, true) => wrapped(TEXT, key, out),
            (true, false) => as_text(key, out),
        }
    }

    /// Writes the value of a document with what stands around it.
    pub(super) fn value(
        &self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, EncodeError>,
    ) -> Result<bool, EncodeError> {
        if self.value.is_empty() {
            return write(out);
        }
        let mut document = Vec::new();
        let present = write(&mut document)?;
        if present {
            match is_wrapped(&document) {
                true => out.extend_from_slice(&document),
                false => wrapped(&self.value, &document, out),
            }
        }
        Ok(present)
    }

    /// Hands a header over that is a text.
    pub(super) fn text_header(
        &self,
        name: &str,
        text: &str,
        each: &mut dyn FnMut(&str, Option<&[u8]>),
    ) {
        if !self.options.header_schemas {
            return each(name, Some(text.as_bytes()));
        }
        let mut out = Vec::new();
        as_text(text.as_bytes(), &mut out);
        each(name, Some(&out));
    }

    /// Hands a header over; `key` opens the record's keys.
    pub(super) fn header(
        &self,
        name: &str,
        value: Option<&[u8]>,
        key: Option<&[u8]>,
        each: &mut dyn FnMut(&str, Option<&[u8]>),
    ) {
        let Some(bytes) = value.filter(|_| self.options.header_schemas) else {
            return each(name, value);
        };
        let mut out = Vec::new();
        match key {
            Some(opening) if matches!(name, "__debezium.newkey" | "__debezium.oldkey") => {
                wrapped(opening, bytes, &mut out);
            }
            _ if is_wrapped(bytes) => return each(name, value),
            _ if bytes.starts_with(b"\"") && is_value(bytes) => wrapped(TEXT, bytes, &mut out),
            _ if is_value(bytes) => wrapped(UNKNOWN, bytes, &mut out),
            _ => as_text(bytes, &mut out),
        }
        each(name, Some(&out));
    }
}

/// Whether a document has a schema already.
fn is_wrapped(document: &[u8]) -> bool {
    document.starts_with(b"{\"schema\":")
}

fn wrapped(opening: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(opening);
    out.extend_from_slice(payload);
    out.push(b'}');
}

/// Bytes that are no JSON, as a text.
fn as_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(TEXT);
    write_utf8(String::from_utf8_lossy(bytes).as_bytes(), out);
    out.push(b'}');
}
