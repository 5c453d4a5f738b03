//! What is around the gateway fails: brokers, disks, other gateways; and it is told to stop.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use wasmgate_services::kafka::Kafka;
use wasmgate_tests::disk::Disk;
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::topics::{Reader, Record, produce};
use wasmgate_tests::{http, wait_for};

use super::load::{Load, TABLE, arrived};
use super::servers::{database, kafka, postgres, unique};

const HEAD: &str = "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\nmodules: { dir: '{modules}' }\npipelines:\n";
const RESIDENT_MAX: u64 = 300 << 20;

/// A capture of the table `name` to the broker, through two modules.
fn capture(port: u16, database: &str, table: &str, bootstrap: &str, prefix: &str) -> String {
    format!(
        "{HEAD}  capture:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, database: \
         {database}, user: postgres, topic_prefix: {prefix}, tables: [public.{table}], \
         slot: {database}, publication: {database}, heartbeat: 1s }}\n    transforms:\n      \
         - {{ module: unwrap, config: {{ add.fields: op }} }}\n      \
         - {{ module: quality-check }}\n    \
         sinks: [ {{ topics: '.*', kafka: {{ bootstrap_servers: '{bootstrap}' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n"
    )
}

fn streaming(gateway: &Gateway) {
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
}

#[test]
fn outage_of_the_broker_costs_no_memory_and_no_record() {
    let Some(server) = postgres() else { return };
    if wasmgate_tests::skipped(wasmgate_services::kafka::missing()) {
        return;
    }
    const ROWS: i64 = 100_000;
    // A broker of its own: it is killed.
    let broker = Kafka::start(1).unwrap();
    let table = "create table wide (id bigint primary key, filler text)";
    let database = database(&server, "outage", table);
    let bootstrap = broker.bootstrap();
    let dir = tempfile::tempdir().unwrap();
    let config = capture(server.port(), &database, "wide", &bootstrap, "outage");
    let gateway = Gateway::start(dir.path(), &config);
    streaming(&gateway);
    let insert = |from: i64, to: i64| {
        let sql = "insert into wide select n, repeat(md5(n::text), 32) from generate_series";
        server.psql(&database, &format!("{sql}({from}, {to}) n")).unwrap();
    };
    let mut reader = Reader::open(&bootstrap, "outage.public.wide");
    insert(1, 1000);
    reader.wait(1000, || gateway.describe("capture"));
    let before = gateway.resident();
    broker.kill_node(1).unwrap();
    // 100 MiB, of which no more than the buffers is taken.
    for part in 0..10 {
        insert(1001 + part * (ROWS - 1000) / 10, 1000 + (part + 1) * (ROWS - 1000) / 10);
    }
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
    assert!(read.as_i64() < Some(ROWS), "all of it was read: the buffers have no bound");
    assert!(highest < RESIDENT_MAX, "{} MiB, {} before", highest >> 20, before >> 20);
    broker.start_again().unwrap();
    let records = reader.wait(ROWS as usize, || gateway.describe("capture"));
    highest = gateway.resident().max(highest);
    assert!(highest < RESIDENT_MAX, "{} MiB, {} before", highest >> 20, before >> 20);
    let mut ids: Vec<i64> = records.iter().map(|r| r.json()["id"].as_i64().unwrap()).collect();
    assert!(ids.windows(2).filter(|w| w[1] < w[0]).count() <= 1, "the order is lost");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, (1..=ROWS).collect::<Vec<_>>());
    gateway.wait_pipeline("capture", "work", |status| status["state"] == "running");
    println!("{} MiB before, {} MiB at most", before >> 20, highest >> 20);
    assert!(gateway.signal_and_wait("TERM").0.success());
}

#[test]
fn outage_by_sigterm_drains_and_repeats_nothing() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "drained", TABLE);
    let (bootstrap, prefix) = (broker.bootstrap(), unique("drained"));
    let config = capture(server.port(), &database, "ledger", &bootstrap, &prefix);
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(dir.path(), &config);
    streaming(&gateway);
    let load = Load::start(Arc::clone(&server), database);
    let mut reader = Reader::open(&bootstrap, &format!("{prefix}.public.ledger"));
    for signal in ["TERM", "INT"] {
        let more = reader.all().len() + 1000;
        reader.wait(more, || gateway.describe("capture"));
        let (status, log) = gateway.signal_and_wait(signal);
        assert_eq!(status.code(), Some(0), "{log}");
        gateway = Gateway::start(dir.path(), &config);
    }
    let written = load.finish();
    let total = written.values().sum::<i64>() as usize;
    reader.wait(total, || gateway.describe("capture"));
    assert!(gateway.signal_and_wait("TERM").0.success());
    assert_eq!(arrived(reader.all()).check(&written), 0, "what was settled came again");
}

