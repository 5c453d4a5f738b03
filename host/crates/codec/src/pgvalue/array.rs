//! The two nested text forms of Postgres, arrays and hstore, as JSON text.

use wasmgate_model::Column;

use super::{ColumnType, ValueError, not, push_text};
use crate::encode::Cell;
use crate::json;

/// Postgres allows no deeper arrays.
const MAX_DIMENSIONS: u8 = 6;

const BAD_ARRAY: ValueError = not("an array");
const BAD_HSTORE: ValueError = not("an hstore");

/// `{1,NULL,"a b"}`, nested as deep as it goes, as a JSON array whose elements are written as a
/// column of their type is.
pub(super) fn array(text: &[u8], ty: &ColumnType, out: &mut Vec<u8>) -> Result<(), ValueError> {
    // bounds that are not 1 stand in front: [0:1]={1,2}
    let body = match text.first() {
        Some(b'[') => {
            let equals = memchr::memchr(b'=', text).ok_or(BAD_ARRAY)?;
            text.get(equals + 1..).unwrap_or(&[])
        }
        _ => text,
    };
    let mut reader = Reader { rest: body, between: ty.form.between(), unquoted: Vec::new() };
    let mut writer = ElementWriter { ty, scratch: Column::new(ty.kind) };
    reader.level(&mut writer, out, MAX_DIMENSIONS)?;
    if reader.rest.is_empty() { Ok(()) } else { Err(BAD_ARRAY) }
}

struct ElementWriter<'a> {
    ty: &'a ColumnType,
    /// Holds one element at a time.
    scratch: Column,
}

impl ElementWriter<'_> {
    fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.scratch.clear();
        push_text(&mut self.scratch, self.ty, text)?;
        if self.scratch.is_null(0) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        let cell = Cell::new(&self.scratch, self.ty.kind, &self.ty.logical, self.ty.style);
        cell.write(0, out).map_err(|_| BAD_ARRAY)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// What stands between elements.
    between: u8,
    unquoted: Vec<u8>,
}

impl Reader<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Everything from a `{` to its `}`.
    fn level(
        &mut self,
        writer: &mut ElementWriter<'_>,
        out: &mut Vec<u8>,
        deeper: u8,
    ) -> Result<(), ValueError> {
        let deeper = deeper.checked_sub(1).ok_or(BAD_ARRAY)?;
        if !self.eat(b'{') {
            return Err(BAD_ARRAY);
        }
        out.push(b'[');
        if !self.eat(b'}') {
            loop {
                match self.rest.first() {
                    Some(b'{') => self.level(writer, out, deeper)?,
                    Some(b'"') => {
                        self.quoted().ok_or(BAD_ARRAY)?;
                        writer.write(&self.unquoted, out)?;
                    }
                    _ => self.bare(writer, out)?,
                }
                if self.eat(b'}') {
                    break;
                }
                if !self.eat(self.between) {
                    return Err(BAD_ARRAY);
                }
                out.push(b',');
            }
        }
        out.push(b']');
        Ok(())
    }

    fn bare(
        &mut self,
        writer: &mut ElementWriter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueError> {
        let end = memchr::memchr2(self.between, b'}', self.rest).ok_or(BAD_ARRAY)?;
        let (element, rest) = self.rest.split_at(end);
        self.rest = rest;
        match element {
            b"" => Err(BAD_ARRAY),
            b"NULL" => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            _ => writer.write(element, out),
        }
    }

    /// A string in double quotes, where a backslash stands before a quote or a backslash; the
    /// text without them is left in `unquoted`.
    fn quoted(&mut self) -> Option<()> {
        self.unquoted.clear();
        let mut rest = self.rest.strip_prefix(b"\"")?;
        loop {
            let at = memchr::memchr2(b'"', b'\\', rest)?;
            let (plain, after) = rest.split_at_checked(at)?;
            self.unquoted.extend_from_slice(plain);
            match after {
                [b'"', after @ ..] => {
                    self.rest = after;
                    return Some(());
                }
                [_, escaped, after @ ..] => {
                    self.unquoted.push(*escaped);
                    rest = after;
                }
                _ => return None,
            }
        }
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), ValueError> {
        self.quoted().ok_or(BAD_HSTORE)?;
        let text = std::str::from_utf8(&self.unquoted).map_err(|_| not("UTF-8"))?;
        json::write_string(text, out);
        Ok(())
    }
}

/// `"a"=>"1", "b"=>NULL` as `{"a":"1","b":null}`.
pub(super) fn hstore(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut reader = Reader { rest: text, between: b',', unquoted: Vec::new() };
    out.push(b'{');
    while !reader.rest.is_empty() {
        reader.string(out)?;
        out.push(b':');
        reader.rest = reader.rest.strip_prefix(b"=>").ok_or(BAD_HSTORE)?;
        match reader.rest.strip_prefix(b"NULL") {
            Some(rest) => {
                reader.rest = rest;
                out.extend_from_slice(b"null");
            }
            None => reader.string(out)?,
        }
        if let Some(rest) = reader.rest.strip_prefix(b", ") {
            out.push(b',');
            reader.rest = rest;
            if rest.is_empty() {
                return Err(BAD_HSTORE);
            }
        } else if !reader.rest.is_empty() {
            return Err(BAD_HSTORE);
        }
    }
    out.push(b'}');
    Ok(())
}
