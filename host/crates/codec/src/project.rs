//! Makes a filled batch ready for the chain: the columns that the plan reads, the places that it
//! edits, the rows in play.

use wasmgate_model::{Batch, Payload};

use crate::{document, pgvalue};

/// Fills `batch.reads` by `batch.plan`, for documents also images, edits and operations, and puts
/// every row that is not rejected in play. A record that does not fit (not JSON, a value that does
/// not convert) is rejected with its reason; its neighbours go on.
pub fn project(batch: &mut Batch) {
    batch.reads.clear();
    match batch.payload {
        Payload::Documents(_) => document::project(batch),
        Payload::Rows(_) => pgvalue::project_rows(batch),
    }
    batch.select_all();
}
