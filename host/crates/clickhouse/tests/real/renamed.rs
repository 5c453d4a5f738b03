//! Columns renamed or retyped on either side while the table is written: no value goes into a
//! column that is not meant, none is left out, none is bent.

use wasmgate_clickhouse::SinkSettings;
use wasmgate_model::{FaultKind, Kind, Logical, Op};
use wasmgate_services::clickhouse::ClickHouse;

use super::engine::{engine, unique};
use super::rig::*;

/// `id`, `name` and `amount` of one row.
fn one(
    schema: &std::sync::Arc<wasmgate_model::Schema>,
    at: u64,
) -> wasmgate_connector::WriteRequest {
    let (id, name, amount) = (at.to_string(), format!("n{at}"), format!("{at}.50"));
    let values = [Some(id.as_str()), Some(name.as_str()), Some(amount.as_str())];
    request(at - 1, vec![batch(schema, &[(Op::Create, at, &values)])])
}

fn fixed(engine: &ClickHouse) -> SinkSettings {
    let mut settings = settings(&engine.url());
    settings.table.evolve = false;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_renamed_by_hand_comes_back_and_what_it_held_stays() {
    let Some(engine) = engine() else { return };
    let table = unique("renamed");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(settings(&engine.url())).await;
    written(&mut sink, one(&schema, 1)).await;
    engine.query(&format!("ALTER TABLE {table} RENAME COLUMN amount TO total")).unwrap();
    let done = written(&mut sink, one(&schema, 2)).await;
    assert_eq!((done.records, refused(&done)), (1, vec![]));
    let read = format!("SELECT id, total, amount FROM {table} FINAL ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\t1.5\t\\N", "2\t\\N\t2.5"]);
}

/// Without `evolve` somebody has to decide: nothing is written until the names fit again.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_renamed_by_hand_stops_a_sink_that_may_not_alter() {
    let Some(engine) = engine() else { return };
    let table = unique("renamed");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(fixed(&engine)).await;
    written(&mut sink, one(&schema, 1)).await;
    engine.query(&format!("ALTER TABLE {table} RENAME COLUMN amount TO total")).unwrap();
    let fault = write(&mut sink, one(&schema, 2)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::SinkRefused, "{}", fault.chain());
    assert!(fault.chain().contains("no column `amount`"), "{}", fault.chain());
    assert_eq!(lines(&engine, &format!("SELECT count() FROM {table}")), ["1"]);
    engine.query(&format!("ALTER TABLE {table} RENAME COLUMN total TO amount")).unwrap();
    let mut sink = open(fixed(&engine)).await;
    written(&mut sink, one(&schema, 2)).await;
    let read = format!("SELECT id, amount FROM {table} FINAL ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\t1.5", "2\t2.5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_renamed_at_the_source_is_a_column_more() {
    let Some(engine) = engine() else { return };
    let table = unique("renamed");
    let topic = format!("db.public.{table}");
    let renamed = |key: &str| {
        let decimal = Logical::Decimal { precision: 8, scale: 2 };
        with_fields(
            &topic,
            vec![
                field(key, Kind::Integer, Logical::Bits(32), false),
                field("name", Kind::Text, Logical::Plain, false),
                field("total", Kind::Decimal, decimal, true),
            ],
        )
    };
    let mut sink = open(settings(&engine.url())).await;
    written(&mut sink, one(&orders(&topic), 1)).await;
    written(&mut sink, one(&renamed("id"), 2)).await;
    let read = format!("SELECT id, amount, total FROM {table} FINAL ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\t1.5\t\\N", "2\t\\N\t2.5"]);
    // A key under another name is another key: rows would replace each other.
    let fault = write(&mut sink, one(&renamed("number"), 3)).await.unwrap_err();
    assert!(
        fault.kind == FaultKind::SinkRefused && fault.chain().contains("sorting key"),
        "{}",
        fault.chain()
    );
    let columns =
        format!("SELECT count() FROM system.columns WHERE table = '{table}' AND name = 'number'");
    assert_eq!(lines(&engine, &columns), ["0"], "nothing is altered for rows that do not go in");
    // Where the table may not be altered, the first such row stops the sink.
    let mut sink = open(fixed(&engine)).await;
    engine.query(&format!("ALTER TABLE {table} DROP COLUMN total")).unwrap();
    let fault = write(&mut sink, one(&renamed("id"), 3)).await.unwrap_err();
    assert!(fault.chain().contains("no column `total`"), "{}", fault.chain());
}

/// A type changed by hand is met with the bytes of the type before: the server would bend what
/// does not fit.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_retyped_by_hand_bends_no_value() {
    let Some(engine) = engine() else { return };
    let table = unique("retyped");
    let topic = format!("db.public.{table}");
    let schema = with_fields(
        &topic,
        vec![
            field("id", Kind::Integer, Logical::Bits(32), false),
            field("level", Kind::Integer, Logical::Bits(32), true),
        ],
    );
    let row = |at: u64, level: &'static str| {
        let id = at.to_string();
        let rows = batch(&schema, &[(Op::Create, at, &[Some(id.as_str()), Some(level)])]);
        request(at - 1, vec![rows])
    };
    let mut sink = open(fixed(&engine)).await;
    written(&mut sink, row(1, "5")).await;
    engine.query(&format!("ALTER TABLE {table} MODIFY COLUMN level Nullable(UInt8)")).unwrap();
    assert_eq!(refused(&written(&mut sink, row(2, "-5")).await), [(0, "out-of-range")]);
    assert_eq!(refused(&written(&mut sink, row(3, "300")).await), [(0, "out-of-range")]);
    assert_eq!(written(&mut sink, row(4, "200")).await.records, 1);
    let read = format!("SELECT id, level FROM {table} FINAL ORDER BY id");
    assert_eq!(lines(&engine, &read), ["1\t5", "4\t200"]);
}
