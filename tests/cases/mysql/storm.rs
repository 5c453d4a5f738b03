//! Everything at once on MySQL and MariaDB: writers, DDL, logs that rotate, clocks that are set
//! back, restarts and crashes of the server, a bad network, a consumer that stalls, kills of the
//! gateway in every phase. At the end the ledger is clean and memory flat.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmgate_services::mysql::{Flavor, MySql, Options, missing};
use wasmgate_services::proxy::{Proxy, Weather};
use wasmgate_tests::gateway::{Gateway, wait_lines};
use wasmgate_tests::ledger::checksum;
use wasmgate_tests::wait_for;

use crate::cases::soak::{RESIDENT_MAX, Tail, length, random};

const KEYS: u64 = 40;
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

    fn sql(&self, sql: &str) -> Result<String, String> {
        self.with(|server| server.sql("ledger", sql))
    }

    fn port(&self) -> u16 {
        self.with(|server| server.port())
    }

    /// What the table holds: key → seq.
    fn table(&self) -> Option<BTreeMap<i64, i64>> {
        let text = self.sql("SELECT `key`, seq FROM ledger").ok()?;
        let row = |line: &str| {
            let (key, seq) = line.split_once('\t')?;
            Some((key.parse().ok()?, seq.parse().ok()?))
        };
        text.lines().map(row).collect()
    }
}

