//! Effectively once: what a crash leaves between sending and settling is sent again as it was, or
//! passed over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use wasmgate_clickhouse::{Engine, SinkSettings};
use wasmgate_connector::WriteRequest;
use wasmgate_connector::fakes::MemoryStore;
use wasmgate_model::{Op, Schema};
use wasmgate_services::clickhouse::ClickHouse;

use super::engine::{engine, unique};
use super::rig::*;

/// A log: whatever is sent twice is there twice.
fn log(engine: &ClickHouse) -> SinkSettings {
    let mut settings = settings(&engine.url());
    settings.table.engine = Engine::Append;
    settings.timeout = Duration::from_secs(2);
    settings
}

/// A log whose table does not change by itself.
fn fixed(engine: &ClickHouse) -> SinkSettings {
    let mut settings = log(engine);
    settings.table.evolve = false;
    settings
}

/// A table before and after a column `note` came.
fn with_note(topic: &str) -> (Arc<Schema>, Arc<Schema>) {
    let old = orders(topic);
    let mut fields = old.fields.clone();
    fields.push(field("note", wasmgate_model::Kind::Text, wasmgate_model::Logical::Plain, true));
    let new = with_fields(topic, fields);
    (old, new)
}

/// Writes a delivery that the table has no column for, but for `rows` of it; then it gets one.
async fn half_written(
    engine: &ClickHouse,
    store: &MemoryStore,
    (table, rows): (&str, usize),
    delivery: WriteRequest,
) {
    let mut sink = open_noting(fixed(engine), store).await;
    let fault = write(&mut sink, delivery).await.unwrap_err();
    assert!(fault.chain().contains("no column `note`"), "{}", fault.chain());
    assert_eq!(count(engine, table), [format!("{rows}\t{rows}")]);
    drop(sink);
    engine.query(&format!("ALTER TABLE {table} ADD COLUMN note Nullable(String)")).unwrap();
}

fn count(engine: &ClickHouse, table: &str) -> Vec<String> {
    lines(engine, &format!("SELECT count(), uniqExact(id) FROM {table}"))
}

/// The server takes an insert and dies before it answers; the gateway dies too. The rows come in
/// other deliveries: they make the same insert, and its token is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_unknown_outcome_is_made_again_from_other_deliveries() {
    // An engine of its own: inserts that hang keep it busy.
    if super::engine::skipped() {
        return;
    }
    let engine = ClickHouse::start().unwrap();
    let table = unique("unknown");
    let schema = orders(&format!("db.public.{table}"));
    let store = MemoryStore::new();
    // It dies before it gives the answer up.
    let patient = SinkSettings { timeout: Duration::from_secs(120), ..log(&engine) };
    let mut sink = open_noting(patient, &store).await;
    written(&mut sink, all(numbered(&schema, 0, 5))).await;
    settle(&store, 5);
    engine.fault("count=1&hang=1&after=1").unwrap();
    let mut first = sink.write(all(numbered(&schema, 5, 12))).await.unwrap();
    let second = sink.write(all(numbered(&schema, 12, 20))).await.unwrap();
    sink.flush().await;
    until("the insert is taken", || count(&engine, &table) == ["20\t20"]).await;
    let hung = tokio::time::timeout(Duration::ZERO, first.as_mut()).await;
    assert!(hung.is_err(), "{hung:?}");
    drop((sink, first, second));
    let before = tokens(&engine, &table);

    let mut sink = open_noting(log(&engine), &store).await;
    let mut durables = Vec::new();
    for (from, to) in [(5, 9), (9, 14), (14, 23), (23, 25)] {
        durables.push(sink.write(all(numbered(&schema, from, to))).await.unwrap());
    }
    sink.flush().await;
    let mut records = 0;
    for durable in durables {
        records += durable.await.unwrap().records;
    }
    assert_eq!(records, 20);
    assert_eq!(count(&engine, &table), ["25\t25"], "every row once");
    let after = tokens(&engine, &table);
    assert_eq!(after.len(), before.len() + 2, "{after:?}");
    assert_eq!(
        after[before.len()],
        before[before.len() - 1],
        "the same token, and so the same bytes"
    );
}

fn tokens(engine: &ClickHouse, table: &str) -> Vec<String> {
    let own = engine.inserts().unwrap().into_iter().filter(|i| i.2.contains(table));
    own.map(|insert| insert.0).collect()
}

