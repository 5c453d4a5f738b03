//! One value of a rows event: how many bytes it takes, and what they are.

use super::cursor::Cursor;
use super::temporal::{date, date_time, fraction_bytes, old_date_time, old_time, time, timestamp};
use super::{Datum, MappedColumn, decimal, mysql_type};

/// How a column's values stand in rows events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Int {
        bytes: u8,
        signed: bool,
    },
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Year,
    Date,
    Time {
        digits: u8,
    },
    DateTime {
        digits: u8,
    },
    Timestamp {
        digits: u8,
    },
    OldTime,
    OldDateTime,
    OldTimestamp,
    /// Bytes with their length in so many bytes before them.
    Sized {
        prefix: u8,
    },
    /// JSON, sized.
    Json {
        prefix: u8,
    },
    /// Labels of an enum or a set, as a number.
    Labels {
        bytes: u8,
    },
    Bits {
        bytes: u8,
    },
    Null,
}

/// How values of a column of the table map are read. `None`: a type that rows events do not
/// have, or that only one server has (compressed columns of MariaDB).
#[must_use]
pub fn wire(column: &MappedColumn, unsigned: bool) -> Option<Wire> {
    use mysql_type as t;
    let meta = column.meta;
    let [low, high] = meta.to_le_bytes();
    let int = |bytes| Wire::Int { bytes, signed: !unsigned };
    Some(match column.ty {
        t::TINY => int(1),
        t::SHORT => int(2),
        t::INT24 => int(3),
        t::LONG => int(4),
        t::LONGLONG => int(8),
        t::FLOAT => Wire::Float,
        t::DOUBLE => Wire::Double,
        t::NEWDECIMAL => Wire::Decimal { precision: low, scale: high },
        t::YEAR => Wire::Year,
        t::DATE => Wire::Date,
        t::TIME2 => Wire::Time { digits: low },
        t::DATETIME2 => Wire::DateTime { digits: low },
        t::TIMESTAMP2 => Wire::Timestamp { digits: low },
        t::TIME => Wire::OldTime,
        t::DATETIME => Wire::OldDateTime,
        t::TIMESTAMP => Wire::OldTimestamp,
        t::VARCHAR | t::VAR_STRING | t::STRING => {
            Wire::Sized { prefix: if meta < 256 { 1 } else { 2 } }
        }
        t::BLOB | t::GEOMETRY | t::VECTOR if (1..=4).contains(&meta) => Wire::Sized { prefix: low },
        t::JSON if (1..=4).contains(&meta) => Wire::Json { prefix: low },
        t::ENUM | t::SET if (1..=8).contains(&meta) => Wire::Labels { bytes: low },
        t::BIT if meta <= 64 => Wire::Bits { bytes: meta.div_ceil(8) as u8 },
        t::NULL => Wire::Null,
        _ => return None,
    })
}

/// The room that a value takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    Bytes(usize),
    /// As many as the number in so many bytes before them says.
    Sized(u8),
    /// There is no such value.
    Never,
}

impl Span {
    /// Goes behind it. `None`: the row ends before it.
    #[inline]
    pub(super) fn skip(self, cursor: &mut Cursor<'_>) -> Option<()> {
        match self {
            Self::Bytes(n) => cursor.take(n).map(drop),
            Self::Sized(prefix) => cursor.sized(prefix).map(drop),
            Self::Never => None,
        }
    }
}

impl Wire {
    /// The room that a value takes.
    pub(super) fn span(self) -> Span {
        Span::Bytes(match self {
            Self::Int { bytes, .. } | Self::Labels { bytes } | Self::Bits { bytes } => bytes.into(),
            Self::Float | Self::OldTimestamp => 4,
            Self::Double | Self::OldDateTime => 8,
            Self::Decimal { precision, scale } => decimal::length(precision, scale),
            Self::Year => 1,
            Self::Date | Self::OldTime => 3,
            Self::Time { digits } => 3 + fraction_bytes(digits),
            Self::DateTime { digits } => 5 + fraction_bytes(digits),
            Self::Timestamp { digits } => 4 + fraction_bytes(digits),
            Self::Sized { prefix } | Self::Json { prefix } => return Span::Sized(prefix),
            Self::Null => return Span::Never,
        })
    }

    /// The next value. `None`: the row ends before it.
    #[inline]
    pub(super) fn read<'a>(self, cursor: &mut Cursor<'a>) -> Option<Datum<'a>> {
        Some(match self {
            Self::Int { bytes, signed } => {
                let value = match bytes {
                    4 => u64::from(u32::from_le_bytes(cursor.array()?)),
                    8 => u64::from_le_bytes(cursor.array()?),
                    other => cursor.le(other.into())?,
                };
                if !signed {
                    return Some(Datum::Unsigned(value));
                }
                let shift = 64 - 8 * u32::from(bytes);
                Datum::Int((value << shift) as i64 >> shift)
            }
            Self::Sized { prefix } => Datum::Raw(cursor.sized(prefix)?),
            Self::Float => Datum::Float(f32::from_le_bytes(cursor.array()?)),
            Self::Double => Datum::Double(f64::from_le_bytes(cursor.array()?)),
            Self::Decimal { precision, scale } => {
                Datum::Packed(cursor.take(decimal::length(precision, scale))?, precision, scale)
            }
            Self::Year => Datum::Int(match cursor.u8()? {
                0 => 0,
                since => 1900 + i64::from(since),
            }),
            Self::Date => Datum::Date(date(cursor)?),
            Self::Time { digits } => Datum::Time(time(cursor, digits)?),
            Self::DateTime { digits } => {
                let (date, us) = date_time(cursor, digits)?;
                Datum::DateTime(date, us)
            }
            Self::Timestamp { digits } => Datum::Instant(timestamp(cursor, digits)?),
            Self::OldTime => Datum::Time(old_time(cursor)?),
            Self::OldDateTime => {
                let (date, us) = old_date_time(cursor)?;
                Datum::DateTime(date, us)
            }
            Self::OldTimestamp => Datum::Instant(cursor.le(4)? as i64 * 1_000_000),
            Self::Json { prefix } => Datum::Json(cursor.sized(prefix)?),
            Self::Labels { bytes } => Datum::Labels(cursor.le(bytes.into())?),
            Self::Bits { bytes } => Datum::Bits(cursor.take(bytes.into())?),
            Self::Null => return None,
        })
    }
}
