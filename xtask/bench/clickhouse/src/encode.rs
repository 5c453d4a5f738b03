//! Nanoseconds of encoding a row: columns to a Native block, best of several rounds.

use std::time::Instant;

use bytes::Bytes;
use wasmgate_clickhouse::native::{BlockWriter, Cells, Options};
use wasmgate_model::{Batch, Payload};

use crate::rows;

const ROUNDS: usize = 9;

/// The rows of a batch as one block.
pub(crate) fn block(batch: &Batch) -> Vec<Bytes> {
    let types = rows::types();
    let columns = types.iter().map(|(name, ty)| (*name, ty));
    let mut block = BlockWriter::new(columns, Options::default());
    let numbers: Vec<u32> = (0..batch.len() as u32).collect();
    let mut misfits = Vec::new();
    if let Payload::Rows(payload) = &batch.payload {
        for (at, (field, column)) in batch.schema.fields.iter().zip(&payload.current).enumerate() {
            let (kind, logical) = (field.kind, &field.logical);
            let cells = Cells { column, kind, logical, rows: &numbers, absent_is_null: false };
            block.push(at, &cells, &mut misfits);
        }
    }
    assert!(misfits.is_empty(), "the rows fit their columns: {misfits:?}");
    block.finish()
}

pub(crate) fn run(count: usize) {
    let batch = rows::batch(&rows::schema(1, "t"), 0, count as u64);
    let mut best = f64::INFINITY;
    let mut size = 0;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let parts = block(&batch);
        best = best.min(started.elapsed().as_nanos() as f64 / count as f64);
        size = parts.iter().map(Bytes::len).sum();
    }
    println!(
        "  encoding 20 columns          {best:>7.0} ns/row  {} bytes/row  ({count} rows, best of {ROUNDS})",
        size / count.max(1)
    );
}
