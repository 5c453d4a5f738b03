//! One version of one table or topic, and how the source block of its envelope is written.

use std::sync::Arc;

use crate::kind::{Kind, Logical};

/// A field of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub kind: Kind,
    pub logical: Logical,
    pub nullable: bool,
}

/// A piece of the envelope's `source` object. The numbers are columns of [`crate::Rows::source`].
#[derive(Debug, Clone, PartialEq)]
pub enum SourcePart {
    /// JSON text that is the same for every row.
    Literal(Arc<str>),
    /// An integer, or `null`.
    Int(usize),
    /// Text as a JSON string, or `null`.
    Text(usize),
    /// Microseconds in column, written as milliseconds.
    Millis(usize),
    /// Microseconds in column, written as nanoseconds.
    Nanos(usize),
}

/// One version of one table or topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Unique in the process; a new version of a table is a new id.
    pub id: u64,
    /// Where the records come from and, unless a stage says otherwise, go to.
    pub topic: Arc<str>,
    /// In the order of the source's columns. Empty where `open` is true.
    pub fields: Vec<Field>,
    /// Names of the key fields, in key order. Empty: records have no key of their own.
    pub key: Vec<Arc<str>>,
    /// The payload carries no schema: any field may be asked for.
    pub open: bool,
    /// The records are change envelopes.
    pub envelope: bool,
    /// How the `source` object of the envelope is written; empty for documents.
    pub source: Vec<SourcePart>,
    /// (field, its default as JSON text), where the source says defaults.
    pub defaults: Arc<[(Arc<str>, Arc<str>)]>,
    /// Names for `$source.NAME` reads on rows, with the part that holds the value.
    pub source_names: Vec<(Arc<str>, SourcePart)>,
}

impl Schema {
    /// A schema of documents: nothing is known but the topic.
    #[must_use]
    pub fn open(id: u64, topic: Arc<str>, envelope: bool) -> Self {
        Self {
            id,
            topic,
            fields: Vec::new(),
            key: Vec::new(),
            open: true,
            envelope,
            source: Vec::new(),
            defaults: Arc::from([]),
            source_names: Vec::new(),
        }
    }

    /// The number and definition of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, f)| &*f.name == name)
    }
}
