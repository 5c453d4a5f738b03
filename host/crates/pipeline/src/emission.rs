//! Additional records that a stage emits: rows of their own topic, settled with their parents.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmgate_connector::{Emission, Write};
use wasmgate_model::{
    Batch, Block, Field, Kind, Logical, Op, Payload, Plan, Position, Rows, Schema, Values,
};

/// Topic and fields of an emission.
type Form = (String, Vec<(String, Kind)>);

/// Schemas remembered at most: a module may make a topic per record.
const SCHEMAS_MAX: usize = 1_024;

/// The next schema's id. Lanes share the sinks, which tell schemas apart by it.
static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 50);

/// Schemas made for emissions, by topic and fields.
#[derive(Default)]
pub(crate) struct Emissions {
    schemas: HashMap<Form, Arc<Schema>>,
    plan: Arc<Plan>,
}

impl Emissions {
    /// A batch of the records; `rows` are the payload rows of the call, `parent` their batch.
    pub(crate) fn batch(&mut self, emission: Emission, rows: &[u32], parent: &Batch) -> Batch {
        let Emission { topic, parents, fields, mut columns } = emission;
        let key = fields.iter().position(|f| f.name == "$key").map(|at| columns.remove(at));
        let schema = self.schema(topic, fields.iter().filter(|f| f.name != "$key"));
        let payload = Payload::Rows(Rows::new(columns, Vec::new(), Vec::new()));
        let mut batch = Batch::new(schema, Arc::clone(&self.plan), payload);
        for &parent_row in &parents {
            let row = rows.get(parent_row as usize).map_or(0, |r| *r as usize);
            batch.ops.push(Op::Append);
            batch.times_us.push(parent.times_us.get(row).copied().unwrap_or_default());
            batch.positions.push(parent.positions.get(row).copied().unwrap_or(Position::default()));
        }
        let mut keys = Block::default();
        match key.map(|k| (k.values, k.nulls)) {
            Some((Values::Texts(texts), nulls)) => {
                keys = texts;
                batch.null_keys = nulls;
            }
            _ => {
                parents.iter().for_each(|_| keys.seal());
                batch.null_keys = (0..parents.len() as u32).collect();
            }
        }
        batch.keys = Some(keys);
        batch.received_us = parent.received_us;
        batch.select_all();
        batch
    }

    fn schema<'a>(
        &mut self,
        topic: String,
        fields: impl Iterator<Item = &'a Write>,
    ) -> Arc<Schema> {
        let fields: Vec<&Write> = fields.collect();
        let shape = fields.iter().map(|f| (f.name.clone(), f.kind)).collect();
        let form = (topic, shape);
        if self.schemas.len() >= SCHEMAS_MAX && !self.schemas.contains_key(&form) {
            self.schemas.clear();
        }
        let made = self.schemas.entry(form);
        Arc::clone(made.or_insert_with_key(|(topic, shape)| {
            let field = |(name, kind): &(String, Kind)| {
                Field::new(name.as_str(), *kind, Logical::Plain, true)
            };
            let fields = shape.iter().map(field).collect();
            let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
            Arc::new(Schema {
                fields,
                open: false,
                ..Schema::open(id, topic.as_str().into(), false)
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_per_record_leaves_no_schema_per_record_behind() {
        let parent = Batch::new(
            Arc::new(Schema::open(1, "t".into(), false)),
            Arc::default(),
            Payload::Rows(Rows::new(Vec::new(), Vec::new(), Vec::new())),
        );
        let mut emissions = Emissions::default();
        for number in 0..3 * SCHEMAS_MAX {
            let (topic, fields) = (format!("t{number}"), Vec::new());
            let emission = Emission { topic, parents: vec![0], fields, columns: Vec::new() };
            assert_eq!(emissions.batch(emission, &[0], &parent).len(), 1);
            assert!(emissions.schemas.len() <= SCHEMAS_MAX, "{}", emissions.schemas.len());
        }
    }
}
