//! Rows to deliveries: one open batch per schema, closed together when they are full or the
//! stream pauses, so that deliveries follow each other without a gap.
//!
//! Records that are no changes (rows of a snapshot that runs beside the stream, notifications)
//! stand between two transactions: they take the numbers after the place that was reached. The
//! next transaction may have its commit at just that place of the log: it numbers its records
//! after theirs ([`Assembler::numbered`]), and the state says so after a restart.

mod held;

pub(crate) use self::held::append_letter;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::time::Instant;
use wasmgate_codec::document::{self, InboundRecord};
use wasmgate_codec::project;
use wasmgate_connector::SourceContext;
use wasmgate_model::{Batch, Delivery, Fault, Partition, Plan, Position, Schema};
use wasmgate_replication::Places;

use crate::catalog::TableName;
use crate::quarantine::kept::Keeper;
use crate::quarantine::streak::Streak;
use crate::rows::end_rows;
use crate::source_block::source_columns;
use crate::state::State;
use crate::table::Table;

/// The one partition of a source: a slot is read by one reader, in commit order.
pub(crate) fn partition() -> Partition {
    Partition("postgres".into())
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

/// The delivery that is being filled.
pub(crate) struct Assembler {
    context: SourceContext,
    partition: Partition,
    /// What goes with every position.
    state: State,
    /// The same as bytes, unless `news`.
    bytes_of_state: Arc<[u8]>,
    news: bool,
    /// End of the last delivery.
    from: Position,
    /// End of what was read.
    to: Position,
    /// No transaction is open at `to`.
    free: bool,
    open: Vec<Batch>,
    /// Place in `open` by schema id.
    places: HashMap<u64, usize>,
    /// Id and place of the batch that was filled last: mostly the next one, too.
    last: Option<(u64, usize)>,
    /// Plans by schema id, of chain version `chain`.
    plans: HashMap<u64, Arc<Plan>>,
    /// Schemas of the dead letters of tables that are held back.
    letters: Vec<(TableName, Arc<Schema>)>,
    keeper: Keeper,
    /// Tables whose last row could not be decoded.
    streaks: HashMap<TableName, Streak>,
    chain: u64,
    rows: usize,
    bytes: usize,
    /// When the first row came.
    since: Option<Instant>,
}

impl Assembler {
    pub(crate) fn new(
        context: SourceContext,
        state: State,
        keeper: Keeper,
        from: Position,
    ) -> Self {
        // Numbers that were given out between two transactions are not given out again.
        let between = state.between.filter(|b| b.major == from.major);
        let to = between.map_or(from, |between| from.max(between));
        Self {
            partition: partition(),
            bytes_of_state: state.to_bytes(),
            state,
            news: false,
            from,
            to,
            free: to.minor == 0 || between == Some(to),
            open: Vec::new(),
            places: HashMap::new(),
            last: None,
            plans: HashMap::new(),
            letters: Vec::new(),
            keeper,
            streaks: HashMap::new(),
            chain: context.planner.version(),
            rows: 0,
            bytes: 0,
            since: None,
            context,
        }
    }

    /// What this source was opened with.
    pub(crate) fn context(&self) -> &SourceContext {
        &self.context
    }

    /// What goes with every position from here on. Asking for it makes it news: the next delivery
    /// carries it, even one without rows.
    pub(crate) fn state(&mut self) -> &mut State {
        self.news = true;
        &mut self.state
    }

    /// What the state says of snapshots beside the stream.
    pub(crate) fn work(&self) -> Option<&serde_json::Value> {
        self.state.work.as_ref()
    }

    /// Tables as they were last accepted.
    pub(crate) fn tables(&self) -> Option<&Value> {
        self.state.tables.as_ref()
    }

    /// Number of the last record before those of a transaction with its commit at this place.
    pub(crate) fn numbered(&self, commit_lsn: u64) -> u64 {
        self.state.between.filter(|at| at.major == commit_lsn).map_or(0, |at| at.minor)
    }

    /// Adds a filled batch of records that belong to no transaction; only where
    /// [`Assembler::is_free`]. They get their positions here.
    pub(crate) fn add(&mut self, mut batch: Batch, bytes: usize) {
        debug_assert!(self.free, "a transaction is open");
        let Position { major, minor } = self.to;
        let rows = batch.len();
        batch.positions.clear();
        batch.positions.extend((1..=rows as u64).map(|n| Position::new(major, minor + n)));
        let end = Position::new(major, minor + rows as u64);
        self.open.push(batch);
        self.rows += rows;
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
        self.to = end;
        self.state().between = Some(end);
    }

    /// The open batch of a table; opened under the chain's current plan. `None`: the chain does
    /// not fit the table, which is held back from `at` on.
    pub(crate) fn batch(
        &mut self,
        table: &Table,
        at: Position,
    ) -> Result<Option<&mut Batch>, Fault> {
        let id = table.schema.id;
        let place = match self.last {
            Some((last, place)) if last == id => place,
            _ => match self.places.get(&id).copied() {
                Some(place) => place,
                None if self.refuses(table, at)? => return Ok(None),
                None => self.open_batch(&table.schema)?,
            },
        };
        self.last = Some((id, place));
        self.opened(place).map(Some)
    }

    fn opened(&mut self, place: usize) -> Result<&mut Batch, Fault> {
        self.open.get_mut(place).ok_or_else(|| {
            Fault::new(wasmgate_model::FaultKind::Internal, "an open batch is not there")
        })
    }

    fn open_batch(&mut self, schema: &Arc<Schema>) -> Result<usize, Fault> {
        let batch = self.empty_batch(schema)?;
        self.open.push(batch);
        self.places.insert(schema.id, self.open.len() - 1);
        Ok(self.open.len() - 1)
    }

    /// Adds a JSON document that stands in a transaction, at the position that it says.
    pub(crate) fn document(
        &mut self,
        schema: &Arc<Schema>,
        record: &InboundRecord<'_>,
    ) -> Result<(), Fault> {
        let place = match self.places.get(&schema.id) {
            Some(place) => *place,
            None => self.open_batch(schema)?,
        };
        document::append(self.opened(place)?, record);
        let bytes = record.value.map_or(0, <[u8]>::len);
        self.appended(1, bytes, record.position);
        Ok(())
    }

    pub(crate) fn empty_batch(&mut self, schema: &Arc<Schema>) -> Result<Batch, Fault> {
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
        Ok(used.unwrap_or_else(|| match schema.open {
            true => Batch::documents(Arc::clone(schema), plan),
            false => Batch::rows(Arc::clone(schema), plan, source_columns()),
        }))
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
        if to >= self.to {
            self.to = to;
            self.free = to.minor == 0;
        }
    }

    /// How far the log is read.
    pub(crate) fn place(&self) -> Position {
        self.to
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

    /// Whether the log was read further than was delivered, or the state is another one.
    pub(crate) fn has_moved(&self) -> bool {
        self.to > self.from || self.news
    }

    /// Whether the state is to be stored, with rows or without.
    pub(crate) fn has_news(&self) -> bool {
        self.news
    }

    /// Closes the delivery, once what it promises is on disk ([`Assembler::seal`]).
    pub(crate) fn take(&mut self) -> Delivery {
        let received_us = now_us();
        let mut batches = std::mem::take(&mut self.open);
        for batch in &mut batches {
            batch.received_us = received_us;
            end_rows(batch);
            project(batch);
        }
        self.places.clear();
        self.last = None;
        (self.rows, self.bytes, self.since) = (0, 0, None);
        let from = std::mem::replace(&mut self.from, self.to);
        if std::mem::take(&mut self.news) {
            self.bytes_of_state = self.state.to_bytes();
        }
        let state = Some(Arc::clone(&self.bytes_of_state));
        Delivery { partition: self.partition.clone(), from, to: self.to, state, batches }
    }
}

impl Places for Assembler {
    fn is_free(&self) -> bool {
        self.free
    }

    fn add_document(
        &mut self,
        schema: &Arc<Schema>,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), Fault> {
        let mut batch = self.empty_batch(schema)?;
        let (key, value, time_us) = (Some(key), Some(value), now_us());
        let position = Position::default();
        let record = InboundRecord { key, value, time_us, position, partition: -1 };
        document::append(&mut batch, &record);
        self.add(batch, 0);
        Ok(())
    }
}
