//! Sources: where records come from, in two halves.
//!
//! The **reader** half hands over deliveries; the **acker** half is told what is settled. Reading
//! goes on, and the server's keep-alives are answered, while the consumer is slow: a source runs
//! its own task or thread and hands over through a bounded queue.
//!
//! What each answer means for *progress*: a delivery handed over is nothing but handed over. Only
//! [`SourceAcker::settled`] is progress, and it is called after the checkpoint is on disk, so the
//! source may tell its server. Dropping the halves without it means redelivery from the checkpoint.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use wasmgate_model::{Checkpoint, Delivery, Fault, Partition, Position};

use crate::command::Commands;
use crate::planner::Planner;
use crate::pool::BatchPool;

/// When a delivery is handed over: what is queued is taken, up to `rows` and `bytes`; a delivery
/// that is not full waits for more at most `wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    pub rows: usize,
    pub bytes: usize,
    pub wait: std::time::Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        let wait = std::time::Duration::from_millis(5);
        Self { rows: 1024, bytes: 1 << 20, wait }
    }
}

/// What a source tells about itself; written by it, read by status and metrics.
#[derive(Debug, Default)]
pub struct SourceStatus {
    pub connected: AtomicBool,
    /// Milliseconds between the event at the source and its hand-over; -1 while unknown.
    pub lag_ms: AtomicI64,
    /// Records the server holds that are not read yet; -1 while unknown.
    pub lag_records: AtomicI64,
    /// Bytes of log that the server keeps for us; -1 while unknown.
    pub retained_bytes: AtomicI64,
    /// Bytes of log that may still be written before the server gives up on our place; negative
    /// once it may do so any moment, 0 where it never does or it is unknown.
    pub safe_bytes: AtomicI64,
    /// How the server holds our place in its log, 0 for good to 3 for lost; -1 while unknown.
    pub place_health: AtomicI64,
    pub snapshot_rows: AtomicU64,
    pub snapshot_done: AtomicBool,
    pub reconnects: AtomicU64,
    /// `connecting`, `snapshot`, `streaming`, ..., for people.
    pub phase: Mutex<String>,
    /// What is being copied, or was last.
    tables: Mutex<Vec<Arc<TableProgress>>>,
    /// What is held back while the rest goes on.
    quarantined: Mutex<Vec<Quarantined>>,
}

/// A table that is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// `schema.table`.
    pub table: String,
    pub reason: String,
    /// Position of the first change that was held back.
    pub since: Position,
    /// It was asked for again, and is read anew once the source is there.
    pub resuming: bool,
    /// Changes that are kept for it; `None`: they become dead letters.
    pub kept: Option<KeptChanges>,
}

/// Changes of a table that wait until it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptChanges {
    pub changes: u64,
    /// On disk.
    pub bytes: u64,
}

/// How far the copy of one table is; written by the source, read by status and metrics.
#[derive(Debug)]
pub struct TableProgress {
    /// `schema.table`.
    pub table: String,
    pub rows: AtomicU64,
    /// Rows that the server believes the table has; -1 while unknown.
    pub estimate: AtomicI64,
    pub done: AtomicBool,
    started: Instant,
}

impl TableProgress {
    /// The share that is read, of 100; as good as the server's estimate, and 100 only at the end.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        if self.done.load(Ordering::Relaxed) {
            return Some(100.0);
        }
        let estimate = self.estimate.load(Ordering::Relaxed);
        let rows = self.rows.load(Ordering::Relaxed);
        (estimate > 0).then(|| (rows as f64 * 100.0 / estimate as f64).min(99.9))
    }

    /// How long the rest takes at the speed so far.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let percent = self.percent().filter(|p| *p > 0.0)?;
        let elapsed = self.started.elapsed().as_secs_f64();
        Duration::try_from_secs_f64(elapsed * (100.0 - percent) / percent).ok()
    }
}

