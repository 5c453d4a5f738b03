//! A module that was checked, compiled and run once.

use std::sync::Arc;

use wasmgate_connector::{Module as _, ModuleIdentity, ModuleKind, PolicyModule as _};

use crate::policy::PolicyComponent;
use crate::stats::ModuleStats;
use crate::transform::TransformComponent;

/// One version of a module, by its world. Cheap to clone.
#[derive(Clone)]
pub enum Loaded {
    Transform(Arc<TransformComponent>),
    Policy(Arc<PolicyComponent>),
}

impl Loaded {
    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Arc<ModuleIdentity> {
        match self {
            Self::Transform(module) => module.identity(),
            Self::Policy(module) => module.identity(),
        }
    }

    /// Its world.
    #[must_use]
    pub fn kind(&self) -> ModuleKind {
        match self {
            Self::Transform(_) => ModuleKind::Transform,
            Self::Policy(_) => ModuleKind::Policy,
        }
    }

    /// Names of the interfaces that it imports.
    #[must_use]
    pub fn imports(&self) -> Vec<String> {
        let component = match self {
            Self::Transform(module) => module.component(),
            Self::Policy(module) => module.component(),
        };
        let engine = component.engine();
        component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
    }

    /// What calling it has cost so far.
    #[must_use]
    pub fn stats(&self) -> ModuleStats {
        match self {
            Self::Transform(module) => module.stats(),
            Self::Policy(module) => module.stats(),
        }
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Loaded").field(self.identity()).finish()
    }
}
