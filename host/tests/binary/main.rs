//! The binary from outside, as users meet it: its configuration, its runs, its modules.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod authors;
mod checkpoints;
mod config;
mod connectors;
mod gateway;
mod http;
mod modules;
mod restarts;
mod run;