#[test]
fn outage_of_a_second_gateway_leaves_the_first_alone() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "twins", TABLE);
    let (bootstrap, prefix) = (broker.bootstrap(), unique("twins"));
    let config = capture(server.port(), &database, "ledger", &bootstrap, &prefix);
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Gateway::start(dir.path(), &config);
    streaming(&first);

    let mut second = Gateway::spawn(dir.path(), &config, &[]);
    let status = second.wait();
    let said = second.log();
    assert_eq!(status.code(), Some(75), "{said}");
    assert!(said.contains(&dir.path().join("data").display().to_string()), "{said}");

    // Another data directory has no checkpoint: it takes the slot over only when told so.
    let stand_in = config.replace("heartbeat: 1s", "heartbeat: 1s, snapshot: when_needed");
    let third = Gateway::start(other.path(), &stand_in);
    let status = third.wait_pipeline("capture", "the slot's holder", |status| {
        status["state"] == "retrying" && status["reason"].is_string()
    });
    let reason = status["reason"].as_str().unwrap();
    let holder = "select active_pid from pg_replication_slots where slot_name";
    let holder = server.psql(&database, &format!("{holder} = '{database}'")).unwrap();
    assert!(reason.contains(&database) && reason.contains(&holder), "{holder} is not in: {reason}");

    server.psql(&database, "insert into ledger values (1, 1, 1)").unwrap();
    let mut reader = Reader::open(&bootstrap, &format!("{prefix}.public.ledger"));
    reader.wait(1, || first.describe("capture"));
    assert_eq!(first.pipeline("capture").unwrap()["state"], "running");
    // The first one goes; the third takes its place by itself.
    first.kill();
    server.psql(&database, "insert into ledger values (2, 1, 1)").unwrap();
    third.wait_pipeline("capture", "work", |status| status["state"] == "running");
    wait_for(
        "the row after the change of hands",
        || reader.all().iter().any(|r| r.json()["key"] == 2).then_some(()),
        || third.describe("capture"),
    );
}

/// Bare documents for a file source: 4000 lines, 4 MB.
fn documents(path: &Path) {
    let filler = "x".repeat(1000);
    let text: String = (0..4000).map(|n| format!("{{\"n\":{n},\"f\":\"{filler}\"}}\n")).collect();
    fs::write(path, text).unwrap();
}

/// A full disk, at the sink or under the checkpoints: nothing is lost, and it goes on with room.
#[test]
fn outage_of_a_full_disk_ends_with_room() {
    let dir = tempfile::tempdir().unwrap();
    documents(&dir.path().join("in.jsonl"));
    let Some(disk) = Disk::mount(&dir.path().join("small"), "1m") else {
        eprintln!("SKIPPED: this user may not mount a tmpfs");
        return;
    };
    let config = format!(
        "{HEAD}  copy:\n    source: {{ file: {{ path: {{dir}}/in.jsonl, topic: docs, follow: true }} }}\n    \
         transforms: [ {{ module: identity }} ]\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/small/out.jsonl }} }} ]\n"
    );
    let gateway = Gateway::start(dir.path(), &config);
    let status = gateway.wait_pipeline("copy", "the full disk", |status| {
        status["state"] == "retrying" && status["reason"].is_string()
    });
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("out.jsonl") && reason.contains("full"), "{reason}");
    disk.remount("size=64m");
    let out = dir.path().join("small/out.jsonl");
    let numbers = |out: &Path| -> Vec<i64> {
        lines(out).iter().map(|l| l["value"]["n"].as_i64().unwrap()).collect()
    };
    wait_for(
        "the last line",
        || (numbers(&out).last() == Some(&3999)).then_some(()),
        || gateway.describe("copy"),
    );
    gateway.wait_pipeline("copy", "work", |status| status["state"] == "running");
    assert!(gateway.signal_and_wait("TERM").0.success());
    let mut seen = BTreeMap::<i64, usize>::new();
    numbers(&out).into_iter().for_each(|n| *seen.entry(n).or_default() += 1);
    assert!(seen.keys().copied().eq(0..4000), "{} of 4000", seen.len());
}

