//! What stands for a large value that the source did not send: Debezium's
//! `unavailable.value.placeholder` in the form of each type, as recorded.

use std::borrow::Cow;

use md5::{Digest as _, Md5};
use wasmgate_model::{Kind, Logical, Style};

use super::cell::Cell;
use crate::json::{write_base64, write_int, write_utf8};

/// Debezium's default.
const TEXT: &[u8] = b"__debezium_unavailable_value";

/// The placeholder's form in a column; null where Debezium has none. `own`: another text.
pub(super) fn placeholder(
    cell: &Cell<'_>,
    logical: &Logical,
    style: Style,
    own: Option<&[u8]>,
) -> Cow<'static, [u8]> {
    let bytes = own.unwrap_or(TEXT);
    let mut out = Vec::new();
    match (cell, logical) {
        (Cell::Text(_), Logical::TextMap) => write_utf8(&map(bytes), &mut out),
        (Cell::Json(_), Logical::TextMap) => out = map(bytes),
        (Cell::Text(_) | Cell::DecimalText(_), _) => text(bytes, &mut out),
        (Cell::Base64(_), Logical::Plain) if style == Style::Plain => write_base64(bytes, &mut out),
        (_, Logical::Array(Kind::Text | Kind::Json)) => list(&mut out, |out| text(bytes, out)),
        (_, Logical::Array(Kind::Integer | Kind::DateDays)) => list(&mut out, |out| {
            for (i, byte) in bytes.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                // as Java has bytes
                write_int(i64::from(*byte as i8), out);
            }
        }),
        (_, Logical::Array(Kind::Uuid)) => list(&mut out, |out| uuid(bytes, out)),
        _ => return Cow::Borrowed(b"null"),
    }
    Cow::Owned(out)
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    write_utf8(String::from_utf8_lossy(bytes).as_bytes(), out);
}

fn list(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'[');
    write(out);
    out.push(b']');
}

fn map(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'{'];
    text(bytes, &mut out);
    out.push(b':');
    text(bytes, &mut out);
    out.push(b'}');
    out
}

/// The UUID (version 3) that has the text for its name.
fn uuid(name: &[u8], out: &mut Vec<u8>) {
    let digest: [u8; 16] = Md5::digest(name).into();
    let bits = u128::from_be_bytes(digest);
    let bits = bits & !(0xf000 << 64) & !(0xc000 << 48) | 0x3000 << 64 | 0x8000 << 48;
    let digits = format!("{bits:032x}");
    out.push(b'"');
    for (i, digit) in digits.bytes().enumerate() {
        if matches!(i, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        out.push(digit);
    }
    out.push(b'"');
}
