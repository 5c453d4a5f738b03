//! What the gateway costs on real servers, each time beside a baseline in the same run: Postgres
//! against `pg_recvlogical` and `COPY`, into ClickHouse, too; MySQL against `mysqlbinlog` and
//! `mysqldump`; Kafka against a bare librdkafka copy and rules written by hand; added latency;
//! start-up; changing modules. Started by `cargo xtask bench`, which builds what this needs.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result is what is printed")]

mod baseline;
mod clickhouse;
mod gateway;
mod kafka;
mod latency;
mod measure;
mod modules;
mod mysql;
mod paced;
mod postgres;
mod snapshot;
mod startup;

use std::process::ExitCode;

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Records of the throughput runs, a million each: `WASMGATE_BENCH_ROWS`.
fn rows() -> u64 {
    let wanted = std::env::var("WASMGATE_BENCH_ROWS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

fn run(words: &[&str]) -> Result<(), Problem> {
    match words {
        ["postgres"] => postgres::run(rows()),
        ["snapshot"] => snapshot::run(rows()),
        ["large"] => snapshot::large(rows()),
        ["paced"] => paced::run(),
        ["mysql"] => mysql::run(rows()),
        ["kafka"] => kafka::run(rows()),
        ["latency"] => latency::run(),
        ["clickhouse"] => clickhouse::run(rows()),
        ["startup"] => startup::run(),
        ["modules"] => modules::run(),
        ["baseline", rules, bootstrap, from, to, records] => {
            baseline::run(rules, bootstrap, from, to, records.parse()?)
        }
        _ => {
            let names = "postgres, snapshot, large, paced, mysql, kafka, latency, clickhouse, \
                         startup, modules";
            Err(format!("name one of {names}").into())
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{}: {problem}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}
