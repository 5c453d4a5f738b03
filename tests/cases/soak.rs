//! Everything at once, for as long as asked: writers, DDL, vacuum, restarts of the server, cuts of
//! the network, a consumer that stalls, kills of the gateway in every phase. At the end the ledger
//! is clean, memory flat and the slot moving. `cargo xtask test` runs half a minute of it,
//! `cargo xtask soak` as many minutes as it is told.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmgate_services::postgres::{Mode, Options, Postgres};
use wasmgate_services::proxy::{Proxy, Weather};
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::ledger::{Ledger, checksum};
use wasmgate_tests::wait_for;

use super::load::TABLE;
use super::network::capture;

const KEYS: u64 = 40;
/// Memory may grow by caches and buffers, not with the time it runs.
const RESIDENT_MAX: u64 = 400 << 20;

/// How long the soak runs.
fn length() -> Duration {
    match std::env::var("WASMGATE_SOAK_MINUTES").ok().and_then(|m| m.parse::<u64>().ok()) {
        Some(minutes) => Duration::from_secs(minutes * 60),
        None => Duration::from_secs(20),
    }
}

pub(super) fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// A server that can be restarted while others write to it, and break it.
pub(super) trait Stormed: Clone + Send + 'static {
    fn sql(&self, sql: &str) -> Result<String, String>;

    /// What the table holds: key → seq.
    fn table(&self) -> Option<BTreeMap<i64, i64>>;

    /// Transactions of five changes of random keys, each [`next`] of its key.
    fn script(last: &mut BTreeMap<i64, i64>, seed: &mut u64) -> String;

    /// What is done to the server in a round.
    fn disturb(&self, round: u64);
}

/// The next change of a key that is chosen at random: key, seq, checksum.
pub(super) fn next(last: &mut BTreeMap<i64, i64>, seed: &mut u64) -> (i64, i64, i64) {
    let key = (random(seed) % KEYS) as i64;
    let seq = last.entry(key).and_modify(|s| *s += 1).or_insert(1);
    (key, *seq, checksum(key, *seq))
}

/// Counts seqs up until it is told to stop. A script that breaks off with the server may have done
/// a part: the table says what.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start<S: Stormed>(server: &S) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (server, told) = (server.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut last = server.table().unwrap_or_default();
            let mut seed = 0x2545_F491_4F6C_DD1D_u64;
            while !told.load(Ordering::Relaxed) {
                if server.sql(&S::script(&mut last, &mut seed)).is_err()
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

/// Reads what a file gained, into a ledger.
struct Tail {
    path: PathBuf,
    at: u64,
    ledger: Ledger,
    last: BTreeMap<i64, i64>,
}

impl Tail {
    fn new(dir: &Path) -> Self {
        let (ledger, last) = (Ledger::default(), BTreeMap::new());
        Self { path: dir.join("out.jsonl"), at: 0, ledger, last }
    }

    fn read(&mut self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        file.seek(SeekFrom::Start(self.at)).unwrap();
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            self.at += line.len() as u64;
            let record: Value = serde_json::from_str(&line).unwrap();
            let row = &record["value"]["after"];
            let field = |name: &str| row[name].as_i64().unwrap();
            if row.is_object() {
                self.ledger.arrived(field("key"), field("seq"), field("checksum"));
                self.last.insert(field("key"), field("seq"));
            }
            line.clear();
        }
    }
}

/// One fault after another; what heals by itself is not waited for.
fn disturb(round: u64, seed: &mut u64, server: &impl Stormed, proxy: &Proxy, gateway: &Gateway) {
    let pause = |ms| std::thread::park_timeout(Duration::from_millis(ms));
    let act = |what: &str| {
        let path = format!("/api/v1/pipelines/capture/{what}");
        drop(wasmgate_tests::http::request(gateway.address(), "POST", &path, b"{}"));
    };
    match round % 10 {
        0 => proxy.cut_after((random(seed) % 200_000) as u32),
        2 => proxy.reset(),
        5 => {
            // A consumer that stalls.
            act("pause");
            pause(700);
            act("resume");
        }
        7 => {
            proxy.set(Weather::Slow(Duration::from_millis(10)));
            pause(500);
            proxy.set(Weather::Fair);
        }
        _ => server.disturb(round),
    }
}

/// The last row of every key came.
fn wait_last(tail: &mut Tail, written: &BTreeMap<i64, i64>, gateway: &Gateway) {
    let seen = std::cell::RefCell::new(tail);
    wait_for(
        "the last row of every key",
        || {
            let mut tail = seen.borrow_mut();
            tail.read();
            (tail.last == *written).then_some(())
        },
        || {
            let keys = seen.borrow().last.len();
            format!("{keys} of {} keys\n{}", written.len(), gateway.describe("capture"))
        },
    );
}

