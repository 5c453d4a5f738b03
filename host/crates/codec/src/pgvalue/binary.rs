//! The server's binary form of values (`typsend`): which types it is known of ([`BinaryForm`]),
//! such a value into a column ([`push_binary`]), and the same value as the server's text.
//!
//! What is common goes straight into columns; everything else becomes the server's text first and
//! is read as that, so that a record is the same either way. Source of the layouts:
//! `src/backend/utils/adt` of PostgreSQL 14 to 18 and the extensions' own sources.

mod floats;
mod forms;
mod nested;
mod network;
mod numbers;
mod temporal;

use wasmgate_model::{Column, Kind};

pub use forms::binary_form;

use self::numbers::numeric;
use super::instant::{days_of, timestamp_of};
use super::push::{build, is_utf8};
use super::{ColumnType, Form, ValueError, not, push_text};
use crate::json::hex_digits;
use crate::pgoutput::wire::Wire;

/// How a type's values are laid out in binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryForm(Sent);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Bool,
    Int2,
    Int4,
    Int8,
    /// `oid`, `xid`
    Unsigned4,
    /// `xid8`
    Unsigned8,
    /// `pg_lsn`
    Place,
    Float4,
    Float8,
    /// As in text.
    Text,
    /// As in text, behind the number of the form's version: 1.
    Versioned,
    /// `"char"`: one byte.
    Char,
    Bytea,
    Uuid,
    Numeric,
    Money,
    Date,
    Time,
    TimeTz,
    /// True: with time zone.
    Timestamp(bool),
    Interval,
    Bits,
    /// `inet` and `cidr` say themselves which they are.
    Network,
    /// `macaddr`, `macaddr8`
    Hardware,
    Tsvector,
    Hstore,
    /// Elements, and what stands between them in text.
    Array(Box<Sent>, u8),
    /// `int2vector`, `oidvector`: an array whose text is numbers with blanks between them.
    Vector(Box<Sent>),
    Range(Box<Sent>),
    Figure(Figure),
    /// pgvector: `vector`; `true`: `halfvec`
    Floats(bool),
    /// pgvector: `sparsevec`
    Sparse,
    /// PostGIS: bytes that text has as hex digits.
    Geometry,
}

/// Geometric types: double after double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Point,
    Line,
    Segment,
    Box,
    Path,
    Polygon,
    Circle,
}

impl BinaryForm {
    /// Appends a value as the server's text has it.
    ///
    /// # Errors
    /// The bytes are no value of this form. What was appended stays.
    pub fn text(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.0.text(bytes, out)
    }
}

/// Appends a value in the server's binary form, as [`push_text`] appends its text.
///
/// # Errors
/// The bytes are not a value of the type; nothing was appended.
#[inline]
pub fn push_binary(
    column: &mut Column,
    ty: &ColumnType,
    form: &BinaryForm,
    bytes: &[u8],
) -> Result<(), ValueError> {
    match (&ty.form, &form.0) {
        (Form::Int, Sent::Int4 | Sent::Int8 | Sent::Int2) => column.push_int(int(bytes)?),
        (Form::Int, Sent::Unsigned4) => column.push_int(u32::from_be_bytes(fixed(bytes)?).into()),
        (Form::Text, Sent::Text) if is_utf8(bytes) => column.push_bytes(bytes),
        (Form::Text, Sent::Text) => return Err(not("UTF-8")),
        (Form::Bool, Sent::Bool) => column.push_bool(fixed(bytes)? != [0]),
        (Form::Timestamp, Sent::Timestamp(_)) => {
            column.push_int(timestamp_of(i64::from_be_bytes(fixed(bytes)?))?);
        }
        (Form::Date, Sent::Date) => column.push_int(days_of(i32::from_be_bytes(fixed(bytes)?))),
        (Form::Time, Sent::Time) => column.push_int(i64::from_be_bytes(fixed(bytes)?)),
        (Form::Numeric | Form::NumericText, Sent::Numeric) if numbers::is_finite(bytes) => {
            return build(column, |out| numeric(bytes, out));
        }
        (Form::Float, Sent::Float8) => column.push_float(f64::from_be_bytes(fixed(bytes)?)),
        (Form::Float32, Sent::Float4) => {
            column.push_float(f32::from_be_bytes(fixed(bytes)?).into());
        }
        (Form::Text, Sent::Uuid) if ty.kind == Kind::Uuid => {
            return build(column, |out| uuid(bytes, out));
        }
        (Form::Bytea, Sent::Bytea) => column.push_bytes(bytes),
        _ => {
            let mut text = Vec::new();
            form.text(bytes, &mut text)?;
            return push_text(column, ty, &text);
        }
    }
    Ok(())
}

