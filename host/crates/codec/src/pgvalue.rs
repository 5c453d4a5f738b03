//! Postgres values to columns: which kind a type is stored as ([`column_type`]), one value of it
//! ([`push_text`], [`push_binary`]), and what a chain reads of rows ([`project_rows`]).
//!
//! Text is the server's output under `datestyle=ISO`, `timezone=UTC`,
//! `intervalstyle=postgres`, `bytea_output=hex` and `lc_monetary=C`. Specials are stored as
//! Debezium writes them (infinite dates and timestamps are the numbers in [`instant`]).

mod array;
mod binary;
mod figure;
pub mod instant;
mod modes;
mod number;
mod project;
mod push;
mod span;
mod types;

use std::fmt;
use std::sync::Arc;

use wasmgate_model::{ConnectSchema, Kind, Logical, Style};

pub use binary::{BinaryForm, binary_form, push_binary};
pub use modes::{BinaryMode, DecimalMode, TimePrecision, ValueModes};
pub use project::project_rows;
pub use push::{push_text, push_zero};
pub use types::{column_type, is_built_in};

/// What `pg_type` says about a type that is not built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// `typname`: types of well-known extensions (`citext`, `hstore`, ...) are known by it, their
    /// arrays by the same name after an underscore.
    pub name: String,
    pub kind: PgTypeKind,
    /// Name of the function that writes the binary form (`typsend`), of a domain its base type's.
    /// Extensions may share the names of types; `None`: there is no such form, or none to be read.
    pub sent: Option<String>,
}

/// The sort of a type that is not built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PgTypeKind {
    Base,
    /// Labels in the server's order (`enumsortorder`).
    Enum(Arc<[String]>),
    /// The innermost base type, which is built in, and the modifier that the domain gives it. A
    /// domain over an enum or an extension's type is passed as that type instead.
    Domain {
        base: u32,
        typmod: i32,
    },
    /// An array; `inner` says what the element is where it is not built in.
    Array {
        element: u32,
        inner: Option<Box<TypeInfo>>,
    },
    Other,
}

/// How a column of some type is stored and parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnType {
    pub kind: Kind,
    pub logical: Logical,
    pub style: Style,
    /// `None`: it follows from the others.
    connect: Option<Arc<ConnectSchema>>,
    form: Form,
}

/// How the text of a type is read.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    Bool,
    Int,
    Float,
    Float32,
    Text,
    Bytea,
    Numeric,
    /// `numeric` in decimal mode `string`: NaN and infinities are values.
    NumericText,
    Money {
        digits: u8,
    },
    Date,
    Time,
    TimeTz,
    Timestamp,
    Interval,
    /// `interval` as ISO 8601 text.
    IntervalText,
    /// `bit(1)`
    Bit,
    Bits,
    Hstore,
    Point,
    /// `int2vector`, `oidvector`
    Vector,
    Array(Box<ColumnType>),
    /// pgvector: `vector`.
    DoubleVector,
    /// pgvector: `halfvec`.
    FloatVector,
    /// pgvector: `sparsevec`.
    SparseVector,
    /// PostGIS
    Geometry,
    /// Geometric types but points, as bytes of text with every number as a double.
    Figure,
    /// Any type, as bytes of its text.
    Raw,
}

impl Form {
    /// What stands between the elements of an array (`typdelim`).
    fn between(&self) -> u8 {
        if matches!(self, Self::Geometry) { b':' } else { b',' }
    }

    fn is_spatial(&self) -> bool {
        matches!(self, Self::Geometry | Self::SparseVector)
            || matches!(self, Self::DoubleVector | Self::FloatVector)
    }
}

/// What the server sent is not a value of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    /// What it should have been.
    pub expected: &'static str,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's value is not {}", self.expected)
    }
}

impl std::error::Error for ValueError {}

/// Shorthand for parsers.
const fn not(expected: &'static str) -> ValueError {
    ValueError { expected }
}
