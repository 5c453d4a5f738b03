//! Expected against found, in lines that name the place.

use serde_json::{Map, Value};

use crate::case::{CaseFile, Expected, Found, Input, Kept, RowCase, Wanted, WantedValue};

/// What differs for one row; empty when all is as it should be.
#[must_use]
pub fn differences(case: &CaseFile, row: &RowCase, found: &Found) -> Vec<String> {
    match (&row.expected, found) {
        (Expected::Drop, Found::Dropped) => Vec::new(),
        (Expected::DeadLetter(dead), Found::DeadLettered { code, message }) => {
            let mut lines = Vec::new();
            if dead.code != *code {
                lines.push(line("code", &dead.code, code));
            }
            if let Some(part) = dead.message.as_ref().filter(|part| !message.contains(*part)) {
                lines.push(line("message", &format!("… {part} …"), message));
            }
            lines
        }
        (Expected::Keep(wanted), Found::Kept(kept)) => {
            let mut lines = Vec::new();
            leaves(&row.input, case.schema.envelope, wanted, kept, &mut lines);
            lines
        }
        (expected, found) => vec![line("verdict", &wish(expected), &fate(found))],
    }
}

/// What differs where a refusal is expected; `found` is the refusal, if there was one.
#[must_use]
pub fn refusal_difference(expected: &str, found: Option<&str>) -> Option<String> {
    match found {
        Some(found) if found.contains(expected) => None,
        Some(found) => Some(line("refusal", &format!("… {expected} …"), found)),
        None => Some(line("refusal", &format!("… {expected} …"), "none: it was taken")),
    }
}

fn line(place: &str, expected: &str, found: &str) -> String {
    format!("{place}: expected {expected}, found {found}")
}

fn wish(expected: &Expected) -> String {
    match expected {
        Expected::Keep(_) => "keep".to_owned(),
        Expected::Drop => "drop".to_owned(),
        Expected::DeadLetter(dead) => format!("dead letter {}", dead.code),
    }
}

fn fate(found: &Found) -> String {
    match found {
        Found::Kept(_) => "keep".to_owned(),
        Found::Dropped => "drop".to_owned(),
        Found::DeadLettered { code, message } => format!("dead letter {code} ({message})"),
    }
}

fn leaves(input: &Input, envelope: bool, wanted: &Wanted, kept: &Kept, lines: &mut Vec<String>) {
    let value = match &wanted.value {
        WantedValue::Whole(value) => value.clone(),
        WantedValue::Changed { write, remove } => {
            let mut value = input.value.clone();
            let image = match input.image(envelope) {
                Some(member) => value.get_mut(member),
                None => Some(&mut value),
            };
            if let Some(Value::Object(members)) = image {
                remove.iter().for_each(|name| take_out(members, name));
                for (name, value) in write {
                    put(members, name, value.clone());
                }
            }
            value
        }
    };
    values("value", &value, &kept.value, lines);
    let topic = wanted.topic.as_ref().unwrap_or(&input.topic);
    if *topic != kept.topic {
        lines.push(line("topic", topic, &kept.topic));
    }
    let asked = wanted.partition.filter(|number| *number != input.partition);
    if asked != kept.partition.filter(|number| *number != input.partition) {
        let show = |partition: Option<i32>| {
            partition.map_or_else(|| "none asked for".to_owned(), |number| number.to_string())
        };
        lines.push(line("partition", &show(wanted.partition), &show(kept.partition)));
    }
    let key = wanted.key.as_ref().unwrap_or(&input.key);
    values("key", &key_form(key), &key_form(&kept.key), lines);
    let headers: Vec<_> = input.headers.iter().chain(&wanted.headers).collect();
    for at in 0..headers.len().max(kept.headers.len()) {
        match (headers.get(at), kept.headers.get(at)) {
            (Some((name, value)), Some((own, found))) if name == own => {
                values(&format!("headers.{name}"), &text(value), &text(found), lines);
            }
            (expected, found) => {
                let show = |pair: Option<&(String, Value)>| {
                    pair.map_or_else(|| "none".to_owned(), |(n, v)| format!("{n}: {v}"))
                };
                let place = format!("header {}", at + 1);
                lines.push(line(&place, &show(expected.copied()), &show(found)));
            }
        }
    }
}

/// A header's value as it stands in the record: bytes.
fn text(value: &Value) -> Value {
    match value {
        Value::Null | Value::String(_) => value.clone(),
        other => Value::String(other.to_string()),
    }
}

/// Keys are bytes too: the number 5 and the text "5" are one key. Objects are compared as such.
fn key_form(key: &Value) -> Value {
    match key {
        Value::Object(_) | Value::Array(_) => key.clone(),
        other => text(other),
    }
}

/// A member by its own name, else by the parts of a dotted one, as the contract names fields.
fn put(members: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((outer, inner)) if !members.contains_key(name) => {
            let nested = members.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if nested.is_null() {
                *nested = Value::Object(Map::new());
            }
            match nested {
                Value::Object(nested) => put(nested, inner, value),
                _ => drop(members.insert(name.to_owned(), value)),
            }
        }
        _ => drop(members.insert(name.to_owned(), value)),
    }
}

fn take_out(members: &mut Map<String, Value>, name: &str) {
    if members.shift_remove(name).is_some() {
        return;
    }
    if let Some((outer, inner)) = name.split_once('.')
        && let Some(Value::Object(nested)) = members.get_mut(outer)
    {
        take_out(nested, inner);
    }
}

/// Compares values member by member. Numbers are compared as numbers: 1 is 1.0.
fn values(place: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(have)) => {
            for (name, value) in wanted {
                let place = format!("{place}.{name}");
                match have.get(name) {
                    Some(found) => values(&place, value, found, lines),
                    None => lines.push(line(&place, &value.to_string(), "nothing")),
                }
            }
            for (name, value) in have.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                lines.push(line(&format!("{place}.{name}"), "nothing", &value.to_string()));
            }
        }
        (Value::Array(wanted), Value::Array(have)) if wanted.len() == have.len() => {
            for (at, (expected, found)) in wanted.iter().zip(have).enumerate() {
                values(&format!("{place}[{at}]"), expected, found, lines);
            }
        }
        (Value::Number(a), Value::Number(b)) if a == b || same_number(expected, found) => {}
        _ if expected == found => {}
        _ => lines.push(line(place, &expected.to_string(), &found.to_string())),
    }
}

/// Whether two numbers of different form are the same.
fn same_number(a: &Value, b: &Value) -> bool {
    let whole = |value: &Value| value.is_i64() || value.is_u64();
    !(whole(a) && whole(b)) && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a == b)
}
