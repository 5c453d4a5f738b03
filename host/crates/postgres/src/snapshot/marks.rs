//! Markers: which row is the first and the last, of its table and of all. A batch waits here until
//! it is known whether another follows.
//!
//! The stronger mark wins, as recorded: `last`, `first`, `last_in_data_collection`,
//! `first_in_data_collection`, `true`. Where several readers copy, rows of tables interleave;
//! the marks still say which row was delivered first and last.

use wasmgate_model::Batch;

use super::copied::{mark, marker};

/// A batch that waits.
struct Held {
    table: usize,
    batch: Batch,
    bytes: usize,
}

/// Batches on their way out.
#[derive(Default)]
pub(super) struct Marks {
    held: Vec<Held>,
    /// Tables of which a row came.
    begun: Vec<usize>,
    /// Tables that will give no more.
    ended: Vec<usize>,
}

impl Marks {
    /// Takes the next rows of a table, none or more; what may go now goes to `out`.
    pub(super) fn take(
        &mut self,
        table: usize,
        mut batch: Batch,
        bytes: usize,
        mut out: impl FnMut(Batch, usize),
    ) {
        if batch.is_empty() {
            return;
        }
        if !self.begun.contains(&table) {
            let first = if self.begun.is_empty() { "first" } else { "first_in_data_collection" };
            mark(&mut batch, 0, first);
            self.begun.push(table);
        }
        for mut held in std::mem::take(&mut self.held) {
            if self.ended.contains(&held.table) {
                end(&mut held.batch, "last_in_data_collection");
            } else if held.table != table {
                self.held.push(held);
                continue;
            }
            out(held.batch, held.bytes);
        }
        self.held.push(Held { table, batch, bytes });
    }

    /// A table gives no more.
    pub(super) fn end_table(&mut self, table: usize) {
        self.ended.push(table);
    }

    /// There are no more at all.
    pub(super) fn end(mut self, mut out: impl FnMut(Batch, usize)) {
        let last = self.held.len().saturating_sub(1);
        for (i, mut held) in self.held.drain(..).enumerate() {
            end(&mut held.batch, if i == last { "last" } else { "last_in_data_collection" });
            out(held.batch, held.bytes);
        }
    }
}

/// Marks the last row, unless it bears a stronger mark.
fn end(batch: &mut Batch, with: &str) {
    let row = batch.len().saturating_sub(1);
    if with == "last" || marker(batch, row) != "first" {
        mark(batch, row, with);
    }
}
