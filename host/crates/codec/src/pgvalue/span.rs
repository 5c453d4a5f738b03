//! Intervals as Postgres prints them, as microseconds and as ISO 8601 text.

use super::instant::{DAY_S, SECOND_US, Scan};
use super::{ValueError, not};
use crate::json::write_int;

const WRONG: ValueError = not("an interval in Postgres form");

/// The text of an interval of no length.
pub(super) const ZERO_INTERVAL: &[u8] = b"P0Y0M0DT0H0M0S";

/// The parts of an interval, as the server keeps them apart.
#[derive(Default)]
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    /// Time in microseconds.
    us: i64,
}

/// `1 year 2 mons -3 days +04:05:06.789`, in microseconds; a month is 365.25 / 12 days. What does
/// not fit 64 bits becomes the nearest number that does, as in Debezium.
pub(super) fn parse_interval(text: &[u8]) -> Result<i64, ValueError> {
    match text {
        b"infinity" => return Ok(i64::MAX),
        b"-infinity" => return Ok(i64::MIN),
        _ => {}
    }
    let parts = parts(text).ok_or(WRONG)?;
    let day = i128::from(DAY_S * SECOND_US);
    let month = day * 487 / 16; // 30.4375 days
    let months = i128::from(parts.years) * 12 + i128::from(parts.months);
    let us = months * month + i128::from(parts.days) * day + i128::from(parts.us);
    Ok(us.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// The same as `P1Y2M-3DT4H5M6.789S`, every part with its sign; infinity stays a word.
pub(super) fn iso_interval(text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if matches!(text, b"infinity" | b"-infinity") {
        out.extend_from_slice(text);
        return Ok(());
    }
    let parts = parts(text).ok_or(WRONG)?;
    let minutes = parts.us / (60 * SECOND_US);
    let mut part = |before: &[u8], value: i64, unit: u8| {
        out.extend_from_slice(before);
        write_int(value, out);
        out.push(unit);
    };
    part(b"P", parts.years, b'Y');
    part(b"", parts.months, b'M');
    part(b"", parts.days, b'D');
    part(b"T", minutes / 60, b'H');
    part(b"", minutes % 60, b'M');
    write_seconds(parts.us % (60 * SECOND_US), out);
    out.push(b'S');
    Ok(())
}

/// `-6.789`, without zeros at the end.
fn write_seconds(us: i64, out: &mut Vec<u8>) {
    if us < 0 {
        out.push(b'-');
    }
    let us = us.unsigned_abs();
    write_int((us / 1_000_000) as i64, out);
    if !us.is_multiple_of(1_000_000) {
        out.push(b'.');
        out.extend_from_slice(format!("{:06}", us % 1_000_000).as_bytes());
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

fn parts(text: &[u8]) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut words = text.split(|b| *b == b' ').filter(|w| !w.is_empty());
    while let Some(word) = words.next() {
        let (sign, digits) = match word.split_first()? {
            (b'-', rest) => (-1, rest),
            (b'+', rest) => (1, rest),
            _ => (1, word),
        };
        let mut scan = Scan(digits);
        if digits.contains(&b':') {
            parts.us += sign * scan.time().filter(|_| scan.0.is_empty())?;
            continue;
        }
        let count = sign * scan.digits(1, 10).filter(|_| scan.0.is_empty())?;
        match words.next()? {
            b"year" | b"years" => parts.years += count,
            b"mon" | b"mons" => parts.months += count,
            b"day" | b"days" => parts.days += count,
            _ => return None,
        }
    }
    Some(parts)
}
