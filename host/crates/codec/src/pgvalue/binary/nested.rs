//! Values made of values: binary to the server's text (`arrayfuncs.c`, `rangetypes.c`,
//! `tsvector.c`, `hstore_io.c`).

use super::{Sent, ended};
use crate::pgoutput::wire::Wire;
use crate::pgvalue::{ValueError, not};

/// Postgres allows no deeper arrays.
const MAX_DIMENSIONS: usize = 6;
/// Elements of an array, at most (`MaxArraySize`).
const MAX_ELEMENTS: u64 = 1 << 27;
/// The server makes no longer text (`MaxAllocSize`).
const MAX_TEXT: usize = 1 << 30;
/// Length of a null.
const NULL: u32 = u32::MAX;

const BAD_ARRAY: ValueError = not("an array");

/// What stands before an array's elements.
struct Head {
    /// Elements and first subscript, dimension by dimension.
    dimensions: Vec<(u32, i32)>,
}

impl Head {
    fn read(wire: &mut Wire<'_>) -> Result<Self, ValueError> {
        let count = wire.u32()? as usize;
        // whether there are nulls; the elements' type
        wire.u32()?;
        wire.u32()?;
        if count > MAX_DIMENSIONS {
            return Err(BAD_ARRAY);
        }
        let mut dimensions = Vec::new();
        for _ in 0..count {
            dimensions.push((wire.u32()?, wire.u32()? as i32));
        }
        let elements = dimensions.iter().try_fold(1, |n: u64, d| n.checked_mul(d.0.into()));
        match elements {
            Some(0..=MAX_ELEMENTS) => Ok(Self { dimensions }),
            _ => Err(BAD_ARRAY),
        }
    }

    fn is_empty(&self) -> bool {
        self.dimensions.is_empty() || self.dimensions.iter().any(|d| d.0 == 0)
    }
}

/// `{1,NULL,"a b"}`; subscripts that do not begin at 1 stand in front: `[0:1]={1,2}`.
pub(super) fn array(
    element: &Sent,
    between: u8,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    let head = Head::read(&mut wire)?;
    if head.is_empty() {
        out.extend_from_slice(b"{}");
        return ended(&wire);
    }
    if head.dimensions.iter().any(|d| d.1 != 1) {
        for (elements, first) in &head.dimensions {
            let last = i64::from(*first) + i64::from(*elements) - 1;
            out.extend_from_slice(format!("[{first}:{last}]").as_bytes());
        }
        out.push(b'=');
    }
    let mut writer = Writer { element, between, scratch: Vec::new() };
    writer.level(&head.dimensions, &mut wire, out)?;
    ended(&wire)
}

struct Writer<'a> {
    element: &'a Sent,
    between: u8,
    scratch: Vec<u8>,
}

impl Writer<'_> {
    fn level(
        &mut self,
        dimensions: &[(u32, i32)],
        wire: &mut Wire<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        let Some(((elements, _), inner)) = dimensions.split_first() else {
            return self.one(wire, out);
        };
        out.push(b'{');
        for i in 0..*elements {
            if i > 0 {
                out.push(self.between);
            }
            self.level(inner, wire, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn one(&mut self, wire: &mut Wire<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let Some(bytes) = nullable(wire)? else {
            out.extend_from_slice(b"NULL");
            return Ok(());
        };
        if out.len() > MAX_TEXT {
            return Err(not("an array whose text is shorter than 1 GiB"));
        }
        self.scratch.clear();
        self.element.text(bytes, &mut self.scratch)?;
        let between = self.between;
        let special =
            |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}') || *b == between || is_space(*b);
        let text = &self.scratch;
        let quoted =
            text.is_empty() || text.eq_ignore_ascii_case(b"NULL") || text.iter().any(special);
        if quoted {
            quote(text, b'\\', out);
        } else {
            out.extend_from_slice(text);
        }
        Ok(())
    }
}

fn nullable<'v>(wire: &mut Wire<'v>) -> Result<Option<&'v [u8]>, ValueError> {
    match wire.u32()? {
        NULL => Ok(None),
        length => Ok(Some(wire.bytes(length as usize)?)),
    }
}

/// What the server's parsers take for blank.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// In double quotes; `escape` stands before a quote, a backslash before a backslash.
fn quote(text: &[u8], escape: u8, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.push(escape),
            b'\\' => out.push(b'\\'),
            _ => {}
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// `1 2`
pub(super) fn vector(element: &Sent, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    let head = Head::read(&mut wire)?;
    let elements = if head.is_empty() { 0 } else { head.dimensions.iter().map(|d| d.0).sum() };
    for i in 0..elements {
        if i > 0 {
            out.push(b' ');
        }
        element.text(nullable(&mut wire)?.ok_or(BAD_ARRAY)?, out)?;
    }
    ended(&wire)
}

/// Flags, and the bounds that are there: `[1,5)`, `empty`.
pub(super) fn range(bound: &Sent, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    const EMPTY: u8 = 1;
    const LOWER_IN: u8 = 2;
    const UPPER_IN: u8 = 4;
    const LOWER_OPEN: u8 = 8;
    const UPPER_OPEN: u8 = 16;
    let mut wire = Wire::new(bytes);
    let flags = wire.u8()?;
    let has = |flag| flags & flag != 0;
    if has(EMPTY) {
        out.extend_from_slice(b"empty");
        return ended(&wire);
    }
    out.push(if has(LOWER_IN) { b'[' } else { b'(' });
    if !has(LOWER_OPEN) {
        limit(bound, wire.sized()?, out)?;
    }
    out.push(b',');
    if !has(UPPER_OPEN) {
        limit(bound, wire.sized()?, out)?;
    }
    out.push(if has(UPPER_IN) { b']' } else { b')' });
    ended(&wire)
}

fn limit(bound: &Sent, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut text = Vec::new();
    bound.text(bytes, &mut text)?;
    let special =
        |b: &u8| matches!(b, b'"' | b'\\' | b'(' | b')' | b'[' | b']' | b',') || is_space(*b);
    if text.is_empty() || text.iter().any(special) {
        quote(&text, b'"', out);
    } else {
        out.extend_from_slice(&text);
    }
    Ok(())
}

/// `'fat':2A,4 'cat':3`: lexemes with their places and weights.
pub(super) fn tsvector(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    for i in 0..wire.u32()? {
        out.extend_from_slice(if i > 0 { b" '" } else { b"'" });
        for byte in wire.text()?.bytes() {
            if matches!(byte, b'\'' | b'\\') {
                out.push(byte);
            }
            out.push(byte);
        }
        out.push(b'\'');
        for i in 0..wire.u16()? {
            out.push(if i > 0 { b',' } else { b':' });
            let packed = wire.u16()?;
            out.extend_from_slice(itoa::Buffer::new().format(packed & 0x3fff).as_bytes());
            let weight: &[u8] = match packed >> 14 {
                3 => b"A",
                2 => b"B",
                1 => b"C",
                _ => b"",
            };
            out.extend_from_slice(weight);
        }
    }
    ended(&wire)
}

/// `"a"=>"1", "b"=>NULL`
pub(super) fn hstore(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    for i in 0..wire.u32()? {
        out.extend_from_slice(if i > 0 { b", " } else { b"" });
        quote(wire.sized()?, b'\\', out);
        out.extend_from_slice(b"=>");
        match nullable(&mut wire)? {
            Some(value) => quote(value, b'\\', out),
            None => out.extend_from_slice(b"NULL"),
        }
    }
    ended(&wire)
}
