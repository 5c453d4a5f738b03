//! Strings of checked documents: their text, and whether a name is the one that is looked for.

use std::borrow::Cow;

/// A string token without its quotes.
#[inline]
pub(super) fn inner(token: &[u8]) -> &[u8] {
    token.get(1..token.len().saturating_sub(1)).unwrap_or(&[])
}

/// Appends the text of a string token's inner bytes. The token was checked.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or(&[]));
        let escape = rest.get(at + 1..).unwrap_or(&[]);
        let used = match escape.first() {
            Some(b'u') => unescape_unit(escape, out),
            Some(&letter) => {
                out.push(match letter {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    itself => itself,
                });
                1
            }
            None => 0,
        };
        rest = escape.get(used..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
}

/// `escape` starts at the `u`. How many bytes were used: one unit, or a surrogate pair.
fn unescape_unit(escape: &[u8], out: &mut Vec<u8>) -> usize {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        digits.iter().try_fold(0_u32, |n, d| Some(n << 4 | char::from(*d).to_digit(16)?))
    };
    let first = unit(1).unwrap_or(0);
    let (code, used) = match (first, unit(7)) {
        (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => {
            (0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00), 11)
        }
        _ => (first, 5),
    };
    let text = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(text.encode_utf8(&mut [0; 4]).as_bytes());
    used
}

/// The text of a string token's inner bytes; borrowed where it has no escapes.
pub(super) fn decoded(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    unescape(raw, &mut text);
    Cow::Owned(text)
}

/// Whether a name token, quotes included, says `name`.
pub(super) fn is_name(token: &[u8], name: &str) -> bool {
    *decoded(inner(token)) == *name.as_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn text_equals_serde_json() {
        for token in [
            r#""""#,
            r#""plain""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u00e9\u4e2d\u0000""#,
            r#""a\ud83c\udf88b""#,
            r#""\uD83C\uDF88\u0041""#,
            r#""é中🎈\\u0041""#,
        ] {
            let want: String = serde_json::from_str(token).unwrap();
            assert_eq!(decoded(inner(token.as_bytes())), want.as_bytes(), "{token}");
            assert!(is_name(token.as_bytes(), &want));
        }
    }
}
