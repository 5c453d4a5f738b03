//! Batches to bytes: keys, values and headers as sinks send them.
//!
//! Rows become Debezium's envelope (`schemas.enable=false`) or the flat row image; documents are
//! spliced by [`crate::document`]. What stages did ([`wasmgate_model::Edits`]) is applied here and
//! nowhere earlier. How each column is written is decided once per batch.

mod cell;
mod clock;
mod decimal;
mod layout;
mod options;
mod placeholder;
mod row;
mod schema;
mod source;
mod wrap;

use std::collections::HashMap;
use std::fmt;

use wasmgate_model::{Batch, Edits, Op, Payload};

use crate::document::{self, DocumentError};
pub(crate) use cell::Cell;
use cell::CellError;
pub(crate) use cell::Lane;
pub(crate) use cell::Manner;
pub(crate) use clock::write_time;
use decimal::DecimalError;
pub(crate) use layout::{Layout, Openings};
pub use options::JsonOptions;
pub(crate) use row::RowWriter;
use wrap::Wrap;

/// Schemas whose layouts are kept; more than a process meets between two changes of a table.
const LAYOUTS: usize = 1024;

/// Writes records; one per sink task. Keeps per schema what does not change from batch to batch.
#[derive(Debug, Clone, Default)]
pub struct ValueWriter {
    /// By schema id.
    layouts: HashMap<u64, Layout>,
    options: JsonOptions,
}

impl ValueWriter {
    /// A writer that has seen no schema yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer of documents as these options ask for.
    #[must_use]
    pub fn with(options: JsonOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Makes ready to write the records of a batch.
    pub fn begin<'a>(&'a mut self, batch: &'a Batch) -> BatchWriter<'a> {
        let rows = match &batch.payload {
            Payload::Documents(_) => None,
            Payload::Rows(rows) => {
                let id = batch.schema.id;
                if self.layouts.len() >= LAYOUTS && !self.layouts.contains_key(&id) {
                    self.layouts.clear();
                }
                let layout = self.layouts.entry(id).or_insert_with(|| Layout::new(&batch.schema));
                let edits = Some(&batch.edits);
                let openings = match self.options.is_plain() {
                    true => Openings::default(),
                    false => layout.openings(batch, edits, self.options),
                };
                Some(RowWriter::new(layout, batch, rows, edits, (self.options, openings)))
            }
        };
        let wrap = Wrap::new(&batch.schema, self.options);
        BatchWriter { batch, rows, wrap }
    }
}

/// Writes the records of one batch. `i` is a place in the batch's `sel`.
#[derive(Debug)]
pub struct BatchWriter<'a> {
    batch: &'a Batch,
    /// `None` for documents.
    rows: Option<RowWriter<'a>>,
    /// Schemas around what does not come from rows.
    wrap: Wrap,
}

