//! Change capture from a real Postgres against recordings of the real Debezium: the same database,
//! the same statements, the same records. See `tests/golden/debezium/README.md`.
//!
//! A recording that is not run stands in [`NOT_RUN`] with the reason, a field that is not as
//! recorded in [`KNOWN`]; both lists fail the test when they say too much.

mod compare;
mod golden;
mod known;
mod mysql;
mod normalise;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_services::postgres::{Options, Postgres};

use super::servers::postgres;
use compare::differences;
use golden::{Golden, folder};
use known::{KNOWN, Known, NOT_RUN, deviations};
use normalise::normalise;

macro_rules! scenarios {
    ($($name:ident)*) => {
        /// Recordings that are run.
        const RUN: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

scenarios! {
    delete_not_null_columns
    envelope_transaction_message
    heartbeat
    infinity_default
    infinity_isostring
    infinity_microseconds
    infinity_nanoseconds
    keys_and_replica_identity
    message_key_columns_and_masks
    null_and_default_kept
    null_and_default
    numeric_nan_precise
    numeric_nan_string
    partitions_root_topic
    regex_router
    replication_origin
    resume_after_kill
    schema_changes
    signals_incremental_and_blocking_snapshot
    skipped_operations
    snapshot_markers
    snapshot_select_override
    toast_default
    transactions
    truncate
    types_connect
    types_default
    types_isostring
    unwrap_add_fields_headers_route
    unwrap_default
    unwrap_delete_to_tombstone
    unwrap_drop
    unwrap_removed_options_none
    unwrap_removed_options_rewrite
    unwrap_rewrite
    unwrap_rewrite_with_tombstone
    unwrap_tombstone
}

fn check(name: &str) {
    let mut golden = Golden::read("postgres", name);
    put_right(&mut golden);
    let Some(server) = server(&golden) else { return };
    let mut got: Vec<Value> =
        run::run(&server, &golden).iter().map(|record| normalise(record, &golden.rules)).collect();
    if golden.rules["compare"] == "per-topic" {
        let topic = |record: &Value| record["topic"].as_str().unwrap().to_owned();
        got.sort_by_key(topic);
        golden.expected.sort_by_key(topic);
    }
    let known: Vec<&Known> = KNOWN.iter().filter(|known| known.recording == name).collect();
    let place = |known: &Known, path: &'static str| (known.table, path);
    let paths = |k: &&'static Known| k.paths.iter().map(|p| place(k, p)).collect::<Vec<_>>();
    let mut unused: BTreeSet<_> = known.iter().flat_map(paths).collect();
    let mut wrong = String::new();
    let (expected, got) = (golden.distinct(golden.expected.clone()), golden.distinct(got));
    for difference in differences(&expected, &got) {
        let here = |k: &&&Known| {
            k.table == difference.table && k.paths.contains(&difference.path.as_str())
        };
        match known.iter().find(here) {
            Some(_) => unused.retain(|(t, p)| (*t, *p) != (&*difference.table, &*difference.path)),
            None => wrong.push_str(&format!("{difference}\n")),
        }
    }
    assert!(wrong.is_empty(), "{name} ({} records):\n{wrong}", golden.expected.len());
    assert!(unused.is_empty(), "as recorded by now; take out of the list: {unused:?}");
}

/// The shared server, or one of its own for a recording that needs other settings.
fn server(golden: &Golden) -> Option<Arc<Postgres>> {
    let shared = postgres()?;
    let Some(settings) = golden.rules["server_settings"].as_object() else { return Some(shared) };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let settings = settings.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    Some(Arc::new(Postgres::start(&Options { settings, ..Options::default() }).unwrap()))
}

/// Replaces every mark of a deviation by the value that is right.
fn put_right(golden: &mut Golden) {
    for (_, record, column, value) in deviations().into_iter().filter(|d| d.0 == golden.name) {
        let whole = &mut golden.expected[record]["value"];
        let row = if whole.get("payload").is_some() { &mut whole["payload"] } else { whole };
        let place = &mut row["after"][column];
        assert!(place.as_str().is_some_and(is_mark), "{record} {column} is no deviation: {place}");
        *place = value;
    }
    golden.expected.iter_mut().for_each(schema_put_right);
    let marked = |r: &&Value| r.to_string().contains("\"<deviation:");
    let left: Vec<_> = golden.expected.iter().filter(marked).map(|r| &r["topic"]).collect();
    assert!(left.is_empty(), "deviations without a right value in {left:?}");
}

/// The same inside schemas: fields of arrays, the scale of a number.
fn schema_put_right(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(schema_put_right),
        Value::Array(entries) => {
            entries.iter_mut().for_each(schema_put_right);
            let bits = json!({ "type": "bytes", "optional": true, "name": "io.debezium.data.Bits",
                "version": 1, "parameters": { "length": "3" } });
            let numbers = json!({ "type": "int32", "optional": true });
            let list = |items| json!({ "type": "array", "items": items, "optional": true });
            for entry in entries {
                let (mut right, name) = match entry.as_str() {
                    Some("<deviation:PG-06>") => (list(list(numbers.clone())), "ia2"),
                    Some("<deviation:PG-07>") => (list(bits.clone()), "bita"),
                    _ => continue,
                };
                right["field"] = name.into();
                *entry = right;
            }
        }
        // the scale that is used
        Value::String(text) if text == "<deviation:PG-01>" => *text = "-2".into(),
        _ => {}
    }
}

fn is_mark(text: &str) -> bool {
    text.starts_with("<deviation:")
}

#[test]
fn every_recording_is_run_or_named() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.filter_map(|f| {
        let name = f.to_str()?.strip_prefix("postgres_")?.strip_suffix(".json")?;
        Some(name.to_owned())
    });
    let recorded: BTreeSet<String> = names.collect();
    let mut listed = BTreeSet::new();
    for name in RUN.iter().chain(NOT_RUN.iter().map(|(name, _)| name)) {
        assert!(listed.insert((*name).to_owned()), "{name} is listed twice");
    }
    assert_eq!(listed, recorded);
    for known in KNOWN {
        assert!(RUN.contains(&known.recording) && !known.reason.is_empty(), "{known:?}");
    }
}
