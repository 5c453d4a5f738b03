//! One transaction with more rows than may be in memory: it streams through, killed twice on the
//! way, and nothing of it is missing. 300,000 rows; 10 million in a soak.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use wasmgate_services::mysql::{Flavor, MySql, Options, missing};
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::wait_for;

const PIPELINE: &str = "large";
/// What the process may take, with all of it.
const MEMORY_MAX: u64 = 150 << 20;
/// Rows of one statement.
const STEP: u64 = 100_000;

fn rows() -> u64 {
    let soak = std::env::var_os("WASMGATE_SOAK_MINUTES").is_some();
    if soak { 10_000_000 } else { 300_000 }
}

fn config(server: &MySql) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{dir}}/none' }}\n\
         pipelines:\n  {PIPELINE}:\n    source:\n      mysql: {{ port: {port}, user: root, \
         topic_prefix: p, tables: [large.t], snapshot: never, heartbeat: 100ms }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/out.jsonl' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: '{{dir}}/dlq' }} }}\n",
        port = server.port(),
    )
}

/// The statement whose rows begin at a number.
fn insert(from: u64) -> String {
    format!(
        "INSERT INTO t SELECT {from} + a.i + 10 * b.i + 100 * c.i + 1000 * e.i + 10000 * f.i, \
         repeat('x', 60) FROM d a, d b, d c, d e, d f ORDER BY 1"
    )
}

/// Ids in the order of their records.
fn ids(output: &Path) -> impl Iterator<Item = u64> {
    let file = std::fs::File::open(output).unwrap();
    BufReader::new(file).lines().map(|line| {
        let record: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        record["value"]["after"]["id"].as_u64().unwrap()
    })
}

fn streams_through(flavor: Flavor) {
    if wasmgate_tests::skipped(missing(flavor)) {
        return;
    }
    let server = MySql::start(flavor, &Options::default()).unwrap();
    let setup = "CREATE DATABASE large; CREATE TABLE large.t(id bigint PRIMARY KEY, v text);
        CREATE TABLE large.d(i int); INSERT INTO large.d VALUES
        (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)";
    server.sql("", setup).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = config(&server);
    let most = Cell::new(0);
    let start = || {
        let gateway = Gateway::start(dir.path(), &config);
        gateway.wait_pipeline(PIPELINE, "the stream", |status| status["phase"] == "streaming");
        gateway
    };
    let watched = |gateway: &Gateway| most.set(most.get().max(gateway.resident()));
    let mut gateway = start();
    let rows = rows();
    let inserts: Vec<String> = (0..rows / STEP).map(|i| insert(i * STEP)).collect();
    server.sql("large", &format!("BEGIN; {}; COMMIT", inserts.join(";"))).unwrap();
    let output = dir.path().join("out.jsonl");
    let size = || std::fs::metadata(&output).map_or(0, |m| m.len());
    for part in 1..3 {
        let further = || {
            watched(&gateway);
            (size() > part * rows * 50).then_some(())
        };
        wait_for("part of its records", further, || gateway.describe(PIPELINE));
        gateway.kill();
        gateway = start();
    }
    // One more transaction, whose record is the last.
    server.sql("large", &format!("INSERT INTO t VALUES ({rows}, 'end')")).unwrap();
    let end = format!("\"id\":{rows},");
    let done = || {
        watched(&gateway);
        tail(&output).contains(&end).then_some(())
    };
    wait_for("all of its records", done, || gateway.describe(PIPELINE));
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let (mut next, mut all) = (0, 0);
    for id in ids(&output) {
        assert!(id <= next, "{id} came before {next}");
        next = next.max(id + 1);
        all += 1;
    }
    assert_eq!(next, rows + 1, "rows are missing");
    let repeated = all - rows - 1;
    assert!(repeated < rows / 4, "{repeated} rows came again after two kills");
    println!("{flavor:?}: {rows} rows, {repeated} repeated, {} MiB at most", most.get() >> 20);
    assert!(most.get() < MEMORY_MAX, "{} bytes", most.get());
}

/// The last line of a file.
fn tail(path: &Path) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        let length = file.metadata().map_or(0, |m| m.len());
        file.seek(SeekFrom::Start(length.saturating_sub(2000))).unwrap();
        drop(file.read_to_string(&mut text));
    }
    text
}

#[test]
fn mysql_soak_of_a_large_transaction_streams_through_kills() {
    streams_through(Flavor::MySql);
}

#[test]
fn mariadb_soak_of_a_large_transaction_streams_through_kills() {
    streams_through(Flavor::MariaDb);
}