/// Counts seqs up until it is told to stop. A script that breaks off with the server may have done
/// a part: the table says what.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (server, told) = (server.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut last = server.table().unwrap_or_default();
            let mut seed = 0x2545_F491_4F6C_DD1D_u64;
            while !told.load(Ordering::Relaxed) {
                if server.sql(&script(&mut last, &mut seed)).is_err()
                    && let Some(found) = server.table()
                {
                    last = found;
                }
            }
        });
        Self { stop, thread }
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// Transactions of five changes; of some the clock was set back by years.
fn script(last: &mut BTreeMap<i64, i64>, seed: &mut u64) -> String {
    let mut sql = String::new();
    for _ in 0..10 {
        let clock = if random(seed).is_multiple_of(8) { "1000000000" } else { "DEFAULT" };
        sql.push_str(&format!("SET timestamp = {clock}; BEGIN;"));
        for _ in 0..5 {
            let key = (random(seed) % KEYS) as i64;
            let seq = last.entry(key).and_modify(|s| *s += 1).or_insert(1);
            let sum = checksum(key, *seq);
            sql.push_str(&format!(
                "INSERT INTO ledger (`key`, seq, checksum) VALUES ({key}, {seq}, {sum}) \
                 ON DUPLICATE KEY UPDATE seq = {seq}, checksum = {sum};"
            ));
        }
        sql.push_str("COMMIT;");
    }
    sql
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

fn streaming(gateway: &Gateway) {
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
}

/// One fault after another; what heals by itself is not waited for.
fn disturb(round: u64, seed: &mut u64, server: &Server, proxy: &Proxy, gateway: &Gateway) {
    let pause = |ms| std::thread::park_timeout(Duration::from_millis(ms));
    let act = |what: &str| {
        let path = format!("/api/v1/pipelines/capture/{what}");
        drop(wasmgate_tests::http::request(gateway.address(), "POST", &path, b"{}"));
    };
    match round % 10 {
        0 => proxy.cut_after((random(seed) % 200_000) as u32),
        1 => drop(server.sql("FLUSH LOGS; OPTIMIZE TABLE ledger; FLUSH LOGS")),
        2 => proxy.reset(),
        3 => drop(server.sql(&format!("ALTER TABLE ledger ADD c{round} int DEFAULT 7 FIRST"))),
        4 => server.with(|server| {
            server.kill();
            server.start_again().unwrap();
        }),
        5 => {
            // A consumer that stalls.
            act("pause");
            pause(700);
            act("resume");
        }
        6 => drop(server.sql(&format!(
            "ALTER TABLE ledger CHANGE c{0} d{0} bigint; CREATE INDEX i{0} ON ledger (d{0});
             ALTER TABLE ledger DROP INDEX i{0}, DROP d{0}",
            round - 3
        ))),
        7 => {
            proxy.set(Weather::Slow(Duration::from_millis(10)));
            pause(500);
            proxy.set(Weather::Fair);
        }
        8 => server.with(|server| {
            server.stop().unwrap();
            server.start_again().unwrap();
        }),
        _ => drop(server.sql("BEGIN; UPDATE ledger SET checksum = checksum + 1; ROLLBACK")),
    }
}

fn storm(flavor: Flavor) {
    let Some(server) = Server::start(flavor, TABLE) else { return };
    let proxy = Proxy::start(server.port()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config(proxy.port()));
    streaming(&gateway);
    let writer = Writer::start(&server);
    let mut tail = Tail::new(dir.path());
    let (started, mut seed, mut round) = (Instant::now(), 0x9E37_79B9_7F4A_7C15_u64, 0);
    let (mut early, mut late) = (0, 0);
    // Each disturbance at least once.
    while started.elapsed() < length() || round < 10 {
        disturb(round, &mut seed, &server, &proxy, &gateway);
        round += 1;
        tail.read();
        std::thread::park_timeout(Duration::from_millis(300 + random(&mut seed) % 700));
        let most = if started.elapsed() < length() / 2 { &mut early } else { &mut late };
        *most = gateway.resident().max(*most);
    }
    writer.finish();
    proxy.set(Weather::Fair);
    let written = server.table().unwrap();
    wait_for(
        "the last row of every key",
        || {
            tail.read();
            (tail.last == written).then_some(())
        },
        || gateway.describe("capture"),
    );
    let total: i64 = written.values().sum();
    let duplicates = tail.ledger.check(&written);
    println!(
        "{flavor:?}: {round} disturbances, {total} changes, {duplicates} duplicates, {} and {} MiB",
        early >> 20,
        late >> 20
    );
    assert!(late < RESIDENT_MAX && late < early + (64 << 20), "{early} then {late} bytes");
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

/// Kills while the snapshot runs, at the hand-over and in the stream, beside writers.
fn kills_in_every_phase(flavor: Flavor) {
    let fill = format!(
        "{TABLE}; CREATE TABLE ledger.d(i int); INSERT INTO ledger.d VALUES
         (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
         INSERT INTO ledger.ledger SELECT k, 1, (k * 1000003 + 7919) % 998244353 FROM (SELECT
         1000 + a.i + 10 * b.i + 100 * c.i + 1000 * e.i k FROM ledger.d a, ledger.d b, ledger.d c,
         ledger.d e) n; DROP TABLE ledger.d"
    );
    let Some(server) = Server::start(flavor, &fill) else { return };
    let kills = if std::env::var_os("WASMGATE_SOAK_MINUTES").is_some() { 100 } else { 8 };
    let dir = tempfile::tempdir().unwrap();
    let config = config(server.port());
    let writer = Writer::start(&server);
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for kill in 0..kills {
        let gateway = Gateway::start(dir.path(), &config);
        if kill > kills / 2 {
            streaming(&gateway);
            let large =
                "UPDATE ledger SET checksum = checksum + 0 WHERE `key` BETWEEN 1000 AND 4000;
                BEGIN; DELETE FROM ledger WHERE `key` = 10999;
                INSERT INTO ledger VALUES (10999, 1, (10999 * 1000003 + 7919) % 998244353); COMMIT";
            server.sql(large).unwrap();
        }
        std::thread::park_timeout(Duration::from_millis(random(&mut seed) % 600));
        gateway.kill();
    }
    writer.finish();
    let gateway = Gateway::start(dir.path(), &config);
    let written = server.table().unwrap();
    let mut tail = Tail::new(dir.path());
    wait_for(
        "the table",
        || {
            tail.read();
            (tail.last == written).then_some(())
        },
        || format!("{} of {} keys\n{}", tail_len(&dir), written.len(), gateway.describe("capture")),
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
    println!("{flavor:?}: {kills} kills, {} keys", written.len());
}

fn tail_len(dir: &tempfile::TempDir) -> usize {
    let mut tail = Tail::new(dir.path());
    tail.read();
    tail.last.len()
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
