//! Closures as modules.

use std::sync::Arc;

use wasmgate_model::{Fault, Schema};

use crate::stage::{Module, ModuleIdentity, Projection, Stage, StageInput, StageOutput};

type Process = dyn Fn(&StageInput<'_>) -> Result<StageOutput, Fault> + Send + Sync;
type Bind = dyn Fn(&Schema) -> Result<Option<Projection>, Fault> + Send + Sync;
type Open = dyn Fn(&str) -> Result<(), Fault> + Send + Sync;

/// A module made of closures.
pub struct FnModule {
    identity: Arc<ModuleIdentity>,
    bind: Arc<Bind>,
    process: Arc<Process>,
    open: Arc<Open>,
}

/// A module that binds every schema with this projection and processes rows with a closure.
pub fn fn_module(
    name: &str,
    projection: Projection,
    process: impl Fn(&StageInput<'_>) -> Result<StageOutput, Fault> + Send + Sync + 'static,
) -> FnModule {
    FnModule {
        identity: Arc::new(ModuleIdentity {
            name: name.into(),
            version: "1.0.0".into(),
            sha256: String::new(),
            summary: "a closure".into(),
            config_schema: "{}".into(),
        }),
        bind: Arc::new(move |_| Ok(Some(projection.clone()))),
        process: Arc::new(process),
        open: Arc::new(|_| Ok(())),
    }
}

impl FnModule {
    /// Decides by schema: another projection, none, or a refusal.
    #[must_use]
    pub fn binding(
        mut self,
        bind: impl Fn(&Schema) -> Result<Option<Projection>, Fault> + Send + Sync + 'static,
    ) -> Self {
        self.bind = Arc::new(bind);
        self
    }

    /// Looks at the configuration on open.
    #[must_use]
    pub fn opening(
        mut self,
        open: impl Fn(&str) -> Result<(), Fault> + Send + Sync + 'static,
    ) -> Self {
        self.open = Arc::new(open);
        self
    }

    /// Another version of the module.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        let identity = ModuleIdentity { version: version.into(), ..(*self.identity).clone() };
        self.identity = Arc::new(identity);
        self
    }
}

impl Module for FnModule {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        &self.identity
    }

    fn open(&self, config: &str) -> Result<Box<dyn Stage>, Fault> {
        (self.open)(config)?;
        Ok(Box::new(FnStage { bind: Arc::clone(&self.bind), process: Arc::clone(&self.process) }))
    }
}

struct FnStage {
    bind: Arc<Bind>,
    process: Arc<Process>,
}

impl Stage for FnStage {
    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, Fault> {
        (self.bind)(schema)
    }

    fn process(&mut self, input: &StageInput<'_>) -> Result<StageOutput, Fault> {
        (self.process)(input)
    }
}
