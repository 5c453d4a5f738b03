//! `use wasmgate_sdk::prelude::*;` is all a rule needs.

pub use crate::column::{BoolBuilder, Cell, ColumnBuilder, FloatBuilder, IntBuilder, TextBuilder};
pub use crate::config::{Config, NoConfig};
pub use crate::contract::{Batch, Column, Kind, Op, Output, Projection, Schema};
pub use crate::policy::{Decision, Failure, Policy, retry, to_dead_letters, to_topic};
pub use crate::row::{Row, Verdict, dead_letter, discard, keep};
pub use crate::stage::Transform;
pub use crate::{clock, export_policy, export_transform, log, metrics};
pub use wasmgate_sdk_macros::{policy, transform};
