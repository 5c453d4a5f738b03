//! Tables that are held back while all others go on: a module does not fit them, or the log and
//! their definition do not agree. Their changes become dead letters; the keys of rows that were
//! removed meanwhile are here, as the checkpoint keeps them.

use serde::{Deserialize, Serialize};
use wasmgate_codec::mysqlvalue::{CivilDate, Datum, Image};
use wasmgate_replication::KeyValue;

use crate::state::Place;
use crate::table::Table;

/// Code of a fault that only one table is concerned by: its definition is not known.
pub(crate) const MISMATCH: &str = "table-mismatch";

/// A value of the log as the checkpoint keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kept {
    Int(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    Packed(Vec<u8>, u8, u8),
    Date(u16, u8, u8),
    DateTime(u16, u8, u8, i64),
    Instant(i64),
    Time(i64),
    Raw(Vec<u8>),
    Labels(u64),
    Bits(Vec<u8>),
}

impl Kept {
    /// `None`: no value that a key may have.
    fn of(value: Datum<'_>) -> Option<Self> {
        Some(match value {
            Datum::Int(n) => Self::Int(n),
            Datum::Unsigned(n) => Self::Unsigned(n),
            Datum::Float(f) => Self::Float(f),
            Datum::Double(f) => Self::Double(f),
            Datum::Packed(bytes, digits, scale) => Self::Packed(bytes.to_vec(), digits, scale),
            Datum::Date(CivilDate { year, month, day }) => Self::Date(year, month, day),
            Datum::DateTime(CivilDate { year, month, day }, us) => {
                Self::DateTime(year, month, day, us)
            }
            Datum::Instant(us) => Self::Instant(us),
            Datum::Time(us) => Self::Time(us),
            Datum::Raw(bytes) => Self::Raw(bytes.to_vec()),
            Datum::Labels(n) => Self::Labels(n),
            Datum::Bits(bytes) => Self::Bits(bytes.to_vec()),
            Datum::Text(_) | Datum::Json(_) => return None,
        })
    }

    pub(crate) fn datum(&self) -> Datum<'_> {
        let date = |year, month, day| CivilDate { year, month, day };
        match self {
            Self::Int(n) => Datum::Int(*n),
            Self::Unsigned(n) => Datum::Unsigned(*n),
            Self::Float(f) => Datum::Float(*f),
            Self::Double(f) => Datum::Double(*f),
            Self::Packed(bytes, digits, scale) => Datum::Packed(bytes, *digits, *scale),
            Self::Date(year, month, day) => Datum::Date(date(*year, *month, *day)),
            Self::DateTime(year, month, day, us) => Datum::DateTime(date(*year, *month, *day), *us),
            Self::Instant(us) => Datum::Instant(*us),
            Self::Time(us) => Datum::Time(*us),
            Self::Raw(bytes) => Datum::Raw(bytes),
            Self::Labels(n) => Datum::Labels(*n),
            Self::Bits(bytes) => Datum::Bits(bytes),
        }
    }
}

impl KeyValue for Kept {
    fn weight(&self) -> usize {
        match self {
            Self::Packed(bytes, ..) | Self::Raw(bytes) | Self::Bits(bytes) => bytes.len() * 4,
            _ => 20,
        }
    }
}

/// Values of the columns of a row's key.
pub(crate) type RowKey = wasmgate_replication::RowKey<Kept>;

/// The key that the records of a row have; `None`: it has none, or it cannot be kept.
pub(crate) fn row_key(table: &Table, image: &Image<'_>) -> Option<RowKey> {
    let mut key = RowKey::new();
    for (value, (name, _)) in image.values(&table.wires).zip(&table.all) {
        if table.schema.key.iter().any(|k| **k == **name) {
            key.insert(name.clone(), Kept::of(value?)?);
        }
    }
    (!key.is_empty()).then_some(key)
}

/// A table that is held back.
pub(crate) type Held = wasmgate_replication::Held<Kept, Place>;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text() {
        let values = [
            Datum::Unsigned(u64::MAX),
            Datum::Packed(&[128, 7], 4, 2),
            Datum::Date(CivilDate { year: 0, month: 0, day: 0 }),
            Datum::DateTime(CivilDate { year: 2024, month: 2, day: 29 }, 7),
            Datum::Raw(&[0, 255]),
            Datum::Bits(&[1]),
        ];
        for value in values {
            let kept = Kept::of(value).unwrap();
            let text = serde_json::to_string(&kept).unwrap();
            let again: Kept = serde_json::from_str(&text).unwrap();
            assert_eq!(again.datum(), value, "{text}");
        }
    }
}
