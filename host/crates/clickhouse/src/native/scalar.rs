//! One value after the other for types without others inside. Names, ranges and precision are
//! checked here, because the server would wrap or cut in silence.

use std::net::{Ipv4Addr, Ipv6Addr};

use uuid::Uuid;
use wasmgate_model::{Kind, Logical, Values};

use super::cells::{Cells, Out, Times, string};
use super::reason::Reason;
use super::time;
use super::wide::{self, NumberError};
use crate::types::Type;

impl From<NumberError> for Reason {
    fn from(error: NumberError) -> Self {
        match error {
            NumberError::NotNumber => Self::NotNumber,
            NumberError::TooFine => Self::TooFine,
            NumberError::TooLarge => Self::OutOfRange,
        }
    }
}

/// Appends every value as `ty`.
pub(super) fn push(ty: &Type, cells: &Cells<'_>, out: &mut Out<'_>) {
    match ty {
        Type::Bool => boolean(cells, out),
        Type::Int { bits, signed } => match bits {
            8 => integer::<1>(cells, *signed, out),
            16 => integer::<2>(cells, *signed, out),
            32 => integer::<4>(cells, *signed, out),
            64 => integer::<8>(cells, *signed, out),
            128 => integer::<16>(cells, *signed, out),
            _ => integer::<32>(cells, *signed, out),
        },
        Type::Float32 => float(cells, out, float32(cells.logical)),
        Type::Float64 => float(cells, out, |value| Ok(value.to_le_bytes())),
        Type::Decimal { precision, scale } => match ty.width() {
            Some(4) => decimal::<4>(cells, *precision, *scale, out),
            Some(8) => decimal::<8>(cells, *precision, *scale, out),
            Some(16) => decimal::<16>(cells, *precision, *scale, out),
            _ => decimal::<32>(cells, *precision, *scale, out),
        },
        Type::Text => text(cells, out),
        Type::Json => json(cells, out),
        Type::FixedText(width) => fixed(cells, *width as usize, out),
        Type::Uuid => parsed(cells, out, [0; 16], uuid),
        Type::Ipv4 => parsed(cells, out, [0; 4], |text| {
            let address: Ipv4Addr = text.parse().map_err(|_| Reason::NotAddress)?;
            Ok(address.to_bits().to_le_bytes())
        }),
        Type::Ipv6 => parsed(cells, out, [0; 16], |text| {
            let address = text.parse::<Ipv6Addr>();
            let mapped = || text.parse::<Ipv4Addr>().map(|a| a.to_ipv6_mapped());
            Ok(address.or_else(|_| mapped()).map_err(|_| Reason::NotAddress)?.octets())
        }),
        Type::Enum { bits: 8, labels } => labelled::<1>(cells, labels, out),
        Type::Enum { labels, .. } => labelled::<2>(cells, labels, out),
        Type::Date | Type::Date32 => date(ty, cells, out),
        Type::DateTime { .. } => instant(cells, out, 4, time::Ticks::SECONDS),
        Type::DateTime64 { scale, .. } => instant(cells, out, 8, time::Ticks::date_time(*scale)),
        Type::Time => time_of_day(cells, out, 4, time::Ticks::time(0)),
        Type::Time64 { scale } => time_of_day(cells, out, 8, time::Ticks::time(*scale)),
        Type::Nullable(_) | Type::LowCardinality(_) | Type::Array(_) | Type::Map(_) => {
            nothing(ty, cells, out);
        }
    }
}

/// No value of this kind has a form in the type.
fn nothing(ty: &Type, cells: &Cells<'_>, out: &mut Out<'_>) {
    for n in 0..cells.rows.len() {
        out.misfit(n, Reason::Kind);
    }
    let width = ty.width().unwrap_or(1);
    out.data.resize(out.data.len() + width * cells.rows.len(), 0);
}

