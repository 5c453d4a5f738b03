//! Write a wasmgate rule: a struct whose fields are the contract, and a function.
//!
//! ```
//! use wasmgate_sdk::prelude::*;
//!
//! #[derive(Config)]
//! struct Limits { max_amount: f64 }
//!
//! #[derive(Row)]
//! struct Payment<'a> {
//!     amount: f64,
//!     country: &'a str,
//!     home_country: &'a str,
//!     #[write]
//!     fraud: bool,
//! }
//!
//! /// Marks large payments made abroad.
//! #[transform]
//! fn fraud_rule(row: &mut Payment<'_>, limits: &Limits) -> Verdict {
//!     row.fraud = row.amount > limits.max_amount && row.country != row.home_country;
//!     keep()
//! }
//!
//! use wasmgate_sdk::testkit::{Harness, json};
//! let mut rule = Harness::<fraud_rule>::new(r#"{ "max_amount": 100 }"#).unwrap();
//! let run = rule.run(json!([{ "amount": 250, "country": "FR", "home_country": "DE" }])).unwrap();
//! assert_eq!(run.value(0)["fraud"], json!(true));
//! ```
//!
//! [`row`] says what a row field may be, [`config`] what a configuration field may be, [`stage`]
//! is the column API underneath, [`mod@policy`] the other world, [`testkit`] the native harness.

pub mod bindings;
pub mod column;
pub mod config;
pub mod contract;
#[doc(hidden)]
pub mod export;
mod host;
pub mod policy;
pub mod prelude;
pub mod row;
pub mod stage;
#[cfg(not(target_arch = "wasm32"))]
pub mod testkit;

pub use host::{clock, log, lookup, metrics, state};
pub use serde_json as json;
pub use stage::Transform;
pub use wasmgate_sdk_macros::{policy, transform};
