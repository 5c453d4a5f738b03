//! The ClickHouse sink beside posting prepared data to the same engine in the same run: rows a
//! second against a prepared Native block and JSON lines, nanoseconds of encoding a row of 20
//! columns, and memory with 20 tables. Started by `cargo xtask bench clickhouse`, which builds
//! what this needs.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result is what is printed")]

mod encode;
mod insert;
mod rows;

use std::process::ExitCode;

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Rows of one insert: `WASMGATE_BENCH_ROWS`, 50,000 if not said.
fn block_rows() -> usize {
    let wanted = std::env::var("WASMGATE_BENCH_ROWS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(50_000)
}

fn run() -> Result<(), Problem> {
    encode::run(block_rows());
    if let Some(reason) = wasmgate_services::clickhouse::missing() {
        println!("  skipped: {reason}");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(insert::run(block_rows()))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("clickhouse: {problem}");
            ExitCode::FAILURE
        }
    }
}
