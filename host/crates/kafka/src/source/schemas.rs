//! A schema per topic and form (bare or change envelope), and the chain's plan for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmgate_connector::{BatchPool, Planner};
use wasmgate_model::{Batch, Fault, Plan, Schema};

/// Ids of this crate's schemas start here, clear of the small numbers that databases give.
static NEXT: AtomicU64 = AtomicU64::new(1 << 48);

/// The schema of one form of a topic, and the plan of the current chain.
#[derive(Debug)]
struct Planned {
    schema: Arc<Schema>,
    /// With the chain version it was asked under.
    plan: Option<(u64, Arc<Plan>)>,
}

/// Makes the batches of a topic.
#[derive(Debug)]
pub(super) struct TopicSchemas {
    pub(super) topic: Arc<str>,
    /// Bare documents, envelopes.
    forms: [Option<Planned>; 2],
}

impl TopicSchemas {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.into(), forms: [None, None] }
    }

    /// An empty batch under the chain's current plan.
    ///
    /// # Errors
    /// A stage cannot work on the topic.
    pub(super) fn batch(
        &mut self,
        envelope: bool,
        planner: &dyn Planner,
        pool: &BatchPool,
    ) -> Result<Batch, Fault> {
        let [bare, enveloped] = &mut self.forms;
        let form = if envelope { enveloped } else { bare };
        let topic = &self.topic;
        let planned = form.get_or_insert_with(|| {
            let id = NEXT.fetch_add(1, Ordering::Relaxed);
            let schema = Arc::new(Schema::open(id, Arc::clone(topic), envelope));
            Planned { schema, plan: None }
        });
        let version = planner.version();
        let plan = match &planned.plan {
            Some((asked, plan)) if *asked == version => Arc::clone(plan),
            _ => {
                let plan = planner.plan(&planned.schema)?;
                planned.plan = Some((version, Arc::clone(&plan)));
                plan
            }
        };
        let schema = &planned.schema;
        let used = pool.take(schema, &plan);
        Ok(used.unwrap_or_else(|| Batch::documents(Arc::clone(schema), plan)))
    }
}
