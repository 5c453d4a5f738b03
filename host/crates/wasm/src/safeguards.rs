//! What a module is held by. A gateway has all of it; the benchmark leaves out one or the other to
//! say what it costs (docs/benchmarks.md).

/// Protections of the gateway, and the counting of what modules cost.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safeguards {
    /// Calls that end at their deadline: checks in the compiled code, and the clock.
    pub epochs: bool,
    /// Bounds on memory, tables, instances, handles and on what is handed over.
    pub limits: bool,
    /// Counts, times and percentiles of calls.
    pub counting: bool,
}

impl Safeguards {
    /// What every gateway runs with.
    pub const ALL: Self = Self { epochs: true, limits: true, counting: true };
}
