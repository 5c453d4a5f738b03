//! The sink on ClickHouse's real engine.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "tests"
)]

mod conformance;
mod documents;
mod edges;
mod engine;
mod faults;
mod keys;
mod native;
mod network;
mod once;
mod renamed;
mod rig;
mod tables;
mod wire;
