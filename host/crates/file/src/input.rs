//! One line of a file as a record: the reverse of `output`, and a little more, because people
//! write these lines, too.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;
use wasmgate_codec::document::{Format, key_payload};

use crate::output::looks_like_bytes;

/// A header; no value is null.
pub(crate) type InputHeader<'a> = (Cow<'a, str>, Option<Cow<'a, [u8]>>);

/// A line that was read; borrows from it where it can.
#[derive(Debug, PartialEq)]
pub(crate) struct InputRecord<'a> {
    pub(crate) topic: Cow<'a, str>,
    pub(crate) key: Option<Cow<'a, [u8]>>,
    pub(crate) value: Option<Cow<'a, [u8]>>,
    pub(crate) headers: Vec<InputHeader<'a>>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) partition: Option<i32>,
}

/// Why a line is no record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    /// Not JSON from this column on.
    Syntax(usize),
    /// JSON, but not the members of a record.
    Shape(usize),
    Base64(&'static str),
}

impl LineError {
    /// A short stable word.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "invalid-json",
            Self::Shape(_) => "invalid-record",
            Self::Base64(_) => "invalid-base64",
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(column) => write!(f, "the line is not JSON at column {column}"),
            Self::Shape(column) => write!(
                f,
                "the line is not a record: expected an object with topic and value, and key, \
                 headers, timestamp, partition where there are any (column {column}); for bare \
                 documents name their topic in the source"
            ),
            Self::Base64(member) => write!(f, "$bytes in {member} is not base64"),
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    /// Has to be there: a line without a value is more likely a mistake than a tombstone.
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    headers: Option<Vec<Header<'a>>>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default)]
    partition: Option<i32>,
}

#[derive(Deserialize)]
struct Header<'a>(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] &'a RawValue);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes<'a> {
    #[serde(borrow, rename = "$bytes")]
    base64: Cow<'a, str>,
}

/// Reads a line. Header values of Debezium's format lose their schema.
pub(crate) fn parse(line: &[u8], format: Format) -> Result<InputRecord<'_>, LineError> {
    let read: Line<'_> = serde_json::from_slice(line).map_err(|error| {
        if error.is_data() {
            LineError::Shape(error.column())
        } else {
            LineError::Syntax(error.column())
        }
    })?;
    let mut headers = Vec::new();
    for Header(name, value) in read.headers.unwrap_or_default() {
        headers.push((name, header(value, format)?));
    }
    Ok(InputRecord {
        topic: read.topic,
        key: read.key.map(|key| bytes(key, "key")).transpose()?.flatten(),
        value: bytes(read.value, "value")?,
        headers,
        timestamp_ms: read.timestamp,
        partition: read.partition.filter(|p| *p >= 0),
    })
}

/// The bytes that a key or value stands for: its own text, or what `$bytes` says.
fn bytes<'a>(
    value: &'a RawValue,
    member: &'static str,
) -> Result<Option<Cow<'a, [u8]>>, LineError> {
    let text = value.get();
    if text == "null" {
        return Ok(None);
    }
    if looks_like_bytes(text.as_bytes())
        && let Ok(Bytes { base64 }) = serde_json::from_str(text)
    {
        let decoded = BASE64.decode(base64.as_bytes());
        return Ok(Some(decoded.map_err(|_| LineError::Base64(member))?.into()));
    }
    Ok(Some(text.as_bytes().into()))
}

