//! Batches and deliveries for tests, without a codec.

use std::sync::Arc;

use wasmgate_model::{
    Batch, Column, Delivery, Field, FieldPath, Kind, Logical, Op, Partition, Payload, Plan,
    PlanRead, Position, ReadColumn, Schema,
};

/// The schema of [`numbers`]: `id` (integer, the key) and `name` (text, `row-<id>`).
#[must_use]
pub fn number_schema(id: u64, topic: &str) -> Arc<Schema> {
    let field = |name: &str, kind, nullable| Field::new(name, kind, Logical::Plain, nullable);
    Arc::new(Schema {
        open: false,
        envelope: true,
        fields: vec![field("id", Kind::Integer, false), field("name", Kind::Text, true)],
        key: vec!["id".into()],
        ..Schema::open(id, topic.into(), true)
    })
}

/// Rows `ids` of [`number_schema`], inserted at positions `id + 1`: the piece (`ids.start`,
/// `ids.end`] of a partition.
#[must_use]
pub fn numbers(schema: &Arc<Schema>, ids: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::rows(Arc::clone(schema), Arc::new(Plan::default()), Vec::new());
    for id in ids {
        if let Payload::Rows(rows) = &mut batch.payload
            && let [number, name] = rows.current.as_mut_slice()
        {
            number.push_int(id as i64);
            name.push_bytes(format!("row-{id}").as_bytes());
        }
        push_common(&mut batch, Op::Create, id + 1);
    }
    batch.select_all();
    batch
}

/// A record's key and value as bytes.
pub type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Documents of an open schema at positions `from + 1` and following; no value is a tombstone.
#[must_use]
pub fn documents(schema: &Arc<Schema>, from: u64, records: &[KeyValue<'_>]) -> Batch {
    let mut batch = Batch::documents(Arc::clone(schema), Arc::new(Plan::default()));
    for (row, (key, value)) in records.iter().enumerate() {
        if let Some(keys) = &mut batch.keys {
            keys.push(key.unwrap_or(&[]));
        }
        if key.is_none() {
            batch.null_keys.push(row as u32);
        }
        if let Payload::Documents(documents) = &mut batch.payload {
            documents.values.push(value.unwrap_or(&[]));
        }
        let op = if value.is_some() { Op::Append } else { Op::Tombstone };
        push_common(&mut batch, op, from + row as u64 + 1);
    }
    batch.select_all();
    batch
}

/// The delivery that holds the batches: from just before the first row to the last one. `from`
/// counts where there is no row.
#[must_use]
pub fn delivery(partition: &str, from: u64, batches: Vec<Batch>) -> Delivery {
    let to = batches.iter().filter_map(|b| b.positions.last()).max();
    let from = Position::new(from, 0);
    Delivery {
        partition: Partition(partition.into()),
        from,
        to: to.copied().unwrap_or(from),
        state: None,
        batches,
    }
}

fn push_common(batch: &mut Batch, op: Op, position: u64) {
    batch.ops.push(op);
    batch.times_us.push(position as i64 * 1000);
    batch.positions.push(Position::new(position, 0));
}

/// Fills the reads of a batch by its plan, as a decoder does: columns of rows as they are where
/// the kinds agree, integers as text; everything else is absent.
pub(super) fn project(batch: &mut Batch) {
    let plan = Arc::clone(&batch.plan);
    batch.reads = plan.reads.iter().map(|read| column_for(batch, read)).collect();
    batch.select_all();
}

fn column_for(batch: &Batch, read: &PlanRead) -> ReadColumn {
    let absent = ReadColumn::Own(Column::all_absent(read.kind, batch.len()));
    let (FieldPath::Current(name), Payload::Rows(rows)) = (&read.path, &batch.payload) else {
        return absent;
    };
    match batch.schema.field(name) {
        Some((number, field)) if field.kind == read.kind => ReadColumn::Current(number),
        Some((number, Field { kind: Kind::Integer, .. })) if read.kind == Kind::Text => {
            let mut texts = Column::new(Kind::Text);
            for row in 0..batch.len() {
                match rows.current.get(number).and_then(|c| c.int(row)) {
                    Some(n) => texts.push_bytes(n.to_string().as_bytes()),
                    None => texts.push_null(),
                }
            }
            ReadColumn::Own(texts)
        }
        _ => absent,
    }
}
