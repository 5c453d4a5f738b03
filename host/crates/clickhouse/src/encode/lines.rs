//! What a row of the source becomes in its table: one line, two (an old image that is cancelled
//! and a new one), or none (a tombstone right after its delete).

use wasmgate_model::{Batch, Op, Payload, Position};

use crate::bind::{Binding, Deletes};
use crate::piece::Piece;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The row is so.
    Put,
    /// The row is gone.
    Delete,
    /// The old image, cancelled.
    Cancel,
}

/// A line of the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Number of the payload row.
    pub(super) row: u32,
    /// Its place in `sel`.
    pub(super) at: u32,
    /// Entry of the old images, for [`What::Cancel`].
    pub(super) old: Option<u32>,
    pub(super) what: What,
    op: Op,
    position: Position,
}

/// Lines of one piece.
pub(super) struct Lines(pub(super) Vec<Line>);

/// Why a row has no line: (code, message).
type Refusal = (&'static str, String);

impl Line {
    /// Its order among all changes of the source.
    pub(super) fn version(&self) -> u128 {
        let Position { major, minor } = self.position;
        u128::from(major) << 64 | u128::from(minor)
    }

    /// Debezium's letter; a record without an envelope counts as created.
    pub(super) fn op_letter(&self) -> &'static [u8] {
        match (self.what, self.op) {
            (What::Delete | What::Cancel, _) => b"d",
            (What::Put, Op::Update) => b"u",
            (What::Put, Op::Snapshot) => b"r",
            (What::Put, _) => b"c",
        }
    }
}

impl Lines {
    /// The lines of a piece. `out` is told the place of a row: with `None` it answers whether the
    /// row stays out; with a reason it takes note that it does.
    pub(super) fn of(
        batch: &Batch,
        piece: &Piece,
        binding: &Binding,
        mut out: impl FnMut(u32, Option<Refusal>) -> bool,
    ) -> Self {
        let mut lines = Vec::with_capacity(piece.rows.len());
        for &at in &piece.rows {
            let Some(&row) = batch.sel.get(at as usize) else { continue };
            if out(at, None) {
                continue;
            }
            let op = batch.ops.get(row as usize).copied().unwrap_or(Op::Append);
            let position = batch.positions.get(row as usize).copied().unwrap_or_default();
            let emptied = batch.edits.tombstone.as_ref().and_then(|c| c.boolean(at as usize));
            let line = |what, old| Line { row, at, old, what, op, position };
            match op {
                Op::Truncate => continue,
                Op::Message => {
                    let message = "a message has no row to write".to_owned();
                    out(at, Some(("no-row", message)));
                }
                Op::Tombstone if follows_delete(batch, row) => {}
                Op::Delete | Op::Tombstone => {
                    delete(batch, binding, line, at, op, &mut out, &mut lines)
                }
                _ if emptied == Some(true) => {
                    delete(batch, binding, line, at, op, &mut out, &mut lines);
                }
                Op::Update if binding.deletes == Deletes::Cancelled => {
                    match old_entry(batch, row) {
                        Some(entry) => {
                            lines.push(line(What::Cancel, Some(entry)));
                            lines.push(line(What::Put, None));
                        }
                        None => {
                            out(at, Some(no_old_image()));
                        }
                    }
                }
                _ => lines.push(line(What::Put, None)),
            }
        }
        Self(lines)
    }
}

fn delete(
    batch: &Batch,
    binding: &Binding,
    line: impl Fn(What, Option<u32>) -> Line,
    at: u32,
    op: Op,
    out: &mut impl FnMut(u32, Option<Refusal>) -> bool,
    lines: &mut Vec<Line>,
) {
    match binding.deletes {
        Deletes::Marked | Deletes::Logged => lines.push(line(What::Delete, None)),
        // The current image of a delete is the row as it was.
        Deletes::Cancelled if op == Op::Delete && matches!(batch.payload, Payload::Rows(_)) => {
            lines.push(line(What::Cancel, None));
        }
        Deletes::Cancelled => {
            out(at, Some(no_old_image()));
        }
        Deletes::Nowhere => {
            let message = format!(
                "table {} has no place for a delete: neither a deletion column, a sign nor `_op`",
                binding.table
            );
            out(at, Some(("delete-not-expressible", message)));
        }
    }
}

fn no_old_image() -> Refusal {
    let message = "a CollapsingMergeTree needs the old image, which the source did not send; set \
                   REPLICA IDENTITY FULL on the table";
    ("old-image-missing", message.to_owned())
}

/// Whether the tombstone only repeats the delete before it.
fn follows_delete(batch: &Batch, row: u32) -> bool {
    let before = row.checked_sub(1).map(|row| row as usize);
    let deleted = before.and_then(|row| batch.ops.get(row)) == Some(&Op::Delete);
    deleted && before.is_some_and(|row| batch.sel.binary_search(&(row as u32)).is_ok())
}

fn old_entry(batch: &Batch, row: u32) -> Option<u32> {
    match &batch.payload {
        Payload::Rows(rows) => rows.old_of(row as usize).map(|entry| entry as u32),
        Payload::Documents(_) => None,
    }
}
