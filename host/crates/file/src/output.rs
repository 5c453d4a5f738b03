//! One record as one line of JSON: `{"topic","key","value","headers","timestamp"}`, and
//! `"partition"` where one was asked for.
//!
//! Key and value are JSON where they are JSON, else `{"$bytes":"<base64>"}`. What would be read
//! back as something else goes as bytes, too: the four bytes `null`, which are no null, and
//! documents that look like our own `$bytes`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use wasmgate_codec::encode::{BatchWriter, EncodeError, ValueWriter};
use wasmgate_codec::json::{write_int, write_string};
use wasmgate_model::{Batch, Kind, Payload};

use crate::strict::is_json;

/// The start of bytes that are no JSON.
pub(crate) const BYTES: &[u8] = b"{\"$bytes\":";

/// What the lines of one batch have in common.
pub(crate) struct LineWriter<'a> {
    batch: &'a Batch,
    records: BatchWriter<'a>,
    /// Everything up to the key, where no stage gave records another topic.
    opening: Option<Vec<u8>>,
    /// Whether keys are made here, of columns.
    own_key: bool,
    value: Trust,
}

/// What is known of values before they are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trust {
    /// May be anything.
    Foreign,
    /// JSON, perhaps on several lines.
    Json,
    /// JSON that was written here whole: it has no line ends.
    Line,
}

impl<'a> LineWriter<'a> {
    pub(crate) fn new(batch: &'a Batch, writer: &'a mut ValueWriter) -> Self {
        let opening = batch.edits.topic.is_none().then(|| {
            let mut opening = Vec::new();
            begin(&mut opening, &batch.schema.topic);
            opening.extend_from_slice(b",\"key\":");
            opening
        });
        Self {
            batch,
            records: writer.begin(batch),
            opening,
            own_key: batch.keys.is_none() && batch.edits.key.is_none(),
            value: trust(batch),
        }
    }

