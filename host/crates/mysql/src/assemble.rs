//! Rows to deliveries: one open batch per schema, closed together when they are full or the
//! stream pauses, so that deliveries follow each other without a gap.

mod held;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use wasmgate_codec::document::{self, InboundRecord};
use wasmgate_codec::project;
use wasmgate_connector::SourceContext;
use wasmgate_model::{Batch, Delivery, Fault, Partition, Plan, Position, Schema};
use wasmgate_replication::Places;

use crate::catalog::TableName;
use crate::quarantine::Held;
use crate::table::{Table, source_columns};

/// The one partition of a source: a server's log, in its order.
pub(crate) fn partition() -> Partition {
    Partition("mysql".into())
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

/// Number of a transaction's begin. The numbers before it are for records that stand between it and
/// the transaction before.
pub(crate) const BEGIN_AT: u64 = (1 << 32) - 1;

/// The delivery that is being filled.
pub(crate) struct Assembler {
    context: SourceContext,
    partition: Partition,
    /// End of the last delivery.
    from: Position,
    /// End of what was read.
    to: Position,
    open: Vec<Batch>,
    /// Place in `open` by schema id.
    places: HashMap<u64, usize>,
    /// Plans by schema id, of chain version `chain`.
    plans: HashMap<u64, Arc<Plan>>,
    chain: u64,
    rows: usize,
    bytes: usize,
    /// When the first row came.
    since: Option<Instant>,
    /// Tables that are held back; they go with every position.
    held: Vec<Held>,
    /// Schemas of their dead letters.
    letters: Vec<(TableName, Arc<Schema>)>,
    /// First part of topics.
    prefix: Arc<str>,
    /// Records can only be put into it.
    pub in_transaction: bool,
}

impl Assembler {
    /// `held`: tables that are held back; `prefix`: of topics.
    pub(crate) fn new(
        context: SourceContext,
        from: Position,
        held: Vec<Held>,
        prefix: &str,
    ) -> Self {
        Self {
            partition: partition(),
            from,
            to: from,
            open: Vec::new(),
            places: HashMap::new(),
            plans: HashMap::new(),
            chain: context.planner.version(),
            rows: 0,
            bytes: 0,
            since: None,
            held,
            letters: Vec::new(),
            prefix: prefix.into(),
            in_transaction: false,
            context,
        }
    }

    /// The open batch of a table; opened under the chain's current plan.
    pub(crate) fn batch(&mut self, table: &Table) -> Result<&mut Batch, Fault> {
        self.batch_of(&table.schema)
    }

    fn batch_of(&mut self, schema: &Arc<Schema>) -> Result<&mut Batch, Fault> {
        let place = match self.places.get(&schema.id) {
            Some(place) => *place,
            None => self.open_batch(schema)?,
        };
        self.open.get_mut(place).ok_or_else(|| {
            Fault::new(wasmgate_model::FaultKind::Internal, "an open batch is not there")
        })
    }

    fn open_batch(&mut self, schema: &Arc<Schema>) -> Result<usize, Fault> {
        let planner = &self.context.planner;
        if self.chain != planner.version() {
            self.chain = planner.version();
            self.plans.clear();
        }
        let plan = match self.plans.get(&schema.id) {
            Some(plan) => Arc::clone(plan),
            None => {
                let plan = planner.plan(schema)?;
                self.plans.insert(schema.id, Arc::clone(&plan));
                plan
            }
        };
        let used = self.context.pool.take(schema, &plan);
        let batch = used.unwrap_or_else(|| match schema.open {
            true => Batch::documents(Arc::clone(schema), plan),
            false => Batch::rows(Arc::clone(schema), plan, source_columns()),
        });
        self.open.push(batch);
        self.places.insert(schema.id, self.open.len() - 1);
        Ok(self.open.len() - 1)
    }

    /// Appends a JSON document.
    pub(crate) fn document(
        &mut self,
        schema: &Arc<Schema>,
        (key, value): (&str, &str),
        time_us: i64,
        position: Position,
    ) -> Result<(), Fault> {
        let batch = self.batch_of(schema)?;
        let (key, bytes) = (Some(key.as_bytes()), value.len());
        let value = Some(value.as_bytes());
        document::append(batch, &InboundRecord { key, value, time_us, position, partition: -1 });
        self.appended(1, bytes, position);
        Ok(())
    }

    /// Counts what was appended, and says how far the log is read now.
    pub(crate) fn appended(&mut self, rows: usize, bytes: usize, to: Position) {
        self.rows += rows;
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
        self.reached(to);
    }

    /// Says how far the log is read; nothing of it needs to be delivered.
    pub(crate) fn reached(&mut self, to: Position) {
        self.to = self.to.max(to);
    }

    /// How far the log is read.
    pub(crate) fn place(&self) -> Position {
        self.to
    }

    /// Whether another record has room before the next transaction.
    pub(crate) fn has_room(&self) -> bool {
        self.to.minor + 1 < BEGIN_AT
    }

    /// Whether the delivery is as large as it may be.
    pub(crate) fn is_full(&self) -> bool {
        let limits = &self.context.limits;
        self.rows >= limits.rows || self.bytes >= limits.bytes
    }

    /// When a delivery with rows has to go, full or not.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + self.context.limits.wait)
    }

    /// Whether there are rows to deliver.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// Whether the log was read further than was delivered.
    pub(crate) fn has_moved(&self) -> bool {
        self.to > self.from
    }

    /// Closes the delivery; `state` goes with the end of what was read.
    pub(crate) fn take(&mut self, state: Arc<[u8]>) -> Delivery {
        let received_us = now_us();
        let mut batches = std::mem::take(&mut self.open);
        for batch in &mut batches {
            batch.received_us = received_us;
            project(batch);
        }
        self.places.clear();
        (self.rows, self.bytes, self.since) = (0, 0, None);
        let from = std::mem::replace(&mut self.from, self.to);
        let partition = self.partition.clone();
        Delivery { partition, from, to: self.to, state: Some(state), batches }
    }
}

impl Places for Assembler {
    fn is_free(&self) -> bool {
        !self.in_transaction && self.has_room()
    }

    fn add_document(
        &mut self,
        schema: &Arc<Schema>,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Fault> {
        let position = Position::new(self.to.major, self.to.minor + 1);
        let batch = self.batch_of(schema)?;
        let (bytes, time_us) = (value.len(), now_us());
        let (key, value) = (Some(key), Some(value));
        document::append(batch, &InboundRecord { key, value, time_us, position, partition: -1 });
        self.appended(1, bytes, position);
        Ok(())
    }
}
