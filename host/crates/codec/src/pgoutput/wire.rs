//! A cursor over one message. Errors are what was expected; the caller adds where.

use super::{Tuple, TupleValue};

/// The bytes that are left of a message.
pub(crate) struct Wire<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// How many bytes were read.
    pub(crate) fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    pub(crate) fn end(&self) -> Result<(), &'static str> {
        if self.rest.is_empty() { Ok(()) } else { Err("the end of the message") }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], &'static str> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(what)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, &'static str> {
        self.array::<1>("one more byte").map(|[b]| b)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, &'static str> {
        self.array("a 16-bit number").map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, &'static str> {
        self.array("a 32-bit number").map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, &'static str> {
        self.array("a 64-bit number").map(u64::from_be_bytes)
    }

    pub(crate) fn expect(&mut self, tag: u8, what: &'static str) -> Result<(), &'static str> {
        match self.rest.split_first() {
            Some((&found, rest)) if found == tag => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(what),
        }
    }

    /// Text that ends with a zero byte.
    pub(crate) fn text(&mut self) -> Result<&'a str, &'static str> {
        let end = memchr::memchr(0, self.rest).ok_or("text that ends with a zero byte")?;
        let (text, rest) = self.rest.split_at(end);
        let text = simdutf8::basic::from_utf8(text).map_err(|_| "text in UTF-8")?;
        self.rest = rest.get(1..).unwrap_or(&[]);
        Ok(text)
    }

    /// Bytes with their length before them.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], &'static str> {
        let len = self.u32()? as usize;
        self.bytes(len)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or("as many bytes as announced")?;
        self.rest = rest;
        Ok(bytes)
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn tuple_value(&mut self) -> Result<TupleValue<'a>, &'static str> {
        Ok(match self.u8()? {
            b't' => TupleValue::Text(self.sized()?),
            b'n' => TupleValue::Null,
            b'u' => TupleValue::Unchanged,
            b'b' => TupleValue::Binary(self.sized()?),
            _ => return Err("a value ('n', 'u', 't' or 'b')"),
        })
    }

    pub(crate) fn tuple(&mut self) -> Result<Tuple<'a>, &'static str> {
        let columns = self.u16()?;
        let start = self.rest;
        for _ in 0..columns {
            self.tuple_value()?;
        }
        let values = start.get(..start.len() - self.rest.len()).unwrap_or(&[]);
        Ok(Tuple { columns, values })
    }
}
