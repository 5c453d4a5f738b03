//! What rows are told apart by: the record's key, columns of one's own, the key as a whole.

use std::sync::Arc;

use wasmgate_connector::fakes;
use wasmgate_model::{FaultKind, Kind, Logical, Op, Schema};

use super::engine::{engine, unique};
use super::rig::*;

/// Orders with other key fields.
fn keyed(topic: &str, key: &[&str]) -> Arc<Schema> {
    let mut schema = (*orders(topic)).clone();
    schema.id += 1 << 40;
    schema.key = key.iter().map(|name| (*name).into()).collect();
    Arc::new(schema)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_several_columns_in_an_order_of_its_own_is_the_sorting_key() {
    let Some(engine) = engine() else { return };
    let table = unique("keys");
    let schema = keyed(&format!("db.public.{table}"), &["name", "id"]);
    let mut sink = open(settings(&engine.url())).await;
    let rows = batch(
        &schema,
        &[
            (Op::Create, 1, &[Some("1"), Some("a"), Some("1")]),
            (Op::Create, 2, &[Some("1"), Some("b"), Some("2")]),
            (Op::Update, 3, &[Some("1"), Some("a"), Some("3")]),
            (Op::Delete, 4, &[Some("1"), Some("b"), None]),
            // A delete that knows a part of its key alone says nothing about any row.
            (Op::Delete, 5, &[Some("1"), None, None]),
        ],
    );
    let done = written(&mut sink, request(0, vec![rows])).await;
    assert_eq!(refused(&done), [(4, "null-not-allowed")]);
    let read = format!("SELECT id, name, amount FROM {table} FINAL");
    assert_eq!(lines(&engine, &read), ["1\ta\t3"]);
    let sorting = format!("SELECT sorting_key FROM system.tables WHERE name = '{table}'");
    assert_eq!(lines(&engine, &sorting), ["name, id"]);
}

/// The server does not widen a column of the sorting key: somebody has to make a new table.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_became_wider_stops_the_sink_and_says_so() {
    let Some(engine) = engine() else { return };
    let table = unique("wider");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(settings(&engine.url())).await;
    written(&mut sink, all(numbered(&schema, 0, 1))).await;
    let mut wider = (*schema).clone();
    wider.id += 1 << 40;
    wider.fields[0].logical = Logical::Bits(64);
    let fault = write(&mut sink, all(numbered(&Arc::new(wider), 1, 2))).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::SinkRefused);
    assert!(fault.chain().contains("make a new table"), "{}", fault.chain());
    assert_eq!(lines(&engine, &format!("SELECT id FROM {table}")), ["1"]);
}

/// `order_by` instead of the key: an update that changes one of its columns leaves the old row.
#[tokio::test(flavor = "multi_thread")]
async fn order_by_tells_rows_apart_in_place_of_the_key() {
    let Some(engine) = engine() else { return };
    let table = unique("ordered");
    let schema = orders(&format!("db.public.{table}"));
    let mut own = settings(&engine.url());
    own.table.order_by = vec!["name".to_owned(), "id".to_owned()];
    let mut sink = open(own.clone()).await;
    let rows = batch(
        &schema,
        &[
            (Op::Create, 1, &[Some("1"), Some("a"), Some("1")]),
            (Op::Update, 2, &[Some("1"), Some("a"), Some("2")]),
            (Op::Create, 3, &[Some("2"), Some("b"), None]),
            (Op::Update, 4, &[Some("2"), Some("c"), None]),
        ],
    );
    written(&mut sink, request(0, vec![rows])).await;
    let read = format!("SELECT id, name, amount FROM {table} FINAL ORDER BY id, name");
    assert_eq!(lines(&engine, &read), ["1\ta\t2", "2\tb\t\\N", "2\tc\t\\N"]);
    own.table.order_by = vec!["nope".to_owned()];
    let other = orders(&format!("db.public.{}", unique("ordered")));
    let mut sink = open(own).await;
    let fault = write(&mut sink, all(numbered(&other, 0, 1))).await.unwrap_err();
    assert!(fault.chain().contains("sorted by `nope`"), "{}", fault.chain());
}

