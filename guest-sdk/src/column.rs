//! Reading and building columns.
//!
//! A column is values plus ascending lists of the rows without one. [`Cells`] walks both in step,
//! so a rule sees one [`Cell`] per row and nothing is allocated.

use std::iter::Copied;
use std::slice::Iter;

use crate::contract::{Block, Column, Values};

/// The value of one field in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<T> {
    Value(T),
    Null,
    /// Null because the field is not there. Written: leave what was there, or add nothing.
    Absent,
}

impl<T> Cell<T> {
    /// The value; null and absent give `None`.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null | Self::Absent => None,
        }
    }
}

/// One [`Cell`] per row, in order.
#[derive(Debug, Clone)]
pub struct Cells<'a, I> {
    values: I,
    nulls: &'a [u32],
    absent: &'a [u32],
    row: u32,
}

impl<'a, I> Cells<'a, I> {
    fn new(column: &'a Column, values: I) -> Self {
        Self { values, nulls: &column.nulls, absent: &column.absent, row: 0 }
    }
}

impl<I: Iterator> Iterator for Cells<'_, I> {
    type Item = Cell<I::Item>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let value = self.values.next()?;
        let row = self.row;
        self.row += 1;
        match self.nulls.split_first() {
            Some((&null, later)) if null == row => self.nulls = later,
            _ => return Some(Cell::Value(value)),
        }
        match self.absent.split_first() {
            Some((&absent, later)) if absent == row => {
                self.absent = later;
                Some(Cell::Absent)
            }
            _ => Some(Cell::Null),
        }
    }
}

/// The texts of a block.
#[derive(Debug, Clone)]
pub struct Texts<'a> {
    ends: Iter<'a, u32>,
    /// What is left of the block, and where it starts.
    rest: &'a str,
    start: u32,
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let end = *self.ends.next()?;
        let (text, rest) = self.rest.split_at_checked(end.wrapping_sub(self.start) as usize)?;
        (self.rest, self.start) = (rest, end);
        Some(text)
    }
}

pub type BoolCells<'a> = Cells<'a, Copied<Iter<'a, bool>>>;
pub type IntCells<'a> = Cells<'a, Copied<Iter<'a, i64>>>;
pub type FloatCells<'a> = Cells<'a, Copied<Iter<'a, f64>>>;
pub type TextCells<'a> = Cells<'a, Texts<'a>>;

/// Each fails where the host sent another representation than the projection asked for.
impl Column {
    /// Values of a boolean read.
    ///
    /// # Errors
    /// The column holds something else.
    pub fn booleans(&self) -> Result<BoolCells<'_>, String> {
        match &self.values {
            Values::Booleans(values) => Ok(Cells::new(self, values.iter().copied())),
            _ => Err(self.unexpected("booleans")),
        }
    }

    /// Values of an integer, timestamp-us, date-days or time-us read.
    ///
    /// # Errors
    /// The column holds something else.
    pub fn ints(&self) -> Result<IntCells<'_>, String> {
        match &self.values {
            Values::Ints(values) => Ok(Cells::new(self, values.iter().copied())),
            _ => Err(self.unexpected("ints")),
        }
    }

    /// Values of a float read.
    ///
    /// # Errors
    /// The column holds something else.
    pub fn floats(&self) -> Result<FloatCells<'_>, String> {
        match &self.values {
            Values::Floats(values) => Ok(Cells::new(self, values.iter().copied())),
            _ => Err(self.unexpected("floats")),
        }
    }

    /// Values of a text, json, uuid or decimal read, in block form.
    ///
    /// # Errors
    /// The column holds something else.
    pub fn texts(&self) -> Result<TextCells<'_>, String> {
        match &self.values {
            Values::Block(Block { ends, data }) => {
                Ok(Cells::new(self, Texts { ends: ends.iter(), rest: data, start: 0 }))
            }
            _ => Err(self.unexpected("a block of texts")),
        }
    }

    /// Number of values.
    #[must_use]
    pub fn rows(&self) -> usize {
        match &self.values {
            Values::Booleans(values) => values.len(),
            Values::Ints(values) => values.len(),
            Values::Floats(values) => values.len(),
            Values::Texts(values) => values.len(),
            Values::Block(block) => block.ends.len(),
            Values::Blobs(values) => values.len(),
        }
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found = match &self.values {
            Values::Booleans(_) => "booleans",
            Values::Ints(_) => "ints",
            Values::Floats(_) => "floats",
            Values::Texts(_) => "texts one by one",
            Values::Block(_) => "a block of texts",
            Values::Blobs(_) => "blobs",
        };
        format!("found {found}, expected {wanted}: the host did not follow the projection")
    }
}

/// What every column under construction can do.
pub trait ColumnBuilder {
    /// Room for `rows` values.
    fn with_rows(rows: usize) -> Self;
    /// The next row's value is null.
    fn push_null(&mut self);
    /// The next row keeps what was there, or gets nothing.
    fn push_absent(&mut self);
    /// The finished column.
    fn finish(self) -> Column;
}

/// A column of fixed-size values under construction.
#[derive(Debug, Clone, Default)]
pub struct ValueBuilder<T> {
    values: Vec<T>,
    nulls: Vec<u32>,
    absent: Vec<u32>,
}

pub type BoolBuilder = ValueBuilder<bool>;
pub type IntBuilder = ValueBuilder<i64>;
pub type FloatBuilder = ValueBuilder<f64>;

impl<T> ValueBuilder<T> {
    /// The next row's value.
    #[inline]
    pub fn push(&mut self, value: T) {
        self.values.push(value);
    }
}

