//! SIGKILL under load, MySQL and MariaDB → modules → file, checked with a ledger: every change of
//! every key is there, in its order, whatever phase a kill hits.

mod large;
mod storm;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wasmgate_services::mysql::{Flavor, MySql, Options, missing};
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::wait_for;

const KEYS: i64 = 20;

fn config(server: &MySql) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n  ledger:\n    source:\n      mysql: {{ port: {port}, user: root, \
         topic_prefix: killed, databases: [ledger], heartbeat: 100ms }}\n    transforms:\n      \
         - {{ module: unwrap, config: {{ delete.tombstone.handling.mode: rewrite, add.fields: op }} }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/out.jsonl' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n    batch: {{ rows: 64, wait: 5ms }}\n",
        port = server.port(),
    )
}

/// Counts every key up, in transactions of several sizes.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(server: Arc<MySql>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut round = 0;
            while !stopped.load(Ordering::Relaxed) {
                round += 1;
                let key = round % KEYS;
                let script = format!(
                    "UPDATE ledger SET seq = seq + 1 WHERE id = {key};
                     BEGIN; UPDATE ledger SET seq = seq + 1; UPDATE ledger SET seq = seq + 1
                     WHERE id <= {key}; COMMIT;"
                );
                server.sql("ledger", &script).unwrap();
            }
        });
        Self { stop, thread }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// The ledger's rows: key to number.
fn table(server: &MySql) -> BTreeMap<i64, i64> {
    let rows = server.sql("ledger", "SELECT id, seq FROM ledger").unwrap();
    let pair = |row: &str| {
        let (id, seq) = row.split_once('\t').unwrap();
        (id.parse().unwrap(), seq.parse().unwrap())
    };
    rows.lines().map(pair).collect()
}

/// What arrived, by key: the numbers in the order of their first arrival, and all of them.
fn arrived(out: &Path) -> (BTreeMap<i64, Vec<i64>>, usize) {
    let mut by_key: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut repeats = 0;
    for line in lines(out) {
        let row = &line["value"];
        let (key, seq) = (row["id"].as_i64().unwrap(), row["seq"].as_i64().unwrap());
        let seen = by_key.entry(key).or_default();
        if seen.contains(&seq) { repeats += 1 } else { seen.push(seq) }
    }
    (by_key, repeats)
}

/// How long the loop runs: `WASMGATE_SOAK_MINUTES`, else 6 kills.
fn enough(kills: u64, started: Instant) -> bool {
    match std::env::var("WASMGATE_SOAK_MINUTES").ok().and_then(|m| m.parse::<u64>().ok()) {
        Some(minutes) => started.elapsed() > Duration::from_secs(minutes * 60),
        None => kills >= 6,
    }
}

fn nothing_is_missing(flavor: Flavor) {
    if wasmgate_tests::skipped(missing(flavor)) {
        return;
    }
    let server = Arc::new(MySql::start(flavor, &Options::default()).unwrap());
    let rows: Vec<String> = (0..KEYS).map(|key| format!("({key}, 0)")).collect();
    let setup = format!(
        "CREATE DATABASE ledger; CREATE TABLE ledger.ledger(id int PRIMARY KEY, seq bigint);
         INSERT INTO ledger.ledger VALUES {}",
        rows.join(",")
    );
    server.sql("", &setup).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (config, out) = (config(&server), dir.path().join("out.jsonl"));
    // Every number has to arrive, so the snapshot is there before the first change.
    let first = Gateway::start(dir.path(), &config);
    first.wait_pipeline("ledger", "the stream", |status| status["phase"] == "streaming");
    let settled = || (lines(&out).len() >= KEYS as usize).then_some(());
    wait_for("the snapshot", settled, || first.log());
    assert!(first.signal_and_wait("TERM").0.success());
    let writer = Writer::start(Arc::clone(&server));
    let (started, mut kills) = (Instant::now(), 0);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    while !enough(kills, started) {
        let before = lines(&out).len();
        let gateway = Gateway::start(dir.path(), &config);
        let further = || (lines(&out).len() > before).then_some(());
        wait_for("a record", further, || gateway.log());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::park_timeout(Duration::from_millis(random >> 40 & 0xff));
        gateway.kill();
        kills += 1;
    }
    writer.finish();
    let written = table(&server);
    let gateway = Gateway::start(dir.path(), &config);
    let (got, repeats) = wait_for(
        "the last number of every key",
        || {
            let (got, repeats) = arrived(&out);
            let last = |(key, seq): (&i64, &i64)| got.get(key).is_some_and(|all| all.contains(seq));
            written.iter().all(last).then_some((got, repeats))
        },
        || gateway.log(),
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
    for (key, last) in &written {
        let want: Vec<i64> = (0..=*last).collect();
        assert_eq!(got[key], want, "{flavor:?}: key {key} has a gap or another order");
    }
    println!("{flavor:?}: {kills} kills, {repeats} repeats");
    assert!(repeats as u64 <= kills * 64 * 6, "{repeats} repeats in {kills} kills");
    let letters = lines(&dir.path().join("dlq/ledger.jsonl"));
    assert!(letters.is_empty(), "{letters:?}");
}

#[test]
fn mysql_kills_lose_nothing_and_keep_the_order() {
    nothing_is_missing(Flavor::MySql);
}

#[test]
fn mariadb_kills_lose_nothing_and_keep_the_order() {
    nothing_is_missing(Flavor::MariaDb);
}
