//! What sinks that gather count about themselves, added up and carried into the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmgate_connector::SinkHealth;
use wasmgate_telemetry::PipelineMetrics;

/// Totals of all sinks of a session.
#[derive(Debug, Default)]
pub(super) struct SinkTotals {
    writes: u64,
    rows: u64,
    bytes: u64,
    retries: u64,
    spacing_ms: u64,
}

impl SinkTotals {
    pub(super) fn of(sinks: &[Arc<SinkHealth>]) -> Self {
        let mut totals = Self::default();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        for counts in sinks.iter().map(|sink| &sink.counts) {
            totals.writes += read(&counts.writes);
            totals.rows += read(&counts.rows);
            totals.bytes += read(&counts.bytes);
            totals.retries += read(&counts.retries);
            totals.spacing_ms = totals.spacing_ms.max(read(&counts.spacing_ms));
        }
        totals
    }

    /// Adds what is more than `before`.
    pub(super) fn count(&self, before: &Self, metrics: &PipelineMetrics) {
        metrics.sink_writes.inc_by(self.writes.saturating_sub(before.writes));
        metrics.sink_rows.inc_by(self.rows.saturating_sub(before.rows));
        metrics.sink_bytes.inc_by(self.bytes.saturating_sub(before.bytes));
        metrics.retries.inc_by(self.retries.saturating_sub(before.retries));
        metrics.sink_spacing.set(self.spacing_ms as f64 / 1000.0);
    }
}
