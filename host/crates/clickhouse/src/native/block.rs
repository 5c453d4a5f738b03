//! One block: columns with names and types, filled piece by piece and written once.

use bytes::Bytes;

use super::cells::{Cells, Times, string, varint};
use super::column::ColumnWriter;
use super::parts::Parts;
use super::reason::Misfit;
use crate::types::Type;

/// How values are taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub times: Times,
}

/// A block that is being filled.
#[derive(Debug)]
pub struct BlockWriter {
    columns: Vec<(String, Type, ColumnWriter)>,
    options: Options,
}

impl BlockWriter {
    /// An empty block with these columns: name and type as the table has them.
    pub fn new<'a>(
        columns: impl IntoIterator<Item = (&'a str, &'a Type)>,
        options: Options,
    ) -> Self {
        let column =
            |(name, ty): (&str, &Type)| (name.to_owned(), ty.sent(), ColumnWriter::new(ty));
        Self { columns: columns.into_iter().map(column).collect(), options }
    }

    /// Appends values to column number `at`. Every column has to get every row.
    pub fn push(&mut self, at: usize, cells: &Cells<'_>, misfits: &mut Vec<Misfit>) {
        if let Some((_, _, column)) = self.columns.get_mut(at) {
            column.push(cells, self.options.times, misfits);
        }
    }

    /// Appends values to a column of fixed width, as they are.
    pub(crate) fn push_raw<const N: usize>(
        &mut self,
        at: usize,
        values: impl ExactSizeIterator<Item = [u8; N]>,
    ) {
        if let Some((_, _, column)) = self.columns.get_mut(at) {
            column.push_raw(values);
        }
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.columns.first().map_or(0, |(_, _, column)| column.rows())
    }

    /// Values so far in column number `at`.
    pub(crate) fn rows_of(&self, at: usize) -> u32 {
        self.columns.get(at).map_or(0, |(_, _, column)| column.rows())
    }

    /// The block's bytes, in parts.
    #[must_use]
    pub fn finish(self) -> Vec<Bytes> {
        let mut parts = Parts::default();
        varint(self.columns.len() as u64, parts.end());
        varint(u64::from(self.rows()), parts.end());
        for (name, ty, column) in self.columns {
            string(name.as_bytes(), parts.end());
            string(ty.to_string().as_bytes(), parts.end());
            column.write(&mut parts);
        }
        parts.finish()
    }
}
