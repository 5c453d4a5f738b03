//! Stand-ins for modules that ran before and do not open now: their pipelines start, paused, and
//! whoever runs the gateway sees why. They answer nothing but that reason.

use std::sync::Arc;

use wasmgate_connector::{
    Module, ModuleIdentity, Policy, PolicyModule, Projection, Stage, StageInput, StageOutput,
};
use wasmgate_model::{Fault, FaultKind, Schema};

/// In place of a module.
pub(crate) struct Held {
    identity: Arc<ModuleIdentity>,
    kind: FaultKind,
    reason: String,
}

impl Held {
    /// Stands in for this module, which does not open for that reason.
    pub(crate) fn new(identity: &Arc<ModuleIdentity>, fault: &Fault) -> Self {
        Self { identity: Arc::clone(identity), kind: fault.kind, reason: fault.chain() }
    }
}

impl Module for Held {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        &self.identity
    }

    fn open(&self, _: &str) -> Result<Box<dyn Stage>, Fault> {
        Ok(Box::new(Closed { kind: self.kind, reason: self.reason.clone() }))
    }
}

impl PolicyModule for Held {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        &self.identity
    }

    fn open(&self, _: &str) -> Result<Box<dyn Policy>, Fault> {
        Ok(Box::new(Closed { kind: self.kind, reason: self.reason.clone() }))
    }
}

struct Closed {
    kind: FaultKind,
    reason: String,
}

impl Closed {
    fn fault(&self) -> Fault {
        Fault::new(self.kind, self.reason.clone())
    }
}

impl Stage for Closed {
    fn bind(&mut self, _: &Schema) -> Result<Option<Projection>, Fault> {
        Err(self.fault())
    }

    fn process(&mut self, _: &StageInput<'_>) -> Result<StageOutput, Fault> {
        Err(self.fault())
    }
}

impl Policy for Closed {
    fn decide(
        &mut self,
        _: &[wasmgate_connector::Failure],
    ) -> Result<Vec<wasmgate_connector::Decision>, Fault> {
        Err(self.fault())
    }
}
