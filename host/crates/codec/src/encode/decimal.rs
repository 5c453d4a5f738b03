//! Decimal text as Connect's Decimal: the unscaled number in big-endian two's complement, in as
//! few bytes as hold it, in base64.

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