/// Writers and faults at the same time, for as long as asked and each fault at least once. In the
/// end every change is there, and memory did not grow with the time.
pub(super) fn storm(server: &impl Stormed, proxy: &Proxy, gateway: &Gateway, dir: &Path) {
    streaming(gateway);
    let writer = Writer::start(server);
    let mut tail = Tail::new(dir);
    let (started, mut seed, mut round) = (Instant::now(), 0x9E37_79B9_7F4A_7C15_u64, 0);
    let (mut early, mut late) = (0, 0);
    while started.elapsed() < length() || round < 10 {
        disturb(round, &mut seed, server, proxy, gateway);
        round += 1;
        tail.read();
        std::thread::park_timeout(Duration::from_millis(300 + random(&mut seed) % 700));
        let most = if started.elapsed() < length() / 2 { &mut early } else { &mut late };
        *most = gateway.resident().max(*most);
    }
    writer.finish();
    proxy.set(Weather::Fair);
    let written = server.table().unwrap();
    wait_last(&mut tail, &written, gateway);
    let total: i64 = written.values().sum();
    let duplicates = tail.ledger.check(&written);
    println!(
        "{round} disturbances, {total} changes, {duplicates} duplicates, {} and {} MiB",
        early >> 20,
        late >> 20
    );
    assert!(late < RESIDENT_MAX && late < early + (64 << 20), "{early} then {late} bytes");
}

/// Waits for the stream.
pub(super) fn streaming(gateway: &Gateway) {
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
}

/// A Postgres.
#[derive(Clone)]
struct Server(Arc<Mutex<Postgres>>);

impl Server {
    fn start(options: &Options) -> Self {
        let server = Self(Arc::new(Mutex::new(Postgres::start(options).unwrap())));
        server.sql(TABLE).unwrap();
        server
    }

    fn with<T>(&self, what: impl FnOnce(&mut Postgres) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn port(&self) -> u16 {
        self.with(|server| server.port())
    }
}

impl Stormed for Server {
    fn sql(&self, sql: &str) -> Result<String, String> {
        self.with(|server| server.psql("postgres", sql))
    }

    fn table(&self) -> Option<BTreeMap<i64, i64>> {
        let text = self.sql("select key, seq from ledger").ok()?;
        let row = |line: &str| {
            let (key, seq) = line.split_once('|')?;
            Some((key.parse().ok()?, seq.parse().ok()?))
        };
        text.lines().map(row).collect()
    }

    fn script(last: &mut BTreeMap<i64, i64>, seed: &mut u64) -> String {
        let mut sql = String::new();
        for _ in 0..20 {
            sql.push_str("begin;");
            for _ in 0..5 {
                let (key, seq, sum) = next(last, seed);
                sql.push_str(&format!(
                    "insert into ledger (key, seq, checksum) values ({key},{seq},{sum}) on \
                     conflict (key) do update set seq={seq}, checksum={sum};"
                ));
            }
            sql.push_str("commit;");
        }
        sql
    }

    fn disturb(&self, round: u64) {
        match round % 10 {
            1 => drop(self.sql("vacuum full ledger; checkpoint")),
            3 => drop(self.sql(&format!("alter table ledger add column c{round} int default 7"))),
            4 => self.with(|server| server.restart(Mode::Immediate)).unwrap(),
            6 => drop(self.sql(&format!("alter table ledger drop column c{}", round - 3))),
            8 => self.with(|server| server.restart(Mode::Fast)).unwrap(),
            _ => {
                let rows = "update ledger set checksum = checksum from generate_series(1, 3)";
                drop(self.sql(&format!("begin; {rows}; rollback; analyze ledger")));
            }
        }
    }
}

#[test]
fn soak_leaves_the_ledger_clean_and_memory_flat() {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return;
    }
    let server = Server::start(&Options::default());
    let proxy = Proxy::start(server.port()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &capture(proxy.port(), "postgres", "ledger"));
    storm(&server, &proxy, &gateway, dir.path());
    let end = server.sql("select pg_current_wal_lsn()").unwrap();
    let moved = format!("select confirmed_flush_lsn >= '{end}' from pg_replication_slots");
    wait_for(
        "the slot",
        || (server.sql(&moved).as_deref() == Ok("t")).then_some(()),
        || gateway.describe("capture"),
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// Kills in every phase: while the snapshot runs, at the hand-over and in the stream, in which
/// `large` is a large transaction; beside a writer. In the end the table is there.
pub(super) fn kills_in_every_phase(server: &impl Stormed, config: &str, large: &str) {
    let kills = if std::env::var_os("WASMGATE_SOAK_MINUTES").is_some() { 100 } else { 8 };
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::start(server);
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for kill in 0..kills {
        let gateway = Gateway::start(dir.path(), config);
        if kill > kills / 2 {
            streaming(&gateway);
            server.sql(large).unwrap();
        }
        std::thread::park_timeout(Duration::from_millis(random(&mut seed) % 600));
        gateway.kill();
    }
    writer.finish();
    let gateway = Gateway::start(dir.path(), config);
    let written = server.table().unwrap();
    wait_last(&mut Tail::new(dir.path()), &written, &gateway);
    assert!(gateway.signal_and_wait("TERM").0.success());
    println!("{kills} kills, {} keys", written.len());
}

#[test]
fn soak_of_kills_in_every_phase_ends_with_the_table() {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return;
    }
    let options = Options {
        settings: vec![("logical_decoding_work_mem".into(), "64kB".into())],
        ..Options::default()
    };
    let server = Server::start(&options);
    let fill = "insert into ledger select i, 1, (i::bigint * 1000003 + 7919) % 998244353 \
                from generate_series(1000, 40000) i";
    server.sql(fill).unwrap();
    // Large enough that the server sends it before it commits, and is kept on disk.
    let large = "update ledger set checksum = checksum where key >= 1000 and key < 4000";
    kills_in_every_phase(&server, &capture(server.port(), "postgres", "ledger"), large);
}
