//! Change capture from a real Postgres against recordings of the real Debezium: the same database,
//! the same statements, the same records. See `tests/golden/debezium/README.md`.
//!
//! A recording that is not run stands in [`NOT_RUN`] with the reason, a field that is not as
//! recorded in [`KNOWN`]; both lists fail the test when they say too much.

mod compare;
mod golden;
mod normalise;
mod run;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::servers::postgres;
use compare::differences;
use golden::{Golden, folder};
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
    infinity_default
    keys_and_replica_identity
    null_and_default_kept
    numeric_nan_precise
    numeric_nan_string
    partitions_root_topic
    regex_router
    replication_origin
    resume_after_kill
    schema_changes
    snapshot_markers
    toast_default
    types_default
    unwrap_default
    unwrap_delete_to_tombstone
    unwrap_drop
    unwrap_removed_options_none
    unwrap_removed_options_rewrite
    unwrap_rewrite
    unwrap_rewrite_with_tombstone
    unwrap_tombstone
}

/// Recordings that are not run, and the option that this version does not have.
const NOT_RUN: &[(&str, &str)] = &[
    ("envelope_transaction_message", "provide.transaction.metadata, logical messages"),
    ("heartbeat", "heartbeat topic and heartbeat.action.query"),
    ("infinity_isostring", "time.precision.mode"),
    ("infinity_microseconds", "time.precision.mode"),
    ("infinity_nanoseconds", "time.precision.mode"),
    ("logical_table_router", "ByLogicalTableRouter changes the key"),
    ("message_key_columns_and_masks", "message.key.columns, column.mask, column.truncate"),
    ("null_and_default", "converter.replace.null.with.default: null stays null"),
    ("outbox_default", "the outbox EventRouter"),
    ("signals_incremental_and_blocking_snapshot", "signal.data.collection, notifications"),
    ("skipped_operations", "skipped.operations other than truncate"),
    ("snapshot_select_override", "snapshot.select.statement.overrides"),
    ("transactions", "provide.transaction.metadata"),
    ("truncate", "provide.transaction.metadata"),
    ("types_connect", "time.precision.mode, binary.handling.mode, include.unknown.datatypes"),
    ("types_isostring", "time.precision.mode, binary.handling.mode"),
    ("unwrap_add_fields_headers_route", "provide.transaction.metadata"),
];

/// A field that is not as recorded: (recording, table, path, reason).
type Known = (&'static str, &'static str, &'static str, &'static str);

const KNOWN: &[Known] = &[(
    "null_and_default_kept",
    "dn",
    "value.source.snapshot",
    "with replacement off Debezium leaves out its own default, \"false\", too",
)];

/// What is right where the recording is wrong: (recording, record, column, value), from
/// `tests/golden/debezium/deviations.md`.
fn deviations() -> Vec<(&'static str, usize, &'static str, Value)> {
    let precise = json!([null, { "scale": 1, "value": "Cw==" }]);
    let texts = json!(["NAN", "1.10"]);
    let mut right = vec![
        ("numeric_nan_precise", 8, "na", precise),
        ("numeric_nan_string", 9, "na", texts.clone()),
        ("numeric_nan_string", 18, "na", texts),
        ("types_default", 31, "ts", json!(i64::MAX)),
        ("types_default", 53, "ts", json!(i64::MAX)),
    ];
    // The rows of t_arr and t_num in the snapshot and in the stream.
    for arrays in [0, 69] {
        right.push(("types_default", arrays, "ia2", json!([[1, 2], [3, 4]])));
        right.push(("types_default", arrays, "bita", json!(["BQ==", "Bg=="])));
        right.push(("types_default", arrays + 1, "bita", json!([])));
    }
    for numbers in [17, 38] {
        // 12300, -99900, 0, null (as recorded), 100 and 0 in units of hundred.
        for (row, unscaled) in [(0, "ew=="), (1, "/Bk="), (2, "AA=="), (4, "AQ=="), (5, "AA==")] {
            right.push(("types_default", numbers + row, "nneg", json!(unscaled)));
        }
    }
    right
}

fn check(name: &str) {
    let Some(server) = postgres() else { return };
    let mut golden = Golden::read(name);
    put_right(&mut golden);
    let got: Vec<Value> =
        run::run(&server, &golden).iter().map(|record| normalise(record, &golden.rules)).collect();
    let mut unused: BTreeSet<&Known> = KNOWN.iter().filter(|known| known.0 == name).collect();
    let mut wrong = String::new();
    for difference in differences(&golden.expected, &got) {
        let known = |k: &&Known| k.1 == difference.table && k.2 == difference.path;
        match KNOWN.iter().filter(|k| k.0 == name).find(known) {
            Some(known) => {
                unused.remove(known);
            }
            None => wrong.push_str(&format!("{difference}\n")),
        }
    }
    assert!(wrong.is_empty(), "{name} ({} records):\n{wrong}", golden.expected.len());
    assert!(unused.is_empty(), "as recorded by now; take out of the list: {unused:?}");
}

/// Replaces every mark of a deviation by the value that is right.
fn put_right(golden: &mut Golden) {
    for (_, record, column, value) in deviations().into_iter().filter(|d| d.0 == golden.name) {
        let place = &mut golden.expected[record]["value"]["after"][column];
        assert!(place.as_str().is_some_and(is_mark), "{record} {column} is no deviation: {place}");
        *place = value;
    }
    let left = golden.expected.iter().filter(|r| r.to_string().contains("\"<deviation:"));
    let left: Vec<&Value> = left.collect();
    assert!(left.is_empty(), "deviations without a right value: {left:?}");
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
        assert!(RUN.contains(&known.0), "not run: {known:?}");
    }
}
