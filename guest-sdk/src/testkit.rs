//! Runs a rule natively, in `cargo test`, the way the gateway runs the component.
//!
//! ```
//! # use wasmgate_sdk::prelude::*;
//! # #[derive(Row)] struct Ping { n: i64, #[write] even: bool }
//! # /// Marks even numbers.
//! # #[transform] fn parity(row: &mut Ping) -> Verdict { row.even = row.n % 2 == 0; keep() }
//! use wasmgate_sdk::testkit::{Harness, json};
//!
//! let mut rule = Harness::<parity>::new("{}").unwrap();
//! let run = rule.run(json!([{ "n": 4 }, { "n": null }])).unwrap();
//! assert_eq!(run.value(0), &json!({ "n": 4, "even": true }));
//! assert_eq!(run.code(1), Some("null-field"));
//! ```
//!
//! Records are JSON, with or without a change envelope ([`Record`]); the host's conversions,
//! reserved names, shapes, writes and removals are imitated, and an answer that breaks the
//! contract (column counts, order of rows) is an error here as it is there. Wrong use of the
//! testkit itself panics. [`run_cases`] runs case files, which `wasmgate module test` runs on the
//! component.

mod admit;
mod answer;
mod cases;
mod harness;
#[doc(hidden)]
pub mod host;
mod input;
mod record;

pub use cases::{CasesFailed, run_cases};
pub use harness::{Harness, Run, decide, failure};
pub use host::{set_lookup_table, set_time_us};
pub use record::{Fate, Record};
pub use serde_json::{Value, json};
