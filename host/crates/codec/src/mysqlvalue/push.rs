//! One value into its column.

use wasmgate_model::{Column, Kind, Style, Values};

use super::charset::is_utf8;
use super::column::Form;
use super::temporal::DAY_US;
use super::{CivilDate, ColumnType, Datum, ValueError, decimal, json, not, spatial};
use crate::json::write_int;

/// Appends a value.
///
/// # Errors
/// It is no value of the type; nothing was appended.
#[inline]
pub fn push(column: &mut Column, ty: &ColumnType, value: Datum<'_>) -> Result<(), ValueError> {
    match (&ty.form, value) {
        (Form::Int, Datum::Int(n)) => column.push_int(n),
        // 2^63 and above wrap, as in Debezium's mode `long`.
        (Form::Int, Datum::Unsigned(n)) => column.push_int(n as i64),
        (Form::Text(charset), Datum::Raw(bytes)) => {
            return build(column, |out| charset.decode(bytes, out));
        }
        (Form::Bytes, Datum::Raw(bytes)) => column.push_bytes(bytes),
        (Form::Decimal, _) => return push_decimal(column, ty, value),
        (Form::DateTime, Datum::DateTime(date, us)) => return push_date_time(column, ty, date, us),
        (Form::Timestamp, Datum::Instant(us)) => {
            return push_temporal(column, ty, (us != 0).then_some(us));
        }
        (Form::Date, Datum::Date(date)) => {
            let date = if ty.adjust_years { date.adjusted() } else { date };
            return push_temporal(column, ty, date.days());
        }
        (Form::Time { bounded }, Datum::Time(us)) => return push_time(column, ty, *bounded, us),
        (Form::Float32, Datum::Float(f)) => column.push_float(f.into()),
        (Form::Float, Datum::Float(f)) => column.push_float(f.into()),
        (Form::Float | Form::Float32, Datum::Double(f)) => column.push_float(f),
        _ => return push_other(column, ty, value),
    }
    Ok(())
}

fn push_other(column: &mut Column, ty: &ColumnType, value: Datum<'_>) -> Result<(), ValueError> {
    match (&ty.form, value) {
        (Form::Padded(length), Datum::Raw(bytes)) => {
            return build(column, |out| {
                out.extend_from_slice(bytes);
                out.resize(out.len() + length.saturating_sub(bytes.len()), 0);
                Ok(())
            });
        }
        (Form::Enum(labels), Datum::Labels(n)) => return push_label(column, labels, n),
        (Form::Set(labels), Datum::Labels(bits)) => {
            return build(column, |out| members(labels, bits, out));
        }
        (Form::Bool, Datum::Bits(bytes)) => {
            column.push_bool(bytes.iter().any(|b| *b != 0));
        }
        // Little-endian, as Debezium's Bits.
        (Form::Bits, Datum::Bits(bytes)) => {
            return build(column, |out| {
                out.extend(bytes.iter().rev());
                Ok(())
            });
        }
        (Form::Json, Datum::Json(bytes)) => {
            return build(column, |out| json::write_json(bytes, out));
        }
        (Form::Geometry { point }, Datum::Raw(bytes)) => {
            return build(column, |out| spatial::write(bytes, *point, out));
        }
        (Form::Vector, Datum::Raw(bytes)) => {
            return build(column, |out| spatial::write_vector(bytes, out));
        }
        (Form::BigDecimal, Datum::Unsigned(n)) => {
            return build(column, |out| {
                out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
                Ok(())
            });
        }
        // The client says small ones without their sign.
        (Form::BigDecimal, Datum::Int(n @ 0..)) => {
            return build(column, |out| {
                write_int(n, out);
                Ok(())
            });
        }
        (Form::Uuid | Form::Inet4 | Form::Inet6, Datum::Raw(bytes)) => {
            return build(column, |out| address(&ty.form, bytes, out));
        }
        (
            Form::Text(_)
            | Form::Enum(_)
            | Form::Set(_)
            | Form::Json
            | Form::Uuid
            | Form::Inet4
            | Form::Inet6,
            Datum::Text(text),
        ) => {
            if !is_utf8(text) {
                return Err(not("UTF-8"));
            }
            column.push_bytes(text);
        }
        // Labels of an enum that became text, or the like: the schema in force is another.
        _ => return Err(not("of its column's type")),
    }
    Ok(())
}

