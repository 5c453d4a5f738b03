//! A closure as a policy.

use std::sync::Arc;

use wasmgate_model::Fault;

use super::logbook::Logbook;
use crate::policy::{Decision, Failure, Policy, PolicyModule};
use crate::stage::ModuleIdentity;

type Decide = dyn Fn(&Failure) -> Decision + Send + Sync;

/// A policy that decides by closure and remembers the failures it was asked about; clones share
/// them.
#[derive(Clone)]
pub struct FakePolicy {
    identity: Arc<ModuleIdentity>,
    decide: Arc<Decide>,
    log: Logbook<Vec<Failure>>,
}

impl FakePolicy {
    /// A policy of this closure.
    pub fn new(decide: impl Fn(&Failure) -> Decision + Send + Sync + 'static) -> Self {
        let identity = ModuleIdentity {
            name: "fake-policy".into(),
            version: "1.0.0".into(),
            sha256: String::new(),
            summary: "a closure".into(),
            config_schema: "{}".into(),
        };
        Self { identity: Arc::new(identity), decide: Arc::new(decide), log: Logbook::default() }
    }

    /// Looks at the failures it was asked about.
    pub fn look<R>(&self, look: impl FnOnce(&[Failure]) -> R) -> R {
        self.log.look(|failures| look(failures))
    }

    /// Waits until the failures fulfil a condition.
    ///
    /// # Panics
    /// They do not within [`super::PATIENCE`].
    pub async fn wait_until(&self, mut condition: impl FnMut(&[Failure]) -> bool) {
        self.log.wait_until(|failures| condition(failures)).await;
    }
}

impl PolicyModule for FakePolicy {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        &self.identity
    }

    fn open(&self, _config: &str) -> Result<Box<dyn Policy>, Fault> {
        Ok(Box::new(self.clone()))
    }
}

impl Policy for FakePolicy {
    fn decide(&mut self, failures: &[Failure]) -> Result<Vec<Decision>, Fault> {
        self.log.note(|log| log.extend_from_slice(failures));
        Ok(failures.iter().map(|failure| (self.decide)(failure)).collect())
    }
}
