//! From a file's bytes to a module that can be opened.

mod description;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sha2::{Digest as _, Sha256};
use wasmgate_connector::{ModuleIdentity, ModuleKind};
use wasmgate_model::{Fault, FaultKind};
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::policy::{DeadLetterPolicy, DeadLetterPolicyPre};
use crate::bindings::stand_ins::StandIns;
use crate::bindings::transform::{Transform, TransformPre};
use crate::call::{Guests, INSTANTIATE};
use crate::compile::{Compiler, Workshop};
use crate::engine;
use crate::host::GuestContext;
use crate::host::metrics::ModuleMetrics;
use crate::inspect::Inspection;
use crate::limits::Limits;
use crate::loaded::Loaded;
use crate::policy::PolicyComponent;
use crate::safeguards::Safeguards;
use crate::stats::Counters;
use crate::structure::{self, Structure};
use crate::transform::TransformComponent;

/// Bytes of a whole description, as the host would copy them.
const DESCRIPTION_BYTES_MAX: usize = 1 << 20;

/// The name under which a module is loaded.
#[derive(Debug, Clone, Copy)]
enum Named<'a> {
    /// The one that pipelines use.
    As(&'a str),
    /// Of its file, which is only looked at: what goes wrong is told of this name, and the
    /// description has the module's own.
    Shown(&'a str),
}

/// Runs modules: one engine with its clock, its limits and its store of compiled code.
pub struct Runtime {
    engine: Engine,
    limits: Limits,
    safeguards: Safeguards,
    workshop: Workshop,
    transforms: Linker<GuestContext>,
    policies: Linker<GuestContext>,
    metrics: Mutex<BTreeMap<String, Arc<ModuleMetrics>>>,
    /// Code in use by digest: the same file under many names is mapped once.
    codes: Mutex<HashMap<String, Weak<Component>>>,
}

impl Runtime {
    /// A runtime that compiles in this process. With `cache_dir` (made with mode 0700 where it
    /// does not exist) code is compiled once and loaded later in well under a millisecond.
    ///
    /// # Errors
    /// The directory cannot be made; this machine cannot run the engine.
    pub fn new(limits: Limits, cache_dir: Option<PathBuf>) -> Result<Self, Fault> {
        Self::guarded(limits, cache_dir, Safeguards::ALL)
    }

    /// A runtime for the benchmark, which leaves out what it wants to know the price of.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    #[doc(hidden)]
    pub fn guarded(
        limits: Limits,
        cache_dir: Option<PathBuf>,
        safeguards: Safeguards,
    ) -> Result<Self, Fault> {
        let engine = engine::with_epochs(safeguards.epochs)?;
        engine::start_ticker(&engine)?;
        let broken =
            |e| Fault::new(FaultKind::Internal, "cannot link the host's interfaces").because(e);
        let mut transforms = Linker::new(&engine);
        Transform::add_to_linker::<_, HasSelf<GuestContext>>(&mut transforms, |c| c)
            .map_err(broken)?;
        let mut policies = Linker::new(&engine);
        DeadLetterPolicy::add_to_linker::<_, HasSelf<GuestContext>>(&mut policies, |c| c)
            .map_err(broken)?;
        for linker in [&mut transforms, &mut policies] {
            StandIns::add_to_linker::<_, HasSelf<GuestContext>>(linker, |c| c).map_err(broken)?;
        }
        let workshop = Workshop::new(engine.clone(), Compiler::InProcess, cache_dir)?;
        let (metrics, codes) = Default::default();
        Ok(Self { engine, limits, safeguards, workshop, transforms, policies, metrics, codes })
    }

    /// Has `compiler` compile. Modules that nobody vouches for go to a child.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Compiler) -> Self {
        self.workshop.set_compiler(compiler);
        self
    }

    /// Loads a module: checks, compiles and runs it once for its description, within the limits.
    /// `name` is the one that pipelines use.
    ///
    /// # Errors
    /// `ModuleRefused` with what is wrong; a trap or a limit in `describe`; `Disk` for the cache.
    pub fn load(&self, name: &str, bytes: &[u8]) -> Result<Loaded, Fault> {
        self.load_as(Named::As(name), bytes)
    }

    fn load_as(&self, name: Named<'_>, bytes: &[u8]) -> Result<Loaded, Fault> {
        let (component, form) = structure::component(bytes)?;
        let kind = Structure::read(&component, form)?.kind()?;
        if kind == ModuleKind::RawTransform {
            return Err(refused("world raw-transform is not supported yet by this version".into()));
        }
        let sha256 = sha256(bytes);
        let code = self.code(&sha256, &component)?;
        match kind {
            ModuleKind::Policy => self.load_policy(name, sha256, code),
            ModuleKind::Transform | ModuleKind::RawTransform => {
                self.load_transform(name, sha256, code)
            }
        }
    }

    /// The code of a component: in use already, kept from an earlier time, or compiled now.
    fn code(&self, sha256: &str, component: &[u8]) -> Result<Arc<Component>, Fault> {
        let codes = || self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = codes().get(sha256).and_then(Weak::upgrade) {
            return Ok(code);
        }
        let code = Arc::new(match self.workshop.cached(sha256) {
            Some(code) => code,
            None => {
                structure::validate(component)?;
                self.workshop.compile(sha256, component)?
            }
        });
        let mut codes = codes();
        codes.retain(|_, code| code.strong_count() > 0);
        codes.insert(sha256.to_owned(), Arc::downgrade(&code));
        Ok(code)
    }

    fn load_transform(
        &self,
        name: Named<'_>,
        sha256: String,
        code: Arc<Component>,
    ) -> Result<Loaded, Fault> {
        let pre = self.transforms.instantiate_pre(&code).and_then(TransformPre::new);
        let pre = pre.map_err(|e| mismatch(&e))?;
        let mut guests = self.guests(name, sha256, code);
        let mut store = guests.store();
        let guest = guests.call(&mut store, INSTANTIATE, |s| pre.instantiate(s))?;
        let stage = guest.wasmgate_transform_stage();
        store.set_hostcall_fuel(DESCRIPTION_BYTES_MAX);
        let description = guests.call(&mut store, "describe", |s| stage.call_describe(s))?;
        drop(store);
        description::complete(&mut guests, name, description)?;
        Ok(Loaded::Transform(Arc::new(TransformComponent::new(guests, pre))))
    }

    fn load_policy(
        &self,
        name: Named<'_>,
        sha256: String,
        code: Arc<Component>,
    ) -> Result<Loaded, Fault> {
        let pre = self.policies.instantiate_pre(&code).and_then(DeadLetterPolicyPre::new);
        let pre = pre.map_err(|e| mismatch(&e))?;
        let mut guests = self.guests(name, sha256, code);
        let mut store = guests.store();
        let guest = guests.call(&mut store, INSTANTIATE, |s| pre.instantiate(s))?;
        let policy = guest.wasmgate_transform_policy();
        store.set_hostcall_fuel(DESCRIPTION_BYTES_MAX);
        let description = guests.call(&mut store, "describe", |s| policy.call_describe(s))?;
        drop(store);
        description::complete(&mut guests, name, description)?;
        Ok(Loaded::Policy(Arc::new(PolicyComponent::new(guests, pre))))
    }

    /// What a module is, and whether it would load under this name. Compiles and runs it where it
    /// may.
    ///
    /// # Errors
    /// The bytes are no module at all.
    pub fn inspect(&self, name: &str, bytes: &[u8]) -> Result<Inspection, Fault> {
        let (component, form) = structure::component(bytes)?;
        let structure = Structure::read(&component, form)?;
        let kind = structure.kind();
        let loaded = self.load_as(Named::Shown(name), bytes);
        let refusal = loaded.as_ref().err().map(Fault::chain);
        let description = loaded.ok().map(|module| (**module.identity()).clone());
        let Structure { form, imports, exports } = structure;
        let (kind, size) = (kind.ok(), bytes.len());
        Ok(Inspection {
            form,
            kind,
            imports,
            exports,
            description,
            refusal,
            sha256: sha256(bytes),
            size,
        })
    }

    /// What modules measure, by name. A new version of a module goes on where the old one was.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, Arc<ModuleMetrics>> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where compiled code is kept.
    pub(crate) fn code_dir(&self) -> Option<&Path> {
        self.workshop.cache()
    }

    /// The limits that modules run under.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn guests(&self, name: Named<'_>, sha256: String, code: Arc<Component>) -> Guests {
        let (name, metrics) = match name {
            Named::Shown(name) => (name, Arc::default()),
            Named::As(name) => {
                let mut all = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
                (name, Arc::clone(all.entry(name.to_owned()).or_default()))
            }
        };
        let identity = ModuleIdentity {
            name: name.to_owned(),
            version: String::new(),
            sha256,
            summary: String::new(),
            config_schema: String::new(),
        };
        Guests {
            engine: self.engine.clone(),
            code,
            limits: self.limits,
            safeguards: self.safeguards,
            identity: Arc::new(identity),
            config_schema: None,
            counters: Arc::new(Counters::default()),
            metrics,
            log: Arc::default(),
        }
    }
}

fn mismatch(error: &wasmtime::Error) -> Fault {
    refused(format!("the component does not fit the contract wasmgate:transform@0.1.0: {error:#}"))
}

fn refused(message: String) -> Fault {
    Fault::new(FaultKind::ModuleRefused, message)
}

/// Hex sha256.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