/// Rows were durable, and the checkpoint was not written, or stands in the middle of the batch:
/// without a window the server would take them again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_passed_over_wherever_the_checkpoint_stands() {
    let Some(engine) = engine() else { return };
    for settled in [None, Some(4), Some(8)] {
        let table = unique("taken");
        let schema = orders(&format!("db.public.{table}"));
        let store = MemoryStore::new();
        let mut own = log(&engine);
        own.table.table_settings.insert("non_replicated_deduplication_window".into(), "0".into());
        let mut sink = open_noting(own.clone(), &store).await;
        let first = sink.write(all(numbered(&schema, 0, 4))).await.unwrap();
        let second = sink.write(all(numbered(&schema, 4, 10))).await.unwrap();
        sink.flush().await;
        first.await.unwrap();
        second.await.unwrap();
        if let Some(to) = settled {
            settle(&store, to);
        }
        drop(sink);
        let mut sink = open_noting(own, &store).await;
        let done = written(&mut sink, all(numbered(&schema, settled.unwrap_or(0), 13))).await;
        assert_eq!(done.records, 13 - settled.unwrap_or(0));
        assert_eq!(count(&engine, &table), ["13\t13"], "settled at {settled:?}");
    }
}

/// A row that was refused is refused again: its dead letter may not have been written.
#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_of_what_was_taken_are_told_again() {
    let Some(engine) = engine() else { return };
    let table = unique("letters");
    let schema = orders(&format!("db.public.{table}"));
    let store = MemoryStore::new();
    let rows = || {
        let rows = batch(
            &schema,
            &[
                (Op::Create, 1, &[Some("1"), Some("a"), None]),
                (Op::Create, 2, &[Some("2"), None, None]),
                (Op::Create, 3, &[Some("3"), Some("c"), None]),
            ],
        );
        request(0, vec![rows])
    };
    for round in 0..3 {
        let mut sink = open_noting(log(&engine), &store).await;
        let done = written(&mut sink, rows()).await;
        assert_eq!(
            (done.records, refused(&done)),
            (2, vec![(1, "null-not-allowed")]),
            "round {round}"
        );
    }
    assert_eq!(count(&engine, &table), ["2\t2"]);
}

/// A table is altered in the middle of a delivery: its first rows were taken, the others were not
/// and are sent after the restart, whatever was noted of the first.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_of_a_delivery_is_no_more_than_what_was_sent() {
    let Some(engine) = engine() else { return };
    let table = unique("half");
    let topic = format!("db.public.{table}");
    let store = MemoryStore::new();
    let (old, new) = with_note(&topic);
    let delivery = || {
        let first = batch(&old, &[(Op::Create, 1, &[Some("1"), Some("a"), None])]);
        let rows = [Some("2"), Some("b"), None, Some("new")];
        request(0, vec![first, batch(&new, &[(Op::Create, 2, &rows)])])
    };
    half_written(&engine, &store, (&table, 1), delivery()).await;
    let mut sink = open_noting(fixed(&engine), &store).await;
    assert_eq!(written(&mut sink, delivery()).await.records, 2);
    let read = format!("SELECT id, note FROM {table} ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\t\\N", "2\tnew"]);
}

/// Rows of two schemas take turns in one delivery; those of the one were taken, and what was noted
/// of them says nothing about the rows of the other that lie between.
#[tokio::test(flavor = "multi_thread")]
async fn rows_between_those_that_were_taken_are_not_passed_over() {
    let Some(engine) = engine() else { return };
    let table = unique("turns");
    let topic = format!("db.public.{table}");
    let store = MemoryStore::new();
    let (old, new) = with_note(&topic);
    let [one, three] = ["1", "3"].map(|id| [Some(id), Some("a"), None]);
    let two = [Some("2"), Some("b"), None, Some("new")];
    let turns = || {
        let first = batch(&old, &[(Op::Create, 1, &one), (Op::Create, 3, &three)]);
        request(0, vec![first, batch(&new, &[(Op::Create, 2, &two)])])
    };
    half_written(&engine, &store, (&table, 2), turns()).await;
    // They come again one by one.
    let mut sink = open_noting(fixed(&engine), &store).await;
    written(&mut sink, request(0, vec![batch(&old, &[(Op::Create, 1, &one)])])).await;
    written(&mut sink, request(1, vec![batch(&new, &[(Op::Create, 2, &two)])])).await;
    written(&mut sink, request(2, vec![batch(&old, &[(Op::Create, 3, &three)])])).await;
    let read = format!("SELECT DISTINCT id, note FROM {table} ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\t\\N", "2\tnew", "3\t\\N"]);
    // Later rows are noted as ever.
    written(&mut sink, all(numbered(&old, 3, 5))).await;
    assert_eq!(lines(&engine, &format!("SELECT max(id) FROM {table}")), ["5"]);
}

