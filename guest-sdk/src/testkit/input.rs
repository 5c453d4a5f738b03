//! The host's side of `reads`: names resolved in a record, values converted to the wanted kind.

use std::borrow::Cow;

use serde_json::Value;

use crate::column::{
    BoolBuilder, Cell, ColumnBuilder as _, FloatBuilder, IntBuilder, TextBuilder, ValueBuilder,
};
use crate::contract::{Column, Field, Kind, Projection, Read, Values};
use crate::testkit::record::Record;

type Member<'r> = Cell<Cow<'r, Value>>;

/// The value a name stands for.
pub(crate) fn find<'r>(record: &'r Record, name: &str) -> Member<'r> {
    if let Some(old) = name.strip_prefix("before.").filter(|_| record.envelope) {
        return within(record.value.get("before").unwrap_or(&Value::Null), old);
    }
    let Some(reserved) = name.strip_prefix('$') else {
        return within(record.image(), name);
    };
    match reserved.split_once('.') {
        None => match reserved {
            "key" => present(&record.key),
            "topic" => Cell::Value(Cow::Owned(Value::from(record.topic.as_str()))),
            "partition" => Cell::Value(Cow::Owned(Value::from(record.partition))),
            "offset" => Cell::Value(Cow::Owned(Value::from(record.offset))),
            "timestamp-us" => Cell::Value(Cow::Owned(Value::from(record.timestamp_us))),
            _ => panic!("the contract has no reserved name {name}"),
        },
        Some(("key", field)) => within(&record.key, field),
        Some(("header", field)) => {
            let found = record.headers.iter().rev().find(|(header, _)| header == field);
            found.map_or(Cell::Absent, |(_, value)| present(value))
        }
        Some(("source", field)) => {
            within(record.value.get("source").unwrap_or(&Value::Null), field)
        }
        Some(("transaction", field)) => match record.value.get("transaction") {
            Some(Value::Null) => Cell::Null,
            block => within(block.unwrap_or(&Value::Null), field),
        },
        Some(("envelope", field)) => within(&record.value, field),
        Some(_) => panic!("the contract has no reserved name {name}"),
    }
}

fn present(value: &Value) -> Member<'_> {
    if value.is_null() { Cell::Null } else { Cell::Value(Cow::Borrowed(value)) }
}

/// A member by its own name, else by the parts of a dotted name.
fn within<'r>(object: &'r Value, name: &str) -> Member<'r> {
    if let Some(value) = object.get(name) {
        return present(value);
    }
    match name.split_once('.') {
        Some((outer, inner)) => object.get(outer).map_or(Cell::Absent, |o| within(o, inner)),
        None => Cell::Absent,
    }
}

/// Converts what was found.
///
/// # Errors
/// Nothing was found where a value is required, or it has no lossless form of the kind.
fn convert(
    read: &Read,
    own: Option<Kind>,
    found: Member<'_>,
) -> Result<Cell<Value>, (String, String)> {
    let value = match found {
        Cell::Value(value) => value,
        Cell::Null => return Ok(Cell::Null),
        Cell::Absent if read.optional => return Ok(Cell::Absent),
        Cell::Absent => {
            let message = format!("field {:?} is not there; the module needs it", read.name);
            return Err(("missing-field".to_owned(), message));
        }
    };
    if let (Some(Kind::Decimal), Kind::Float, Some(text)) = (own, read.kind, value.as_str())
        && let Ok(number) = text.parse::<f64>()
    {
        return Ok(Cell::Value(Value::from(number)));
    }
    let fits = match read.kind {
        Kind::Boolean => value.is_boolean(),
        Kind::Integer | Kind::TimestampUs | Kind::DateDays | Kind::TimeUs => value.is_i64(),
        Kind::Float => value.is_number(),
        Kind::Decimal | Kind::Uuid => value.is_number() || value.is_string(),
        Kind::Text | Kind::Json => true,
        Kind::Bytes => false,
    };
    if fits {
        return Ok(Cell::Value(value.into_owned()));
    }
    let message = format!("field `{}` is {value}, wanted {}", read.name, read.kind.name());
    Err(("wrong-kind".to_owned(), message))
}

/// Whether the host looks into values: a member of them is read or changed.
pub(crate) fn walks(projection: &Projection) -> bool {
    let inside = |name: &str| match name.strip_prefix('$') {
        None => true,
        Some(reserved) => {
            ["source.", "transaction.", "envelope."].iter().any(|group| reserved.starts_with(group))
        }
    };
    projection.reads.iter().any(|read| inside(&read.name))
        || projection.writes.iter().any(|write| inside(&write.name))
        || projection.removes.iter().any(|name| inside(name))
        || !projection.renames.is_empty()
}

/// Why a value in which there is nothing to look for is dead-lettered.
pub(crate) fn no_object() -> (String, String) {
    ("invalid-json".to_owned(), "not valid JSON at byte 0: an object is expected".to_owned())
}

/// One row's values for all reads, or why the record is dead-lettered before the rule sees it.
pub(crate) fn row(
    record: &Record,
    reads: &[Read],
    fields: &[Field],
) -> Result<Vec<Cell<Value>>, (String, String)> {
    let tombstone = record.value.is_null();
    let cells = reads.iter().map(|read| {
        let read = Read { optional: read.optional || tombstone, ..read.clone() };
        let name = read.name.strip_prefix("before.").filter(|_| record.envelope);
        let own = fields.iter().find(|field| field.name == name.unwrap_or(&read.name));
        convert(&read, own.map(|field| field.kind), find(record, &read.name))
    });
    cells.collect()
}

/// The column of one read from the values of all rows.
pub(crate) fn column(read: &Read, cells: Vec<Cell<Value>>) -> Column {
    match read.kind {
        Kind::Boolean => {
            values(BoolBuilder::with_rows(cells.len()), cells, |value| value.as_bool())
        }
        Kind::Integer | Kind::TimestampUs | Kind::DateDays | Kind::TimeUs => {
            values(IntBuilder::with_rows(cells.len()), cells, |value| value.as_i64())
        }
        Kind::Float => values(FloatBuilder::with_rows(cells.len()), cells, |value| value.as_f64()),
        Kind::Text | Kind::Json | Kind::Decimal | Kind::Uuid | Kind::Bytes => {
            let mut builder = TextBuilder::with_rows(cells.len());
            for cell in cells {
                match cell {
                    Cell::Value(Value::String(text)) if read.kind != Kind::Json => {
                        builder.push(&text);
                    }
                    Cell::Value(value) => builder.push(&value.to_string()),
                    Cell::Null => builder.push_null(),
                    Cell::Absent => builder.push_absent(),
                }
            }
            builder.finish()
        }
    }
}

fn values<T: Default>(
    mut builder: ValueBuilder<T>,
    cells: Vec<Cell<Value>>,
    convert: fn(&Value) -> Option<T>,
) -> Column
where
    Values: From<Vec<T>>,
{
    for cell in cells {
        match cell {
            Cell::Value(value) => builder.push(convert(&value).unwrap_or_default()),
            Cell::Null => builder.push_null(),
            Cell::Absent => builder.push_absent(),
        }
    }
    builder.finish()
}
