//! A pipeline, as far as modules go: whether it uses one, what it says to another version of it,
//! and how that is swapped in.

use std::sync::Arc;

use wasmgate_admin::UseView;
use wasmgate_connector::{Module, PolicyModule};
use wasmgate_model::Fault;
use wasmgate_pipeline::Pipeline;
use wasmgate_wasm::{Loaded, PolicyComponent, TransformComponent};

use super::refusal;
use crate::policy::ReplaceablePolicy;

/// A running pipeline, as far as modules go.
pub(crate) struct User {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) policy: Option<Arc<ReplaceablePolicy>>,
}

impl User {
    pub(super) fn uses(&self, module: &str) -> bool {
        self.pipeline.uses(module) || self.decides_by(module).is_some()
    }

    pub(super) fn decides_by(&self, module: &str) -> Option<&Arc<ReplaceablePolicy>> {
        self.policy.as_ref().filter(|policy| policy.name() == module)
    }

    /// Whether another version fits everywhere this pipeline uses it.
    pub(super) fn check(&self, name: &str, module: &Loaded) -> Result<(), Fault> {
        let named = |fault: Fault| {
            let message = format!("pipeline {} cannot work with it", self.pipeline.name());
            Fault::new(fault.kind, message).because(fault.chain())
        };
        let (stage, policy) = (self.pipeline.uses(name), self.decides_by(name));
        match module {
            Loaded::Transform(module) if policy.is_none() => {
                let module: Arc<dyn Module> = Arc::<TransformComponent>::clone(module);
                if stage { self.pipeline.check_module(&module).map_err(named) } else { Ok(()) }
            }
            Loaded::Policy(module) if !stage => {
                let module: Arc<dyn PolicyModule> = Arc::<PolicyComponent>::clone(module);
                policy.map_or(Ok(()), |policy| policy.check(&module)).map_err(named)
            }
            _ => {
                let (found, wanted) = match module {
                    Loaded::Transform(_) => ("transform", "dead-letter-policy"),
                    Loaded::Policy(_) => ("dead-letter-policy", "transform"),
                };
                let what = format!("it is of another world: found {found}, expected {wanted}");
                Err(named(refusal(&what)))
            }
        }
    }

    /// Every place where this pipeline uses a module. Stages show the version they run; a policy
    /// always runs the active one.
    pub(super) fn uses_of(&self, name: &str, active: Option<&Loaded>) -> Vec<UseView> {
        let status = self.pipeline.status();
        let view = |stage, version: &str, sha256: &str| UseView {
            pipeline: status.name.clone(),
            stage,
            version: version.to_owned(),
            sha256: sha256.to_owned(),
            state: status.state.name().to_owned(),
            reason: status.reason.clone(),
        };
        let stages = status.stages.iter().enumerate().filter(|(_, stage)| stage.name == name);
        let stages = stages.map(|(at, stage)| view(Some(at), &stage.version, &stage.sha256));
        let policy = self.decides_by(name).and(active).map(Loaded::identity);
        stages.chain(policy.map(|policy| view(None, &policy.version, &policy.sha256))).collect()
    }

    pub(super) fn swap(&self, name: &str, module: &Loaded) -> Result<(), Fault> {
        match module {
            Loaded::Transform(module) if self.pipeline.uses(name) => {
                let module: Arc<dyn Module> = Arc::<TransformComponent>::clone(module);
                self.pipeline.swap_module(&module)
            }
            Loaded::Policy(module) => {
                if let Some(policy) = self.decides_by(name) {
                    let module: Arc<dyn PolicyModule> = Arc::<PolicyComponent>::clone(module);
                    policy.replace(module);
                }
                Ok(())
            }
            Loaded::Transform(_) => Ok(()),
        }
    }
}
