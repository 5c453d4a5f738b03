//! Dates, times and intervals: binary to the server's text, as `datestyle=ISO`, `timezone=UTC` and
//! `intervalstyle=postgres` have it (`datetime.c`).

use super::{Sent, ended, fixed};
use crate::pgoutput::wire::Wire;
use crate::pgvalue::instant::civil_from_days;
use crate::pgvalue::{ValueError, not};

/// Days between 1970-01-01 and 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

pub(super) fn text(sent: &Sent, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match sent {
        Sent::Date => date(i32::from_be_bytes(fixed(bytes)?), out),
        Sent::Time => time(i64::from_be_bytes(fixed(bytes)?), out)?,
        Sent::TimeTz => time_tz(bytes, out)?,
        Sent::Interval => interval(bytes, out)?,
        _ => {
            let zone: &[u8] = if *sent == Sent::Timestamp(true) { b"+00" } else { b"" };
            timestamp(i64::from_be_bytes(fixed(bytes)?), zone, out)?;
        }
    }
    Ok(())
}

fn date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let before_christ = calendar(i64::from(days) + EPOCH_DAYS, out);
            out.extend_from_slice(era(before_christ));
        }
    }
}

fn era(before_christ: bool) -> &'static [u8] {
    if before_christ { b" BC" } else { b"" }
}

/// `2024-02-29`. True: the year is one before Christ.
fn calendar(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil_from_days(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
    before_christ
}

fn timestamp(us: i64, zone: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    match us {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let before_christ = calendar(us.div_euclid(DAY_US) + EPOCH_DAYS, out);
            out.push(b' ');
            time(us.rem_euclid(DAY_US), out)?;
            out.extend_from_slice(zone);
            out.extend_from_slice(era(before_christ));
        }
    }
    Ok(())
}

/// `13:14:15.5`, up to `24:00:00`.
fn time(us: i64, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if !(0..=DAY_US).contains(&us) {
        return Err(not("a time of day"));
    }
    clock(us.unsigned_abs(), out);
    Ok(())
}

/// Hours of at least two digits, minutes, seconds without zeros behind the point.
fn clock(us: u64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (us / 1_000_000, us % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    out.extend_from_slice(format!("{hours:02}:{minutes:02}:{:02}", seconds % 60).as_bytes());
    if fraction > 0 {
        out.extend_from_slice(format!(".{fraction:06}").as_bytes());
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// The time, and seconds west of Greenwich: `13:14:15+02:30`.
fn time_tz(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    time(wire.u64()? as i64, out)?;
    let west = wire.u32()? as i32;
    ended(&wire)?;
    out.push(if west > 0 { b'-' } else { b'+' });
    let zone = west.unsigned_abs();
    let (hours, minutes, seconds) = (zone / 3600, zone / 60 % 60, zone % 60);
    out.extend_from_slice(format!("{hours:02}").as_bytes());
    if minutes > 0 || seconds > 0 {
        out.extend_from_slice(format!(":{minutes:02}").as_bytes());
    }
    if seconds > 0 {
        out.extend_from_slice(format!(":{seconds:02}").as_bytes());
    }
    Ok(())
}

/// Microseconds, days, months: `1 year 2 mons -3 days +04:05:06.789` (`EncodeInterval`).
fn interval(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut wire = Wire::new(bytes);
    let (us, days, months) = (wire.u64()? as i64, wire.u32()? as i32, wire.u32()? as i32);
    ended(&wire)?;
    match (us, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => out.extend_from_slice(b"infinity"),
        (i64::MIN, i32::MIN, i32::MIN) => out.extend_from_slice(b"-infinity"),
        _ => finite(us, days, months, out),
    }
    Ok(())
}

fn finite(us: i64, days: i32, months: i32, out: &mut Vec<u8>) {
    let (mut first, mut behind_minus) = (true, false);
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let blank = if first { "" } else { " " };
        let plus = if behind_minus && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        out.extend_from_slice(format!("{blank}{plus}{value} {unit}{plural}").as_bytes());
        (first, behind_minus) = (false, value < 0);
    }
    if us == 0 && !first {
        return;
    }
    let sign = match us {
        ..0 => "-",
        _ if behind_minus => "+",
        _ => "",
    };
    out.extend_from_slice(if first { b"" } else { b" " });
    out.extend_from_slice(sign.as_bytes());
    clock(us.unsigned_abs(), out);
}
