//! The server is away, or has too many parts: the source waits, memory stays, nothing is lost.
//! And a table whose columns are renamed, added and dropped at the source under load.

use std::sync::Arc;

use wasmgate_services::clickhouse::ClickHouse;
use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::{http, wait_for};

use super::super::load::{Load, TABLE};
use super::super::servers::{database, postgres};
use super::{engine, rows};

/// Rows of a kilobyte that come while nothing is taken: more than the gateway may hold.
const ROWS: i64 = 60_000;
/// What the gateway's process may hold.
const RESIDENT_MAX: u64 = 300 << 20;

/// A capture of a table into the database of the same name as the source's.
fn capture(
    server: &Postgres,
    engine: &ClickHouse,
    database: &str,
    table: &str,
    own: &str,
) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n  capture:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: ch, tables: [public.{table}], \
         slot: {database}, publication: {database} }}\n    transforms:\n      - {{ module: unwrap }}\n    \
         sinks:\n      - topics: '.*'\n        clickhouse:\n          hosts: ['{url}']\n          \
         database: {database}\n          batch: {{ interval: 100ms }}\n          table: {{ {own} }}\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
        port = server.port(),
        url = engine.url(),
    )
}

/// Waits until nothing more is read, as the sink takes nothing; the most memory seen.
fn waits(gateway: &Gateway, rows: i64) -> u64 {
    let mut highest = 0;
    let status = gateway.wait_pipeline("capture", "a retry with its reason", |status| {
        highest = gateway.resident().max(highest);
        status["state"] == "retrying" && status["reason"].is_string()
    });
    // Reading has stopped when nothing more was read for a hundred looks.
    let (mut read, mut same) = (status["records_in"].clone(), 0);
    gateway.wait_pipeline("capture", "the end of reading", |status| {
        highest = gateway.resident().max(highest);
        same = if read == status["records_in"] { same + 1 } else { 0 };
        read = status["records_in"].clone();
        same == 100
    });
    assert!(read.as_i64() < Some(rows), "all of it was read: the buffers have no bound");
    highest
}

