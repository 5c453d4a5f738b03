//! The envelope's source block: literal text between values. Most values stay the same from row to
//! row (the time and number of a transaction; in a snapshot all of them): what lies between two
//! that do not is written once for such a run of rows and copied into each.

use std::cell::RefCell;
use std::ops::Range;

use wasmgate_model::{Block, Column, Rows, SourcePart, Values};

use super::cell::{Cell, Lane};

/// A column is taken for one that stays if no more than one row in so many changes it.
const STAYS: usize = 8;

/// Writes the source blocks of one batch.
#[derive(Debug)]
pub(super) struct SourceBlock<'a> {
    pieces: Vec<Piece<'a>>,
}

#[derive(Debug)]
enum Piece<'a> {
    Literal(&'a [u8]),
    Lane(Lane<'a>),
    Run(Run<'a>),
}

/// Neighbouring pieces that stay.
#[derive(Debug, Default)]
struct Run<'a> {
    pieces: Vec<Piece<'a>>,
    /// Rows that differ from the one before them, ascending.
    changes: Vec<u32>,
    text: RefCell<Text>,
}

/// The run's text for a range of rows.
#[derive(Debug, Default)]
struct Text {
    rows: Range<usize>,
    bytes: Vec<u8>,
}

impl<'a> SourceBlock<'a> {
    /// For writing all rows of a batch.
    pub(super) fn of_all(parts: &'a [SourcePart], rows: &'a Rows) -> Self {
        let mut pieces = Vec::new();
        let mut run = Run::default();
        for part in parts {
            match (piece(part, rows), column(part, rows)) {
                (Piece::Lane(lane), Some(column)) => match changes(column) {
                    Some(changes) => {
                        run.pieces.push(Piece::Lane(lane));
                        run.changes.extend(changes);
                    }
                    None => {
                        end(&mut run, &mut pieces);
                        pieces.push(Piece::Lane(lane));
                    }
                },
                (literal, _) => run.pieces.push(literal),
            }
        }
        end(&mut run, &mut pieces);
        Self { pieces }
    }

    /// For writing single rows.
    pub(super) fn of_some(parts: &'a [SourcePart], rows: &'a Rows) -> Self {
        Self { pieces: parts.iter().map(|part| piece(part, rows)).collect() }
    }

    /// Appends the block of a row.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.pieces.is_empty() {
            out.extend_from_slice(b"null");
        }
        for piece in &self.pieces {
            piece.write(row, out);
        }
    }
}

impl Piece<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => out.extend_from_slice(text),
            Self::Lane(lane) => {
                let written = lane.write(row, out);
                debug_assert!(written.is_ok(), "integers and text always have a form");
            }
            Self::Run(run) => run.write(row, out),
        }
    }
}

impl Run<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let mut text = self.text.borrow_mut();
        if !text.rows.contains(&row) {
            let after = self.changes.partition_point(|change| *change as usize <= row);
            let change = |n: usize| self.changes.get(n).map(|row| *row as usize);
            let first = after.checked_sub(1).and_then(change).unwrap_or(0);
            text.rows = first..change(after).unwrap_or(usize::MAX);
            text.bytes.clear();
            for piece in &self.pieces {
                piece.write(row, &mut text.bytes);
            }
        }
        out.extend_from_slice(&text.bytes);
    }
}

/// Puts what stays together behind the pieces so far. Literals alone need no run.
fn end<'a>(run: &mut Run<'a>, pieces: &mut Vec<Piece<'a>>) {
    let mut ended = std::mem::take(run);
    if ended.pieces.len() < 2 {
        return pieces.append(&mut ended.pieces);
    }
    ended.changes.sort_unstable();
    ended.changes.dedup();
    pieces.push(Piece::Run(ended));
}

/// A part of the block by itself.
fn piece<'a>(part: &'a SourcePart, rows: &'a Rows) -> Piece<'a> {
    let lane = match part {
        SourcePart::Literal(text) => return Piece::Literal(text.as_bytes()),
        SourcePart::Int(_) | SourcePart::Text(_) => column(part, rows).map(Lane::plain),
        SourcePart::Millis(_) => column(part, rows).and_then(|c| as_ints(c, Cell::Millis)),
        SourcePart::Nanos(_) => column(part, rows).and_then(|c| as_ints(c, Cell::Nanos)),
    };
    lane.map_or(Piece::Literal(b"null"), Piece::Lane)
}

