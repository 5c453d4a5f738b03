//! Record headers of a batch, flattened: names and values in blocks, counts per row.

use crate::block::Block;

/// The headers of every row, in order. A row without headers costs one offset, a batch without
/// headers nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers {
    /// Empty (no row has headers), or the end of each row's entries.
    ends: Vec<u32>,
    names: Block,
    values: Block,
    /// Ascending numbers of the entries whose value is null.
    nulls: Vec<u32>,
}

impl Headers {
    /// Adds a header to the row that is being filled; call [`Headers::end_row`] after the row.
    pub fn push(&mut self, name: &str, value: Option<&[u8]>) {
        if value.is_none() {
            self.nulls.push(self.names.len() as u32);
        }
        self.names.push(name.as_bytes());
        self.values.push(value.unwrap_or(&[]));
    }

    /// Ends row number `row` (0 for the first). Earlier rows that were never ended have none.
    pub fn end_row(&mut self, row: usize) {
        if self.ends.is_empty() && self.names.is_empty() {
            return;
        }
        let before = self.ends.last().copied().unwrap_or(0);
        while self.ends.len() < row {
            self.ends.push(before);
        }
        self.ends.push(self.names.len() as u32);
    }

    /// The headers of a row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let to = self.ends.get(row).copied().unwrap_or(0);
        let from = match row {
            0 => 0,
            _ => self.ends.get(row - 1).copied().unwrap_or(to),
        };
        (from..to).map(|i| {
            let value = match self.nulls.binary_search(&i) {
                Ok(_) => None,
                Err(_) => Some(self.values.get(i as usize)),
            };
            (self.names.text(i as usize), value)
        })
    }

    /// Whether no row has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Empties and keeps the memory.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.names.clear();
        self.values.clear();
        self.nulls.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_headers_before_and_between() {
        let mut h = Headers::default();
        h.end_row(0);
        h.push("a", Some(b"1"));
        h.push("b", None);
        h.end_row(1);
        h.end_row(2);
        let rows: Vec<Vec<_>> = (0..4).map(|r| h.row(r).collect()).collect();
        assert_eq!(rows, [vec![], vec![("a", Some(&b"1"[..])), ("b", None)], vec![], vec![]]);
    }
}
