//! Batches of documents for tests.

use std::sync::Arc;

use wasmgate_codec::document::{InboundRecord, append};
use wasmgate_codec::project;
use wasmgate_model::{Batch, FieldPath, Kind, Plan, PlanRead, Position, Schema};

/// A batch of documents under a plan, projected. `None`: a tombstone.
pub(crate) fn batch(
    envelope: bool,
    reads: &[(&str, Kind, bool)],
    edits: &[&str],
    values: &[Option<&[u8]>],
) -> Batch {
    let mut batch = filled(envelope, reads, edits, values);
    project(&mut batch);
    batch
}

pub(crate) fn filled(
    envelope: bool,
    reads: &[(&str, Kind, bool)],
    edits: &[&str],
    values: &[Option<&[u8]>],
) -> Batch {
    let read = |(name, kind, optional): &(&str, Kind, bool)| PlanRead {
        path: FieldPath::parse(name, envelope).unwrap(),
        kind: *kind,
        optional: *optional,
        stage: "quality".into(),
    };
    let plan = Plan {
        chain: 1,
        reads: reads.iter().map(read).collect(),
        edits: edits.iter().map(|e| (*e).into()).collect(),
        image: false,
    };
    let schema = Arc::new(Schema::open(1, "t".into(), envelope));
    let mut batch = Batch::documents(schema, Arc::new(plan));
    for (row, value) in values.iter().enumerate() {
        let position = Position::new(row as u64, 0);
        let value = *value;
        append(
            &mut batch,
            &InboundRecord { key: None, value, time_us: 0, position, partition: -1 },
        );
    }
    batch
}
