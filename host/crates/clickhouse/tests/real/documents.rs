//! Documents by the schema of their table.

use std::sync::Arc;

use wasmgate_connector::fakes;
use wasmgate_model::Schema;

use super::engine::{engine, unique};
use super::rig::*;

fn documents(
    topic: &str,
    id: u64,
    records: &[(Option<&str>, Option<&str>)],
) -> wasmgate_model::Batch {
    let schema = Arc::new(Schema::open((1 << 30) + id, topic.into(), false));
    let records: Vec<_> =
        records.iter().map(|(k, v)| (k.map(str::as_bytes), v.map(str::as_bytes))).collect();
    fakes::documents(&schema, 0, &records)
}

/// The same rows later in the partition.
fn shifted(mut batch: wasmgate_model::Batch, by: u64) -> wasmgate_model::Batch {
    batch.positions.iter_mut().for_each(|at| at.major += by);
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn members_go_to_the_columns_of_their_names() {
    let Some(engine) = engine() else { return };
    let table = unique("cdr");
    engine
        .query(&format!(
            "CREATE TABLE {table} (call_id String, start DateTime64(3, 'UTC'), seconds UInt32, spending Nullable(Decimal(10, 2)), \
             fraud Bool, tags Array(String), extra Nullable(String), kind LowCardinality(String) DEFAULT 'voice', rate Float32, \
             _version UInt128, _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY call_id"
        ))
        .unwrap();
    let mut sink = open(settings(&engine.url())).await;
    let full = r#"{"call_id":"a","start":"2024-05-06T07:08:09.5Z","seconds":7,"spending":455.0,"fraud":true,"tags":["x","y"],"extra":{"n":[1]},"kind":"video","rate":0.1}"#;
    let rows = documents(
        &table,
        1,
        &[
            (None, Some(full)),
            (
                None,
                Some(
                    r#"{"call_id":"b","start":"2024-05-06 07:08:09","seconds":0,"fraud":false,"tags":[],"rate":1}"#,
                ),
            ),
            (
                None,
                Some(
                    r#"{"call_id":"c","start":1000,"seconds":-1,"fraud":false,"tags":[],"rate":1}"#,
                ),
            ),
            (
                None,
                Some(
                    r#"{"call_id":"d","start":"2024-05-06T07:08:09Z","seconds":1,"fraud":false,"tags":[],"rate":1,"nope":1}"#,
                ),
            ),
            (None, Some(r#"{"call_id":"e","seconds":"x","fraud":false,"tags":[],"rate":1}"#)),
            (None, Some("{broken")),
            (
                None,
                Some(
                    r#"{"call_id":"g","start":"2024-05-06T07:08:09Z","fraud":false,"tags":[],"rate":1}"#,
                ),
            ),
            (None, None),
        ],
    );
    let done = written(&mut sink, request(0, vec![rows])).await;
    assert_eq!(
        refused(&done),
        [
            (2, "out-of-range"),
            (3, "unknown-field"),
            (4, "wrong-kind"),
            (5, "invalid-json"),
            (6, "null-not-allowed"),
            (7, "no-key"),
        ]
    );
    assert!(done.refused.iter().all(|r| !r.cause.message.contains("2024")), "{done:?}");
    let deleted = documents(&table, 1, &[(Some(r#"{"call_id":"a"}"#), None)]);
    written(&mut sink, request(9, vec![shifted(deleted, 9)])).await;
    let read =
        format!("SELECT call_id, start, seconds, kind, _is_deleted FROM {table} ORDER BY _version");
    assert_eq!(
        lines(&engine, &read),
        [
            "a\t2024-05-06 07:08:09.500\t7\tvideo\t0",
            "b\t2024-05-06 07:08:09.000\t0\tvoice\t0",
            "a\t1970-01-01 00:00:00.000\t0\tvoice\t1",
        ]
    );
    let whole = format!(
        "SELECT spending, fraud, tags, extra, rate FROM {table} WHERE call_id = 'a' AND NOT _is_deleted"
    );
    assert_eq!(lines(&engine, &whole), ["455\ttrue\t['x','y']\t{\"n\":[1]}\t0.1"]);
    assert_eq!(lines(&engine, &format!("SELECT call_id FROM {table} FINAL")), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_do_not_make_tables_and_unknown_members_may_be_ignored() {
    let Some(engine) = engine() else { return };
    let table = unique("open");
    let mut own = settings(&engine.url());
    own.table.ignore_unknown = true;
    let mut sink = open(own.clone()).await;
    let rows = || documents(&table, 2, &[(None, Some(r#"{"a":1,"b":2}"#))]);
    let fault = write(&mut sink, request(0, vec![rows()])).await.unwrap_err();
    assert!(fault.chain().contains("create it"), "{}", fault.chain());
    engine.query(&format!("CREATE TABLE {table} (a Int8) ENGINE = MergeTree ORDER BY a")).unwrap();
    let mut sink = open(own).await;
    assert_eq!(written(&mut sink, request(0, vec![rows()])).await.records, 1);
    assert_eq!(lines(&engine, &format!("SELECT a FROM {table}")), ["1"]);
}
