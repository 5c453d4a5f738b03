//! Connector documents of a Kafka Connect worker, taken over with their slots: two connectors of
//! an export, secrets in a properties file, sinks of the base, across a kill.

mod mysql;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::{Gateway, lines, wait_lines};
use wasmgate_tests::wait_for;

use super::servers::{database, postgres};

/// What Debezium left: a slot and its publication, rows that it has written and one that it has
/// not.
const LEFT: &str = "
    create table notes (id int primary key, text text);
    insert into notes values (1, 'written by Debezium');
    create publication dbz_publication for all tables;";

const BASE: &str = "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\n\
                    modules: { dir: '{modules}' }\nconnectors:\n  \
                    sinks: [ { topics: '.*', file: { dir: '{dir}/out/${connector}' } } ]\n  \
                    dead_letters: { file: { dir: '{dir}/dlq' } }\n  defaults:\n    \
                    key.converter.schemas.enable: false\n    \
                    value.converter.schemas.enable: false\n";

/// A connector as a worker of Debezium 1 had it; the slot has its default name if none is given.
fn connector(server: &Postgres, dir: &Path, database: &str, more: &[(&str, &str)]) -> Value {
    let secrets = dir.join("db.properties");
    let mut config = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": server.port().to_string(),
        "database.user": format!("${{file:{}:user}}", secrets.display()),
        "database.dbname": database,
        "database.server.name": database,
        "slot.name": database,
        "snapshot.mode": "never",
        "poll.interval.ms": "100",
        "team": "crm",
    });
    for (name, value) in more {
        config[*name] = (*value).into();
    }
    config
}

#[test]
fn connector_documents_take_their_slots_over() {
    let Some(server) = postgres() else { return };
    let names = ["taken_a", "taken_b"].map(|base| database(&server, base, LEFT));
    for name in &names {
        let slot = format!("select pg_create_logical_replication_slot('{name}', 'pgoutput')");
        server.psql(name, &slot).unwrap();
        server.psql(name, "insert into notes values (2, 'not yet written')").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db.properties"), "# database\nuser = postgres\n").unwrap();
    let rows = [
        ("transforms", "row,short"),
        ("transforms.row.type", "io.debezium.transforms.ExtractNewRecordState"),
        ("transforms.row.delete.tombstone.handling.mode", "rewrite"),
        ("transforms.row.predicate", "written"),
        ("transforms.row.negate", "true"),
        ("transforms.short.type", "org.apache.kafka.connect.transforms.RegexRouter"),
        ("transforms.short.regex", r"([^.]+)\.([^.]+)\.([^.]+)"),
        ("transforms.short.replacement", "$3"),
        ("predicates", "written"),
        (
            "predicates.written.type",
            "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        ),
    ];
    let info = |name: &str, config: Value| json!({ "info": { "name": name, "config": config, "tasks": [], "type": "source" } });
    let export = json!({
        "envelopes": info("envelopes", connector(&server, dir.path(), &names[0], &[])),
        "rows": info("rows", connector(&server, dir.path(), &names[1], &rows)),
    });
    let file = dir.path().join("connectors.json");
    fs::write(&file, export.to_string()).unwrap();
    let arguments = ["--connector", file.to_str().unwrap()];
    let start = || Gateway::start_with(dir.path(), BASE, &arguments);

    let gateway = start();
    let envelopes = dir.path().join(format!("out/envelopes/{}.public.notes.jsonl", names[0]));
    let flat = dir.path().join("out/rows/notes.jsonl");
    let first = wait_lines(&gateway, &envelopes, 1);
    assert_eq!(first[0]["value"]["after"], json!({ "id": 2, "text": "not yet written" }));
    assert_eq!(first[0]["value"]["op"], "c", "what Debezium wrote does not come again");
    wait_lines(&gateway, &flat, 1);
    gateway.kill();
    for name in &names {
        let sql = "update notes set text = 'x' where id = 2; delete from notes where id = 2";
        server.psql(name, sql).unwrap();
    }
    let gateway = start();
    // What had not settled before the kill comes again: the end counts, not the number.
    let to_tombstone = |path: &Path| {
        let ends = |all: &Vec<Value>| all.last().is_some_and(|record| record["value"].is_null());
        wait_for("the tombstone", || Some(lines(path)).filter(ends), || gateway.log())
    };
    to_tombstone(&envelopes);
    let got = to_tombstone(&flat);
    let tombstone = got.last().unwrap();
    assert_eq!((&tombstone["key"], &tombstone["value"]), (&json!({ "id": 2 }), &Value::Null));
    let row = |record: &Value| record["value"].clone();
    assert_eq!(row(&got[got.len() - 2])["__deleted"], "true");
    assert!(got.iter().all(|record| record["topic"] == "notes"), "{got:?}");
    let log = gateway.log();
    assert!(log.contains("property=\"team\"") || log.contains("property=team"), "{log}");
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    assert!(lines(&dir.path().join("dlq")).is_empty());
    for name in &names {
        server.psql(name, &format!("select pg_drop_replication_slot('{name}')")).unwrap();
    }
}
