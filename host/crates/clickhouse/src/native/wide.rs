//! Decimal text to whole numbers of up to 256 bits in little-endian two's complement.

/// A number of 256 bits without sign, lowest limb first.
pub(crate) type Limbs = [u64; 4];

/// Why a text is not a number of the wanted form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    NotNumber,
    /// More fraction digits than wanted, and not zeros.
    TooFine,
    TooLarge,
}

/// Sign and magnitude of a text like `-12.50` times 10^`scale`.
pub(crate) fn scaled(text: &[u8], scale: u8) -> Result<(bool, Limbs), NumberError> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let (whole, fraction) = match digits.iter().position(|b| *b == b'.') {
        Some(point) => digits.split_at(point),
        None => (digits, &[][..]),
    };
    let fraction = fraction.get(1..).unwrap_or(&[]);
    if whole.is_empty() && fraction.is_empty() {
        return Err(NumberError::NotNumber);
    }
    let (kept, lost) = fraction.split_at(fraction.len().min(usize::from(scale)));
    let mut value = Magnitude::default();
    for digit in whole.iter().chain(kept) {
        value.push(*digit)?;
    }
    for _ in kept.len()..usize::from(scale) {
        value.push(b'0')?;
    }
    if lost.iter().any(|digit| !digit.is_ascii_digit()) {
        return Err(NumberError::NotNumber);
    }
    if lost.iter().any(|digit| *digit != b'0') {
        return Err(NumberError::TooFine);
    }
    Ok((negative, value.limbs()))
}

/// Most digits of a [`short`] number: 64 bits hold them, its sign too.
const SHORT: usize = 18;

/// As [`scaled`], signed, of numbers that are nearly all there are. `None`: look closer.
pub(crate) fn short(text: &[u8], scale: u8) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let (mut value, mut point) = (0_i64, None);
    if digits.len() > SHORT {
        return None;
    }
    for (at, byte) in digits.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => value = value * 10 + i64::from(digit),
            _ if *byte == b'.' && point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |at| digits.len() - at - 1);
    let missing = usize::from(scale).checked_sub(fraction)?;
    if digits.len() + missing > SHORT || digits.len() == usize::from(point.is_some()) {
        return None;
    }
    let value = value * 10_i64.pow(missing as u32);
    Some(if negative { -value } else { value })
}

/// Digits so far: 128 bits while they are enough, which is nearly always.
#[derive(Default)]
struct Magnitude {
    low: u128,
    wide: Option<Limbs>,
}

impl Magnitude {
    fn push(&mut self, digit: u8) -> Result<(), NumberError> {
        if !digit.is_ascii_digit() {
            return Err(NumberError::NotNumber);
        }
        let digit = digit - b'0';
        if self.wide.is_none() {
            match self.low.checked_mul(10).and_then(|v| v.checked_add(u128::from(digit))) {
                Some(value) => {
                    self.low = value;
                    return Ok(());
                }
                None => self.wide = Some([self.low as u64, (self.low >> 64) as u64, 0, 0]),
            }
        }
        let mut carry = u128::from(digit);
        for limb in self.wide.iter_mut().flatten() {
            let value = u128::from(*limb) * 10 + carry;
            *limb = value as u64;
            carry = value >> 64;
        }
        if carry == 0 { Ok(()) } else { Err(NumberError::TooLarge) }
    }

    fn limbs(self) -> Limbs {
        self.wide.unwrap_or([self.low as u64, (self.low >> 64) as u64, 0, 0])
    }
}

/// The number in so many bytes of two's complement, which are left of the 32.
pub(crate) fn bytes(negative: bool, magnitude: Limbs) -> [u8; 32] {
    let mut out = [0; 32];
    let mut carry = true;
    for (chunk, limb) in out.as_chunks_mut::<8>().0.iter_mut().zip(magnitude) {
        let limb = if negative {
            let (value, over) = (!limb).overflowing_add(u64::from(carry));
            carry = over;
            value
        } else {
            limb
        };
        *chunk = limb.to_le_bytes();
    }
    out
}

/// Whether the number fits so many bits.
pub(crate) fn fits_bits(negative: bool, magnitude: Limbs, bits: u16, signed: bool) -> bool {
    let length = bit_length(magnitude);
    match (signed, negative) {
        (false, true) => length == 0,
        (false, false) => length <= u32::from(bits),
        (true, false) => length < u32::from(bits),
        // -2^(bits-1) is the one number of `bits` bits that fits
        (true, true) => length < u32::from(bits) || is_power(magnitude, u32::from(bits) - 1),
    }
}

