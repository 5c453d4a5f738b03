//! Reading a source for the kit: every delivery is checked as it comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmgate_model::{
    Batch, Checkpoint, Delivery, Fault, FieldPath, Kind, Partition, Plan, PlanRead, Position,
    Schema,
};

use super::SourceKit;
use crate::conformance::soon;
use crate::planner::Planner;
use crate::pool::BatchPool;
use crate::source::{
    BatchLimits, SourceAcker, SourceContext, SourceEvent, SourceReader, SourceStatus,
};

/// Rows per delivery that the kit asks for.
pub(super) const ROWS: usize = 16;

/// A planner that reads the kit's field, and from version 2 on reads it as text, too.
pub(super) struct KitPlanner {
    field: Arc<str>,
    version: AtomicU64,
}

impl KitPlanner {
    pub(super) fn new(field: &str) -> Arc<Self> {
        Arc::new(Self { field: field.into(), version: AtomicU64::new(1) })
    }

    pub(super) fn next_version(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

impl Planner for KitPlanner {
    fn plan(&self, _schema: &Arc<Schema>) -> Result<Arc<Plan>, Fault> {
        let chain = self.version();
        let read = |kind| PlanRead {
            path: FieldPath::Current(Arc::clone(&self.field)),
            kind,
            optional: false,
            stage: "conformance".into(),
        };
        let kinds = if chain == 1 { &[Kind::Integer][..] } else { &[Kind::Integer, Kind::Text] };
        let reads = kinds.iter().map(|kind| read(*kind)).collect();
        Ok(Arc::new(Plan { chain, reads, ..Plan::default() }))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }
}

/// A delivery, looked at and given back.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) partition: Partition,
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) state: Option<Arc<[u8]>>,
    /// Newest version of a plan in it.
    pub(super) chain: u64,
    /// By position.
    pub(super) rows: Vec<(Position, u64)>,
}

impl Piece {
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.rows.iter().map(|(_, n)| *n)
    }
}

/// An open source.
pub(super) struct Reading {
    reader: Box<dyn SourceReader>,
    acker: Box<dyn SourceAcker>,
    pool: Arc<BatchPool>,
    ends: BTreeMap<Partition, Position>,
}

impl Reading {
    pub(super) async fn open(
        kit: &SourceKit<'_>,
        checkpoint: Checkpoint,
        planner: Arc<KitPlanner>,
    ) -> Self {
        let ends = checkpoint.iter().map(|(p, at, _)| (p.clone(), at)).collect();
        let pool = Arc::new(BatchPool::default());
        let wait = Duration::from_millis(5);
        let context = SourceContext {
            pipeline: "conformance".into(),
            checkpoint,
            planner,
            pool: Arc::clone(&pool),
            limits: BatchLimits { rows: ROWS, bytes: 1 << 20, wait },
            status: Arc::new(SourceStatus::default()),
            commands: Arc::default(),
        };
        match soon("opening the source", kit.source.open(context)).await {
            Ok((reader, acker)) => Self { reader, acker, pool, ends },
            Err(fault) => panic!("opening the source: {}", fault.chain()),
        }
    }

    /// Reads until so many records came.
    pub(super) async fn until(&mut self, records: usize) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut count = 0;
        while count < records {
            let what = format!("after {count} of {records} records");
            match soon(&what, self.next()).await {
                SourceEvent::Delivery(delivery) => {
                    let piece = self.look_at(delivery);
                    count += piece.rows.len();
                    pieces.push(piece);
                }
                SourceEvent::Assigned { partition, at, .. } => {
                    self.ends.insert(partition, at);
                }
                SourceEvent::Revoked { done, .. } => drop(done),
                SourceEvent::Completed => panic!("{what}: completed"),
            }
        }
        pieces
    }

    /// Expects the end, without another record.
    pub(super) async fn completed(&mut self) {
        match soon("completed", self.next()).await {
            SourceEvent::Completed => {}
            other => panic!("expected the end of the source, found {other:?}"),
        }
    }

    pub(super) async fn settle(&mut self, checkpoint: &Checkpoint) {
        if let Err(fault) = soon("settling", self.acker.settled(checkpoint)).await {
            panic!("settling: {}", fault.chain());
        }
    }

    pub(super) async fn close(&mut self) {
        soon("closing", self.acker.close()).await;
    }

    /// The next event. Calls are dropped half way first: that must not lose anything.
    async fn next(&mut self) -> SourceEvent {
        for _ in 0..3 {
            let event = tokio::select! {
                biased;
                event = self.reader.next() => Some(event),
                () = tokio::task::yield_now() => None,
            };
            if let Some(event) = event {
                return taken(event);
            }
        }
        taken(self.reader.next().await)
    }

    /// Checks a delivery against what came before, and gives its batches back.
    fn look_at(&mut self, delivery: Delivery) -> Piece {
        let Delivery { partition, from, to, state, batches } = delivery;
        if let Some(end) = self.ends.insert(partition.clone(), to) {
            assert_eq!(from, end, "partition {partition}: a delivery starts where the last ended");
        }
        assert!(from <= to, "partition {partition}: a delivery from {from} to {to}");
        let mut rows = Vec::new();
        let mut chain = 0;
        for batch in batches {
            rows.extend(rows_of(&partition, &batch));
            chain = chain.max(batch.plan.chain);
            self.pool.give(batch);
        }
        rows.sort_unstable();
        let distinct = rows.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        assert!(distinct, "partition {partition}: positions of a delivery repeat: {rows:?}");
        for (at, n) in &rows {
            let inside = from < *at && *at <= to;
            assert!(inside, "partition {partition}: record {n} at {at} is not in ({from}, {to}]");
        }
        Piece { partition, from, to, state, chain, rows }
    }
}

fn taken(event: Result<SourceEvent, Fault>) -> SourceEvent {
    match event {
        Ok(event) => event,
        Err(fault) => panic!("the source failed: {}", fault.chain()),
    }
}

/// The numbered rows of a batch, which has to follow its plan.
fn rows_of(partition: &Partition, batch: &Batch) -> Vec<(Position, u64)> {
    let case = format!("partition {partition}, a batch of {} rows", batch.len());
    assert_eq!(batch.positions.len(), batch.len(), "{case}: one position per row");
    assert_eq!(batch.times_us.len(), batch.len(), "{case}: one time per row");
    assert_eq!(batch.reads.len(), batch.plan.reads.len(), "{case}: one column per read");
    assert!(batch.rejects.is_empty(), "{case}: rows were rejected: {:?}", batch.rejects);
    let rows: Vec<u32> = (0..batch.len() as u32).collect();
    assert_eq!(batch.sel, rows, "{case}: every row is in play");
    assert!(batch.edits.is_empty(), "{case}: a used batch was not cleared");
    let ascending = batch.positions.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    assert!(ascending, "{case}: positions do not ascend: {:?}", batch.positions);
    let Some(numbers) = batch.read(0) else { panic!("{case}: the first read is not there") };
    let number = |row: usize| match numbers.int(row) {
        Some(n) => n as u64,
        None => panic!("{case}: row {row} has no number"),
    };
    if let Some(texts) = batch.read(1) {
        for row in 0..batch.len() {
            assert_eq!(texts.text(row), Some(&*number(row).to_string()), "{case}: read as text");
        }
    }
    batch.positions.iter().enumerate().map(|(row, at)| (*at, number(row))).collect()
}
