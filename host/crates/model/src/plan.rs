//! What a chain wants of the records of one schema, made before decoding: the fields that are
//! read, and those whose place must be known because they are written, removed or renamed.

use std::sync::Arc;

use crate::kind::Kind;

/// A field as the contract names it (WIT `types.read`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldPath {
    /// A field of the current row image.
    Current(Arc<str>),
    /// `before.NAME`: a field of the old image.
    Before(Arc<str>),
    /// `$key`: the whole key as text.
    Key,
    /// `$key.NAME`.
    KeyField(Arc<str>),
    Topic,
    Partition,
    Offset,
    TimestampUs,
    Header(Arc<str>),
    /// `$source.NAME`.
    Source(Arc<str>),
    /// `$transaction.NAME`.
    Transaction(Arc<str>),
    /// `$envelope.NAME`: a member of the envelope itself (`op`, `ts_ms`).
    Envelope(Arc<str>),
}

impl FieldPath {
    /// Reads the contract's name. `None`: a reserved name (`$...`) that does not exist.
    #[must_use]
    pub fn parse(name: &str, envelope: bool) -> Option<Self> {
        if let Some(old) = name.strip_prefix("before.").filter(|_| envelope) {
            return Some(Self::Before(old.into()));
        }
        let Some(reserved) = name.strip_prefix('$') else {
            return Some(Self::Current(name.into()));
        };
        Some(match reserved {
            "key" => Self::Key,
            "topic" => Self::Topic,
            "partition" => Self::Partition,
            "offset" => Self::Offset,
            "timestamp-us" => Self::TimestampUs,
            _ => {
                let (group, rest) = reserved.split_once('.')?;
                match group {
                    "key" => Self::KeyField(rest.into()),
                    "header" => Self::Header(rest.into()),
                    "source" => Self::Source(rest.into()),
                    "transaction" => Self::Transaction(rest.into()),
                    "envelope" => Self::Envelope(rest.into()),
                    _ => return None,
                }
            }
        })
    }
}

/// One field that some stage reads, in one representation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlanRead {
    pub path: FieldPath,
    pub kind: Kind,
    /// False: a document without the field is dead-lettered (rows are checked at bind).
    pub optional: bool,
    /// The stage that asked first; named in the dead letter when a value does not fit.
    pub stage: Arc<str>,
}

/// What the decoder of one schema has to find.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Version of the chain this plan was made for.
    pub chain: u64,
    /// [`crate::Batch::reads`] has one column for each, in this order.
    pub reads: Vec<PlanRead>,
    /// Names of row fields that are written, removed or renamed (documents: their places are
    /// recorded). Dotted names lie in nested objects.
    pub edits: Vec<Arc<str>>,
    /// The chain replaces the envelope by its row image, so the image must be found.
    pub image: bool,
}

impl Plan {
    /// Whether documents can pass without being looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.edits.is_empty() && !self.image
    }
}
