//! Dates and times as ISO text, as Debezium writes zoned ones.

use crate::pgvalue::instant::{
    TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, civil_from_days, true_us,
};

const DAY_US: i64 = 86_400_000_000;

/// Appends a stored timestamp as `2020-01-01T00:00:00.000Z` with this many fraction digits.
pub(crate) fn write_instant(stored: i64, digits: u8, out: &mut Vec<u8>) {
    match stored {
        TIMESTAMP_INFINITY => return out.extend_from_slice(b"infinity"),
        TIMESTAMP_MINUS_INFINITY => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let (days, time) = split(stored);
    calendar(days, out);
    out.push(b'T');
    let time = time as u64;
    seconds(time / 1_000_000, out);
    fraction(time % 1_000_000, digits, out);
    out.push(b'Z');
}

/// Days since 1970 and microseconds of the day of a stored timestamp.
fn split(stored: i64) -> (i64, i64) {
    let us = true_us(stored);
    // 128 bits are divided by a function of many steps.
    match i64::try_from(us) {
        Ok(us) => (us.div_euclid(DAY_US), us.rem_euclid(DAY_US)),
        Err(_) => {
            let day = i128::from(DAY_US);
            (us.div_euclid(day) as i64, us.rem_euclid(day) as i64)
        }
    }
}

/// Appends days since 1970 as `2024-02-29Z`.
pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) {
    calendar(days, out);
    out.push(b'Z');
}

/// Appends a stored timestamp as `2020-01-01T00:00:00.5Z`; infinities are the instants that stand
/// for them.
pub(crate) fn write_stamp(stored: i64, out: &mut Vec<u8>) {
    let (days, time) = split(stored);
    calendar(days, out);
    out.push(b'T');
    write_time(time, out);
    out.push(b'Z');
}

/// Appends microseconds since midnight as `13:14:15.12Z`; the end of a day is its start.
pub(crate) fn write_time_of_day(us: i64, out: &mut Vec<u8>) {
    write_time(us.rem_euclid(DAY_US), out);
    out.push(b'Z');
}

/// `2024-02-29`, with a sign where the year has not four digits.
fn calendar(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = match u32::try_from(days + FIRST_OF_MARCH) {
        Ok(days @ ..=CENTURIES) => common(days),
        _ => civil_from_days(days),
    };
    let ([m1, m2], [d1, d2]) = (two(month as u64), two(day as u64));
    if (0..10_000).contains(&year) {
        let ([y1, y2], [y3, y4]) = (two(year as u64 / 100), two(year as u64 % 100));
        return out.extend_from_slice(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
    }
    out.push(if year < 0 { b'-' } else { b'+' });
    let year = year.unsigned_abs();
    if year < 10_000 {
        out.extend_from_slice(&two(year / 100));
        out.extend_from_slice(&two(year % 100));
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    }
    out.extend_from_slice(&[b'-', m1, m2, b'-', d1, d2]);
}

/// Days from 0000-03-01 to 1970-01-01.
const FIRST_OF_MARCH: i64 = 719_468;
/// Days for which [`common`] counts right, from 0000-03-01: to about the year 10,000.
const CENTURIES: u32 = 3_652_000;

/// The date so many days after 0000-03-01, by multiplications of 32 bits (Neri and Schneider,
/// "Euclidean affine functions and their application to calendar algorithms").
fn common(days: u32) -> (i64, i64, i64) {
    let n1 = 4 * days + 3;
    let (century, of_century) = (n1 / 146_097, n1 % 146_097 / 4);
    let product = 2_939_745 * u64::from(4 * of_century + 3);
    let (year, of_year) = ((product >> 32) as u32, product as u32 / 2_939_745 / 4);
    let n3 = 2_141 * of_year + 197_913;
    let (month, day) = (n3 >> 16, (n3 & 0xffff) / 2_141 + 1);
    // January and February end the year that begins in March.
    let next = of_year >= 306;
    let (year, month) = (100 * century + year, if next { month - 12 } else { month });
    (i64::from(year) + i64::from(next), i64::from(month), i64::from(day))
}

/// Appends microseconds since midnight as `13:14:15.12`, without zeros at the end.
pub(crate) fn write_time(us: i64, out: &mut Vec<u8>) {
    let us = us.unsigned_abs();
    seconds(us / 1_000_000, out);
    let mut rest = us % 1_000_000;
    let mut digits = if rest == 0 { 0 } else { 6 };
    while digits > 0 && rest.is_multiple_of(10) {
        rest /= 10;
        digits -= 1;
    }
    fraction(us % 1_000_000, digits, out);
}

fn seconds(of_day: u64, out: &mut Vec<u8>) {
    let [h1, h2] = two(of_day / 3600);
    let [m1, m2] = two(of_day / 60 % 60);
    let [s1, s2] = two(of_day % 60);
    out.extend_from_slice(&[h1, h2, b':', m1, m2, b':', s1, s2]);
}

/// `.123456` cut to `digits`; nothing for 0.
fn fraction(us: u64, digits: u8, out: &mut Vec<u8>) {
    if digits > 0 {
        let end = out.len() + 1 + usize::from(digits.min(6));
        let ([a, b], [c, d], [e, f]) = (two(us / 10_000), two(us / 100 % 100), two(us % 100));
        out.extend_from_slice(&[b'.', a, b, c, d, e, f]);
        out.truncate(end);
    }
}

fn two(value: u64) -> [u8; 2] {
    [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_day_is_the_day_that_it_is() {
        for days in 0..=CENTURIES {
            assert_eq!(common(days), civil_from_days(i64::from(days) - FIRST_OF_MARCH), "{days}");
        }
        assert_eq!(common(CENTURIES).0, 9999);
    }
}
