//! Properties whose names carry a number or an algorithm: masks and truncation of columns.

use crate::table::Row;
use crate::translate::Work;

/// Masks and truncation are not in this version.
pub(crate) fn refused(work: &mut Work, index: usize, _: &Row) {
    let why = "columns are written as they are";
    work.refuse(index, why, "leave it out, and mask in a module");
}
