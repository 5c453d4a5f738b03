//! The recordings of MySQL through a connector document, as [`super`] does those of Postgres.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_services::mysql::{Flavor, MySql, Options, missing};
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::wait_for;

use super::compare::differences;
use super::golden::{Golden, Step, folder};
use super::normalise::normalise;
use super::run::{BASE, PIPELINE, wait_streaming};

macro_rules! scenarios {
    ($($name:ident)*) => {
        const RUN: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

scenarios! {
    compression_rotation_charsets
    envelope_schema_changes_transactions
    key_types_and_case
    types_connect
    types_default
    types_isostring
}

#[test]
fn every_recording_of_mysql_is_run() {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.filter_map(|f| {
        Some(f.to_str()?.strip_prefix("mysql_")?.strip_suffix(".json")?.to_owned())
    });
    let mut recorded: Vec<String> = names.collect();
    recorded.sort_unstable();
    assert_eq!(recorded, RUN);
}

fn check(name: &str) {
    if wasmgate_tests::skipped(missing(Flavor::MySql)) {
        return;
    }
    let mut golden = Golden::read("mysql", name);
    put_right(&mut golden);
    let quiet = "--binlog-rows-query-log-events=OFF".to_owned();
    let options = Options { arguments: vec![quiet], ..Options::default() };
    let server = MySql::start(Flavor::MySql, &options).unwrap();
    let got = run(&Arc::new(server), &golden);
    let got: Vec<Value> = got.iter().map(|r| meaning(normalise(r, &golden.rules))).collect();
    let expected: Vec<Value> = golden.expected.iter().cloned().map(meaning).collect();
    let wrong: String = differences(&expected, &got).iter().map(|d| format!("{d}\n")).collect();
    assert!(wrong.is_empty(), "{name} ({} records):\n{wrong}", expected.len());
}

/// JSON columns may differ in spacing, not in what they say.
fn meaning(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[', '"']) => {
            let parsed: Option<Value> = serde_json::from_str(&text).ok();
            parsed.map_or(Value::String(text), |parsed| json!(parsed.to_string()))
        }
        Value::Array(entries) => entries.into_iter().map(meaning).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, meaning(value))).collect()
        }
        other => other,
    }
}

/// Replaces every value where the recorded engine is wrong by the one that is right, from
/// `tests/golden/debezium/deviations.md`.
fn put_right(golden: &mut Golden) {
    for deviation in golden.rules["deviations"].as_array().unwrap() {
        let at = usize::try_from(deviation["record"].as_u64().unwrap()).unwrap();
        let whole = &mut golden.expected[at]["value"];
        let row = if whole.get("payload").is_some() { &mut whole["payload"] } else { whole };
        let place = &mut row["after"][deviation["field"].as_str().unwrap()];
        *place = match deviation["id"].as_str().unwrap() {
            "MY-01" => json!(0),
            "MY-02" => json!("c,d"),
            "MY-03" if deviation["reference"] == json!(3.40282e38) => json!(3.402_823_5e38),
            "MY-03" => json!(16_777_216.0),
            // The document as it is, with the server's own text of the time in it.
            "MY-04" => {
                assert!(place.as_str().unwrap().contains(r#""t":"-12:13:14.500000""#), "{place}");
                place.clone()
            }
            id => panic!("{id} is no deviation of MySQL"),
        };
    }
}

fn run(server: &Arc<MySql>, golden: &Golden) -> Vec<Value> {
    let database = &golden.database;
    server.sql("", &format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")).unwrap();
    for script in &golden.setup {
        server.sql(database, script).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("connector.json");
    fs::create_dir(dir.path().join("modules")).unwrap();
    fs::write(&file, format!("{:#}", connector(server, golden))).unwrap();
    let gateway = Gateway::start_with(dir.path(), BASE, &["--connector", file.to_str().unwrap()]);
    wait_streaming(&gateway);
    let out = dir.path().join("out.jsonl");
    let start = (number(&gateway), executed(server));
    for step in &golden.steps {
        match step {
            Step::Sql { script, fails } => {
                let done = server.sql(database, script);
                assert_eq!(done.is_err(), *fails, "{script}: {done:?}");
            }
            _ => settle(server, &gateway, start),
        }
    }
    settle(server, &gateway, start);
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let letters = lines(&dir.path().join("dlq"));
    assert!(letters.is_empty(), "dead letters: {letters:?}");
    lines(&out)
}

/// Number of the next transaction at the checkpoint.
fn number(gateway: &Gateway) -> u64 {
    let found = || {
        let status = gateway.pipeline(PIPELINE)?;
        let position = status["checkpoint"][0]["position"].as_str()?.to_owned();
        let (major, minor) = position.split_once('/')?;
        // Behind the snapshot, between two transactions.
        (minor == "0").then(|| major.parse().ok())?
    };
    wait_for("the checkpoint", found, || gateway.log())
}

/// How many transactions the server has executed.
fn executed(server: &MySql) -> u64 {
    let set = server.sql("", "SELECT @@GLOBAL.gtid_executed").unwrap();
    set.rsplit(['-', ':']).next().unwrap().parse().unwrap()
}

/// Waits until every transaction is settled: each has the number after the last one's.
fn settle(server: &MySql, gateway: &Gateway, (number_then, executed_then): (u64, u64)) {
    let end = number_then + executed(server) - executed_then;
    let settled = || (number(gateway) >= end).then_some(());
    wait_for(&format!("transaction {end}"), settled, || gateway.log());
}

/// The scenario's connector as it would be posted to Kafka Connect.
fn connector(server: &MySql, golden: &Golden) -> Value {
    let config = json!({
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "tasks.max": "1",
        "database.hostname": "127.0.0.1",
        "database.port": server.port(),
        "database.user": "root",
        "database.server.id": "184054",
        "schema.history.internal.kafka.bootstrap.servers": "kafka:9092",
        "schema.history.internal.kafka.topic": "schemas",
        "wasmgate.source.mysql.heartbeat": "100ms",
    });
    json!({ "name": PIPELINE, "config": golden.over(config) })
}
