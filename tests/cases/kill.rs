//! SIGKILL under load, Postgres → modules → Kafka, checked with a ledger.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::topics::Reader;
use wasmgate_tests::wait_for;

use super::load::{Load, TABLE, arrived};
use super::servers::{database, kafka, postgres, unique};

/// What a kill repeats is what was sent since the last checkpoint: a save takes milliseconds, so
/// under this load it is one batch, or a few where the disk is busy.
const BATCH_ROWS: u64 = 64;
const SINCE_CHECKPOINT: u64 = 4;

fn config(server: &Postgres, database: &str, bootstrap: &str, prefix: &str) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n  ledger:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: {prefix}, tables: [public.ledger], \
         slot: {database}, publication: {database} }}\n    transforms:\n      \
         - {{ module: unwrap, config: {{ delete.tombstone.handling.mode: rewrite, add.fields: op }} }}\n      \
         - {{ module: quality-check, config: {{ required: [key, seq] }} }}\n      \
         - {{ module: route, config: {{ topics: [ {{ pattern: '(.*)', topic: '$1' }} ] }} }}\n    \
         sinks: [ {{ topics: '.*', kafka: {{ bootstrap_servers: '{bootstrap}' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n    \
         batch: {{ rows: {BATCH_ROWS}, bytes: 1MiB, wait: 5ms }}\n",
        port = server.port(),
    )
}

/// How long the loop runs: `WASMGATE_SOAK_MINUTES`, else 20 kills.
fn enough(kills: u64, started: Instant) -> bool {
    match std::env::var("WASMGATE_SOAK_MINUTES").ok().and_then(|m| m.parse::<u64>().ok()) {
        Some(minutes) => started.elapsed() > Duration::from_secs(minutes * 60),
        None => kills >= 20,
    }
}

#[test]
fn kill_nothing_is_missing_and_order_holds() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "kill", TABLE);
    let prefix = unique("killed");
    let topic = format!("{prefix}.public.ledger");
    let bootstrap = broker.bootstrap();
    let config = config(&server, &database, &bootstrap, &prefix);
    let dir = tempfile::tempdir().unwrap();
    // The slot is there before the first row, so that every seq has to arrive.
    let first = Gateway::start(dir.path(), &config);
    first.wait_pipeline("ledger", "the stream", |status| status["phase"] == "streaming");
    assert!(first.signal_and_wait("TERM").0.success());
    let load = Load::start(Arc::clone(&server), database);
    let mut reader = Reader::open(&bootstrap, &topic);
    let (started, mut kills) = (Instant::now(), 0);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    while !enough(kills, started) {
        let before = reader.all().len();
        let gateway = Gateway::start(dir.path(), &config);
        // It has to get somewhere, then some random while further.
        reader.wait(before + 1, || gateway.log());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::park_timeout(Duration::from_millis(random >> 40 & 0xff));
        gateway.kill();
        kills += 1;
    }
    let written = load.finish();
    let total: i64 = written.values().sum();
    let gateway = Gateway::start(dir.path(), &config);
    let behind = Cell::new(0);
    wait_for(
        "the last row of every key",
        || {
            let mut last = BTreeMap::new();
            for r in reader.all() {
                let row = r.json();
                last.insert(row["key"].as_i64().unwrap(), row["seq"].as_i64().unwrap());
            }
            behind.set(written.iter().filter(|(key, seq)| last.get(key) != Some(seq)).count());
            (behind.get() == 0).then_some(())
        },
        || {
            let slots = "select *, pg_current_wal_lsn() from pg_replication_slots";
            let slots = server.psql("postgres", slots).unwrap();
            format!("{} keys are behind; {slots}\n{}", behind.get(), gateway.describe("ledger"))
        },
    );
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let duplicates = arrived(reader.all()).check(&written) as u64;
    println!("{kills} kills, {total} changes, {duplicates} duplicates");
    assert!(
        duplicates <= kills * BATCH_ROWS * SINCE_CHECKPOINT,
        "{duplicates} duplicates in {kills} kills"
    );
    let letters = wasmgate_tests::gateway::lines(&dir.path().join("dlq/ledger.jsonl"));
    assert!(letters.is_empty(), "{letters:?}");
}

#[test]
fn a_snapshot_with_concurrent_writers_equals_the_table() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "snap", TABLE);
    let prefix = unique("snapped");
    let topic = format!("{prefix}.public.ledger");
    let load = Load::start(Arc::clone(&server), database.clone());
    wait_for("load", || (load.written() > 1000).then_some(()), String::new);
    let dir = tempfile::tempdir().unwrap();
    let bootstrap = broker.bootstrap();
    let gateway = Gateway::start(dir.path(), &config(&server, &database, &bootstrap, &prefix));
    let seen = load.written();
    wait_for("load", || (load.written() > seen + 2000).then_some(()), String::new);
    let written = load.finish();
    let mut reader = Reader::open(&bootstrap, &topic);
    let state = wait_for(
        "the table's state",
        || {
            let mut state: BTreeMap<i64, i64> = BTreeMap::new();
            let mut snapshot = 0;
            for record in reader.all() {
                let row = record.json();
                snapshot += usize::from(row["__op"] == "r");
                let (key, seq) = (row["key"].as_i64().unwrap(), row["seq"].as_i64().unwrap());
                // Nothing stale: a key never falls back.
                assert!(state.get(&key).is_none_or(|s| *s < seq), "key {key} fell back to {seq}");
                state.insert(key, seq);
            }
            (state == written).then_some(snapshot)
        },
        || gateway.log(),
    );
    assert!(state > 0, "no row came from the snapshot");
}
