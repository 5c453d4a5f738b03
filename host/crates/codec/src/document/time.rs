//! Points in time as RFC 3339 text, in the contract's numbers.

const DAY_US: i64 = 86_400_000_000;

/// Reads digits and separators from the front of a text.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// The next `count` digits.
    fn number(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        let value = digits
            .iter()
            .try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))?;
        self.rest = rest;
        Some(value)
    }

    /// Whether the next byte is one of these; it is taken if so.
    fn takes(&mut self, any: &[u8]) -> bool {
        match self.rest.split_first() {
            Some((byte, rest)) if any.contains(byte) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// `YYYY-MM-DD` as days since 1970.
    fn date(&mut self) -> Option<i64> {
        let year = self.number(4)?;
        let month = self.takes(b"-").then(|| self.number(2))??;
        let day = self.takes(b"-").then(|| self.number(2))??;
        let valid = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        valid.then(|| days(year, month, day))
    }

    /// `HH:MM:SS[.fraction]` as microseconds; finer digits are cut off.
    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        let minute = self.takes(b":").then(|| self.number(2))??;
        // 60 is a leap second.
        let second = self.takes(b":").then(|| self.number(2))??;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut micros = 0;
        if self.takes(b".") {
            let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let kept = count.min(6);
            micros = (kept > 0).then(|| self.number(kept))?? * 10_i64.pow(6 - kept as u32);
            self.rest = self.rest.get(count - kept..)?;
        }
        Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
    }

    /// `Z` or `+HH:MM` as microseconds to take off.
    fn zone(&mut self) -> Option<i64> {
        if self.takes(b"Zz") {
            return Some(0);
        }
        let sign = if self.takes(b"+") { 1 } else { -i64::from(self.takes(b"-")) };
        let hours = self.number(2)?;
        let minutes = self.takes(b":").then(|| self.number(2))??;
        (sign != 0 && hours < 24 && minutes < 60)
            .then_some(sign * (hours * 60 + minutes) * 60_000_000)
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.rest.is_empty().then_some(value)
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar (years start in March, so that leap days come
/// last).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// An instant, `2024-05-06T07:08:09.123456+02:00`, as microseconds since 1970 (UTC).
pub(super) fn timestamp_us(text: &[u8]) -> Option<i64> {
    let mut reader = Reader { rest: text };
    let date = reader.date()?;
    let time = reader.takes(b"Tt ").then(|| reader.time())??;
    let zone = reader.zone()?;
    reader.end(date * DAY_US + time - zone)
}

/// A date, `2024-05-06`, as days since 1970.
pub(super) fn date_days(text: &[u8]) -> Option<i64> {
    let mut reader = Reader { rest: text };
    let date = reader.date()?;
    reader.end(date)
}

/// A time of day, `07:08:09.123456`, as microseconds since midnight.
pub(super) fn time_us(text: &[u8]) -> Option<i64> {
    let mut reader = Reader { rest: text };
    let time = reader.time()?;
    reader.end(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.000001z", Some(1)),
            ("1969-12-31T23:59:59.5Z", Some(-500_000)),
            ("2024-02-29T12:00:00+02:00", Some(1_709_200_800_000_000)),
            ("2024-02-29 12:00:00.123456789-00:30", Some(1_709_209_800_123_456)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000_000)),
            ("2023-02-29T12:00:00Z", None),
            ("2024-02-29T12:00:00", None),
            ("2024-02-29T24:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-02-29T12:00:00.Z", None),
            ("2024-02-29T12:00:00Zx", None),
            ("2024-02-29T12:00:0000:00", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(timestamp_us(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(date_days(b"2000-03-01"), Some(11_017));
        assert_eq!(date_days(b"1900-02-29"), None);
        assert_eq!(date_days(b"2000-03-01T"), None);
        assert_eq!(time_us(b"23:59:59.999999"), Some(86_399_999_999));
        assert_eq!(time_us(b"7:00:00"), None);
    }
}
