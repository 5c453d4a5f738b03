//! `cargo xtask test`: everything a change has to pass. `.ci/run` calls exactly this.

use std::time::Instant;

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
