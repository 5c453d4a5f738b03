//! Numbers of documents, exactly: integers where nothing is lost, decimals as canonical text.

/// More zeros than this are not written out for an exponent: a short token must not become
/// megabytes. Far beyond the range of a double.
const MAX_EXPONENT: i64 = 1000;

/// A number taken apart; the digits are what was written, without sign, point and exponent.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Parts<'a> {
    /// `None`: not a number. Takes what JSON takes, and leading zeros, which numeric strings have.
    fn new(token: &'a [u8]) -> Option<Self> {
        let (negative, unsigned) = match token.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, token),
        };
        let split = unsigned.iter().position(|b| matches!(b, b'e' | b'E'));
        let (mantissa, exponent) = match split {
            None => (unsigned, 0),
            Some(at) => (unsigned.get(..at)?, exponent(unsigned.get(at + 1..)?)?),
        };
        let (whole, fraction) = match mantissa.iter().position(|b| *b == b'.') {
            None => (mantissa, &[][..]),
            Some(at) => (mantissa.get(..at)?, mantissa.get(at + 1..)?),
        };
        let digits = |d: &[u8]| d.iter().all(u8::is_ascii_digit);
        let some = !whole.is_empty() || !fraction.is_empty();
        (some && digits(whole) && digits(fraction)).then_some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + Clone {
        self.whole.iter().chain(self.fraction).copied()
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|d| d == b'0')
    }
}

/// The digits of an exponent. One too large for an `i64` is as good as the largest that is not.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0_i64, |n, d| (n * 10 + i64::from(d - b'0')).min(i64::MAX / 100));
    Some(if negative { -size } else { size })
}

/// The integer that a number token says, whatever its notation: `1e3` and `12.0` are integers.
/// `None`: it is none, or it has more than 64 bits.
pub(super) fn integer(token: &[u8]) -> Option<i64> {
    plain_integer(token).or_else(|| exact_integer(token))
}

/// Sign and at most 18 digits: no overflow is possible.
#[inline]
fn plain_integer(token: &[u8]) -> Option<i64> {
    let (negative, digits) = match token.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, token),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -value } else { value })
}

/// Powers of ten that a double holds exactly, as far as [`plain_float`] needs them.
const TENS: [f64; 16] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Sign, at most 15 digits and a point among them: digits and power of ten are exact as doubles,
/// so one division rounds right (W. D. Clinger, How to Read Floating Point Numbers Accurately).
#[inline]
pub(super) fn plain_float(token: &[u8]) -> Option<f64> {
    let (negative, digits) = match token.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, token),
    };
    if digits.len() > 16 || !digits.first()?.is_ascii_digit() {
        return None;
    }
    let (mut value, mut point) = (0_u64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let fraction = point.map_or(0, |at| digits.len() - at - 1);
    if digits.len() - usize::from(point.is_some()) > 15 || (point.is_some() && fraction == 0) {
        return None;
    }
    let value = value as f64 / TENS.get(fraction)?;
    Some(if negative { -value } else { value })
}

fn exact_integer(token: &[u8]) -> Option<i64> {
    let parts = Parts::new(token)?;
    if parts.is_zero() {
        return Some(0);
    }
    let zeros = parts.digits().rev().take_while(|d| *d == b'0').count();
    let significant = parts.whole.len() + parts.fraction.len() - zeros;
    let shift = parts.exponent - parts.fraction.len() as i64 + zeros as i64;
    if !(0..19).contains(&shift) {
        return None;
    }
    let mut value = 0_i128;
    let padding = std::iter::repeat_n(b'0', shift as usize);
    for digit in parts.digits().take(significant).chain(padding) {
        value = value * 10 + i128::from(digit - b'0');
        if value > 1 << 64 {
            return None;
        }
    }
    i64::try_from(if parts.negative { -value } else { value }).ok()
}

