//! One text value into a column.

use wasmgate_model::{Column, Kind, Style, Values};

use super::instant::{parse_date, parse_time, parse_time_tz, parse_timestamp};
use super::number::{bits, hex, is_decimal, money, parse_float, parse_int};
use super::span::{ZERO_INTERVAL, iso_interval, parse_interval};
use super::{ColumnType, Form, ValueError, array, figure, not};
use crate::encode::write_time;
use crate::json;

/// Appends a value in the server's text form. NaN and infinite `numeric`s have no precise form:
/// they become null.
///
/// # Errors
/// The text is not a value of the type; nothing was appended.
pub fn push_text(column: &mut Column, ty: &ColumnType, text: &[u8]) -> Result<(), ValueError> {
    match &ty.form {
        Form::Int => column.push_int(parse_int(text)?),
        Form::Text if is_utf8(text) => column.push_bytes(text),
        Form::Text => return Err(not("UTF-8")),
        Form::Bool | Form::Bit => column.push_bool(parse_bool(text)?),
        Form::Timestamp => column.push_int(parse_timestamp(text)?),
        Form::Numeric | Form::NumericText => return push_numeric(column, ty, text),
        Form::Float => column.push_float(parse_float(text)?),
        Form::Float32 => column.push_float(f64::from(parse_float::<f32>(text)?)),
        Form::Date => column.push_int(parse_date(text)?),
        Form::Time => column.push_int(parse_time(text)?),
        Form::Interval => column.push_int(parse_interval(text)?),
        Form::TimeTz => {
            let us = parse_time_tz(text)?;
            return build(column, |out| {
                write_time(us, out);
                out.push(b'Z');
                Ok(())
            });
        }
        Form::Bytea => return build(column, |out| hex(text, out)),
        Form::Bits => return build(column, |out| bits(text, out)),
        Form::Money { digits } if ty.kind == Kind::Float => {
            let mut plain = Vec::new();
            money(text, *digits, &mut plain)?;
            column.push_float(parse_float(&plain)?);
        }
        Form::Money { digits } => return build(column, |out| money(text, *digits, out)),
        Form::Hstore => return build(column, |out| array::hstore(text, out)),
        Form::Point => return build(column, |out| figure::point(text, out)),
        Form::Vector => return build(column, |out| vector(text, out)),
        Form::IntervalText => return build(column, |out| iso_interval(text, out)),
        Form::DoubleVector => return build(column, |out| figure::vector(text, false, out)),
        Form::FloatVector => return build(column, |out| figure::vector(text, true, out)),
        Form::SparseVector => return build(column, |out| figure::sparse_vector(text, out)),
        Form::Geometry => return build(column, |out| figure::geometry(text, out)),
        Form::Figure => return build(column, |out| figure::figure(text, out)),
        Form::Raw => column.push_bytes(text),
        Form::Array(element) => return build(column, |out| array::array(text, element, out)),
    }
    Ok(())
}

/// Appends what Debezium puts into a NOT NULL column without default when the server did not send
/// it: a delete under replica identity DEFAULT carries the key alone.
pub fn push_zero(column: &mut Column, ty: &ColumnType) {
    match &ty.form {
        Form::Numeric | Form::NumericText | Form::Money { .. } if ty.kind == Kind::Decimal => {
            column.push_bytes(b"0");
        }
        Form::TimeTz => column.push_bytes(b"00:00:00Z"),
        Form::Vector | Form::Array(_) | Form::DoubleVector | Form::FloatVector => {
            column.push_bytes(b"[]");
        }
        Form::SparseVector => column.push_bytes(b"{\"dimensions\":0,\"vector\":[]}"),
        Form::Geometry => column.push_bytes(b"{\"wkb\":\"\",\"srid\":null}"),
        Form::Hstore if ty.style == Style::Object => column.push_bytes(b"{}"),
        Form::IntervalText => column.push_bytes(ZERO_INTERVAL),
        Form::Point => {
            let zero = build(column, |out| figure::point(b"(0,0)", out));
            debug_assert!(zero.is_ok());
        }
        _ => column.values.push_empty(),
    }
}

/// Runs `write` on the bytes of a new value; takes back what it wrote when it fails.
pub(super) fn build(
    column: &mut Column,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ValueError>,
) -> Result<(), ValueError> {
    let (Values::Texts(block) | Values::Blobs(block)) = &mut column.values else {
        return Err(not("of the column's kind"));
    };
    let start = block.data.len();
    let written = write(&mut block.data);
    match written {
        Ok(()) => block.seal(),
        Err(_) => block.data.truncate(start),
    }
    written
}

fn parse_bool(text: &[u8]) -> Result<bool, ValueError> {
    match text {
        b"t" | b"1" | b"true" => Ok(true),
        b"f" | b"0" | b"false" => Ok(false),
        _ => Err(not("a boolean")),
    }
}

fn push_numeric(column: &mut Column, ty: &ColumnType, text: &[u8]) -> Result<(), ValueError> {
    if is_decimal(text) {
        column.push_bytes(text);
    } else if !matches!(text, b"NaN" | b"Infinity" | b"-Infinity") {
        return Err(not("a decimal number"));
    } else if ty.form == Form::NumericText {
        column.push_bytes(text);
    } else {
        column.push_null();
    }
    Ok(())
}

/// Short texts are mostly ASCII, where the standard library's check is the cheapest.
pub(super) fn is_utf8(text: &[u8]) -> bool {
    if text.len() < 64 {
        text.is_ascii() || std::str::from_utf8(text).is_ok()
    } else {
        simdutf8::basic::from_utf8(text).is_ok()
    }
}

/// `1 2` as `[1,2]`.
fn vector(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.push(b'[');
    for (i, number) in text.split(|b| *b == b' ').filter(|n| !n.is_empty()).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::write_int(parse_int(number)?, out);
    }
    out.push(b']');
    Ok(())
}