/// A key column that rows have masked or not at all: no table is made by it, because rows of
/// different keys would replace each other. One that is sorted by `_key` takes them all.
#[tokio::test(flavor = "multi_thread")]
async fn key_columns_that_rows_do_not_have_are_said_and_a_table_sorted_by_key_takes_them() {
    let Some(engine) = engine() else { return };
    for is_masked in [true, false] {
        let table = unique("hidden");
        let mut schema = (*orders(&format!("db.public.{table}"))).clone();
        schema.key_only = vec![field("card", Kind::Text, Logical::Plain, false)];
        schema.key = vec!["card".into()];
        if is_masked {
            schema.fields[1].name = "card".into();
        }
        let schema = Arc::new(schema);
        let rows = || {
            let mut rows = batch(
                &schema,
                &[
                    (Op::Create, 1, &[Some("1"), Some("***"), None, Some("41")]),
                    (Op::Create, 2, &[Some("2"), Some("***"), None, Some("42")]),
                    (Op::Delete, 3, &[Some("1"), Some("***"), None, Some("41")]),
                    (Op::Create, 4, &[Some("4"), Some("***"), None, Some("44")]),
                ],
            );
            // A record without a key would be the same row as every other one without.
            rows.null_keys = vec![3];
            request(0, vec![rows])
        };
        let mut sink = open(settings(&engine.url())).await;
        let fault = write(&mut sink, rows()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::SinkRefused);
        assert!(fault.chain().contains("sorted by `card`"), "{}", fault.chain());
        let name = if is_masked { "card" } else { "name" };
        engine
            .query(&format!(
                "CREATE TABLE {table} (_key String, id Int32, {name} String, amount Nullable(Decimal(8, 2)), \
                 _version UInt128, _is_deleted UInt8) \
                 ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY _key"
            ))
            .unwrap();
        let mut sink = open(settings(&engine.url())).await;
        assert_eq!(refused(&written(&mut sink, rows()).await), [(3, "null-not-allowed")]);
        let read = format!("SELECT _key, id, {name} FROM {table} FINAL");
        assert_eq!(lines(&engine, &read), ["{\"card\":\"42\"}\t2\t***"]);
    }
}

/// Documents: the key of the record says which row a tombstone deletes, if it has every column of
/// the sorting key; what else it has is left out where that is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn tombstones_delete_by_the_members_of_their_key() {
    let Some(engine) = engine() else { return };
    let table = unique("tombs");
    engine
        .query(&format!(
            "CREATE TABLE {table} (region String, id UInt32, note Nullable(String), _version UInt128, \
             _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY (region, id)"
        ))
        .unwrap();
    let schema = Arc::new(Schema::open(1 << 41, table.as_str().into(), false));
    let value = |region: &str, id: u32| format!(r#"{{"region":"{region}","id":{id},"note":"n"}}"#);
    let (a, b) = (value("eu", 1), value("us", 1));
    let rows: [fakes::KeyValue<'_>; 6] = [
        (Some(br#"{"region":"eu","id":1}"#), Some(a.as_bytes())),
        (Some(br#"{"region":"us","id":1}"#), Some(b.as_bytes())),
        (Some(br#"{"id":1,"region":"eu"}"#), None),
        (Some(br#"{"id":1}"#), None),
        (Some(b"1"), None),
        (None, None),
    ];
    let mut sink = open(settings(&engine.url())).await;
    let done = written(&mut sink, request(0, vec![fakes::documents(&schema, 0, &rows)])).await;
    assert_eq!(refused(&done), [(3, "null-not-allowed"), (4, "invalid-json"), (5, "no-key")]);
    let read = format!("SELECT region, id FROM {table} FINAL");
    assert_eq!(lines(&engine, &read), ["us\t1"]);
}