fn boolean(cells: &Cells<'_>, out: &mut Out<'_>) {
    match &cells.column.values {
        Values::Booleans(values) => out.each(cells, values, |v| Ok([u8::from(v)])),
        Values::Ints(values) => out.each(cells, values, |v| match v {
            0 | 1 => Ok([v as u8]),
            _ => Err(Reason::OutOfRange),
        }),
        _ => nothing(&Type::Bool, cells, out),
    }
}

fn integer<const N: usize>(cells: &Cells<'_>, signed: bool, out: &mut Out<'_>) {
    let bits = N as u16 * 8;
    match &cells.column.values {
        Values::Ints(values) => {
            let (low, high) = match (signed, N) {
                (true, 1..8) => (-(1_i64 << (bits - 1)), (1_i64 << (bits - 1)) - 1),
                (true, _) => (i64::MIN, i64::MAX),
                (false, 1..8) => (0, (1_i64 << bits) - 1),
                (false, _) => (0, i64::MAX),
            };
            out.each(cells, values, |v| {
                if v < low || v > high { Err(Reason::OutOfRange) } else { Ok(extended::<N>(v)) }
            });
        }
        Values::Booleans(values) => out.each(cells, values, |v| Ok(extended::<N>(i64::from(v)))),
        Values::Texts(block) if cells.kind == Kind::Decimal => {
            out.each_block(cells, block, &[0; N], |text, data| {
                let (negative, magnitude) = wide::scaled(text, 0)?;
                if !wide::fits_bits(negative, magnitude, bits, signed) {
                    return Err(Reason::OutOfRange);
                }
                data.extend_from_slice(&low::<N>(wide::bytes(negative, magnitude)));
                Ok(())
            });
        }
        _ => nothing(&Type::Int { bits, signed }, cells, out),
    }
}

