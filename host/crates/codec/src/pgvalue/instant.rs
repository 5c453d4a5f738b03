//! Dates, times and spans as Postgres prints them, as numbers; proleptic Gregorian throughout.
//!
//! Timestamps reach to the year 294276, microseconds since 1970 in 64 bits only to 294247. What
//! lies beyond is stored wrapped, below every real timestamp: [`true_us`] gives it back, so that
//! the encoder loses nothing; [`super::project_rows`] shows modules the largest number instead.

use super::{ValueError, not};

/// `infinity` of `timestamp` and `timestamptz`, as Debezium writes it.
pub const TIMESTAMP_INFINITY: i64 = 9_223_372_036_825_200_000;
/// `-infinity` of `timestamp` and `timestamptz`, as Debezium writes it.
pub const TIMESTAMP_MINUS_INFINITY: i64 = -9_223_372_036_832_400_000;
/// `infinity` of `date`, as Debezium writes it.
pub const DATE_INFINITY: i64 = -2_147_472_692;
/// `-infinity` of `date`, as Debezium writes it.
pub const DATE_MINUS_INFINITY: i64 = -2_147_472_691;

/// 4714-11-24 BC, the first timestamp that Postgres takes.
const FIRST_TIMESTAMP: i64 = -210_866_803_200_000_000;

/// 294277-01-01, one past the last.
const LAST_TIMESTAMP: i128 = 9_224_318_016_000_000_000;

pub(super) const DAY_S: i64 = 86_400;
pub(super) const SECOND_US: i64 = 1_000_000;

/// The microseconds that a stored timestamp stands for; see the module's text.
#[must_use]
pub fn true_us(stored: i64) -> i128 {
    if stored < FIRST_TIMESTAMP && stored != TIMESTAMP_MINUS_INFINITY {
        i128::from(stored as u64)
    } else {
        i128::from(stored)
    }
}

/// Days between 1970-01-01 and 2000-01-01, from which the server counts.
const EPOCH_DAYS: i64 = 10_957;

/// A `date` as the server counts it, as it is stored.
pub(super) fn days_of(days: i32) -> i64 {
    match days {
        i32::MAX => DATE_INFINITY,
        i32::MIN => DATE_MINUS_INFINITY,
        _ => i64::from(days) + EPOCH_DAYS,
    }
}

/// A timestamp as the server counts it, as it is stored.
pub(super) fn timestamp_of(us: i64) -> Result<i64, ValueError> {
    match us {
        i64::MAX => return Ok(TIMESTAMP_INFINITY),
        i64::MIN => return Ok(TIMESTAMP_MINUS_INFINITY),
        _ => {}
    }
    let us = i128::from(us) + i128::from(EPOCH_DAYS * DAY_S * SECOND_US);
    let fits = (i128::from(FIRST_TIMESTAMP)..LAST_TIMESTAMP).contains(&us);
    if fits { Ok(us as i64) } else { Err(not("a timestamp")) }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar; year 0 is 1 BC.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date (year, month, day) that lies `days` after 1970-01-01.
#[must_use]
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// What is left of a text.
pub(super) struct Scan<'a>(pub(super) &'a [u8]);

impl Scan<'_> {
    fn eat(&mut self, byte: u8) -> Option<()> {
        let (&first, rest) = self.0.split_first()?;
        (first == byte).then(|| self.0 = rest)
    }

    /// Between `min` and `max` digits.
    pub(super) fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let count = self.0.iter().take(max).take_while(|b| b.is_ascii_digit()).count();
        if count < min {
            return None;
        }
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(digits.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')))
    }

    /// `2024-02-29`; the era follows at the end of the text and is not read here.
    fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.digits(4, 7)?;
        self.eat(b'-')?;
        let month = self.digits(2, 2)?;
        self.eat(b'-')?;
        Some((year, month, self.digits(2, 2)?))
    }

    /// `13:14:15.123456`, in microseconds. Hours beyond 24 are for intervals.
    pub(super) fn time(&mut self) -> Option<i64> {
        let hours = self.digits(2, 10)?;
        self.eat(b':')?;
        let minutes = self.digits(2, 2)?;
        self.eat(b':')?;
        let seconds = self.digits(2, 2)?;
        let rest = (minutes * 60 + seconds) * SECOND_US + self.fraction()?;
        hours.checked_mul(3600 * SECOND_US)?.checked_add(rest)
    }

    /// `.5`, in microseconds; 0 where there is none.
    fn fraction(&mut self) -> Option<i64> {
        if self.eat(b'.').is_none() {
            return Some(0);
        }
        let before = self.0.len();
        let digits = self.digits(1, 6)?;
        let missing = 6 - (before - self.0.len());
        Some((0..missing).fold(digits, |n, _| n * 10))
    }

    /// `+02`, `-03:30` or `+00:19:32`, in seconds; 0 where there is none.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.0.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Some(0),
        };
        self.0 = self.0.get(1..)?;
        let mut seconds = self.digits(2, 2)? * 3600;
        for unit in [60, 1] {
            if self.eat(b':').is_some() {
                seconds += self.digits(2, 2)? * unit;
            }
        }
        Some(sign * seconds)
    }

    /// ` BC` at the end turns the year around.
    fn era(&self, year: i64) -> Option<i64> {
        match self.0 {
            b"" => Some(year),
            b" BC" => Some(1 - year),
            _ => None,
        }
    }
}

