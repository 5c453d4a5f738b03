//! MySQL's binary JSON as text, compact, with object keys in the server's order: what Debezium
//! writes for the stream, but for times, which it garbles. Values that JSON has not are written as
//! the server prints them (dates, times) or in base64 (bytes).

mod diff;

use super::cursor::Cursor;
use super::temporal::{json_date_time, json_time};
use super::{ValueError, decimal, mysql_type as t, not};
use crate::json::{write_base64, write_float, write_int, write_utf8};

pub use diff::apply_diffs;

const WRONG: ValueError = not("binary JSON");
/// The server refuses documents that are deeper than 100.
const DEPTH_MAX: u8 = 110;

/// Appends a document as text; an empty value is JSON's null, as for the server.
///
/// # Errors
/// The bytes are no document; what was appended stays to be cut off.
pub fn write_json(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match bytes.split_first() {
        None => out.extend_from_slice(b"null"),
        Some((kind, value)) => Node::new(*kind, value).ok_or(WRONG)?.write(out, DEPTH_MAX)?,
    }
    Ok(())
}

/// A value in a document: its type and the bytes that start with it. Offsets inside count from
/// there.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node<'a> {
    kind: u8,
    bytes: &'a [u8],
}

/// How many elements a container has, and how its entries are laid out.
#[derive(Debug, Clone, Copy)]
struct Container<'a> {
    bytes: &'a [u8],
    object: bool,
    large: bool,
    count: usize,
}

impl<'a> Node<'a> {
    fn new(kind: u8, bytes: &'a [u8]) -> Option<Self> {
        (kind <= 0x0f).then_some(Self { kind, bytes })
    }

    fn container(self) -> Option<Container<'a>> {
        let (object, large) = match self.kind {
            0 => (true, false),
            1 => (true, true),
            2 => (false, false),
            3 => (false, true),
            _ => return None,
        };
        let word = if large { 4 } else { 2 };
        let mut cursor = Cursor(self.bytes);
        let count = usize::try_from(cursor.le(word)?).ok()?;
        let size = usize::try_from(cursor.le(word)?).ok()?;
        let bytes = self.bytes.get(..size)?;
        let container = Container { bytes, object, large, count };
        (container.values_at(count)? <= bytes.len()).then_some(container)
    }

    /// The bytes of a string or an opaque value behind its length.
    fn sized(bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (mut length, mut cursor) = (0_usize, Cursor(bytes));
        for shift in (0..35).step_by(7) {
            let byte = cursor.u8()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return cursor.take(length);
            }
        }
        None
    }

    fn write(self, out: &mut Vec<u8>, depth: u8) -> Result<(), ValueError> {
        if self.kind <= 3 {
            let container = self.container().ok_or(WRONG)?;
            let depth = depth.checked_sub(1).ok_or(not("JSON of at most 100 levels"))?;
            return container.write(out, depth);
        }
        self.write_scalar(out).ok_or(WRONG)
    }

    fn write_scalar(self, out: &mut Vec<u8>) -> Option<()> {
        let mut cursor = Cursor(self.bytes);
        match self.kind {
            4 => out.extend_from_slice(match cursor.u8()? {
                0 => b"null",
                1 => b"true",
                2 => b"false",
                _ => return None,
            }),
            5 => write_int(i16::from_le_bytes(cursor.array()?).into(), out),
            6 => write_int(u16::from_le_bytes(cursor.array()?).into(), out),
            7 => write_int(i32::from_le_bytes(cursor.array()?).into(), out),
            8 => write_int(u32::from_le_bytes(cursor.array()?).into(), out),
            9 => write_int(i64::from_le_bytes(cursor.array()?), out),
            10 => {
                let value = u64::from_le_bytes(cursor.array()?);
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            11 => write_double(f64::from_le_bytes(cursor.array()?), out),
            12 => {
                let text = Self::sized(self.bytes)?;
                std::str::from_utf8(text).ok()?;
                write_utf8(text, out);
            }
            15 => opaque(cursor.u8()?, Self::sized(cursor.0)?, out)?,
            _ => return None,
        }
        Some(())
    }
}