/// The bytes of a header: the text of a string, else as [`bytes`].
fn header(value: &RawValue, format: Format) -> Result<Option<Cow<'_, [u8]>>, LineError> {
    let whole = value.get().as_bytes();
    let payload = match whole.first() {
        Some(b'{') => key_payload(format, whole),
        _ => Some(whole),
    };
    let Some(payload) = payload else { return Ok(None) };
    let inner: &RawValue =
        serde_json::from_slice(payload).map_err(|error| LineError::Syntax(error.column()))?;
    if inner.get().starts_with('"') {
        let text = serde_json::from_str::<String>(inner.get());
        let text = text.map_err(|error| LineError::Syntax(error.column()))?;
        return Ok(Some(text.into_bytes().into()));
    }
    bytes(inner, "headers")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn text(bytes: &Option<Cow<'_, [u8]>>) -> Option<String> {
        bytes.as_ref().map(|b| b.escape_ascii().to_string())
    }

    #[test]
    fn keys_and_values_are_their_own_text_or_bytes() {
        let cases = [
            ("null", None),
            ("{\"a\": 1.0}", Some("{\\\"a\\\": 1.0}")),
            ("\"text\"", Some("\\\"text\\\"")),
            ("12", Some("12")),
            ("{\"$bytes\":\"//4=\"}", Some("\\xff\\xfe")),
            (" { \"$bytes\" : \"bnVsbA==\" } ", Some("null")),
            ("{\"$bytes\":\"\"}", Some("")),
            ("{\"$bytes\":\"\",\"b\":1}", Some("{\\\"$bytes\\\":\\\"\\\",\\\"b\\\":1}")),
        ];
        for (json, want) in cases {
            let line = format!("{{\"topic\":\"t\",\"key\":{json},\"value\":{json}}}");
            let record = parse(line.as_bytes(), Format::Json).unwrap();
            assert_eq!(text(&record.value).as_deref(), want, "value {json}");
            assert_eq!(text(&record.key).as_deref(), want, "key {json}");
        }
    }

    #[test]
    fn headers_are_text_or_json_or_bytes() {
        let debezium = Format::DebeziumJson { bare_envelopes: false };
        let cases = [
            ("null", Format::Json, None),
            ("\"a \\u00e9\"", Format::Json, Some("a \\xc3\\xa9")),
            ("12", Format::Json, Some("12")),
            ("{\"a\": [1]}", Format::Json, Some("{\\\"a\\\": [1]}")),
            ("{\"$bytes\":\"/w==\"}", Format::Json, Some("\\xff")),
            ("{\"schema\":{\"type\":\"string\"},\"payload\":\"x\"}", debezium, Some("x")),
            ("{\"schema\":{\"type\":\"int32\"},\"payload\":7}", debezium, Some("7")),
            ("{\"schema\":null,\"payload\":null}", debezium, None),
            (
                "{\"schema\":null,\"payload\":1}",
                Format::Json,
                Some("{\\\"schema\\\":null,\\\"payload\\\":1}"),
            ),
        ];
        for (json, format, want) in cases {
            let line = format!("{{\"topic\":\"t\",\"value\":1,\"headers\":[[\"h\",{json}]]}}");
            let record = parse(line.as_bytes(), format).unwrap();
            let found: Vec<_> = record.headers.iter().map(|(n, v)| (&**n, text(v))).collect();
            assert_eq!(found, [("h", want.map(str::to_owned))], "{json}");
        }
    }

    #[test]
    fn what_is_no_record_says_why_without_the_content() {
        let cases = [
            ("{\"topic\":\"t\",\"value\":{secret}}", "invalid-json", "not JSON at column 23"),
            ("{\"topic\":\"t\"", "invalid-json", "not JSON at column"),
            ("{\"topic\":\"t\",\"value\":1} {}", "invalid-json", "not JSON at column 25"),
            ("{\"id\":\"secret\"}", "invalid-record", "name their topic"),
            ("{\"topic\":\"t\"}", "invalid-record", "topic and value"),
            ("[]", "invalid-record", "not a record"),
            ("{\"topic\":\"t\",\"value\":{\"$bytes\":\"secret!\"}}", "invalid-base64", "in value"),
        ];
        for (line, code, part) in cases {
            let error = parse(line.as_bytes(), Format::Json).unwrap_err();
            assert_eq!(error.code(), code, "{line}");
            let message = error.to_string();
            assert!(message.contains(part), "{line}: {message}");
            assert!(!message.contains("secret"), "{line}: {message}");
        }
    }
}