impl SourceStatus {
    /// Sets the phase.
    pub fn phase(&self, phase: &str) {
        let mut held = self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        phase.clone_into(&mut held);
    }

    /// A table is going to be copied; `estimate` rows, -1 where nobody knows. A copy of the same
    /// table before is forgotten.
    pub fn copying(&self, table: String, estimate: i64) -> Arc<TableProgress> {
        let progress = Arc::new(TableProgress {
            table,
            rows: AtomicU64::new(0),
            estimate: AtomicI64::new(estimate),
            done: AtomicBool::new(false),
            started: Instant::now(),
        });
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|t| t.table != progress.table);
        tables.push(Arc::clone(&progress));
        progress
    }

    /// Says which tables are held back, all of them.
    pub fn quarantine(&self, tables: Vec<Quarantined>) {
        *self.quarantined.lock().unwrap_or_else(PoisonError::into_inner) = tables;
    }

    /// Tables that are held back.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.quarantined.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every copy that runs or ran.
    #[must_use]
    pub fn copies(&self) -> Vec<Arc<TableProgress>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a source gets when it is opened.
#[derive(Clone)]
pub struct SourceContext {
    pub pipeline: Arc<str>,
    /// Where to resume; empty on the first start.
    pub checkpoint: Checkpoint,
    pub planner: Arc<dyn Planner>,
    pub pool: Arc<BatchPool>,
    pub limits: BatchLimits,
    pub status: Arc<SourceStatus>,
    /// A source that takes commands asks for their receiver when it is opened.
    pub commands: Arc<Commands>,
}

/// Something a reader has to say.
#[derive(Debug)]
pub enum SourceEvent {
    /// Records. Deliveries of a partition follow each other without a gap.
    Delivery(Delivery),
    /// The source now owns a partition and will deliver from `at` on, whatever the checkpoint
    /// said (a Kafka group moved it, a slot is ahead). It is on disk before the next event is asked
    /// for.
    Assigned { partition: Partition, at: Position, state: Option<Arc<[u8]>> },
    /// The source is about to lose a partition. The pipeline settles what is in flight, then
    /// drops `done`.
    Revoked { partition: Partition, done: tokio::sync::oneshot::Sender<()> },
    /// There is nothing more, ever. The pipeline settles and ends.
    Completed,
}

/// The reading half.
#[async_trait]
pub trait SourceReader: Send {
    /// The next event. Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// The source cannot go on. With [`wasmgate_model::Retry::Timed`] the pipeline opens it again
    /// from the checkpoint after a pause; otherwise it stops with the fault as its status.
    async fn next(&mut self) -> Result<SourceEvent, Fault>;
}

/// The half that is told what is settled.
#[async_trait]
pub trait SourceAcker: Send {
    /// Everything up to the checkpoint is settled and on disk. Called with growing checkpoints;
    /// calls may be coalesced.
    ///
    /// # Errors
    /// As for [`SourceReader::next`].
    async fn settled(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault>;

    /// The pipeline stops after everything in flight was settled: tell the server, let go.
    async fn close(&mut self) {}
}

/// Both halves of an open source.
pub type SourceHalves = (Box<dyn SourceReader>, Box<dyn SourceAcker>);

/// A finding of an online check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// False: this alone keeps the source from working.
    pub ok: bool,
    pub what: String,
    /// What to do, with the exact statement where there is one.
    pub fix: Option<String>,
}

/// A configured source.
#[async_trait]
pub trait Source: Send + Sync {
    /// `postgres`, `kafka`, `file`, ...
    fn kind(&self) -> &'static str;

    /// Looks at the server without changing anything: reachable, privileges, settings.
    async fn check(&self) -> Vec<Finding>;

    /// Connects and starts to read after the checkpoint. Can be called again after the halves
    /// were dropped.
    ///
    /// # Errors
    /// The server is unreachable or refuses; the message says what to do.
    async fn open(&self, context: SourceContext) -> Result<SourceHalves, Fault>;
}