impl<'a> Container<'a> {
    fn word(&self) -> usize {
        if self.large { 4 } else { 2 }
    }

    /// Where value entry `i` stands: behind both sizes and, in an object, all key entries.
    fn values_at(&self, i: usize) -> Option<usize> {
        let word = self.word();
        let keys = if self.object { self.count.checked_mul(word + 2)? } else { 0 };
        i.checked_mul(1 + word)?.checked_add(2 * word + keys)
    }

    fn key(&self, i: usize) -> Option<&'a [u8]> {
        let word = self.word();
        let mut entry = Cursor(self.bytes.get(2 * word + i * (word + 2)..)?);
        let offset = usize::try_from(entry.le(word)?).ok()?;
        let length = usize::from(u16::from_le_bytes(entry.array()?));
        self.bytes.get(offset..offset.checked_add(length)?)
    }

    fn value(&self, i: usize) -> Option<Node<'a>> {
        let word = self.word();
        let (kind, slot) = self.bytes.get(self.values_at(i)?..)?.split_first()?;
        let inline = matches!(kind, 4..=6) || self.large && matches!(kind, 7 | 8);
        if inline {
            return Node::new(*kind, slot.get(..word)?);
        }
        let offset = usize::try_from(Cursor(slot).le(word)?).ok()?;
        Node::new(*kind, self.bytes.get(offset..)?)
    }

    fn write(&self, out: &mut Vec<u8>, depth: u8) -> Result<(), ValueError> {
        let (open, close) = if self.object { (b'{', b'}') } else { (b'[', b']') };
        out.push(open);
        for i in 0..self.count {
            if i > 0 {
                out.push(b',');
            }
            if self.object {
                let key = self.key(i).ok_or(WRONG)?;
                std::str::from_utf8(key).map_err(|_| WRONG)?;
                write_utf8(key, out);
                out.push(b':');
            }
            self.value(i).ok_or(WRONG)?.write(out, depth)?;
        }
        out.push(close);
        Ok(())
    }
}

/// Large and small doubles are written without an exponent, as Debezium does.
fn write_double(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) || !value.is_finite() {
        write_float(value, out);
    } else if value.fract() == 0.0 {
        out.extend_from_slice(format!("{value:.0}").as_bytes());
    } else {
        out.extend_from_slice(format!("{value}").as_bytes());
    }
}

/// A value of another type of the server, which its type's number says.
fn opaque(ty: u8, bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let packed = || bytes.first_chunk::<8>().map(|b| i64::from_le_bytes(*b));
    match ty {
        t::NEWDECIMAL => {
            let ([precision, scale], digits) = bytes.split_first_chunk::<2>()?;
            decimal::write(digits, *precision, *scale, out).ok()?;
        }
        t::DATE => {
            let (date, _) = json_date_time(packed()?);
            let text = format!("\"{:04}-{:02}-{:02}\"", date.year, date.month, date.day);
            out.extend_from_slice(text.as_bytes());
        }
        t::DATETIME | t::TIMESTAMP => {
            let (date, us) = json_date_time(packed()?);
            let text = format!("\"{:04}-{:02}-{:02} ", date.year, date.month, date.day);
            out.extend_from_slice(text.as_bytes());
            crate::encode::write_time(us, out);
            out.push(b'"');
        }
        t::TIME => {
            let us = json_time(packed()?);
            let (sign, us) = (if us < 0 { "-" } else { "" }, us.unsigned_abs());
            let (s, fraction) = (us / 1_000_000, us % 1_000_000);
            let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
            let text = format!("\"{sign}{h:02}:{m:02}:{s:02}.{fraction:06}\"");
            out.extend_from_slice(text.as_bytes());
        }
        _ => write_base64(bytes, out),
    }
    Some(())
}
