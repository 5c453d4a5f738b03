//! Writing JSON: strings with escapes, numbers. Append only, no allocation of its own.

mod check;

use std::borrow::Cow;

pub(crate) use check::is_value;

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    write_utf8(text.as_bytes(), out);
}

/// [`write_string`] for bytes that were checked to be UTF-8 when they came in.
pub(crate) fn write_utf8(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if needs_escapes(text) {
        write_escaped(text, out);
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

/// Whether a byte cannot stand in a JSON string as it is: eight bytes at a time.
fn needs_escapes(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    if words.iter().any(|w| word_needs_escapes(u64::from_le_bytes(*w))) {
        return true;
    }
    match (rest.is_empty(), text.last_chunk::<8>()) {
        (true, _) => false,
        // the last word overlaps what was looked at
        (false, Some(last)) => word_needs_escapes(u64::from_le_bytes(*last)),
        (false, None) => rest.iter().any(|b| escape(*b) != 0),
    }
}

/// Whether one of eight bytes is a quote, a backslash or a control character. The sums borrow
/// from higher bytes only where a lower one already hit, so the answer is exact.
fn word_needs_escapes(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    (control | quote | backslash) & !word & HIGH != 0
}

/// 0: stands for itself; `u`: written as \u00XX; else the letter after the backslash.
fn escape(byte: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const TABLE: [u8; 256] = {
        let mut table = [0; 256];
        let mut control = 0;
        while control < 0x20 {
            table[control] = b'u';
            control += 1;
        }
        table[0x08] = b'b';
        table[0x09] = b't';
        table[0x0a] = b'n';
        table[0x0c] = b'f';
        table[0x0d] = b'r';
        table[b'"' as usize] = b'"';
        table[b'\\' as usize] = b'\\';
        table
    };
    TABLE.get(usize::from(byte)).copied().unwrap_or(0)
}

#[cold]
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // Six bytes at most of each, gathered: most pieces between two escapes are short.
    const PIECE: usize = 32;
    for piece in text.chunks(PIECE) {
        let mut gathered = [0; 6 * PIECE];
        let mut end = 0;
        let mut push = |byte| {
            if let Some(slot) = gathered.get_mut(end) {
                *slot = byte;
            }
            end += 1;
        };
        for &byte in piece {
            match escape(byte) {
                0 => push(byte),
                b'u' => {
                    let nibble = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
                    b"\\u00".iter().for_each(|b| push(*b));
                    push(nibble(byte >> 4));
                    push(nibble(byte & 15));
                }
                letter => {
                    push(b'\\');
                    push(letter);
                }
            }
        }
        out.extend_from_slice(gathered.get(..end).unwrap_or(&[]));
    }
}

/// The text of a string that [`write_string`] wrote. `None`: something else.
pub(crate) fn read_string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.push(match (c, if c == '\\' { chars.next()? } else { c }) {
            ('\\', 'n') => '\n',
            ('\\', 'r') => '\r',
            ('\\', 't') => '\t',
            ('\\', 'b') => '\u{8}',
            ('\\', 'f') => '\u{c}',
            ('\\', 'u') => {
                let digits: String = chars.by_ref().take(4).collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
            (_, itself) => itself,
        });
    }
    Some(Cow::Owned(text))
}

/// Appends bytes as a string in base64 with padding.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    use base64::Engine as _;
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    let room = out.get_mut(start..).unwrap_or(&mut []);
    let written = base64::engine::general_purpose::STANDARD.encode_slice(bytes, room);
    debug_assert!(written.is_ok(), "the room is what base64 needs");
    out.push(b'"');
}

/// Appends bytes as a string in base64 with the letters of RFC 4648 section 5 and padding.
pub(crate) fn write_base64_url(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    write_base64(bytes, out);
    for letter in out.iter_mut().skip(start) {
        match letter {
            b'+' => *letter = b'-',
            b'/' => *letter = b'_',
            _ => {}
        }
    }
}

/// Appends bytes as a string of hexadecimal digits.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend(hex_digits(bytes));
    out.push(b'"');
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex_digits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    bytes.iter().flat_map(move |byte| [digit(byte >> 4), digit(byte & 15)])
}

/// Appends an integer.
pub fn write_int(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a float of single precision in its shortest form.
pub fn write_float32(value: f32, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return write_float(value.into(), out);
    }
    if value != 0.0 && value.abs() < 1e-43 {
        // Java prints no fewer than two digits, and down here the second one is not a zero
        out.extend_from_slice(format!("{value:.1e}").as_bytes());
        return;
    }
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
}

/// Appends a float; the values JSON cannot say become the strings "NaN", "Infinity", "-Infinity".
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn strings_round_trip_through_serde_json() {
        let long = "0123456789abcdef".repeat(4);
        for text in
            ["", "plain", "q\"b\\n\nr\rt\t", "\u{0}\u{8}\u{c}\u{1f}\u{7f}", "é中🎈", "/", &long]
        {
            let mut out = Vec::new();
            write_string(text, &mut out);
            let back: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(back, text);
            assert_eq!(read_string(std::str::from_utf8(&out).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn the_word_scan_sees_every_byte_at_every_place() {
        for len in 0..20 {
            for at in 0..len {
                for byte in 0..128_u8 {
                    let mut text = vec![b'x'; len];
                    text.splice(at..=at, [byte]);
                    assert_eq!(needs_escapes(&text), escape(byte) != 0, "{byte} at {at} of {len}");
                }
            }
        }
        assert!(!needs_escapes("é中🎈 é中🎈".as_bytes()));
    }

    #[test]
    fn bytes_and_floats() {
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        for (bytes, want) in [(&b""[..], "\"\""), (b"a", "\"YQ==\""), (b"abc", "\"YWJj\"")] {
            assert_eq!(written(&|out| write_base64(bytes, out)), want);
        }
        for (value, want) in [(0.1_f32, "0.1"), (1e-45, "1.4e-45"), (f32::NAN, "\"NaN\"")] {
            assert_eq!(written(&|out| write_float32(value, out)), want);
        }
        for (value, want) in [(-0.0, "-0.0"), (f64::NEG_INFINITY, "\"-Infinity\"")] {
            assert_eq!(written(&|out| write_float(value, out)), want);
        }
    }
}
