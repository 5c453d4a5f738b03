//! Floats as the server prints them with `extra_float_digits` above 0: the shortest digits that lie
//! between the neighbours' halves. Digits that are just half way to a neighbour do not count, also
//! where reading them would give the number back (`d2s.c`: `acceptBounds` is false), and so are
//! more than others print.

/// Decimal exponents below which a float is written without one.
const PLAIN_FLOAT4: i32 = 6;
const PLAIN_FLOAT8: i32 = 15;

/// Digits after the first that tell every float from its neighbours.
const DIGITS_FLOAT4: usize = 8;
const DIGITS_FLOAT8: usize = 16;
/// Bits of the mantissa that are stored.
const MANTISSA_FLOAT4: u32 = 23;
const MANTISSA_FLOAT8: u32 = 52;
/// Exponent of the last bit of the smallest numbers.
const LEAST_FLOAT4: i32 = -149;
const LEAST_FLOAT8: i32 = -1074;

pub(super) fn float4(value: f32, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return word(value.into(), out);
    }
    let bits = u64::from(value.to_bits() & (u32::MAX >> 1));
    let parts = Parts::new(bits, MANTISSA_FLOAT4, LEAST_FLOAT4);
    let more = |digits| format!("{value:.digits$e}");
    let same = |text: &str| text.parse() == Ok(value);
    let digits = parts.digits(&format!("{value:e}"), DIGITS_FLOAT4, more, same);
    digits.write(PLAIN_FLOAT4, out);
}

pub(super) fn float8(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return word(value, out);
    }
    let parts = Parts::new(value.to_bits() & (u64::MAX >> 1), MANTISSA_FLOAT8, LEAST_FLOAT8);
    let more = |digits| format!("{value:.digits$e}");
    let same = |text: &str| text.parse() == Ok(value);
    let digits = parts.digits(&format!("{value:e}"), DIGITS_FLOAT8, more, same);
    digits.write(PLAIN_FLOAT8, out);
}

fn word(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(if value == f64::NEG_INFINITY { b"-" } else { b"" });
    out.extend_from_slice(if value.is_nan() { b"NaN" } else { b"Infinity" });
}

/// A number without its sign: `mantissa * 2 ^ exponent`.
struct Parts {
    mantissa: u64,
    exponent: i32,
    /// The neighbour below is half as far away as the one above.
    uneven: bool,
}

impl Parts {
    fn new(bits: u64, stored: u32, least: i32) -> Self {
        let (exponent, fraction) = ((bits >> stored) as i32, bits & ((1 << stored) - 1));
        match exponent {
            0 => Self { mantissa: fraction, exponent: least, uneven: false },
            _ => Self {
                mantissa: fraction | 1 << stored,
                exponent: least + exponent - 1,
                uneven: fraction == 0 && exponent > 1,
            },
        }
    }

    /// The digits to be printed; `shortest` are the fewest that are read as the number.
    fn digits(
        &self,
        shortest: &str,
        most: usize,
        more: impl Fn(usize) -> String,
        same: impl Fn(&str) -> bool,
    ) -> Decimal {
        let first = Decimal::read(shortest);
        if !self.is_half_way(&first) {
            return self.even(first, same);
        }
        let longer = (first.count()..=most).map(more).filter(|text| same(text));
        let mut longer = longer.map(|text| Decimal::read(&text));
        let found = longer.find(|decimal| !self.is_half_way(decimal)).unwrap_or(first);
        self.even(found, &same)
    }

    /// Of two decimals that are equally near the one whose last digit is even, where it is read as
    /// the number too.
    fn even(&self, found: Decimal, same: impl Fn(&str) -> bool) -> Decimal {
        let Decimal { digits, tens, negative } = found;
        let exact = Odd::new(self.mantissa.into(), self.exponent);
        let between = |tenth: u128| {
            let half = Decimal { digits: tenth, tens: tens - 1, negative };
            Odd::of(&half).is_some_and(|half| half == exact)
        };
        let even = match digits % 2 {
            1 if between(digits * 10 - 5) => digits - 1,
            1 if between(digits * 10 + 5) => digits + 1,
            _ => return found,
        };
        let sign = if negative { "-" } else { "" };
        let other = Decimal { digits: even, ..found };
        let fits = same(&format!("{sign}{even}e{tens}")) && !self.is_half_way(&other);
        if fits { other } else { found }
    }

    /// Whether a decimal lies exactly half way to a neighbour.
    fn is_half_way(&self, decimal: &Decimal) -> bool {
        let Some(decimal) = Odd::of(decimal) else { return false };
        let Self { mantissa, exponent, uneven } = *self;
        let twice = u128::from(mantissa) * 2;
        let above = Odd::new(twice + 1, exponent - 1);
        let below = match uneven {
            true => Odd::new(twice * 2 - 1, exponent - 2),
            false => Odd::new(twice.saturating_sub(1), exponent - 1),
        };
        decimal == above || decimal == below
    }
}

/// `odd * 2 ^ exponent`: one way only to write a number.
#[derive(PartialEq, Eq)]
struct Odd {
    odd: u128,
    exponent: i32,
}

impl Odd {
    fn new(number: u128, exponent: i32) -> Self {
        let twos = if number == 0 { 0 } else { number.trailing_zeros() };
        Self { odd: number >> twos, exponent: exponent + twos as i32 }
    }

    /// `None`: it is too far from whole numbers to be, or to be half way between, floats.
    fn of(decimal: &Decimal) -> Option<Self> {
        let Decimal { digits, tens, .. } = *decimal;
        let fives = 5_u128.checked_pow(tens.unsigned_abs())?;
        match tens {
            0.. => Some(Self::new(digits.checked_mul(fives)?, tens)),
            _ if digits % fives == 0 => Some(Self::new(digits / fives, tens)),
            _ => None,
        }
    }
}

/// `digits * 10 ^ tens`
#[derive(Clone, Copy)]
struct Decimal {
    negative: bool,
    digits: u128,
    tens: i32,
}

impl Decimal {
    /// Reads `-1.25e-7`.
    fn read(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let digits = mantissa.bytes().filter(u8::is_ascii_digit);
        Self {
            negative: mantissa.starts_with('-'),
            digits: digits.fold(0, |n, digit| n * 10 + u128::from(digit - b'0')),
            tens: exponent.parse().unwrap_or(0) - fraction as i32,
        }
    }

    /// How many digits it has.
    fn count(&self) -> usize {
        self.digits.checked_ilog10().unwrap_or(0) as usize + 1
    }

    /// Appends it; with an exponent where that is below -4, or `plain` or more.
    fn write(&self, plain: i32, out: &mut Vec<u8>) {
        let digits = self.digits.to_string();
        let exponent = self.tens + digits.len() as i32 - 1;
        if self.negative {
            out.push(b'-');
        }
        let (first, rest) = digits.split_at(1);
        let text = if !(-4..plain).contains(&exponent) {
            let sign = if exponent < 0 { '-' } else { '+' };
            let point = if rest.is_empty() { "" } else { "." };
            format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
        } else if exponent < 0 {
            format!("0.{}{digits}", "0".repeat((-1 - exponent) as usize))
        } else {
            let before = exponent as usize + 1;
            match digits.split_at_checked(before) {
                Some((all, "")) => all.to_owned(),
                Some((whole, fraction)) => format!("{whole}.{fraction}"),
                None => format!("{digits}{}", "0".repeat(before - digits.len())),
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
}
