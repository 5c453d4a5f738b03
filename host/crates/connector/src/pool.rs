//! Settled batches go back to their source, so that a busy pipeline allocates nothing per batch.

use std::sync::{Arc, Mutex, PoisonError};

use wasmgate_model::{Batch, Plan, Schema};

/// Batches kept at most.
const KEPT: usize = 64;
/// A batch that held more than so many bytes is not kept: its memory would stay for ever.
const KEPT_BYTES: usize = 4 << 20;

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
        if batch.weight() > KEPT_BYTES {
            return;
        }
        batch.clear();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() >= KEPT {
            free.remove(0);
        }
        free.push(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::documents;

    #[test]
    fn what_was_given_is_taken_but_not_a_giant() {
        let pool = BatchPool::default();
        let schema = Arc::new(Schema::open(1, "t".into(), false));
        let huge = vec![b'x'; KEPT_BYTES + 1];
        for (value, kept) in [(&b"{}"[..], true), (&huge, false)] {
            let batch = documents(&schema, 0, &[(None, Some(value))]);
            let plan = Arc::clone(&batch.plan);
            pool.give(batch);
            let taken = pool.take(&schema, &plan);
            assert_eq!(taken.map(|b| b.len()), kept.then_some(0));
        }
    }
}
