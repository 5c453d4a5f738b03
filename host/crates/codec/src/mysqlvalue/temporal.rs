//! Dates and times as rows events and JSON pack them. Zero dates (month or day 0, or a day that
//! the month has not) are told apart from real ones here; what becomes of them is the column's.

use super::cursor::Cursor;
use crate::pgvalue::instant::days_from_civil;

const SECOND_US: i64 = 1_000_000;
pub(super) const DAY_US: i64 = 86_400 * SECOND_US;

/// A date as the server keeps it; it need not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CivilDate {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

impl CivilDate {
    /// Days since 1970, proleptic Gregorian; `None` where there is no such day.
    #[must_use]
    pub fn days(self) -> Option<i64> {
        let year = i64::from(self.year);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        let exists = (1..=length).contains(&self.day);
        exists.then(|| days_from_civil(year, self.month.into(), self.day.into()))
    }

    /// Two-digit years are those from 1970 to 2069: Debezium's `enable.time.adjuster`.
    pub(super) fn adjusted(self) -> Self {
        let year = match self.year {
            0..=69 => self.year + 2000,
            70..=99 => self.year + 1900,
            other => other,
        };
        Self { year, ..self }
    }
}

/// Bytes of a fraction with so many digits.
pub(super) fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.min(6)).div_ceil(2)
}

/// A fraction of so many digits, in microseconds.
fn fraction(cursor: &mut Cursor<'_>, digits: u8) -> Option<i64> {
    Some(match fraction_bytes(digits) {
        0 => 0,
        1 => i64::from(cursor.u8()?) * 10_000,
        2 => i64::from(u16::from_be_bytes(cursor.array()?)) * 100,
        _ => {
            let [a, b, c] = cursor.array()?;
            u32::from_be_bytes([0, a, b, c]).into()
        }
    })
}

fn hms(packed: u64) -> i64 {
    let (h, m, s) = (packed >> 12, packed >> 6 & 63, packed & 63);
    (h * 3600 + m * 60 + s) as i64 * SECOND_US
}

/// DATE: three bytes.
pub(super) fn date(cursor: &mut Cursor<'_>) -> Option<CivilDate> {
    let packed = cursor.le(3)?;
    Some(CivilDate {
        year: (packed >> 9) as u16,
        month: (packed >> 5 & 15) as u8,
        day: (packed & 31) as u8,
    })
}

/// TIME: three bytes and the fraction. A negative one is the two's complement of the whole.
pub(super) fn time(cursor: &mut Cursor<'_>, digits: u8) -> Option<i64> {
    let bytes = fraction_bytes(digits);
    let packed = cursor.be(3 + bytes)?;
    let offset = 0x80_0000_i64 << (8 * bytes);
    let signed = packed as i64 - offset;
    let magnitude = signed.unsigned_abs();
    let part = (magnitude & ((1 << (8 * bytes)) - 1)) as i64;
    let us = match bytes {
        0 => 0,
        1 => part * 10_000,
        2 => part * 100,
        _ => part,
    };
    let whole = hms((magnitude >> (8 * bytes)) & 0x3f_ffff) + us;
    Some(if signed < 0 { -whole } else { whole })
}

/// DATETIME: five bytes and the fraction.
#[inline]
pub(super) fn date_time(cursor: &mut Cursor<'_>, digits: u8) -> Option<(CivilDate, i64)> {
    let [a, b, c, d, e] = cursor.array()?;
    let packed = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]).saturating_sub(0x80_0000_0000);
    let us = fraction(cursor, digits)?;
    Some((packed_date(packed >> 17), hms(packed & 0x1_ffff) + us))
}

fn packed_date(ymd: u64) -> CivilDate {
    let year_month = ymd >> 5;
    CivilDate {
        year: (year_month / 13) as u16,
        month: (year_month % 13) as u8,
        day: (ymd & 31) as u8,
    }
}

/// TIMESTAMP: four bytes and the fraction, in microseconds since 1970.
pub(super) fn timestamp(cursor: &mut Cursor<'_>, digits: u8) -> Option<i64> {
    let seconds = cursor.be(4)? as i64;
    Some(seconds * SECOND_US + fraction(cursor, digits)?)
}

/// TIME as servers before 5.6 and MariaDB without `mysql56_temporal_format` keep it: hhmmss.
pub(super) fn old_time(cursor: &mut Cursor<'_>) -> Option<i64> {
    let raw = (cursor.le(3)? as i64) << 40 >> 40;
    let n = raw.abs();
    let us = (n / 10_000 * 3600 + n / 100 % 100 * 60 + n % 100) * SECOND_US;
    Some(if raw < 0 { -us } else { us })
}

/// DATETIME of the same age: yyyymmddhhmmss.
pub(super) fn old_date_time(cursor: &mut Cursor<'_>) -> Option<(CivilDate, i64)> {
    let n = cursor.le(8)?;
    let (date, time) = (n / 1_000_000, n % 1_000_000);
    let civil = CivilDate {
        year: (date / 10_000) as u16,
        month: (date / 100 % 100) as u8,
        day: (date % 100) as u8,
    };
    let us = (time / 10_000 * 3600 + time / 100 % 100 * 60 + time % 100) as i64 * SECOND_US;
    Some((civil, us))
}

/// A date and time inside JSON: (date, microseconds of the day).
pub(super) fn json_date_time(packed: i64) -> (CivilDate, i64) {
    let magnitude = packed.unsigned_abs();
    let whole = magnitude >> 24;
    (packed_date(whole >> 17), hms(whole & 0x1_ffff) + (magnitude & 0xff_ffff) as i64)
}

/// A time inside JSON, in microseconds.
pub(super) fn json_time(packed: i64) -> i64 {
    let magnitude = packed.unsigned_abs();
    let us = hms(magnitude >> 24 & 0x3f_ffff) + (magnitude & 0xff_ffff) as i64;
    if packed < 0 { -us } else { us }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_times_have_their_fraction() {
        // Rows events of MySQL 9.7 for '-01:02:03.45' in TIME(2), and its neighbours.
        let cases: [(&[u8], u8, i64); 4] = [
            (&[0x7f, 0xef, 0x7c, 0xd3], 2, -3_723_450_000),
            (&[0x80, 0x10, 0x83, 0x2d], 2, 3_723_450_000),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff], 6, -1),
            (&[0x7f, 0xff, 0xff], 0, -1_000_000),
        ];
        for (bytes, digits, want) in cases {
            assert_eq!(time(&mut Cursor(bytes), digits), Some(want), "{bytes:x?}");
        }
    }
}
