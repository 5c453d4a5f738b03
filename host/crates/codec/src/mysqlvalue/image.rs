//! The image of a row: its values, one after the other, into columns.

use wasmgate_model::{Column, Values};

use super::charset::{Charset, is_utf8};
use super::column::Form;
use super::cursor::{Cursor, bit};
use super::push::push_date_time;
use super::temporal::date_time;
use super::{ColumnType, Datum, ValueError, Wire, apply_diffs, not, push};

/// The image of a row: where it starts in the event. Its values are read by [`Image::fill`].
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    pub(super) present: &'a [u8],
    pub(super) nulls: Nulls<'a>,
    pub(super) values: &'a [u8],
    /// A bit per JSON column that is given as differences.
    pub(super) partial: &'a [u8],
}

/// Which values of an image are null, a bit for each that it has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Nulls<'a> {
    /// Of an image with every column, and no more of them than bits.
    Few(u64),
    Many(&'a [u8]),
}

impl<'a> Nulls<'a> {
    /// `columns`: how many an image has that has all; `None`: it has not.
    pub(super) fn new(bytes: &'a [u8], columns: Option<usize>) -> Self {
        let Some(columns @ 1..=64) = columns else { return Self::Many(bytes) };
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        // Servers set the bits behind the last column.
        Self::Few(u64::from_le_bytes(word) & (u64::MAX >> (64 - columns)))
    }

    /// Whether it is known that no value is null.
    pub(super) fn is_free(self) -> bool {
        matches!(self, Self::Few(0))
    }

    pub(super) fn has(self, n: usize) -> bool {
        match self {
            Self::Few(word) => n < 64 && word >> n & 1 == 1,
            Self::Many(bytes) => bit(bytes, n),
        }
    }
}

/// What did not convert: number of the column in the table, and why.
pub type Failed = Option<(usize, ValueError)>;

impl<'a> Image<'a> {
    /// The values in order of the table's columns; `None`: null or not in the image.
    pub fn values<'w>(
        &self,
        wires: &'w [Wire],
    ) -> impl Iterator<Item = Option<Datum<'a>>> + use<'a, 'w> {
        let mut cursor = Cursor(self.values);
        let mut n = 0;
        let Self { present, nulls, .. } = *self;
        wires.iter().enumerate().map(move |(i, wire)| {
            if !bit(present, i) {
                return None;
            }
            n += 1;
            if nulls.has(n - 1) { None } else { wire.read(&mut cursor) }
        })
    }

    /// Appends the values to `columns`, the places of those columns that have a type. JSON that is
    /// given as differences is put together with `before`.
    pub fn fill(
        &self,
        wires: &[Wire],
        types: &[Option<ColumnType>],
        columns: &mut [Column],
        before: Option<&Image<'a>>,
    ) -> Failed {
        if !self.partial.is_empty()
            && let Some(before) = before
        {
            return self.fill_partial(wires, types, columns, before);
        }
        if let Nulls::Few(nulls) = self.nulls {
            return self.fill_whole(nulls, wires, types, columns);
        }
        let mut failed = None;
        let mut fields = columns.iter_mut();
        for (i, (value, ty)) in self.values(wires).zip(types).enumerate() {
            let Some(ty) = ty else { continue };
            let Some(column) = fields.next() else { break };
            place(column, ty, value, i, &mut failed);
        }
        failed
    }

    /// As [`Image::fill`], of an image with every column.
    fn fill_whole(
        &self,
        mut nulls: u64,
        wires: &[Wire],
        types: &[Option<ColumnType>],
        columns: &mut [Column],
    ) -> Failed {
        let mut failed = None;
        let mut cursor = Cursor(self.values);
        let mut fields = columns.iter_mut();
        for (i, (wire, ty)) in wires.iter().zip(types).enumerate() {
            let null = nulls & 1 == 1;
            nulls >>= 1;
            let Some(ty) = ty else {
                if !null {
                    wire.read(&mut cursor);
                }
                continue;
            };
            let Some(column) = fields.next() else { break };
            if null {
                column.push_null();
            } else if let Err(error) = copy(*wire, &mut cursor, ty, column) {
                column.push_null();
                failed.get_or_insert((i, error));
            }
        }
        failed
    }

    #[cold]
    fn fill_partial(
        &self,
        wires: &[Wire],
        types: &[Option<ColumnType>],
        columns: &mut [Column],
        before: &Image<'a>,
    ) -> Failed {
        let mut failed = None;
        let mut fields = columns.iter_mut();
        let (mut json, mut whole) = (0, Vec::new());
        let old = before.values(wires);
        for (i, ((value, old), (ty, wire))) in
            self.values(wires).zip(old).zip(types.iter().zip(wires)).enumerate()
        {
            let mut value = value;
            if matches!(wire, Wire::Json { .. }) {
                let differs = bit(self.partial, json);
                json += 1;
                if let (true, Some(Datum::Json(diffs))) = (differs, value) {
                    let old = if let Some(Datum::Json(old)) = old { old } else { &[] };
                    whole.clear();
                    match apply_diffs(old, diffs, &mut whole) {
                        Ok(()) => value = Some(Datum::Text(&whole)),
                        Err(error) => {
                            failed.get_or_insert((i, error));
                            value = None;
                        }
                    }
                }
            }
            let Some(ty) = ty else { continue };
            let Some(column) = fields.next() else { break };
            place(column, ty, value, i, &mut failed);
        }
        failed
    }
}

