//! A module's answer to `bind`: its names are checked once here, so that nobody downstream meets
//! a reserved name that does not exist or a field written twice. Whether the schema has the fields
//! that are read, and whether they convert, is the planner's to decide: earlier stages add fields.

use std::collections::HashSet;

use wasmgate_connector::{Projection, Read, Write};
use wasmgate_model::{FieldPath, Kind, Shape};

use crate::bindings::types;

/// Reads, writes, removes or renames of one projection.
const FIELDS_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 1024;
/// Names beginning so are the gateway's own.
const RESERVED: char = '$';

/// Lifts and checks a projection. `envelope`: the schema's records are change envelopes.
///
/// # Errors
/// What is wrong with it: a fragment that follows "the projection".
pub(crate) fn lift(from: types::Projection, envelope: bool) -> Result<Projection, String> {
    let counts = [from.reads.len(), from.writes.len(), from.removes.len(), from.renames.len()];
    if let Some(count) = counts.into_iter().find(|count| *count > FIELDS_MAX) {
        return Err(format!("names {count} fields in one list, the limit is {FIELDS_MAX}"));
    }
    for read in &from.reads {
        check_read(&read.name, envelope)?;
    }
    let writes = lift_writes(from.writes)?;
    for write in &writes {
        if envelope && write.name.starts_with("before.") {
            return Err(format!("writes {:?}: the old image cannot be changed", write.name));
        }
    }
    for name in &from.removes {
        check_removed(name)?;
    }
    check_renames(&from.renames, &writes)?;
    let read = |r: types::Read| Read { kind: kind(r.kind), name: r.name, optional: r.optional };
    Ok(Projection {
        reads: from.reads.into_iter().map(read).collect(),
        writes,
        removes: from.removes,
        renames: from.renames,
        shape: match from.shape {
            types::Shape::Keep => Shape::Keep,
            types::Shape::Row => Shape::Row,
        },
        ops: from.ops,
    })
}

/// Lifts and checks fields that are written: of a projection, or of an emission.
pub(crate) fn lift_writes(fields: Vec<types::FieldResult>) -> Result<Vec<Write>, String> {
    let mut names = HashSet::with_capacity(fields.len());
    for field in &fields {
        check_written(&field.name, kind(field.kind))?;
        if !names.insert(field.name.as_str()) {
            return Err(format!("writes {:?} twice", field.name));
        }
    }
    let write =
        |f: types::FieldResult| Write { kind: kind(f.kind), name: f.name, nullable: f.nullable };
    Ok(fields.into_iter().map(write).collect())
}

/// Checks a name of `removes`, or of one row's removal.
pub(crate) fn check_removed(name: &str) -> Result<(), String> {
    check_name(name)?;
    let field = name.strip_prefix("$key.").unwrap_or(name);
    if field.is_empty() || field.starts_with(RESERVED) {
        return Err(format!("removes {name:?}: only fields and $key.NAME can be removed"));
    }
    Ok(())
}

fn check_read(name: &str, envelope: bool) -> Result<(), String> {
    check_name(name)?;
    let no_such = || format!("reads {name:?}: there is no such reserved name");
    let member = match FieldPath::parse(name, envelope).ok_or_else(no_such)? {
        FieldPath::Current(rest)
        | FieldPath::Before(rest)
        | FieldPath::KeyField(rest)
        | FieldPath::Header(rest)
        | FieldPath::Source(rest)
        | FieldPath::Transaction(rest)
        | FieldPath::Envelope(rest) => Some(rest),
        FieldPath::Key
        | FieldPath::Topic
        | FieldPath::Partition
        | FieldPath::Offset
        | FieldPath::TimestampUs => None,
    };
    match member {
        Some(member) if member.is_empty() => Err(format!("reads {name:?}: the name is cut off")),
        _ => Ok(()),
    }
}

fn check_written(name: &str, kind: Kind) -> Result<(), String> {
    check_name(name)?;
    let Some(reserved) = name.strip_prefix(RESERVED) else {
        return Ok(());
    };
    let wanted = match reserved {
        "topic" | "key" => Kind::Text,
        "partition" => Kind::Integer,
        "tombstone" => Kind::Boolean,
        _ if reserved.strip_prefix("header.").is_some_and(|n| !n.is_empty()) => Kind::Text,
        _ => return Err(format!("writes {name:?}: there is no such reserved name to write")),
    };
    if kind == wanted {
        return Ok(());
    }
    Err(format!("writes {name:?} as {}, it is {}", kind.name(), wanted.name()))
}

