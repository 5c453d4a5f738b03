//! Numbers, bytes and bits as Postgres prints them.

use super::{ValueError, not};

/// An integer of at most 64 bits.
pub(super) fn parse_int(text: &[u8]) -> Result<i64, ValueError> {
    const WRONG: ValueError = not("an integer of 64 bits");
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    // 18 digits always fit; longer ones take the checked way
    if digits.is_empty() || digits.len() > 18 {
        let text = std::str::from_utf8(text).map_err(|_| WRONG)?;
        return text.parse().map_err(|_| WRONG);
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(WRONG);
        }
        value = value * 10 + i64::from(digit);
    }
    Ok(if negative { -value } else { value })
}

/// A float; `NaN` and `Infinity` are values.
pub(super) fn parse_float<F: std::str::FromStr>(text: &[u8]) -> Result<F, ValueError> {
    let parsed = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    parsed.ok_or(not("a floating-point number"))
}

/// Whether the text is a plain decimal: digits with at most one point between them and a minus
/// before them.
pub(super) fn is_decimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let mut points = 0;
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits.last().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|b| {
            points += u8::from(*b == b'.');
            b.is_ascii_digit() || (*b == b'.' && points == 1)
        })
}

/// `-$1,234.50` as decimal text with this many fraction digits, rounded half away from zero.
pub(super) fn money(text: &[u8], digits: u8, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let start = out.len();
    out.extend(text.iter().filter(|b| !matches!(b, b'$' | b',')));
    if !out.get(start..).is_some_and(is_decimal) {
        return Err(not("an amount of money in the C locale"));
    }
    let has = out.iter().rev().take_while(|b| **b != b'.').count();
    match (usize::from(digits), out.get(start..).is_some_and(|t| t.contains(&b'.'))) {
        (2, _) => {}
        (wanted, true) if wanted > has => out.resize(out.len() + wanted - has, b'0'),
        (wanted, true) if wanted < has => round(out, start, has - wanted),
        _ => {}
    }
    Ok(())
}

/// Takes `drop` digits off the end of a decimal at `start` of `out`, rounding half away from zero.
fn round(out: &mut Vec<u8>, start: usize, drop: usize) {
    let end = out.len() - drop;
    let up = out.get(end).is_some_and(|b| *b >= b'5');
    out.truncate(end);
    if out.last() == Some(&b'.') {
        out.pop();
    }
    let mut at = out.len();
    let mut carry = up;
    while carry && at > start {
        at -= 1;
        match out.get_mut(at) {
            Some(digit @ b'0'..=b'8') => (*digit, carry) = (*digit + 1, false),
            Some(digit @ b'9') => *digit = b'0',
            Some(b'.') => {}
            _ => break,
        }
    }
    if carry {
        let first = if out.get(start) == Some(&b'-') { start + 1 } else { start };
        out.insert(first, b'1');
    }
}

/// `\x00ff`.
pub(super) fn hex(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    const WRONG: ValueError = not("bytes in hex form");
    let (pairs, rest) = text.strip_prefix(b"\\x").ok_or(WRONG)?.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(WRONG);
    }
    let start = out.len();
    let mut seen = 0;
    out.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (nibble(*high), nibble(*low));
        seen |= high | low;
        high << 4 | low & 15
    }));
    if seen > 15 {
        out.truncate(start);
        return Err(WRONG);
    }
    Ok(())
}

/// Value of a hex digit; above 15 for other bytes.
fn nibble(byte: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const TABLE: [u8; 256] = {
        let mut table = [u8::MAX; 256];
        let mut digit = 0;
        while digit < 16 {
            table[b"0123456789abcdef"[digit] as usize] = digit as u8;
            table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
            digit += 1;
        }
        table
    };
    TABLE.get(usize::from(byte)).copied().unwrap_or(u8::MAX)
}

/// `1011` as little-endian bytes without high zero bytes.
pub(super) fn bits(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let start = out.len();
    for eight in text.rchunks(8) {
        let mut byte = 0;
        for bit in eight {
            if !matches!(bit, b'0' | b'1') {
                return Err(not("a bit string"));
            }
            byte = byte << 1 | (bit & 1);
        }
        out.push(byte);
    }
    while out.len() > start && out.last() == Some(&0) {
        out.pop();
    }
    Ok(())
}
