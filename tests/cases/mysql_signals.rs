//! What a running MySQL or MariaDB source is asked for, by every way that signals come: a row of
//! the signal table, HTTP, a file, a Kafka topic; and a table that a module does not fit.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_services::mysql::{Flavor, MySql, Options, missing};
use wasmgate_tests::gateway::{Gateway, lines, wait_lines};
use wasmgate_tests::http::request;
use wasmgate_tests::topics::{Record, produce};
use wasmgate_tests::wait_for;

use super::quarantine::{comes_back, wait_held};
use super::servers::{kafka, unique};

fn server(flavor: Flavor) -> Option<Arc<MySql>> {
    if wasmgate_tests::skipped(missing(flavor)) {
        return None;
    }
    Some(Arc::new(MySql::start(flavor, &Options::default()).unwrap()))
}

/// How often each row of a table came by a snapshot: least and most.
fn read(out: &Path, table: &str, rows: usize) -> (usize, usize) {
    let mut by_id: BTreeMap<i64, usize> = BTreeMap::new();
    for line in lines(out).iter().map(|line| &line["value"]) {
        if line["op"] == "r" && line["source"]["table"] == table {
            *by_id.entry(line["after"]["id"].as_i64().unwrap()).or_default() += 1;
        }
    }
    let least = if by_id.len() < rows { 0 } else { *by_id.values().min().unwrap_or(&0) };
    (least, by_id.values().max().copied().unwrap_or(0))
}

fn signals_come_by_every_way(flavor: Flavor) {
    let (Some(server), Some(broker)) = (server(flavor), kafka()) else { return };
    let topic = unique("signals");
    produce(&broker.bootstrap(), &topic, &[Record::new("another", "{}")]);
    server
        .sql(
            "",
            "CREATE DATABASE shop; CREATE TABLE shop.t(id int PRIMARY KEY, v int);
             INSERT INTO shop.t VALUES (1,1),(2,2),(3,3),(4,4),(5,5);
             CREATE TABLE shop.sig(id varchar(64) PRIMARY KEY, type varchar(32), data text)",
        )
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\npipelines:\n  asked:\n    \
         source:\n      mysql:\n        port: {port}\n        user: root\n        \
         topic_prefix: asked\n        databases: [shop]\n        snapshot: never\n        \
         snapshots: {{ chunk_rows: 2, watermarks: insert_delete }}\n        \
         signals:\n          table: shop.sig\n          file: '{{dir}}/signals.jsonl'\n          \
         kafka: {{ bootstrap_servers: '{brokers}', topic: {topic} }}\n        \
         notifications: {{ topic: told, log: true }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/out.jsonl' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
        port = server.port(),
        brokers = broker.bootstrap(),
    );
    let out = dir.path().join("out.jsonl");
    let signal = |id: &str| {
        json!({ "id": id, "type": "execute-snapshot",
                "data": { "data-collections": ["shop.t"], "type": "incremental" } })
    };
    let text = |id: &str| {
        let mut signal = signal(id);
        signal["data"] = signal["data"].to_string().into();
        signal.to_string()
    };
    let mut file = fs::File::create(dir.path().join("signals.jsonl")).unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline("asked", "the stream", |status| status["phase"] == "streaming");
    let times = |n: usize| {
        wait_for(
            "the rows",
            || (read(&out, "t", 5) == (n, n)).then_some(()),
            || format!("{:?} {}", read(&out, "t", 5), gateway.describe("asked")),
        );
        let told = |line: &Value| line["value"]["type"] == "COMPLETED";
        wait_for(
            "the notification",
            || (lines(&out).iter().filter(|line| told(line)).count() == n).then_some(()),
            || gateway.describe("asked"),
        );
    };
    let body = signal("by-http").to_string();
    let path = "/api/v1/pipelines/asked/signals";
    let (code, why) = request(gateway.address(), "POST", path, body.as_bytes()).unwrap();
    assert_eq!(code, 202, "{why}");
    times(1);
    let data = signal("by-table")["data"].to_string();
    let insert = format!("INSERT INTO shop.sig VALUES ('by-table', 'execute-snapshot', '{data}')");
    server.sql("", &insert).unwrap();
    times(2);
    file.write_all(format!("{}\n", text("by-file")).as_bytes()).unwrap();
    times(3);
    produce(&broker.bootstrap(), &topic, &[Record::new("asked", text("by-kafka"))]);
    times(4);
    let status = gateway.pipeline("asked").unwrap();
    assert_eq!(status["copies"][0]["table"], "shop.t", "{status}");
    assert_eq!(status["copies"][0]["percent"], 100.0, "{status}");
    assert!(gateway.signal_and_wait("TERM").0.success());
}

#[test]
fn mysql_signals_come_by_every_way() {
    signals_come_by_every_way(Flavor::MySql);
}

#[test]
fn mariadb_signals_come_by_every_way() {
    signals_come_by_every_way(Flavor::MariaDb);
}

fn quarantine_holds_one_table_back(flavor: Flavor) {
    let Some(server) = server(flavor) else { return };
    let sql = |text: &str| server.sql("shop", text).unwrap();
    server.sql("", "CREATE DATABASE shop").unwrap();
    sql("CREATE TABLE t(id int PRIMARY KEY, v varchar(9));
         CREATE TABLE other(id int PRIMARY KEY, v varchar(9));
         INSERT INTO t VALUES (1,'x'),(2,'x'),(3,'x')");
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n  held:\n    source:\n      mysql: {{ port: {port}, user: root, \
         topic_prefix: held, databases: [shop] }}\n    \
         transforms: [ {{ module: quality-check, config: {{ required: [v] }} }} ]\n    \
         sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/out.jsonl' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
        port = server.port(),
    );
    let (out, letters) = (dir.path().join("out.jsonl"), dir.path().join("dlq/held.jsonl"));
    let gateway = Gateway::start(dir.path(), &config);
    wait_lines(&gateway, &out, 3);
    sql("ALTER TABLE t DROP v; INSERT INTO t VALUES (4); DELETE FROM t WHERE id = 1;
         INSERT INTO other VALUES (1, 'x')");
    wait_lines(&gateway, &out, 4);
    wait_lines(&gateway, &letters, 2);
    wait_held(&gateway, "shop.t");
    let repair = || drop(sql("ALTER TABLE t ADD v varchar(9); UPDATE t SET v = 'y'"));
    comes_back(&gateway, &out, "shop.t", repair);
}

#[test]
fn mysql_quarantine_holds_one_table_back_and_reads_it_anew() {
    quarantine_holds_one_table_back(Flavor::MySql);
}

#[test]
fn mariadb_quarantine_holds_one_table_back_and_reads_it_anew() {
    quarantine_holds_one_table_back(Flavor::MariaDb);
}
