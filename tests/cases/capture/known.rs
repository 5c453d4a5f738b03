//! What is not as recorded, and why: recordings that are not run, options that are left out,
//! fields that differ, and what is right where the recorded engine is wrong.

use serde_json::{Value, json};

/// Recordings that are not run, and the option that this version does not have.
pub(super) const NOT_RUN: &[(&str, &str)] = &[
    ("heartbeat", "heartbeat topic and heartbeat.action.query"),
    ("infinity_isostring", "time.precision.mode"),
    ("infinity_microseconds", "time.precision.mode"),
    ("infinity_nanoseconds", "time.precision.mode"),
    ("logical_table_router", "ByLogicalTableRouter changes the key"),
    ("null_and_default", "converter.replace.null.with.default: null stays null"),
    ("outbox_default", "the outbox EventRouter"),
    ("signals_incremental_and_blocking_snapshot", "signal.data.collection, notifications"),
    ("skipped_operations", "skipped.operations other than truncate"),
];

/// Options that this version lacks, of recordings that are run without them.
pub(super) fn lacking(recording: &str) -> &'static [&'static str] {
    match recording {
        "envelope_transaction_message"
        | "transactions"
        | "truncate"
        | "unwrap_add_fields_headers_route" => &["provide.transaction.metadata"],
        "message_key_columns_and_masks" => &[
            "message.key.columns",
            "column.mask.with.5.chars",
            "column.truncate.to.3.chars",
            "column.mask.hash.SHA-256.with.salt.CzQMA0cB5K",
        ],
        "types_connect" => &[
            "time.precision.mode",
            "binary.handling.mode",
            "hstore.handling.mode",
            "interval.handling.mode",
            "include.unknown.datatypes",
        ],
        "types_isostring" => &["time.precision.mode", "binary.handling.mode"],
        _ => &[],
    }
}

/// Fields of a table's records that are not as recorded.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) recording: &'static str,
    /// Name of the table; the topic where a stage chose it.
    pub(super) table: &'static str,
    /// Each has to differ in one record at least.
    pub(super) paths: &'static [&'static str],
    /// The option that this version lacks, or what is so.
    pub(super) reason: &'static str,
}

pub(super) const KNOWN: &[Known] = &[
    known(
        "message_key_columns_and_masks",
        "t",
        &["key.a", "key.b", "key.id"],
        "message.key.columns",
    ),
    known(
        "message_key_columns_and_masks",
        "t",
        &["value.after.b", "value.after.c", "value.before.c"],
        "column.mask",
    ),
    known("message_key_columns_and_masks", "nopk", &["key"], "message.key.columns"),
    known(
        "message_key_columns_and_masks",
        "nopk",
        &["value.after.b", "value.before.b"],
        "column.truncate",
    ),
    known(
        "null_and_default_kept",
        "dn",
        &["value.source.snapshot"],
        "with replacement off Debezium leaves out its own default, \"false\", too",
    ),
    known("types_connect", "t_arr", &["value.after.tma", "value.after.tsa"], "time.precision.mode"),
    known("types_connect", "t_arr", &["value.after.hsa"], "hstore.handling.mode"),
    known("types_connect", "t_time", &["value.after.t", "value.after.ts"], "time.precision.mode"),
    known("types_connect", "t_time", &["value.after.iv"], "interval.handling.mode"),
    known(
        "types_connect",
        "t_geo",
        &[
            "value.after.l",
            "value.after.ls",
            "value.after.bx",
            "value.after.po",
            "value.after.pc",
            "value.after.pg",
            "value.after.ci",
        ],
        "include.unknown.datatypes",
    ),
    known(
        "types_connect",
        "t_misc",
        &[
            "value.after.tq",
            "value.after.lsn",
            "value.after.x",
            "value.after.x8",
            "value.after.td",
            "value.after.rc",
            "value.after.rt",
            "value.after.jp",
            "value.after.ps",
        ],
        "include.unknown.datatypes",
    ),
    known(
        "types_connect",
        "t_range",
        &["value.after.i4m", "value.after.tzm"],
        "include.unknown.datatypes",
    ),
    known("types_connect", "t_user", &["value.after.cp"], "include.unknown.datatypes"),
    known("types_connect", "t_user", &["value.after.h"], "hstore.handling.mode"),
    known(
        "types_isostring",
        "t_arr",
        &["value.after.da", "value.after.tma", "value.after.tsa"],
        "time.precision.mode",
    ),
    known(
        "types_isostring",
        "t_time",
        &[
            "value.after.d",
            "value.after.t",
            "value.after.t0",
            "value.after.t3",
            "value.after.ts",
            "value.after.ts0",
            "value.after.ts3",
        ],
        "time.precision.mode",
    ),
    known(
        "unwrap_add_fields_headers_route",
        "x",
        &["value.__transaction_id"],
        "provide.transaction.metadata",
    ),
    known(
        "unwrap_add_fields_headers_route",
        "y",
        &["value.__transaction_id"],
        "provide.transaction.metadata",
    ),
    known(
        "unwrap_add_fields_headers_route",
        "td",
        &["value.__transaction_id"],
        "provide.transaction.metadata",
    ),
];

const fn known(
    recording: &'static str,
    table: &'static str,
    paths: &'static [&'static str],
    reason: &'static str,
) -> Known {
    Known { recording, table, paths, reason }
}

/// What is right where the recording is wrong: (recording, record, column, value), from
/// `tests/golden/debezium/deviations.md`.
pub(super) fn deviations() -> Vec<(&'static str, usize, &'static str, Value)> {
    let precise = json!([null, { "scale": 1, "value": "Cw==" }]);
    let texts = json!(["NAN", "1.10"]);
    let mut right = vec![
        ("numeric_nan_precise", 8, "na", precise),
        ("numeric_nan_string", 9, "na", texts.clone()),
        ("numeric_nan_string", 18, "na", texts),
        ("types_default", 31, "ts", json!(i64::MAX)),
        ("types_default", 53, "ts", json!(i64::MAX)),
    ];
    // The rows of t_arr, then of t_num, in the snapshot and in the stream.
    for recording in ["types_connect", "types_default", "types_isostring"] {
        for arrays in [0, 69] {
            right.push((recording, arrays, "ia2", json!([[1, 2], [3, 4]])));
            right.push((recording, arrays, "bita", json!(["BQ==", "Bg=="])));
            right.push((recording, arrays + 1, "bita", json!([])));
        }
    }
    for numbers in [17, 38] {
        // 12300, -99900, 0, null (as recorded), 100 and 0 in units of hundred.
        for (row, unscaled) in [(0, "ew=="), (1, "/Bk="), (2, "AA=="), (4, "AQ=="), (5, "AA==")] {
            right.push(("types_default", numbers + row, "nneg", json!(unscaled)));
        }
    }
    right
}
