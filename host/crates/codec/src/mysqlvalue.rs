//! MySQL and MariaDB values to columns: how a column of a table is read from rows events
//! ([`Wire`]), how it is stored ([`ColumnType`]), and the parts of the events that carry them
//! ([`TableMap`], [`RowsEvent`]). Snapshot values come through the same [`push`] as [`Datum`]s.
//!
//! Source of the layouts: MySQL's `libs/mysql/binlog/event` and `sql/json_binary.h`; source of the
//! shapes: Debezium's MySQL connector, as recorded, and where it is wrong the server itself.
//! Nothing is copied on the way to a column; nothing panics on any bytes.

mod charset;
mod column;
mod cursor;
mod decimal;
mod image;
mod json;
mod push;
mod read;
mod rows;
mod spatial;
mod table_map;
mod temporal;
mod wires;

use std::fmt;

pub use charset::Charset;
pub use column::{BigintMode, ColumnType, DecimalMode, Described, Modes, TimeMode, column_type};
pub use image::{Failed, Image};
pub use json::{apply_diffs, write_json};
pub use push::push;
pub use read::{Wire, wire};
pub use rows::{RowsEvent, RowsKind};
pub use table_map::{MappedColumn, TableMap, mysql_type};
pub use temporal::CivilDate;
pub use wires::Wires;

/// A value on its way into a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Datum<'a> {
    Int(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    /// The binary form of a decimal with so many digits, and so many of them after the point.
    Packed(&'a [u8], u8, u8),
    Date(CivilDate),
    /// A date and microseconds since its midnight.
    DateTime(CivilDate, i64),
    /// Microseconds since 1970; 0 is the zero date, which is no instant.
    Instant(i64),
    /// A span of time in microseconds.
    Time(i64),
    /// Bytes in the character set of the column, or without one.
    Raw(&'a [u8]),
    /// UTF-8 text of the server: what a snapshot reads.
    Text(&'a [u8]),
    /// Number of an enum's label from 1, or a bit per member of a set.
    Labels(u64),
    /// A bit string, highest byte first.
    Bits(&'a [u8]),
    /// The binary form of JSON.
    Json(&'a [u8]),
}

/// Bytes that are no value of their column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueError {
    /// What they should have been.
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

/// An event that ends too early or says what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Where in the event.
    pub at: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event is cut short or wrong at {}", self.at)
    }
}

impl std::error::Error for Malformed {}
