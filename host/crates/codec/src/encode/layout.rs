//! What the records of one schema have in common: names, escaped and ready to be copied.

use std::sync::Arc;

use wasmgate_model::Schema;

use crate::json;

/// Names of one schema as they stand in JSON.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// `,"name":` per field of the schema.
    pub(super) names: Vec<Box<[u8]>>,
    /// Column number, name and `,"name":` per key field.
    pub(super) key: Vec<(usize, Arc<str>, Box<[u8]>)>,
}

impl Layout {
    pub(crate) fn new(schema: &Schema) -> Self {
        let names = schema.fields.iter().map(|f| member(&f.name)).collect();
        let key = schema.key.iter();
        let field =
            |name: &Arc<str>| Some((schema.key_field(name)?.0, Arc::clone(name), member(name)));
        let key = key.filter_map(field).collect();
        Self { names, key }
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
