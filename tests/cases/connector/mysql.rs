//! MySQL and MariaDB connectors as a worker of Debezium 1 had them, across a kill.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_services::mysql::{Flavor, MySql, Options, missing};
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::wait_for;

use super::BASE;

/// Names of before Debezium 2.0.
fn connector(server: &MySql) -> Value {
    let class = match server.flavor() {
        Flavor::MySql => "io.debezium.connector.mysql.MySqlConnector",
        Flavor::MariaDb => "io.debezium.connector.mariadb.MariaDbConnector",
    };
    json!({ "name": "legacy", "config": {
        "connector.class": class,
        "tasks.max": "1",
        "database.hostname": "127.0.0.1",
        "database.port": server.port().to_string(),
        "database.user": "root",
        "database.server.id": "5401",
        "database.server.name": "shop",
        "database.whitelist": "shop",
        "table.blacklist": "shop.secret",
        "database.history.kafka.bootstrap.servers": "kafka:9092",
        "database.history.kafka.topic": "schema-changes.shop",
        "database.history.store.only.captured.tables.ddl": "true",
        "snapshot.locking.mode": "minimal",
        "heartbeat.interval.ms": "100",
        "heartbeat.topics.prefix": "alive",
        "heartbeat.action.query": "UPDATE shop.secret SET n = n + 1",
    }})
}

fn takes_over(flavor: Flavor) {
    if wasmgate_tests::skipped(missing(flavor)) {
        return;
    }
    let server = MySql::start(flavor, &Options::default()).unwrap();
    let setup = "CREATE DATABASE shop; CREATE TABLE shop.orders(id int PRIMARY KEY, note text);
        INSERT INTO shop.orders VALUES (1, 'there before');
        CREATE TABLE shop.secret(n int); INSERT INTO shop.secret VALUES (0)";
    server.sql("", setup).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("connector.json");
    fs::write(&file, connector(&server).to_string()).unwrap();
    let start = || Gateway::start_with(dir.path(), BASE, &["--connector", file.to_str().unwrap()]);
    let of = |topic: &str| lines(&dir.path().join(format!("out/legacy/{topic}.jsonl")));
    let wait = |gateway: &Gateway, what: &str, done: &dyn Fn() -> bool| {
        wait_for(what, || done().then_some(()), || gateway.log());
    };
    let after = |path: &str| -> Vec<Value> {
        of(path).iter().map(|record| record["value"]["after"]["id"].clone()).collect()
    };

    let gateway = start();
    wait(&gateway, "the snapshot", &|| of("shop.shop.orders").len() == 1);
    wait(&gateway, "a heartbeat", &|| !of("alive.shop").is_empty());
    let beats = || server.sql("", "SELECT n FROM shop.secret").unwrap().parse::<u64>().unwrap();
    wait(&gateway, "its statement", &|| beats() > 1);
    server.sql("shop", "ALTER TABLE orders ADD at date").unwrap();
    wait(&gateway, "the change of the schema", &|| {
        of("shop").iter().any(|r| r["value"]["ddl"] == "ALTER TABLE orders ADD at date")
    });
    // The next save of the checkpoint has the snapshot, which would come again else.
    let saved = || gateway.pipeline("legacy").map(|status| status["checkpoint"].clone());
    let before = saved();
    wait(&gateway, "a checkpoint", &|| saved().is_some() && saved() != before);
    gateway.kill();
    server.sql("shop", "INSERT INTO orders VALUES (2, 'while it was down', '2024-02-29')").unwrap();
    let gateway = start();
    wait(&gateway, "the row", &|| after("shop.shop.orders").contains(&json!(2)));
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let orders = of("shop.shop.orders");
    let ops: Vec<&str> = orders.iter().map(|r| r["value"]["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["r", "c"], "{flavor:?}: {log}");
    assert_eq!(orders[1]["value"]["after"]["at"], 19_782);
    let beat = of("alive.shop").remove(0);
    assert_eq!(beat["key"], json!({ "serverName": "shop" }));
    let topics = fs::read_dir(dir.path().join("out/legacy")).unwrap().count();
    assert_eq!(topics, 3, "records of tables, of schemas, heartbeats");
    let changes = of("shop");
    assert!(changes.iter().all(|r| !r["value"].to_string().contains("secret")), "{changes:?}");
    assert_eq!(lines(Path::new(&dir.path().join("dlq"))), Vec::<Value>::new());
}

#[test]
fn connector_documents_of_mysql_run_with_their_old_names() {
    takes_over(Flavor::MySql);
}

#[test]
fn connector_documents_of_mariadb_run_with_their_old_names() {
    takes_over(Flavor::MariaDb);
}
