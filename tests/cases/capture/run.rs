//! Runs a scenario: its database on a real server, the gateway with the scenario's connector as it
//! would be posted to Kafka Connect, its steps, and the records that came out.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::{root, wait_for};

use super::golden::{Golden, Step};

pub(super) const PIPELINE: &str = "capture";

/// Scenarios share names of databases, and one drops what the other had.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The records of a scenario, as the file sink wrote them.
pub(super) fn run(server: &Postgres, golden: &Golden) -> Vec<Value> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let database = Database::create(server, &golden.database);
    for script in &golden.setup {
        database.sql(script).unwrap();
    }
    database.publish(golden);
    let dir = tempfile::tempdir().unwrap();
    copy_modules(golden, &dir.path().join("modules"));
    let connector = connector(server, golden);
    let file = dir.path().join("connector.json");
    fs::write(&file, format!("{connector:#}")).unwrap();
    let file = file.to_str().unwrap();
    let start = || Gateway::start_with(dir.path(), BASE, &["--connector", file]);
    let mut gateway = Some(start());
    for step in &golden.steps {
        match step {
            Step::Start => gateway = Some(start()),
            Step::Kill => gateway.take().unwrap().kill(),
            Step::Settle => database.settle(gateway.as_ref().unwrap()),
            Step::Expect => wait_for(
                "every record of the recording",
                || golden.is_complete(&lines(&dir.path().join("out.jsonl"))).then_some(()),
                || gateway.as_ref().unwrap().log(),
            ),
            Step::Sql { script, fails } => {
                if let Some(gateway) = &gateway {
                    wait_streaming(gateway);
                }
                let done = database.sql(script);
                assert_eq!(done.is_err(), *fails, "{script}: {done:?}");
            }
        }
    }
    let gateway = gateway.unwrap();
    database.settle(&gateway);
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
    let letters = lines(&dir.path().join("dlq"));
    assert!(letters.is_empty(), "dead letters: {letters:?}");
    lines(&dir.path().join("out.jsonl"))
}

pub(super) fn wait_streaming(gateway: &Gateway) {
    gateway.wait_pipeline(PIPELINE, "the stream", |status| status["phase"] == "streaming");
}

/// A database that is dropped, with its slot, before and after.
struct Database<'a> {
    server: &'a Postgres,
    name: &'a str,
}

impl<'a> Database<'a> {
    fn create(server: &'a Postgres, name: &'a str) -> Self {
        let database = Self { server, name };
        database.drop_all();
        server.psql("postgres", &format!("create database {name}")).unwrap();
        database
    }

    fn drop_all(&self) {
        let slots = format!(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
             where database = '{}'",
            self.name
        );
        let dropped = || self.server.psql("postgres", &slots).ok();
        wait_for("the slot's last reader to go", dropped, || self.server.log());
        let drop = format!("drop database if exists {} with (force)", self.name);
        self.server.psql("postgres", &drop).unwrap();
    }

    fn sql(&self, script: &str) -> Result<String, String> {
        self.server.psql(self.name, script)
    }

    fn publish(&self, golden: &Golden) {
        let root = golden.option("publish.via.partition.root", "false");
        let tables = match self.tables(golden).join(", ") {
            none if none.is_empty() => "all tables".into(),
            list => format!("table {list}"),
        };
        let sql = format!(
            "create publication capture for {tables} with (publish_via_partition_root = {root})"
        );
        self.sql(&sql).unwrap();
    }

    /// The tables that `table.include.list` means, in its order; none: all of the database, also
    /// later ones.
    fn tables(&self, golden: &Golden) -> Vec<String> {
        let Some(patterns) = golden.config.get("table.include.list") else { return Vec::new() };
        let means = |pattern: &str| {
            let sql = format!(
                "select schemaname || '.' || tablename from pg_tables \
                 where schemaname || '.' || tablename ~ '^({pattern})$' order by 1"
            );
            let tables = self.sql(&sql).unwrap();
            assert!(!tables.is_empty(), "{pattern} means no table");
            tables.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        patterns.as_str().unwrap().split(',').flat_map(means).collect()
    }

    /// Waits until everything that is committed now is in the sink and the slot knows it.
    fn settle(&self, gateway: &Gateway) {
        wait_streaming(gateway);
        // A message outside of transactions stays in memory until somebody commits after it.
        let end = "select pg_current_xact_id(); select pg_current_wal_insert_lsn()";
        let end = self.sql(end).unwrap().lines().last().unwrap().to_owned();
        let sql = format!(
            "select confirmed_flush_lsn >= '{end}' from pg_replication_slots \
             where slot_name = 'capture_{}'",
            self.name
        );
        let confirmed = || (self.sql(&sql).as_deref() == Ok("t")).then_some(());
        let seen = || format!("{:?}\n{}", gateway.pipeline(PIPELINE), gateway.log());
        wait_for(&format!("the confirmation of {end}"), confirmed, seen);
        // A signal may have begun something beside the stream.
        wait_streaming(gateway);
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.drop_all();
        }
    }
}

/// Only what a scenario uses, so that nothing else is compiled.
fn copy_modules(golden: &Golden, dir: &Path) {
    fs::create_dir(dir).unwrap();
    for name in golden.option("transforms", "").split(',').filter(|name| !name.is_empty()) {
        let class = golden.option(&format!("transforms.{name}.type"), "");
        let module = match class.rsplit('.').next().unwrap() {
            "ExtractNewRecordState" => "unwrap.wasm",
            "RegexRouter" => "route.wasm",
            class => panic!("no module does what {class} does"),
        };
        fs::copy(root().join("transforms").join(module), dir.join(module)).unwrap();
    }
}

/// What no connector says: where the data, the modules and the records are.
pub(super) const BASE: &str = "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\n\
                    modules: { dir: '{dir}/modules' }\nconnectors:\n  \
                    sinks: [ { topics: '.*', file: { path: '{dir}/out.jsonl' } } ]\n  \
                    dead_letters: { file: { dir: '{dir}/dlq' } }\n";

/// The scenario's connector as it would be posted to Kafka Connect: its options, and those that
/// are ours to choose.
fn connector(server: &Postgres, golden: &Golden) -> Value {
    let database = &golden.database;
    let config = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "database.hostname": "127.0.0.1",
        "database.port": server.port(),
        "database.user": "postgres",
        "database.dbname": database,
        "plugin.name": "pgoutput",
        "slot.name": format!("capture_{database}"),
        "publication.name": "capture",
        "status.update.interval.ms": "100",
        "wasmgate.source.postgres.heartbeat": "100ms",
    });
    json!({ "name": PIPELINE, "config": golden.over(config) })
}
