//! Payload of records whose columns are known: the current image of every row as columns, and
//! the old images dense beside it. An insert carries no empty columns; unwrap moves nothing.

use crate::column::Column;

/// No old image ([`Rows::old`]).
const NONE: u32 = u32::MAX;

/// Rows as columns, in the order of the schema's fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The current image: after, or before for a delete.
    pub current: Vec<Column>,
    /// Old images, one entry per row that has one, in order.
    pub old: Vec<Column>,
    /// Per row, its entry in `old`; empty where no row has one.
    old_of: Vec<u32>,
    /// What differs from row to row in the envelope's source block.
    pub source: Vec<Column>,
}

impl Rows {
    /// Empty rows with these columns.
    #[must_use]
    pub fn new(current: Vec<Column>, old: Vec<Column>, source: Vec<Column>) -> Self {
        Self { current, old, old_of: Vec::new(), source }
    }

    /// The old image of a row: its entry in `old`.
    #[must_use]
    pub fn old_of(&self, row: usize) -> Option<usize> {
        self.old_of.get(row).filter(|i| **i != NONE).map(|i| *i as usize)
    }

    /// Says that the last entry of `old` belongs to `row`.
    pub fn set_old(&mut self, row: usize) {
        let entry = self.old.first().map_or(0, |c| c.len().saturating_sub(1)) as u32;
        if self.old_of.len() <= row {
            self.old_of.resize(row + 1, NONE);
        }
        if let Some(slot) = self.old_of.get_mut(row) {
            *slot = entry;
        }
    }

    /// Empties and keeps the memory.
    pub fn clear(&mut self) {
        for c in self.current.iter_mut().chain(&mut self.old).chain(&mut self.source) {
            c.clear();
        }
        self.old_of.clear();
    }
}
