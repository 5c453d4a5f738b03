//! Postgres to ClickHouse, end to end: how fast a backlog of inserts and updates becomes rows of a
//! table, against `pg_recvlogical` reading the same stream; and how long a commit takes to be seen
//! by a SELECT, at a steady rate. Every row carries the microsecond at which the server made it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmgate_services::clickhouse::{ClickHouse, missing};
use wasmgate_services::postgres::{Options, Postgres};

use crate::Problem;
use crate::gateway::{Gateway, stage};
use crate::latency::{now_us, pace, print};
use crate::postgres::{TABLE, load, raw};
use crate::startup::warm_up;

/// Changes a second.
const RATE: u64 = 1000;
/// The first seconds are not counted.
const WARM_UP_US: u64 = 3_000_000;
/// Between two looks at the table: the resolution.
const LOOK: Duration = Duration::from_millis(5);
const TICKS: &str = "create table ticks(id bigserial primary key, made bigint, amount int);
                     create publication ticks for table ticks;";

/// Through `unwrap` into the table of the source's name.
fn pipeline(server: &Postgres, engine: &ClickHouse, publication: &str, sink: &str) -> String {
    format!(
        "  sunk:
    source:
      postgres:
        {{ host: 127.0.0.1, port: {}, database: postgres, user: postgres, topic_prefix: bench,
          slot: sunk, publication: {publication}, snapshot: never }}
    transforms:
{}    sinks:
      - topics: '.*'
        clickhouse: {{ hosts: ['{}'], database: default{sink} }}
",
        server.port(),
        stage("unwrap", "{}"),
        engine.url(),
    )
}

fn backlog(dir: &Path, rows: u64) -> Result<(), Problem> {
    let options = Options {
        settings: vec![
            ("wal_sender_timeout".into(), "60s".into()),
            ("max_wal_size".into(), "8GB".into()),
            ("autovacuum".into(), "off".into()),
        ],
        ..Options::default()
    };
    let (server, engine) = (Postgres::start(&options)?, ClickHouse::start()?);
    server.psql("postgres", TABLE)?;
    for slot in ["raw", "sunk"] {
        let made = format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')");
        server.psql("postgres", &made)?;
    }
    let (sql, rows) = load(rows);
    server.psql("postgres", &sql)?;
    let end = server.psql("postgres", "checkpoint; select pg_current_wal_lsn()")?;
    println!("postgres to clickhouse: {rows} inserts and {rows} updates that wait");
    let file = dir.join("raw");
    raw(&server, "raw", end.trim(), &file)?.print("pg_recvlogical, raw stream", 2 * rows);
    std::fs::remove_file(file)?;
    let mut gateway = Gateway::start(dir, &pipeline(&server, &engine, "bench", ""))?;
    let usage = gateway.finish("sunk", 2 * rows)?;
    gateway.stop()?;
    usage.print("wasmgate, unwrap, rows seen", 2 * rows);
    let found = engine.query("SELECT count() FROM calls FINAL")?;
    if found.trim() != rows.to_string() {
        return Err(format!("{} rows instead of {rows}", found.trim()).into());
    }
    Ok(())
}

/// When each row was made, and how long it took to be seen.
type Seen = Vec<(u64, u64)>;

/// Looks at the table until it is told to stop and nothing is left to see.
fn watch(engine: Arc<ClickHouse>, stop: Arc<AtomicBool>) -> JoinHandle<Result<Seen, Problem>> {
    std::thread::spawn(move || {
        let (mut seen, mut last) = (Seen::new(), 0_u64);
        loop {
            let stopping = stop.load(Ordering::Acquire);
            // The table is made with the first row.
            let sql = format!("SELECT id, made FROM ticks WHERE id > {last} ORDER BY id");
            let found = engine.query(&sql).unwrap_or_default();
            let now = now_us();
            for line in found.lines() {
                let (id, made) = line.split_once('\t').ok_or("a row without two columns")?;
                last = id.parse()?;
                let made: u64 = made.parse()?;
                seen.push((made, now.saturating_sub(made)));
            }
            if stopping && found.is_empty() {
                return Ok(seen);
            }
            std::thread::sleep(LOOK);
        }
    })
}

/// From the commit to the SELECT that shows it.
fn visible(dir: &Path, interval: &str) -> Result<(), Problem> {
    let server = Postgres::start(&Options::default())?;
    let engine = Arc::new(ClickHouse::start()?);
    server.psql("postgres", TICKS)?;
    let sink = format!(", batch: {{ interval: {interval} }}");
    let mut gateway = Gateway::start(dir, &pipeline(&server, &engine, "ticks", &sink))?;
    gateway.ready()?;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(Arc::clone(&engine), Arc::clone(&stop));
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-p", &server.port().to_string()])
        .args(["-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = psql.stdin.take().ok_or("psql has no input")?;
    let sql = "insert into ticks(made, amount)
               values ((extract(epoch from clock_timestamp()) * 1e6)::bigint, 17);\n";
    pace(RATE, |_, _| Ok(input.write_all(sql.as_bytes())?))?;
    drop(input);
    let wrote = psql.wait()?.success();
    let rows: u64 = server.psql("postgres", "select count(*) from ticks")?.trim().parse()?;
    gateway.finish("sunk", rows)?;
    stop.store(true, Ordering::Release);
    let seen = watching.join().map_err(|_| "the reader failed")??;
    gateway.stop()?;
    if !wrote || seen.len() as u64 != rows {
        return Err(format!("{} rows seen of {rows}", seen.len()).into());
    }
    let from = seen.iter().map(|row| row.0).min().unwrap_or_default() + WARM_UP_US;
    let counted = seen.into_iter().filter(|row| row.0 >= from).map(|row| row.1);
    print(&format!("commit to SELECT, interval {interval}"), counted.collect());
    Ok(())
}

/// Both, the second with the usual interval and with a short one.
pub(crate) fn run(rows: u64) -> Result<(), Problem> {
    if let Some(reason) = missing() {
        println!("  skipped: {reason}");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    warm_up(dir.path())?;
    backlog(dir.path(), rows)?;
    println!("postgres to clickhouse, {RATE} transactions a second of one row");
    for interval in ["1s", "100ms"] {
        // A data directory of its own: the position in it is that of another server.
        let own = tempfile::tempdir()?;
        visible(own.path(), interval)?;
    }
    Ok(())
}
