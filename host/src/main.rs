//! F6: the `wasmgate` binary: parses, assembles, runs until told to stop. It names every part of
//! the house and decides nothing.

mod assemble;
mod cli;
mod commands;
mod config;
mod connectors;
mod exit;
mod gateway;
mod held;
mod log;
mod modules;
mod policy;
mod progress;
mod signals;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
