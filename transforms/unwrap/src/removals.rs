//! `drop.fields.header.name`: a header lists the fields that its record leaves without.

use wasmgate_sdk::json::{self, Value};
use wasmgate_sdk::prelude::*;

use crate::Form;
use crate::options::Options;

/// Which fields may be dropped.
pub(crate) struct Removals {
    /// Column of the header.
    column: usize,
    from_key: bool,
    allowed: Allowed,
}

enum Allowed {
    All,
    /// Schema-compatible: these are optional.
    Only(Vec<String>),
    /// Schema-compatible, but the payload carries no schema: only the key is known to be required.
    AllBut(Vec<String>),
}

impl Removals {
    pub(crate) fn new(column: usize, options: &Options, schema: &Schema) -> Self {
        let compatible = options.drop_fields_keep_compatible.0;
        let is_key = |name: &String| schema.key.contains(name);
        let allowed = if !compatible {
            Allowed::All
        } else if schema.open {
            Allowed::AllBut(schema.key.clone())
        } else {
            let optional = schema.fields.iter().filter(|field| field.nullable);
            let names = optional.map(|field| field.name.clone());
            Allowed::Only(names.filter(|name| !is_key(name)).collect())
        };
        // Fields of a key are required: a compatible schema keeps them.
        Self { column, from_key: options.drop_fields_from_key.0 && !compatible, allowed }
    }

    pub(crate) fn apply(
        &self,
        batch: &Batch,
        forms: &[Form],
        output: &mut Output,
    ) -> Result<(), String> {
        let headers = batch.column(self.column)?.texts()?;
        for ((row, form), header) in (0..).zip(forms).zip(headers) {
            let Some(header) = header.value() else { continue };
            let listed = names(header);
            let mut fields = Vec::new();
            if self.from_key && matches!(form, Form::Row { .. } | Form::Emptied) {
                fields.extend(listed.iter().map(|name| format!("$key.{name}")));
            }
            if matches!(form, Form::Row { .. }) {
                fields.extend(listed.into_iter().filter(|name| self.allows(name)));
            }
            if !fields.is_empty() {
                output.remove(row, fields);
            }
        }
        Ok(())
    }

    fn allows(&self, name: &String) -> bool {
        match &self.allowed {
            Allowed::All => true,
            Allowed::Only(names) => names.contains(name),
            Allowed::AllBut(names) => !names.contains(name),
        }
    }
}

/// A JSON list of names, bare or as the payload of a document with a schema; one plain name
/// otherwise.
fn names(header: &str) -> Vec<String> {
    let value = json::from_str(header).unwrap_or_else(|_| Value::from(header));
    let list = value.get("payload").unwrap_or(&value);
    let name = |value: &Value| value.as_str().map(str::to_owned);
    match list {
        Value::Array(items) => items.iter().filter_map(name).collect(),
        other => name(other).into_iter().collect(),
    }
}
