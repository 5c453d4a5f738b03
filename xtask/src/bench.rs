//! `cargo xtask bench`: measurements against a baseline run beside them.

use std::process::Command;

use crate::modules;
use crate::run::{cargo, run as run_program, target};

/// Measures in memory.
const MEMORY: &str = "wasmgate-bench";
/// Measures the release binary on real servers.
const SERVERS: &str = "wasmgate-bench-servers";
/// Measures the ClickHouse sink on the real engine.
const CLICKHOUSE: &str = "wasmgate-bench-clickhouse";
/// The engine's server.
const ENGINE: &str = "wasmgate-chdb";

/// (name, program that measures it); a name may have two.
const BENCHES: &[(&str, &str)] = &[
    ("memory", MEMORY),
    ("safety", MEMORY),
    ("postgres", SERVERS),
    ("snapshot", SERVERS),
    ("large", SERVERS),
    ("paced", SERVERS),
    ("mysql", SERVERS),
    ("kafka", SERVERS),
    ("latency", SERVERS),
    ("startup", SERVERS),
    ("modules", SERVERS),
    ("clickhouse", CLICKHOUSE),
    ("clickhouse", SERVERS),
];

/// Builds what is needed once, then runs the named benches, or all.
pub(crate) fn run(names: &[&str]) -> Result<(), String> {
    let mut known: Vec<&str> = BENCHES.iter().map(|b| b.0).collect();
    known.dedup();
    if let Some(unknown) = names.iter().find(|n| !known.contains(n)) {
        return Err(format!("no bench {unknown}; there are {}", known.join(", ")));
    }
    let chosen = || BENCHES.iter().filter(|b| names.is_empty() || names.contains(&b.0));
    modules::build(&[])?;
    // Always the same packages in one call: with others, cargo would choose other features and
    // compile every dependency again.
    let mut build = cargo();
    build.args(["build", "--release", "--package", "wasmgate", "--bin", "wasmgate"]);
    if chosen().any(|b| b.1 == CLICKHOUSE) {
        build.args(["--package", ENGINE, "--bin", ENGINE]);
    }
    for program in [MEMORY, SERVERS, CLICKHOUSE].iter().filter(|p| chosen().any(|b| b.1 == **p)) {
        build.args(["--package", program, "--bin", program]);
    }
    run_program(&mut build)?;
    for (name, program) in chosen() {
        println!("== {name}");
        run_program(Command::new(target().join("release").join(program)).arg(name))?;
    }
    Ok(())
}
