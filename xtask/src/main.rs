//! The project's own commands: `cargo xtask help`. Standard library only: it starts in seconds
//! and installs, or names, what each command needs.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool for developers")]

mod bench;
mod demo;
mod http_check;
mod install;
mod modules;
mod run;
mod servers;
mod soak;
mod suite;
mod tidy;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask demo [--keep]          build all, start a throw-away Postgres and the gateway, show
                                   records going in, through the modules and out; --keep stays
                                   until Ctrl-C
cargo xtask test [FILTER]          the whole suite: format, lints, tidy, dependencies, tests, checks
cargo xtask modules [NAME...]      build transforms/NAME.wasm from transforms/NAME/
cargo xtask services up|down postgres|mysql|mariadb|kafka
                                   a real server for your own tries; `up` prints how to reach it
cargo xtask services fetch postgres
                                   Postgres 16 and 18 for the tests, into the cache
cargo xtask bench [NAME...]        measurements as ratios to a baseline run beside them
cargo xtask soak [MINUTES]         kill loops, far longer than in `test`
cargo xtask http                   the HTTP interface of the debug build against its description
cargo xtask tidy                   sizes, floors, words
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["demo", rest @ ..] => demo::run(rest.contains(&"--keep")),
        ["test", rest @ ..] => suite::run(rest.first().copied()),
        ["modules", names @ ..] => modules::build(names),
        ["services", verb, server] => servers::run(verb, server),
        ["bench", names @ ..] => bench::run(names),
        ["soak", rest @ ..] => soak::run(rest.first().copied()),
        ["http"] => http_check::run(),
        ["tidy"] => tidy::run(),
        ["help" | "--help" | "-h"] | [] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("no such command: {}\n\n{HELP}", words.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}
