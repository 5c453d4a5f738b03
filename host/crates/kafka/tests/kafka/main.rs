//! The connector against a real Apache Kafka, and against librdkafka's mock where only timing or
//! placement matters. Each test has topics and groups of its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests: a panic is the report"
)]

mod broker;
mod conformance;
mod dead_letters;
mod pipe;
mod sink;
mod source;
