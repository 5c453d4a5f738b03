//! Tables that are held back while all others go on: a module does not fit them, or the log and
//! their definition do not agree. Their changes become dead letters; what the checkpoint keeps of
//! them is here, and what has to be made good when they go on: rows that were removed meanwhile
//! are not found by reading the table anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wasmgate_codec::mysqlvalue::{CivilDate, Datum, Image};
use wasmgate_connector::Quarantined;
use wasmgate_model::Position;

use crate::catalog::TableName;
use crate::state::Place;
use crate::table::Table;

/// Code of the dead letters.
pub(crate) const CODE: &str = "table-quarantined";
/// Stage of the dead letters.
pub(crate) const STAGE: &str = "quarantine";
/// Code of a fault that only one table is concerned by: its definition is not known.
pub(crate) const MISMATCH: &str = "table-mismatch";
/// Keys of removed rows that are kept of one table, and their bytes; they are in every checkpoint.
const KEYS_MAX: usize = 1000;
const BYTES_MAX: usize = 64 << 10;

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

    fn weight(&self) -> usize {
        match self {
            Self::Packed(bytes, ..) | Self::Raw(bytes) | Self::Bits(bytes) => bytes.len() * 4,
            _ => 20,
        }
    }
}

/// Values of the columns of a row's key.
pub(crate) type RowKey = BTreeMap<String, Kept>;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub name: TableName,
    pub reason: String,
    /// Position of the first change that was held back: transaction, number.
    pub since: (u64, u64),
    /// Keys of rows that were removed since; `None`: of more than are kept, or nobody can tell.
    pub removed: Option<Vec<RowKey>>,
    /// It goes on once the log is read so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resume_at: Option<(String, u64)>,
}

impl Held {
    pub(crate) fn new(name: &TableName, reason: String, since: Position) -> Self {
        Self {
            name: name.clone(),
            reason,
            since: (since.major, since.minor),
            removed: Some(Vec::new()),
            resume_at: None,
        }
    }

    /// Where in the log it goes on.
    pub(crate) fn resume_at(&self) -> Option<Place> {
        let (file, offset) = self.resume_at.clone()?;
        Some(Place { file, offset })
    }

    pub(crate) fn resume(&mut self, at: Option<Place>) {
        self.resume_at = at.map(|Place { file, offset }| (file, offset));
    }

    pub(crate) fn shown(&self) -> Quarantined {
        Quarantined {
            table: format!("{}.{}", self.name.0, self.name.1),
            reason: self.reason.clone(),
            since: Position::new(self.since.0, self.since.1),
            resuming: self.resume_at.is_some(),
            kept: None,
        }
    }

    /// Remembers that a row was removed; `None`: it cannot be told which, or all were.
    pub(crate) fn remove(&mut self, key: Option<RowKey>) {
        let (Some(key), Some(removed)) = (key, &mut self.removed) else {
            self.removed = None;
            return;
        };
        removed.push(key);
        let bytes = |k: &RowKey| k.iter().map(|(n, v)| n.len() + v.weight()).sum::<usize>();
        if removed.len() > KEYS_MAX || removed.iter().map(bytes).sum::<usize>() > BYTES_MAX {
            self.removed = None;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn removed_rows_are_kept_up_to_a_bound_and_survive_their_text() {
        let name = ("d".to_owned(), "t".to_owned());
        let mut held = Held::new(&name, "why".into(), Position::new(1, 2));
        let key = |n: usize| RowKey::from([("id".to_owned(), Kept::Int(n as i64))]);
        (0..KEYS_MAX).for_each(|n| held.remove(Some(key(n))));
        assert_eq!(held.removed.as_ref().unwrap().len(), KEYS_MAX);
        held.remove(Some(key(0)));
        assert_eq!(held.removed, None);
        held.remove(Some(key(1)));
        assert_eq!(held.removed, None, "what is forgotten stays forgotten");
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
