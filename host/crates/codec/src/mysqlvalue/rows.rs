//! WRITE_ROWS, UPDATE_ROWS and DELETE_ROWS events: which columns they carry, and their rows one
//! after the other.

use wasmgate_model::Column;

use super::cursor::{Cursor, bit};
use super::{ColumnType, Datum, Malformed, ValueError, Wire, apply_diffs, push};

/// What a rows event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsKind {
    Insert,
    Update,
    Delete,
    /// An update whose JSON columns may be given as differences.
    PartialUpdate,
}

impl RowsKind {
    /// Which rows event a type is, and whether it is of version 2. `None`: another event.
    /// Compressed events of MariaDB (166 to 171) are told by their plain counterpart.
    #[must_use]
    pub fn of(event_type: u8) -> Option<(Self, bool)> {
        Some(match event_type {
            23 | 166 => (Self::Insert, false),
            24 | 167 => (Self::Update, false),
            25 | 168 => (Self::Delete, false),
            30 | 169 => (Self::Insert, true),
            31 | 170 => (Self::Update, true),
            32 | 171 => (Self::Delete, true),
            39 => (Self::PartialUpdate, true),
            _ => return None,
        })
    }
}

/// A rows event.
#[derive(Debug, Clone, Copy)]
pub struct RowsEvent<'a> {
    pub kind: RowsKind,
    pub table_id: u64,
    /// The last rows event of its statement.
    pub ends_statement: bool,
    pub columns: usize,
    /// A bit per column that the first image of a row has.
    present: &'a [u8],
    /// Of the second image of an update.
    present_after: &'a [u8],
    rows: Cursor<'a>,
}

/// The image of a row: where it starts in the event. Its values are read by [`Image::fill`].
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    present: &'a [u8],
    nulls: &'a [u8],
    values: &'a [u8],
    /// A bit per JSON column that is given as differences.
    partial: &'a [u8],
}

/// What may be missing in an image.
const WRONG: Malformed = Malformed { at: "a row" };

impl<'a> RowsEvent<'a> {
    /// Reads the body of the event up to its rows.
    ///
    /// # Errors
    /// It is cut short.
    pub fn parse(kind: RowsKind, v2: bool, body: &'a [u8]) -> Result<Self, Malformed> {
        head(kind, v2, body).ok_or(Malformed { at: "the head of a rows event" })
    }

    /// Whether every column is in every image.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let whole = |map: &[u8]| (0..self.columns).all(|i| bit(map, i));
        whole(self.present) && whole(self.present_after)
    }

    /// What follows the head: the rows, or their compressed form.
    #[must_use]
    pub fn rows_bytes(&self) -> &'a [u8] {
        self.rows.0
    }

    /// The same event with these rows.
    #[must_use]
    pub fn with_rows<'b>(&self, rows: &'b [u8]) -> RowsEvent<'b>
    where
        'a: 'b,
    {
        RowsEvent { rows: Cursor(rows), ..*self }
    }

    /// The next row: its image, of an update the old and the new one. `None`: there are no more.
    ///
    /// # Errors
    /// The event is cut short.
    pub fn next(
        &mut self,
        wires: &[Wire],
    ) -> Result<Option<(Image<'a>, Option<Image<'a>>)>, Malformed> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let first = self.image(self.present, wires, false)?;
        let second = match self.kind {
            RowsKind::Update => Some(self.image(self.present_after, wires, false)?),
            RowsKind::PartialUpdate => Some(self.image(self.present_after, wires, true)?),
            RowsKind::Insert | RowsKind::Delete => None,
        };
        Ok(Some((first, second)))
    }

    fn image(
        &mut self,
        present: &'a [u8],
        wires: &[Wire],
        may_differ: bool,
    ) -> Result<Image<'a>, Malformed> {
        let mut partial: &[u8] = &[];
        if may_differ {
            let options = self.rows.lenenc().ok_or(WRONG)?;
            if options & 1 == 1 {
                let count = wires.iter().filter(|w| matches!(w, Wire::Json { .. })).count();
                partial = self.rows.take(count.div_ceil(8)).ok_or(WRONG)?;
            }
        }
        let count = (0..self.columns).filter(|i| bit(present, *i)).count();
        let nulls = self.rows.take(count.div_ceil(8)).ok_or(WRONG)?;
        let start = self.rows;
        let mut n = 0;
        for (i, wire) in wires.iter().enumerate().take(self.columns) {
            if !bit(present, i) {
                continue;
            }
            if !bit(nulls, n) {
                wire.read(&mut self.rows).ok_or(WRONG)?;
            }
            n += 1;
        }
        let length = start.0.len() - self.rows.0.len();
        let values = start.0.get(..length).ok_or(WRONG)?;
        Ok(Image { present, nulls, values, partial })
    }
}

fn head(kind: RowsKind, v2: bool, body: &[u8]) -> Option<RowsEvent<'_>> {
    let mut cursor = Cursor(body);
    let table_id = cursor.le(6)?;
    let flags = cursor.le(2)?;
    if v2 {
        // The length counts its own two bytes.
        let extra = usize::try_from(cursor.le(2)?).ok()?.checked_sub(2)?;
        cursor.take(extra)?;
    }
    let columns = usize::try_from(cursor.lenenc()?).ok()?;
    let bytes = columns.div_ceil(8);
    let present = cursor.take(bytes)?;
    let update = matches!(kind, RowsKind::Update | RowsKind::PartialUpdate);
    let present_after = if update { cursor.take(bytes)? } else { present };
    Some(RowsEvent {
        kind,
        table_id,
        ends_statement: flags & 1 == 1,
        columns,
        present,
        present_after,
        rows: cursor,
    })
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
            if bit(nulls, n - 1) { None } else { wire.read(&mut cursor) }
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
        let mut failed = None;
        let mut fields = columns.iter_mut();
        for (i, (value, ty)) in self.values(wires).zip(types).enumerate() {
            let Some(ty) = ty else { continue };
            let Some(column) = fields.next() else { break };
            place(column, ty, value, i, &mut failed);
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
