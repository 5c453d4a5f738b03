//! Replaces what differs from run to run by markers: `normalise.py` of the recordings, for the
//! records that these scenarios have.

use serde_json::{Map, Value, json};

/// Members of the source block, and their markers.
const SOURCE: &[(&str, &str)] = &[
    ("version", "<version>"),
    ("ts_ms", "<ts_ms>"),
    ("ts_us", "<ts_us>"),
    ("ts_ns", "<ts_ns>"),
    ("sequence", "<sequence>"),
    ("txId", "<txid>"),
    ("lsn", "<lsn>"),
    ("gtid", "<gtid>"),
    ("file", "<file>"),
    ("pos", "<pos>"),
    ("thread", "<thread>"),
    ("server_id", "<server_id>"),
];

/// Fields that `unwrap` adds to a row.
const ADDED: &[(&str, &str)] = &[
    ("__ts_ms", "<ts_ms>"),
    ("__source_ts_ms", "<ts_ms>"),
    ("__lsn", "<lsn>"),
    ("__transaction_id", "<txn_id>"),
];

/// The gateway's record as the recordings are written. `rules` is the golden file.
pub(super) fn normalise(record: &Value, rules: &Value) -> Value {
    let mut whole = record["value"].clone();
    let mut value = match whole.get_mut("payload") {
        Some(payload) if record["value"].get("schema").is_some() => payload.take(),
        _ => whole.take(),
    };
    let topic = record["topic"].as_str().unwrap();
    let mut key = record["key"].clone();
    let mut table = topic.rsplit('.').next().unwrap().to_owned();
    for id in [value.pointer_mut("/transaction/id")].into_iter().flatten() {
        *id = json!("<txn_id>");
    }
    if topic.ends_with(".transaction") {
        mark_transaction(&mut key, &mut value);
    }
    if let Value::Object(value) = &mut value {
        if let Some(Value::Object(source)) = value.get_mut("source") {
            if let Some(name) = source.get("table").and_then(Value::as_str) {
                name.clone_into(&mut table);
            }
            mark_source(source, rules);
        }
        for (name, marker) in SOURCE.iter().filter(|(name, _)| name.starts_with("ts_")) {
            if value.get(*name).is_some_and(Value::is_i64) {
                value[*name] = json!(marker);
            }
        }
        if value.contains_key("op") && value.contains_key("source") {
            mark_row(&table, value.get_mut("before"), rules);
            mark_row(&table, value.get_mut("after"), rules);
        }
    }
    if value.get("source").is_none() {
        mark_row(&table, Some(&mut value), rules);
    }
    if value.get("aggregate_type").is_some() && value.get("additional_data").is_some() {
        value["timestamp"] = json!("<ts_ms>");
        mark_id(&mut value);
        mark_id(&mut key);
    }
    if table == "dbz_signal" {
        mark_id(&mut key);
        for image in ["before", "after"] {
            mark_signal(&mut value[image]);
        }
    }
    let headers = record["headers"].as_array().into_iter().flatten();
    let kept = |h: &&Value| !h[0].as_str().unwrap().starts_with("__debezium.context.");
    json!({
        "topic": topic,
        "key": key,
        "value": match whole {
            Value::Null => value,
            mut wrapped => {
                wrapped["payload"] = value;
                wrapped
            }
        },
        "headers": headers.filter(kept).collect::<Vec<_>>(),
    })
}

/// An identifier that begins with a UUID.
fn mark_id(object: &mut Value) {
    let Some(id) = object["id"].as_str() else { return };
    let dashes = [8, 13, 18, 23];
    let uuid = |(i, c): (usize, char)| {
        if dashes.contains(&i) { c == '-' } else { c.is_ascii_hexdigit() }
    };
    if id.len() >= 36 && id.chars().take(36).enumerate().all(uuid) {
        object["id"] = json!(format!("<uuid>{}", id.chars().skip(36).collect::<String>()));
    }
}

/// A row of the signal table: its id, and the times in its data.
fn mark_signal(row: &mut Value) {
    if !row.is_object() {
        return;
    }
    mark_id(row);
    let Some(data) = row["data"].as_str() else { return };
    let time = |text: &str| {
        let digits = text.chars().filter(char::is_ascii_digit).count();
        text.len() >= 20 && text.ends_with('Z') && text.chars().nth(10) == Some('T') && digits >= 14
    };
    let parts: Vec<&str> = data.split('"').map(|p| if time(p) { "<ts>" } else { p }).collect();
    row["data"] = json!(parts.join("\""));
}

/// Begin and end of a transaction. The entry that counts logical messages names no table.
fn mark_transaction(key: &mut Value, value: &mut Value) {
    for part in [key, &mut *value] {
        part["id"] = json!("<txn_id>");
    }
    let Some(collections) = value["data_collections"].as_array_mut() else { return };
    for entry in collections.iter_mut() {
        let name = &mut entry["data_collection"];
        if !name.as_str().unwrap().contains('.') {
            *name = json!("<message>");
        }
    }
    collections.sort_by_key(|entry| entry["data_collection"].to_string());
}

fn mark_source(source: &mut Map<String, Value>, rules: &Value) {
    let exact = rules["exact_source_time"] == true && source["origin"].is_string();
    for (name, marker) in SOURCE {
        // A snapshot has the server's number 0.
        let zero = *name == "server_id" && source.get(*name) == Some(&json!(0));
        if source.get(*name).is_none_or(Value::is_null)
            || zero
            || (exact && name.starts_with("ts_"))
        {
            continue;
        }
        source[*name] = json!(marker);
    }
}

fn mark_row(table: &str, row: Option<&mut Value>, rules: &Value) {
    let Some(Value::Object(row)) = row else { return };
    for (name, value) in row.iter_mut().filter(|(_, value)| !value.is_null()) {
        if let Some((_, marker)) = ADDED.iter().find(|(added, _)| added == name) {
            *value = json!(marker);
        }
        for column in [format!("{table}.{name}"), format!("*.{name}")] {
            let marker = &rules["volatile"][&column];
            let kept = rules["keep"][&column].as_array().is_some_and(|kept| kept.contains(value));
            let short = value.as_array().is_some_and(|list| list.len() < 2) || *value == "";
            if !marker.is_null() && !kept && !short {
                *value = marker.clone();
            }
        }
    }
}
