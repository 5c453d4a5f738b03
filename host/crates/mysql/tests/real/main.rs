//! The connector against real servers. One server of each kind is shared by the tests that run at
//! the same time; each test has a database of its own. Without server binaries the tests fail in
//! CI and are skipped elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests: a failure is a panic"
)]

mod access;
mod blocking;
mod capture;
mod harness;
mod incremental;
mod log;
mod login;
mod parallel;
mod quarantine;
mod recorded;
mod recover;
mod restart;
mod schema;
mod told;
mod values;
