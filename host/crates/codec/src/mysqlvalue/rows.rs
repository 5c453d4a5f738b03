//! WRITE_ROWS, UPDATE_ROWS and DELETE_ROWS events: which columns they carry, and their rows one
//! after the other.

use super::cursor::{Cursor, bit};
use super::image::{Image, Nulls};
use super::{Malformed, Wire, Wires};

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
    /// Every column is in every image.
    whole: bool,
    rows: Cursor<'a>,
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
        self.whole
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
        wires: &Wires,
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
        wires: &Wires,
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
        let all = (self.whole && wires.len() == self.columns).then_some(self.columns);
        let count = all.unwrap_or_else(|| (0..self.columns).filter(|i| bit(present, *i)).count());
        let nulls = Nulls::new(self.rows.take(count.div_ceil(8)).ok_or(WRONG)?, all);
        let start = self.rows;
        if nulls.is_free() {
            wires.skip(&mut self.rows).ok_or(WRONG)?;
        } else {
            let mut n = 0;
            for (i, wire) in wires.iter().enumerate().take(self.columns) {
                if !bit(present, i) {
                    continue;
                }
                if !nulls.has(n) {
                    wire.span().skip(&mut self.rows).ok_or(WRONG)?;
                }
                n += 1;
            }
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
    let all = |map: &[u8]| (0..columns).all(|i| bit(map, i));
    let whole = all(present) && all(present_after);
    Some(RowsEvent {
        kind,
        table_id,
        ends_statement: flags & 1 == 1,
        columns,
        present,
        present_after,
        whole,
        rows: cursor,
    })
}