fn check_renames(renames: &[(String, String)], writes: &[Write]) -> Result<(), String> {
    let mut from_names = HashSet::new();
    let mut to_names: HashSet<&str> = writes.iter().map(|w| w.name.as_str()).collect();
    for (from, to) in renames {
        for name in [from, to] {
            check_name(name)?;
            if name.starts_with(RESERVED) {
                return Err(format!("renames {from:?} to {to:?}: reserved names stay"));
            }
        }
        if !from_names.insert(from.as_str()) {
            return Err(format!("renames {from:?} twice"));
        }
        if !to_names.insert(to.as_str()) {
            return Err(format!("renames {from:?} to {to:?}, which it also makes otherwise"));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("has a field without a name".into()),
        1..=NAME_BYTES_MAX => Ok(()),
        n => Err(format!("has a field name of {n} bytes, the limit is {NAME_BYTES_MAX} bytes")),
    }
}

/// The model's kind for the contract's.
pub(crate) fn kind(kind: types::Kind) -> Kind {
    match kind {
        types::Kind::Boolean => Kind::Boolean,
        types::Kind::Integer => Kind::Integer,
        types::Kind::Float => Kind::Float,
        types::Kind::Text => Kind::Text,
        types::Kind::Bytes => Kind::Bytes,
        types::Kind::Json => Kind::Json,
        types::Kind::Decimal => Kind::Decimal,
        types::Kind::Uuid => Kind::Uuid,
        types::Kind::TimestampUs => Kind::TimestampUs,
        types::Kind::DateDays => Kind::DateDays,
        types::Kind::TimeUs => Kind::TimeUs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projection() -> types::Projection {
        types::Projection {
            reads: vec![],
            writes: vec![],
            removes: vec![],
            renames: vec![],
            shape: types::Shape::Keep,
            texts: types::TextForm::Block,
            ops: false,
        }
    }

    #[test]
    fn reads_are_fields_or_reserved_names_that_exist() {
        for (name, wrong) in [
            ("amount", None),
            ("location.city", None),
            ("before.amount", None),
            ("$key.id", None),
            ("$timestamp-us", None),
            ("$nonsense", Some("no such reserved name")),
            ("$header.", Some("cut off")),
            ("before.", Some("cut off")),
            ("", Some("without a name")),
        ] {
            let kind = types::Kind::Text;
            let read = types::Read { name: name.into(), kind, optional: false };
            let lifted = lift(types::Projection { reads: vec![read], ..projection() }, true);
            let message = lifted.err();
            assert_eq!(message.is_some(), wrong.is_some(), "{name}: {message:?}");
            assert!(message.unwrap_or_default().contains(wrong.unwrap_or_default()), "{name}");
        }
    }

    #[test]
    fn writes_have_one_kind_and_one_meaning() {
        let field = |(name, kind): &(&str, types::Kind)| types::FieldResult {
            name: (*name).into(),
            kind: *kind,
            nullable: true,
        };
        use types::Kind::{Boolean, Integer, Text};
        for (fields, wrong) in [
            (vec![("a", Text), ("$topic", Text), ("$tombstone", Boolean)], None),
            (vec![("$header.x", Text), ("$partition", Integer)], None),
            (vec![("a", Text), ("a", Integer)], Some("twice")),
            (vec![("$topic", Integer)], Some("as integer, it is text")),
            (vec![("$offset", Integer)], Some("no such reserved name to write")),
            (vec![("before.a", Text)], Some("old image")),
        ] {
            let writes = fields.iter().map(field).collect();
            let lifted = lift(types::Projection { writes, ..projection() }, true);
            let message = lifted.err();
            assert_eq!(message.is_some(), wrong.is_some(), "{fields:?}: {message:?}");
            assert!(message.unwrap_or_default().contains(wrong.unwrap_or_default()), "{fields:?}");
        }
    }

    #[test]
    fn removes_and_renames_leave_reserved_names_alone() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        for (removes, renames, good) in [
            (vec!["a", "$key.id"], vec![pair("b", "c")], true),
            (vec!["$topic"], vec![], false),
            (vec!["$key."], vec![], false),
            (vec![], vec![pair("a", "$key")], false),
            (vec![], vec![pair("a", "b"), pair("a", "c")], false),
            (vec![], vec![pair("a", "c"), pair("b", "c")], false),
        ] {
            let shown = format!("{removes:?} {renames:?}");
            let removes = removes.into_iter().map(String::from).collect();
            let lifted = lift(types::Projection { removes, renames, ..projection() }, false);
            assert_eq!(lifted.is_ok(), good, "{shown}");
        }
    }
}
