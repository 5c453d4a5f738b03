//! One transaction that is larger than the memory it may take, read while it runs: killed while it
//! goes to disk and while it comes back, nothing of it is missing and nothing of what was rolled
//! back is there. 200,000 rows; 10 million in a soak.

use std::cell::Cell;
use std::path::Path;

use wasmgate_services::postgres::{Options, Postgres};
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::wait_for;

use super::servers::database;

const PIPELINE: &str = "large";
/// What the process may take, with all of it.
const MEMORY_MAX: u64 = 100 << 20;

fn rows() -> u64 {
    let soak = std::env::var_os("WASMGATE_SOAK_MINUTES").is_some();
    if soak { 10_000_000 } else { 200_000 }
}

fn server() -> Option<Postgres> {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return None;
    }
    // Everything that does not fit the least memory is sent while it runs.
    let settings = vec![("logical_decoding_work_mem".into(), "64kB".into())];
    Some(Postgres::start(&Options { settings, ..Options::default() }).unwrap())
}

fn config(server: &Postgres, database: &str) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{dir}}/none' }}\n\
         pipelines:\n  {PIPELINE}:\n    source:\n      postgres: {{ port: {port}, \
         database: {database}, user: postgres, topic_prefix: p, tables: [public.t], \
         slot: {database}, publication: {database}, snapshot: never, \
         stream: {{ spill_memory: 1MiB }} }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/out.jsonl' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: '{{dir}}/dlq' }} }}\n",
        port = server.port(),
    )
}

/// Bytes in the files of open transactions.
fn spilled(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("data/sources").join(PIPELINE).join("transactions"));
    let sizes = files.into_iter().flatten().filter_map(|f| Some(f.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

#[test]
fn large_transaction_goes_to_disk_and_comes_back_whole_through_kills() {
    let Some(server) = server() else { return };
    let rows = rows();
    let table = "create table t(id bigint primary key, v text)";
    let database = database(&server, "large", table);
    let dir = tempfile::tempdir().unwrap();
    let config = config(&server, &database);
    let most = Cell::new(0);
    let start = || {
        let gateway = Gateway::start(dir.path(), &config);
        gateway.wait_pipeline(PIPELINE, "the stream", |status| status["phase"] == "streaming");
        gateway
    };
    let watched = |gateway: &Gateway| most.set(most.get().max(gateway.resident()));
    let mut gateway = start();
    let mut open = server.session(&database).unwrap();
    let insert = |from: u64, to: u64| {
        format!("insert into t select i, repeat('x', 60) from generate_series({from}, {to}) i")
    };
    open.run(&format!(
        "begin; {}; savepoint s; {}; rollback to s",
        insert(1, rows / 2),
        insert(rows, rows * 2)
    ))
    .unwrap();
    open.run(&insert(rows / 2 + 1, rows)).unwrap();
    let output = dir.path().join("out.jsonl");
    let size = || std::fs::metadata(&output).map_or(0, |m| m.len());
    for _ in 0..2 {
        // A commit brings what the open transaction wrote to the log's disk.
        server.psql(&database, "select pg_logical_emit_message(true, 'x', 'x')").unwrap();
        let full = || {
            watched(&gateway);
            (spilled(dir.path()) > rows * 60).then_some(())
        };
        wait_for("the transaction on disk", full, || gateway.describe(PIPELINE));
        gateway.kill();
        gateway = start();
    }
    open.run("commit").unwrap();
    let begun = size();
    let replaying = || {
        watched(&gateway);
        (size() > begun + rows * 20).then_some(())
    };
    wait_for("part of its records", replaying, || gateway.describe(PIPELINE));
    gateway.kill();
    gateway = start();
    let end = server.psql(&database, "select pg_current_wal_lsn()").unwrap();
    let confirmed = format!(
        "select confirmed_flush_lsn >= '{end}' from pg_replication_slots where slot_name = '{database}'"
    );
    let done = || {
        watched(&gateway);
        (server.psql(&database, &confirmed).unwrap() == "t").then_some(())
    };
    wait_for("all of its records", done, || gateway.describe(PIPELINE));
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let records = lines(&output);
    let ids = records.iter().filter(|r| r["topic"] == "p.public.t");
    let ids: Vec<u64> = ids.map(|r| r["value"]["after"]["id"].as_u64().unwrap()).collect();
    let mut next = 1;
    for id in &ids {
        assert!(*id <= next, "{id} came before {next}");
        next = next.max(id + 1);
    }
    assert_eq!(next, rows + 1, "rows are missing");
    let repeated = ids.len() as u64 - rows;
    assert!(repeated < rows / 4, "{repeated} rows came again after one kill");
    println!("{rows} rows, {repeated} repeated, {} MiB at most", most.get() >> 20);
    assert!(most.get() < MEMORY_MAX, "{} bytes", most.get());
    assert_eq!(spilled(dir.path()), 0);
}
