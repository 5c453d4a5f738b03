//! COPY's text format: tabs between values, `\N` for null, backslash escapes (PostgreSQL manual,
//! COPY, "Text Format").

use memchr::{memchr, memchr_iter};
use wasmgate_codec::pgoutput::TupleValue;

/// Takes lines apart; memory for values that had to be unescaped is used again.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    unescaped: Vec<u8>,
    /// End of each value in `unescaped`; `None`: null.
    ends: Vec<Option<usize>>,
}

impl Lines {
    /// The values of one line, which may end with its newline. A table without columns gives one
    /// empty value.
    pub(crate) fn values<'v>(&'v mut self, line: &'v [u8]) -> Values<'v> {
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

/// The values of a line, in order.
pub(crate) struct Values<'v>(Kept<'v>);

enum Kept<'v> {
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
            let values = lines.values(line).map(|value| match value {
                TupleValue::Text(text) => Some(text),
                _ => None,
            });
            assert_eq!(values.collect::<Vec<_>>(), *want, "{}", line.escape_ascii());
        }
    }
}
