//! JSON documents in and out: one walk that checks the whole document, extracts what is read and
//! notes the places that are edited; and a splicer that writes the original bytes with the edits.
//!
//! Life of a document: [`classify`] and [`key_payload`] find record and key, [`append`] puts them
//! into a batch, [`project`] makes the batch ready for the chain, [`write_value`] writes what the
//! chain left. A record that nobody edits leaves byte-identical. Of duplicate names the last is
//! read and every one is edited. The syntax is RFC 8259, up to 128 levels deep, in UTF-8.

mod classify;
mod convert;
mod defaults;
mod fields;
mod insert;
mod number;
mod place;
mod project;
mod read;
mod scan;
mod splice;
mod text;
mod time;
mod tree;
mod walker;

use std::fmt;

use wasmgate_model::{Batch, Block, Op, Payload, Position};

pub use classify::{classify, key_payload};
pub use defaults::{Defaults, SchemaDefaults};
pub use fields::{array, object, push_token};
pub use project::project;
pub use splice::{write_key_without, write_value};

/// How the values of a topic are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON documents of any shape.
    Json,
    /// Debezium's JSON: envelopes, with or without `{"schema","payload"}` wrappers.
    DebeziumJson {
        /// Also take a bare object with op/source/before|after members for an envelope.
        bare_envelopes: bool,
    },
    /// Opaque bytes: never walked.
    Bytes,
}

/// What [`classify`] found: which bytes of the value are the record, and whether it is a change
/// envelope. An empty range: the record is a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classified {
    pub start: usize,
    pub end: usize,
    pub envelope: bool,
    /// Where the schema part of a wrapped value lies; empty where there is none.
    pub schema: (usize, usize),
}

impl Classified {
    /// The whole value is the record.
    fn whole(value: &[u8], envelope: bool) -> Self {
        Self { start: 0, end: value.len(), envelope, schema: (0, 0) }
    }
}

/// A record as it came from a topic or a file.
#[derive(Debug, Clone, Copy)]
pub struct InboundRecord<'a> {
    pub key: Option<&'a [u8]>,
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    /// Event time, microseconds since 1970.
    pub time_us: i64,
    pub position: Position,
    /// -1: none.
    pub partition: i32,
}

/// Appends one record to a batch of documents. Its headers are the caller's:
/// `batch.headers.push`, then `end_row`.
pub fn append(batch: &mut Batch, record: &InboundRecord<'_>) {
    let Payload::Documents(documents) = &mut batch.payload else {
        return;
    };
    let row = batch.ops.len();
    documents.values.push(record.value.unwrap_or(&[]));
    batch.ops.push(if record.value.is_some() { Op::Append } else { Op::Tombstone });
    batch.keys.get_or_insert_with(Block::default).push(record.key.unwrap_or(&[]));
    if record.key.is_none() {
        batch.null_keys.push(row as u32);
    }
    batch.times_us.push(record.time_us);
    batch.positions.push(record.position);
    if record.partition != -1 || !batch.partitions.is_empty() {
        batch.partitions.resize(row, -1);
        batch.partitions.push(record.partition);
    }
}

/// Why a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    End,
    Value,
    Object,
    Name,
    Colon,
    CommaOrEnd,
    Number,
    Control,
    Escape,
    Surrogate,
    Depth,
    Trailing,
    Utf8,
    Written,
}

/// A document that is not JSON, or not an object where one is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentError {
    /// The byte of the document where it was found.
    pub offset: usize,
    reason: Reason,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match self.reason {
            Reason::End => "it ends too early",
            Reason::Value => "a value is expected",
            Reason::Object => "an object is expected",
            Reason::Name => "a name in quotes is expected",
            Reason::Colon => "a colon is expected after the name",
            Reason::CommaOrEnd => "a comma or the closing bracket is expected",
            Reason::Number => "a number is malformed",
            Reason::Control => "a control character stands unescaped in a string",
            Reason::Escape => "an escape is malformed",
            Reason::Surrogate => "half of a surrogate pair stands alone",
            Reason::Depth => "it is nested deeper than 128 levels",
            Reason::Trailing => "something follows the document",
            Reason::Utf8 => "it is not UTF-8",
            Reason::Written => "a stage wrote it as a field of kind json",
        };
        write!(f, "not valid JSON at byte {}: {found}", self.offset)
    }
}

impl std::error::Error for DocumentError {}
