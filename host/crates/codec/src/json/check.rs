//! Whether bytes are one JSON value: for JSON that a stage wrote, before it goes out.

/// Deeper nesting is refused.
const MAX_DEPTH: u8 = 128;

/// Whether `text`, which is UTF-8, is a JSON value with nothing behind it.
pub(crate) fn is_value(text: &[u8]) -> bool {
    value(space(text), MAX_DEPTH).is_some_and(|rest| space(rest).is_empty())
}

fn space(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
    text.get(end.unwrap_or(text.len())..).unwrap_or(&[])
}

/// Each of these takes what stands first and gives back the rest.
fn value(text: &[u8], depth: u8) -> Option<&[u8]> {
    match text {
        [b'{', rest @ ..] => list(rest, b'}', depth.checked_sub(1)?, |text, depth| {
            let colon = space(string(text.strip_prefix(b"\"")?)?).strip_prefix(b":")?;
            value(space(colon), depth)
        }),
        [b'[', rest @ ..] => list(rest, b']', depth.checked_sub(1)?, value),
        [b'"', rest @ ..] => string(rest),
        [b't', ..] => text.strip_prefix(b"true"),
        [b'f', ..] => text.strip_prefix(b"false"),
        [b'n', ..] => text.strip_prefix(b"null"),
        _ => number(text),
    }
}

fn list(
    text: &[u8],
    end: u8,
    depth: u8,
    member: impl Fn(&[u8], u8) -> Option<&[u8]>,
) -> Option<&[u8]> {
    let mut rest = space(text);
    if rest.first() == Some(&end) {
        return rest.get(1..);
    }
    loop {
        rest = space(member(rest, depth)?);
        match rest.split_first()? {
            (b',', more) => rest = space(more),
            (close, more) if *close == end => return Some(more),
            _ => return None,
        }
    }
}

/// What follows the opening quote.
fn string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'u', after @ ..] => {
                let (hex, after) = after.split_first_chunk::<4>()?;
                hex.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                rest = after;
            }
            [b'\\', escaped, after @ ..] if b"\"\\/bfnrt".contains(escaped) => rest = after,
            [0x20..=0x5b | 0x5d..=0xff, after @ ..] => rest = after,
            _ => return None,
        }
    }
}

fn number(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let mut rest = match text {
        [b'0', rest @ ..] => rest,
        _ => digits(text)?,
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let sign = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-"));
        rest = digits(sign.unwrap_or(exponent))?;
    }
    Some(rest)
}

/// At least one digit.
fn digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
    text.get(count..).filter(|_| count > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agrees(text: &str) {
        let want = match serde_json::from_str::<serde_json::Value>(text) {
            // a matter of its reader, not of the syntax
            Err(error) if error.to_string().contains("out of range") => return,
            parsed => parsed.is_ok(),
        };
        assert_eq!(is_value(text.as_bytes()), want, "{text}");
    }

    proptest! {
        #[test]
        fn the_check_agrees_with_serde_json(text in "[\\[\\]{}\",:0-9truefalsn\\\\ .eE+-]{0,12}") {
            agrees(&text);
        }
    }
}
