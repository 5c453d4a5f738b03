//! One column in the shape of the contract: a vector of values, one per row, and the rows
//! without a value as sorted lists. Null slots hold 0, false or nothing.

use crate::block::Block;
use crate::kind::Kind;

/// Storage of a column; see [`Kind`] for which kind uses which.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    Booleans(Vec<bool>),
    /// Integer, timestamp, date, time.
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    /// Text, JSON, UUID, decimal: UTF-8, checked when it was filled.
    Texts(Block),
    /// Bytes.
    Blobs(Block),
}

impl Values {
    /// Empty storage for a kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Boolean => Self::Booleans(Vec::new()),
            Kind::Integer | Kind::TimestampUs | Kind::DateDays | Kind::TimeUs => {
                Self::Ints(Vec::new())
            }
            Kind::Float => Self::Floats(Vec::new()),
            Kind::Text | Kind::Json | Kind::Decimal | Kind::Uuid => Self::Texts(Block::default()),
            Kind::Bytes => Self::Blobs(Block::default()),
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Booleans(v) => v.len(),
            Self::Ints(v) => v.len(),
            Self::Floats(v) => v.len(),
            Self::Texts(b) | Self::Blobs(b) => b.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the empty value (0, false, nothing).
    pub fn push_empty(&mut self) {
        match self {
            Self::Booleans(v) => v.push(false),
            Self::Ints(v) => v.push(0),
            Self::Floats(v) => v.push(0.0),
            Self::Texts(b) | Self::Blobs(b) => b.seal(),
        }
    }
}

/// A column: values, the rows that are null, and those of them that are absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub values: Values,
    /// Ascending numbers of the rows without a value.
    pub nulls: Vec<u32>,
    /// Those of `nulls` where the field itself is not there. Ascending.
    pub absent: Vec<u32>,
}

impl Column {
    /// An empty column for a kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { values: Values::new(kind), nulls: Vec::new(), absent: Vec::new() }
    }

    /// A column of `rows` absent values.
    #[must_use]
    pub fn all_absent(kind: Kind, rows: usize) -> Self {
        let mut column = Self::new(kind);
        for _ in 0..rows {
            column.push_absent();
        }
        column
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        self.nulls.push(self.len() as u32);
        self.values.push_empty();
    }

    /// Appends nulls until there are `rows` rows.
    pub fn fill_nulls(&mut self, rows: usize) {
        let from = self.len();
        if from >= rows {
            return;
        }
        self.nulls.extend(from as u32..rows as u32);
        match &mut self.values {
            Values::Booleans(v) => v.resize(rows, false),
            Values::Ints(v) => v.resize(rows, 0),
            Values::Floats(v) => v.resize(rows, 0.0),
            Values::Texts(b) | Values::Blobs(b) => b.seal_until(rows),
        }
    }

    /// Appends an absent value (also a null).
    pub fn push_absent(&mut self) {
        self.absent.push(self.len() as u32);
        self.push_null();
    }

    /// Appends bytes to a text or blob column; nothing happens on other columns.
    pub fn push_bytes(&mut self, value: &[u8]) {
        if let Values::Texts(b) | Values::Blobs(b) = &mut self.values {
            b.push(value);
        }
    }

    /// Appends an integer to an integer column.
    pub fn push_int(&mut self, value: i64) {
        if let Values::Ints(v) = &mut self.values {
            v.push(value);
        }
    }

    /// Appends a float to a float column.
    pub fn push_float(&mut self, value: f64) {
        if let Values::Floats(v) = &mut self.values {
            v.push(value);
        }
    }

    /// Appends a boolean to a boolean column.
    pub fn push_bool(&mut self, value: bool) {
        if let Values::Booleans(v) = &mut self.values {
            v.push(value);
        }
    }

    /// Whether row `i` has no value.
    #[must_use]
    pub fn is_null(&self, i: usize) -> bool {
        !self.nulls.is_empty() && self.nulls.binary_search(&(i as u32)).is_ok()
    }

    /// Whether the field of row `i` is not there at all.
    #[must_use]
    pub fn is_absent(&self, i: usize) -> bool {
        !self.absent.is_empty() && self.absent.binary_search(&(i as u32)).is_ok()
    }

    /// The text or bytes of row `i`; `None` when null or another storage.
    #[must_use]
    pub fn bytes(&self, i: usize) -> Option<&[u8]> {
        match &self.values {
            Values::Texts(b) | Values::Blobs(b) if i < b.len() && !self.is_null(i) => {
                Some(b.get(i))
            }
            _ => None,
        }
    }

    /// The text of row `i`; `None` when null or not text.
    #[must_use]
    pub fn text(&self, i: usize) -> Option<&str> {
        match &self.values {
            Values::Texts(_) => self.bytes(i).and_then(|b| std::str::from_utf8(b).ok()),
            _ => None,
        }
    }

    /// The integer of row `i`; `None` when null or another storage.
    #[must_use]
    pub fn int(&self, i: usize) -> Option<i64> {
        match &self.values {
            Values::Ints(v) if !self.is_null(i) => v.get(i).copied(),
            _ => None,
        }
    }

    /// The float of row `i`; `None` when null or another storage.
    #[must_use]
    pub fn float(&self, i: usize) -> Option<f64> {
        match &self.values {
            Values::Floats(v) if !self.is_null(i) => v.get(i).copied(),
            _ => None,
        }
    }

    /// The boolean of row `i`; `None` when null or another storage.
    #[must_use]
    pub fn boolean(&self, i: usize) -> Option<bool> {
        match &self.values {
            Values::Booleans(v) if !self.is_null(i) => v.get(i).copied(),
            _ => None,
        }
    }

    /// Empties the column and keeps its memory.
    pub fn clear(&mut self) {
        match &mut self.values {
            Values::Booleans(v) => v.clear(),
            Values::Ints(v) => v.clear(),
            Values::Floats(v) => v.clear(),
            Values::Texts(b) | Values::Blobs(b) => b.clear(),
        }
        self.nulls.clear();
        self.absent.clear();
    }

    /// Appends row `i` of `from`, a column of the same storage, with its null and absent marks.
    pub fn push_from(&mut self, from: &Column, i: usize) {
        if from.is_absent(i) {
            return self.push_absent();
        }
        if from.is_null(i) {
            return self.push_null();
        }
        match (&mut self.values, &from.values) {
            (Values::Booleans(to), Values::Booleans(v)) => {
                to.push(v.get(i).copied().unwrap_or_default());
            }
            (Values::Ints(to), Values::Ints(v)) => to.push(v.get(i).copied().unwrap_or_default()),
            (Values::Floats(to), Values::Floats(v)) => {
                to.push(v.get(i).copied().unwrap_or_default());
            }
            (Values::Texts(to) | Values::Blobs(to), Values::Texts(v) | Values::Blobs(v)) => {
                to.push(v.get(i))
            }
            (to, _) => {
                to.push_empty();
            }
        }
    }

    /// Copies the rows at `rows` (ascending) into `out`, whose storage is reused if it is the same.
    pub fn gather_into(&self, rows: &[u32], out: &mut Column) {
        out.clear();
        match (&self.values, &mut out.values) {
            (Values::Booleans(v), Values::Booleans(to)) => gather_vec(v, rows, to),
            (Values::Ints(v), Values::Ints(to)) => gather_vec(v, rows, to),
            (Values::Floats(v), Values::Floats(to)) => gather_vec(v, rows, to),
            (Values::Texts(b), Values::Texts(to)) | (Values::Blobs(b), Values::Blobs(to)) => {
                rows.iter().for_each(|&row| to.push(b.get(row as usize)));
            }
            _ => {
                *out = self.clone();
                return out.compact(rows);
            }
        }
        gather_marks(&self.nulls, rows, &mut out.nulls);
        gather_marks(&self.absent, rows, &mut out.absent);
    }

    /// Appends every row of `from`, a column of the same storage.
    pub fn append(&mut self, from: &Column) {
        for i in 0..from.len() {
            self.push_from(from, i);
        }
    }

    /// Keeps the rows at `rows` (ascending), in place.
    pub fn compact(&mut self, rows: &[u32]) {
        match &mut self.values {
            Values::Booleans(v) => compact_vec(v, rows),
            Values::Ints(v) => compact_vec(v, rows),
            Values::Floats(v) => compact_vec(v, rows),
            Values::Texts(b) | Values::Blobs(b) => b.compact(rows),
        }
        compact_marks(&mut self.nulls, rows);
        compact_marks(&mut self.absent, rows);
    }
}

