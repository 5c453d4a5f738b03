//! Schemas in Kafka Connect's terms, for sinks that write a schema beside the values (JSON with
//! schemas, a registry). A source that knows more than a field's kind and logical type says it
//! here; for the rest a sink derives them.

use std::sync::Arc;

/// A schema in Connect's terms.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectSchema {
    pub shape: ConnectShape,
    pub optional: bool,
    /// Semantic name, as `io.debezium.time.Date`.
    pub name: Option<Arc<str>>,
    pub version: Option<u32>,
    pub doc: Option<Arc<str>>,
    /// In the order that they are written.
    pub parameters: Vec<(Arc<str>, Arc<str>)>,
    /// The default as JSON text, in the form that the field's values have.
    pub default: Option<Arc<str>>,
}

/// What the values of a [`ConnectSchema`] are.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectShape {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float,
    Double,
    String,
    Bytes,
    Array(Box<ConnectSchema>),
    /// Keys, values.
    Map(Box<(ConnectSchema, ConnectSchema)>),
    /// Fields by name, in order.
    Struct(Vec<(Arc<str>, ConnectSchema)>),
}

impl ConnectSchema {
    /// An optional value without a name.
    #[must_use]
    pub fn new(shape: ConnectShape) -> Self {
        Self {
            shape,
            optional: true,
            name: None,
            version: None,
            doc: None,
            parameters: Vec::new(),
            default: None,
        }
    }

    /// An optional value with a semantic name, version 1.
    #[must_use]
    pub fn named(shape: ConnectShape, name: &str) -> Self {
        Self { name: Some(name.into()), version: Some(1), ..Self::new(shape) }
    }

    /// The same with a parameter more.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl Into<Arc<str>>) -> Self {
        self.parameters.push((parameter.into(), value.into()));
        self
    }

    /// The same for values that are never null.
    #[must_use]
    pub fn required(self) -> Self {
        Self { optional: false, ..self }
    }
}

/// Schemas of records that are documents.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentSchemas {
    pub key: ConnectSchema,
    pub value: ConnectSchema,
}

/// What schemas of a table's records are called, and how their source block looks.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectNames {
    /// Before `.Envelope`, `.Value` and `.Key`.
    pub base: Arc<str>,
    /// Schema of the `source` object.
    pub source: ConnectSchema,
}
