//! Days, instants and times of day in ClickHouse's ranges, and every kind of value as text.

use std::fmt::Write as _;

use wasmgate_codec::pgvalue::instant::{
    DATE_INFINITY, DATE_MINUS_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY,
    civil_from_days, true_us,
};
use wasmgate_model::{Kind, Values};

use super::cells::Cells;
use super::reason::Reason;

/// 1900-01-01, the first `Date32`.
pub(super) const FIRST_DAY: i64 = -25_567;
/// 2299-12-31, the last.
pub(super) const LAST_DAY: i64 = 120_529;

const DAY_US: i128 = 86_400_000_000;
/// 999:59:59, the largest `Time`.
const TIME_MAX_US: i128 = 3_599_999_999_999;

/// A day, with Postgres's infinities beyond every range.
pub(super) fn day(stored: i64) -> i64 {
    match stored {
        DATE_INFINITY => i64::MAX,
        DATE_MINUS_INFINITY => i64::MIN,
        days => days,
    }
}

/// An instant in microseconds, with Postgres's infinities beyond every range.
pub(super) fn micros(stored: i64) -> i128 {
    match stored {
        TIMESTAMP_INFINITY => i128::MAX,
        TIMESTAMP_MINUS_INFINITY => i128::MIN,
        us => true_us(us),
    }
}

/// The value, or the nearest in the range where that is wanted.
pub(super) fn within(value: i64, low: i64, high: i64, clamp: bool) -> Result<i64, Reason> {
    match (low..=high).contains(&value) {
        true => Ok(value),
        false if clamp => Ok(value.clamp(low, high)),
        false => Err(Reason::OutOfRange),
    }
}

/// How microseconds become whole ticks of a type, and between which it lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    /// Microseconds of a tick; 0: a tick is a fraction of one.
    us: i128,
    /// Ticks of a microsecond, where `us` is 0.
    per_us: i128,
    low_us: i128,
    high_us: i128,
}

impl Ticks {
    /// `DateTime`: seconds in 32 bits.
    pub(super) const SECONDS: Self = Self {
        us: 1_000_000,
        per_us: 1,
        low_us: 0,
        high_us: u32::MAX as i128 * 1_000_000 + 999_999,
    };

    fn new(scale: u8, low_us: i128, high_us: i128) -> Self {
        match scale {
            0..=6 => Self { us: 10_i128.pow(6 - u32::from(scale)), per_us: 1, low_us, high_us },
            _ => {
                let per_us = 10_i128.pow(u32::from(scale) - 6);
                // 64 bits of nanoseconds end in 2262.
                let high_us = high_us.min(i128::from(i64::MAX) / per_us);
                Self { us: 0, per_us, low_us, high_us }
            }
        }
    }

    /// `DateTime64`: the years 1900 to 2299.
    pub(super) fn date_time(scale: u8) -> Self {
        let (low, high) = (i128::from(FIRST_DAY), i128::from(LAST_DAY + 1));
        Self::new(scale, low * DAY_US, high * DAY_US - 1)
    }

    /// `Time` and `Time64`.
    pub(super) fn time(scale: u8) -> Self {
        Self::new(scale, -TIME_MAX_US, TIME_MAX_US)
    }

    pub(super) fn of(self, us: i128, clamp: bool) -> Result<i64, Reason> {
        let inside = (self.low_us..=self.high_us).contains(&us);
        if !inside && !clamp {
            return Err(Reason::OutOfRange);
        }
        // Both bounds have 64 bits, which are divided many times faster than 128.
        let us = us.clamp(self.low_us, self.high_us) as i64;
        match self.us as i64 {
            0 => Ok(us * self.per_us as i64),
            1 => Ok(us),
            tick if us.rem_euclid(tick) != 0 && !clamp => Err(Reason::TooFine),
            tick => Ok(us.div_euclid(tick)),
        }
    }
}

/// Appends a value that is not text, as text.
pub(super) fn write_text(cells: &Cells<'_>, row: usize, out: &mut String) {
    let written = match &cells.column.values {
        Values::Booleans(v) => write!(out, "{}", v.get(row).copied().unwrap_or_default()),
        Values::Floats(v) => write!(out, "{}", v.get(row).copied().unwrap_or_default()),
        Values::Ints(v) => write_number(cells.kind, v.get(row).copied().unwrap_or_default(), out),
        Values::Texts(_) | Values::Blobs(_) => Ok(()),
    };
    debug_assert!(written.is_ok(), "a String takes everything");
}

fn write_number(kind: Kind, value: i64, out: &mut String) -> std::fmt::Result {
    match (kind, value) {
        (Kind::DateDays, DATE_INFINITY) | (Kind::TimestampUs, TIMESTAMP_INFINITY) => {
            out.write_str("infinity")
        }
        (Kind::DateDays, DATE_MINUS_INFINITY) | (Kind::TimestampUs, TIMESTAMP_MINUS_INFINITY) => {
            out.write_str("-infinity")
        }
        (Kind::DateDays, days) => write_day(days, out),
        (Kind::TimestampUs, us) => {
            let us = true_us(us);
            write_day(us.div_euclid(DAY_US) as i64, out)?;
            out.write_char(' ')?;
            write_clock(us.rem_euclid(DAY_US), out)
        }
        (Kind::TimeUs, us) => write_clock(i128::from(us), out),
        (_, number) => write!(out, "{number}"),
    }
}

fn write_day(days: i64, out: &mut String) -> std::fmt::Result {
    let (year, month, day) = civil_from_days(days);
    write!(out, "{year:04}-{month:02}-{day:02}")
}

fn write_clock(us: i128, out: &mut String) -> std::fmt::Result {
    let seconds = us / 1_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    write!(out, "{hours:02}:{minutes:02}:{:02}.{:06}", seconds % 60, us % 1_000_000)
}
