//! One value of a document as the kind that a stage asked for, appended to its column.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use wasmgate_model::{Block, Column, Kind, Values};

use super::scan::Scanner;
use super::text::{decoded, inner, unescape};
use super::{number, time};

/// What stood where another kind was wanted, for people; never the value itself.
pub(super) type Mismatch = &'static str;

/// Appends the value of a checked token (not null). On an error nothing was appended.
#[inline]
pub(super) fn push(column: &mut Column, kind: Kind, token: &[u8]) -> Result<(), Mismatch> {
    match &mut column.values {
        Values::Ints(values) => values.push(integer(kind, token)?),
        Values::Floats(values) => values.push(float(token)?),
        Values::Booleans(values) => values.push(boolean(token)?),
        Values::Texts(block) => push_text(block, kind, token)?,
        Values::Blobs(block) => {
            let text = string(token).ok_or_else(|| describe(token))?;
            let decoded = BASE64.decode_vec(decoded(text).as_ref(), &mut block.data);
            if decoded.is_err() {
                block.data.truncate(block.offsets.last().copied().unwrap_or(0) as usize);
                return Err("a string that is not base64");
            }
            block.seal();
        }
    }
    Ok(())
}

/// Appends bytes that are no JSON token by themselves: a key, a header, a topic. They are read as
/// text or bytes as they are, else as the JSON value that they say.
pub(super) fn push_raw(column: &mut Column, kind: Kind, bytes: &[u8]) -> Result<(), Mismatch> {
    if kind == Kind::Bytes {
        column.push_bytes(bytes);
        return Ok(());
    }
    let Ok(text) = simdutf8::basic::from_utf8(bytes) else {
        return Err("bytes that are not UTF-8");
    };
    if kind == Kind::Text {
        column.push_bytes(bytes);
        return Ok(());
    }
    if let Some(token) = whole_value(bytes) {
        if token == b"null" {
            column.push_null();
            return Ok(());
        }
        return push(column, kind, token);
    }
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    crate::json::write_string(text, &mut quoted);
    push(column, kind, &quoted)
}

