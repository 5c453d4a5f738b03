//! What a module may use. Beyond it the call fails, never the gateway.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::stats::Counters;

/// Bytes of a module's file. Python (18 MB) and SpiderMonkey (12 MB) components fit.
pub const MODULE_BYTES_MAX: usize = 32 << 20;

/// Length of an epoch: the grain of deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Live handles of component resources; no interface of ours has one.
pub(crate) const HANDLES_MAX: usize = 10_000;
const TABLE_ELEMENTS_MAX: usize = 20_000;
/// Core instances of one module: CPython as componentize-py packs it has more than 16.
const INSTANCES_MAX: usize = 64;
const MEMORIES_MAX: usize = 4;
const TABLES_MAX: usize = 64;

/// Limits of one module (`modules.limits` of the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of linear memory of one instance, all its memories together. Also bounds what one
    /// call can hand to the host. Default 64 MiB.
    pub memory_bytes: usize,
    /// Time one call may take. Default 1 s; rounded up to 10 ms.
    pub batch_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, batch_time: Duration::from_secs(1) }
    }
}

impl Limits {
    /// Epochs after which a call is interrupted. One more than fits: the current one has begun.
    pub(crate) fn ticks(&self) -> u64 {
        let ticks = self.batch_time.as_micros().div_ceil(TICK.as_micros());
        u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1)
    }
}

/// A limit was hit: travels through wasmtime as the error of the call.
#[derive(Debug)]
pub(crate) struct LimitReached(String);

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LimitReached {}

/// Bounds the memory of one store, all its memories together.
pub(crate) struct MemoryGuard {
    bytes_max: usize,
    bytes: usize,
    counters: Arc<Counters>,
}

impl MemoryGuard {
    pub(crate) fn new(limits: &Limits, counters: Arc<Counters>) -> Self {
        Self { bytes_max: limits.memory_bytes, bytes: 0, counters }
    }
}

impl ResourceLimiter for MemoryGuard {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        if bytes > self.bytes_max {
            let message =
                format!("needs {bytes} bytes of memory, the limit is {} bytes", self.bytes_max);
            return Err(LimitReached(message).into());
        }
        self.bytes = bytes;
        self.counters.memory(bytes);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            let message =
                format!("needs {desired} table elements, the limit is {TABLE_ELEMENTS_MAX}");
            return Err(LimitReached(message).into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
