//! SIGKILL from the first row of a snapshot to the stream: a table that is copied whole, one that
//! is read in chunks beside the stream, and writers on both. Whatever was cut short, the records in
//! the file end in the state of the tables, and no row is missing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::wait_for;

use super::servers::{database, postgres};

const PIPELINE: &str = "copied";
const TABLES: &str = "create sequence s;
    create table small(id int primary key, seq bigint, pad text);
    insert into small select i, nextval('s'), repeat('x', 100) from generate_series(1, 3000) i;
    create table large(id int primary key, seq bigint, pad text);
    insert into large select i, nextval('s'), repeat('x', 300) from generate_series(1, 12000) i";

fn config(server: &Postgres, database: &str) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{dir}}/none' }}\n\
         pipelines:\n  {PIPELINE}:\n    source:\n      postgres: {{ port: {port}, \
         database: {database}, user: postgres, topic_prefix: k, tables: [public.large, public.small], \
         slot: {database}, publication: {database}, heartbeat: 100ms, status_interval: 100ms, \
         snapshot: when_needed, \
         snapshots: {{ threads: 2, chunk_rows: 400, chunked_above: 1MiB }} }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/out.jsonl' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: '{{dir}}/dlq' }} }}\n    batch: {{ rows: 128 }}\n",
        port = server.port(),
    )
}

/// Kills in the suite; in a soak 100, or as many as its time allows.
fn kills_max() -> u32 {
    if std::env::var_os("WASMGATE_SOAK_MINUTES").is_some() { 100 } else { 8 }
}

/// Changes both tables until it is told to stop.
fn write(server: &Postgres, database: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let script = "do $$ begin for i in 1..20 loop
            update large set seq = nextval('s') where id = 1 + (random() * 11999)::int;
            update small set seq = nextval('s') where id = 1 + (random() * 2999)::int;
            insert into large values (12000 + (random() * 500)::int, nextval('s'), 'new')
              on conflict (id) do update set seq = excluded.seq;
            commit; end loop; end $$";
        server.psql(database, script).unwrap();
    }
}

/// The tables as the records say: topic and id → seq.
fn state(path: &Path) -> BTreeMap<(String, i64), i64> {
    let mut rows = BTreeMap::new();
    for record in lines(path) {
        let table = record["topic"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
        let key = (table, record["key"]["id"].as_i64().unwrap());
        match &record["value"]["after"] {
            Value::Null => drop(rows.remove(&key)),
            row => drop(rows.insert(key, row["seq"].as_i64().unwrap())),
        }
    }
    rows
}

fn tables(server: &Postgres, database: &str) -> BTreeMap<(String, i64), i64> {
    let sql = "select 'large', id, seq from large union all select 'small', id, seq from small";
    let text = server.psql(database, sql).unwrap();
    let row = |line: &str| {
        let parts: Vec<&str> = line.split('|').collect();
        ((parts[0].to_owned(), parts[1].parse().unwrap()), parts[2].parse().unwrap())
    };
    text.lines().map(row).collect()
}

#[test]
fn kill_in_snapshots_leaves_nothing_out_and_nothing_old() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "kill_snapshot", TABLES);
    let config = config(&server, &database);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.jsonl");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (server, database, stop) = (Arc::clone(&server), database.clone(), Arc::clone(&stop));
        move || write(&server, &database, &stop)
    });
    let (started, mut kills) = (Instant::now(), 0);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    while kills < kills_max() && started.elapsed() < Duration::from_secs(600) {
        let gateway = Gateway::start(dir.path(), &config);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // From the first page of the copy to some chunks into the stream.
        std::thread::park_timeout(Duration::from_millis(random >> 40 & 0x1ff));
        gateway.kill();
        kills += 1;
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline(PIPELINE, "the end of the chunks", |s| s["phase"] == "streaming");
    let want = tables(&server, &database);
    let same = || (state(&out) == want).then_some(());
    wait_for("the state of the tables", same, || gateway.describe(PIPELINE));
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let read = lines(&out).iter().filter(|r| r["value"]["op"] == "r").count();
    println!("{kills} kills, {read} rows read for {} of the tables", want.len());
    assert!(lines(&dir.path().join("dlq")).is_empty());
}