/// Moves the next value into its column. The usual types go the shortest way, which is that of
/// [`Wire::read`] and [`push`] together.
///
/// # Errors
/// It is no value of the type; nothing was appended.
#[inline]
fn copy(
    wire: Wire,
    cursor: &mut Cursor<'_>,
    ty: &ColumnType,
    column: &mut Column,
) -> Result<(), ValueError> {
    match (wire, &ty.form, &mut column.values) {
        (Wire::Int { bytes: 4, signed: true }, Form::Int, Values::Ints(to)) => {
            if let Some(value) = cursor.array() {
                to.push(i32::from_le_bytes(value).into());
                return Ok(());
            }
        }
        (Wire::Int { bytes: 8, .. }, Form::Int, Values::Ints(to)) => {
            if let Some(value) = cursor.array() {
                to.push(i64::from_le_bytes(value));
                return Ok(());
            }
        }
        (Wire::Sized { prefix }, Form::Text(Charset::Utf8), Values::Texts(to)) => {
            if let Some(text) = cursor.sized(prefix) {
                if !is_utf8(text) {
                    return Err(not("UTF-8"));
                }
                to.push(text);
                return Ok(());
            }
        }
        (Wire::Double, Form::Float, Values::Floats(to)) => {
            if let Some(value) = cursor.array() {
                to.push(f64::from_le_bytes(value));
                return Ok(());
            }
        }
        (Wire::DateTime { digits }, Form::DateTime, _) => {
            if let Some((date, us)) = date_time(cursor, digits) {
                return push_date_time(column, ty, date, us);
            }
        }
        _ => {
            if let Some(value) = wire.read(cursor) {
                return push_or_nothing(column, ty, value);
            }
        }
    }
    column.push_null();
    Ok(())
}

/// As [`push`], out of line.
fn push_or_nothing(
    column: &mut Column,
    ty: &ColumnType,
    value: Datum<'_>,
) -> Result<(), ValueError> {
    push(column, ty, value)
}

/// Appends one value, so that columns stay aligned whatever it is.
#[inline]
fn place(
    column: &mut Column,
    ty: &ColumnType,
    value: Option<Datum<'_>>,
    i: usize,
    failed: &mut Failed,
) {
    match value {
        None => column.push_null(),
        Some(value) => {
            let rows = column.len();
            if let Err(error) = push(column, ty, value) {
                if column.len() == rows {
                    column.push_null();
                }
                failed.get_or_insert((i, error));
            }
        }
    }
}