/// A refused row that a policy has written once more goes in, although its range was taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_tried_again_is_sent() {
    let Some(engine) = engine() else { return };
    let table = unique("again");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open_noting(log(&engine), &MemoryStore::new()).await;
    let request = all(numbered(&schema, 0, 3));
    written(&mut sink, request.clone()).await;
    let row = wasmgate_connector::RowSet::Some(vec![vec![1]]);
    let again = WriteRequest { rows: row, ..request };
    assert_eq!(written(&mut sink, again).await.records, 1);
    assert_eq!(count(&engine, &table), ["4\t3"]);
}

/// A snapshot that is taken once more writes every row again, and FINAL shows the newest.
#[tokio::test(flavor = "multi_thread")]
async fn versions_order_snapshot_stream_and_snapshot() {
    let Some(engine) = engine() else { return };
    let table = unique("versions");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(settings(&engine.url())).await;
    let row = |op, at, name: &'static str| (op, at, name);
    for (from, rows) in [
        (0, vec![row(Op::Snapshot, 100, "snapshot")]),
        (100, vec![row(Op::Update, 205, "stream")]),
        (205, vec![row(Op::Snapshot, 300, "again")]),
    ] {
        let values: Vec<[Option<&str>; 3]> =
            rows.iter().map(|r| [Some("1"), Some(r.2), None]).collect();
        let rows: Vec<Row<'_>> =
            rows.iter().zip(&values).map(|(r, v)| (r.0, r.1, &v[..])).collect();
        written(&mut sink, request(from, vec![batch(&schema, &rows)])).await;
        let shown = lines(&engine, &format!("SELECT name FROM {table} FINAL"));
        assert_eq!(shown, [values.last().unwrap()[1].unwrap()]);
    }
    // A row of the stream that comes late (a replay) does not win over a newer one.
    let mut late = open(settings(&engine.url())).await;
    written(
        &mut late,
        request(
            100,
            vec![batch(&schema, &[(Op::Update, 205, &[Some("1"), Some("stream"), None])])],
        ),
    )
    .await;
    assert_eq!(lines(&engine, &format!("SELECT name FROM {table} FINAL")), ["again"]);
}

/// However often and wherever it dies: no token stands for other bytes.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_used_for_other_rows() {
    let Some(engine) = engine() else { return };
    // Small ones are whole at once, so that the next is encoded while one travels.
    for rows in [50_000, 4] {
        no_token_twice(&engine, rows).await;
    }
}

async fn no_token_twice(engine: &ClickHouse, rows: usize) {
    let table = unique("tokens");
    let mut own = log(engine);
    own.batch.rows = rows;
    let schema = orders(&format!("db.public.{table}"));
    let store = MemoryStore::new();
    let mut settled = 0;
    for round in 0..12_u64 {
        let mut sink = open_noting(own.clone(), &store).await;
        let (mut from, mut durables) = (settled, Vec::new());
        for step in 0..4 {
            let to = from + 1 + (round * 7 + step * 3) % 5;
            durables.push((to, sink.write(all(numbered(&schema, from, to))).await.unwrap()));
            from = to;
        }
        sink.flush().await;
        for (to, durable) in durables.into_iter().take(round as usize % 4) {
            durable.await.unwrap();
            settled = to;
        }
        settle(&store, settled);
    }
    let mut sink = open_noting(own.clone(), &store).await;
    written(&mut sink, all(numbered(&schema, settled, settled + 30))).await;
    let total = settled + 30;
    let found = lines(engine, &format!("SELECT uniqExact(id) FROM {table}"));
    assert_eq!(found, [total.to_string()], "every row is there");
    let inserts = engine.inserts().unwrap();
    let own: BTreeSet<_> =
        inserts.iter().filter(|i| i.2.contains(&table)).map(|i| (&i.0, i.1)).collect();
    let tokens: BTreeSet<_> = own.iter().map(|(token, _)| token).collect();
    assert_eq!(own.len(), tokens.len(), "a token came with two sizes");
}
