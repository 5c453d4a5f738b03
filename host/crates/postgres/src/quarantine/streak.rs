//! Rows of a table that cannot be decoded, one after the other: a single one is a dead letter, many
//! in a row have one reason that somebody has to remove.

use wasmgate_model::{Batch, Verdict};

use crate::rows::UNDECODABLE;

/// How many came in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Streak(u32);

impl Streak {
    /// Counts the rows of a batch from `from` on; the reason to hold the table back once `limit`
    /// came in a row. 0: there is no limit.
    pub(crate) fn count(&mut self, batch: &Batch, from: usize, limit: u32) -> Option<String> {
        let rejects = batch.rejects.partition_point(|reject| (reject.row as usize) < from);
        let mut next = from;
        for reject in batch.rejects.get(rejects..).unwrap_or(&[]) {
            let Verdict::DeadLetter(cause) = &reject.verdict else { continue };
            if *cause.code != *UNDECODABLE {
                continue;
            }
            let row = reject.row as usize;
            self.0 = if row == next { self.0 + 1 } else { 1 };
            next = row + 1;
            if limit > 0 && self.0 >= limit {
                let (rows, why) = (self.0, &cause.message);
                return Some(format!(
                    "{rows} rows in a row cannot be decoded, the last one: {why}"
                ));
            }
        }
        if next < batch.len() {
            self.0 = 0;
        }
        None
    }

    /// Whether the last row could not be decoded.
    pub(crate) fn goes_on(self) -> bool {
        self.0 > 0
    }
}
