//! How one column's values are written as JSON: decided once per batch, then called per row.

use std::borrow::Cow;

use wasmgate_model::{Block, Column, Field, Kind, Logical, Style, Values};

use super::clock::{write_date, write_instant, write_stamp, write_time_of_day};
use super::decimal::{
    DecimalError, element_scale, numeric_default, write_free, write_number, write_numbers,
    write_scaled,
};
use super::options::JsonOptions;
use super::placeholder::placeholder;
use crate::json;
use crate::pgvalue::instant::true_us;

/// Why a value cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellError {
    Decimal(DecimalError),
    NotJson,
}

/// A column's values and the way they are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Bool(&'a [bool]),
    Int(&'a [i64]),
    /// Timestamps in microseconds; what 64 bits do not hold becomes the largest that they do.
    Micros(&'a [i64]),
    /// Microseconds, written as milliseconds.
    Millis(&'a [i64]),
    /// Microseconds, written as nanoseconds.
    Nanos(&'a [i64]),
    /// Timestamps, written as nanoseconds: the nearest number where 64 bits do not hold them.
    NanoStamp(&'a [i64]),
    IsoDate(&'a [i64]),
    IsoTime(&'a [i64]),
    IsoStamp(&'a [i64]),
    Instant(&'a [i64], u8),
    Float(&'a [f64]),
    Float32(&'a [f64]),
    Text(&'a Block),
    /// JSON that was made here.
    Json(&'a Block),
    /// JSON that somebody else made.
    ForeignJson(&'a Block),
    Base64(&'a Block),
    Base64Url(&'a Block),
    Hex(&'a Block),
    DecimalText(&'a Block),
    Scaled(&'a Block, i16),
    /// A number of this scale.
    Number(&'a Block, i16),
    /// An array of unscaled numbers in base64, written as numbers of this scale.
    Numbers(&'a Block, i16),
    VariableScale(&'a Block),
}

impl<'a> Cell<'a> {
    pub(crate) fn new(column: &'a Column, kind: Kind, logical: &Logical, style: Style) -> Self {
        match &column.values {
            Values::Booleans(v) => Self::Bool(v),
            Values::Ints(v) => match kind {
                Kind::TimestampUs => Self::timestamp(v, logical, style),
                Kind::TimeUs => Self::time(v, logical, style),
                Kind::DateDays if style == Style::Iso => Self::IsoDate(v),
                _ => Self::Int(v),
            },
            Values::Floats(v) if *logical == Logical::Float32 => Self::Float32(v),
            Values::Floats(v) => Self::Float(v),
            Values::Blobs(b) => match style {
                Style::Base64Url => Self::Base64Url(b),
                Style::Hex => Self::Hex(b),
                _ => Self::Base64(b),
            },
            Values::Texts(b) => match (kind, logical) {
                (Kind::Json, Logical::TextMap) if style == Style::Object => Self::Json(b),
                (Kind::Json, Logical::JsonValue | Logical::Array(_)) => Self::Json(b),
                (Kind::Json, Logical::Plain) => Self::ForeignJson(b),
                (Kind::Decimal, Logical::Decimal { precision: 0, .. }) => Self::VariableScale(b),
                (Kind::Decimal, Logical::Decimal { scale, .. }) => Self::Scaled(b, *scale),
                (Kind::Decimal, _) => Self::DecimalText(b),
                _ => Self::Text(b),
            },
        }
    }

    /// Decimals as numbers.
    fn numeric(self, field: &Field) -> Self {
        let scale = field.connect.as_ref().and_then(|schema| element_scale(schema));
        match (self, scale) {
            (Self::Scaled(block, scale), _) => Self::Number(block, scale),
            (Self::Json(block), Some(scale)) => Self::Numbers(block, scale),
            (other, _) => other,
        }
    }

    fn timestamp(v: &'a [i64], logical: &Logical, style: Style) -> Self {
        match (style, logical) {
            (_, Logical::TimestampTz { digits }) => Self::Instant(v, *digits),
            (Style::Connect, _) => Self::Millis(v),
            (Style::Nanos, _) => Self::NanoStamp(v),
            (Style::Iso, _) => Self::IsoStamp(v),
            (Style::Plain, Logical::Timestamp { digits: 0..=3 }) => Self::Millis(v),
            _ => Self::Micros(v),
        }
    }

    fn time(v: &'a [i64], logical: &Logical, style: Style) -> Self {
        match (style, logical) {
            (Style::Connect, _) => Self::Millis(v),
            (Style::Nanos, _) => Self::Nanos(v),
            (Style::Iso, _) => Self::IsoTime(v),
            (Style::Plain, Logical::Time { digits: 0..=3 }) => Self::Millis(v),
            _ => Self::Int(v),
        }
    }

    /// Appends the value of row `i`, which is not null.
    pub(crate) fn write(&self, i: usize, out: &mut Vec<u8>) -> Result<(), CellError> {
        match self {
            Self::Int(v) => json::write_int(at(v, i), out),
            Self::Text(b) => json::write_utf8(b.get(i), out),
            Self::Bool(v) => {
                let text: &[u8] = if at(v, i) { b"true" } else { b"false" };
                out.extend_from_slice(text);
            }
            Self::Scaled(b, scale) => {
                write_scaled(b.get(i), *scale, out).map_err(CellError::Decimal)?;
            }
            Self::Number(b, scale) => {
                write_number(b.get(i), *scale, out).map_err(CellError::Decimal)?;
            }
            Self::Numbers(b, scale) => write_numbers(b.get(i), *scale, out),
            Self::Instant(v, digits) => {
                out.push(b'"');
                write_instant(at(v, i), *digits, out);
                out.push(b'"');
            }
            Self::Micros(v) => {
                let us = i64::try_from(true_us(at(v, i))).unwrap_or(i64::MAX);
                json::write_int(us, out);
            }
            Self::Millis(v) => json::write_int(true_us(at(v, i)).div_euclid(1000) as i64, out),
            Self::Nanos(v) => json::write_int(at(v, i).saturating_mul(1000), out),
            Self::NanoStamp(v) => json::write_int(nanos(at(v, i)), out),
            Self::IsoDate(v) => quoted(out, |out| write_date(at(v, i), out)),
            Self::IsoTime(v) => quoted(out, |out| write_time_of_day(at(v, i), out)),
            Self::IsoStamp(v) => quoted(out, |out| write_stamp(at(v, i), out)),
            Self::Float(v) => json::write_float(at(v, i), out),
            Self::Float32(v) => json::write_float32(at(v, i) as f32, out),
            Self::Base64(b) => json::write_base64(b.get(i), out),
            Self::Base64Url(b) => json::write_base64_url(b.get(i), out),
            Self::Hex(b) => json::write_hex(b.get(i), out),
            Self::DecimalText(b) => json::write_utf8(debezium_special(b.get(i)), out),
            Self::VariableScale(b) => write_free(b.get(i), out).map_err(CellError::Decimal)?,
            Self::Json(b) => out.extend_from_slice(b.get(i)),
            Self::ForeignJson(b) => {
                let text = b.get(i);
                if !json::is_value(text) {
                    return Err(CellError::NotJson);
                }
                out.extend_from_slice(text);
            }
        }
        Ok(())
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// A stored timestamp in nanoseconds; infinities, and what 64 bits do not hold, are the ends.
fn nanos(stored: i64) -> i64 {
    let ns = true_us(stored) * 1000;
    ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn at<T: Copy + Default>(values: &[T], i: usize) -> T {
    values.get(i).copied().unwrap_or_default()
}

/// Debezium's names of what is no number, in decimal mode `string`.
fn debezium_special(text: &[u8]) -> &[u8] {
    match text {
        b"NaN" => b"NAN",
        b"Infinity" => b"POSITIVE_INFINITY",
        b"-Infinity" => b"NEGATIVE_INFINITY",
        _ => text,
    }
}

/// A column with its marks: [`Cell`] for the values, bits for the rows without one.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    cell: Cell<'a>,
    nulls: Option<Bits>,
    absent: Option<Bits>,
    /// Written for an absent value.
    placeholder: Cow<'static, [u8]>,
    /// Written for null.
    null: Cow<'a, [u8]>,
}

/// What decides how a column's values are written beside its field.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner<'a> {
    pub(crate) options: JsonOptions,
    /// The source's own placeholder of large values that were not sent.
    pub(crate) unavailable: Option<&'a [u8]>,
}

impl<'a> Lane<'a> {
    /// A column of a field.
    pub(crate) fn of(column: &'a Column, field: &'a Field, manner: Manner<'_>) -> Self {
        let mut lane = Self::new(column, field.kind, &field.logical, field.style);
        if manner.options.numeric_decimals {
            lane.cell = lane.cell.numeric(field);
        }
        if let Some(own) = manner.unavailable
            && lane.absent.is_some()
        {
            lane.placeholder = placeholder(&lane.cell, &field.logical, field.style, Some(own));
        }
        let schema = field.connect.as_ref().filter(|_| manner.options.replace_nulls);
        if let Some(schema) = schema
            && let Some(default) = &schema.default
        {
            lane.null = match numeric_default(schema, default) {
                Some(number) if manner.options.numeric_decimals => number.into_bytes().into(),
                _ => Cow::Borrowed(default.as_bytes()),
            };
        }
        lane
    }

    pub(crate) fn new(column: &'a Column, kind: Kind, logical: &Logical, style: Style) -> Self {
        let cell = Cell::new(column, kind, logical, style);
        let bits = |marks: &[u32]| (!marks.is_empty()).then(|| Bits::new(marks));
        let null = Cow::Borrowed(&b"null"[..]);
        let mut lane = Self {
            cell,
            nulls: bits(&column.nulls),
            absent: bits(&column.absent),
            placeholder: Cow::Borrowed(b"null"),
            null,
        };
        if lane.absent.is_some() {
            lane.placeholder = placeholder(&lane.cell, logical, style, None);
        }
        lane
    }

    /// The same, JSON as a text.
    pub(crate) fn json_text(mut self) -> Self {
        if let Cell::ForeignJson(block) = self.cell {
            self.cell = Cell::Text(block);
        }
        self
    }

    /// A column of numbers or text without a meaning of its own.
    pub(crate) fn plain(column: &'a Column) -> Self {
        Self::new(column, Kind::Integer, &Logical::Plain, Style::Plain)
    }

    /// The same column, written in another way.
    pub(crate) fn with(column: &'a Column, cell: Cell<'a>) -> Self {
        Self { cell, ..Self::plain(column) }
    }

    /// Whether the value is the instant 1970-01-01.
    pub(crate) fn is_zero(&self, i: usize) -> bool {
        let null = self.nulls.as_ref().is_some_and(|bits| bits.has(i));
        matches!(self.cell, Cell::Instant(values, _) if values.get(i) == Some(&0) && !null)
    }

    pub(crate) fn is_null(&self, i: usize) -> bool {
        self.nulls.as_ref().is_some_and(|bits| bits.has(i))
    }

    pub(crate) fn is_absent(&self, i: usize) -> bool {
        self.absent.as_ref().is_some_and(|bits| bits.has(i))
    }

    pub(crate) fn write(&self, i: usize, out: &mut Vec<u8>) -> Result<(), CellError> {
        if let Some(nulls) = &self.nulls
            && nulls.has(i)
        {
            let absent = self.is_absent(i);
            out.extend_from_slice(if absent { &self.placeholder } else { &self.null });
            return Ok(());
        }
        self.cell.write(i, out)
    }
}

/// A set of row numbers.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(rows: &[u32]) -> Self {
        let mut words = vec![0; rows.last().map_or(0, |last| *last as usize / 64 + 1)];
        for row in rows {
            if let Some(word) = words.get_mut(*row as usize / 64) {
                *word |= 1 << (row % 64);
            }
        }
        Self(words)
    }

    fn has(&self, i: usize) -> bool {
        self.0.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 == 1)
    }
}
