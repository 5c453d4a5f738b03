//! The values of one column of a piece of rows, and where their bytes go.

use wasmgate_model::{Block, Column, Kind, Logical};

use super::reason::{Misfit, Reason};

/// What becomes of a date or time that its column cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// The row is a misfit.
    #[default]
    Refuse,
    /// The nearest that the column can hold; fractions are cut off.
    Clamp,
    /// NULL where the column is Nullable, else as `Refuse`.
    Null,
}

/// Values of one column: those of `rows` of `column`.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    pub column: &'a Column,
    pub kind: Kind,
    pub logical: &'a Logical,
    /// Ascending.
    pub rows: &'a [u32],
    /// An absent value counts as NULL; otherwise its row is a misfit.
    pub absent_is_null: bool,
}

/// Looks up ascending numbers in a sorted list.
pub(super) struct Marks<'a>(&'a [u32]);

impl<'a> Marks<'a> {
    pub(super) fn new(marks: &'a [u32]) -> Self {
        Self(marks)
    }

    pub(super) fn has(&mut self, row: u32) -> bool {
        while let Some((first, rest)) = self.0.split_first() {
            if *first >= row {
                return *first == row;
            }
            self.0 = rest;
        }
        false
    }
}

/// Where bytes and misfits go.
pub(super) struct Out<'a> {
    pub(super) data: &'a mut Vec<u8>,
    pub(super) misfits: &'a mut Vec<Misfit>,
    /// Number in the block of the first row of the piece.
    pub(super) base: u32,
    pub(super) times: Times,
    /// Nulls are somebody else's business: a default value stands in for them.
    pub(super) nulls_pass: bool,
}

impl Out<'_> {
    #[cold]
    pub(super) fn misfit(&mut self, n: usize, reason: Reason) {
        self.misfits.push(Misfit { row: self.base + n as u32, reason });
    }

    /// A value that is not there: says so where nobody else does.
    pub(super) fn null(&mut self, cells: &Cells<'_>, n: usize, row: u32) {
        if self.nulls_pass {
            return;
        }
        let absent = !cells.absent_is_null && cells.column.is_absent(row as usize);
        self.misfit(n, if absent { Reason::Absent } else { Reason::Null });
    }

    /// Appends N bytes for every row.
    pub(super) fn each<T: Copy + Default, const N: usize>(
        &mut self,
        cells: &Cells<'_>,
        values: &[T],
        convert: impl Fn(T) -> Result<[u8; N], Reason>,
    ) {
        if cells.column.nulls.is_empty() {
            return self.all(cells, values, convert);
        }
        self.data.reserve(cells.rows.len() * N);
        let mut nulls = Marks::new(&cells.column.nulls);
        for (n, &row) in cells.rows.iter().enumerate() {
            let mut bytes = [0; N];
            if nulls.has(row) {
                self.null(cells, n, row);
            } else {
                match convert(values.get(row as usize).copied().unwrap_or_default()) {
                    Ok(converted) => bytes = converted,
                    Err(reason) => self.misfit(n, reason),
                }
            }
            self.data.extend_from_slice(&bytes);
        }
    }

    /// As [`Self::each`], of a column without NULLs.
    fn all<T: Copy + Default, const N: usize>(
        &mut self,
        cells: &Cells<'_>,
        values: &[T],
        convert: impl Fn(T) -> Result<[u8; N], Reason>,
    ) {
        let Self { data, misfits, base, .. } = self;
        let rows = cells.rows.iter().enumerate();
        let converted = rows.map(|(n, &row)| {
            let value = values.get(row as usize).copied().unwrap_or_default();
            convert(value).unwrap_or_else(|reason| {
                misfits.push(Misfit { row: *base + n as u32, reason });
                [0; N]
            })
        });
        append(data, converted);
    }

    /// Calls `write` with the bytes of every row; `default` stands in where there are none. What
    /// `write` appended before an error is taken back.
    pub(super) fn each_block(
        &mut self,
        cells: &Cells<'_>,
        block: &Block,
        default: &[u8],
        mut write: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), Reason>,
    ) {
        let mut nulls = Marks::new(&cells.column.nulls);
        for (n, &row) in cells.rows.iter().enumerate() {
            if nulls.has(row) {
                self.null(cells, n, row);
                self.data.extend_from_slice(default);
                continue;
            }
            let start = self.data.len();
            if let Err(reason) = write(block.get(row as usize), self.data) {
                self.data.truncate(start);
                self.data.extend_from_slice(default);
                self.misfit(n, reason);
            }
        }
    }
}

/// Appends values of one width, without a look at the room for each.
pub(super) fn append<const N: usize>(
    data: &mut Vec<u8>,
    values: impl ExactSizeIterator<Item = [u8; N]>,
) {
    let start = data.len();
    data.resize(start + values.len() * N, 0);
    let places = data.get_mut(start..).unwrap_or_default().as_chunks_mut::<N>().0;
    places.iter_mut().zip(values).for_each(|(place, value)| *place = value);
}

/// Appends a length or count: seven bits a byte, the lowest first.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a `String`.
pub(crate) fn string(value: &[u8], out: &mut Vec<u8>) {
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
