//! Decimal text as Connect's Decimal: the unscaled number in big-endian two's complement, in as
//! few bytes as hold it, in base64.

use base64::Engine as _;
use wasmgate_model::{ConnectSchema, ConnectShape};

use crate::json::{write_base64, write_int};

/// Why a decimal cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalError {
    NotDecimal,
    /// More fraction digits than the column has.
    TooFine,
}

/// A decimal, cut at its point.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Zeros that follow.
    zeros: usize,
}

impl<'a> Parts<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (whole, fraction) = match digits.iter().position(|b| *b == b'.') {
            Some(point) => (digits.get(..point)?, digits.get(point + 1..)?),
            None => (digits, &[][..]),
        };
        let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
        let some = whole.len() + fraction.len() > 0;
        (some && all_digits).then_some(Self { negative, whole, fraction, zeros: 0 })
    }

    /// Brings the number to `scale` digits after the point; `None` where digits would be lost.
    fn rescaled(mut self, scale: i32) -> Option<Self> {
        let keep = usize::try_from(scale).unwrap_or(0);
        match self.fraction.split_at_checked(keep) {
            Some((fraction, rest)) if rest.iter().all(|b| *b == b'0') => self.fraction = fraction,
            Some(_) => return None,
            None => self.zeros = keep - self.fraction.len(),
        }
        if scale < 0 {
            let end = self.whole.len().saturating_sub(scale.unsigned_abs() as usize);
            let (whole, rest) = self.whole.split_at(end);
            if rest.iter().any(|b| *b != b'0') {
                return None;
            }
            self.whole = whole;
        }
        Some(self)
    }

    fn digits(&self) -> impl Iterator<Item = u64> + '_ {
        let written = self.whole.iter().chain(self.fraction).map(|b| u64::from(b - b'0'));
        written.chain(std::iter::repeat_n(0, self.zeros))
    }

    fn write_unscaled(&self, out: &mut Vec<u8>) {
        if self.whole.len() + self.fraction.len() + self.zeros <= 18 {
            let magnitude = self.digits().fold(0, |n, d| n * 10 + d) as i64;
            let value = if self.negative { -magnitude } else { magnitude };
            write_base64(minimal(&value.to_be_bytes()), out);
        } else {
            write_base64(minimal(&self.big()), out);
        }
    }

    /// The unscaled number in big-endian two's complement, of any size.
    fn big(&self) -> Vec<u8> {
        // limbs of 64 bits, lowest first; 18 digits at a time
        let mut limbs: Vec<u64> = Vec::new();
        let mut digits = self.digits().peekable();
        while digits.peek().is_some() {
            let (mut factor, mut carry) = (1_u64, 0);
            for digit in digits.by_ref().take(18) {
                (factor, carry) = (factor * 10, carry * 10 + digit);
            }
            for limb in &mut limbs {
                let wide = u128::from(*limb) * u128::from(factor) + u128::from(carry);
                (*limb, carry) = (wide as u64, (wide >> 64) as u64);
            }
            if carry > 0 {
                limbs.push(carry);
            }
        }
        limbs.push(0); // room for the sign
        if self.negative {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
            }
        }
        limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect()
    }
}

/// Leaves out leading bytes that repeat the sign.
fn minimal(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [first, second, ..] = bytes {
        let sign = if second & 0x80 == 0 { 0 } else { 0xff };
        if *first != sign {
            break;
        }
        bytes = bytes.get(1..).unwrap_or(&[]);
    }
    bytes
}

/// Appends the unscaled number at `scale` as a base64 string.
pub(crate) fn write_scaled(text: &[u8], scale: i16, out: &mut Vec<u8>) -> Result<(), DecimalError> {
    let parts = Parts::of(text).ok_or(DecimalError::NotDecimal)?;
    parts.rescaled(scale.into()).ok_or(DecimalError::TooFine)?.write_unscaled(out);
    Ok(())
}

