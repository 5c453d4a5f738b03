//! Dates and times as ISO text, as Debezium writes zoned ones.

use crate::pgvalue::instant::{
    TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, civil_from_days, true_us,
};

const SECOND_US: i128 = 1_000_000;
const DAY_US: i128 = 86_400 * SECOND_US;

/// Appends a stored timestamp as `2020-01-01T00:00:00.000Z` with this many fraction digits.
pub(crate) fn write_instant(stored: i64, digits: u8, out: &mut Vec<u8>) {
    match stored {
        TIMESTAMP_INFINITY => return out.extend_from_slice(b"infinity"),
        TIMESTAMP_MINUS_INFINITY => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let us = true_us(stored);
    calendar(us.div_euclid(DAY_US) as i64, out);
    out.push(b'T');
    let time = us.rem_euclid(DAY_US) as u64;
    seconds(time / 1_000_000, out);
    fraction(time % 1_000_000, digits, out);
    out.push(b'Z');
}

/// Appends days since 1970 as `2024-02-29Z`.
pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) {
    calendar(days, out);
    out.push(b'Z');
}

/// Appends a stored timestamp as `2020-01-01T00:00:00.5Z`; infinities are the instants that stand
/// for them.
pub(crate) fn write_stamp(stored: i64, out: &mut Vec<u8>) {
    let us = match stored {
        TIMESTAMP_INFINITY | TIMESTAMP_MINUS_INFINITY => i128::from(stored),
        _ => true_us(stored),
    };
    calendar(us.div_euclid(DAY_US) as i64, out);
    out.push(b'T');
    write_time(us.rem_euclid(DAY_US) as i64, out);
    out.push(b'Z');
}

/// Appends microseconds since midnight as `13:14:15.12Z`; the end of a day is its start.
pub(crate) fn write_time_of_day(us: i64, out: &mut Vec<u8>) {
    write_time(us.rem_euclid(DAY_US as i64), out);
    out.push(b'Z');
}

/// `2024-02-29`, with a sign where the year has not four digits.
fn calendar(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(days);
    match year {
        0..=9999 => {}
        10_000.. => out.push(b'+'),
        _ => out.push(b'-'),
    }
    let year = year.unsigned_abs();
    if year < 10_000 {
        two(year / 100, out);
        two(year % 100, out);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
    }
    for (mark, value) in [(b'-', month), (b'-', day)] {
        out.push(mark);
        two(value as u64, out);
    }
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
    two(of_day / 3600, out);
    out.push(b':');
    two(of_day / 60 % 60, out);
    out.push(b':');
    two(of_day % 60, out);
}

/// `.123456` cut to `digits`; nothing for 0.
fn fraction(us: u64, digits: u8, out: &mut Vec<u8>) {
    if digits > 0 {
        out.push(b'.');
        let end = out.len() + usize::from(digits.min(6));
        for pair in [us / 10_000, us / 100 % 100, us % 100] {
            two(pair, out);
        }
        out.truncate(end);
    }
}

fn two(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}