/// The low N bytes.
fn low<const N: usize>(bytes: [u8; 32]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// A number in N bytes, its sign carried on.
fn extended<const N: usize>(value: i64) -> [u8; N] {
    let mut bytes = [if value < 0 { 0xff } else { 0 }; N];
    bytes.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
    bytes
}

fn float32(logical: &Logical) -> impl Fn(f64) -> Result<[u8; 4], Reason> + use<> {
    let single = *logical == Logical::Float32;
    move |value| {
        let short = value as f32;
        if !single && value.is_finite() && f64::from(short) != value {
            return Err(if short.is_finite() { Reason::TooFine } else { Reason::OutOfRange });
        }
        Ok(short.to_le_bytes())
    }
}

fn float<const N: usize>(
    cells: &Cells<'_>,
    out: &mut Out<'_>,
    convert: impl Fn(f64) -> Result<[u8; N], Reason>,
) {
    /// Beyond it doubles have gaps between whole numbers.
    const EXACT: u64 = 1 << 53;
    match &cells.column.values {
        Values::Floats(values) => out.each(cells, values, convert),
        Values::Ints(values) => out.each(cells, values, |v| {
            if v.unsigned_abs() > EXACT { Err(Reason::TooFine) } else { convert(v as f64) }
        }),
        Values::Texts(block) if cells.kind == Kind::Decimal => {
            out.each_block(cells, block, &[0; N], |text, data| {
                let text = std::str::from_utf8(text).map_err(|_| Reason::NotNumber)?;
                let value: f64 = text.parse().map_err(|_| Reason::NotNumber)?;
                // Whoever makes a float of a decimal column wants the nearest one.
                let short = if N == 4 { f64::from(value as f32) } else { value };
                data.extend_from_slice(&convert(short)?);
                Ok(())
            });
        }
        _ => nothing(if N == 4 { &Type::Float32 } else { &Type::Float64 }, cells, out),
    }
}

fn decimal<const N: usize>(cells: &Cells<'_>, precision: u8, scale: u8, out: &mut Out<'_>) {
    // `None`: every short number fits.
    let end = 10_i64.checked_pow(u32::from(precision));
    let convert = |text: &[u8], data: &mut Vec<u8>| {
        if let Some(value) = wide::short(text, scale) {
            if end.is_some_and(|end| value >= end || value <= -end) {
                return Err(Reason::OutOfRange);
            }
            data.extend_from_slice(&extended::<N>(value));
            return Ok(());
        }
        let (negative, magnitude) = wide::scaled(text, scale)?;
        if !wide::fits_digits(magnitude, precision) {
            return Err(Reason::OutOfRange);
        }
        data.extend_from_slice(&low::<N>(wide::bytes(negative, magnitude)));
        Ok(())
    };
    match &cells.column.values {
        Values::Texts(block) if cells.kind == Kind::Decimal => {
            out.each_block(cells, block, &[0; N], convert);
        }
        Values::Ints(values) if cells.kind == Kind::Integer => {
            let mut bytes = Vec::with_capacity(N);
            let convert = |value: i64, bytes: &mut Vec<u8>| {
                bytes.clear();
                convert(value.to_string().as_bytes(), bytes)
            };
            let scratch = std::cell::RefCell::new(&mut bytes);
            out.each(cells, values, |value| {
                let mut bytes = scratch.borrow_mut();
                convert(value, &mut bytes)?;
                bytes.first_chunk::<N>().copied().ok_or(Reason::OutOfRange)
            });
        }
        _ => nothing(&Type::Decimal { precision, scale }, cells, out),
    }
}

/// Every kind has a text.
fn text(cells: &Cells<'_>, out: &mut Out<'_>) {
    match &cells.column.values {
        Values::Texts(block) | Values::Blobs(block) => {
            let bytes: usize =
                cells.rows.iter().map(|row| block.get(*row as usize).len() + 2).sum();
            out.data.reserve(bytes);
            out.each_block(cells, block, &[0], |value, data| {
                string(value, data);
                Ok(())
            });
        }
        _ => {
            let mut written = String::new();
            for (n, &row) in cells.rows.iter().enumerate() {
                written.clear();
                if cells.column.is_null(row as usize) {
                    out.null(cells, n, row);
                } else {
                    time::write_text(cells, row as usize, &mut written);
                }
                string(written.as_bytes(), out.data);
            }
        }
    }
}

/// The server parses the text as JSON; only objects have a place in the type.
fn json(cells: &Cells<'_>, out: &mut Out<'_>) {
    let Values::Texts(block) = &cells.column.values else {
        return nothing(&Type::Text, cells, out);
    };
    out.each_block(cells, block, b"\x02{}", |value, data| {
        let object = value.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
        if !object || wasmgate_codec::document::object(value, |_, _| {}).is_err() {
            return Err(Reason::NotObject);
        }
        string(value, data);
        Ok(())
    });
}

fn fixed(cells: &Cells<'_>, width: usize, out: &mut Out<'_>) {
    let (Values::Texts(block) | Values::Blobs(block)) = &cells.column.values else {
        return nothing(&Type::FixedText(width as u32), cells, out);
    };
    let default = vec![0; width];
    out.each_block(cells, block, &default, |value, data| {
        if value.len() > width {
            return Err(Reason::TooLong);
        }
        data.extend_from_slice(value);
        data.resize(data.len() + width - value.len(), 0);
        Ok(())
    });
}

fn parsed<const N: usize>(
    cells: &Cells<'_>,
    out: &mut Out<'_>,
    default: [u8; N],
    parse: impl Fn(&str) -> Result<[u8; N], Reason>,
) {
    let Values::Texts(block) = &cells.column.values else {
        for n in 0..cells.rows.len() {
            out.misfit(n, Reason::Kind);
            out.data.extend_from_slice(&default);
        }
        return;
    };
    out.each_block(cells, block, &default, |value, data| {
        let text = std::str::from_utf8(value).map_err(|_| Reason::Kind)?;
        data.extend_from_slice(&parse(text)?);
        Ok(())
    });
}

/// Two halves, each with its lowest byte first.
fn uuid(text: &str) -> Result<[u8; 16], Reason> {
    /// Bytes of the form 8-4-4-4-12.
    const USUAL: usize = 36;

    let value = match Uuid::try_parse_ascii(text.as_bytes()) {
        Ok(usual) if text.len() == USUAL => usual.as_u128(),
        _ => any_uuid(text)?,
    };
    let mut bytes = [0; 16];
    let (high, low) = ((value >> 64) as u64, value as u64);
    let halves = high.to_le_bytes().into_iter().chain(low.to_le_bytes());
    bytes.iter_mut().zip(halves).for_each(|(to, from)| *to = from);
    Ok(bytes)
}

/// The digits, wherever dashes are.
fn any_uuid(text: &str) -> Result<u128, Reason> {
    let mut digits = text.bytes().filter(|b| *b != b'-');
    let mut value = 0_u128;
    for _ in 0..32 {
        let digit = digits.next().and_then(|b| char::from(b).to_digit(16));
        value = value << 4 | u128::from(digit.ok_or(Reason::NotUuid)?);
    }
    match digits.next() {
        Some(_) => Err(Reason::NotUuid),
        None => Ok(value),
    }
}

fn labelled<const N: usize>(cells: &Cells<'_>, labels: &[(String, i16)], out: &mut Out<'_>) {
    match &cells.column.values {
        Values::Texts(block) => {
            let known: std::collections::HashMap<&[u8], i16> =
                labels.iter().map(|(label, value)| (label.as_bytes(), *value)).collect();
            out.each_block(cells, block, &[0; N], |text, data| {
                let value = known.get(text).ok_or(Reason::NotLabel)?;
                data.extend_from_slice(&extended::<N>(i64::from(*value)));
                Ok(())
            });
        }
        Values::Ints(values) if cells.kind == Kind::Integer => out.each(cells, values, |v| {
            let known = labels.iter().any(|(_, value)| i64::from(*value) == v);
            if known { Ok(extended::<N>(v)) } else { Err(Reason::NotLabel) }
        }),
        _ => nothing(&Type::Enum { bits: N as u8 * 8, labels: Vec::new() }, cells, out),
    }
}

fn date(ty: &Type, cells: &Cells<'_>, out: &mut Out<'_>) {
    let (Values::Ints(values), Kind::DateDays) = (&cells.column.values, cells.kind) else {
        return nothing(ty, cells, out);
    };
    let clamp = out.times == Times::Clamp;
    match ty {
        Type::Date => out.each(cells, values, |days| {
            Ok((time::within(time::day(days), 0, 65_535, clamp)? as u16).to_le_bytes())
        }),
        _ => out.each(cells, values, |days| {
            let day = time::within(time::day(days), time::FIRST_DAY, time::LAST_DAY, clamp)?;
            Ok((day as i32).to_le_bytes())
        }),
    }
}

fn instant(cells: &Cells<'_>, out: &mut Out<'_>, width: usize, ticks: time::Ticks) {
    let clamp = out.times == Times::Clamp;
    match (&cells.column.values, cells.kind) {
        (Values::Ints(values), Kind::TimestampUs) => {
            ticked(cells, values, out, width, |us| ticks.of(time::micros(us), clamp));
        }
        (Values::Ints(values), Kind::TimeUs) => {
            ticked(cells, values, out, width, |us| ticks.of(i128::from(us), clamp));
        }
        _ => nothing(&Type::FixedText(width as u32), cells, out),
    }
}

fn time_of_day(cells: &Cells<'_>, out: &mut Out<'_>, width: usize, ticks: time::Ticks) {
    let clamp = out.times == Times::Clamp;
    match (&cells.column.values, cells.kind) {
        (Values::Ints(values), Kind::TimeUs) => {
            ticked(cells, values, out, width, |us| ticks.of(i128::from(us), clamp));
        }
        _ => nothing(&Type::FixedText(width as u32), cells, out),
    }
}

fn ticked(
    cells: &Cells<'_>,
    values: &[i64],
    out: &mut Out<'_>,
    width: usize,
    ticks: impl Fn(i64) -> Result<i64, Reason>,
) {
    if width == 4 {
        out.each(cells, values, |us| Ok((ticks(us)? as u32).to_le_bytes()));
    } else {
        out.each(cells, values, |us| Ok(ticks(us)?.to_le_bytes()));
    }
}
