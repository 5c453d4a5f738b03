//! What calling a module has cost and how often it failed, counted over all its instances.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmgate_model::FaultKind;

/// Counters of one version of a module since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModuleStats {
    /// Calls of `process` or `decide`.
    pub calls: u64,
    /// Rows (of `process`) or failures (of `decide`) handed over.
    pub rows: u64,
    /// Calls that trapped.
    pub traps: u64,
    /// Calls that ran over their time.
    pub deadlines: u64,
    /// Calls that ran over memory or another limit.
    pub limits: u64,
    /// Calls answered with `err`, or with an answer that breaks the contract.
    pub errors: u64,
    /// Instances made; each failure costs one.
    pub instances: u64,
    /// Time spent in the module, nanoseconds: the processor's, as calls do not wait.
    pub cpu_ns: u64,
    /// Most linear memory one instance has held, bytes.
    pub memory_bytes_max: u64,
}

/// The counters behind [`ModuleStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    rows: AtomicU64,
    traps: AtomicU64,
    deadlines: AtomicU64,
    limits: AtomicU64,
    errors: AtomicU64,
    instances: AtomicU64,
    cpu_ns: AtomicU64,
    memory_bytes_max: AtomicU64,
}

impl Counters {
    pub(crate) fn call(&self, rows: usize) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn instance(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn time(&self, spent: Duration) {
        let ns = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        self.cpu_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(crate) fn memory(&self, bytes: usize) {
        self.memory_bytes_max.fetch_max(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn failure(&self, kind: FaultKind) {
        let counter = match kind {
            FaultKind::ModuleTrap => &self.traps,
            FaultKind::ModuleDeadline => &self.deadlines,
            FaultKind::ModuleLimit => &self.limits,
            _ => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> ModuleStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ModuleStats {
            calls: read(&self.calls),
            rows: read(&self.rows),
            traps: read(&self.traps),
            deadlines: read(&self.deadlines),
            limits: read(&self.limits),
            errors: read(&self.errors),
            instances: read(&self.instances),
            cpu_ns: read(&self.cpu_ns),
            memory_bytes_max: read(&self.memory_bytes_max),
        }
    }
}