impl<T: Default> ColumnBuilder for ValueBuilder<T>
where
    Values: From<Vec<T>>,
{
    fn with_rows(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), nulls: Vec::new(), absent: Vec::new() }
    }

    fn push_null(&mut self) {
        self.nulls.push(self.values.len() as u32);
        self.values.push(T::default());
    }

    fn push_absent(&mut self) {
        self.absent.push(self.values.len() as u32);
        self.push_null();
    }

    fn finish(self) -> Column {
        Column { values: self.values.into(), nulls: self.nulls, absent: self.absent }
    }
}

impl From<Vec<bool>> for Values {
    fn from(values: Vec<bool>) -> Self {
        Self::Booleans(values)
    }
}

impl From<Vec<i64>> for Values {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(values)
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Self::Floats(values)
    }
}

/// A column of texts under construction, as a block. Runs of one text are cheap: the text is
/// compared with the one before it, and copied for the whole run at once.
#[derive(Debug, Clone, Default)]
pub struct TextBuilder {
    ends: Vec<u32>,
    data: String,
    nulls: Vec<u32>,
    absent: Vec<u32>,
    /// Where the last value in `data` starts.
    last: usize,
    /// How often it comes again, not in `data` and `ends` yet.
    repeats: usize,
}

impl TextBuilder {
    /// The next row's value.
    #[inline]
    pub fn push(&mut self, text: &str) {
        if !text.is_empty() && same(self.data.get(self.last..).unwrap_or_default(), text) {
            self.repeats += 1;
            return;
        }
        self.repeat();
        self.last = self.data.len();
        if !text.is_empty() {
            self.data.push_str(text);
        }
        self.ends.push(self.data.len() as u32);
    }

    /// The value of the next `rows` rows.
    pub fn push_run(&mut self, text: &str, rows: usize) {
        if rows > 0 {
            self.push(text);
            self.repeats += rows - 1;
        }
    }

    /// The next row's value, null or absence.
    #[inline]
    pub fn push_cell(&mut self, cell: Cell<&str>) {
        match cell {
            Cell::Value(text) => self.push(text),
            Cell::Null => self.push_null(),
            Cell::Absent => self.push_absent(),
        }
    }

    /// Writes the repeats of the last value, in copies that double.
    fn repeat(&mut self) {
        let unit = self.data.len() - self.last;
        let end = self.data.len();
        self.ends.extend((1..=self.repeats).map(|number| (end + number * unit) as u32));
        let mut have = 1;
        while self.repeats > 0 && unit > 0 {
            let more = have.min(self.repeats);
            self.data.extend_from_within(self.last..self.last + more * unit);
            have += more;
            self.repeats -= more;
        }
        self.repeats = 0;
        self.last = self.data.len() - unit;
    }
}

impl ColumnBuilder for TextBuilder {
    fn with_rows(rows: usize) -> Self {
        Self { ends: Vec::with_capacity(rows), ..Self::default() }
    }

    fn push_null(&mut self) {
        self.repeat();
        self.nulls.push(self.ends.len() as u32);
        self.push("");
    }

    fn push_absent(&mut self) {
        self.repeat();
        self.absent.push(self.ends.len() as u32);
        self.push_null();
    }

    fn finish(mut self) -> Column {
        self.repeat();
        let block = Block { ends: self.ends, data: self.data };
        Column { values: Values::Block(block), nulls: self.nulls, absent: self.absent }
    }
}

/// Whether two texts are the same: what `==` says, without the call into a byte-by-byte compare
/// that it is in a guest. For loops over rows.
#[inline]
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(a_tail), Some(b_tail)) => {
            let words = a.chunks_exact(8).zip(b.chunks_exact(8));
            u64::from_le_bytes(*a_tail) == u64::from_le_bytes(*b_tail)
                && words.map(|(a, b)| (word(a), word(b))).all(|(a, b)| a == b)
        }
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

    use super::*;

    /// Every text comes out as it went in, however runs, nulls and empties mix.
    #[test]
    fn runs_nulls_and_empties_come_out_as_they_went_in() {
        let cells = [
            Cell::Value("a"),
            Cell::Value("a"),
            Cell::Null,
            Cell::Value("a"),
            Cell::Value(""),
            Cell::Value(""),
            Cell::Value("grüße, twelve"),
            Cell::Value("grüße, twelve"),
            Cell::Value("grüße, twelve"),
            Cell::Absent,
            Cell::Absent,
            Cell::Value("b"),
            Cell::Value("b"),
        ];
        let mut builder = TextBuilder::with_rows(cells.len());
        cells.iter().for_each(|cell| builder.push_cell(*cell));
        builder.push_run("b", 3);
        builder.push_run("", 2);
        builder.push_run("never", 0);
        let column = builder.finish();
        let found: Vec<_> = column.texts().unwrap().collect();
        let rest = ["b", "b", "b", "", ""].map(Cell::Value);
        assert_eq!(found, [cells.as_slice(), rest.as_slice()].concat());
    }

    #[test]
    fn same_is_equality() {
        let long = "0123456789abcdefghij";
        for from in 0..long.len() {
            for to in from..long.len() {
                let text = &long[from..to];
                assert!(same(text, text));
                for at in 0..text.len() {
                    let mut other = text.as_bytes().to_vec();
                    other[at] = b'#';
                    assert!(!same(text, &String::from_utf8(other).unwrap()));
                }
                assert!(!same(text, long));
            }
        }
    }
}
