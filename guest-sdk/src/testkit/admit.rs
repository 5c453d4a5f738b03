//! The host's check of a projection against a schema with fields.

use crate::contract::{Read, Schema};

/// Refuses reads of fields that the schema does not have, and of kinds that do not convert.
pub(crate) fn check(schema: &Schema, reads: &[Read]) -> Result<(), String> {
    if schema.open {
        return Ok(());
    }
    for read in reads.iter().filter(|read| !read.name.starts_with('$')) {
        let old = read.name.strip_prefix("before.").filter(|_| schema.envelope);
        let name = old.unwrap_or(&read.name);
        match schema.fields.iter().find(|field| field.name == name) {
            None if read.optional => {}
            None => {
                let have: Vec<_> = schema.fields.iter().map(|f| f.name.as_str()).collect();
                let (name, topic, have) = (&read.name, &schema.source, have.join(", "));
                return Err(format!(
                    "the module reads field {name:?}, which {topic} does not have (it has {have})"
                ));
            }
            Some(field) if !field.kind.converts_to(read.kind) => {
                return Err(format!(
                    "the module reads field {:?} of {} as {}; it is {}",
                    read.name,
                    schema.source,
                    read.kind.name(),
                    field.kind.name()
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
