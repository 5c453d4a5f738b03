//! Records into deliveries: one batch per topic and kind of value, taken from the pool and planned
//! when its first record comes, projected when the delivery is full.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use wasmgate_codec::document::{Defaults, SchemaDefaults};
use wasmgate_connector::SourceContext;
use wasmgate_model::{
    Batch, DeadLetterCause, Delivery, Fault, FaultKind, Partition, Plan, Position, Reject, Schema,
    Verdict,
};

/// A topic's schemas: of values that are no envelopes, and of envelopes.
type OfTopic = [Option<Arc<Schema>>; 2];

/// Schemas of a source, kept over its opens so that a topic keeps its id.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    by_topic: Mutex<HashMap<Arc<str>, OfTopic>>,
}

impl Schemas {
    /// The schema of a topic's envelopes, or of its other values.
    fn get(&self, topic: &str, envelope: bool, defaults: &Defaults) -> Arc<Schema> {
        // Unique in the process: a range that no other source counts up to.
        static NEXT: AtomicU64 = AtomicU64::new(0xF11E_0000_0000_0000);
        let mut by_topic = self.by_topic.lock().unwrap_or_else(PoisonError::into_inner);
        let topic =
            by_topic.get_key_value(topic).map_or_else(|| topic.into(), |(k, _)| Arc::clone(k));
        let [plain, enveloped] = by_topic.entry(Arc::clone(&topic)).or_default();
        let slot = if envelope { enveloped } else { plain };
        let known = slot.take().filter(|schema| schema.defaults == *defaults);
        let schema = known.unwrap_or_else(|| {
            let open = Schema::open(NEXT.fetch_add(1, Ordering::Relaxed), topic, envelope);
            Arc::new(Schema { defaults: Arc::clone(defaults), ..open })
        });
        Arc::clone(slot.insert(schema))
    }
}

/// What a value is: one of these makes a batch.
pub(crate) struct Form {
    pub(crate) envelope: bool,
    pub(crate) defaults: Defaults,
}

impl Form {
    /// Values without a schema part.
    pub(crate) fn bare(envelope: bool) -> Self {
        Self { envelope, defaults: Arc::from([]) }
    }
}

/// A delivery that is being filled.
pub(crate) struct Assembler {
    context: SourceContext,
    partition: Partition,
    schemas: Arc<Schemas>,
    defaults: SchemaDefaults,
    batches: Vec<Batch>,
    /// The batch that took the last record.
    last: usize,
    rows: usize,
    bytes: usize,
    from: Position,
    to: Position,
}

impl Assembler {
    /// Continues the partition where the checkpoint of the context says.
    pub(crate) fn new(context: SourceContext, partition: Partition, schemas: Arc<Schemas>) -> Self {
        let from = context.checkpoint.get(&partition).map_or(Position::default(), |(at, _)| at);
        Self {
            context,
            partition,
            schemas,
            defaults: SchemaDefaults::default(),
            batches: Vec::new(),
            last: 0,
            rows: 0,
            bytes: 0,
            from,
            to: from,
        }
    }

    /// What a value with this schema part is.
    pub(crate) fn form(&mut self, envelope: bool, schema: &[u8]) -> Form {
        Form { envelope, defaults: Arc::clone(self.defaults.of(schema)) }
    }

    /// Where the next delivery starts.
    pub(crate) fn from(&self) -> Position {
        self.from
    }

    pub(crate) fn context(&self) -> &SourceContext {
        &self.context
    }

    /// Whether there is a record.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// Whether the delivery has to go.
    pub(crate) fn is_full(&self) -> bool {
        self.rows >= self.context.limits.rows || self.bytes >= self.context.limits.bytes
    }

    /// The batch for a record of `weight` bytes that ends at `to`; the caller appends exactly it.
    ///
    /// # Errors
    /// The chain cannot work on this schema.
    pub(crate) fn batch(
        &mut self,
        topic: &str,
        form: &Form,
        weight: usize,
        to: Position,
    ) -> Result<&mut Batch, Fault> {
        let fits = |b: &Batch| {
            let schema = &b.schema;
            &*schema.topic == topic
                && schema.envelope == form.envelope
                && schema.defaults == form.defaults
        };
        let at = match self.batches.get(self.last).is_some_and(fits) {
            true => self.last,
            false => match self.batches.iter().position(fits) {
                Some(at) => at,
                None => self.add(topic, form)?,
            },
        };
        self.last = at;
        self.rows += 1;
        self.bytes += weight;
        self.to = to;
        let internal = || Fault::new(FaultKind::Internal, "a batch that was just found is gone");
        self.batches.get_mut(at).ok_or_else(internal)
    }

    fn add(&mut self, topic: &str, form: &Form) -> Result<usize, Fault> {
        let schema = self.schemas.get(topic, form.envelope, &form.defaults);
        let plan: Arc<Plan> = self.context.planner.plan(&schema)?;
        let mut batch = match self.context.pool.take(&schema, &plan) {
            Some(batch) => batch,
            None => Batch::documents(schema, plan),
        };
        batch.received_us = now_us();
        self.batches.push(batch);
        Ok(self.batches.len() - 1)
    }

    /// Takes what was assembled; the next delivery follows it.
    pub(crate) fn take(&mut self) -> Delivery {
        let mut batches = std::mem::take(&mut self.batches);
        for batch in &mut batches {
            wasmgate_codec::project(batch);
        }
        let from = std::mem::replace(&mut self.from, self.to);
        (self.last, self.rows, self.bytes) = (0, 0, 0);
        Delivery { partition: self.partition.clone(), from, to: self.to, state: None, batches }
    }
}

/// Rejects the last row of a batch: it could not be decoded.
pub(crate) fn reject_last(batch: &mut Batch, code: &str, message: String) {
    let cause =
        DeadLetterCause { stage: "decode".into(), code: code.into(), message, module: None };
    let row = batch.len().saturating_sub(1) as u32;
    batch.rejects.push(Reject { row, verdict: Verdict::DeadLetter(Box::new(cause)) });
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_micros() as i64)
}
