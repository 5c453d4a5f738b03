//! Sinks: where records go, and dead letters.
//!
//! What each answer means for *progress*: [`Sink::write`] returning is *accepted*: the sink owns
//! the rows, order is fixed, nothing may be settled. The [`Durable`] it returns resolves when the
//! rows are safe: only then may they settle. A refused row is neither: the pipeline dead-letters
//! it. `Err` from a durable means that some rows may be missing and later ones may be there: the
//! pipeline opens source and sink again from the checkpoint, so order is kept and rows repeat.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use wasmgate_model::{Batch, DeadLetterCause, Delivery, Fault};

use crate::source::Finding;

/// Which rows of a delivery go to this sink. Numbers are places in each batch's `sel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowSet {
    All,
    /// One list per batch, ascending.
    Some(Vec<Vec<u32>>),
}

/// Rows to write: a processed delivery and which of its rows are meant.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    pub delivery: Arc<Delivery>,
    pub rows: RowSet,
}

impl WriteRequest {
    /// How many rows are meant.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.rows {
            RowSet::All => self.delivery.batches.iter().map(|b| b.sel.len()).sum(),
            RowSet::Some(lists) => lists.iter().map(Vec::len).sum(),
        }
    }

    /// Whether no row is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with (batch, place in its `sel`) for every row, batch by batch.
    pub fn for_each(&self, mut each: impl FnMut(usize, &Batch, usize)) {
        for (n, batch) in self.delivery.batches.iter().enumerate() {
            match &self.rows {
                RowSet::All => (0..batch.sel.len()).for_each(|i| each(n, batch, i)),
                RowSet::Some(lists) => {
                    for &i in lists.get(n).map_or(&[][..], Vec::as_slice) {
                        each(n, batch, i as usize);
                    }
                }
            }
        }
    }

    /// Every row as (number of the batch, place in its `sel`), in the order of the source across
    /// batches: for sinks that keep order over topics.
    #[must_use]
    pub fn in_source_order(&self) -> Vec<(usize, usize)> {
        let position = |batch: &Batch, i: usize| {
            let row = batch.sel.get(i).copied().unwrap_or(0) as usize;
            batch.positions.get(row).copied()
        };
        let mut rows = Vec::with_capacity(self.len());
        let (mut sorted, mut last) = (true, None);
        self.for_each(|n, batch, i| {
            let at = position(batch, i);
            sorted &= last <= at;
            last = at;
            rows.push((n, i));
        });
        if !sorted {
            let batches = &self.delivery.batches;
            rows.sort_by_cached_key(|(n, i)| batches.get(*n).and_then(|b| position(b, *i)));
        }
        rows
    }
}

/// A row the sink will never take. `index` is its place in the batch's `sel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    pub batch: usize,
    pub index: u32,
    pub cause: DeadLetterCause,
}

/// What became durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    pub records: u64,
    pub bytes: u64,
    pub refused: Vec<RefusedRow>,
}

/// Resolves when what was accepted is durable.
pub type Durable = Pin<Box<dyn Future<Output = Result<Written, Fault>> + Send>>;

/// Deliveries that a sink may hold unless it asks for more.
pub const IN_FLIGHT: usize = 32;

/// What a sink that writes in larger pieces than deliveries counts about itself.
#[derive(Debug, Default)]
pub struct SinkCounts {
    /// Writes that the server took.
    pub writes: AtomicU64,
    pub rows: AtomicU64,
    /// Bytes of these rows as they were encoded, before compression.
    pub bytes: AtomicU64,
    /// Writes that were tried again.
    pub retries: AtomicU64,
    /// Milliseconds that writes are held apart; more than configured while the server is behind.
    pub spacing_ms: AtomicU64,
}

/// What a sink knows about why accepted rows do not become durable: written by it, read by status.
#[derive(Debug, Default)]
pub struct SinkHealth {
    troubled: AtomicBool,
    trouble: Mutex<String>,
    pub counts: SinkCounts,
}

impl SinkHealth {
    /// Something is wrong; true if it was not before.
    pub fn trouble(&self, reason: &str) -> bool {
        let mut held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone_into(&mut held);
        !self.troubled.swap(true, Ordering::Relaxed)
    }

