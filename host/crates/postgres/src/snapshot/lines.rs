//! The rows of a COPY, in either of its formats (PostgreSQL manual, COPY, "File Formats"). Text:
//! tabs between values, `\N` for null, backslash escapes. Binary: the number of values, then each
//! behind its length. The server sends a row in a message of its own; in binary the first one also
//! has the header, and the end is a row of its own.

use memchr::{memchr, memchr_iter};
use wasmgate_codec::pgoutput::TupleValue;

/// What stands before the first row of a COPY in binary, and behind its flags the length of more.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const FLAGS: usize = 4;
/// In place of the number of values: there are no more rows.
const END: [u8; 2] = [0xff; 2];
/// Length of a null.
const NULL: u32 = u32::MAX;

/// How the rows of a COPY are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    /// What asks for it, behind `TO STDOUT`.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::Binary => " (FORMAT binary)",
        }
    }

    /// The row in a message; `None`: there is none in it.
    pub(crate) fn row(self, body: &[u8]) -> Option<&[u8]> {
        if self == Self::Text {
            return Some(body);
        }
        let row = match body.strip_prefix(SIGNATURE) {
            None => body,
            Some(head) => {
                let (length, rest) = head.get(FLAGS..)?.split_first_chunk::<4>()?;
                rest.get(u32::from_be_bytes(*length) as usize..)?
            }
        };
        (!row.is_empty() && row != END).then_some(row)
    }
}

/// Takes rows apart; memory for values that had to be unescaped is used again.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    unescaped: Vec<u8>,
    /// End of each value in `unescaped`; `None`: null.
    ends: Vec<Option<usize>>,
}

impl Lines {
    /// The values of a row; a line of text may end with its newline. In text a table without
    /// columns gives one empty value.
    pub(crate) fn values<'v>(&'v mut self, format: Format, line: &'v [u8]) -> Values<'v> {
        if format == Format::Binary {
            return Values(Kept::Binary(line.get(2..).unwrap_or(&[])));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        // Most lines hold no backslash: their values lie there as they are.
        if memchr(b'\\', line).is_none() {
            return Values(Kept::Plain(Some(line)));
        }
        self.unescaped.clear();
        self.ends.clear();
        let mut from = 0;
        for tab in memchr_iter(b'\t', line).chain([line.len()]) {
            let field = line.get(from..tab).unwrap_or(&[]);
            from = tab + 1;
            if field == b"\\N" {
                self.ends.push(None);
            } else {
                unescape(field, &mut self.unescaped);
                self.ends.push(Some(self.unescaped.len()));
            }
        }
        Values(Kept::Unescaped { bytes: &self.unescaped, ends: self.ends.iter(), from: 0 })
    }
}

fn unescape(field: &[u8], out: &mut Vec<u8>) {
    let mut rest = field;
    while let Some(at) = memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&[_, letter], after)) = escape.split_first_chunk::<2>() else {
            rest = &[];
            break;
        };
        out.push(match letter {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            other => other,
        });
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Takes the next value off what is left of a row in binary. `None`: there is none, or not all of
/// it.
#[inline]
pub(crate) fn next_binary<'v>(row: &mut &'v [u8]) -> Option<TupleValue<'v>> {
    let (length, rest) = row.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    if length == NULL {
        *row = rest;
        return Some(TupleValue::Null);
    }
    let (value, rest) = rest.split_at_checked(length as usize)?;
    *row = rest;
    Some(TupleValue::Binary(value))
}

/// The values of a row, in order.
pub(crate) struct Values<'v>(Kept<'v>);

enum Kept<'v> {
    /// What is left of the row.
    Binary(&'v [u8]),
    /// What is left of the line.
    Plain(Option<&'v [u8]>),
    Unescaped {
        bytes: &'v [u8],
        ends: std::slice::Iter<'v, Option<usize>>,
        from: usize,
    },
}

impl<'v> Iterator for Values<'v> {
    type Item = TupleValue<'v>;

    fn next(&mut self) -> Option<TupleValue<'v>> {
        match &mut self.0 {
            Kept::Binary(row) => next_binary(row),
            Kept::Plain(line) => {
                let rest = line.take()?;
                let value = match memchr(b'\t', rest) {
                    Some(tab) => {
                        *line = rest.get(tab + 1..);
                        rest.get(..tab).unwrap_or(&[])
                    }
                    None => rest,
                };
                Some(TupleValue::Text(value))
            }
            Kept::Unescaped { bytes, ends, from } => Some(match ends.next()? {
                None => TupleValue::Null,
                Some(end) => {
                    let value = bytes.get(*from..*end).unwrap_or(&[]);
                    *from = *end;
                    TupleValue::Text(value)
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        type Case = (&'static [u8], &'static [Option<&'static [u8]>]);
        let cases: &[Case] = &[
            (b"1\tabc\n", &[Some(b"1"), Some(b"abc")]),
            (b"1\t\t\n", &[Some(b"1"), Some(b""), Some(b"")]),
            (b"\\N\t\t\\\\N\n", &[None, Some(b""), Some(b"\\N")]),
            (b"a\\tb\\nc\\\\\\rd\\b\\f\\v\n", &[Some(b"a\tb\nc\\\rd\x08\x0c\x0b")]),
            (b"\n", &[Some(b"")]),
            (b"\\\\x00\\\\\n", &[Some(b"\\x00\\")]),
            (b"x\t\\N", &[Some(b"x"), None]),
            (b"cut\\", &[Some(b"cut")]),
        ];
        let mut lines = Lines::default();
        for (line, want) in cases {
            let values = lines.values(Format::Text, line).map(|value| match value {
                TupleValue::Text(text) => Some(text),
                _ => None,
            });
            assert_eq!(values.collect::<Vec<_>>(), *want, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn rows_in_binary_are_taken_apart() {
        use TupleValue::{Binary, Null};
        let head = |rest: &[u8]| [b"PGCOPY\n\xff\r\n\0\0\0\0\0", rest].concat();
        let row: &[u8] = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        let whole = vec![Binary(b"ab"), Null, Binary(b"")];
        let cases: Vec<(Vec<u8>, Option<Vec<TupleValue<'_>>>)> = vec![
            (row.into(), Some(whole.clone())),
            (head(&[b"\0\0\0\0", row].concat()), Some(whole.clone())),
            (head(&[b"\0\0\0\x03add", row].concat()), Some(whole)),
            (head(b"\0\0\0\0\xff\xff"), None),
            (head(b"\0\0\0\0"), None),
            (head(b"\0\0\0\x09"), None),
            (b"\xff\xff".into(), None),
            (b"\0\0".into(), Some(vec![])),
            (b"\0\x01\0\0\0\x09cut".into(), Some(vec![])),
        ];
        let mut lines = Lines::default();
        for (body, want) in &cases {
            let row = Format::Binary.row(body);
            let got = row.map(|row| lines.values(Format::Binary, row).collect::<Vec<_>>());
            assert_eq!(got, *want, "{}", body.escape_ascii());
        }
    }
}
