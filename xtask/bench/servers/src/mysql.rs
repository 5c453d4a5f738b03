//! MySQL and MariaDB to a file of JSON: the stream of a million inserts and a million updates of a
//! table of ten columns, against `mysqlbinlog --raw` of the same log; the rows that are there
//! before, against `mysqldump` of the same table; and from a commit to the line in the file.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use wasmgate_services::mysql::{Flavor, MySql, Options, missing};

use crate::Problem;
use crate::gateway::Gateway;
use crate::latency::{pace, print};
use crate::measure::{Usage, best, wait};
use crate::paced::{counted, watch};

const ROUNDS: usize = 3;
/// Transactions that insert, and as many that update.
const TRANSACTIONS: u64 = 1000;

const TABLE: &str = "CREATE DATABASE bench; USE bench;
    CREATE TABLE calls(
      call_id bigint PRIMARY KEY, customer_id varchar(20) NOT NULL,
      caller_number varchar(20) NOT NULL,
      call_duration_seconds int NOT NULL, monthly_spending double, credit_score int,
      monthly_call_duration int, payment_method varchar(20), network_type varchar(8),
      created datetime(6)) CHARACTER SET utf8mb4;
    SET sql_log_bin = 0; CREATE TABLE digits(i int); INSERT INTO digits VALUES
      (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)";

/// The values of row `n`.
const ROW: &str = "n, concat('CUST', lpad(n % 100000, 6, '0')),
    concat('+49150', lpad(n % 10000, 8, '0')), n % 3600, (n % 700) + 0.25, 300 + n % 550,
    n % 900, 'credit_card', '5G', now(6)";

fn server(flavor: Flavor) -> Result<MySql, Problem> {
    let arguments = ["--innodb-buffer-pool-size=512M", "--max-binlog-size=1G"];
    let arguments = arguments.map(str::to_owned).to_vec();
    Ok(MySql::start(flavor, &Options { arguments, ..Options::default() })?)
}

/// `rows` inserts, then as many updates.
fn load(server: &MySql, rows: u64, updates: bool) -> Result<(), Problem> {
    let per = (rows / TRANSACTIONS).max(1);
    // The numbers below `per`, by their digits; those of tables that are too large are left out.
    let digits = per.max(2).ilog10() + 1;
    let names: Vec<String> = (0..digits).map(|d| format!("d{d}")).collect();
    let value: Vec<String> =
        names.iter().zip(0..).map(|(d, p)| format!("{d}.i * {}", 10_u64.pow(p))).collect();
    let from: Vec<String> = names.iter().map(|d| format!("digits {d}")).collect();
    let (value, from) = (value.join(" + "), from.join(", "));
    let mut script = String::new();
    for t in 0..rows / per {
        let first = t * per;
        script.push_str(&format!(
            "INSERT INTO calls SELECT {ROW} FROM (SELECT {first} + {value} n FROM {from} \
             HAVING n < {}) numbers;\n",
            first + per
        ));
    }
    for t in (0..rows / per).filter(|_| updates) {
        script.push_str(&format!(
            "UPDATE calls SET call_duration_seconds = call_duration_seconds + 1, \
             monthly_spending = monthly_spending + 1 WHERE call_id BETWEEN {} AND {};\n",
            t * per,
            (t + 1) * per - 1
        ));
    }
    server.sql("bench", &script)?;
    Ok(())
}

