//! Postgres to file: the stream of a million inserts and a million updates of a table of ten
//! columns, through five modules into a file of JSON, against `pg_recvlogical` writing the raw
//! stream of a slot of the same publication. Every run has a slot of its own on the same log.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use wasmgate_services::postgres::{Options, Postgres};

use crate::Problem;
use crate::gateway::Gateway;
use crate::measure::{Usage, best, wait};
use crate::startup::{five_modules, warm_up};

const ROUNDS: usize = 2;
/// Transactions that insert, and as many that update.
const TRANSACTIONS: u64 = 1000;

pub(crate) const TABLE: &str = "create table calls(
    call_id bigint primary key, customer_id text not null, caller_number varchar(20) not null,
    call_duration_seconds int not null, monthly_spending double precision, credit_score int,
    monthly_call_duration int, payment_method text, network_type text, created timestamptz);
    create publication bench for table calls;";

/// The values of row `n`.
pub(crate) const ROW: &str = "n, 'CUST' || lpad((n % 100000)::text, 6, '0'),
    '+49150' || lpad((n % 10000)::text, 8, '0'), n % 3600, (n % 700) + 0.25, 300 + n % 550,
    n % 900, 'credit_card', '5G', now()";

/// Statements that insert rows and update them, and how many rows they are.
pub(crate) fn load(rows: u64) -> (String, u64) {
    let per = (rows / TRANSACTIONS).max(1);
    let sql = format!(
        "do $$ begin for t in 0..{last} loop
           insert into calls select {row} from generate_series(t * {per}, (t + 1) * {per} - 1) n;
           commit; end loop; end $$;
         do $$ begin for t in 0..{last} loop
           update calls set call_duration_seconds = call_duration_seconds + 1,
             monthly_spending = monthly_spending + 1
           where call_id between t * {per} and (t + 1) * {per} - 1;
           commit; end loop; end $$;",
        row = ROW,
        last = TRANSACTIONS - 1,
    );
    (sql, per * TRANSACTIONS)
}

fn pipeline(port: u16, name: &str, file: &Path) -> String {
    format!(
        "  {name}:
    source:
      postgres:
        {{ host: 127.0.0.1, port: {port}, database: postgres, user: postgres, topic_prefix: bench,
          slot: {name}, publication: bench, snapshot: never }}
    transforms:
{}    sinks:
      - {{ topics: '.*', file: {{ path: {} }} }}
",
        five_modules(),
        file.display()
    )
}

/// `pg_recvlogical` up to this position of the log.
pub(crate) fn raw(server: &Postgres, slot: &str, end: &str, file: &Path) -> Result<Usage, Problem> {
    let started = Instant::now();
    let child = Command::new("pg_recvlogical")
        .args(["-h", "127.0.0.1", "-p", &server.port().to_string(), "-U", "postgres"])
        .args(["-d", "postgres", "-S", slot, "--start", "--no-loop", "--endpos", end])
        .args(["-o", "proto_version=1", "-o", "publication_names=bench", "-f"])
        .arg(file)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| format!("pg_recvlogical: {e}; it comes with Postgres' client programs"))?;
    wait(child, started)
}

fn ours(server: &Postgres, dir: &Path, name: &str, rows: u64) -> Result<Usage, Problem> {
    let file = dir.join(format!("{name}.jsonl"));
    let mut gateway = Gateway::start(dir, &pipeline(server.port(), name, &file))?;
    let usage = gateway.finish(name, rows)?;
    gateway.stop()?;
    let lines = BufReader::with_capacity(1 << 20, fs::File::open(&file)?).split(b'\n').count();
    if lines as u64 != rows {
        return Err(format!("{lines} lines of {rows} rows").into());
    }
    fs::remove_file(file)?;
    Ok(usage)
}

/// Loads `rows` inserts and as many updates, then runs the two in turns.
pub(crate) fn run(rows: u64) -> Result<(), Problem> {
    let options = Options {
        settings: vec![
            ("wal_sender_timeout".into(), "60s".into()),
            ("max_wal_size".into(), "8GB".into()),
            ("autovacuum".into(), "off".into()),
        ],
        ..Options::default()
    };
    let server = Postgres::start(&options)?;
    let dir = tempfile::tempdir()?;
    server.psql("postgres", TABLE)?;
    warm_up(dir.path())?;
    for round in 0..ROUNDS {
        for who in ["raw", "gate"] {
            server.psql(
                "postgres",
                &format!("select pg_create_logical_replication_slot('{who}_{round}', 'pgoutput')"),
            )?;
        }
    }
    let (sql, rows) = load(rows);
    server.psql("postgres", &sql)?;
    let end = server.psql("postgres", "checkpoint; select pg_current_wal_lsn()")?;
    let all = 2 * rows;
    println!("postgres: {rows} inserts and {rows} updates in {} transactions", 2 * TRANSACTIONS);
    let (mut raws, mut gates) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let file = dir.path().join("raw");
        let usage = raw(&server, &format!("raw_{round}"), end.trim(), &file)?;
        usage.print("pg_recvlogical, raw stream", all);
        fs::remove_file(file)?;
        raws.push(usage);
        let usage = ours(&server, dir.path(), &format!("gate_{round}"), all)?;
        usage.print("wasmgate, five modules, JSON", all);
        gates.push(usage);
    }
    let fastest = |runs: &[Usage]| runs.iter().map(|r| r.wall_s).fold(f64::INFINITY, f64::min);
    let (raw, gate) = (best(&raws), best(&gates));
    println!(
        "  speed {:.2}x of pg_recvlogical; cpu {:.2} s against {:.2} s",
        fastest(&raws) / fastest(&gates),
        gate.cpu_s,
        raw.cpu_s
    );
    Ok(())
}
