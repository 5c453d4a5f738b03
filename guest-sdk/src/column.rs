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
    data: &'a str,
    start: usize,
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let end = *self.ends.next()? as usize;
        let text = self.data.get(self.start..end).unwrap_or_default();
        self.start = end;
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
                Ok(Cells::new(self, Texts { ends: ends.iter(), data, start: 0 }))
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

/// A column of texts under construction, as a block.
#[derive(Debug, Clone, Default)]
pub struct TextBuilder {
    ends: Vec<u32>,
    data: String,
    nulls: Vec<u32>,
    absent: Vec<u32>,
}

impl TextBuilder {
    /// The next row's value.
    #[inline]
    pub fn push(&mut self, text: &str) {
        self.data.push_str(text);
        self.ends.push(self.data.len() as u32);
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
}

impl ColumnBuilder for TextBuilder {
    fn with_rows(rows: usize) -> Self {
        Self { ends: Vec::with_capacity(rows), ..Self::default() }
    }

    fn push_null(&mut self) {
        self.nulls.push(self.ends.len() as u32);
        self.push("");
    }

    fn push_absent(&mut self) {
        self.absent.push(self.ends.len() as u32);
        self.push_null();
    }

    fn finish(self) -> Column {
        let block = Block { ends: self.ends, data: self.data };
        Column { values: Values::Block(block), nulls: self.nulls, absent: self.absent }
    }
}
