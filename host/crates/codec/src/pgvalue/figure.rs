//! Points, figures, geometries and vectors: text of numbers to JSON.

use super::number::{hex, parse_float, parse_int};
use super::{ValueError, not};
use crate::json;

/// `(1.5,-2)` as Debezium's Point: coordinates and WKB (little-endian, type 1).
pub(super) fn point(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    const WRONG: ValueError = not("a point");
    let inner = text.strip_prefix(b"(").and_then(|t| t.strip_suffix(b")")).ok_or(WRONG)?;
    let mut parts = inner.split(|b| *b == b',');
    let (Some(x), Some(y), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(WRONG);
    };
    let (x, y): (f64, f64) = (parse_float(x)?, parse_float(y)?);
    let mut wkb = vec![1, 1, 0, 0, 0];
    wkb.extend_from_slice(&x.to_le_bytes());
    wkb.extend_from_slice(&y.to_le_bytes());
    out.extend_from_slice(b"{\"x\":");
    json::write_float(x, out);
    out.extend_from_slice(b",\"y\":");
    json::write_float(y, out);
    out.extend_from_slice(b",\"wkb\":");
    json::write_base64(&wkb, out);
    out.extend_from_slice(b",\"srid\":null}");
    Ok(())
}

/// `{1,-1,0}` and the like with every number as Java writes a double, as the JDBC driver does.
pub(super) fn figure(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let is_number = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
    let mut rest = text;
    while let Some(at) = rest.iter().position(is_number) {
        let (before, from) = rest.split_at(at);
        let end = from.iter().position(|b| !is_number(b)).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        out.extend_from_slice(before);
        write_java(parse_float(number)?, out);
        rest = after;
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// A double as Java's `Double.toString`: the shortest digits, `1.0E10` from ten millions on and
/// below a thousandth.
fn write_java(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    if !value.is_finite() {
        let name = if value.is_nan() { "NaN" } else { "Infinity" };
        let sign = if value < 0.0 { "-" } else { "" };
        out.extend_from_slice(sign.as_bytes());
        out.extend_from_slice(name.as_bytes());
    } else if size != 0.0 && !(1e-3..1e7).contains(&size) {
        let text = format!("{value:E}");
        let (digits, exponent) = text.split_once('E').unwrap_or((&text, "0"));
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(if digits.contains('.') { b"E" } else { b".0E" });
        out.extend_from_slice(exponent.as_bytes());
    } else {
        out.extend_from_slice(format!("{value:?}").as_bytes());
    }
}

/// `[1,2.5]` of pgvector as a JSON array of numbers.
pub(super) fn vector(text: &[u8], single: bool, out: &mut Vec<u8>) -> Result<(), ValueError> {
    const WRONG: ValueError = not("a vector");
    let inner = text.strip_prefix(b"[").and_then(|t| t.strip_suffix(b"]")).ok_or(WRONG)?;
    out.push(b'[');
    for (i, number) in inner.split(|b| *b == b',').filter(|n| !n.is_empty()).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        if single {
            json::write_float32(parse_float(number)?, out);
        } else {
            json::write_float(parse_float(number)?, out);
        }
    }
    out.push(b']');
    Ok(())
}

/// `{1:1.5,3:2}/5` of pgvector: the dimensions, and the numbers that are not zero as pairs.
pub(super) fn sparse_vector(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    const WRONG: ValueError = not("a sparse vector");
    let slash = memchr::memrchr(b'/', text).ok_or(WRONG)?;
    let (pairs, dimensions) = text.split_at(slash);
    let dimensions = parse_int(dimensions.get(1..).unwrap_or(&[]))?;
    let inner = pairs.strip_prefix(b"{").and_then(|t| t.strip_suffix(b"}")).ok_or(WRONG)?;
    out.extend_from_slice(b"{\"dimensions\":");
    json::write_int(dimensions, out);
    out.extend_from_slice(b",\"vector\":[");
    for (i, pair) in inner.split(|b| *b == b',').filter(|p| !p.is_empty()).enumerate() {
        let colon = memchr::memchr(b':', pair).ok_or(WRONG)?;
        let (index, number) = pair.split_at(colon);
        out.extend_from_slice(if i > 0 { b",[" } else { b"[" });
        json::write_int(parse_int(index)?, out);
        out.push(b',');
        json::write_float(parse_float(number.get(1..).unwrap_or(&[]))?, out);
        out.push(b']');
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

/// A geometry in PostGIS's hex form: its bytes, and the reference system that they name.
pub(super) fn geometry(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    const WRONG: ValueError = not("a geometry in hex form");
    let mut prefixed = b"\\x".to_vec();
    prefixed.extend_from_slice(text);
    let mut bytes = Vec::with_capacity(text.len() / 2);
    hex(&prefixed, &mut bytes).map_err(|_| WRONG)?;
    let (order, rest) = bytes.split_first().ok_or(WRONG)?;
    let number = |bytes: &[u8; 4]| match order {
        0 => u32::from_be_bytes(*bytes),
        _ => u32::from_le_bytes(*bytes),
    };
    let (kind, rest) = rest.split_first_chunk::<4>().ok_or(WRONG)?;
    // the flag of PostGIS for a reference system behind the type
    let srid = match number(kind) & 0x2000_0000 {
        0 => None,
        _ => Some(number(rest.first_chunk::<4>().ok_or(WRONG)?)),
    };
    out.extend_from_slice(b"{\"wkb\":");
    json::write_base64(&bytes, out);
    out.extend_from_slice(b",\"srid\":");
    match srid {
        Some(srid) => json::write_int(srid.into(), out),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    Ok(())
}
