//! A schema that a module of the chain cannot be bound to. The source decodes its records as they
//! are; in the lane they pause the pipeline or become dead letters, in their place among others.

use std::sync::Arc;

use wasmgate_model::{
    Batch, DeadLetterCause, Fault, FaultKind, Plan, Reject, Schema, Shape, Verdict,
};

use crate::binding::{Bound, Unbound};
use crate::guard::Guard;
use crate::spec::OnMisfit;

/// Code of the dead letters.
const CODE: &str = "schema-misfit";

#[derive(Debug)]
pub(crate) struct Misfit {
    /// Place of the stage in the chain.
    pub(crate) at: usize,
    pub(crate) reason: String,
    module: Arc<(String, String, String)>,
    then: OnMisfit,
}

impl Misfit {
    pub(crate) fn new(schema: &Schema, guard: &Guard, unbound: &Unbound) -> Self {
        let (name, version, _) = &*guard.module;
        let (topic, why) = (&schema.topic, unbound.fault.chain());
        Self {
            at: unbound.at,
            reason: format!("module {name} {version} does not fit topic {topic}: {why}"),
            module: Arc::clone(&guard.module),
            then: guard.spec.on_misfit,
        }
    }

    /// A binding under which no stage runs and nothing is read.
    pub(crate) fn bound(self, schema: &Arc<Schema>, chain: u64) -> Bound {
        Bound {
            schema: Arc::clone(schema),
            plan: Arc::new(Plan { chain, ..Plan::default() }),
            stages: Vec::new(),
            slots: Vec::new(),
            removed: Vec::new(),
            renamed: Vec::new(),
            key_removed: Vec::new(),
            shape: Shape::Keep,
            misfit: Some(self),
        }
    }

    /// Why the records have to wait; `None`: they become dead letters.
    pub(crate) fn refusal(&self) -> Option<String> {
        (self.then == OnMisfit::Pause).then(|| self.reason.clone())
    }

    /// What becomes of the rows.
    ///
    /// # Errors
    /// The pipeline pauses.
    pub(crate) fn meet(&self, batch: &mut Batch) -> Result<(), Fault> {
        if self.then == OnMisfit::Pause {
            let what = "swap in a version that fits, and the pipeline goes on";
            return Err(Fault::new(FaultKind::ModuleRefused, what).because(self.reason.clone()));
        }
        let stage: Arc<str> = self.module.0.as_str().into();
        for row in batch.sel.drain(..) {
            let verdict = Verdict::DeadLetter(Box::new(DeadLetterCause {
                stage: Arc::clone(&stage),
                code: CODE.into(),
                message: self.reason.clone(),
                module: Some(Arc::clone(&self.module)),
            }));
            batch.rejects.push(Reject { row, verdict });
        }
        batch.rejects.sort_by_key(|r| r.row);
        Ok(())
    }
}
