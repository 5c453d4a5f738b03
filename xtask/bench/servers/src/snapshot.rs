//! The rows that are there before the stream: a table of ten columns copied to a file of JSON
//! envelopes by one connection and by two, against `COPY … TO STDOUT` of the same table by one
//! connection into a file. And one transaction of many rows, sent while it runs and spilled: how
//! fast it is delivered once it commits, and how much memory that takes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wasmgate_services::postgres::{Options, Postgres};

use crate::Problem;
use crate::gateway::Gateway;
use crate::measure::{Usage, best, until, wait};
use crate::postgres::{ROW, TABLE};

const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

fn server() -> Result<Postgres, Problem> {
    let options = Options {
        settings: vec![
            ("wal_sender_timeout".into(), "60s".into()),
            ("max_wal_size".into(), "16GB".into()),
            ("autovacuum".into(), "off".into()),
        ],
        ..Options::default()
    };
    let server = Postgres::start(&options)?;
    server.psql("postgres", TABLE)?;
    Ok(server)
}

fn fill(rows: u64) -> String {
    format!("insert into calls select {ROW} from generate_series(0, {}) n", rows - 1)
}

fn pipeline(port: u16, name: &str, source: &str, sink: &str) -> String {
    format!(
        "  {name}:
    source:
      postgres:
        {{ host: 127.0.0.1, port: {port}, database: postgres, user: postgres, topic_prefix: bench,
          slot: {name}, publication: bench, {source} }}
    sinks:
      - {{ topics: '.*', {sink} }}
"
    )
}

fn to_file(file: &Path) -> String {
    format!("file: {{ path: {} }}", file.display())
}

fn copy(server: &Postgres, dir: &Path) -> Result<Usage, Problem> {
    let file = dir.join("copy");
    let started = Instant::now();
    let child = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-p", &server.port().to_string()])
        .args(["-U", "postgres", "-d", "postgres", "-c", "copy calls to stdout"])
        .stdin(Stdio::null())
        .stdout(File::create(&file)?)
        .spawn()?;
    let usage = wait(child, started)?;
    fs::remove_file(file)?;
    Ok(usage)
}

/// A snapshot by so many connections; without a file its rows are decoded and thrown away.
fn ours(
    server: &Postgres,
    dir: &Path,
    (threads, file): (usize, Option<&Path>),
    rows: u64,
) -> Result<Usage, Problem> {
    let name = "snap";
    let source = format!("snapshots: {{ threads: {threads} }}");
    let sink = file.map_or("blackhole: {}".to_owned(), to_file);
    let text = pipeline(server.port(), name, &source, &sink);
    drop(fs::remove_dir_all(dir.join("data")));
    // No modules: with the data directory their compiled code goes, and would be made beside this.
    let modules = dir.join("modules");
    fs::create_dir_all(&modules)?;
    let mut gateway = Gateway::start_with(dir, &modules, &text, Stdio::null())?;
    let usage = gateway.finish(name, rows)?;
    gateway.stop()?;
    if let Some(file) = file {
        fs::remove_file(file)?;
    }
    server.psql("postgres", "select pg_drop_replication_slot('snap')")?;
    Ok(usage)
}

/// `rows` rows by `COPY`, by one connection and by two, in turns: to a file, and read alone.
pub(crate) fn run(rows: u64) -> Result<(), Problem> {
    let server = server()?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("snap.jsonl");
    server.psql("postgres", &fill(rows))?;
    server.psql("postgres", "vacuum analyze calls; checkpoint")?;
    println!("snapshot: {rows} rows of ten columns");
    let ways = [(1, None), (2, None), (1, Some(&*file)), (2, Some(&*file))];
    let mut copies = Vec::new();
    let mut runs = ways.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        copies.push(copy(&server, dir.path())?);
        for (way, runs) in ways.iter().zip(&mut runs) {
            runs.push(ours(&server, dir.path(), *way, rows)?);
        }
    }
    best(&copies).print("COPY to stdout, to a file", rows);
    let fastest = |runs: &[Usage]| runs.iter().map(|r| r.wall_s).fold(f64::INFINITY, f64::min);
    let copied = fastest(&copies);
    for ((threads, file), runs) in ways.iter().zip(&runs) {
        let to = if file.is_some() { "envelopes to a file" } else { "rows read" };
        best(runs).print(&format!("wasmgate, {to}, {threads} connection(s)"), rows);
        println!("    {:.2}x of COPY's speed", copied / fastest(runs));
    }
    Ok(())
}

/// Ten times `rows` in one transaction.
pub(crate) fn large(rows: u64) -> Result<(), Problem> {
    let (server, dir, rows) = (server()?, tempfile::tempdir()?, 10 * rows);
    let (name, file) = ("large", dir.path().join("large.jsonl"));
    let text = pipeline(server.port(), name, "snapshot: never", &to_file(&file));
    let mut gateway = Gateway::start(dir.path(), &text)?;
    gateway.ready()?;
    let active = "select active from pg_replication_slots where slot_name = 'large'";
    until("the stream", PATIENCE, || {
        Ok((server.psql("postgres", active)?.trim() == "t").then_some(()))
    })?;
    let started = Instant::now();
    server.psql("postgres", &fill(rows))?;
    let committed = started.elapsed().as_secs_f64();
    let usage = gateway.finish(name, rows)?;
    let behind = started.elapsed().as_secs_f64() - committed;
    gateway.stop()?;
    println!("large: one transaction of {rows} rows, {committed:.0} s long");
    usage.print("wasmgate, spilled, to JSON", rows);
    println!("  delivered whole {behind:.1} s after the commit");
    Ok(())
}