impl BatchWriter<'_> {
    fn row(&self, i: usize) -> usize {
        self.batch.sel.get(i).map_or(usize::MAX, |row| *row as usize)
    }

    /// Appends the key. False: the record has none.
    pub fn key(&self, i: usize, out: &mut Vec<u8>) -> bool {
        let edits = &self.batch.edits;
        if let Some(key) = edits.key.as_ref().filter(|key| !key.is_absent(i)) {
            return match key.bytes(i) {
                Some(bytes) => {
                    self.wrap.other_key(bytes, out);
                    true
                }
                None => false,
            };
        }
        let row = self.row(i);
        let removed = removed_from_key(edits, row);
        match (self.batch.key_bytes(row), &self.rows) {
            (Some(key), _) if removed.is_empty() => {
                self.wrap.key(key, out);
                true
            }
            (Some(key), _) => {
                let mut left = Vec::new();
                document::write_key_without(key, &removed, &mut left);
                self.wrap.key(&left, out);
                true
            }
            (None, Some(rows)) if self.batch.keys.is_none() => rows.key(row, &removed, out),
            (None, _) => false,
        }
    }

    /// Appends the value. False: it is empty, a tombstone.
    ///
    /// # Errors
    /// A value that a stage wrote has no place in the output format (a decimal finer than its
    /// column, text that is not JSON), or the document cannot be edited. Nothing was appended.
    pub fn value(&self, i: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        let emptied = self.batch.edits.tombstone.as_ref().and_then(|c| c.boolean(i));
        if emptied == Some(true) {
            return Ok(false);
        }
        let start = out.len();
        let written = match &self.rows {
            Some(rows) => rows.value(self.row(i), i, out),
            None => self.wrap.value(out, |out| {
                document::write_value(self.batch, i, out).map_err(EncodeError::Document)
            }),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// Calls `each` with every header: the record's own, then those that stages wrote.
    pub fn headers(&self, i: usize, each: &mut dyn FnMut(&str, Option<&[u8]>)) {
        let key = self.rows.as_ref().and_then(RowWriter::key_opening);
        for (name, text) in &*self.batch.schema.headers {
            self.wrap.text_header(name, text, &mut *each);
        }
        let mut each =
            |name: &str, value: Option<&[u8]>| self.wrap.header(name, value, key, &mut *each);
        if !self.batch.headers.is_empty() {
            for (name, value) in self.batch.headers.row(self.row(i)) {
                each(name, value);
            }
        }
        for (name, column) in &self.batch.edits.headers {
            if !column.is_absent(i) {
                each(name, column.bytes(i));
            }
        }
    }

    /// The partition asked for: by a stage, else by the source record.
    #[must_use]
    pub fn partition(&self, i: usize) -> Option<i32> {
        let written = self.batch.edits.partition.as_ref().and_then(|c| c.int(i));
        match written.and_then(|p| i32::try_from(p).ok()) {
            Some(partition) => Some(partition),
            None => self.batch.partitions.get(self.row(i)).copied().filter(|p| *p >= 0),
        }
    }

    /// Event time in microseconds since 1970.
    #[must_use]
    pub fn time_us(&self, i: usize) -> i64 {
        self.batch.times_us.get(self.row(i)).copied().unwrap_or(self.batch.received_us)
    }
}

/// Names of key fields that a row leaves without: from every row, and from this one.
fn removed_from_key(edits: &Edits, row: usize) -> Vec<&str> {
    let single = removed_from_row(edits, row).iter().filter_map(|f| f.strip_prefix("$key."));
    edits.key_removed.iter().map(|name| &**name).chain(single).collect()
}

/// Names of fields that this row alone leaves without; key fields carry `$key.` before them.
fn removed_from_row(edits: &Edits, row: usize) -> &[String] {
    match edits.removals.binary_search_by_key(&row, |r| r.row as usize) {
        Ok(at) => edits.removals.get(at).map_or(&[], |r| &r.fields),
        Err(_) => &[],
    }
}

/// Key and value of a payload row as they came (rows: as the envelope they would be), without
/// what stages did: for dead letters and policies. `None`: there is none.
#[must_use]
pub fn original(batch: &Batch, row: usize) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let bytes = batch.key_bytes(row).map(<[u8]>::to_vec);
    match &batch.payload {
        Payload::Documents(documents) => {
            let empty = batch.ops.get(row) == Some(&Op::Tombstone);
            (bytes, (!empty).then(|| documents.values.get(row).to_vec()))
        }
        Payload::Rows(rows) => {
            let layout = Layout::new(&batch.schema);
            let writer = RowWriter::new(&layout, batch, rows, None, Default::default());
            let (mut key, mut value) = (Vec::new(), Vec::new());
            let has_key = batch.keys.is_none() && writer.key(row, &[], &mut key);
            let has_value = writer.value(row, 0, &mut value).unwrap_or(false);
            (bytes.or(has_key.then_some(key)), has_value.then_some(value))
        }
    }
}

/// A record that cannot be written.
#[derive(Debug, Clone, PartialEq)]
pub enum EncodeError {
    /// A field's value does not fit the output format.
    Field { field: String, reason: &'static str },
    /// A document cannot be edited.
    Document(DocumentError),
}

impl EncodeError {
    fn field(field: &str, error: CellError) -> Self {
        let reason = match error {
            CellError::Decimal(DecimalError::NotDecimal) => "is not a decimal number",
            CellError::Decimal(DecimalError::TooFine) => {
                "has more fraction digits than its column: round it"
            }
            CellError::NotJson => "is not valid JSON",
        };
        Self::Field { field: field.to_owned(), reason }
    }

    /// A short stable word for dead letters and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } => "unencodable-value",
            Self::Document(_) => "unencodable-document",
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, reason } => write!(f, "the value of `{field}` {reason}"),
            Self::Document(_) => f.write_str("the document cannot be edited"),
        }
    }
}

impl std::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Field { .. } => None,
            Self::Document(cause) => Some(cause),
        }
    }
}