fn compact_vec<T: Copy>(values: &mut Vec<T>, rows: &[u32]) {
    for (to, &row) in rows.iter().enumerate() {
        if let Some(&value) = values.get(row as usize)
            && let Some(slot) = values.get_mut(to)
        {
            *slot = value;
        }
    }
    values.truncate(rows.len());
}

fn gather_vec<T: Copy + Default>(values: &[T], rows: &[u32], out: &mut Vec<T>) {
    out.extend(rows.iter().map(|&row| values.get(row as usize).copied().unwrap_or_default()));
}

fn compact_marks(marks: &mut Vec<u32>, rows: &[u32]) {
    if marks.is_empty() {
        return;
    }
    let mut kept = Vec::with_capacity(marks.len());
    gather_marks(marks, rows, &mut kept);
    *marks = kept;
}

fn gather_marks(marks: &[u32], rows: &[u32], kept: &mut Vec<u32>) {
    if marks.is_empty() {
        return;
    }
    let mut next = 0;
    for (to, row) in rows.iter().enumerate() {
        while marks.get(next).is_some_and(|m| m < row) {
            next += 1;
        }
        if marks.get(next) == Some(row) {
            kept.push(to as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_fill_up_what_is_missing() {
        for kind in [Kind::Boolean, Kind::Integer, Kind::Float, Kind::Text, Kind::Bytes] {
            let (mut filled, mut pushed) = (Column::new(kind), Column::new(kind));
            filled.fill_nulls(2);
            (0..2).for_each(|_| pushed.push_null());
            for column in [&mut filled, &mut pushed] {
                column.push_bytes(b"text");
                column.push_int(7);
                column.push_float(0.5);
                column.push_bool(true);
            }
            filled.fill_nulls(1);
            filled.fill_nulls(5);
            (0..2).for_each(|_| pushed.push_null());
            assert_eq!(filled, pushed, "{kind:?}");
            assert_eq!(filled.nulls, [0, 1, 3, 4]);
        }
    }

    #[test]
    fn compaction_keeps_values_and_marks_together() {
        let mut c = Column::new(Kind::Text);
        for (i, v) in ["a", "", "ccc", "", "e"].iter().enumerate() {
            match i {
                1 => c.push_null(),
                3 => c.push_absent(),
                _ => c.push_bytes(v.as_bytes()),
            }
        }
        c.compact(&[0, 1, 3, 4]);
        let got: Vec<_> = (0..c.len()).map(|i| c.text(i)).collect();
        assert_eq!(got, [Some("a"), None, None, Some("e")]);
        assert_eq!((c.nulls.as_slice(), c.absent.as_slice()), ([1, 2].as_slice(), [2].as_slice()));
    }
}
