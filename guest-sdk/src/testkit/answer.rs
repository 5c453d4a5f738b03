//! The host's side of an answer: checked against the contract, then applied to the records.

use serde_json::{Map, Value};

use crate::column::Cell;
use crate::contract::{
    Column, Field, Kind, Output, Projection, RejectVerdict, Shape, TextForm, Values,
};
use crate::testkit::record::{Fate, Record};

/// What the host refuses.
pub(crate) fn check(output: &Output, projection: &Projection, rows: u32) -> Result<(), String> {
    let (found, wanted) = (output.columns.len(), projection.writes.len());
    if found != wanted {
        return Err(format!("the answer has {found} columns, the projection writes {wanted}"));
    }
    for (column, field) in output.columns.iter().zip(&projection.writes) {
        check_column(column, field, rows)?;
    }
    ascending("rejects", output.rejects.iter().map(|reject| reject.row), rows)?;
    ascending("removals", output.removals.iter().map(|removal| removal.row), rows)?;
    if projection.texts == TextForm::Each {
        return Err("the testkit hands over texts as blocks only".to_owned());
    }
    Ok(())
}

fn check_column(column: &Column, field: &Field, rows: u32) -> Result<(), String> {
    let name = &field.name;
    if column.rows() != rows as usize {
        return Err(format!("column `{name}` has {} values for {rows} rows", column.rows()));
    }
    let fits = match &column.values {
        Values::Booleans(_) => field.kind == Kind::Boolean,
        Values::Floats(_) => field.kind == Kind::Float,
        Values::Ints(_) => {
            matches!(field.kind, Kind::Integer | Kind::TimestampUs | Kind::DateDays | Kind::TimeUs)
        }
        Values::Texts(_) | Values::Block(_) => {
            matches!(field.kind, Kind::Text | Kind::Json | Kind::Decimal | Kind::Uuid)
        }
        Values::Blobs(_) => field.kind == Kind::Bytes,
    };
    if !fits {
        return Err(format!("column `{name}` does not hold values of kind {}", field.kind.name()));
    }
    ascending(name, column.nulls.iter().copied(), rows)?;
    ascending(name, column.absent.iter().copied(), rows)?;
    match column.absent.iter().find(|row| !column.nulls.contains(row)) {
        Some(row) => Err(format!("column `{name}`: row {row} is absent but not null")),
        None => Ok(()),
    }
}

fn ascending(what: &str, rows: impl Iterator<Item = u32>, limit: u32) -> Result<(), String> {
    let mut last = None;
    for row in rows {
        if row >= limit {
            return Err(format!("{what}: row {row} of a call with {limit} rows"));
        }
        if last.is_some_and(|last| last >= row) {
            return Err(format!("{what}: rows do not ascend at {row}"));
        }
        last = Some(row);
    }
    Ok(())
}

/// The value of one written field in one row.
fn written(column: &Column, field: &Field, row: usize) -> Cell<Value> {
    let number = row as u32;
    if column.absent.binary_search(&number).is_ok() {
        return Cell::Absent;
    }
    if column.nulls.binary_search(&number).is_ok() {
        return Cell::Null;
    }
    let value = match &column.values {
        Values::Booleans(values) => values.get(row).map(|value| Value::from(*value)),
        Values::Ints(values) => values.get(row).map(|value| Value::from(*value)),
        Values::Floats(values) => values.get(row).map(|value| Value::from(*value)),
        Values::Texts(_) | Values::Block(_) => column
            .texts()
            .ok()
            .and_then(|mut texts| texts.nth(row))
            .and_then(Cell::value)
            .map(|text| text_value(text, field)),
        Values::Blobs(_) => None,
    };
    value.map_or(Cell::Null, Cell::Value)
}

fn text_value(text: &str, field: &Field) -> Value {
    if field.kind != Kind::Json {
        return Value::from(text);
    }
    serde_json::from_str(text)
        .unwrap_or_else(|_| panic!("field `{}`: the written text {text:?} is not JSON", field.name))
}

/// What becomes of the rows of one call.
pub(crate) fn fates(output: &Output, projection: &Projection, records: Vec<Record>) -> Vec<Fate> {
    let mut rejects = output.rejects.iter().peekable();
    let mut fates = Vec::with_capacity(records.len());
    for (row, record) in records.into_iter().enumerate() {
        if let Some(reject) = rejects.next_if(|reject| reject.row as usize == row) {
            fates.push(match &reject.verdict {
                RejectVerdict::Drop => Fate::Discarded,
                RejectVerdict::DeadLetter(reason) => Fate::DeadLettered {
                    code: reason.code.clone(),
                    message: reason.message.clone(),
                },
            });
            continue;
        }
        let removal = output.removals.iter().find(|removal| removal.row as usize == row);
        let fields = removal.map(|removal| removal.fields.as_slice()).unwrap_or_default();
        fates.push(Fate::Kept(apply(output, projection, record, row, fields)));
    }
    fates
}

fn apply(
    output: &Output,
    projection: &Projection,
    mut record: Record,
    row: usize,
    removed: &[String],
) -> Record {
    if projection.shape == Shape::Row {
        record.value = record.image().clone();
        record.envelope = false;
    }
    for name in projection.removes.iter().chain(removed) {
        match name.strip_prefix("$key.") {
            Some(field) => remove(Some(&mut record.key), field),
            None => remove(image(&mut record), name),
        }
    }
    for (from, to) in &projection.renames {
        if let Some(object) = image(&mut record).and_then(Value::as_object_mut)
            && let Some(value) = object.remove(from)
        {
            object.insert(to.clone(), value);
        }
    }
    let mut tombstone = false;
    for (column, field) in output.columns.iter().zip(&projection.writes) {
        match (field.name.as_str(), written(column, field, row)) {
            (_, Cell::Absent) => {}
            ("$tombstone", value) => tombstone |= value == Cell::Value(Value::Bool(true)),
            (name, value) => {
                write(&mut record, name, value.value().unwrap_or(Value::Null));
            }
        }
    }
    if tombstone {
        record.value = Value::Null;
    }
    record
}

/// The object that plain names belong to.
fn image(record: &mut Record) -> Option<&mut Value> {
    match record.image_name() {
        None => Some(&mut record.value),
        Some(name) => record.value.get_mut(name),
    }
}

fn remove(object: Option<&mut Value>, name: &str) {
    if let Some(members) = object.and_then(Value::as_object_mut) {
        members.remove(name);
    }
}

fn write(record: &mut Record, name: &str, value: Value) {
    if let Some(header) = name.strip_prefix("$header.") {
        record.headers.push((header.to_owned(), value));
        return;
    }
    match name {
        "$topic" => value.as_str().unwrap_or_default().clone_into(&mut record.topic),
        "$key" => record.key = value,
        "$partition" => {
            let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
            record.partition = number.unwrap_or(record.partition);
        }
        _ => {
            if let Some(object) = image(record).filter(|object| object.is_object()) {
                insert(object, name, value);
            }
        }
    }
}

fn insert(object: &mut Value, name: &str, value: Value) {
    let Some(members) = object.as_object_mut() else {
        return;
    };
    match name.split_once('.') {
        Some((outer, inner)) if !members.contains_key(name) => {
            let nested =
                members.entry(outer.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            insert(nested, inner, value);
        }
        _ => {
            members.insert(name.to_owned(), value);
        }
    }
}