fn pipeline(server: &MySql, name: &str, source: &str, file: &Path) -> String {
    format!(
        "  {name}:
    source:
      mysql:
        {{ host: 127.0.0.1, port: {port}, user: root, topic_prefix: bench, tables: [{source} }}
    sinks:
      - {{ topics: '.*', file: {{ path: {} }} }}
",
        file.display(),
        port = server.port()
    )
}

/// A gateway without modules, so that none is compiled while it is measured.
fn start(dir: &Path, text: &str) -> Result<Gateway, Problem> {
    let none = dir.join("none");
    fs::create_dir_all(&none)?;
    Gateway::start_with(dir, &none, text, Stdio::null())
}

/// A pipeline from its start until `rows` records are settled.
fn ours(server: &MySql, dir: &Path, source: &str, rows: u64) -> Result<Usage, Problem> {
    let file = dir.join("ours.jsonl");
    drop(fs::remove_dir_all(dir.join("data")));
    let mut gateway = start(dir, &pipeline(server, "ours", source, &file))?;
    let usage = gateway.finish("ours", rows)?;
    gateway.stop()?;
    let lines = BufReader::with_capacity(1 << 20, File::open(&file)?).split(b'\n').count();
    if lines as u64 != rows {
        return Err(format!("{lines} lines of {rows} rows").into());
    }
    fs::remove_file(file)?;
    Ok(usage)
}

/// A client program, to a file.
fn baseline(mut command: Command, file: &Path) -> Result<Usage, Problem> {
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(File::create(file)?).spawn()?;
    let usage = wait(child, started)?;
    fs::remove_file(file)?;
    Ok(usage)
}

/// The log's first file.
fn first_file(server: &MySql) -> Result<String, Problem> {
    let files = server.sql("", "SHOW BINARY LOGS")?;
    Ok(files.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Reads the log from its first file on into files of a folder.
fn binlog(server: &MySql, folder: &Path, more: &[&str]) -> Result<Option<Command>, Problem> {
    let Some(mut command) = server.tool("mysqlbinlog") else { return Ok(None) };
    command.args(["--read-from-remote-server", "--raw"]).args(more);
    command.arg(format!("--result-file={}/", folder.display())).arg(first_file(server)?);
    Ok(Some(command))
}

fn stream(server: &MySql, dir: &Path, rows: u64) -> Result<(), Problem> {
    let all = 2 * rows;
    println!("stream: {rows} inserts and {rows} updates in {} transactions", 2 * TRANSACTIONS);
    let (mut raws, mut gates) = (Vec::new(), Vec::new());
    let folder = dir.join("raw");
    for _ in 0..ROUNDS {
        drop(fs::remove_dir_all(&folder));
        fs::create_dir(&folder)?;
        if let Some(command) = binlog(server, &folder, &["--to-last-log"])? {
            let usage = baseline(command, &dir.join("said"))?;
            usage.print("mysqlbinlog --raw", all);
            raws.push(usage);
        }
        let usage = ours(server, dir, "bench.calls], snapshot: never, start: earliest", all)?;
        usage.print("wasmgate, JSON", all);
        gates.push(usage);
    }
    let gate = best(&gates);
    println!("  {:.0} rows for each second of a processor", all as f64 / gate.cpu_s);
    compare(&raws, &gates, "mysqlbinlog");
    Ok(())
}

fn compare(baselines: &[Usage], gates: &[Usage], what: &str) {
    if baselines.is_empty() {
        return println!("  {what} of this server is not here: nothing to compare with");
    }
    let fastest = |runs: &[Usage]| runs.iter().map(|r| r.wall_s).fold(f64::INFINITY, f64::min);
    println!(
        "  speed {:.2}x of {what}; cpu {:.2} s against {:.2} s",
        fastest(baselines) / fastest(gates),
        best(gates).cpu_s,
        best(baselines).cpu_s
    );
}

fn snapshot(server: &MySql, dir: &Path, rows: u64) -> Result<(), Problem> {
    println!("snapshot: {rows} rows of ten columns");
    let (mut dumps, mut gates) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        if let Some(mut command) = server.tool("mysqldump") {
            command.args(["--single-transaction", "--quick", "--no-create-info"]);
            if server.flavor() == Flavor::MySql {
                command.arg("--set-gtid-purged=OFF");
            }
            command.args(["bench", "calls"]);
            let usage = baseline(command, &dir.join("dump"))?;
            usage.print("mysqldump", rows);
            dumps.push(usage);
        }
        let usage = ours(server, dir, "bench.calls], snapshot: initial_only", rows)?;
        usage.print("wasmgate, JSON", rows);
        gates.push(usage);
    }
    compare(&dumps, &gates, "mysqldump");
    Ok(())
}

/// `rate` transactions a second of `size` rows, each with the microsecond of its statement.
fn paced(server: &MySql, dir: &Path, rate: u64, size: u64) -> Result<(), Problem> {
    server.sql(
        "bench",
        "DROP TABLE IF EXISTS ticks; CREATE TABLE ticks(id bigint PRIMARY KEY AUTO_INCREMENT, \
         note varchar(40), amount int); FLUSH LOGS",
    )?;
    let (lines, folder) = (dir.join("paced.jsonl"), dir.join("ticks"));
    drop(fs::remove_dir_all(dir.join("data")));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir(&folder)?;
    let text = pipeline(server, "paced", "bench.ticks], snapshot: never", &lines);
    let mut gateway = start(dir, &text)?;
    gateway.ready()?;
    let last = server.sql("", "SHOW BINARY LOGS")?;
    let last = last.lines().last().and_then(|l| l.split_whitespace().next()).unwrap_or_default();
    let mut raw = match server.tool("mysqlbinlog") {
        Some(mut command) => {
            command.args(["--read-from-remote-server", "--raw", "--stop-never"]);
            command.arg(format!("--result-file={}/", folder.display())).arg(last);
            Some(command.stdin(Stdio::null()).spawn()?)
        }
        None => None,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let watchers = [lines.clone(), folder.join(last)].map(|path| watch(path, Arc::clone(&stop)));
    let client = server.tool("mysql").ok_or("the command-line client is not here");
    let mut client = client?.arg("bench").stdin(Stdio::piped()).spawn()?;
    let mut input = client.stdin.take().ok_or("the client has no input")?;
    let row = "(concat('at=', round(unix_timestamp(sysdate(6)) * 1000000)), 1)";
    let values = vec![row; usize::try_from(size)?].join(",");
    let sql = format!("INSERT INTO ticks(note, amount) VALUES {values};\n");
    pace(rate, |_, _| Ok(input.write_all(sql.as_bytes())?))?;
    drop(input);
    let wrote = client.wait()?.success();
    let rows: u64 = server.sql("bench", "SELECT count(*) FROM ticks")?.trim().parse()?;
    gateway.finish("paced", rows)?;
    stop.store(true, Ordering::Release);
    let [ours, theirs] = watchers.map(|watcher| watcher.join().map_err(|_| "a reader failed"));
    let (ours, theirs) = (ours??, theirs??);
    if let Some(child) = &mut raw {
        child.kill()?;
        child.wait()?;
    }
    gateway.stop()?;
    fs::remove_file(lines)?;
    if !wrote {
        return Err("the client failed".into());
    }
    println!("commit to file, {rate} transactions a second of {size} rows");
    if raw.is_some() {
        print("mysqlbinlog --raw", counted(&theirs));
    }
    print("wasmgate, JSON", counted(&ours));
    Ok(())
}

/// Everything on each server that is here.
pub(crate) fn run(rows: u64) -> Result<(), Problem> {
    for flavor in [Flavor::MySql, Flavor::MariaDb] {
        if let Some(reason) = missing(flavor) {
            println!("{flavor:?} is left out: {reason}");
            continue;
        }
        println!("{flavor:?}");
        let (server, dir) = (server(flavor)?, tempfile::tempdir()?);
        server.sql("", TABLE)?;
        let rows = (rows / TRANSACTIONS).max(1) * TRANSACTIONS;
        load(&server, rows, true)?;
        stream(&server, dir.path(), rows)?;
        snapshot(&server, dir.path(), rows)?;
        for (rate, size) in [(1000, 1), (500, 100)] {
            paced(&server, dir.path(), rate, size)?;
        }
    }
    Ok(())
}
