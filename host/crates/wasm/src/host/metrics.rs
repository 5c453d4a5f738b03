//! Interface `metrics`: what modules measure, kept in memory for whoever exports it. Names are
//! bounded in number and form: they become names of time series.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::bindings::metrics::Host;
use crate::host::GuestContext;

/// Names one module can use; further ones are refused.
const NAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 64;
/// Upper bounds of a histogram's buckets: powers of four round 1.
const BOUNDS: [f64; 16] = [
    0.000_976_562_5,
    0.003_906_25,
    0.015_625,
    0.062_5,
    0.25,
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
];

/// A histogram as Prometheus wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramValue {
    pub count: u64,
    pub sum: f64,
    /// (upper bound, samples up to it), cumulative, ascending.
    pub buckets: Vec<(f64, u64)>,
}

/// One metric of a module.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricValue {
    Counter(u64),
    Gauge(f64),
    Histogram(HistogramValue),
}

/// What a module measures, all its instances and versions together.
#[derive(Debug, Default)]
pub struct ModuleMetrics {
    inner: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    values: BTreeMap<String, Metric>,
    refused: u64,
}

#[derive(Debug)]
enum Metric {
    Counter(u64),
    Gauge(f64),
    Histogram { sum: f64, counts: [u64; BOUNDS.len()], beyond: u64 },
}

impl ModuleMetrics {
    /// Every metric by name.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, MetricValue> {
        let registry = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        registry.values.iter().map(|(name, m)| (name.clone(), m.value())).collect()
    }

    /// Calls refused: a bad name, a name too many, or a name used for another type of metric.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).refused
    }

    /// Changes the metric `name`, made by `new` where it does not exist. `change` says whether the
    /// metric is of its type. `true` for the first refusal.
    fn with(
        &self,
        name: &str,
        new: impl FnOnce() -> Metric,
        change: impl FnOnce(&mut Metric) -> bool,
    ) -> bool {
        let mut registry = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !registry.values.contains_key(name)
            && registry.values.len() < NAMES_MAX
            && is_metric_name(name)
        {
            registry.values.insert(name.to_owned(), new());
        }
        if registry.values.get_mut(name).is_some_and(change) {
            return false;
        }
        registry.refused += 1;
        registry.refused == 1
    }
}

impl Metric {
    fn value(&self) -> MetricValue {
        match self {
            Self::Counter(n) => MetricValue::Counter(*n),
            Self::Gauge(v) => MetricValue::Gauge(*v),
            Self::Histogram { sum, counts, beyond } => {
                let mut count = 0;
                let cumulate = |(bound, n): (&f64, &u64)| {
                    count += n;
                    (*bound, count)
                };
                let buckets = BOUNDS.iter().zip(counts).map(cumulate).collect();
                let count = count + beyond;
                MetricValue::Histogram(HistogramValue { count, sum: *sum, buckets })
            }
        }
    }

    fn observe(&mut self, samples: &[f64]) -> bool {
        let Self::Histogram { sum, counts, beyond } = self else {
            return false;
        };
        for sample in samples.iter().filter(|s| s.is_finite()) {
            *sum += sample;
            match counts.get_mut(BOUNDS.partition_point(|bound| bound < sample)) {
                Some(count) => *count += 1,
                None => *beyond += 1,
            }
        }
        true
    }
}

impl GuestContext {
    fn measure(
        &mut self,
        name: &str,
        new: impl FnOnce() -> Metric,
        change: impl FnOnce(&mut Metric) -> bool,
    ) {
        if self.metrics.with(name, new, change) {
            let module = self.identity.name.as_str();
            let metric = super::log::one_line(name);
            tracing::warn!(
                module,
                metric,
                "refused a metric: its name is not [a-zA-Z_][a-zA-Z0-9_]*, is one too many, or is \
                 of another type; further refusals are only counted"
            );
        }
    }
}

impl Host for GuestContext {
    fn add(&mut self, counter: String, by: u64) -> wasmtime::Result<()> {
        let add = |m: &mut Metric| match m {
            Metric::Counter(n) => {
                *n = n.saturating_add(by);
                true
            }
            _ => false,
        };
        self.measure(&counter, || Metric::Counter(0), add);
        Ok(())
    }

    fn set(&mut self, gauge: String, to: f64) -> wasmtime::Result<()> {
        let set = |m: &mut Metric| match m {
            Metric::Gauge(v) => {
                *v = to;
                true
            }
            _ => false,
        };
        self.measure(&gauge, || Metric::Gauge(0.0), set);
        Ok(())
    }

    fn observe(&mut self, histogram: String, samples: Vec<f64>) -> wasmtime::Result<()> {
        let new = || Metric::Histogram { sum: 0.0, counts: [0; BOUNDS.len()], beyond: 0 };
        self.measure(&histogram, new, |m| m.observe(&samples));
        Ok(())
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, short.
fn is_metric_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