/// Appends the canonical decimal of a number token or numeric text: no exponent, no plus, no
/// leading zeros, no negative zero; the digits after the point stay as written. False, and
/// nothing is appended: not a number, or one that needs more than 1000 added zeros.
pub(super) fn write_decimal(token: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(parts) = Parts::new(token) else {
        return false;
    };
    if parts.exponent.abs() > MAX_EXPONENT {
        return false;
    }
    if parts.negative && !parts.is_zero() {
        out.push(b'-');
    }
    // Where the point stands among the written digits; it may lie outside of them.
    let point = parts.whole.len() as i64 + parts.exponent;
    let count = (parts.whole.len() + parts.fraction.len()) as i64;
    let digit = |at: i64| {
        let within = usize::try_from(at).ok();
        let second = |i: usize| parts.fraction.get(i - parts.whole.len()).copied();
        within.and_then(|i| parts.whole.get(i).copied().or_else(|| second(i))).unwrap_or(b'0')
    };
    let first = (0..point).find(|at| digit(*at) != b'0').unwrap_or(point);
    if first >= point {
        out.push(b'0');
    }
    out.extend((first..point).map(digit));
    if count > point {
        out.push(b'.');
        out.extend((point..count).map(digit));
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn integers_are_exact_or_refused() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0e5", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("42", Some(42)),
            ("1e3", Some(1000)),
            ("12.0", Some(12)),
            ("1.25E2", Some(125)),
            ("1200e-2", Some(12)),
            ("1.000000000000000000000000000000", Some(1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("1e19", None),
            ("1.5", None),
            ("5e-324", None),
            ("1e99999999999999999999", None),
            ("123456789012345678901234567890", None),
        ];
        for (token, want) in cases {
            assert_eq!(integer(token.as_bytes()), want, "{token}");
        }
    }

    #[test]
    fn plain_floats_are_what_the_parser_says() {
        for token in [
            "0",
            "-0",
            "-0.0",
            "0.1",
            "12.25",
            "-999999999999.999",
            "0.00000000000001",
            "100000000000000",
            "123456789012345",
            "9.00719925474099",
            "3.14159265358979",
        ] {
            let want: f64 = token.parse().unwrap();
            let found = plain_float(token.as_bytes()).map(f64::to_bits);
            assert_eq!(found, Some(want.to_bits()), "{token}");
        }
        for token in ["", "-", ".5", "5.", "1e3", "1.2.3", "+1", "1234567890123456", "\"NaN\""] {
            assert_eq!(plain_float(token.as_bytes()), None, "{token}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_plain_float_is_what_the_parser_says(
            whole in 0_u64..100_000_000_000_000,
            fraction in 0_usize..15,
        ) {
            let mut token = format!("{whole:015}");
            token.insert(15 - fraction, '.');
            let token = token.trim_end_matches('.');
            let want: f64 = token.parse().unwrap();
            let found = plain_float(token.as_bytes()).map(f64::to_bits);
            proptest::prop_assert_eq!(found, Some(want.to_bits()));
        }
    }

    #[test]
    fn decimals_are_canonical() {
        let cases = [
            ("12.50", "12.50"),
            ("-12.50", "-12.50"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("1e3", "1000"),
            ("1.5e3", "1500"),
            ("1.5e-3", "0.0015"),
            ("-12.345e1", "-123.45"),
            ("+007.10", "7.10"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0e2", "0"),
            ("123456789012345678901234567890.12", "123456789012345678901234567890.12"),
        ];
        for (token, want) in cases {
            let mut out = Vec::new();
            assert!(write_decimal(token.as_bytes(), &mut out), "{token}");
            assert_eq!(String::from_utf8(out).unwrap(), want, "{token}");
        }
        for token in ["", "-", ".", "1e", "1e1001", "NaN", "1 ", "0x1", "1.2.3", "1e5.0"] {
            let mut out = Vec::new();
            assert!(!write_decimal(token.as_bytes(), &mut out), "{token}");
            assert!(out.is_empty(), "{token}");
        }
    }
}
