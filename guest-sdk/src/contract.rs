//! The contract's types (package `wasmgate:transform`, interface `types`) with constructors.
//!
//! The fields are public and documented in `wit/types.wit`; the methods here only save typing and
//! always ask for text as blocks, which is about twenty times cheaper to pass.

pub use crate::bindings::transform::wasmgate::transform::types::{
    Batch, Block, Column, Description, Emission, Field, Kind, Op, Output, Projection, Read, Reason,
    Reject, Removal, Schema, Shape, TextForm, Values, Verdict as RejectVerdict,
};

impl Default for Projection {
    fn default() -> Self {
        Self {
            reads: Vec::new(),
            writes: Vec::new(),
            removes: Vec::new(),
            renames: Vec::new(),
            shape: Shape::Keep,
            texts: TextForm::Block,
            ops: false,
        }
    }
}

impl Projection {
    /// Reads, writes and changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a field; a record without it is dead-lettered by the host.
    #[must_use]
    pub fn read(mut self, name: impl Into<String>, kind: Kind) -> Self {
        self.reads.push(Read { name: name.into(), kind, optional: false });
        self
    }

    /// Reads a field that may be missing: it is then null and absent.
    #[must_use]
    pub fn read_optional(mut self, name: impl Into<String>, kind: Kind) -> Self {
        self.reads.push(Read { name: name.into(), kind, optional: true });
        self
    }

    /// Adds a field, or replaces it where the name exists. Reserved: `$topic`, `$key`,
    /// `$partition`, `$header.NAME`, `$tombstone`.
    #[must_use]
    pub fn write(mut self, name: impl Into<String>, kind: Kind) -> Self {
        self.writes.push(Field { name: name.into(), kind, nullable: true });
        self
    }

    /// Removes a field (`$key.NAME`: of the key) from every record.
    #[must_use]
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.removes.push(name.into());
        self
    }

    /// Renames a field in every record.
    #[must_use]
    pub fn rename(mut self, from: impl Into<String>, to: impl Into<String>) -> Self {
        self.renames.push((from.into(), to.into()));
        self
    }

    /// The flat current row image takes the place of the change envelope.
    #[must_use]
    pub fn row_shape(mut self) -> Self {
        self.shape = Shape::Row;
        self
    }

    /// Fills `batch.ops`.
    #[must_use]
    pub fn with_ops(mut self) -> Self {
        self.ops = true;
        self
    }
}

impl Batch {
    /// The column of read number `index`.
    ///
    /// # Errors
    /// The projection has no such read.
    pub fn column(&self, index: usize) -> Result<&Column, String> {
        self.columns.get(index).ok_or_else(|| {
            format!(
                "the batch has {} columns, the rule reads number {index}: \
                 the host did not follow the projection",
                self.columns.len()
            )
        })
    }
}

#[expect(clippy::derivable_impls, reason = "the type is generated")]
impl Default for Output {
    fn default() -> Self {
        Self { columns: Vec::new(), rejects: Vec::new(), removals: Vec::new(), extra: Vec::new() }
    }
}

/// Rows that do not go on and fields that leave: call in ascending order of `row`, once per row.
impl Output {
    /// Every row goes on, nothing is written.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The record ends here, on purpose.
    pub fn discard(&mut self, row: u32) {
        self.rejects.push(Reject { row, verdict: RejectVerdict::Drop });
    }

    /// The record goes to the dead letters. `code` is a short stable word, `message` for people.
    pub fn dead_letter(&mut self, row: u32, code: impl Into<String>, message: impl Into<String>) {
        let reason = Reason { code: code.into(), message: message.into() };
        self.rejects.push(Reject { row, verdict: RejectVerdict::DeadLetter(reason) });
    }

    /// This row leaves without the named fields (`$key.NAME`: fields of the key).
    pub fn remove(&mut self, row: u32, fields: Vec<String>) {
        self.removals.push(Removal { row, fields });
    }
}

impl Op {
    /// The letter Debezium writes: `c`, `u`, `d`, `r`, `t`, `m`. None for records that are no
    /// change event.
    #[must_use]
    pub fn letter(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("c"),
            Self::Update => Some("u"),
            Self::Delete => Some("d"),
            Self::Snapshot => Some("r"),
            Self::Truncate => Some("t"),
            Self::Message => Some("m"),
            Self::Append | Self::Tombstone => None,
        }
    }
}

impl Kind {
    /// The name in the contract: `timestamp-us`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::Decimal => "decimal",
            Self::Uuid => "uuid",
            Self::TimestampUs => "timestamp-us",
            Self::DateDays => "date-days",
            Self::TimeUs => "time-us",
        }
    }

    /// The kind of this name; `None`: the contract has no such kind.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Boolean,
            Self::Integer,
            Self::Float,
            Self::Text,
            Self::Bytes,
            Self::Json,
            Self::Decimal,
            Self::Uuid,
            Self::TimestampUs,
            Self::DateDays,
            Self::TimeUs,
        ];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a column of this kind can be read as `wanted` (docs/modules.md, kinds).
    #[must_use]
    pub fn converts_to(self, wanted: Self) -> bool {
        self == wanted
            || matches!(wanted, Self::Text | Self::Json)
            || matches!(
                (self, wanted),
                (Self::Integer | Self::Decimal, Self::Float)
                    | (Self::Integer, Self::Decimal)
                    | (Self::Text, Self::Bytes)
                    | (Self::TimestampUs | Self::DateDays | Self::TimeUs, Self::Integer)
            )
    }
}
