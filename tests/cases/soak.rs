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
pub(super) const RESIDENT_MAX: u64 = 400 << 20;

/// How long the soak runs.
pub(super) fn length() -> Duration {
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

type Server = Arc<Mutex<Postgres>>;

fn psql(server: &Server, sql: &str) -> Result<String, String> {
    server.lock().unwrap_or_else(PoisonError::into_inner).psql("postgres", sql)
}

/// What the table holds: key → seq.
fn table(server: &Server) -> Option<BTreeMap<i64, i64>> {
    let text = psql(server, "select key, seq from ledger").ok()?;
    let row = |line: &str| {
        let (key, seq) = line.split_once('|')?;
        Some((key.parse().ok()?, seq.parse().ok()?))
    };
    text.lines().map(row).collect()
}

/// Counts seqs up until it is told to stop. A script that breaks off with the server may have done
/// a part: the table says what.
fn write(server: &Server, stop: &AtomicBool) {
    let (mut last, mut seed) = (BTreeMap::<i64, i64>::new(), 0x2545_F491_4F6C_DD1D_u64);
    while !stop.load(Ordering::Relaxed) {
        let mut sql = String::new();
        for _ in 0..20 {
            sql.push_str("begin;");
            for _ in 0..5 {
                let key = (random(&mut seed) % KEYS) as i64;
                let seq = last.entry(key).and_modify(|s| *s += 1).or_insert(1);
                let sum = checksum(key, *seq);
                sql.push_str(&format!(
                    "insert into ledger (key, seq, checksum) values ({key},{seq},{sum}) on \
                     conflict (key) do update set seq={seq}, checksum={sum};"
                ));
            }
            sql.push_str("commit;");
        }
        if psql(server, &sql).is_err()
            && let Some(found) = table(server)
        {
            last = found;
        }
    }
}

/// Reads what a file gained, into a ledger.
pub(super) struct Tail {
    path: PathBuf,
    at: u64,
    pub(super) ledger: Ledger,
    pub(super) last: BTreeMap<i64, i64>,
}

impl Tail {
    pub(super) fn new(dir: &Path) -> Self {
        let (ledger, last) = (Ledger::default(), BTreeMap::new());
        Self { path: dir.join("out.jsonl"), at: 0, ledger, last }
    }

    pub(super) fn read(&mut self) {
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
fn disturb(round: u64, seed: &mut u64, server: &Server, proxy: &Proxy, gateway: &Gateway) {
    let pause = |ms| std::thread::park_timeout(Duration::from_millis(ms));
    let act = |what: &str| {
        let path = format!("/api/v1/pipelines/capture/{what}");
        drop(wasmgate_tests::http::request(gateway.address(), "POST", &path, b"{}"));
    };
    let restart = |mode| server.lock().unwrap_or_else(PoisonError::into_inner).restart(mode);
    match round % 10 {
        0 => proxy.cut_after((random(seed) % 200_000) as u32),
        1 => drop(psql(server, "vacuum full ledger; checkpoint")),
        2 => proxy.reset(),
        3 => drop(psql(server, &format!("alter table ledger add column c{round} int default 7"))),
        4 => restart(Mode::Immediate).unwrap(),
        5 => {
            // A consumer that stalls.
            act("pause");
            pause(700);
            act("resume");
        }
        6 => drop(psql(server, &format!("alter table ledger drop column c{}", round - 3))),
        7 => {
            proxy.set(Weather::Slow(Duration::from_millis(10)));
            pause(500);
            proxy.set(Weather::Fair);
        }
        8 => restart(Mode::Fast).unwrap(),
        _ => {
            let rows = "update ledger set checksum = checksum from generate_series(1, 3)";
            drop(psql(server, &format!("begin; {rows}; rollback; analyze ledger")));
        }
    }
}

#[test]
fn soak_leaves_the_ledger_clean_and_memory_flat() {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return;
    }
    let server = Arc::new(Mutex::new(Postgres::start(&Options::default()).unwrap()));
    psql(&server, TABLE).unwrap();
    let port = server.lock().unwrap().port();
    let proxy = Proxy::start(port).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &capture(proxy.port(), "postgres", "ledger"));
    gateway.wait_pipeline("capture", "the stream", |status| status["phase"] == "streaming");
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, told) = (Arc::clone(&server), Arc::clone(&stop));
    let writer = std::thread::spawn(move || write(&writing, &told));
    let mut tail = Tail::new(dir.path());
    let (started, mut seed, mut round) = (Instant::now(), 0x9E37_79B9_7F4A_7C15_u64, 0);
    let (mut early, mut late) = (0, 0);
    while started.elapsed() < length() {
        disturb(round, &mut seed, &server, &proxy, &gateway);
        round += 1;
        tail.read();
        std::thread::park_timeout(Duration::from_millis(300 + random(&mut seed) % 700));
        let most = if started.elapsed() < length() / 2 { &mut early } else { &mut late };
        *most = gateway.resident().max(*most);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    proxy.set(Weather::Fair);
    let written = table(&server).unwrap();
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
        "{round} disturbances, {total} changes, {duplicates} duplicates, {} and {} MiB",
        early >> 20,
        late >> 20
    );
    assert!(late < RESIDENT_MAX && late < early + (64 << 20), "{early} then {late} bytes");
    let end = psql(&server, "select pg_current_wal_lsn()").unwrap();
    let moved = format!("select confirmed_flush_lsn >= '{end}' from pg_replication_slots");
    wait_for(
        "the slot",
        || (psql(&server, &moved).as_deref() == Ok("t")).then_some(()),
        || gateway.describe("capture"),
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// Kills in every phase: while the snapshot runs, at the hand-over, in the stream, while a large
/// transaction is kept on disk.
#[test]
fn soak_of_kills_in_every_phase_ends_with_the_table() {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return;
    }
    let kills = if std::env::var_os("WASMGATE_SOAK_MINUTES").is_some() { 100 } else { 8 };
    let options = Options {
        settings: vec![("logical_decoding_work_mem".into(), "64kB".into())],
        ..Options::default()
    };
    let server = Arc::new(Mutex::new(Postgres::start(&options).unwrap()));
    psql(&server, TABLE).unwrap();
    let fill = "insert into ledger select i, 1, (i::bigint * 1000003 + 7919) % 998244353 \
                from generate_series(1000, 40000) i";
    psql(&server, fill).unwrap();
    let port = server.lock().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let config = capture(port, "postgres", "ledger");
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, told) = (Arc::clone(&server), Arc::clone(&stop));
    let writer = std::thread::spawn(move || write(&writing, &told));
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for kill in 0..kills {
        let gateway = Gateway::start(dir.path(), &config);
        if kill > kills / 2 {
            let phase = |status: &Value| status["phase"] == "streaming";
            gateway.wait_pipeline("capture", "the stream", phase);
            // Large enough that the server sends it before it commits.
            let large = "update ledger set checksum = checksum where key >= 1000 and key < 4000";
            psql(&server, large).unwrap();
        }
        std::thread::park_timeout(Duration::from_millis(random(&mut seed) % 600));
        gateway.kill();
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    let written = table(&server).unwrap();
    let mut tail = Tail::new(dir.path());
    wait_for(
        "the table",
        || {
            tail.read();
            (tail.last == written).then_some(())
        },
        || {
            format!(
                "{} of {} keys\n{}",
                tail_len(dir.path()),
                written.len(),
                gateway.describe("capture")
            )
        },
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
    println!("{kills} kills, {} keys", written.len());
}

fn tail_len(dir: &Path) -> usize {
    let mut tail = Tail::new(dir);
    tail.read();
    tail.last.len()
}
