//! What a case file says, and what a run of it found.

use serde_json::{Map, Value};

/// One case file.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseFile {
    /// The file's name without folder and ending.
    pub name: String,
    /// What the case is about, in a sentence; may be empty.
    pub about: String,
    /// The configuration of the stage; an empty object where the file has none.
    pub config: Value,
    pub schema: SchemaCase,
    /// The configuration or the schema has to be refused with a message that contains this.
    pub refuses: Option<String>,
    pub rows: Vec<RowCase>,
}

/// The schema that the stage is bound to.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaCase {
    /// The topic: `test` where the file names none.
    pub name: String,
    /// Empty: the schema is open, any field may be asked for.
    pub fields: Vec<FieldCase>,
    pub key: Vec<String>,
    /// Values of fields that the source declares, by name.
    pub defaults: Vec<(String, Value)>,
    /// The values are change envelopes.
    pub envelope: bool,
}

impl SchemaCase {
    /// Whether nothing is known of the fields.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.fields.is_empty()
    }

    /// A field by its name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldCase> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Default for SchemaCase {
    fn default() -> Self {
        Self {
            name: "test".to_owned(),
            fields: Vec::new(),
            key: Vec::new(),
            defaults: Vec::new(),
            envelope: false,
        }
    }
}

/// A field of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldCase {
    pub name: String,
    /// One of the contract's kinds, by name.
    pub kind: &'static str,
    pub nullable: bool,
}

/// A record and what has to become of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RowCase {
    /// Line of the file, from 1.
    pub line: u32,
    pub input: Input,
    pub expected: Expected,
}

/// A record as it comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub topic: String,
    pub partition: i32,
    pub offset: u64,
    pub timestamp_us: i64,
    /// Null: no key.
    pub key: Value,
    /// Null: a tombstone.
    pub value: Value,
    pub headers: Vec<(String, Value)>,
}

impl Input {
    /// Where the current row lies in the value: `None` is the value itself, else a member of the
    /// change envelope.
    #[must_use]
    pub fn image(&self, envelope: bool) -> Option<&'static str> {
        let delete = self.value.get("op").and_then(Value::as_str) == Some("d");
        envelope.then_some(if delete { "before" } else { "after" })
    }
}

/// What has to become of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    Keep(Box<Wanted>),
    Drop,
    DeadLetter(Dead),
}

/// A dead letter to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    pub code: String,
    /// A part of its message; any message will do where there is none.
    pub message: Option<String>,
}

/// How a record leaves. What is not said leaves as it came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted {
    pub value: WantedValue,
    pub topic: Option<String>,
    pub partition: Option<i32>,
    /// Null: without a key.
    pub key: Option<Value>,
    /// Headers added behind the record's own.
    pub headers: Vec<(String, Value)>,
}

/// The value of a record that leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum WantedValue {
    /// As it came, but for these fields of the current row.
    Changed { write: Map<String, Value>, remove: Vec<String> },
    /// This. Null is a tombstone.
    Whole(Value),
}

impl Default for WantedValue {
    fn default() -> Self {
        Self::Changed { write: Map::new(), remove: Vec::new() }
    }
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Kept(Box<Kept>),
    Dropped,
    DeadLettered { code: String, message: String },
}

/// A record that left.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub topic: String,
    /// The partition that it asks for; `None` where nobody asked.
    pub partition: Option<i32>,
    pub key: Value,
    pub value: Value,
    pub headers: Vec<(String, Value)>,
}
