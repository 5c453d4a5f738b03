//! Everything at once on MySQL and MariaDB: writers, DDL, logs that rotate, clocks that are set
//! back, restarts and crashes of the server, a bad network, a consumer that stalls, kills of the
//! gateway in every phase. At the end the ledger is clean and memory flat.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use wasmgate_services::mysql::{Flavor, MySql, Options, missing};
use wasmgate_services::proxy::{Proxy, Weather};
use wasmgate_tests::gateway::{Gateway, wait_lines};
use wasmgate_tests::wait_for;

use crate::cases::soak::{self, Stormed, next, random, streaming};

const TABLE: &str = "CREATE DATABASE ledger; CREATE TABLE ledger.ledger
    (`key` bigint PRIMARY KEY, seq bigint NOT NULL, checksum bigint NOT NULL)";

/// A server that can be restarted while others write to it.
#[derive(Clone)]
struct Server(Arc<Mutex<MySql>>);

impl Server {
    fn start(flavor: Flavor, setup: &str) -> Option<Self> {
        if wasmgate_tests::skipped(missing(flavor)) {
            return None;
        }
        // What was committed survives a crash of the server, as it does for whoever needs it.
        let arguments = vec!["--innodb-flush-log-at-trx-commit=2".into()];
        let server = MySql::start(flavor, &Options { arguments, tls: false }).unwrap();
        server.sql("", setup).unwrap();
        Some(Self(Arc::new(Mutex::new(server))))
    }

    fn with<T>(&self, what: impl FnOnce(&mut MySql) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn port(&self) -> u16 {
        self.with(|server| server.port())
    }
}

impl Stormed for Server {
    fn sql(&self, sql: &str) -> Result<String, String> {
        self.with(|server| server.sql("ledger", sql))
    }

    fn table(&self) -> Option<BTreeMap<i64, i64>> {
        let text = self.sql("SELECT `key`, seq FROM ledger").ok()?;
        let row = |line: &str| {
            let (key, seq) = line.split_once('\t')?;
            Some((key.parse().ok()?, seq.parse().ok()?))
        };
        text.lines().map(row).collect()
    }

    /// Of some the clock was set back by years.
    fn script(last: &mut BTreeMap<i64, i64>, seed: &mut u64) -> String {
        let mut sql = String::new();
        for _ in 0..10 {
            let clock = if random(seed).is_multiple_of(8) { "1000000000" } else { "DEFAULT" };
            sql.push_str(&format!("SET timestamp = {clock}; BEGIN;"));
            for _ in 0..5 {
                let (key, seq, sum) = next(last, seed);
                sql.push_str(&format!(
                    "INSERT INTO ledger (`key`, seq, checksum) VALUES ({key}, {seq}, {sum}) \
                     ON DUPLICATE KEY UPDATE seq = {seq}, checksum = {sum};"
                ));
            }
            sql.push_str("COMMIT;");
        }
        sql
    }

    fn disturb(&self, round: u64) {
        match round % 10 {
            1 => drop(self.sql("FLUSH LOGS; OPTIMIZE TABLE ledger; FLUSH LOGS")),
            3 => drop(self.sql(&format!("ALTER TABLE ledger ADD c{round} int DEFAULT 7 FIRST"))),
            4 => self.with(|server| {
                server.kill();
                server.start_again().unwrap();
            }),
            6 => drop(self.sql(&format!(
                "ALTER TABLE ledger CHANGE c{0} d{0} bigint; CREATE INDEX i{0} ON ledger (d{0});
                 ALTER TABLE ledger DROP INDEX i{0}, DROP d{0}",
                round - 3
            ))),
            8 => self.with(|server| {
                server.stop().unwrap();
                server.start_again().unwrap();
            }),
            _ => drop(self.sql("BEGIN; UPDATE ledger SET checksum = checksum + 1; ROLLBACK")),
        }
    }
}

fn config(port: u16) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{dir}}/none' }}\n\
         pipelines:\n  capture:\n    source:\n      mysql: {{ port: {port}, user: root, \
         topic_prefix: storm, databases: [ledger], heartbeat: 200ms, connect_timeout: 2s }}\n    \
         sinks: [ {{ topics: '.*', file: {{ path: '{{dir}}/out.jsonl' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: '{{dir}}/dlq' }} }}\n"
    )
}

