//! Where checkpoints are kept.

use wasmgate_model::{Checkpoint, Fault};

/// A durable map from pipeline to checkpoint. Calls block; the pipeline makes them off its
/// async threads.
pub trait CheckpointStore: Send + Sync {
    /// What was saved last; empty if nothing was.
    ///
    /// # Errors
    /// The store cannot be read, or holds something that is not a checkpoint.
    fn load(&self, pipeline: &str) -> Result<Checkpoint, Fault>;

    /// Replaces the pipeline's checkpoint. Returns when it is fsynced; after an error the old one
    /// or the new one is there, whole.
    ///
    /// # Errors
    /// The disk refuses. The pipeline stops: after a failed fsync nothing is known.
    fn save(&self, pipeline: &str, checkpoint: &Checkpoint) -> Result<(), Fault>;
}
