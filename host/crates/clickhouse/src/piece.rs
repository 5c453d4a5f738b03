//! Rows of one delivery that go to one table, and what was promised about them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use wasmgate_connector::{RefusedRow, Written};
use wasmgate_model::{Batch, Delivery, Fault, FaultKind, Position};

use crate::shape::Shape;

/// A write request on its way: resolved when every row of it is accounted for. Dropped before
/// that, whoever waits learns that it was given up: nothing counts as durable by itself.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Rows without an answer.
    open: AtomicUsize,
    state: Mutex<State>,
}

/// What is accounted for, and whoever waits.
type State = (Written, Option<oneshot::Sender<Result<Written, Fault>>>);

impl Ticket {
    /// A ticket for so many rows, and what resolves with them.
    pub(crate) fn new(rows: usize) -> (Arc<Self>, oneshot::Receiver<Result<Written, Fault>>) {
        let (done, resolved) = oneshot::channel();
        let state = Mutex::new((Written::default(), Some(done)));
        (Arc::new(Self { open: AtomicUsize::new(rows), state }), resolved)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows are durable or refused.
    pub(crate) fn add(&self, records: u64, bytes: u64, refused: Vec<RefusedRow>) {
        let rows = records as usize + refused.len();
        let mut state = self.state();
        state.0.records += records;
        state.0.bytes += bytes;
        state.0.refused.extend(refused);
        if self.open.fetch_sub(rows, Ordering::AcqRel) > rows {
            return;
        }
        let mut written = std::mem::take(&mut state.0);
        written.refused.sort_by_key(|row| (row.batch, row.index));
        if let Some(done) = state.1.take() {
            // Nobody waits any more: the session ended.
            drop(done.send(Ok(written)));
        }
    }

    /// The request fails as a whole.
    pub(crate) fn fail(&self, kind: FaultKind, message: &str) {
        if let Some(done) = self.state().1.take() {
            drop(done.send(Err(Fault::new(kind, message))));
        }
    }
}

/// Rows of one batch of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) delivery: Arc<Delivery>,
    /// Number of the batch.
    pub(crate) batch: usize,
    /// Places in its `sel`, ascending.
    pub(crate) rows: Vec<u32>,
    pub(crate) shape: Arc<Shape>,
    /// Bytes of these rows, about.
    pub(crate) weight: usize,
    /// Rows of another piece for the same topic lie between these, so that no range holds the rows
    /// of one insert alone.
    pub(crate) crossed: bool,
    pub(crate) ticket: Arc<Ticket>,
}

impl Piece {
    pub(crate) fn batch(&self) -> Option<&Batch> {
        self.delivery.batches.get(self.batch)
    }

    /// Position of the row at a place in `sel`.
    pub(crate) fn position(&self, at: u32) -> Position {
        let batch = self.batch();
        let row = batch.and_then(|b| b.sel.get(at as usize)).copied().unwrap_or(0) as usize;
        batch.and_then(|b| b.positions.get(row)).copied().unwrap_or_default()
    }

    /// The same piece with other rows.
    pub(crate) fn with(&self, rows: Vec<u32>) -> Self {
        let weight = self.weight * rows.len() / self.rows.len().max(1);
        Self { rows, weight, ..self.clone() }
    }

    pub(crate) fn ticket(&self) -> &Ticket {
        &self.ticket
    }
}