impl Sent {
    fn text(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        let mut figures = itoa::Buffer::new();
        match self {
            Self::Text => out.extend_from_slice(bytes),
            Self::Versioned => match bytes {
                [1, text @ ..] => out.extend_from_slice(text),
                _ => return Err(not("of version 1 of its binary form")),
            },
            Self::Bool => out.push(if fixed(bytes)? == [0] { b'f' } else { b't' }),
            Self::Int2 | Self::Int4 | Self::Int8 => {
                out.extend_from_slice(figures.format(int(bytes)?).as_bytes());
            }
            Self::Unsigned4 => {
                let value = u32::from_be_bytes(fixed(bytes)?);
                out.extend_from_slice(figures.format(value).as_bytes());
            }
            Self::Unsigned8 => {
                let value = u64::from_be_bytes(fixed(bytes)?);
                out.extend_from_slice(figures.format(value).as_bytes());
            }
            Self::Place => {
                let value = u64::from_be_bytes(fixed(bytes)?);
                let text = format!("{:X}/{:X}", value >> 32, value & 0xffff_ffff);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Char => char(bytes, out)?,
            Self::Bytea => {
                out.extend_from_slice(b"\\x");
                out.extend(hex_digits(bytes));
            }
            Self::Geometry => out.extend(hex_digits(bytes).map(|digit| digit.to_ascii_uppercase())),
            Self::Uuid => uuid(bytes, out)?,
            Self::Bits => bits(bytes, out)?,
            Self::Float4 | Self::Float8 | Self::Numeric | Self::Money => {
                return numbers::text(self, bytes, out);
            }
            Self::Figure(figure) => return numbers::figure(*figure, bytes, out),
            Self::Floats(half) => return numbers::floats(bytes, *half, out),
            Self::Sparse => return numbers::sparse(bytes, out),
            Self::Date | Self::Time | Self::TimeTz | Self::Timestamp(_) | Self::Interval => {
                return temporal::text(self, bytes, out);
            }
            Self::Network => return network::network(bytes, out),
            Self::Hardware => network::hardware(bytes, out)?,
            Self::Tsvector => return nested::tsvector(bytes, out),
            Self::Hstore => return nested::hstore(bytes, out),
            Self::Array(element, between) => return nested::array(element, *between, bytes, out),
            Self::Vector(element) => return nested::vector(element, bytes, out),
            Self::Range(bound) => return nested::range(bound, bytes, out),
        }
        Ok(())
    }
}

impl From<&'static str> for ValueError {
    fn from(expected: &'static str) -> Self {
        not(expected)
    }
}

/// A value of a fixed number of bytes.
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| not("as many bytes as its type has"))
}

/// An integer of any size: the catalog may be ahead of the rows that are copied.
fn int(bytes: &[u8]) -> Result<i64, ValueError> {
    Ok(match *bytes {
        [a, b] => i16::from_be_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_be_bytes([a, b, c, d]).into(),
        _ => i64::from_be_bytes(fixed(bytes)?),
    })
}

/// Fails where a value goes on behind its parts.
fn ended(wire: &Wire<'_>) -> Result<(), ValueError> {
    wire.end().map_err(|_| not("over where its parts are"))
}

/// Its text is the byte itself, nothing for 0, and three octal digits from 128 on (16).
fn char(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match fixed::<1>(bytes)? {
        [0] => {}
        [byte @ ..128] => out.push(byte),
        [byte] => out.extend_from_slice(format!("\\{byte:o}").as_bytes()),
    }
    Ok(())
}

fn uuid(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let value = uuid::Uuid::from_bytes(fixed(bytes)?);
    let mut text = uuid::Uuid::encode_buffer();
    out.extend_from_slice(value.hyphenated().encode_lower(&mut text).as_bytes());
    Ok(())
}

/// Their number, and bits from the highest of each byte on.
fn bits(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    let count = wire.u32()? as usize;
    let packed = wire.rest();
    if packed.len() != count.div_ceil(8) {
        return Err(not("as many bits as announced"));
    }
    let all = packed.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    out.extend(all.take(count).map(|bit| b'0' + bit));
    Ok(())
}
