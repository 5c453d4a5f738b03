//! `cargo xtask soak`: the kill loops and the soak of the end-to-end tests, for as long as asked.

use crate::run::cargo;

/// Runs the kill loops for some minutes (30 if not said).
fn run_minutes(minutes: u32) -> Result<(), String> {
    crate::run::run(cargo().args(["build", "--workspace"]))?;
    let mut test = cargo();
    test.args(["test", "--package", "wasmgate-tests", "--", "--nocapture"]);
    // The kill loops, everything at once on a real Postgres, a hostile module beside a good one,
    // and a client that drips.
    test.args(["kill", "soak", "hostile::turns", "slow_body"]);
    crate::run::run(test.env("WASMGATE_SOAK_MINUTES", minutes.to_string()))
}

/// Reads the argument.
pub(crate) fn run(minutes: Option<&str>) -> Result<(), String> {
    let minutes = minutes.unwrap_or("30");
    let parsed = minutes.parse().map_err(|_| format!("soak {minutes}: minutes are a number"))?;
    crate::modules::build(&[])?;
    run_minutes(parsed)
}
