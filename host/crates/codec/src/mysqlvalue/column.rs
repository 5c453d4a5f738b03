//! Types of columns, as `information_schema` or full metadata tell them, to what records hold.

use std::sync::Arc;

use wasmgate_model::{Kind, Logical, Style};

use super::Charset;

/// How `decimal` columns are written: Debezium's `decimal.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecimalMode {
    /// Connect's Decimal: bytes of the unscaled number.
    #[default]
    Precise,
    /// The server's text.
    String,
    /// A double; digits may be lost.
    Double,
}

/// How `bigint unsigned` is written: Debezium's `bigint.unsigned.handling.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BigintMode {
    /// 64 bits with a sign: 2^63 and above wrap.
    #[default]
    Long,
    /// Connect's Decimal with scale 0.
    Precise,
}

/// How dates and times are written: Debezium's `time.precision.mode`, without `adaptive`, which
/// its MySQL connector refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeMode {
    /// By the digits of the column; `time` always in microseconds.
    #[default]
    AdaptiveTimeMicroseconds,
    /// Connect's own types: milliseconds.
    Connect,
    /// ISO 8601 text.
    IsoString,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// What the options say about values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    pub decimal: DecimalMode,
    pub bigint: BigintMode,
    pub time: TimeMode,
    /// Years below 100 are those from 1970 to 2069.
    pub adjust_years: bool,
    /// How bytes are written.
    pub binary: Style,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            decimal: DecimalMode::default(),
            bigint: BigintMode::default(),
            time: TimeMode::default(),
            adjust_years: true,
            binary: Style::Plain,
        }
    }
}

/// A column's type as the server describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Described<'a> {
    /// Lower case, without arguments: `varchar`, `int`, `point`.
    pub data_type: &'a str,
    pub unsigned: bool,
    /// Of texts and labels.
    pub charset: Option<&'a Charset>,
    /// Of enums and sets.
    pub labels: &'a Arc<[String]>,
    /// Characters, bytes or bits; of a decimal all digits.
    pub length: u32,
    /// Digits after the point; of a float that is declared with them, as of a decimal.
    pub scale: Option<u8>,
    /// Digits of the fraction of a second.
    pub digits: u8,
    pub nullable: bool,
}

/// How a column's values are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnType {
    pub kind: Kind,
    pub logical: Logical,
    pub style: Style,
    pub(super) form: Form,
    pub(super) nullable: bool,
    pub(super) adjust_years: bool,
    /// Stands for a zero date in a column that may not be null.
    pub zero: i64,
}

/// How values of a type are converted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    Int,
    /// `bigint unsigned` as a decimal.
    BigDecimal,
    Float32,
    Float,
    Decimal,
    Date,
    /// Only from 0 to 24 hours, where the mode has no more.
    Time {
        bounded: bool,
    },
    DateTime,
    Timestamp,
    Text(Charset),
    Bytes,
    /// Bytes that are filled up with zeros.
    Padded(usize),
    Enum(Arc<[String]>),
    Set(Arc<[String]>),
    Bool,
    Bits,
    Json,
    Geometry {
        point: bool,
    },
    Vector,
    Uuid,
    Inet4,
    Inet6,
}

