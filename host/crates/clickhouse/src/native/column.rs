//! The bytes of one column while a block is filled, piece by piece.
//!
//! In a block the prefixes of a column come first, those of its inner columns included, then the
//! values: offsets before elements, marks of NULL before values.

use wasmgate_model::{Kind, Logical};

use super::cells::{Cells, Marks, Out, Times, append};
use super::low::Dictionary;
use super::nested;
use super::parts::Parts;
use super::reason::{Misfit, Reason};
use super::scalar;
use crate::types::Type;

/// Values of one column of a block.
#[derive(Debug)]
pub struct ColumnWriter {
    ty: Type,
    body: Body,
    rows: u32,
}

#[derive(Debug)]
enum Body {
    Plain(Vec<u8>),
    Nullable { nulls: Vec<u8>, inner: Box<ColumnWriter> },
    Low(Box<Dictionary>),
    Array { ends: Vec<u8>, end: u64, element: Box<ColumnWriter> },
    Map { ends: Vec<u8>, end: u64, key: Box<ColumnWriter>, value: Box<ColumnWriter> },
}

impl ColumnWriter {
    /// An empty column of this type.
    #[must_use]
    pub fn new(ty: &Type) -> Self {
        let new = |ty: &Type| Box::new(Self::new(ty));
        let body = match ty {
            Type::Nullable(inner) => Body::Nullable { nulls: Vec::new(), inner: new(inner) },
            Type::LowCardinality(inner) => Body::Low(Box::new(Dictionary::new(inner))),
            Type::Array(element) => Body::Array { ends: Vec::new(), end: 0, element: new(element) },
            Type::Map(pair) => {
                Body::Map { ends: Vec::new(), end: 0, key: new(&pair.0), value: new(&pair.1) }
            }
            _ => Body::Plain(Vec::new()),
        };
        Self { ty: ty.clone(), body, rows: 0 }
    }

    /// Values so far.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Appends the values of a piece; those that do not fit are told, a default stands in.
    pub fn push(&mut self, cells: &Cells<'_>, times: Times, misfits: &mut Vec<Misfit>) {
        self.push_with(cells, times, false, misfits);
    }

    /// As [`Self::push`]; with `nulls_pass` NULLs are told by whoever asks for that.
    pub(super) fn push_with(
        &mut self,
        cells: &Cells<'_>,
        times: Times,
        nulls_pass: bool,
        misfits: &mut Vec<Misfit>,
    ) {
        let base = self.rows;
        self.rows += cells.rows.len() as u32;
        match &mut self.body {
            Body::Plain(data) => {
                let mut out = Out { data, misfits, base, times, nulls_pass };
                scalar::push(&self.ty, cells, &mut out);
            }
            Body::Nullable { nulls, inner } => nullable(cells, times, nulls, inner, misfits),
            Body::Low(dictionary) => dictionary.push(cells, times, base, misfits),
            Body::Array { ends, end, element } => {
                let found = nested::elements(cells, &self.ty, base, misfits);
                nested::push_ends(&found.counts, ends, end);
                found.push_into(&found.first, element, times, base, misfits);
            }
            Body::Map { ends, end, key, value } => {
                let found = nested::members(cells, &self.ty, base, misfits);
                nested::push_ends(&found.counts, ends, end);
                found.push_into(&found.first, key, times, base, misfits);
                found.push_into(&found.second, value, times, base, misfits);
            }
        }
    }

    /// Appends values of fixed width as they are.
    pub(crate) fn push_raw<const N: usize>(
        &mut self,
        values: impl ExactSizeIterator<Item = [u8; N]>,
    ) {
        if let Body::Plain(data) = &mut self.body {
            self.rows += values.len() as u32;
            append(data, values);
        }
    }

    /// Hands over prefixes and values.
    pub(super) fn write(self, parts: &mut Parts) {
        if self.rows > 0 {
            self.write_prefix(parts.end());
            self.write_values(parts);
        }
    }

    fn write_prefix(&self, out: &mut Vec<u8>) {
        match &self.body {
            Body::Plain(_) => {}
            Body::Nullable { inner, .. } => inner.write_prefix(out),
            Body::Low(_) => out.extend_from_slice(&Dictionary::VERSION.to_le_bytes()),
            Body::Array { element, .. } => element.write_prefix(out),
            Body::Map { key, value, .. } => {
                key.write_prefix(out);
                value.write_prefix(out);
            }
        }
    }

