//! Arrays and maps out of JSON text: elements become a column of their own, which is written like
//! any other; what does not fit in there is a misfit of the row it belongs to.

use wasmgate_codec::document;
use wasmgate_model::{Column, Kind, Logical, Values};

use super::cells::{Cells, Marks, Times};
use super::column::ColumnWriter;
use super::reason::{Misfit, Reason};
use crate::types::Type;

/// Elements of every row of a piece, one after the other.
pub(super) struct Inner {
    pub(super) counts: Vec<u32>,
    /// Elements, or keys.
    pub(super) first: (Column, Kind, Logical),
    /// Values of a map.
    pub(super) second: (Column, Kind, Logical),
}

/// The kind that values of a type are read as from JSON, and what they mean beyond it.
pub(crate) fn read_as(ty: &Type) -> (Kind, Logical) {
    let kind = match ty.bare() {
        Type::Bool => Kind::Boolean,
        Type::Int { bits: 8..=32, .. } | Type::Int { bits: 64, signed: true } => Kind::Integer,
        // 64 bits without sign, and more of them, have no i64.
        Type::Int { .. } | Type::Decimal { .. } => Kind::Decimal,
        Type::Float32 => return (Kind::Float, Logical::Float32),
        Type::Float64 => Kind::Float,
        Type::Uuid => Kind::Uuid,
        Type::Date | Type::Date32 => Kind::DateDays,
        Type::DateTime { .. } | Type::DateTime64 { .. } => Kind::TimestampUs,
        Type::Time | Type::Time64 { .. } => Kind::TimeUs,
        Type::Json | Type::Array(_) | Type::Map(_) => Kind::Json,
        _ => Kind::Text,
    };
    (kind, Logical::Plain)
}

fn empty(ty: &Type) -> (Column, Kind, Logical) {
    let (kind, logical) = read_as(ty);
    (Column::new(kind), kind, logical)
}

/// Elements of JSON arrays. NULL is an empty array: ClickHouse has no other.
pub(super) fn elements(
    cells: &Cells<'_>,
    ty: &Type,
    base: u32,
    misfits: &mut Vec<Misfit>,
) -> Inner {
    let element = if let Type::Array(element) = ty { element } else { ty };
    let mut found = Inner { counts: Vec::new(), first: empty(element), second: empty(&Type::Text) };
    each_row(cells, base, misfits, |text, counts| {
        let (column, kind, _) = &mut found.first;
        let (mut wrong, start) = (None, column.len());
        let walked = document::array(text, |token| {
            if let Err(what) = document::push_token(column, *kind, token) {
                column.push_null();
                wrong.get_or_insert(what);
            }
        });
        counts.push((column.len() - start) as u32);
        match (walked, wrong) {
            (Err(_), _) => Err(Reason::NotArray),
            (Ok(()), Some(what)) => Err(Reason::Inner(what)),
            (Ok(()), None) => Ok(()),
        }
    })
    .into_iter()
    .for_each(|count| found.counts.push(count));
    found
}

/// Members of JSON objects. NULL is an empty map.
pub(super) fn members(cells: &Cells<'_>, ty: &Type, base: u32, misfits: &mut Vec<Misfit>) -> Inner {
    let text = Type::Text;
    let (key, value) = if let Type::Map(pair) = ty { (&pair.0, &pair.1) } else { (&text, &text) };
    let mut found = Inner { counts: Vec::new(), first: empty(key), second: empty(value) };
    each_row(cells, base, misfits, |text, counts| {
        let ((keys, key_kind, _), (values, kind, _)) = (&mut found.first, &mut found.second);
        let (mut wrong, start) = (None, keys.len());
        let walked = document::object(text, |name, token| {
            if let Err(what) = push_name(keys, *key_kind, &name) {
                keys.push_null();
                wrong.get_or_insert(what);
            }
            if let Err(what) = document::push_token(values, *kind, token) {
                values.push_null();
                wrong.get_or_insert(what);
            }
        });
        counts.push((keys.len() - start) as u32);
        match (walked, wrong) {
            (Err(_), _) => Err(Reason::NotObject),
            (Ok(()), Some(what)) => Err(Reason::Inner(what)),
            (Ok(()), None) => Ok(()),
        }
    })
    .into_iter()
    .for_each(|count| found.counts.push(count));
    found
}

/// A name as a key: text as it is, other kinds by what it says.
fn push_name(keys: &mut Column, kind: Kind, name: &[u8]) -> Result<(), &'static str> {
    match (&keys.values, kind) {
        (Values::Texts(_), Kind::Text) => {
            keys.push_bytes(name);
            Ok(())
        }
        (Values::Texts(_), _) => {
            let text = std::str::from_utf8(name).map_err(|_| "a name that is not UTF-8")?;
            let mut token = Vec::new();
            wasmgate_codec::json::write_string(text, &mut token);
            document::push_token(keys, kind, &token)
        }
        _ => document::push_token(keys, kind, name),
    }
}

fn each_row(
    cells: &Cells<'_>,
    base: u32,
    misfits: &mut Vec<Misfit>,
    mut walk: impl FnMut(&[u8], &mut Vec<u32>) -> Result<(), Reason>,
) -> Vec<u32> {
    let mut counts = Vec::with_capacity(cells.rows.len());
    let Values::Texts(block) = &cells.column.values else {
        misfits.extend((0..cells.rows.len() as u32).map(|n| misfit(base + n, Reason::Kind)));
        counts.resize(cells.rows.len(), 0);
        return counts;
    };
    let mut nulls = Marks::new(&cells.column.nulls);
    let mut absent = Marks::new(&cells.column.absent);
    for (n, &row) in cells.rows.iter().enumerate() {
        if nulls.has(row) {
            if !cells.absent_is_null && absent.has(row) {
                misfits.push(misfit(base + n as u32, Reason::Absent));
            }
            counts.push(0);
        } else if let Err(reason) = walk(block.get(row as usize), &mut counts) {
            misfits.push(misfit(base + n as u32, reason));
        }
    }
    counts
}

fn misfit(row: u32, reason: Reason) -> Misfit {
    Misfit { row, reason }
}

/// Where the elements of each row end.
pub(super) fn push_ends(counts: &[u32], ends: &mut Vec<u8>, end: &mut u64) {
    for count in counts {
        *end += u64::from(*count);
        ends.extend_from_slice(&end.to_le_bytes());
    }
}

impl Inner {
    /// Writes elements into their column. Misfits in there belong to the rows they are part of.
    pub(super) fn push_into(
        &self,
        (column, kind, logical): &(Column, Kind, Logical),
        to: &mut ColumnWriter,
        times: Times,
        base: u32,
        misfits: &mut Vec<Misfit>,
    ) {
        let rows: Vec<u32> = (0..column.len() as u32).collect();
        let cells = Cells { column, kind: *kind, logical, rows: &rows, absent_is_null: true };
        let (before, start) = (to.rows(), misfits.len());
        to.push_with(&cells, times, false, misfits);
        let Some(inside) = misfits.get_mut(start..) else { return };
        inside.sort_by_key(|misfit| misfit.row);
        let (mut row, mut end) = (0, self.counts.first().copied().unwrap_or(0));
        for misfit in inside {
            while misfit.row - before >= end && row + 1 < self.counts.len() {
                row += 1;
                end += self.counts.get(row).copied().unwrap_or(0);
            }
            misfit.row = base + row as u32;
        }
    }
}
