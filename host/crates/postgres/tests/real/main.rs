//! The connector against a real server. One server is shared by the tests that run at the same
//! time; each test has a database and a slot of its own. Without server binaries the tests fail
//! in CI and are skipped elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests: a failure is a panic"
)]

mod access;
mod binary;
mod capture;
mod doctor;
mod evolve;
mod extensions;
mod harness;
mod incremental;
mod mitm;
mod network;
mod parallel;
mod partitions;
mod quarantine;
mod restart;
mod slots;
mod snapshot;
mod standby;
mod streaming;
mod tls;
mod told;
mod values;