    fn write_values(self, parts: &mut Parts) {
        match self.body {
            Body::Plain(data) => parts.push(data),
            Body::Nullable { nulls, inner } => {
                parts.push(nulls);
                inner.write_values(parts);
            }
            Body::Low(dictionary) => dictionary.write(parts.end()),
            Body::Array { ends, element, .. } => {
                parts.push(ends);
                element.write_values(parts);
            }
            Body::Map { ends, key, value, .. } => {
                parts.push(ends);
                key.write_values(parts);
                value.write_values(parts);
            }
        }
    }

    /// The plain bytes, for whoever made the column plain.
    pub(super) fn plain(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.body {
            Body::Plain(data) => Some(data),
            _ => None,
        }
    }
}

/// Marks first, then values; where that is wanted, times that do not fit become NULL.
fn nullable(
    cells: &Cells<'_>,
    times: Times,
    nulls: &mut Vec<u8>,
    inner: &mut ColumnWriter,
    misfits: &mut Vec<Misfit>,
) {
    let (base, start) = (nulls.len(), misfits.len());
    let mut marks = Marks::new(&cells.column.nulls);
    nulls.extend(cells.rows.iter().map(|row| u8::from(marks.has(*row))));
    if !cells.absent_is_null && !cells.column.absent.is_empty() {
        let mut absent = Marks::new(&cells.column.absent);
        for (n, row) in cells.rows.iter().enumerate() {
            if absent.has(*row) {
                misfits.push(Misfit { row: (base + n) as u32, reason: Reason::Absent });
            }
        }
    }
    inner.push_with(cells, times, true, misfits);
    if times == Times::Null && is_time(cells.kind) {
        let mut at = start;
        while let Some(misfit) = misfits.get(at).copied() {
            if !matches!(misfit.reason, Reason::OutOfRange | Reason::TooFine) {
                at += 1;
                continue;
            }
            if let Some(mark) = nulls.get_mut(misfit.row as usize) {
                *mark = 1;
            }
            misfits.remove(at);
        }
    }
}

fn is_time(kind: Kind) -> bool {
    matches!(kind, Kind::TimestampUs | Kind::DateDays | Kind::TimeUs)
}

/// Whether values of this kind have a form in the type at all; what single values hold is seen
/// when they are written.
#[must_use]
pub(crate) fn fits(kind: Kind, logical: &Logical, ty: &Type) -> bool {
    match ty.bare() {
        Type::Text => true,
        Type::Bool => matches!(kind, Kind::Boolean | Kind::Integer),
        Type::Int { .. } => matches!(
            kind,
            Kind::Boolean
                | Kind::Integer
                | Kind::Decimal
                | Kind::TimestampUs
                | Kind::DateDays
                | Kind::TimeUs
        ),
        Type::Float32 | Type::Float64 => {
            matches!(kind, Kind::Float | Kind::Integer | Kind::Decimal)
        }
        Type::Decimal { .. } => matches!(kind, Kind::Decimal | Kind::Integer),
        Type::FixedText(_) => {
            matches!(kind, Kind::Text | Kind::Bytes | Kind::Json | Kind::Uuid | Kind::Decimal)
        }
        Type::Uuid => matches!(kind, Kind::Uuid | Kind::Text),
        Type::Ipv4 | Type::Ipv6 => kind == Kind::Text,
        Type::Enum { .. } => matches!(kind, Kind::Text | Kind::Integer),
        Type::Date | Type::Date32 => kind == Kind::DateDays,
        Type::DateTime { .. } | Type::DateTime64 { .. } => {
            matches!(kind, Kind::TimestampUs | Kind::TimeUs)
        }
        Type::Time | Type::Time64 { .. } => kind == Kind::TimeUs,
        Type::Json => kind == Kind::Json,
        Type::Array(_) => kind == Kind::Json && !matches!(logical, Logical::TextMap),
        Type::Map(_) => kind == Kind::Json && !matches!(logical, Logical::Array(_)),
        Type::Nullable(_) | Type::LowCardinality(_) => false,
    }
}
