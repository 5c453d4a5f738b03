//! One version of one table or topic, and how the source block of its envelope is written.

use std::sync::Arc;

use crate::connect::{ConnectNames, ConnectSchema, DocumentSchemas};
use crate::kind::{Kind, Logical, Style};

/// A field of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: Arc<str>,
    pub kind: Kind,
    pub logical: Logical,
    pub nullable: bool,
    pub style: Style,
    /// The field in Connect's terms. `None`: it follows from the others.
    pub connect: Option<Arc<ConnectSchema>>,
}

impl Field {
    /// A field that is written as its type has it.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, kind: Kind, logical: Logical, nullable: bool) -> Self {
        Self { name: name.into(), kind, logical, nullable, style: Style::default(), connect: None }
    }
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
    /// Fields of the key that the rows have otherwise or not at all (masked, excluded). Their
    /// columns follow those of `fields` in [`crate::Rows::current`].
    pub key_only: Vec<Field>,
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
    /// Columns of [`crate::Rows::source`] with the envelope's transaction block.
    pub transaction: Option<TransactionParts>,
    /// (name, text) of the headers that every record carries.
    pub headers: Arc<[(Arc<str>, Arc<str>)]>,
    /// What schemas are called. `None`: by the topic.
    pub connect: Option<Arc<ConnectNames>>,
    /// Schemas of keys and values, where the payload is documents whose source knows them.
    pub documents: Option<Arc<DocumentSchemas>>,
    /// Written for a large value that the source did not send. `None`: as Debezium does.
    pub unavailable: Option<Arc<[u8]>>,
}

/// Columns of [`crate::Rows::source`] that make the envelope's `transaction` object; a row whose
/// `id` is null has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionParts {
    /// Text.
    pub id: usize,
    /// Integer: place among the changes of the transaction, from 1.
    pub total_order: usize,
    /// Integer: place among the changes of the table in the transaction, from 1.
    pub data_collection_order: usize,
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
            key_only: Vec::new(),
            open: true,
            envelope,
            source: Vec::new(),
            defaults: Arc::from([]),
            source_names: Vec::new(),
            transaction: None,
            headers: Arc::from([]),
            connect: None,
            documents: None,
            unavailable: None,
        }
    }

    /// The column number and definition of a key field.
    #[must_use]
    pub fn key_field(&self, name: &str) -> Option<(usize, &Field)> {
        let own = self.key_only.iter().enumerate().find(|(_, f)| &*f.name == name);
        own.map(|(n, field)| (self.fields.len() + n, field)).or_else(|| self.field(name))
    }

    /// The number and definition of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, f)| &*f.name == name)
    }
}