fn column<'a>(part: &SourcePart, rows: &'a Rows) -> Option<&'a Column> {
    match part {
        SourcePart::Literal(_) => None,
        SourcePart::Int(n) | SourcePart::Text(n) | SourcePart::Millis(n) | SourcePart::Nanos(n) => {
            rows.source.get(*n)
        }
    }
}

fn as_ints<'a>(column: &'a Column, cell: fn(&'a [i64]) -> Cell<'a>) -> Option<Lane<'a>> {
    match &column.values {
        Values::Ints(values) => Some(Lane::with(column, cell(values))),
        _ => None,
    }
}

/// The rows that have another value than the one before them. `None`: too many for a run.
fn changes(column: &Column) -> Option<Vec<u32>> {
    let most = column.len() / STAYS;
    let some_null = !column.nulls.is_empty() && column.nulls.len() < column.len();
    match &column.values {
        _ if some_null => None,
        Values::Ints(values) => {
            collect(values.windows(2).map(|pair| pair.first() != pair.last()), most)
        }
        Values::Texts(block) => is_one_text(block).then(Vec::new),
        _ => None,
    }
}

/// Whether all rows have the same text. Text by text this would cost as much as writing it.
fn is_one_text(block: &Block) -> bool {
    let length = block.get(0).len();
    let (data, rows) = (block.data.as_slice(), block.len());
    let even = |(row, end): (usize, &u32)| *end as usize == (row + 1) * length;
    data.len() == rows * length
        && block.ends().iter().enumerate().all(even)
        && data.get(length..) == data.get(..data.len() - length)
}

/// Numbers of the rows, from 1, that differ, unless they are more than `most`.
fn collect(differ: impl Iterator<Item = bool>, most: usize) -> Option<Vec<u32>> {
    let mut changes = Vec::new();
    for (before, _) in differ.enumerate().filter(|(_, differs)| *differs) {
        if changes.len() == most {
            return None;
        }
        changes.push(before as u32 + 1);
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use wasmgate_model::Kind;

    use super::*;

    /// Rows of a transaction number that stays, and a place that does not.
    fn rows(transactions: &[i64]) -> Rows {
        let mut columns = [Kind::Integer, Kind::Integer, Kind::Text].map(Column::new);
        for (row, transaction) in transactions.iter().enumerate() {
            let [number, place, text] = &mut columns;
            number.push_int(*transaction);
            place.push_int(row as i64);
            match transaction {
                0 => text.push_null(),
                _ => text.push_bytes(b"a\"b"),
            }
        }
        Rows::new(Vec::new(), Vec::new(), columns.into())
    }

    #[test]
    fn runs_say_what_single_rows_say() {
        let literal = |text: &str| SourcePart::Literal(text.into());
        let parts = [
            literal("{\"ms\":"),
            SourcePart::Millis(0),
            literal(",\"tx\":"),
            SourcePart::Int(0),
            literal(",\"at\":"),
            SourcePart::Int(1),
            literal(",\"text\":"),
            SourcePart::Text(2),
            literal(",\"lost\":"),
            SourcePart::Int(9),
            literal("}"),
        ];
        let long = [[1_000; 40], [2_000; 40], [1_000; 40]].concat();
        let cases: [&[i64]; 6] =
            [&[7_000], &[1_000, 1_000], &[1_000, 2_000, 3_000], &long, &[0; 20], &[0, 0, 5, 0, 5]];
        for transactions in cases {
            let rows = rows(transactions);
            let (all, some) =
                (SourceBlock::of_all(&parts, &rows), SourceBlock::of_some(&parts, &rows));
            // In any order: lines of several batches go out in the order of the source.
            let order = (0..transactions.len()).chain((0..transactions.len()).rev());
            for row in order {
                let (mut by_runs, mut alone) = (Vec::new(), Vec::new());
                all.write(row, &mut by_runs);
                some.write(row, &mut alone);
                assert_eq!(by_runs.escape_ascii().to_string(), alone.escape_ascii().to_string());
                assert!(alone.ends_with(b",\"lost\":null}"));
            }
        }
    }

    #[test]
    fn a_block_without_parts_is_null() {
        let rows = rows(&[1]);
        let mut out = Vec::new();
        SourceBlock::of_all(&[], &rows).write(0, &mut out);
        assert_eq!(out, b"null");
    }
}