/// Appends a number of the record itself: its offset, partition or time.
pub(super) fn push_number(column: &mut Column, kind: Kind, value: i64) -> Result<(), Mismatch> {
    match &mut column.values {
        Values::Ints(values) => {
            values.push(value);
            Ok(())
        }
        _ => push(column, kind, itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// The one JSON value that the bytes are, without white space around it.
fn whole_value(bytes: &[u8]) -> Option<&[u8]> {
    let mut scan = Scanner::new(bytes, 0);
    scan.space();
    let start = scan.at;
    scan.value(0).ok()?;
    let end = scan.at;
    scan.finish().ok()?;
    Some(scan.slice(start, end))
}

/// The inner bytes of a string token.
fn string(token: &[u8]) -> Option<&[u8]> {
    (token.first() == Some(&b'"')).then(|| inner(token))
}

fn is_number(token: &[u8]) -> bool {
    token.first().is_some_and(|b| *b == b'-' || b.is_ascii_digit())
}

/// What a token is.
#[cold]
fn describe(token: &[u8]) -> Mismatch {
    match token.first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn integer(kind: Kind, token: &[u8]) -> Result<i64, Mismatch> {
    if let Some(text) = string(token) {
        let text = decoded(text);
        return match kind {
            Kind::TimestampUs => {
                time::timestamp_us(&text).ok_or("a string that is not an RFC 3339 timestamp")
            }
            Kind::DateDays => time::date_days(&text).ok_or("a string that is not a date"),
            Kind::TimeUs => time::time_us(&text).ok_or("a string that is not a time of day"),
            _ => Err("a string"),
        };
    }
    number::integer(token).ok_or_else(|| match is_number(token) {
        true => "a number that is not a 64-bit integer",
        false => describe(token),
    })
}

#[inline]
fn float(token: &[u8]) -> Result<f64, Mismatch> {
    number::plain_float(token).map_or_else(|| any_float(token), Ok)
}

fn any_float(token: &[u8]) -> Result<f64, Mismatch> {
    // What `json::write_float` makes of the values that JSON numbers cannot say.
    match token {
        b"\"NaN\"" => return Ok(f64::NAN),
        b"\"Infinity\"" => return Ok(f64::INFINITY),
        b"\"-Infinity\"" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let text = std::str::from_utf8(token).ok().filter(|_| is_number(token));
    let value: f64 = text.and_then(|t| t.parse().ok()).ok_or_else(|| describe(token))?;
    if value.is_finite() { Ok(value) } else { Err("a number beyond the range of a float") }
}

fn boolean(token: &[u8]) -> Result<bool, Mismatch> {
    match token {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(describe(token)),
    }
}

fn push_text(block: &mut Block, kind: Kind, token: &[u8]) -> Result<(), Mismatch> {
    match (kind, string(token)) {
        (Kind::Json, _) | (Kind::Text, None) => block.data.extend_from_slice(token),
        (Kind::Decimal, Some(text)) => {
            if !number::write_decimal(&decoded(text), &mut block.data) {
                return Err("a string that is not a decimal");
            }
        }
        (Kind::Decimal, None) => {
            if !number::write_decimal(token, &mut block.data) {
                return Err(match is_number(token) {
                    true => "a number with too large an exponent",
                    false => describe(token),
                });
            }
        }
        (Kind::Uuid, text) => {
            let text = decoded(text.ok_or_else(|| describe(token))?);
            if !is_uuid(&text) {
                return Err("a string that is not a UUID");
            }
            block.data.extend_from_slice(&text);
        }
        (_, Some(text)) => unescape(text, &mut block.data),
        (_, None) => return Err(describe(token)),
    }
    block.seal();
    Ok(())
}

/// Whether it has the form `8-4-4-4-12` in hexadecimal digits.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The value as text, or the mismatch after a question mark.
    fn read(kind: Kind, token: &str) -> String {
        let mut column = Column::new(kind);
        if let Err(found) = push(&mut column, kind, token.as_bytes()) {
            assert_eq!(column, Column::new(kind), "{token}");
            return format!("? {found}");
        }
        assert_eq!(column.len(), 1, "{token}");
        match &column.values {
            Values::Booleans(v) => format!("{v:?}"),
            Values::Ints(v) => format!("{v:?}"),
            Values::Floats(v) => format!("{v:?}"),
            Values::Texts(b) => b.text(0).to_owned(),
            Values::Blobs(b) => format!("{:?}", b.get(0)),
        }
    }

    #[test]
    fn every_kind() {
        let cases = [
            (Kind::Boolean, "true", "[true]"),
            (Kind::Boolean, "0", "? a number"),
            (Kind::Integer, "1e3", "[1000]"),
            (Kind::Integer, "1.5", "? a number that is not a 64-bit integer"),
            (Kind::Integer, "\"1\"", "? a string"),
            (Kind::Integer, "true", "? a boolean"),
            (Kind::Float, "5e-324", "[5e-324]"),
            (Kind::Float, "-0", "[-0.0]"),
            (Kind::Float, "1e999", "? a number beyond the range of a float"),
            (Kind::Float, "\"1.5\"", "? a string"),
            (Kind::Float, "\"-Infinity\"", "[-inf]"),
            (Kind::Float, "[1]", "? an array"),
            (Kind::Text, r#""a\u00e9\n""#, "aé\n"),
            (Kind::Text, "1e3", "1e3"),
            (Kind::Text, "false", "false"),
            (Kind::Text, r#"{"a": 1}"#, r#"{"a": 1}"#),
            (Kind::Json, r#""a\n""#, r#""a\n""#),
            (Kind::Decimal, "1.50e1", "15.0"),
            (Kind::Decimal, "\"-12.50\"", "-12.50"),
            (Kind::Decimal, "\"x\"", "? a string that is not a decimal"),
            (Kind::Decimal, "1e9999", "? a number with too large an exponent"),
            (Kind::Decimal, "{}", "? an object"),
            (Kind::Bytes, r#""AQI\u003d""#, "[1, 2]"),
            (Kind::Bytes, r#""AQI""#, "? a string that is not base64"),
            (Kind::Bytes, "12", "? a number"),
            (Kind::TimestampUs, "17", "[17]"),
            (Kind::TimestampUs, "\"1970-01-01T00:00:01Z\"", "[1000000]"),
            (Kind::TimestampUs, "\"now\"", "? a string that is not an RFC 3339 timestamp"),
            (Kind::DateDays, "\"1970-01-02\"", "[1]"),
            (Kind::TimeUs, "\"00:00:01\"", "[1000000]"),
            (Kind::Uuid, "\"x\"", "? a string that is not a UUID"),
        ];
        for (kind, token, want) in cases {
            assert_eq!(read(kind, token), want, "{kind:?} {token}");
        }
        let uuid = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
        assert_eq!(read(Kind::Uuid, &format!("\"{uuid}\"")), uuid);
    }

    #[test]
    fn keys_and_headers() {
        let cases = [
            (Kind::Text, &b"\"a\""[..], Ok(Some("\"a\""))),
            (Kind::Text, b"\xff", Err("bytes that are not UTF-8")),
            (Kind::Json, b"plain \"text\"", Ok(Some(r#""plain \"text\"""#))),
            (Kind::Json, b" {\"id\":1} ", Ok(Some("{\"id\":1}"))),
            (Kind::Decimal, b"12.50", Ok(Some("12.50"))),
            (Kind::Decimal, b"null", Ok(None)),
            (Kind::Decimal, b"x", Err("a string that is not a decimal")),
        ];
        for (kind, bytes, want) in cases {
            let mut column = Column::new(kind);
            let got = push_raw(&mut column, kind, bytes);
            assert_eq!(got.map(|()| column.text(0)), want, "{kind:?} {bytes:?}");
        }
        let mut column = Column::new(Kind::Integer);
        push_raw(&mut column, Kind::Integer, b"42").unwrap();
        assert_eq!(column.int(0), Some(42));
    }
}
