//! What is not as recorded, and why: recordings that are not run,
//! fields that differ, and what is right where the recorded engine is wrong.

use serde_json::{Value, json};

/// Recordings that are not run, and the option that this version does not have.
pub(super) const NOT_RUN: &[(&str, &str)] = &[
    ("logical_table_router", "ByLogicalTableRouter changes the key"),
    ("outbox_default", "the outbox EventRouter"),
];

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

pub(super) const KNOWN: &[Known] = &[known(
    "null_and_default_kept",
    "dn",
    &["value.source.snapshot"],
    "with replacement off Debezium leaves out its own default, \"false\", too",
)];

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
