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
    /// Half of all calls into the module took at most this long, nanoseconds; 0 before the first.
    /// Up to a quarter too high, never too low, as [`ModuleStats::call_p99_ns`].
    pub call_p50_ns: u64,
    /// 99 of 100 calls took at most this long, nanoseconds.
    pub call_p99_ns: u64,
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
    durations: Durations,
}

/// Octaves of durations that are told apart: from 256 ns to 68 s.
const OCTAVE_MIN: u32 = 8;
const OCTAVE_MAX: u32 = 36;
/// Steps within an octave, as a power of two.
const STEPS_LOG2: u32 = 2;
const BUCKETS: usize = ((OCTAVE_MAX - OCTAVE_MIN) << STEPS_LOG2) as usize + 1;

/// How long calls took: a histogram with four steps per octave, so that a percentile is known to
/// a quarter. The last bucket takes what is longer.
#[derive(Debug)]
struct Durations([AtomicU64; BUCKETS]);

impl Default for Durations {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Durations {
    fn bucket(ns: u64) -> usize {
        let octave = ns.checked_ilog2().unwrap_or(0);
        if octave < OCTAVE_MIN {
            return 0;
        }
        let step = (ns >> (octave - STEPS_LOG2)) & ((1 << STEPS_LOG2) - 1);
        let bucket = (u64::from(octave - OCTAVE_MIN) << STEPS_LOG2) + step;
        usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
    }

    /// The longest duration of a bucket.
    fn most(bucket: usize) -> u64 {
        let bucket = bucket as u64 + 1;
        let (octave, step) = (bucket >> STEPS_LOG2, bucket & ((1 << STEPS_LOG2) - 1));
        let least = ((1 << STEPS_LOG2) + step) << (u64::from(OCTAVE_MIN - STEPS_LOG2) + octave);
        least - 1
    }

    fn count(&self, ns: u64) {
        if let Some(bucket) = self.0.get(Self::bucket(ns)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What `percent` of the calls did not take longer than; one answer for each.
    fn percentiles<const N: usize>(&self, percent: [u64; N]) -> [u64; N] {
        let counts: Vec<u64> = self.0.iter().map(|c| c.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        percent.map(|percent| {
            let wanted = (all * percent).div_ceil(100);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted && wanted > 0
            });
            found.map_or(0, Self::most)
        })
    }
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
        self.durations.count(ns);
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
        let [call_p50_ns, call_p99_ns] = self.durations.percentiles([50, 99]);
        ModuleStats {
            calls: read(&self.calls),
            rows: read(&self.rows),
            traps: read(&self.traps),
            deadlines: read(&self.deadlines),
            limits: read(&self.limits),
            errors: read(&self.errors),
            instances: read(&self.instances),
            cpu_ns: read(&self.cpu_ns),
            call_p50_ns,
            call_p99_ns,
            memory_bytes_max: read(&self.memory_bytes_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_never_too_low_and_at_most_a_quarter_too_high() {
        for ns in (8..35).flat_map(|octave| [1 << octave, (1 << octave) + 1, (3 << octave) - 1]) {
            let most = Durations::most(Durations::bucket(ns));
            assert!(most >= ns && most - ns <= ns / 4, "{ns}: {most}");
        }
        assert_eq!(Durations::bucket(0), 0);
        assert_eq!(Durations::bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_those_of_the_calls() {
        let counters = Counters::default();
        assert_eq!((counters.snapshot().call_p50_ns, counters.snapshot().call_p99_ns), (0, 0));
        for _ in 0..98 {
            counters.time(Duration::from_micros(10));
        }
        for _ in 0..2 {
            counters.time(Duration::from_millis(10));
        }
        let stats = counters.snapshot();
        let near = |found: u64, want: u64| found >= want && found <= want + want / 4;
        assert!(near(stats.call_p50_ns, 10_000), "{stats:?}");
        assert!(near(stats.call_p99_ns, 10_000_000), "{stats:?}");
    }
}
