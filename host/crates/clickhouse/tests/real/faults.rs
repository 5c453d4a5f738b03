//! Engine error codes, and what is done about each.

use std::sync::atomic::Ordering;

use wasmgate_model::{FaultKind, Op};
use wasmgate_services::clickhouse::ClickHouse;

use super::engine::{engine, skipped, unique};
use super::rig::*;

/// The shared engine has one fault at a time: held by the test that sets it.
static FAULTS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn retried_codes_lose_nothing_and_show_in_health() {
    let Some(engine) = engine() else { return };
    let _held = FAULTS.lock().await;
    for code in [252, 241, 242, 202, 999] {
        let table = unique("retried");
        let schema = orders(&format!("db.public.{table}"));
        let mut sink = open(settings(&engine.url())).await;
        written(&mut sink, all(numbered(&schema, 0, 1))).await;
        engine.fault(&format!("code={code}&count=2&table={table}")).unwrap();
        let durable = sink.write(all(numbered(&schema, 1, 5))).await.unwrap();
        sink.flush().await;
        let health = sink.health();
        durable.await.unwrap();
        assert!(health.counts.retries.load(Ordering::Relaxed) >= 2, "{code}");
        assert_eq!(health.reason(), None, "{code}: well again");
        assert_eq!(lines(&engine, &format!("SELECT count() FROM {table}")), ["5"], "{code}");
        let spaced = health.counts.spacing_ms.load(Ordering::Relaxed);
        assert_eq!(spaced > 1000, code == 252, "{code}: {spaced} ms between inserts");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_somebody_has_to_act_on_fail_with_the_reason() {
    let Some(engine) = engine() else { return };
    let _held = FAULTS.lock().await;
    for (code, want) in [(115, "settings"), (516, "rights"), (4711, "made by the test")] {
        let table = unique("halted");
        let schema = orders(&format!("db.public.{table}"));
        let mut sink = open(settings(&engine.url())).await;
        written(&mut sink, all(numbered(&schema, 0, 1))).await;
        engine.fault(&format!("code={code}&count=1&table={table}")).unwrap();
        let fault = write(&mut sink, all(numbered(&schema, 1, 5))).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::SinkRefused, "{code}");
        assert!(fault.chain().contains(want), "{code}: {}", fault.chain());
        engine.fault("count=0").unwrap();
    }
}

/// The server knows something about rows that we cannot: a constraint.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_only_the_server_refuses_is_found() {
    let Some(engine) = engine() else { return };
    let table = unique("constraint");
    engine
        .query(&format!(
            "CREATE TABLE {table} (id Int32, name String, amount Nullable(Decimal(8, 2)), _version UInt128, _is_deleted UInt8, \
             CONSTRAINT short CHECK length(name) < 5) ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id"
        ))
        .unwrap();
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open(settings(&engine.url())).await;
    let names = ["a", "b", "much too long", "d", "e", "also too long", "g"];
    let ids: Vec<String> = (1..=names.len()).map(|n| n.to_string()).collect();
    let values: Vec<[Option<&str>; 3]> =
        ids.iter().zip(names).map(|(id, name)| [Some(id.as_str()), Some(name), None]).collect();
    let rows: Vec<Row<'_>> =
        values.iter().zip(1..).map(|(v, at)| (Op::Create, at, &v[..])).collect();
    let done = written(&mut sink, request(0, vec![batch(&schema, &rows)])).await;
    assert_eq!(refused(&done), [(2, "server-469"), (5, "server-469")]);
    assert!(done.refused.iter().all(|r| !r.cause.message.contains("long")), "{done:?}");
    assert_eq!(done.records, 5);
    assert_eq!(lines(&engine, &format!("SELECT count() FROM {table}")), ["5"]);
}

/// A server that is killed and comes back; two hosts, one of them dead; logins.
#[tokio::test(flavor = "multi_thread")]
async fn servers_go_and_come_back() {
    if skipped() {
        return;
    }
    let mut engine = ClickHouse::start_with(Some("writer:s3cret")).unwrap();
    let table = unique("back");
    let schema = orders(&format!("db.public.{table}"));
    let mut own = settings(&engine.url());
    // Nobody listens on port 1.
    own.hosts.insert(0, "http://127.0.0.1:1".to_owned());
    let nobody = wasmgate_clickhouse::ClickHouseSink::new(own.clone(), None).unwrap();
    let refused = wasmgate_connector::SinkConnector::open(&nobody).await.err().unwrap();
    assert!(
        refused.chain().contains("516") && refused.kind == FaultKind::SinkRefused,
        "{}",
        refused.chain()
    );
    own.user = Some("writer".to_owned());
    own.password = Some("s3cret".to_owned().into());
    let mut sink = open(own).await;
    written(&mut sink, all(numbered(&schema, 0, 3))).await;
    engine.kill().unwrap();
    let durable = sink.write(all(numbered(&schema, 3, 9))).await.unwrap();
    sink.flush().await;
    let health = sink.health();
    until("the reason", || health.reason().is_some()).await;
    engine.start_again().unwrap();
    durable.await.unwrap();
    assert_eq!(lines(&engine, &format!("SELECT count() FROM {table}")), ["9"]);
}
