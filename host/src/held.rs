//! Stand-ins for modules that cannot run at the start: their pipelines start, paused, and whoever
//! runs the gateway sees why. They answer nothing but that reason.

use std::fmt;
use std::sync::Arc;

use wasmgate_connector::{
    Module, ModuleIdentity, Policy, PolicyModule, Projection, Stage, StageInput, StageOutput,
};
use wasmgate_model::{Fault, FaultKind, Schema};

/// Why a module of a pipeline cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    what: What,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    RanBefore,
    Opens,
    Loads,
}

impl Obstacle {
    /// It was opened with the same configuration before.
    pub(crate) fn ran_before(fault: &Fault) -> Self {
        Self { what: What::RanBefore, reason: fault.chain() }
    }

    /// It does not open.
    pub(crate) fn opens(fault: &Fault) -> Self {
        Self { what: What::Opens, reason: fault.chain() }
    }

    /// It was tried again, and is still so.
    pub(crate) fn still(&self, fault: &Fault) -> Self {
        Self { what: self.what, reason: fault.chain() }
    }

    /// No version of it was ever taken in.
    pub(crate) fn loads(reason: String) -> Self {
        Self { what: What::Loads, reason }
    }
}

/// To follow the module's name.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::RanBefore => ", which ran before, does not open",
            What::Opens => " does not open",
            What::Loads => " cannot be loaded",
        };
        write!(f, "{what}: {}", self.reason)
    }
}

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

    /// Stands in for a module of which nothing is known but the digest of its file, which was
    /// refused for that reason.
    pub(crate) fn refused(name: &str, sha256: String, reason: String) -> Self {
        let (version, summary, config_schema) = Default::default();
        let name = name.to_owned();
        let identity = ModuleIdentity { name, version, sha256, summary, config_schema };
        Self { identity: Arc::new(identity), kind: FaultKind::ModuleRefused, reason }
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
