//! Runs a scenario: its database on a real server, the gateway with the options that mean the
//! same, its steps, and the records that came out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use wasmgate_services::postgres::Postgres;
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::{root, wait_for};

use super::golden::{Golden, Step};

const PIPELINE: &str = "capture";

/// A module and its configuration.
type Stage = (&'static str, Value);

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
    let stages = stages(golden);
    copy_modules(&stages, &dir.path().join("modules"));
    let config = config(server, golden, &database.tables(golden), &stages);
    let mut gateway = Some(Gateway::start(dir.path(), &config));
    for step in &golden.steps {
        match step {
            Step::Start => gateway = Some(Gateway::start(dir.path(), &config)),
            Step::Kill => gateway.take().unwrap().kill(),
            Step::Settle => database.settle(gateway.as_ref().unwrap()),
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

fn wait_streaming(gateway: &Gateway) {
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
        let end = self.sql("select pg_current_wal_lsn()").unwrap();
        let sql = format!(
            "select confirmed_flush_lsn >= '{end}' from pg_replication_slots \
             where slot_name = 'capture_{}'",
            self.name
        );
        let confirmed = || (self.sql(&sql).as_deref() == Ok("t")).then_some(());
        let seen = || format!("{:?}\n{}", gateway.pipeline(PIPELINE), gateway.log());
        wait_for(&format!("the confirmation of {end}"), confirmed, seen);
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
fn copy_modules(stages: &[Stage], dir: &Path) {
    fs::create_dir(dir).unwrap();
    for (module, _) in stages {
        let file = format!("{module}.wasm");
        fs::copy(root().join("transforms").join(&file), dir.join(&file)).unwrap();
    }
}

fn config(server: &Postgres, golden: &Golden, tables: &[String], stages: &[Stage]) -> String {
    let database = &golden.database;
    let mut text = format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\n\
         modules: {{ dir: '{{dir}}/modules' }}\npipelines:\n  {PIPELINE}:\n    \
         source:\n      postgres:\n        port: {}\n        \
         database: {database}\n        user: postgres\n        slot: capture_{database}\n        \
         publication: capture\n        heartbeat: 100ms\n        status_interval: 100ms\n",
        server.port()
    );
    if !tables.is_empty() {
        writeln!(text, "        tables: {}", Value::from(tables)).unwrap();
    }
    let mut groups: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (name, value) in &golden.config {
        if let Some((group, member, value)) = group_option(name, value) {
            groups.entry(group).or_default().insert(member.to_owned(), value);
        } else if let Some((ours, value)) = source_option(name, value.as_str().unwrap()) {
            writeln!(text, "        {ours}: {value}").unwrap();
        }
    }
    for (group, members) in groups {
        writeln!(text, "        {group}: {}", Value::from(members)).unwrap();
    }
    text.push_str(if stages.is_empty() { "" } else { "    transforms:\n" });
    for (module, config) in stages {
        writeln!(text, "      - {{ module: {module}, config: {config} }}").unwrap();
    }
    text.push_str(
        "    sinks: [ { topics: '.*', file: { path: '{dir}/out.jsonl' } } ]\n    \
         dead_letters: { file: { dir: '{dir}/dlq' } }\n",
    );
    text
}

/// An option that is a member of a group here: group, member, value.
fn group_option<'a>(name: &str, value: &'a Value) -> Option<(&'a str, &'a str, Value)> {
    let table = name.strip_prefix("snapshot.select.statement.overrides.");
    if let Some(table) = table {
        return Some(("snapshots", "select", serde_json::json!({ table: value })));
    }
    None
}

/// What a connector option is called here; `None` where it asks for what is done anyway.
///
/// # Panics
/// This version has no such option: the scenario does not belong to those that are run.
fn source_option<'a>(name: &str, value: &'a str) -> Option<(&'static str, &'a str)> {
    let yes_no = |flag: bool| if flag { "true" } else { "false" };
    match (name, value) {
        ("topic.prefix", prefix) => Some(("topic_prefix", prefix)),
        ("snapshot.mode", "no_data") => Some(("snapshot", "never")),
        ("decimal.handling.mode", mode) => Some(("decimals", mode)),
        ("tombstones.on.delete", flag) => Some(("tombstones_on_delete", flag)),
        ("skipped.operations", "none" | "t") => Some(("skip_truncate", yes_no(value == "t"))),
        // With schemas their payloads are compared.
        ("converter.schemas.enable", _)
        // Nulls are never replaced.
        | ("converter.replace.null.with.default", "false")
        // The scenarios have no column whose null would stop the connector.
        | ("event.processing.failure.handling.mode", "warn")
        // Each of the tables it names has its statement.
        | ("snapshot.select.statement.overrides", _)
        // The publication is made here.
        | ("table.include.list", _)
        | ("publication.autocreate.mode", _)
        | ("publish.via.partition.root", _) => None,
        _ if name == "transforms" || name.starts_with("transforms.") => None,
        _ => panic!("no option means {name}={value}"),
    }
}

/// The connector's transforms as stages.
fn stages(golden: &Golden) -> Vec<Stage> {
    let names = golden.option("transforms", "").split(',').filter(|name| !name.is_empty());
    let stage = |name: &str| {
        let prefix = format!("transforms.{name}.");
        let options = golden.config.iter();
        let mut options: Map<String, Value> = options
            .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.into(), value.clone())))
            .collect();
        let class = options.remove("type").unwrap();
        let (module, config) = match class.as_str().unwrap() {
            "io.debezium.transforms.ExtractNewRecordState" => {
                // Options of older versions, which Debezium ignores by now.
                options
                    .retain(|name, _| name != "drop.tombstones" && name != "delete.handling.mode");
                ("unwrap", Value::from(options))
            }
            "org.apache.kafka.connect.transforms.RegexRouter" => {
                let (pattern, topic) = (&options["regex"], &options["replacement"]);
                let routes = serde_json::json!([{ "pattern": pattern, "topic": topic }]);
                ("route", serde_json::json!({ "topics": routes }))
            }
            class => panic!("no module does what {class} does"),
        };
        (module, config)
    };
    names.map(stage).collect()
}
