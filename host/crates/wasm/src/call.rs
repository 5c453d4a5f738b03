//! One call into a guest: the deadline before it, the clock around it, and what its failure means.
//! Every call goes through [`Guests::call`], so none is without limits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use wasmgate_connector::ModuleIdentity;
use wasmgate_model::{Fault, FaultKind};
use wasmtime::{Engine, Store, Trap, WasmBacktrace};

use crate::host::GuestContext;
use crate::host::metrics::ModuleMetrics;
use crate::limits::{HANDLES_MAX, LimitReached, Limits, MemoryGuard};
use crate::stats::Counters;

/// Name of the step that makes an instance, for [`Guests::call`].
pub(crate) const INSTANTIATE: &str = "instantiate";
/// Frames of a backtrace that stand in a message.
const FRAMES_SHOWN: usize = 4;
/// How wasmtime says that a call hands over more than it may (its type is private).
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// What all instances of one version of a module share.
pub(crate) struct Guests {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    pub(crate) identity: Arc<ModuleIdentity>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) metrics: Arc<ModuleMetrics>,
}

impl Guests {
    /// A store for one instance, which is made in it by [`Guests::call`]: that runs guest code too.
    pub(crate) fn store(&self) -> Store<GuestContext> {
        let memory = MemoryGuard::new(&self.limits, Arc::clone(&self.counters));
        let context =
            GuestContext::new(Arc::clone(&self.identity), Arc::clone(&self.metrics), memory);
        let mut store = Store::new(&self.engine, context);
        store.limiter(GuestContext::memory_guard);
        store.set_hostcall_fuel(self.limits.memory_bytes);
        store.set_max_component_handles(HANDLES_MAX);
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
        store.set_epoch_deadline(self.limits.ticks());
        store.data_mut().begin_call();
        let started = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| run(store)));
        self.counters.time(started.elapsed());
        let fault = match done {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => self.fault(what, &error),
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
    fn fault(&self, what: &str, error: &wasmtime::Error) -> Fault {
        let name = &self.identity.name;
        let at = backtrace(error);
        let root = error.root_cause().to_string();
        if let Some(limit) = error.downcast_ref::<LimitReached>() {
            let message = format!("module {name} {limit} (in {what}{at})");
            return Fault::new(FaultKind::ModuleLimit, message);
        }
        if root.contains(FUEL_EXHAUSTED) {
            let most = self.limits.memory_bytes;
            let message =
                format!("module {name} hands over more than {most} bytes (in {what}{at})");
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

/// The innermost frames of a trap, ` < ` between callee and caller; empty without a backtrace.
fn backtrace(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let mut text = String::from(", at ");
    for (i, frame) in backtrace.frames().iter().take(FRAMES_SHOWN).enumerate() {
        if i > 0 {
            text.push_str(" < ");
        }
        match frame.func_name() {
            Some(name) => text.push_str(name),
            None => text.push_str(&format!("function {}", frame.func_index())),
        }
    }
    if backtrace.frames().is_empty() { String::new() } else { text }
}