/// `2024-02-29`, `0044-03-15 BC` or `infinity`, in days since 1970.
pub(super) fn parse_date(text: &[u8]) -> Result<i64, ValueError> {
    match text {
        b"infinity" => return Ok(DATE_INFINITY),
        b"-infinity" => return Ok(DATE_MINUS_INFINITY),
        _ => {}
    }
    let mut scan = Scan(text);
    let parsed = scan.date().and_then(|(y, m, d)| checked_days(scan.era(y)?, m, d));
    parsed.ok_or(not("a date in ISO form"))
}

/// `2024-02-29 13:14:15.123456+00`, with or without offset, in microseconds since 1970.
pub(super) fn parse_timestamp(text: &[u8]) -> Result<i64, ValueError> {
    if let Some(us) = common_timestamp(text) {
        return Ok(us);
    }
    match text {
        b"infinity" => return Ok(TIMESTAMP_INFINITY),
        b"-infinity" => return Ok(TIMESTAMP_MINUS_INFINITY),
        _ => {}
    }
    any_timestamp(text).ok_or(not("a timestamp in ISO form"))
}

fn any_timestamp(text: &[u8]) -> Option<i64> {
    let mut scan = Scan(text);
    let (year, month, day) = scan.date()?;
    scan.eat(b' ')?;
    let time = scan.time()?;
    let offset = scan.offset()?;
    let days = checked_days(scan.era(year)?, month, day)?;
    let us = i128::from(days * DAY_S - offset) * i128::from(SECOND_US) + i128::from(time);
    (i128::from(FIRST_TIMESTAMP)..LAST_TIMESTAMP).contains(&us).then_some(us as i64)
}

/// The common form: a year of four digits, nothing or `+00` behind it.
fn common_timestamp(text: &[u8]) -> Option<i64> {
    let (h, tail) = text.split_first_chunk::<19>()?;
    if [h[4], h[7], h[10], h[13], h[16]] != *b"-- ::" {
        return None;
    }
    let pairs = [
        [h[0], h[1]],
        [h[2], h[3]],
        [h[5], h[6]],
        [h[8], h[9]],
        [h[11], h[12]],
        [h[14], h[15]],
        [h[17], h[18]],
    ];
    let [century, year, month, day, hour, minute, second] = pairs.map(two_digits);
    if century.max(year).max(month).max(day).max(hour).max(minute).max(second) > 99 {
        return None;
    }
    let mut scan = Scan(tail);
    let fraction = scan.fraction()?;
    if !matches!(scan.0, b"" | b"+00") {
        return None;
    }
    let days = checked_days(century * 100 + year, month, day)?;
    Some((days * DAY_S + hour * 3600 + minute * 60 + second) * SECOND_US + fraction)
}

/// Two digits as a number; above 99 where they are not digits.
fn two_digits([tens, ones]: [u8; 2]) -> i64 {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens > 9 || ones > 9 { 100 } else { i64::from(tens * 10 + ones) }
}

/// [`days_from_civil`] where month and day are such.
fn checked_days(year: i64, month: i64, day: i64) -> Option<i64> {
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    fits.then(|| days_from_civil(year, month, day))
}

/// `13:14:15.123456` up to `24:00:00`, in microseconds since midnight.
pub(super) fn parse_time(text: &[u8]) -> Result<i64, ValueError> {
    let mut scan = Scan(text);
    scan.time().filter(|_| scan.0.is_empty()).ok_or(not("a time of day"))
}

/// `13:14:15.1+02:30`: microseconds since midnight in UTC.
pub(super) fn parse_time_tz(text: &[u8]) -> Result<i64, ValueError> {
    let mut scan = Scan(text);
    let parsed = scan.time().and_then(|time| Some(time - scan.offset()? * SECOND_US));
    let us = parsed.filter(|_| scan.0.is_empty()).ok_or(not("a time of day with its offset"))?;
    Ok(us.rem_euclid(DAY_S * SECOND_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_and_days_are_inverse_over_the_whole_range() {
        for days in (-2_500_000..2_200_000_000).step_by(7_919) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days, "{year}-{month}-{day}");
        }
        assert_eq!(civil_from_days(-719_468), (0, 3, 1));
        assert_eq!(civil_from_days(-719_469), (0, 2, 29));
    }

    #[test]
    fn the_common_form_reads_as_the_general_one() {
        for text in
            ["2024-02-29 13:14:15.123456", "1969-12-31 23:59:59.5+00", "0001-01-01 00:00:00"]
        {
            let text = text.as_bytes();
            assert_eq!(common_timestamp(text), any_timestamp(text));
            assert!(common_timestamp(text).is_some());
        }
    }
}