/// Runs `write` on the bytes of a new value; takes back what it wrote when it fails.
#[inline]
fn build(
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

fn push_decimal(column: &mut Column, ty: &ColumnType, value: Datum<'_>) -> Result<(), ValueError> {
    let write = |out: &mut Vec<u8>| match value {
        Datum::Packed(bytes, precision, scale) => decimal::write(bytes, precision, scale, out),
        // The server fills a decimal of ZEROFILL up with zeros.
        Datum::Text(text) => {
            let (sign, digits) = match text {
                [b'-', rest @ ..] => (&b"-"[..], rest),
                _ => (&b""[..], text),
            };
            let zeros = digits.iter().take_while(|b| **b == b'0').count();
            let whole = digits.get(zeros..).unwrap_or(&[]);
            out.extend_from_slice(sign);
            if whole.first().is_none_or(|b| *b == b'.') {
                out.push(b'0');
            }
            out.extend_from_slice(whole);
            let plain = digits.iter().all(|b| b.is_ascii_digit() || *b == b'.');
            if plain && !digits.is_empty() { Ok(()) } else { Err(not("a decimal")) }
        }
        _ => Err(not("a decimal")),
    };
    if ty.kind != Kind::Float {
        return build(column, write);
    }
    let mut text = Vec::with_capacity(24);
    write(&mut text)?;
    let parsed = std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok());
    column.push_float(parsed.ok_or(not("a decimal"))?);
    Ok(())
}

#[inline]
pub(super) fn push_date_time(
    column: &mut Column,
    ty: &ColumnType,
    date: CivilDate,
    us: i64,
) -> Result<(), ValueError> {
    let exists = date.month != 0 && date.day != 0;
    let date = if ty.adjust_years && exists { date.adjusted() } else { date };
    push_temporal(column, ty, date.days().map(|days| days * DAY_US + us))
}

/// A date or time; `None` is the zero date or one that does not exist.
fn push_temporal(
    column: &mut Column,
    ty: &ColumnType,
    value: Option<i64>,
) -> Result<(), ValueError> {
    match value {
        Some(value) => column.push_int(value),
        None if ty.nullable => column.push_null(),
        None => column.push_int(ty.zero),
    }
    Ok(())
}

fn push_time(
    column: &mut Column,
    ty: &ColumnType,
    bounded: bool,
    us: i64,
) -> Result<(), ValueError> {
    if !bounded || (0..DAY_US).contains(&us) {
        column.push_int(us);
    } else if us == DAY_US {
        // As text, the end of the day is its beginning.
        column.push_int(if ty.style == Style::Iso { 0 } else { us });
    } else if ty.nullable {
        column.push_null();
    } else {
        return Err(not("within a day, as this time precision mode needs"));
    }
    Ok(())
}

fn push_label(column: &mut Column, labels: &[String], n: u64) -> Result<(), ValueError> {
    if n == 0 {
        column.push_bytes(b"");
        return Ok(());
    }
    let label = usize::try_from(n - 1).ok().and_then(|n| labels.get(n));
    column.push_bytes(label.ok_or(not("one of the enum's labels"))?.as_bytes());
    Ok(())
}

fn members(labels: &[String], bits: u64, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if labels.len() < 64 && bits >> labels.len() != 0 {
        return Err(not("made of the set's labels"));
    }
    let mut first = true;
    for (i, label) in labels.iter().enumerate().take(64) {
        if bits >> i & 1 == 1 {
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(label.as_bytes());
        }
    }
    Ok(())
}

/// MariaDB's UUID and network addresses, which rows events carry as bytes without the zeros at
/// their end.
fn address(form: &Form, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut full = [0_u8; 16];
    let room = full.get_mut(..bytes.len()).ok_or(not("at most 16 bytes"))?;
    room.copy_from_slice(bytes);
    if *form == Form::Inet4 {
        let [a, b, c, d, ..] = full;
        for (i, part) in [a, b, c, d].into_iter().enumerate() {
            if i > 0 {
                out.push(b'.');
            }
            write_int(part.into(), out);
        }
        return Ok(());
    }
    if *form == Form::Inet6 {
        out.extend_from_slice(std::net::Ipv6Addr::from(full).to_string().as_bytes());
        return Ok(());
    }
    // The server stores the last segment first, but for versions 6 and above.
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = full;
    let swapped = [m, n, o, p, k, l, i, j, g, h, a, b, c, d, e, f];
    let high = |bytes: &[u8; 16]| bytes.get(6).map_or(0, |b| b >> 4);
    let text = if high(&swapped) < 6 && full != [0; 16] { swapped } else { full };
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        for nibble in [byte >> 4, byte & 15] {
            out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        }
    }
    Ok(())
}
