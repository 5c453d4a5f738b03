//! Settled deltas → checkpoint on disk → the source is told. In that order, always.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use wasmgate_connector::{CheckpointStore, SourceAcker};
use wasmgate_model::{Checkpoint, Delta, Fault, FaultKind, Partition, Position};

use super::Shared;

/// Something that moves or guards the checkpoint.
pub(crate) enum Progress {
    Settled(Delta),
    /// Answered when it is on disk: before the first record of the partition is read.
    Assigned {
        partition: Partition,
        at: Position,
        state: Option<Arc<[u8]>>,
        saved: oneshot::Sender<()>,
    },
    Revoked {
        partition: Partition,
        done: oneshot::Sender<()>,
    },
}

/// Least time between two saves. Each syncs the disk more than once, which under load costs more
/// than reading the records; later saves only mean that a crash repeats a little more.
const SPACING: Duration = Duration::from_millis(10);

pub(super) struct Checkpoints {
    pub(super) pipeline: Arc<str>,
    pub(super) store: Arc<dyn CheckpointStore>,
    pub(super) acker: Box<dyn SourceAcker>,
    pub(super) checkpoint: Checkpoint,
    pub(super) shared: Arc<Shared>,
    /// Readers that wait for the save of an assignment.
    pub(super) assigned: Vec<oneshot::Sender<()>>,
}

impl Checkpoints {
    /// Saves and acknowledges until every sender is gone, then closes the acker. What settles
    /// while a save runs, or shortly after it, goes into the next one.
    pub(super) async fn run(
        mut self,
        mut progress: mpsc::UnboundedReceiver<Progress>,
    ) -> Result<(), Fault> {
        let mut revoked: Vec<(Partition, oneshot::Sender<()>)> = Vec::new();
        let mut next_save = Instant::now();
        while let Some(first) = progress.recv().await {
            let mut moved = self.apply(first, &mut revoked)?;
            // Nobody waits for a save but whoever is assigned or gives up a partition.
            while self.assigned.is_empty()
                && revoked.is_empty()
                && let Ok(Some(next)) = timeout_at(next_save, progress.recv()).await
            {
                moved |= self.apply(next, &mut revoked)?;
            }
            while let Ok(next) = progress.try_recv() {
                moved |= self.apply(next, &mut revoked)?;
            }
            if moved {
                self.save().await?;
                next_save = Instant::now() + SPACING;
                self.acker.settled(&self.checkpoint).await?;
            }
            for saved in self.assigned.drain(..) {
                // A reader that is gone does not wait.
                saved.send(()).ok();
            }
            let tracker = self.shared.tracker();
            revoked.retain(|(partition, _)| !tracker.is_idle(partition));
        }
        self.acker.close().await;
        Ok(())
    }

    fn apply(
        &mut self,
        progress: Progress,
        revoked: &mut Vec<(Partition, oneshot::Sender<()>)>,
    ) -> Result<bool, Fault> {
        match progress {
            Progress::Settled(delta) => self.checkpoint.apply(&delta).map_err(|e| {
                let what = "the source's deliveries do not follow each other; please report it";
                Fault::new(FaultKind::Internal, what).because(e)
            }),
            Progress::Assigned { partition, at, state, saved } => {
                let same = self.checkpoint.get(&partition) == Some((at, state.as_ref()));
                self.checkpoint.assign(partition, at, state);
                self.assigned.push(saved);
                Ok(!same)
            }
            Progress::Revoked { partition, done } => {
                revoked.push((partition, done));
                Ok(false)
            }
        }
    }

    async fn save(&mut self) -> Result<(), Fault> {
        let started = Instant::now();
        let (store, name) = (Arc::clone(&self.store), Arc::clone(&self.pipeline));
        let checkpoint = self.checkpoint.clone();
        tokio::task::spawn_blocking(move || store.save(&name, &checkpoint)).await.map_err(
            |e| Fault::new(FaultKind::Internal, "the store's thread ended").because(e),
        )??;
        self.shared.metrics.checkpoints.inc();
        self.shared.metrics.checkpoint_seconds.observe(started.elapsed().as_secs_f64());
        let mut shown = self.shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone_from(&self.checkpoint);
        Ok(())
    }
}
