//! Checkpoints in memory, with a bell.

use std::collections::{BTreeMap, VecDeque};

use wasmgate_model::{Checkpoint, Fault, FaultKind, Partition, Position};

use super::logbook::Logbook;
use crate::store::CheckpointStore;

/// What a memory store holds and saw.
#[derive(Debug, Default)]
pub struct StoreLog {
    pub saved: BTreeMap<String, Checkpoint>,
    /// Successful saves.
    pub saves: usize,
    fail: VecDeque<FaultKind>,
}

impl StoreLog {
    /// How far a pipeline's partition is saved.
    #[must_use]
    pub fn at(&self, pipeline: &str, partition: &str) -> Option<Position> {
        self.saved.get(pipeline)?.get(&Partition(partition.into())).map(|(at, _)| at)
    }
}

/// Checkpoints in memory; clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    log: Logbook<StoreLog>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `times` saves fail and change nothing.
    pub fn fail_saves(&self, times: usize, kind: FaultKind) {
        self.log.note(|log| log.fail.extend(std::iter::repeat_n(kind, times)));
    }

    /// Looks at the log.
    pub fn look<R>(&self, look: impl FnOnce(&StoreLog) -> R) -> R {
        self.log.look(look)
    }

    /// Waits until the log fulfils a condition.
    ///
    /// # Panics
    /// It does not within [`super::PATIENCE`].
    pub async fn wait_until(&self, condition: impl FnMut(&StoreLog) -> bool) {
        self.log.wait_until(condition).await;
    }
}

impl CheckpointStore for MemoryStore {
    fn load(&self, pipeline: &str) -> Result<Checkpoint, Fault> {
        Ok(self.log.look(|log| log.saved.get(pipeline).cloned().unwrap_or_default()))
    }

    fn save(&self, pipeline: &str, checkpoint: &Checkpoint) -> Result<(), Fault> {
        self.log.note(|log| {
            if let Some(kind) = log.fail.pop_front() {
                return Err(Fault::new(kind, "the memory store was told to fail"));
            }
            log.saved.insert(pipeline.to_owned(), checkpoint.clone());
            log.saves += 1;
            Ok(())
        })
    }
}