    /// Rows become durable again; true if they did not before. Cheap while all is well.
    pub fn well(&self) -> bool {
        self.troubled.load(Ordering::Relaxed) && self.troubled.swap(false, Ordering::Relaxed)
    }

    /// What is wrong now.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let troubled = self.troubled.load(Ordering::Relaxed);
        troubled.then(|| self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// An open sink. Writes are called one after the other, in order; their durables are awaited side
/// by side while later writes go on.
#[async_trait]
pub trait Sink: Send {
    /// Takes the rows over. Waits while the sink's own queue is full: that is the back-pressure.
    ///
    /// # Errors
    /// Nothing of this request was accepted. With [`wasmgate_model::Retry::Timed`] the pipeline
    /// calls again with the same request after a pause.
    async fn write(&mut self, request: WriteRequest) -> Result<Durable, Fault>;

    /// No more writes will come, and every durable was awaited or given up.
    async fn close(&mut self) {}

    /// No delivery follows for now: what was gathered for a larger write goes at once. Its
    /// durables resolve; single rows may still be written again.
    async fn flush(&mut self) {}

    /// Deliveries that it may hold before their durables resolve. Sinks that gather small
    /// deliveries into large writes ask for more than [`IN_FLIGHT`].
    fn in_flight(&self) -> usize {
        IN_FLIGHT
    }

    /// Where the sink tells that it waits for its server. Sinks that never wait need none.
    fn health(&self) -> Arc<SinkHealth> {
        Arc::default()
    }
}

/// A configured sink.
#[async_trait]
pub trait SinkConnector: Send + Sync {
    /// `kafka`, `file`, `console`, ...
    fn kind(&self) -> &'static str;

    /// Looks at the server without changing anything.
    async fn check(&self) -> Vec<Finding>;

    /// Connects. Can be called again after the sink was dropped.
    ///
    /// # Errors
    /// The server is unreachable or refuses; the message says what to do.
    async fn open(&self) -> Result<Box<dyn Sink>, Fault>;
}

/// A record on its way to the dead letters: row `row` of batch `batch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub batch: usize,
    /// Number of the payload row.
    pub row: u32,
    pub cause: DeadLetterCause,
    /// How often the record was tried.
    pub attempts: u32,
    /// A dead-letter topic chosen by the policy; `None`: the configured one.
    pub topic: Option<String>,
}

/// What is the same for every dead letter of a pipeline.
#[derive(Debug, Clone)]
pub struct DeadLetterContext {
    pub pipeline: Arc<str>,
    /// Kind of the source.
    pub source: &'static str,
}

/// Where dead letters go. The record's original key, value, headers and timestamp are kept as
/// bytes; the context goes into headers in Connect's names (`__connect.errors.*`), what is ours
/// into `wasmgate.*`.
#[async_trait]
pub trait DeadLetters: Send {
    /// Writes the letters; returns when they are durable. Repeating a call may write them twice.
    ///
    /// # Errors
    /// Nothing may be settled; the pipeline stops or tries again.
    async fn write(
        &mut self,
        context: &DeadLetterContext,
        delivery: &Delivery,
        letters: &[DeadLetter],
    ) -> Result<(), Fault>;
}

/// A configured place for dead letters.
#[async_trait]
pub trait DeadLetterConnector: Send + Sync {
    /// `kafka`, `file`, ...
    fn kind(&self) -> &'static str;

    /// Looks at the place without changing anything.
    async fn check(&self) -> Vec<Finding>;

    /// Connects. Can be called again after the writer was dropped.
    ///
    /// # Errors
    /// The place is unreachable or refuses; the message says what to do.
    async fn open(&self) -> Result<Box<dyn DeadLetters>, Fault>;
}

/// Turns a row back into the bytes it came as (documents), or into the default format (rows):
/// for policies, which see bytes.
pub trait RecordEncoder: Send + Sync {
    /// Key and value of payload row `row`, without what the chain did.
    fn original(&self, batch: &Batch, row: usize) -> (Option<Vec<u8>>, Option<Vec<u8>>);
}
