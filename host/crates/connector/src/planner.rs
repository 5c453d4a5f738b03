//! The question a source asks before it decodes: what does the chain want of this schema?

use std::sync::Arc;

use wasmgate_model::{Fault, Plan, Schema};

/// Made by the pipeline from its chain of stages. May be called from any thread; blocks for a
/// moment where modules have to be bound.
pub trait Planner: Send + Sync {
    /// The plan for a schema, cached by schema id and chain version.
    ///
    /// # Errors
    /// A stage cannot work on this schema; the message names stage and field. The source must not
    /// hand over records of it: it fails with this fault.
    fn plan(&self, schema: &Arc<Schema>) -> Result<Arc<Plan>, Fault>;

    /// Why a table or topic of this schema has to wait although all others go on: a stage does not
    /// fit it and is told to pause then. A source that can hold one table back asks before it hands
    /// over the first records of a schema; one that cannot does not, and the pipeline pauses.
    ///
    /// # Errors
    /// As for [`Planner::plan`].
    fn refusal(&self, _schema: &Arc<Schema>) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    /// Version of the chain. When it changes, plans held by the source are out of date: ask again
    /// before the next batch. Cheap: one atomic load.
    fn version(&self) -> u64;
}

/// A planner for a chain without stages: nothing is read, nothing is edited.
#[derive(Debug, Default)]
pub struct PassThrough;

impl Planner for PassThrough {
    fn plan(&self, _schema: &Arc<Schema>) -> Result<Arc<Plan>, Fault> {
        Ok(Arc::new(Plan::default()))
    }

    fn version(&self) -> u64 {
        0
    }
}
