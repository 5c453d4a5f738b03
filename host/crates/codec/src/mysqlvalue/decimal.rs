//! The binary form of decimals: nine digits in four bytes, the rest of a side in as few as hold
//! them, the first bit inverted, and every byte of a negative number inverted.

use super::cursor::big;
use super::{ValueError, not};

/// Bytes that hold so many digits of less than nine.
const SHORT: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

fn side(digits: usize) -> usize {
    digits / 9 * 4 + SHORT.get(digits % 9).copied().unwrap_or(0)
}

/// How many bytes a decimal of this precision and scale takes.
pub(super) fn length(precision: u8, scale: u8) -> usize {
    side(usize::from(precision.saturating_sub(scale))) + side(usize::from(scale))
}

/// Appends the decimal as text: no zeros before the whole part, all digits of the fraction.
pub(super) fn write(
    bytes: &[u8],
    precision: u8,
    scale: u8,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    const WRONG: ValueError = not("a decimal");
    if bytes.len() != length(precision, scale) || scale > precision || precision > 65 {
        return Err(WRONG);
    }
    let negative = bytes.first().is_some_and(|b| b & 0x80 == 0);
    let mask = if negative { 0xff } else { 0 };
    let mut plain = [0_u8; 40];
    let plain = plain.get_mut(..bytes.len()).ok_or(WRONG)?;
    for (i, (to, from)) in plain.iter_mut().zip(bytes).enumerate() {
        *to = from ^ mask ^ if i == 0 { 0x80 } else { 0 };
    }
    let (whole, fraction) = (usize::from(precision - scale), usize::from(scale));
    let (before, after) = plain.split_at_checked(side(whole)).ok_or(WRONG)?;
    let start = out.len();
    if negative {
        out.push(b'-');
    }
    let first = out.len();
    // The short group stands first before the point, and last behind it.
    let (head, tail) = before.split_at_checked(side(whole % 9)).ok_or(WRONG)?;
    group(head, whole % 9, out);
    tail.chunks(4).for_each(|nine| group(nine, 9, out));
    let zeros = out.get(first..).unwrap_or(&[]).iter().take_while(|b| **b == b'0').count();
    out.drain(first..first + zeros);
    if out.len() == first {
        out.push(b'0');
    }
    if fraction > 0 {
        out.push(b'.');
        let (full, rest) = after.split_at_checked(fraction / 9 * 4).ok_or(WRONG)?;
        full.chunks(4).for_each(|nine| group(nine, 9, out));
        group(rest, fraction % 9, out);
    }
    let digits = out.get(first..).unwrap_or(&[]);
    if digits.iter().any(|b| !b.is_ascii_digit() && *b != b'.') {
        out.truncate(start);
        return Err(WRONG);
    }
    Ok(())
}

/// Appends a group of `digits`; what is larger than they hold leaves a mark that is no digit.
fn group(bytes: &[u8], digits: usize, out: &mut Vec<u8>) {
    let mut value = big(bytes);
    let start = out.len();
    out.resize(start + digits, b'0');
    for slot in out.get_mut(start..).unwrap_or(&mut []).iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
    if value > 0 {
        out.push(b'?');
    }
}
