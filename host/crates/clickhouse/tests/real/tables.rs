//! Tables: made, evolved, altered by hand; deletes, key changes, truncates, strictness.

use std::time::Duration;

use wasmgate_clickhouse::{Engine, Truncate};
use wasmgate_model::{FaultKind, Kind, Logical, Op, Payload};

use super::engine::{engine, unique};
use super::rig::*;

#[tokio::test(flavor = "multi_thread")]
async fn final_shows_the_newest_row_of_every_key() {
    let Some(engine) = engine() else { return };
    let table = unique("newest");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(settings(&engine.url())).await;
    let rows = batch(
        &schema,
        &[
            (Op::Snapshot, 1, &[Some("1"), Some("a"), Some("1.50")]),
            (Op::Snapshot, 2, &[Some("2"), Some("b"), None]),
            (Op::Create, 3, &[Some("3"), Some("c"), Some("-3")]),
            (Op::Update, 4, &[Some("1"), Some("a2"), Some("9.99")]),
            (Op::Delete, 5, &[Some("2"), Some(""), None]),
            (Op::Tombstone, 6, &[Some("2"), Some(""), None]),
        ],
    );
    let done = written(&mut sink, request(0, vec![rows])).await;
    assert_eq!((done.records, refused(&done)), (6, vec![]));
    let read = format!("SELECT id, name, amount FROM {table} FINAL ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\ta2\t9.99", "3\tc\t-3"]);
    // The key changes: the old one goes and the new one comes, in one insert.
    let before = engine.inserts().unwrap().len();
    let moved = batch(
        &schema,
        &[
            (Op::Delete, 7, &[Some("3"), Some(""), None]),
            (Op::Tombstone, 8, &[Some("3"), Some(""), None]),
            (Op::Create, 9, &[Some("30"), Some("c"), Some("-3")]),
        ],
    );
    written(&mut sink, request(6, vec![moved])).await;
    assert_eq!(lines(&engine, &read), ["1\ta2\t9.99", "30\tc\t-3"]);
    let own =
        engine.inserts().unwrap().into_iter().skip(before).filter(|i| i.2.contains(&table)).count();
    assert_eq!(own, 1);
    // Without FINAL: the newest line per key and insert, none for tombstones after deletes.
    assert_eq!(lines(&engine, &format!("SELECT count() FROM {table}")), ["5"]);
    let types =
        format!("SELECT name, type FROM system.columns WHERE table = '{table}' ORDER BY position");
    assert_eq!(
        lines(&engine, &types),
        [
            "id\tInt32",
            "name\tString",
            "amount\tNullable(Decimal(8, 2))",
            "_version\tUInt128",
            "_is_deleted\tUInt8",
            "_synced_at\tDateTime64(9, \\'UTC\\')",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn misfits_are_named_and_their_neighbours_go_in() {
    let Some(engine) = engine() else { return };
    let table = unique("strict");
    engine
        .query(&format!(
            "CREATE TABLE {table} (id Int32, name LowCardinality(String), amount Nullable(Decimal(4, 1)), _version UInt128, \
             _is_deleted UInt8) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id"
        ))
        .unwrap();
    let mut settings = settings(&engine.url());
    settings.table.evolve = false;
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(settings).await;
    let rows = batch(
        &schema,
        &[
            (Op::Create, 1, &[Some("1"), Some("a"), Some("1.5")]),
            (Op::Create, 2, &[Some("2"), Some("b"), Some("1.55")]),
            (Op::Create, 3, &[Some("3"), Some("c"), Some("99999")]),
            (Op::Update, 4, &[Some("4"), ABSENT, None]),
            (Op::Create, 5, &[Some("2147483648"), Some("e"), None]),
            (Op::Create, 6, &[Some("6"), Some("f"), Some("6")]),
        ],
    );
    let done = written(&mut sink, request(0, vec![rows])).await;
    assert_eq!(done.records, 2);
    assert_eq!(
        refused(&done),
        [(1, "too-precise"), (2, "out-of-range"), (3, "value-not-sent"), (4, "out-of-range")]
    );
    let message = &done.refused[0].cause.message;
    assert!(
        message.contains("column `amount`")
            && message.contains("decimal")
            && !message.contains("1.55"),
        "{message}"
    );
    assert_eq!(lines(&engine, &format!("SELECT id FROM {table} FINAL ORDER BY id")), ["1", "6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_evolve_and_nothing_is_lost() {
    let Some(engine) = engine() else { return };
    let table = unique("evolve");
    let topic = format!("db.public.{table}");
    let mut sink = open(settings(&engine.url())).await;
    let first = batch(&orders(&topic), &[(Op::Create, 1, &[Some("1"), Some("a"), Some("1.50")])]);
    written(&mut sink, request(0, vec![first])).await;
    let wider = with_fields(
        &topic,
        vec![
            field("id", Kind::Integer, Logical::Bits(32), false),
            field("amount", Kind::Decimal, Logical::Decimal { precision: 12, scale: 4 }, true),
            field("note", Kind::Text, Logical::Plain, true),
        ],
    );
    // Both versions in one delivery: a column came, one got wider, and one is gone.
    let old = batch(&orders(&topic), &[(Op::Update, 2, &[Some("1"), Some("a2"), Some("2.50")])]);
    let new = batch(&wider, &[(Op::Create, 3, &[Some("2"), Some("12345678.1234"), Some("hi")])]);
    // By themselves, without being told to go.
    let durable = sink.write(request(1, vec![old, new])).await.unwrap();
    let done = tokio::time::timeout(Duration::from_secs(30), durable).await.unwrap().unwrap();
    assert_eq!((done.records, refused(&done)), (2, vec![]));
    let read = format!("SELECT id, name, amount, note FROM {table} FINAL ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\ta2\t2.5\t\\N", "2\t\t12345678.1234\thi"]);
    let ty = format!("SELECT type FROM system.columns WHERE table = '{table}' AND name = 'amount'");
    assert_eq!(lines(&engine, &ty), ["Nullable(Decimal(12, 4))"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_table_is_a_fault_that_says_what_to_do() {
    let Some(engine) = engine() else { return };
    let good = "_version UInt128, _is_deleted UInt8";
    let replacing = "ReplacingMergeTree(_version, _is_deleted)";
    for (columns, engine_text, order, want) in [
        (format!("id Int32, name String, {good}"), replacing, "id", "no column `amount`"),
        (format!("id Int32, name UUID, amount String, {good}"), replacing, "id", ""),
        (format!("id Int32, name Int8, amount String, {good}"), replacing, "id", "column `name`"),
        (
            format!("id Int32, name String, amount String, k Int8, {good}"),
            replacing,
            "(id, k)",
            "sorting key",
        ),
        (
            "id Int32, name String, amount String, _version UInt64, _is_deleted UInt8".into(),
            replacing,
            "id",
            "UInt128",
        ),
        (
            format!("id Int32, name String MATERIALIZED 'x', amount String, {good}"),
            replacing,
            "id",
            "computed by the server",
        ),
        (
            format!("id Int32, name Tuple(String), amount String, {good}"),
            replacing,
            "id",
            "Tuple(String)",
        ),
    ] {
        let table = unique("misfit");
        engine
            .query(&format!(
                "CREATE TABLE {table} ({columns}) ENGINE = {engine_text} ORDER BY {order}"
            ))
            .unwrap();
        let mut settings = settings(&engine.url());
        settings.table.evolve = false;
        let mut sink = open(settings).await;
        let rows = batch(
            &orders(&format!("a.b.{table}")),
            &[(Op::Create, 1, &[Some("1"), Some("3f2504e0-4f89-11d3-9a0c-0305e82c3301"), None])],
        );
        let rows = request(0, vec![rows]);
        match write(&mut sink, rows).await {
            // A NULL amount is the row's own misfit; the table as such fits.
            Ok(done) => assert!(
                want.is_empty() && refused(&done) == [(0, "null-not-allowed")],
                "{columns}: {done:?}"
            ),
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::SinkRefused, "{}", fault.chain());
                assert!(
                    !want.is_empty() && fault.chain().contains(want),
                    "{columns}: {}",
                    fault.chain()
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_altered_or_dropped_by_hand_is_looked_at_again() {
    let Some(engine) = engine() else { return };
    let table = unique("hand");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(settings(&engine.url())).await;
    let one = |id: &'static str, at| {
        batch(&schema, &[(Op::Create, at, &[Some(id), Some("x"), Some("1")])])
    };
    written(&mut sink, request(0, vec![one("1", 1)])).await;
    engine.query(&format!("ALTER TABLE {table} DROP COLUMN amount")).unwrap();
    // The server refuses the column (16): the sink looks, adds it again, and sends.
    written(&mut sink, request(1, vec![one("2", 2)])).await;
    assert_eq!(
        lines(&engine, &format!("SELECT id, amount FROM {table} ORDER BY id")),
        ["1\t\\N", "2\t1"]
    );
    engine.query(&format!("DROP TABLE {table} SYNC")).unwrap();
    let fault = write(&mut sink, request(2, vec![one("3", 3)])).await.unwrap_err();
    assert!(fault.chain().contains("was dropped"), "{}", fault.chain());
    assert_eq!(fault.kind, FaultKind::SinkRefused);
    assert!(sink.write(request(3, vec![one("4", 4)])).await.is_err());
    // Somebody restarts the pipeline: the table is made.
    let mut sink = open(settings(&engine.url())).await;
    written(&mut sink, request(2, vec![one("3", 3)])).await;
    assert_eq!(lines(&engine, &format!("SELECT id FROM {table}")), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncates_by_policy() {
    let Some(engine) = engine() else { return };
    for (policy, code, left) in [
        (Truncate::Refuse, Some("truncate-refused"), vec!["1", "2"]),
        (Truncate::Ignore, None, vec!["1", "2"]),
        (Truncate::Apply, None, vec!["2"]),
    ] {
        let table = unique("truncate");
        let schema = orders(&format!("db.public.{table}"));
        let mut settings = settings(&engine.url());
        settings.table.truncate = policy;
        let mut sink = open(settings).await;
        let rows = batch(
            &schema,
            &[
                (Op::Create, 1, &[Some("1"), Some("x"), None]),
                (Op::Truncate, 2, &[None, None, None]),
                (Op::Create, 3, &[Some("2"), Some("y"), None]),
            ],
        );
        let done = written(&mut sink, request(0, vec![rows])).await;
        assert_eq!(
            refused(&done),
            code.map(|code| (1, code)).into_iter().collect::<Vec<_>>(),
            "{policy:?}"
        );
        assert_eq!(
            lines(&engine, &format!("SELECT id FROM {table} FINAL ORDER BY id")),
            left,
            "{policy:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_signs() {
    let Some(engine) = engine() else { return };
    let table = unique("log");
    let mut append = settings(&engine.url());
    append.table.engine = Engine::Append;
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(append).await;
    let rows = batch(
        &schema,
        &[
            (Op::Create, 1, &[Some("1"), Some("a"), None]),
            (Op::Update, 2, &[Some("1"), Some("b"), None]),
            (Op::Delete, 3, &[Some("1"), Some(""), None]),
        ],
    );
    written(&mut sink, request(0, vec![rows])).await;
    let read = format!("SELECT _op, name FROM {table} ORDER BY _version");
    assert_eq!(lines(&engine, &read), ["c\ta", "u\tb", "d\t"]);

    let table = unique("sign");
    let mut collapsing = settings(&engine.url());
    collapsing.table.engine = Engine::Collapsing;
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(collapsing).await;
    let mut rows = batch(
        &schema,
        &[
            (Op::Create, 1, &[Some("1"), Some("a"), Some("1")]),
            (Op::Create, 2, &[Some("2"), Some("b"), None]),
            (Op::Update, 3, &[Some("1"), Some("a2"), Some("2")]),
            (Op::Delete, 4, &[Some("2"), Some("b"), None]),
            (Op::Update, 5, &[Some("1"), Some("a3"), Some("3")]),
        ],
    );
    if let Payload::Rows(payload) = &mut rows.payload {
        for (column, value) in payload.old.iter_mut().zip([Some("1"), Some("a"), Some("1")]) {
            push(column, value);
        }
        payload.set_old(2);
    }
    let done = written(&mut sink, request(0, vec![rows])).await;
    assert_eq!(refused(&done), [(4, "old-image-missing")]);
    let read = format!("SELECT id, name, amount FROM {table} FINAL ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\ta2\t2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_writes_become_few_inserts_and_an_idle_table_shows_at_once() {
    let Some(engine) = engine() else { return };
    let table = unique("gather");
    let schema = orders(&format!("db.public.{table}"));
    let mut own = settings(&engine.url());
    own.batch.interval = Duration::from_secs(1);
    let mut sink = open(own).await;
    let first = std::time::Instant::now();
    let durable = sink.write(all(numbered(&schema, 0, 1))).await.unwrap();
    durable.await.unwrap();
    assert!(first.elapsed() < Duration::from_secs(30));
    let mut durables = Vec::new();
    for from in 1..500 {
        durables.push(sink.write(all(numbered(&schema, from, from + 1))).await.unwrap());
    }
    for durable in durables {
        assert_eq!(durable.await.unwrap().records, 1);
    }
    let own = engine.inserts().unwrap().into_iter().filter(|i| i.2.contains(&table)).count();
    assert!(own <= 10, "{own} inserts for 500 writes");
    assert_eq!(lines(&engine, &format!("SELECT count() FROM {table} FINAL")), ["500"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_topics_do_not_share_a_table_by_accident() {
    let Some(engine) = engine() else { return };
    let table = unique("shared");
    let (first, second) = (orders(&format!("db.a.{table}")), orders(&format!("db.b.{table}")));
    let mut sink = open(settings(&engine.url())).await;
    written(&mut sink, all(numbered(&first, 0, 2))).await;
    let fault = sink.write(all(numbered(&second, 2, 4))).await.err().unwrap();
    assert!(
        fault.kind == FaultKind::SinkRefused && fault.chain().contains("{schema}_{table}"),
        "{}",
        fault.chain()
    );
    let mut own = settings(&engine.url());
    own.table.name.clone_from(&table);
    let mut sink = open(own).await;
    written(&mut sink, all(numbered(&first, 2, 4))).await;
    written(&mut sink, all(numbered(&second, 4, 6))).await;
    assert_eq!(lines(&engine, &format!("SELECT count() FROM {table} FINAL")), ["6"]);
}
