//! SIGKILL under load, Postgres → unwrap → ClickHouse: FINAL equals the source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::wait_for;

use super::super::load::{Load, TABLE};
use super::super::servers::{database, postgres};
use super::{engine, rows};

/// So many kills, or as long as `WASMGATE_SOAK_MINUTES` says.
fn enough(kills: u64, started: Instant) -> bool {
    match std::env::var("WASMGATE_SOAK_MINUTES").ok().and_then(|m| m.parse::<u64>().ok()) {
        Some(minutes) => started.elapsed() > Duration::from_secs(minutes * 60),
        None => kills >= 50,
    }
}

#[test]
fn kill_final_equals_the_source_and_no_token_is_used_twice() {
    let (Some(server), Some(engine)) = (postgres(), engine()) else { return };
    let database = database(&server, "ch_kill", TABLE);
    engine.query(&format!("CREATE DATABASE {database}")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n  ledger:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: ch, tables: [public.ledger], \
         slot: {database}, publication: {database} }}\n    transforms:\n      - {{ module: unwrap }}\n    \
         sinks:\n      - topics: '.*'\n        clickhouse:\n          hosts: ['{url}']\n          \
         database: {database}\n          batch: {{ interval: 100ms }}\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n    batch: {{ rows: 64, bytes: 1MiB, wait: 5ms }}\n",
        port = server.port(),
        url = engine.url(),
    );
    let first = Gateway::start(dir.path(), &config);
    first.wait_pipeline("ledger", "the stream", |status| status["phase"] == "streaming");
    assert!(first.signal_and_wait("TERM").0.success());
    let load = Load::start(Arc::clone(&server), database.clone());
    let inserts = || engine.inserts().unwrap().into_iter().filter(|i| i.2.contains(&database));
    let (started, mut kills) = (Instant::now(), 0);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    while !enough(kills, started) {
        let before = inserts().count();
        let gateway = Gateway::start(dir.path(), &config);
        wait_for(
            "an insert",
            || (inserts().count() > before).then_some(()),
            || gateway.describe("ledger"),
        );
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::park_timeout(Duration::from_millis(random >> 40 & 0xff));
        gateway.kill();
        kills += 1;
    }
    let written = load.finish();
    let gateway = Gateway::start(dir.path(), &config);
    let state = format!("SELECT key, seq FROM {database}.ledger FINAL");
    wait_for(
        "the state of the source",
        || {
            let found: BTreeMap<i64, i64> = rows(&engine, &state)
                .iter()
                .map(|line| line.split_once('\t').unwrap())
                .map(|(key, seq)| (key.parse().unwrap(), seq.parse().unwrap()))
                .collect();
            (found == written).then_some(())
        },
        || gateway.describe("ledger"),
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
    let changes: i64 = written.values().sum();
    let versions = format!("SELECT count(), uniqExact(_version) FROM {database}.ledger");
    println!("{kills} kills, {changes} changes, rows and versions: {:?}", rows(&engine, &versions));
    // Without FINAL: never more rows than changes, and no change twice but for what merges hide.
    let count = rows(&engine, &versions)[0]
        .split('\t')
        .map(|n| n.parse::<i64>().unwrap())
        .collect::<Vec<_>>();
    assert!(count[0] <= changes && count[0] == count[1], "{count:?} of {changes}");
    let used: BTreeSet<(String, u64)> = inserts().map(|i| (i.0, i.1)).collect();
    let tokens: BTreeSet<&String> = used.iter().map(|(token, _)| token).collect();
    assert_eq!(tokens.len(), used.len(), "a token stood for other bytes");
    let letters = wasmgate_tests::gateway::lines(&dir.path().join("dlq/ledger.jsonl"));
    assert!(letters.is_empty(), "{letters:?}");
}
