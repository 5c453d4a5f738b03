//! F0: what moves through the gateway, as plain data.
//!
//! A [`Delivery`] is a contiguous piece of one source partition; it carries [`Batch`]es, one per
//! topic and schema. A batch is plain columns ([`Rows`]) or original bytes ([`Documents`]), and
//! what the chain did to it ([`Edits`], [`Reject`]). Progress is a [`Checkpoint`].
//! No async, no I/O, no clock, no log: std only.

mod batch;
mod block;
mod checkpoint;
mod column;
mod connect;
mod delivery;
mod documents;
mod fault;
mod header;
mod kind;
mod outcome;
mod plan;
mod rows;
mod schema;

pub use batch::{Batch, Edits, Payload, ReadColumn, Shape, WrittenColumn};
pub use block::Block;
pub use checkpoint::{Checkpoint, CheckpointError, Delta};
pub use column::{Column, Values};
pub use connect::{ConnectNames, ConnectSchema, ConnectShape, DocumentSchemas};
pub use delivery::{Delivery, Partition, Position};
pub use documents::{Documents, Member};
pub use fault::{Blame, Fault, FaultKind, Retry};
pub use header::Headers;
pub use kind::{Kind, Logical, Op, Style};
pub use outcome::{DeadLetterCause, Reject, Removal, Verdict};
pub use plan::{FieldPath, Plan, PlanRead};
pub use rows::Rows;
pub use schema::{Field, Schema, SourcePart, TransactionParts};
