//! Settled batches go back to their source, so that a busy pipeline allocates nothing per batch.

use std::sync::{Arc, Mutex, PoisonError};

use wasmgate_model::{Batch, Plan, Schema};

/// Batches kept at most.
const KEPT: usize = 64;

/// Batches waiting to be filled again.
#[derive(Debug, Default)]
pub struct BatchPool {
    free: Mutex<Vec<Batch>>,
}

impl BatchPool {
    /// An empty batch of this schema and plan, if one was given back.
    #[must_use]
    pub fn take(&self, schema: &Arc<Schema>, plan: &Arc<Plan>) -> Option<Batch> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let at =
            free.iter().position(|b| b.schema.id == schema.id && Arc::ptr_eq(&b.plan, plan))?;
        Some(free.swap_remove(at))
    }

    /// Gives a settled batch back.
    pub fn give(&self, mut batch: Batch) {
        batch.clear();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() >= KEPT {
            free.remove(0);
        }
        free.push(batch);
    }
}