/// Whether the number has at most so many decimal digits.
pub(crate) fn fits_digits(magnitude: Limbs, precision: u8) -> bool {
    let [a, b, c, d] = magnitude;
    if c == 0 && d == 0 && precision <= 38 {
        return (u128::from(b) << 64 | u128::from(a)) < 10_u128.pow(u32::from(precision));
    }
    let mut limit = Magnitude { low: 1, wide: None };
    for _ in 0..precision {
        // 10^77 and more have no 256 bits: every number that has them fits.
        if limit.push(b'0').is_err() {
            return true;
        }
    }
    magnitude.iter().rev().lt(limit.limbs().iter().rev())
}

fn bit_length(magnitude: Limbs) -> u32 {
    let top = magnitude.iter().rposition(|limb| *limb != 0);
    top.and_then(|n| Some(n as u32 * 64 + 64 - magnitude.get(n)?.leading_zeros())).unwrap_or(0)
}

fn is_power(magnitude: Limbs, bit: u32) -> bool {
    bit_length(magnitude) == bit + 1 && magnitude.iter().map(|l| l.count_ones()).sum::<u32>() == 1
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn decimals_are_scaled() {
        let low = |value: i128, text: &str, scale| {
            let (negative, magnitude) = scaled(text.as_bytes(), scale).unwrap_or((false, [9; 4]));
            let bytes = bytes(negative, magnitude);
            assert_eq!(bytes.first_chunk::<16>(), Some(&value.to_le_bytes()), "{text}");
        };
        low(1250, "12.5", 2);
        low(-1250, "-12.500", 2);
        low(0, "-0", 0);
        low(5, ".5", 1);
        low(-(10_i128.pow(30)), "-1000000000000000000000000000000", 0);
        for (text, scale, error) in [
            ("", 0, NumberError::NotNumber),
            ("-", 0, NumberError::NotNumber),
            ("1e3", 0, NumberError::NotNumber),
            ("NaN", 0, NumberError::NotNumber),
            ("1.2.3", 9, NumberError::NotNumber),
            ("1.25", 1, NumberError::TooFine),
            (&"9".repeat(78), 0, NumberError::TooLarge),
        ] {
            assert_eq!(scaled(text.as_bytes(), scale), Err(error), "{text}");
        }
    }

    #[test]
    fn short_numbers_are_what_long_ones_are() {
        let wholes = ["", "0", "7", "00012", "900", "123456789012", "999999999999999999"];
        let fractions = ["", ".", ".0", ".5", ".25", ".123456", ".999999999999", ".1.2", "e3", "x"];
        let mut taken = 0;
        for sign in ["", "-", "+"] {
            for text in wholes.iter().flat_map(|w| fractions.map(|f| format!("{sign}{w}{f}"))) {
                for scale in [0, 1, 2, 6, 17, 18, 19, 40] {
                    let Some(value) = short(text.as_bytes(), scale) else { continue };
                    taken += 1;
                    let (negative, magnitude) = scaled(text.as_bytes(), scale).unwrap();
                    let long = bytes(negative, magnitude);
                    assert_eq!(
                        long.first_chunk(),
                        Some(&i128::from(value).to_le_bytes()),
                        "{text}"
                    );
                }
            }
        }
        assert!(taken > 150, "{taken}");
        assert_eq!(short(b"-12.5", 2), Some(-1250));
    }

    #[test]
    fn edges_of_every_width() {
        // (text, bits, signed, fits)
        let max = "57896044618658097711785492504343953926634992332820282019728792003956564819967";
        let min = "-57896044618658097711785492504343953926634992332820282019728792003956564819968";
        let over = "57896044618658097711785492504343953926634992332820282019728792003956564819968";
        let all = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        for (text, bits, signed, want) in [
            (max, 256, true, true),
            (min, 256, true, true),
            (over, 256, true, false),
            (all, 256, false, true),
            ("-1", 256, false, false),
            ("340282366920938463463374607431768211455", 128, false, true),
            ("340282366920938463463374607431768211456", 128, false, false),
            ("-170141183460469231731687303715884105728", 128, true, true),
            ("-170141183460469231731687303715884105729", 128, true, false),
            ("18446744073709551615", 64, false, true),
            ("-128", 8, true, true),
            ("128", 8, true, false),
        ] {
            let (negative, magnitude) = scaled(text.as_bytes(), 0).unwrap_or((true, [0; 4]));
            assert_eq!(fits_bits(negative, magnitude, bits, signed), want, "{text}");
        }
    }

    #[test]
    fn precision_is_counted_in_digits() {
        for (digits, precision, want) in [
            (9, 9, true),
            (10, 9, false),
            (38, 38, true),
            (39, 38, false),
            (76, 76, true),
            (77, 76, false),
            (1, 76, true),
        ] {
            let text = "9".repeat(digits);
            let (_, magnitude) = scaled(text.as_bytes(), 0).unwrap_or_default();
            assert_eq!(fits_digits(magnitude, precision), want, "{digits} in {precision}");
        }
    }
}