/// Appends the number with `scale` fraction digits.
pub(crate) fn write_number(text: &[u8], scale: i16, out: &mut Vec<u8>) -> Result<(), DecimalError> {
    let parts = Parts::of(text).ok_or(DecimalError::NotDecimal)?;
    let Parts { negative, whole, fraction, .. } = parts;
    // checked: no digit may be lost
    Parts { negative, whole, fraction, zeros: 0 }
        .rescaled(scale.into())
        .ok_or(DecimalError::TooFine)?;
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    let digits = usize::try_from(scale).unwrap_or(0);
    if digits > 0 {
        out.push(b'.');
        let kept = fraction.get(..digits).unwrap_or(fraction);
        out.extend_from_slice(kept);
        out.resize(out.len() + digits - kept.len(), b'0');
    }
    Ok(())
}

/// The scale of a Decimal schema.
fn scale_of(schema: &ConnectSchema) -> Option<i16> {
    if schema.name.as_deref() != Some("org.apache.kafka.connect.data.Decimal") {
        return None;
    }
    let (_, scale) = schema.parameters.iter().find(|(name, _)| &**name == "scale")?;
    scale.parse().ok()
}

/// The default of a Decimal as a number, from its base64.
pub(super) fn numeric_default(schema: &ConnectSchema, default: &str) -> Option<String> {
    let inner = default.strip_prefix('"')?.strip_suffix('"')?;
    number_of(inner, scale_of(schema)?)
}

/// The scale of the elements of an array of Decimals.
pub(super) fn element_scale(schema: &ConnectSchema) -> Option<i16> {
    match &schema.shape {
        ConnectShape::Array(item) => element_scale(item).or_else(|| scale_of(item)),
        _ => None,
    }
}

/// An array of unscaled numbers in base64 as an array of numbers.
pub(super) fn write_numbers(json: &[u8], scale: i16, out: &mut Vec<u8>) {
    // elements are strings of base64 letters, which have no escapes
    let mut parts = json.split(|b| *b == b'"');
    while let Some(between) = parts.next() {
        out.extend_from_slice(between);
        let Some(inner) = parts.next() else { break };
        let number = std::str::from_utf8(inner).ok().and_then(|text| number_of(text, scale));
        out.extend_from_slice(number.as_deref().unwrap_or("null").as_bytes());
    }
}

/// The number that base64 of an unscaled number stands for.
fn number_of(base64: &str, scale: i16) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let mut magnitude = bytes;
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|b| *b != 0) {
        let mut rest = 0_u32;
        for byte in &mut magnitude {
            let value = rest << 8 | u32::from(*byte);
            (*byte, rest) = ((value / 10) as u8, value % 10);
        }
        digits.push(char::from_digit(rest, 10).unwrap_or('0'));
    }
    let fraction = usize::try_from(scale).unwrap_or(0);
    while digits.len() <= fraction {
        digits.push('0');
    }
    let mut text: String = digits.iter().rev().collect();
    if fraction > 0 {
        text.insert(text.len() - fraction, '.');
    }
    text.push_str(&"0".repeat(usize::try_from(-i32::from(scale)).unwrap_or(0)));
    Some(if negative { format!("-{text}") } else { text })
}

/// Appends Debezium's VariableScaleDecimal. Zeros at the end of the fraction are left out.
pub(crate) fn write_free(text: &[u8], out: &mut Vec<u8>) -> Result<(), DecimalError> {
    let mut parts = Parts::of(text).ok_or(DecimalError::NotDecimal)?;
    while let [rest @ .., b'0'] = parts.fraction {
        parts.fraction = rest;
    }
    out.extend_from_slice(b"{\"scale\":");
    write_int(parts.fraction.len() as i64, out);
    out.extend_from_slice(b",\"value\":");
    parts.write_unscaled(out);
    out.push(b'}');
    Ok(())
}