fn storm(flavor: Flavor) {
    let Some(server) = Server::start(flavor, TABLE) else { return };
    let proxy = Proxy::start(server.port()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config(proxy.port()));
    soak::storm(&server, &proxy, &gateway, dir.path());
    let log = gateway.log();
    assert!(gateway.signal_and_wait("TERM").0.success(), "{log}");
    assert!(wasmgate_tests::gateway::lines(&dir.path().join("dlq")).is_empty());
}

#[test]
fn mysql_soak_leaves_the_ledger_clean_and_memory_flat() {
    storm(Flavor::MySql);
}

#[test]
fn mariadb_soak_leaves_the_ledger_clean_and_memory_flat() {
    storm(Flavor::MariaDb);
}

fn kills_in_every_phase(flavor: Flavor) {
    let fill = format!(
        "{TABLE}; CREATE TABLE ledger.d(i int); INSERT INTO ledger.d VALUES
         (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
         INSERT INTO ledger.ledger SELECT k, 1, (k * 1000003 + 7919) % 998244353 FROM (SELECT
         1000 + a.i + 10 * b.i + 100 * c.i + 1000 * e.i k FROM ledger.d a, ledger.d b, ledger.d c,
         ledger.d e) n; DROP TABLE ledger.d"
    );
    let Some(server) = Server::start(flavor, &fill) else { return };
    let large = "UPDATE ledger SET checksum = checksum + 0 WHERE `key` BETWEEN 1000 AND 4000;
        BEGIN; DELETE FROM ledger WHERE `key` = 10999;
        INSERT INTO ledger VALUES (10999, 1, (10999 * 1000003 + 7919) % 998244353); COMMIT";
    soak::kills_in_every_phase(&server, &config(server.port()), large);
}

#[test]
fn mysql_soak_of_kills_in_every_phase_ends_with_the_table() {
    kills_in_every_phase(Flavor::MySql);
}

#[test]
fn mariadb_soak_of_kills_in_every_phase_ends_with_the_table() {
    kills_in_every_phase(Flavor::MariaDb);
}

#[test]
fn mysql_network_storm_is_met_with_pauses_and_few_lines() {
    for flavor in [Flavor::MySql, Flavor::MariaDb] {
        let Some(server) = Server::start(flavor, TABLE) else { continue };
        let proxy = Proxy::start(server.port()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(dir.path(), &config(proxy.port()));
        streaming(&gateway);
        let lines = || gateway.log().lines().count();
        let (quiet, before) = (lines(), proxy.accepted());
        // Every connection is reset, those that are open and each that is tried.
        proxy.set(Weather::Resetting);
        proxy.reset();
        let tries = || proxy.accepted() - before;
        wait_for("tries", || (tries() >= 4).then_some(()), || gateway.describe("capture"));
        let code = |status: &Value| status["code"] == "source-unavailable";
        gateway.wait_pipeline("capture", "the code", code);
        let (said, tried) = (lines() - quiet, tries() as usize);
        assert!(said <= 3 * tried, "{said} lines in {tried} tries\n{}", gateway.log());
        proxy.set(Weather::Fair);
        server.sql("INSERT INTO ledger VALUES (1, 1, 0), (2, 1, 0), (3, 1, 0)").unwrap();
        let records = wait_lines(&gateway, &dir.path().join("out.jsonl"), 3);
        let keys: Vec<&Value> = records.iter().map(|r| &r["value"]["after"]["key"]).collect();
        assert_eq!(keys, [1, 2, 3], "{flavor:?}");
        assert!(gateway.signal_and_wait("TERM").0.success());
    }
}
