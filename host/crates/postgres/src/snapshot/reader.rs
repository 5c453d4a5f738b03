//! One connection of a copy: takes piece after piece from the list that all readers share, and
//! turns its rows into batches. What is full is handed to the task that puts everything in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use wasmgate_connector::SourceContext;
use wasmgate_model::{Batch, Fault};

use super::copied::{Filling, Stamp};
use super::lines::Lines;
use super::{DOING, Planned};
use crate::incremental::key_of;
use crate::session::Session;
use crate::wire::bodies;

/// A piece that waits to be copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Number of the table.
    pub table: usize,
    /// Number of its piece.
    pub piece: usize,
}

/// Rows of one table; `last` ends a piece.
pub(super) struct Part {
    pub table: usize,
    pub batch: Batch,
    pub bytes: usize,
    pub last: bool,
}

/// What the readers of a copy share.
pub(super) struct Work {
    pub context: SourceContext,
    pub tables: Vec<Planned>,
    pub stamp: Stamp,
    pub jobs: Mutex<VecDeque<Job>>,
    /// Tables that nobody wants more rows of.
    pub held: Vec<AtomicBool>,
}

impl Work {
    fn next(&self) -> Option<Job> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Copies until nothing is left. Ends early where nobody wants more.
pub(super) async fn read(
    mut session: Session,
    work: Arc<Work>,
    parts: mpsc::Sender<Result<Part, Fault>>,
) {
    while let Some(job) = work.next() {
        if let Err(fault) = copy(&mut session, &work, job, &parts).await {
            // Whoever is gone needs no reason.
            drop(parts.send(Err(fault)).await);
            return;
        }
    }
    drop(session.query(DOING, "COMMIT").await);
}

async fn copy(
    session: &mut Session,
    work: &Work,
    job: Job,
    parts: &mpsc::Sender<Result<Part, Fault>>,
) -> Result<(), Fault> {
    let Some(planned) = work.tables.get(job.table) else { return Ok(()) };
    let Some(statement) = planned.pieces.get(job.piece) else { return Ok(()) };
    session.copy_out(DOING, statement).await?;
    let mut lines = Lines::default();
    let (table, format) = (&planned.table, planned.format);
    let mut filling = Filling::new(&work.context, table, &work.stamp, format)?;
    let send = async |filling: &mut Filling<'_>, last| {
        let (rows, bytes) = (filling.rows() as u64, filling.bytes);
        planned.progress.rows.fetch_add(rows, Ordering::Relaxed);
        work.context.status.snapshot_rows.fetch_add(rows, Ordering::Relaxed);
        let part = Part { table: job.table, batch: filling.take()?, bytes, last };
        Ok::<_, Fault>(parts.send(Ok(part)).await.is_ok())
    };
    let held = || work.held.get(job.table).is_some_and(|held| held.load(Ordering::Relaxed));
    while let Some(run) = session.copied_run(DOING).await? {
        // The server goes on to send: it is read and thrown away.
        if held() {
            continue;
        }
        for row in bodies(&run).filter_map(|body| format.row(body)) {
            if let Some((places, keys)) = planned.without.as_deref()
                && keys.contains(&key_of(table, lines.values(format, row), places))
            {
                continue;
            }
            filling.row(row);
            if filling.is_full() && !send(&mut filling, false).await? {
                return Ok(());
            }
        }
    }
    send(&mut filling, true).await.map(|_| ())
}
