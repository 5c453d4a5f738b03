//! One call into a guest: the deadline before it, the clock around it, and what its failure means.
//! Every call goes through [`Guests::call`], so none is without limits.

mod backtrace;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use wasmgate_connector::ModuleIdentity;
use wasmgate_model::{Fault, FaultKind};
use wasmtime::component::Component;
use wasmtime::{Engine, Store, Trap};

use crate::config_schema::ConfigSchema;
use crate::host::GuestContext;
use crate::host::log::{LogBudget, one_line};
use crate::host::metrics::ModuleMetrics;
use crate::limits::{HANDLES_MAX, LimitReached, Limits, MemoryGuard};
use crate::safeguards::Safeguards;
use crate::stats::Counters;

/// Name of the step that makes an instance, for [`Guests::call`].
pub(crate) const INSTANTIATE: &str = "instantiate";
/// How wasmtime says that a call hands over more than it may (its type is private).
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";
/// How wasmtime says that a store holds [`HANDLES_MAX`] handles.
const HANDLES_EXHAUSTED: &str = "store handle limit exceeded";

/// What all instances of one version of a module share.
pub(crate) struct Guests {
    pub(crate) engine: Engine,
    /// Held for others that load the same bytes.
    pub(crate) code: Arc<Component>,
    pub(crate) limits: Limits,
    pub(crate) safeguards: Safeguards,
    pub(crate) identity: Arc<ModuleIdentity>,
    /// What it says of its configuration; `None`: nothing.
    pub(crate) config_schema: Option<ConfigSchema>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) metrics: Arc<ModuleMetrics>,
    pub(crate) log: Arc<LogBudget>,
}

impl Guests {
    /// Whether a configuration is one that the module says it takes. Asked before the module is.
    pub(crate) fn check_config(&self, config: &str) -> Result<(), Fault> {
        let Some(schema) = &self.config_schema else {
            return Ok(());
        };
        schema.check(config).map_err(|wrong| self.refused_config(&wrong))
    }

    /// A configuration is not taken, for a reason that the host or the module gives.
    pub(crate) fn refused_config(&self, reason: &str) -> Fault {
        let (name, reason) = (&self.identity.name, one_line(reason));
        let message = format!("module {name} refuses its configuration: {reason}");
        Fault::new(FaultKind::ModuleRefused, message)
    }

    /// A store for one instance, which is made in it by [`Guests::call`]: that runs guest code too.
    pub(crate) fn store(&self) -> Store<GuestContext> {
        let memory = MemoryGuard::new(&self.limits, Arc::clone(&self.counters));
        let (metrics, log) = (Arc::clone(&self.metrics), Arc::clone(&self.log));
        let context = GuestContext::new(Arc::clone(&self.identity), metrics, log, memory);
        let mut store = Store::new(&self.engine, context);
        if self.safeguards.limits {
            store.limiter(GuestContext::memory_guard);
            store.set_hostcall_fuel(self.limits.memory_bytes);
            store.set_max_component_handles(HANDLES_MAX);
        }
        store.epoch_deadline_trap();
        self.counters.instance();
        store
    }

    /// Runs guest code: instantiation, or a call of the function named `what`. After a failure the
    /// store must be dropped.
    pub(crate) fn call<R>(
        &self,
        store: &mut Store<GuestContext>,
        what: &'static str,
        run: impl FnOnce(&mut Store<GuestContext>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        if self.safeguards.epochs {
            store.set_epoch_deadline(self.limits.ticks());
        }
        store.data_mut().begin_call();
        let started = self.safeguards.counting.then(Instant::now);
        let done = catch_unwind(AssertUnwindSafe(|| run(store)));
        if let Some(started) = started {
            self.counters.time(started.elapsed());
        }
        let fault = match done {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => self.fault(what, &error, store.hostcall_fuel()),
            Err(_) => Fault::new(
                FaultKind::Internal,
                format!("the host panicked while module {} ran {what}", self.identity.name),
            ),
        };
        self.counters.failure(fault.kind);
        Err(fault)
    }

    /// Whose doing a failed call was. Errors without a trap come from wasmtime's own check of the
    /// answer: text that is not UTF-8, lists outside of memory.
    fn fault(&self, what: &str, error: &wasmtime::Error, fuel: usize) -> Fault {
        let name = &self.identity.name;
        let at = backtrace::text(error);
        let root = error.root_cause().to_string();
        if let Some(limit) = limit(error, &root, fuel) {
            let message = format!("module {name} {limit} (in {what}{at})");
            return Fault::new(FaultKind::ModuleLimit, message);
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => {
                let most = self.limits.batch_time;
                let message = format!("module {name} ran longer than {most:?} (in {what}{at})");
                Fault::new(FaultKind::ModuleDeadline, message)
            }
            None if at.is_empty() && what == INSTANTIATE => {
                let message = format!("module {name} cannot be instantiated: {root}");
                Fault::new(FaultKind::ModuleRefused, message)
            }
            None if at.is_empty() => {
                let message = format!("module {name} answered {what} with a broken value: {root}");
                Fault::new(FaultKind::ModuleOutput, message)
            }
            _ => {
                let message = format!("module {name} trapped: {root} (in {what}{at})");
                Fault::new(FaultKind::ModuleTrap, message)
            }
        }
    }
}

/// The limit that a failed call ran into: a fragment that follows the module's name.
fn limit(error: &wasmtime::Error, root: &str, fuel: usize) -> Option<String> {
    if let Some(limit) = error.downcast_ref::<LimitReached>() {
        return Some(limit.to_string());
    }
    if root.contains(FUEL_EXHAUSTED) {
        return Some(format!("hands over more than {fuel} bytes"));
    }
    root.contains(HANDLES_EXHAUSTED).then(|| format!("holds more than {HANDLES_MAX} handles"))
}
