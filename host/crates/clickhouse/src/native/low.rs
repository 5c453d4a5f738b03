//! `LowCardinality`: every value once, and a number for every row.
//!
//! Source of the form: ClickHouse's `SerializationLowCardinality`, one shared dictionary per block
//! ("additional keys"). Of a Nullable dictionary the first key stands for NULL.

use std::collections::HashMap;

use super::cells::{Cells, Marks, Times};
use super::column::ColumnWriter;
use super::reason::{Misfit, Reason};
use crate::types::Type;

/// The block carries its keys.
const ADDITIONAL_KEYS: u64 = 1 << 9;
/// They replace what was there.
const NEW_DICTIONARY: u64 = 1 << 10;

/// Keys and numbers of one column.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// Without `Nullable`.
    inner: Type,
    nullable: bool,
    numbers: HashMap<Box<[u8]>, u32>,
    /// Keys as values of `inner`.
    keys: Vec<u8>,
    count: u32,
    rows: Vec<u32>,
}

impl Dictionary {
    /// The only version there is.
    pub(super) const VERSION: u64 = 1;

    pub(super) fn new(ty: &Type) -> Self {
        let (inner, nullable) = match ty {
            Type::Nullable(inner) => ((**inner).clone(), true),
            _ => (ty.clone(), false),
        };
        let mut new = Self {
            inner,
            nullable,
            numbers: HashMap::new(),
            keys: Vec::new(),
            count: 0,
            rows: Vec::new(),
        };
        if nullable {
            new.keys.resize(new.inner.width().unwrap_or(1), 0);
            new.count = 1;
        }
        new
    }

    pub(super) fn push(
        &mut self,
        cells: &Cells<'_>,
        times: Times,
        base: u32,
        misfits: &mut Vec<Misfit>,
    ) {
        let mut writer = ColumnWriter::new(&self.inner);
        let start = misfits.len();
        writer.push_with(cells, times, self.nullable, misfits);
        misfits.iter_mut().skip(start).for_each(|misfit| misfit.row += base);
        let Some(data) = writer.plain() else { return };
        let mut rest = data.as_slice();
        let mut nulls = Marks::new(&cells.column.nulls);
        let mut absent = Marks::new(&cells.column.absent);
        for (n, &row) in cells.rows.iter().enumerate() {
            let (value, after) = rest.split_at(self.length(rest));
            rest = after;
            if self.nullable && nulls.has(row) {
                if !cells.absent_is_null && absent.has(row) {
                    misfits.push(Misfit { row: base + n as u32, reason: Reason::Absent });
                }
                self.rows.push(0);
                continue;
            }
            let number = match self.numbers.get(value) {
                Some(number) => *number,
                None => {
                    let number = self.count;
                    self.numbers.insert(value.into(), number);
                    self.keys.extend_from_slice(value);
                    self.count += 1;
                    number
                }
            };
            self.rows.push(number);
        }
    }

    /// Bytes of the first value.
    fn length(&self, data: &[u8]) -> usize {
        if let Some(width) = self.inner.width() {
            return width.min(data.len());
        }
        let (mut length, mut shift, mut at) = (0_usize, 0, 0);
        while let Some(byte) = data.get(at) {
            length |= usize::from(byte & 0x7f) << shift;
            (shift, at) = (shift + 7, at + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        (at + length).min(data.len())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.rows.is_empty() {
            return;
        }
        let (width, index) = match self.count {
            0..=0xff => (1, 0_u64),
            0x100..=0xffff => (2, 1),
            _ => (4, 2),
        };
        out.extend_from_slice(&(index | ADDITIONAL_KEYS | NEW_DICTIONARY).to_le_bytes());
        out.extend_from_slice(&u64::from(self.count).to_le_bytes());
        out.extend_from_slice(&self.keys);
        out.extend_from_slice(&(self.rows.len() as u64).to_le_bytes());
        for number in &self.rows {
            out.extend(number.to_le_bytes().into_iter().take(width));
        }
    }
}
