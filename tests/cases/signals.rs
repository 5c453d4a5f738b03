//! Signals from a file and from a topic: taken once, in their order, over restarts; what is no
//! signal for this pipeline is passed over.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::topics::{Record, produce};
use wasmgate_tests::wait_for;

use super::servers::{database, kafka, postgres, unique};

const TABLES: &str = "create table t(id int primary key); create table other(id int primary key); \
                      insert into t select generate_series(1, 3); \
                      insert into other select generate_series(1, 2)";

fn config(server: &Postgres, database: &str, signals: &str) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\n\
         pipelines:\n  told:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: told, snapshot: never, \
         tables: [public.t, public.other], slot: {database}, publication: {database}, \
         signals: {signals} }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {{dir}}/out.jsonl }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
        port = server.port(),
    )
}

fn execute(id: &str, table: &str) -> Value {
    json!({ "id": id, "type": "execute-snapshot", "data": { "data-collections": [table] } })
}

/// Tables and ids of the rows that were read, in order.
fn read(path: &Path) -> Vec<String> {
    let records = lines(path);
    let rows = records.iter().map(|r| &r["value"]).filter(|r| r["op"] == "r");
    rows.map(|r| format!("{} {}", r["source"]["table"].as_str().unwrap(), r["after"]["id"]))
        .collect()
}

fn wait_read(gateway: &Gateway, path: &Path, want: &[&str]) {
    wait_for(
        "the rows",
        || (read(path).len() >= want.len()).then_some(()),
        || format!("{:?}\n{}", read(path), gateway.describe("told")),
    );
    assert_eq!(read(path), want);
}

#[test]
fn signals_of_a_file_are_followed_once() {
    let Some(server) = postgres() else { return };
    let database = database(&server, "signals_file", TABLES);
    let dir = tempfile::tempdir().unwrap();
    let (out, file) = (dir.path().join("out.jsonl"), dir.path().join("signals"));
    let append = |text: String| {
        let mut file = OpenOptions::new().create(true).append(true).open(&file).unwrap();
        writeln!(file, "{text}").unwrap();
    };
    append("no signal".into());
    append(json!({ "type": "resume-table", "data": { "table": "public.t" } }).to_string());
    append(json!({ "type": "execute-snapshot", "data": {} }).to_string());
    append(execute("s1", "public.other").to_string());
    let config = config(&server, &database, "{ file: {dir}/signals }");
    let gateway = Gateway::start(dir.path(), &config);
    // A signal that is refused stands in nobody's way.
    wait_read(&gateway, &out, &["other 1", "other 2"]);
    let (_, log) = gateway.signal_and_wait("TERM");
    assert_eq!(log.matches("a signal is passed over").count(), 2, "{log}");
    assert!(log.contains("not quarantined") && log.contains("names no table"), "{log}");

    append(execute("s2", "public.t").to_string());
    let gateway = Gateway::start(dir.path(), &config);
    wait_read(&gateway, &out, &["other 1", "other 2", "t 1", "t 2", "t 3"]);
    let data = json!({ "data-collections": ["public.t"] }).to_string();
    append(json!({ "id": "s3", "type": "execute-snapshot", "data": data }).to_string());
    let want = ["other 1", "other 2", "t 1", "t 2", "t 3", "t 1", "t 2", "t 3"];
    wait_read(&gateway, &out, &want);
}

#[test]
fn signals_of_a_topic_are_those_with_the_topic_prefix_as_key() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "signals_kafka", TABLES);
    let (topic, bootstrap) = (unique("signals"), broker.bootstrap());
    broker.create_topic(&topic, 1, &[]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.jsonl");
    let signals = format!("{{ kafka: {{ bootstrap_servers: '{bootstrap}', topic: {topic} }} }}");
    let config = config(&server, &database, &signals);
    let send = |key: Option<&str>, signal: &Value| {
        let record = match key {
            Some(key) => Record::new(key, signal.to_string()),
            None => Record { value: Some(signal.to_string().into()), ..Record::default() },
        };
        produce(&bootstrap, &topic, &[record]);
    };
    for key in [Some("elsewhere"), Some("tol"), Some("told.public.t"), None] {
        send(key, &execute("s0", "public.t"));
    }
    produce(&bootstrap, &topic, &[Record { key: Some("told".into()), ..Record::default() }]);
    send(Some("told"), &execute("s1", "public.other"));
    let gateway = Gateway::start(dir.path(), &config);
    wait_read(&gateway, &out, &["other 1", "other 2"]);
    assert!(gateway.signal_and_wait("TERM").0.success());
    // Written while nobody reads; a JSON string is a key, too.
    send(Some("\"told\""), &execute("s2", "public.t"));
    let gateway = Gateway::start(dir.path(), &config);
    wait_read(&gateway, &out, &["other 1", "other 2", "t 1", "t 2", "t 3"]);
}
