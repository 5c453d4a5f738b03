//! `cargo xtask bench`: measurements against a baseline run beside them.

use crate::run::{cargo, run as run_program};

/// (name, package, example or test, what it measures).
const BENCHES: &[(&str, &str, &str)] = &[
    ("documents", "wasmgate-codec", "document_speed"),
    ("postgres-codec", "wasmgate-codec", "pg_speed"),
];

/// Runs the named benches, or all.
pub(crate) fn run(names: &[&str]) -> Result<(), String> {
    let known: Vec<&str> = BENCHES.iter().map(|b| b.0).collect();
    if let Some(unknown) = names.iter().find(|n| !known.contains(n)) {
        return Err(format!("no bench {unknown}; there are {}", known.join(", ")));
    }
    for (name, package, example) in
        BENCHES.iter().filter(|b| names.is_empty() || names.contains(&b.0))
    {
        println!("== {name}");
        run_program(cargo().args([
            "run",
            "--quiet",
            "--release",
            "-p",
            package,
            "--example",
            example,
        ]))?;
    }
    Ok(())
}
