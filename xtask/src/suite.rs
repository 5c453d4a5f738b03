//! `cargo xtask test`: everything a change has to pass. `.ci/run` calls exactly this.

use std::time::Instant;

use wasmgate_services::postgres::{Release, missing_release};

use crate::run::{cargo, found, is_ci, output, program, root, run as run_program};
use crate::{http_check, install, modules, tidy};

/// Runs every step; stops at the first that fails. A filter runs the matching tests only.
pub(crate) fn run(filter: Option<&str>) -> Result<(), String> {
    install::system(true)?;
    install::mysql()?;
    if let Some(filter) = filter {
        step("modules", || modules::build(&[]))?;
        step("build", || run_program(cargo().args(["build", "--workspace"])))?;
        return step("tests", || run_program(cargo().args(["test", "--workspace", filter])));
    }
    step("format", || run_cargo(&["fmt", "--all", "--check"]))?;
    step("tidy", tidy::run)?;
    step("modules", || modules::build(&[]))?;
    step("build", || run_cargo(&["build", "--workspace"]))?;
    step("tests", || run_cargo(&["test", "--workspace", "--no-fail-fast"]))?;
    step("Postgres 16 and 18", other_releases)?;
    step("HTTP interface", http_check::run)?;
    step("clippy", || {
        run_cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
    })?;
    step("docs", || {
        let mut doc = cargo();
        doc.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
        run_program(&mut doc)
    })?;
    step("dependencies", dependencies)?;
    step("metrics and alert rules", promtool)?;
    step("compose file", compose)?;
    println!("all steps passed");
    Ok(())
}

fn run_cargo(words: &[&str]) -> Result<(), String> {
    run_program(cargo().args(words))
}

fn step(name: &str, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    println!("== {name}");
    let started = Instant::now();
    work().map_err(|e| format!("step `{name}`: {e}"))?;
    println!("== {name}: {} s", started.elapsed().as_secs());
    Ok(())
}

/// Recordings that show what differs between releases: types, envelopes, identities, DDL.
const ON_EVERY_RELEASE: &[&str] = &[
    "envelope_transaction_message",
    "keys_and_replica_identity",
    "partitions_root_topic",
    "replication_origin",
    "resume_after_kill",
    "schema_changes",
    "toast_default",
    "transactions",
    "truncate",
    "types_default",
];

/// What runs on the installed Postgres runs on the others too, as far as it depends on them.
fn other_releases() -> Result<(), String> {
    for release in Release::FETCHED {
        let Some(major) = release.major() else { continue };
        if let Some(reason) = missing_release(release) {
            missing(&format!("Postgres {major}"), &reason)?;
            continue;
        }
        let on = |mut test: std::process::Command| {
            run_program(test.env("WASMGATE_TEST_POSTGRES", major.to_string()))
        };
        let mut connector = cargo();
        connector.args(["test", "--package", "wasmgate-postgres", "--test", "real"]);
        on(connector)?;
        let mut recordings = cargo();
        recordings.args(["test", "--package", "wasmgate-tests", "--", "--exact"]);
        on({
            recordings.args(ON_EVERY_RELEASE.iter().map(|name| format!("cases::capture::{name}")));
            recordings
        })?;
    }
    Ok(())
}

fn dependencies() -> Result<(), String> {
    if !install::deny()? {
        return Ok(());
    }
    // The advisory database is fetched from the network; where it cannot be had, the rest counts.
    run_cargo(&["deny", "--workspace", "check", "bans", "licenses", "sources"])
}

fn promtool() -> Result<(), String> {
    if !found("promtool") {
        return missing("promtool", "Debian package prometheus");
    }
    let dir = root().join("init-scripts/prometheus");
    run_program(program("promtool").current_dir(&dir).args([
        "check",
        "config",
        "--syntax-only",
        "prometheus.yml",
    ]))?;
    run_program(program("promtool").current_dir(&dir).args(["check", "rules", "alerts.yml"]))
}

fn compose() -> Result<(), String> {
    let works = found("docker") && output(program("docker").args(["compose", "version"])).is_ok();
    if !works {
        println!("skipped: `docker compose` is not here; the file is parsed by the tests only");
        return Ok(());
    }
    run_program(program("docker").args([
        "compose",
        "--file",
        "docker-compose.yml",
        "config",
        "--quiet",
    ]))
}

fn missing(what: &str, fix: &str) -> Result<(), String> {
    let text = format!("{what} is not here: {fix}");
    if is_ci() {
        return Err(text);
    }
    println!("skipped: {text}");
    Ok(())
}