    /// Appends the line of the record at place `i` in the batch's `sel`.
    ///
    /// # Errors
    /// The value cannot be written; nothing was appended.
    pub(crate) fn write(&self, i: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let line = out.len();
        match &self.opening {
            Some(opening) => out.extend_from_slice(opening),
            None => {
                begin(out, self.batch.topic(i));
                out.extend_from_slice(b",\"key\":");
            }
        }
        let start = out.len();
        let present = self.records.key(i, out);
        end_value(out, start, present, if self.own_key { Trust::Json } else { Trust::Foreign });
        out.extend_from_slice(b",\"value\":");
        let start = out.len();
        match self.records.value(i, out) {
            Ok(present) => end_value(out, start, present, self.value),
            Err(error) => {
                out.truncate(line);
                return Err(error);
            }
        }
        out.extend_from_slice(b",\"headers\":[");
        let mut first = true;
        self.records.headers(i, &mut |name, value| {
            write_header(out, std::mem::take(&mut first), name, value);
        });
        out.push(b']');
        write_time(out, self.records.time_us(i));
        if let Some(partition) = self.records.partition(i) {
            out.extend_from_slice(b",\"partition\":");
            write_int(i64::from(partition), out);
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// Appends the open line of a payload row as it came, for dead letters: everything up to the
/// timestamp.
pub(crate) fn write_original(out: &mut Vec<u8>, batch: &Batch, row: usize) {
    let (key, value) = wasmgate_codec::encode::original(batch, row);
    begin(out, &batch.schema.topic);
    for (name, bytes) in [("key", key), ("value", value)] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        let start = out.len();
        out.extend_from_slice(bytes.as_deref().unwrap_or(&[]));
        end_exact(out, start, bytes.is_some());
    }
    out.extend_from_slice(b",\"headers\":[");
    for (n, (name, value)) in batch.headers.row(row).enumerate() {
        write_header(out, n == 0, name, value);
    }
    out.push(b']');
    write_time(out, batch.times_us.get(row).copied().unwrap_or(batch.received_us));
}

fn begin(out: &mut Vec<u8>, topic: &str) {
    out.extend_from_slice(crate::disk::LINE_START);
    write_string(topic, out);
}

fn write_time(out: &mut Vec<u8>, time_us: i64) {
    out.extend_from_slice(b",\"timestamp\":");
    write_int(time_us.div_euclid(1000), out);
}

/// What is known of the values that come out.
fn trust(batch: &Batch) -> Trust {
    match &batch.payload {
        Payload::Rows(_) => {
            // Their JSON is somebody else's, with the white space that it has.
            let has_json = batch.schema.fields.iter().any(|field| field.kind == Kind::Json)
                || batch.edits.written.iter().any(|written| written.kind == Kind::Json);
            if has_json { Trust::Json } else { Trust::Line }
        }
        Payload::Documents(documents) => {
            let walked = !documents.images.is_empty() && documents.images.len() == batch.len();
            if walked { Trust::Json } else { Trust::Foreign }
        }
    }
}

/// Turns the bytes appended since `start` into a JSON value on one line.
fn end_value(out: &mut Vec<u8>, start: usize, present: bool, trust: Trust) {
    let bytes = out.get(start..).unwrap_or(&[]);
    if !present {
        out.truncate(start);
        out.extend_from_slice(b"null");
    } else if ambiguous(bytes) || (trust == Trust::Foreign && !is_json(bytes)) {
        to_bytes(out, start);
    } else if trust != Trust::Line && memchr::memchr2(b'\n', b'\r', bytes).is_some() {
        // Inside strings JSON has no raw line ends: these are white space.
        for byte in out.get_mut(start..).unwrap_or(&mut []) {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

/// As [`end_value`], but only JSON that is read back byte for byte stays JSON.
fn end_exact(out: &mut Vec<u8>, start: usize, present: bool) {
    let bytes = out.get(start..).unwrap_or(&[]);
    if present && (bytes != bytes.trim_ascii() || memchr::memchr2(b'\n', b'\r', bytes).is_some()) {
        to_bytes(out, start);
    } else {
        end_value(out, start, present, Trust::Foreign);
    }
}

/// Replaces the bytes since `start` by their base64.
fn to_bytes(out: &mut Vec<u8>, start: usize) {
    let text = BASE64.encode(out.get(start..).unwrap_or(&[]));
    out.truncate(start);
    push_base64(out, &text);
}

fn push_base64(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(BYTES);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\"}");
}

/// Whether JSON bytes would be read back as something else.
fn ambiguous(bytes: &[u8]) -> bool {
    bytes.trim_ascii() == b"null" || looks_like_bytes(bytes)
}

/// Whether an object's first member is `$bytes`.
pub(crate) fn looks_like_bytes(json: &[u8]) -> bool {
    let Some(inside) = json.trim_ascii_start().strip_prefix(b"{") else { return false };
    // An escape in the name could spell it, too: such a name is taken for it.
    let name = inside.trim_ascii_start();
    name.starts_with(b"\"$bytes\"") || name.starts_with(b"\"\\")
}

fn write_header(out: &mut Vec<u8>, first: bool, name: &str, value: Option<&[u8]>) {
    if !first {
        out.push(b',');
    }
    out.push(b'[');
    write_string(name, out);
    out.push(b',');
    match value {
        None => out.extend_from_slice(b"null"),
        Some(bytes) if stands_for_itself(bytes) => out.extend_from_slice(bytes),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => write_string(text, out),
            Err(_) => push_base64(out, &BASE64.encode(bytes)),
        },
    }
    out.push(b']');
}

/// Whether a header's bytes are JSON, no string, and read back byte for byte.
fn stands_for_itself(bytes: &[u8]) -> bool {
    let starts = matches!(bytes.first(), Some(b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f'));
    starts
        && bytes == bytes.trim_ascii()
        && memchr::memchr2(b'\n', b'\r', bytes).is_none()
        && is_json(bytes)
        && !looks_like_bytes(bytes)
        && !looks_wrapped(bytes)
}

/// `{"schema","payload"}` would be unwrapped by a reader of Debezium's format.
fn looks_wrapped(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\"payload\"").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_where_they_are_json() {
        let cases: [(Option<&[u8]>, &str); 11] = [
            (None, "null"),
            (Some(b"{\"a\": 1.0}"), "{\"a\": 1.0}"),
            (Some(b"{\r\n\"a\":\n1}"), "{  \"a\": 1}"),
            (Some(b"\"text\""), "\"text\""),
            (Some(b"12"), "12"),
            (Some(b"plain"), "{\"$bytes\":\"cGxhaW4=\"}"),
            (Some(b""), "{\"$bytes\":\"\"}"),
            (Some(b"null"), "{\"$bytes\":\"bnVsbA==\"}"),
            (Some(b"\xff\xfe"), "{\"$bytes\":\"//4=\"}"),
            (Some(b"\"\xff\""), "{\"$bytes\":\"Iv8i\"}"),
            (Some(b"{\"$bytes\":1}"), "{\"$bytes\":\"eyIkYnl0ZXMiOjF9\"}"),
        ];
        for (value, want) in cases {
            let mut out = b"before".to_vec();
            out.extend_from_slice(value.unwrap_or(&[]));
            end_value(&mut out, 6, value.is_some(), Trust::Foreign);
            assert_eq!(String::from_utf8_lossy(&out), format!("before{want}"), "{value:?}");
        }
    }

    #[test]
    fn headers_are_json_or_text_or_bytes() {
        let cases: [(Option<&[u8]>, &str); 10] = [
            (None, "null"),
            (Some(b"text"), "\"text\""),
            (Some(b"\"quoted\""), "\"\\\"quoted\\\"\""),
            (Some(b"null"), "\"null\""),
            (Some(b"12"), "12"),
            (Some(b"12 "), "\"12 \""),
            (Some(b"{\"a\": [1]}"), "{\"a\": [1]}"),
            (Some(b"{\"$bytes\":\"\"}"), "\"{\\\"$bytes\\\":\\\"\\\"}\""),
            (Some(b""), "\"\""),
            (Some(b"\xff"), "{\"$bytes\":\"/w==\"}"),
        ];
        for (value, want) in cases {
            let mut out = Vec::new();
            write_header(&mut out, true, "h", value);
            assert_eq!(String::from_utf8_lossy(&out), format!("[\"h\",{want}]"), "{value:?}");
        }
    }
}