/// How a column is stored. `None`: no type that is known.
#[must_use]
pub fn column_type(column: &Described<'_>, modes: &Modes) -> Option<ColumnType> {
    let mut style = Style::Plain;
    let plain = |kind, form| (kind, Logical::Plain, form);
    let int = |bits| (Kind::Integer, Logical::Bits(bits), Form::Int);
    let text = || {
        let charset = column.charset.cloned().unwrap_or(Charset::Utf8);
        (Kind::Text, Logical::Plain, Form::Text(charset))
    };
    let mut bytes = |form| {
        style = modes.binary;
        plain(Kind::Bytes, form)
    };
    let binary = matches!(column.charset, Some(Charset::Binary));
    let labels = || Arc::clone(column.labels);
    let (kind, logical, form) = match column.data_type {
        "tinyint" | "bool" | "boolean" => int(16),
        "smallint" if column.unsigned => int(32),
        "smallint" => int(16),
        "mediumint" | "year" => int(32),
        "int" | "integer" if column.unsigned => plain(Kind::Integer, Form::Int),
        "int" | "integer" => int(32),
        "bigint" if column.unsigned && modes.bigint == BigintMode::Precise => {
            (Kind::Decimal, Logical::Decimal { precision: 20, scale: 0 }, Form::BigDecimal)
        }
        "bigint" => plain(Kind::Integer, Form::Int),
        "float" if column.scale.is_none() => (Kind::Float, Logical::Float32, Form::Float32),
        "float" | "double" | "real" => plain(Kind::Float, Form::Float),
        "decimal" | "numeric" | "dec" | "fixed" => decimal(column, modes.decimal),
        "char" if binary => bytes(Form::Padded(column.length as usize)),
        "binary" => bytes(Form::Padded(column.length as usize)),
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => bytes(Form::Bytes),
        "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" if binary => bytes(Form::Bytes),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => text(),
        "enum" => (Kind::Text, Logical::Enum(labels()), Form::Enum(labels())),
        "set" => plain(Kind::Text, Form::Set(labels())),
        "bit" if column.length <= 1 => plain(Kind::Boolean, Form::Bool),
        "bit" => (Kind::Bytes, Logical::BitString(column.length), Form::Bits),
        "json" => (Kind::Json, Logical::JsonText, Form::Json),
        "vector" => (Kind::Json, Logical::Array(Kind::Float), Form::Vector),
        "uuid" => plain(Kind::Text, Form::Uuid),
        "inet4" => plain(Kind::Text, Form::Inet4),
        "inet6" => plain(Kind::Text, Form::Inet6),
        "point" => (Kind::Json, Logical::JsonValue, Form::Geometry { point: true }),
        "geometry" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geomcollection" | "geometrycollection" => {
            (Kind::Json, Logical::JsonValue, Form::Geometry { point: false })
        }
        _ => {
            let (parts, how) = temporal(column, modes.time)?;
            style = how;
            parts
        }
    };
    let (nullable, adjust_years) = (column.nullable, modes.adjust_years);
    Some(ColumnType { kind, logical, style, form, nullable, adjust_years, zero: 0 })
}

fn decimal(column: &Described<'_>, mode: DecimalMode) -> (Kind, Logical, Form) {
    match mode {
        DecimalMode::String => (Kind::Decimal, Logical::Plain, Form::Decimal),
        DecimalMode::Double => (Kind::Float, Logical::Plain, Form::Decimal),
        DecimalMode::Precise => {
            let precision = u16::try_from(column.length).unwrap_or(u16::MAX);
            let scale = i16::from(column.scale.unwrap_or(0));
            (Kind::Decimal, Logical::Decimal { precision, scale }, Form::Decimal)
        }
    }
}

type Parts = (Kind, Logical, Form);

fn temporal(column: &Described<'_>, mode: TimeMode) -> Option<(Parts, Style)> {
    let digits = column.digits;
    let style = match mode {
        TimeMode::AdaptiveTimeMicroseconds => Style::Plain,
        TimeMode::Connect => Style::Connect,
        TimeMode::IsoString => Style::Iso,
        TimeMode::Microseconds => Style::Micros,
        TimeMode::Nanoseconds => Style::Nanos,
    };
    Some(match column.data_type {
        "date" => ((Kind::DateDays, Logical::Plain, Form::Date), style),
        "time" => {
            let bounded = matches!(mode, TimeMode::Connect | TimeMode::IsoString);
            let style = if style == Style::Plain { Style::Micros } else { style };
            ((Kind::TimeUs, Logical::Time { digits }, Form::Time { bounded }), style)
        }
        "datetime" => ((Kind::TimestampUs, Logical::Timestamp { digits }, Form::DateTime), style),
        "timestamp" => {
            let parts = (Kind::TimestampUs, Logical::TimestampTz { digits }, Form::Timestamp);
            (parts, Style::Plain)
        }
        _ => return None,
    })
}

impl ColumnType {
    /// How bytes of a snapshot's column are to be understood.
    #[must_use]
    pub fn snapshot<'a>(&self, bytes: &'a [u8]) -> super::Datum<'a> {
        match self.form {
            Form::Bytes | Form::Padded(_) | Form::Geometry { .. } | Form::Vector => {
                super::Datum::Raw(bytes)
            }
            Form::Bool | Form::Bits => super::Datum::Bits(bytes),
            _ => super::Datum::Text(bytes),
        }
    }
}
