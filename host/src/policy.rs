//! A policy module that can be replaced while pipelines use it: every open instance notices at
//! its next call and opens itself anew. Stages are swapped by the pipeline at batch borders; a
//! policy decides about single failures, so it may change between any two of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmgate_connector::{Decision, Failure, ModuleIdentity, Policy, PolicyModule};
use wasmgate_model::Fault;

/// One pipeline's policy.
pub(crate) struct ReplaceablePolicy {
    /// Of the version it began with.
    identity: Arc<ModuleIdentity>,
    config: String,
    shared: Arc<Shared>,
}

struct Shared {
    module: Mutex<Arc<dyn PolicyModule>>,
    version: AtomicU64,
}

impl Shared {
    fn module(&self) -> Arc<dyn PolicyModule> {
        Arc::clone(&self.module.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReplaceablePolicy {
    /// A policy that begins with this module and is opened with `config` wherever it is used.
    pub(crate) fn new(module: Arc<dyn PolicyModule>, config: String) -> Self {
        let identity = Arc::clone(module.identity());
        let shared = Shared { module: Mutex::new(module), version: AtomicU64::new(0) };
        Self { identity, config, shared: Arc::new(shared) }
    }

    /// Name of the module.
    pub(crate) fn name(&self) -> &str {
        &self.identity.name
    }

    /// Whether another version takes the configuration.
    ///
    /// # Errors
    /// It does not; the message says why.
    pub(crate) fn check(&self, module: &Arc<dyn PolicyModule>) -> Result<(), Fault> {
        module.open(&self.config).map(drop)
    }

    /// Decides with another version from now on.
    pub(crate) fn replace(&self, module: Arc<dyn PolicyModule>) {
        *self.shared.module.lock().unwrap_or_else(PoisonError::into_inner) = module;
        self.shared.version.fetch_add(1, Ordering::Release);
    }
}

impl PolicyModule for ReplaceablePolicy {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        &self.identity
    }

    fn open(&self, config: &str) -> Result<Box<dyn Policy>, Fault> {
        let version = self.shared.version.load(Ordering::Acquire);
        let open = self.shared.module().open(config)?;
        let (shared, config) = (Arc::clone(&self.shared), config.to_owned());
        Ok(Box::new(OpenPolicy { shared, config, version, open }))
    }
}

struct OpenPolicy {
    shared: Arc<Shared>,
    config: String,
    version: u64,
    open: Box<dyn Policy>,
}

impl Policy for OpenPolicy {
    fn decide(&mut self, failures: &[Failure]) -> Result<Vec<Decision>, Fault> {
        let version = self.shared.version.load(Ordering::Acquire);
        if version != self.version {
            self.open = self.shared.module().open(&self.config)?;
            self.version = version;
        }
        self.open.decide(failures)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    struct Fixed(Arc<ModuleIdentity>, Decision);

    impl Fixed {
        fn module(decision: Decision) -> Arc<dyn PolicyModule> {
            let identity = ModuleIdentity {
                name: "p".into(),
                version: "1.0.0".into(),
                sha256: String::new(),
                summary: String::new(),
                config_schema: String::new(),
            };
            Arc::new(Self(Arc::new(identity), decision))
        }
    }

    impl PolicyModule for Fixed {
        fn identity(&self) -> &Arc<ModuleIdentity> {
            &self.0
        }

        fn open(&self, _: &str) -> Result<Box<dyn Policy>, Fault> {
            Ok(Box::new(Self(Arc::clone(&self.0), self.1.clone())))
        }
    }

    impl Policy for Fixed {
        fn decide(&mut self, _: &[Failure]) -> Result<Vec<Decision>, Fault> {
            Ok(vec![self.1.clone()])
        }
    }

    #[test]
    fn an_open_policy_decides_with_the_new_version() {
        let policy = ReplaceablePolicy::new(Fixed::module(Decision::Drop), "{}".into());
        let mut open = policy.open("{}").unwrap();
        assert_eq!(open.decide(&[]).unwrap(), [Decision::Drop]);
        policy.replace(Fixed::module(Decision::Halt));
        assert_eq!(open.decide(&[]).unwrap(), [Decision::Halt]);
    }
}