#[test]
fn clickhouse_away_costs_no_memory_and_no_row() {
    let Some(server) = postgres() else { return };
    if wasmgate_tests::skipped(wasmgate_services::clickhouse::missing()) {
        return;
    }
    // An engine of its own: it is killed.
    let mut engine = ClickHouse::start().unwrap();
    let table = "create table wide (id bigint primary key, filler text)";
    let database = database(&server, "ch_away", table);
    engine.query(&format!("CREATE DATABASE {database}")).unwrap();
    let config = capture(&server, &engine, &database, "wide", "settings: {}");
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
    let insert = |from: i64, to: i64| {
        let sql = "insert into wide select n, repeat(md5(n::text), 32) from generate_series";
        server.psql(&database, &format!("{sql}({from}, {to}) n")).unwrap();
    };
    // As many rows as ids, without FINAL: nothing is missing and nothing is twice.
    let whole = format!("SELECT count(), uniqExact(id), max(id) FROM {database}.wide");
    let wait = |engine: &ClickHouse, count: i64| {
        wait_for(
            "every row",
            || (rows(engine, &whole) == [format!("{count}\t{count}\t{count}")]).then_some(()),
            || format!("{:?}\n{}", rows(engine, &whole), gateway.describe("capture")),
        );
    };
    insert(1, 1000);
    wait(&engine, 1000);
    let before = gateway.resident();
    let mut highest = before;
    // Too many parts, for as long as it takes; then no server at all.
    engine.fault("code=252&count=1000000&table=wide").unwrap();
    (0..10).for_each(|part| insert(1001 + part * ROWS / 10, 1000 + (part + 1) * ROWS / 10));
    highest = waits(&gateway, 1000 + ROWS).max(highest);
    let reason = gateway.pipeline("capture").unwrap()["reason"].to_string();
    assert!(reason.contains("too many parts"), "{reason}");
    engine.fault("count=0").unwrap();
    wait(&engine, 1000 + ROWS);
    engine.kill().unwrap();
    let (from, to) = (1000 + ROWS, 1000 + 2 * ROWS);
    (0..10).for_each(|part| insert(from + 1 + part * ROWS / 10, from + (part + 1) * ROWS / 10));
    highest = waits(&gateway, to).max(highest);
    engine.start_again().unwrap();
    wait(&engine, to);
    highest = gateway.resident().max(highest);
    println!("{} MiB before, {} MiB at most", before >> 20, highest >> 20);
    assert!(highest < RESIDENT_MAX, "{} MiB, {} before", highest >> 20, before >> 20);
    gateway.wait_pipeline("capture", "work", |status| status["state"] == "running");
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// Columns come, are renamed, come again with another type, widen, and go, while rows change. Then the
/// key itself changes: the old key goes, the new one comes.
#[test]
fn clickhouse_columns_follow_the_source_under_load() {
    let (Some(server), Some(engine)) = (postgres(), engine()) else { return };
    let database = database(&server, "ch_ddl", TABLE);
    engine.query(&format!("CREATE DATABASE {database}")).unwrap();
    let config = capture(&server, &engine, &database, "ledger", "settings: {}");
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
    let load = Load::start(Arc::clone(&server), database.clone());
    let wait = |sql: &str, want: &str| {
        let sql = sql.replace("ledger", &format!("{database}.ledger FINAL"));
        wait_for(
            want,
            || (rows(&engine, &sql).join("\n") == want).then_some(()),
            || format!("{:?}\n{}", rows(&engine, &sql), gateway.describe("capture")),
        );
    };
    let psql = |sql: &str| server.psql(&database, sql).unwrap();
    wait("SELECT count() > 30 FROM ledger", "1");
    psql("alter table ledger add note text; update ledger set note = 'a' where key = 1");
    wait("SELECT count() FROM ledger WHERE note = 'a'", "1");
    psql("alter table ledger rename note to remark; update ledger set remark = 'b' where key = 1");
    // The old column keeps what it had of rows that did not change since.
    wait("SELECT remark, note IS NULL FROM ledger WHERE key = 1", "b\t1");
    psql("alter table ledger add note int; update ledger set note = 7, remark = 'c' where key = 3");
    wait("SELECT remark, note FROM ledger WHERE key = 3", "c\t7");
    psql("alter table ledger alter seq type numeric(30); alter table ledger drop remark");
    let written = load.finish();
    // Of every row, which would meet the locks of the load the other way round.
    psql("update ledger set note = key + 100");
    psql("update ledger set key = key + 1000 where key = 5");
    psql("delete from ledger where key = 6");
    let source = "select key || E'\\t' || seq || E'\\t' || checksum || E'\\t' || note \
                  from ledger order by key";
    wait("SELECT key, seq, checksum, note FROM ledger ORDER BY key", psql(source).trim());
    assert_eq!(written.len(), 40);
    let letters = wasmgate_tests::gateway::lines(&dir.path().join("dlq/capture.jsonl"));
    assert!(letters.is_empty(), "{letters:?}");
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// A table that may not be altered: the pipeline waits for somebody, who renames the column on
/// both sides and loses no row.
#[test]
fn clickhouse_a_rename_is_done_on_both_sides_without_a_loss() {
    let (Some(server), Some(engine)) = (postgres(), engine()) else { return };
    let script =
        "create table notes (id int primary key, note text); insert into notes values (1, 'a')";
    let database = database(&server, "ch_rename", script);
    engine.query(&format!("CREATE DATABASE {database}")).unwrap();
    let config = capture(&server, &engine, &database, "notes", "evolve: false");
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
    let renamed = "insert into notes values (2, 'b'); alter table notes rename note to remark; \
                   insert into notes values (3, 'c'); update notes set remark = 'a2' where id = 1";
    server.psql(&database, renamed).unwrap();
    let status = gateway
        .wait_pipeline("capture", "a stop", |s| s["state"] == "failed" && s["reason"].is_string());
    assert!(status["reason"].to_string().contains("no column `remark`"), "{status}");
    engine.query(&format!("ALTER TABLE {database}.notes RENAME COLUMN note TO remark")).unwrap();
    let path = "/api/v1/pipelines/capture/restart";
    let answer = http::request(gateway.address(), "POST", path, b"").unwrap();
    assert!(answer.0 < 300, "{answer:?}");
    let state = format!("SELECT id, remark FROM {database}.notes FINAL ORDER BY id");
    wait_for(
        "every row",
        || (rows(&engine, &state) == ["1\ta2", "2\tb", "3\tc"]).then_some(()),
        || format!("{:?}\n{}", rows(&engine, &state), gateway.describe("capture")),
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
}
