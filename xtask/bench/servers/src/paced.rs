//! From a commit to the line in a file, at a steady rate: one pipeline of no modules, and
//! `pg_recvlogical` beside it on the same server, each with a slot of its own. Every row carries
//! the microsecond at which the server made it; whoever reads the two files notes when it sees it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmgate_services::postgres::{Options, Postgres};

use crate::Problem;
use crate::gateway::Gateway;
use crate::latency::{now_us, pace, print};

const TABLE: &str = "create table ticks(id bigserial primary key, note text, amount int);
                     create publication ticks for table ticks;
                     select pg_create_logical_replication_slot('raw', 'pgoutput')";
/// What stands before the microsecond, in either file.
const MARK: &[u8] = b"at=";
/// The first seconds are not counted.
const WARM_UP_US: u64 = 3_000_000;
/// Between two looks at a file: the resolution.
const LOOK: Duration = Duration::from_micros(100);

/// A thread that reads a file; when each row was made, and its delay.
pub(crate) type Watcher = JoinHandle<Result<Vec<(u64, u64)>, Problem>>;

/// Reads a file that grows until it is told to stop; the delays of the rows, in order.
pub(crate) fn watch(path: PathBuf, stop: Arc<AtomicBool>) -> Watcher {
    std::thread::spawn(move || {
        let (mut rows, mut rest) = (Vec::new(), Vec::new());
        let mut file = None;
        loop {
            let last = stop.load(Ordering::Acquire);
            if file.is_none() {
                file = File::open(&path).ok();
            }
            let before = rest.len();
            if let Some(file) = &mut file {
                file.read_to_end(&mut rest)?;
            }
            if rest.len() > before {
                take(&mut rest, now_us(), &mut rows);
            } else if last {
                return Ok(rows);
            } else {
                std::thread::sleep(LOOK);
            }
        }
    })
}

/// Moves the whole marks out of what was read: when each was made, and its delay.
fn take(read: &mut Vec<u8>, now: u64, rows: &mut Vec<(u64, u64)>) {
    const DIGITS: usize = 16;
    let mut at = 0;
    while let Some(found) = read.get(at..).and_then(|r| find(r, MARK)) {
        let from = at + found + MARK.len();
        let Some(digits) = read.get(from..from + DIGITS) else {
            at += found;
            read.drain(..at);
            return;
        };
        let made: u64 = digits.iter().fold(0, |n, d| n * 10 + u64::from(d.wrapping_sub(b'0')));
        rows.push((made, now.saturating_sub(made)));
        at = from + DIGITS;
    }
    let kept = read.len().saturating_sub(MARK.len()).max(at);
    read.drain(..kept);
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

pub(crate) fn counted(rows: &[(u64, u64)]) -> Vec<u64> {
    let from = rows.first().map_or(0, |r| r.0) + WARM_UP_US;
    rows.iter().filter(|r| r.0 >= from).map(|r| r.1).collect()
}

/// `rate` transactions a second of `size` rows.
fn once(dir: &Path, rate: u64, size: u64) -> Result<(), Problem> {
    let server = Postgres::start(&Options::default())?;
    server.psql("postgres", TABLE)?;
    let (ours, raw) = (dir.join("ours.jsonl"), dir.join("raw"));
    let text = format!(
        "  paced:
    source:
      postgres:
        {{ host: 127.0.0.1, port: {port}, database: postgres, user: postgres, topic_prefix: bench,
          slot: ours, publication: ticks, snapshot: never }}
    sinks:
      - {{ topics: '.*', file: {{ path: {} }} }}
",
        ours.display(),
        port = server.port()
    );
    let mut gateway = Gateway::start(dir, &text)?;
    gateway.ready()?;
    let port = server.port().to_string();
    let mut baseline = Command::new("pg_recvlogical")
        .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres", "-S", "raw"])
        .args(["--start", "-o", "proto_version=1", "-o", "publication_names=ticks", "-f"])
        .arg(&raw)
        .stderr(Stdio::null())
        .spawn()?;
    let stop = Arc::new(AtomicBool::new(false));
    let watchers = [&ours, &raw].map(|path| watch(path.clone(), Arc::clone(&stop)));
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres"])
        .args(["-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = psql.stdin.take().ok_or("psql has no input")?;
    let sql = format!(
        "insert into ticks(note, amount)
         select 'at=' || (extract(epoch from clock_timestamp()) * 1e6)::bigint, n
         from generate_series(1, {size}) n;\n"
    );
    pace(rate, |_, _| Ok(input.write_all(sql.as_bytes())?))?;
    drop(input);
    let wrote = psql.wait()?.success();
    let rows: u64 = server.psql("postgres", "select count(*) from ticks")?.trim().parse()?;
    gateway.finish("paced", rows)?;
    stop.store(true, Ordering::Release);
    let [ours, raw] = watchers.map(|watcher| watcher.join().map_err(|_| "a reader failed"));
    let (ours, raw) = (ours??, raw??);
    baseline.kill()?;
    baseline.wait()?;
    gateway.stop()?;
    if !wrote {
        return Err("psql failed".into());
    }
    println!("commit to file, {rate} transactions a second of {size} rows");
    print("pg_recvlogical, raw stream", counted(&raw));
    print("wasmgate, JSON", counted(&ours));
    Ok(())
}

/// A quiet rate, and one that is about half of what the machine can do with both readers.
pub(crate) fn run() -> Result<(), Problem> {
    for (rate, size) in [(1000, 1), (500, 100)] {
        let dir = tempfile::tempdir()?;
        once(dir.path(), rate, size)?;
    }
    Ok(())
}