#[test]
fn outage_of_a_place_to_write_is_said_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in.jsonl"), "{}\n").unwrap();
    fs::write(dir.path().join("taken"), "a file").unwrap();
    let pipeline = |sink: &str, letters: &str| {
        format!(
            "pipelines:\n  copy:\n    source: {{ file: {{ path: {{dir}}/in.jsonl, topic: docs }} }}\n    \
             sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/{sink} }} }} ]\n    \
             dead_letters: {{ file: {{ dir: {{dir}}/{letters} }} }}\n"
        )
    };
    let head = |data: &str| {
        format!(
            "data_dir: {{dir}}/{data}\nhttp: {{ listen: 127.0.0.1:0 }}\n\
                                     modules: {{ dir: '{{modules}}' }}\n"
        )
    };
    let cases = [
        ("taken/data", pipeline("out.jsonl", "dlq"), 78),
        ("data", pipeline("taken/out.jsonl", "dlq"), 1),
        ("data", pipeline("out.jsonl", "taken/dlq"), 1),
    ];
    for (data, pipeline, code) in cases {
        let text = format!("{}{pipeline}", head(data));
        let mut gateway = Gateway::spawn(dir.path(), &text, &["--until-complete"]);
        let (status, log) = (gateway.wait(), gateway.log());
        assert_eq!(status.code(), Some(code), "{text}\n{log}");
        assert!(log.contains(&dir.path().join("taken").display().to_string()), "{log}");
    }
}

#[test]
fn outage_by_a_large_record_hits_no_neighbour() {
    let Some(broker) = kafka() else { return };
    let (bootstrap, name) = (broker.bootstrap(), unique("large"));
    broker.create_topic(&format!("{name}-in"), 1, &["max.message.bytes=4000000"]).unwrap();
    broker.create_topic(&format!("{name}-out"), 1, &["max.message.bytes=20000"]).unwrap();
    let records: Vec<Record> = (0..200)
        .map(|n| {
            let size = if n % 50 == 25 { 30_000 } else { 500 };
            Record::new(&n.to_string(), format!(r#"{{"n":{n},"f":"{}"}}"#, "x".repeat(size)))
        })
        .collect();
    produce(&bootstrap, &format!("{name}-in"), &records);
    let config = format!(
        "{HEAD}  copy:\n    source: {{ kafka: {{ bootstrap_servers: '{bootstrap}', topics: [{name}-in], \
         group: {name} }} }}\n    transforms: [ {{ module: identity }} ]\n    \
         sinks: [ {{ topics: '.*', kafka: {{ bootstrap_servers: '{bootstrap}', topic: {name}-out, \
         compression: none }} }} ]\n    dead_letters: {{ kafka: {{ topic: {name}-dlq }} }}\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    let letters =
        Reader::open(&bootstrap, &format!("{name}-dlq")).wait(4, || gateway.describe("copy"));
    let mut reader = Reader::open(&bootstrap, &format!("{name}-out"));
    let mut passed: Vec<i64> = reader
        .wait(196, || gateway.describe("copy"))
        .iter()
        .map(|r| r.json()["n"].as_i64().unwrap())
        .collect();
    passed.dedup();
    passed.sort_unstable();
    passed.dedup();
    assert_eq!(passed, (0..200).filter(|n| n % 50 != 25).collect::<Vec<i64>>());
    for (letter, n) in letters.iter().zip([25_usize, 75, 125, 175]) {
        assert_eq!(letter.value, records[n].value, "the original bytes");
        assert_eq!(letter.header("__connect.errors.stage"), Some("TASK_PUT"));
        let message = letter.header("__connect.errors.exception.message").unwrap();
        assert!(message.contains("max.message.bytes"), "{message}");
    }
    assert_eq!(letters.len(), 4);
    let status = gateway.wait_pipeline("copy", "rest", |s| s["in_flight"] == 0);
    assert_eq!(status["state"], "running", "{status}");
    assert!(status["dead_letters"].as_i64() >= Some(4), "{status}");
    let (_, metrics) = http::request(gateway.address(), "GET", "/metrics", b"").unwrap();
    assert!(metrics.contains("stage=\"sink\""), "{metrics}");
}
