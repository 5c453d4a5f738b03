//! Numbers, and figures and vectors made of them: binary to the server's text.

use super::floats::{float4, float8};
use super::{Figure, Sent, ended, fixed};
use crate::pgoutput::wire::Wire;
use crate::pgvalue::{ValueError, not};

/// Signs of a `numeric`; those of NaN and infinities are others.
const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
/// Where its sign stands.
const SIGN: std::ops::Range<usize> = 4..6;
/// Digits behind the point, at most.
const SCALE_MAX: u16 = 0x3fff;

pub(super) fn text(sent: &Sent, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match sent {
        Sent::Float4 => float4(f32::from_be_bytes(fixed(bytes)?), out),
        Sent::Float8 => float8(f64::from_be_bytes(fixed(bytes)?), out),
        Sent::Money => money(i64::from_be_bytes(fixed(bytes)?), out),
        _ => return numeric(bytes, out),
    }
    Ok(())
}

/// Whether a `numeric` is neither NaN nor infinite.
pub(super) fn is_finite(bytes: &[u8]) -> bool {
    let sign = bytes.get(SIGN).and_then(|sign| sign.try_into().ok()).map(u16::from_be_bytes);
    matches!(sign, Some(POSITIVE | NEGATIVE))
}

/// Number of digits, weight of the first, sign, scale; then digits of base 10,000
/// (`numeric_send`).
pub(super) fn numeric(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    const WRONG: ValueError = not("a decimal number");
    let (head, digits) = bytes.split_first_chunk::<8>().ok_or(WRONG)?;
    let [n1, n2, w1, w2, s1, s2, d1, d2] = *head;
    let (count, weight) = (u16::from_be_bytes([n1, n2]), i16::from_be_bytes([w1, w2]));
    let (sign, scale) = (u16::from_be_bytes([s1, s2]), u16::from_be_bytes([d1, d2]));
    let (digits, rest) = digits.as_chunks::<2>();
    if digits.len() != usize::from(count) || !rest.is_empty() || scale > SCALE_MAX {
        return Err(WRONG);
    }
    match sign {
        POSITIVE => {}
        NEGATIVE => out.push(b'-'),
        0xc000 => return word(b"NaN", out),
        0xd000 => return word(b"Infinity", out),
        0xf000 => return word(b"-Infinity", out),
        _ => return Err(WRONG),
    }
    let mut digits = digits.iter().map(|pair| u16::from_be_bytes(*pair));
    if weight < 0 {
        out.push(b'0');
    }
    for place in 0..=weight {
        let digit = digits.next().unwrap_or(0);
        let four = four(digit)?;
        if place == 0 {
            out.extend_from_slice(itoa::Buffer::new().format(digit).as_bytes());
        } else {
            out.extend_from_slice(&four);
        }
    }
    if scale == 0 {
        return Ok(());
    }
    out.push(b'.');
    let end = out.len() + usize::from(scale);
    // Digits between the point and the first one that is there.
    let zeros = usize::try_from(-1 - i32::from(weight)).unwrap_or(0) * 4;
    out.resize((out.len() + zeros).min(end), b'0');
    while out.len() < end {
        out.extend_from_slice(&four(digits.next().unwrap_or(0))?);
    }
    out.truncate(end);
    Ok(())
}

fn word(word: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.extend_from_slice(word);
    Ok(())
}

/// A digit of base 10,000.
fn four(digit: u16) -> Result<[u8; 4], ValueError> {
    if digit > 9999 {
        return Err(not("a decimal number"));
    }
    let ascii = |digit: u16| b'0' + digit as u8;
    Ok([ascii(digit / 1000), ascii(digit / 100 % 10), ascii(digit / 10 % 10), ascii(digit % 10)])
}

/// Cents as `-$1,234.50`, which is what the locale C has.
fn money(cents: i64, out: &mut Vec<u8>) {
    let sign = if cents < 0 { "-" } else { "" };
    out.extend_from_slice(sign.as_bytes());
    out.push(b'$');
    let cents = cents.unsigned_abs();
    let mut figures = itoa::Buffer::new();
    let whole = figures.format(cents / 100).as_bytes();
    for (i, digit) in whole.iter().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(b',');
        }
        out.push(*digit);
    }
    let fraction = (cents % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + fraction / 10, b'0' + fraction % 10]);
}

pub(super) fn figure(figure: Figure, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    match figure {
        Figure::Point => point(&mut wire, out)?,
        Figure::Line => {
            out.push(b'{');
            doubles(&mut wire, 3, out)?;
            out.push(b'}');
        }
        Figure::Segment => points(&mut wire, 2, (b"[", b"]"), out)?,
        Figure::Box => points(&mut wire, 2, (b"", b""), out)?,
        Figure::Path => {
            let around: (&[u8], &[u8]) = match wire.u8()? {
                0 => (b"[", b"]"),
                _ => (b"(", b")"),
            };
            let count = wire.u32()?;
            points(&mut wire, count, around, out)?;
        }
        Figure::Polygon => {
            let count = wire.u32()?;
            points(&mut wire, count, (b"(", b")"), out)?;
        }
        Figure::Circle => {
            out.push(b'<');
            point(&mut wire, out)?;
            out.push(b',');
            doubles(&mut wire, 1, out)?;
            out.push(b'>');
        }
    }
    ended(&wire)
}

fn points(
    wire: &mut Wire<'_>,
    count: u32,
    (before, after): (&[u8], &[u8]),
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    out.extend_from_slice(before);
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        point(wire, out)?;
    }
    out.extend_from_slice(after);
    Ok(())
}

fn point(wire: &mut Wire<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.push(b'(');
    doubles(wire, 2, out)?;
    out.push(b')');
    Ok(())
}

fn doubles(wire: &mut Wire<'_>, count: usize, out: &mut Vec<u8>) -> Result<(), ValueError> {
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        float8(f64::from_bits(wire.u64()?), out);
    }
    Ok(())
}

/// `[1,2.5]`: number of elements, nothing, floats of 32 or 16 bits.
pub(super) fn floats(bytes: &[u8], half: bool, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    let count = wire.u16()?;
    wire.u16()?;
    out.push(b'[');
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        float4(if half { widened(wire.u16()?) } else { f32::from_bits(wire.u32()?) }, out);
    }
    out.push(b']');
    ended(&wire)
}

/// A float of 16 bits (IEEE 754 binary16).
fn widened(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(half >> 10 & 0x1f), f32::from(half & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    }
}

/// `{1:1.5,5:-2}/5`: dimensions, number of elements, nothing, their places from 0, their values.
pub(super) fn sparse(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    let (dimensions, count) = (wire.u32()?, wire.u32()?);
    wire.u32()?;
    let (places, values) = wire
        .rest()
        .as_chunks::<4>()
        .0
        .split_at_checked(count as usize)
        .filter(|(places, values)| values.len() == places.len())
        .ok_or(not("as many elements as announced"))?;
    let mut figures = itoa::Buffer::new();
    out.push(b'{');
    for (i, (place, value)) in places.iter().zip(values).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let place = i64::from(u32::from_be_bytes(*place)) + 1;
        out.extend_from_slice(figures.format(place).as_bytes());
        out.push(b':');
        float4(f32::from_be_bytes(*value), out);
    }
    out.extend_from_slice(b"}/");
    out.extend_from_slice(figures.format(dimensions).as_bytes());
    Ok(())
}
