//! Families labelled by pipeline, and the handles of one pipeline.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::stage::{self, StageMetrics};

/// Distinct (stage, code) pairs of dead letters per pipeline; further codes count as `other`.
const CODES_MAX: usize = 64;

/// Bounds of times, in seconds.
const BUCKETS: [f64; 11] = [1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0];

/// Registers a family whose definition is a constant of this crate.
pub(crate) fn register<T: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<T>,
) -> T {
    #[expect(clippy::expect_used, reason = "names are constants; the test renders them all")]
    let family = family.expect("metric definition");
    if let Err(error) = registry.register(Box::new(family.clone())) {
        tracing::error!(%error, "metric registered twice");
    }
    family
}

pub(crate) struct Families {
    records_in: IntCounterVec,
    records_out: IntCounterVec,
    bytes_out: IntCounterVec,
    batches: IntCounterVec,
    dropped: IntCounterVec,
    dead_letters: IntCounterVec,
    retries: IntCounterVec,
    policy_retries: IntCounterVec,
    sink_writes: IntCounterVec,
    sink_rows: IntCounterVec,
    sink_bytes: IntCounterVec,
    sink_spacing: GaugeVec,
    restarts: IntCounterVec,
    swaps: IntCounterVec,
    checkpoints: IntCounterVec,
    in_flight: IntGaugeVec,
    lag_seconds: GaugeVec,
    retained_bytes: IntGaugeVec,
    safe_bytes: GaugeVec,
    place_health: IntGaugeVec,
    quarantined: IntGaugeVec,
    running: IntGaugeVec,
    copies: Copies,
    stages: stage::Families,
    checkpoint_seconds: HistogramVec,
}

/// How far snapshots of tables are.
#[derive(Clone)]
struct Copies {
    rows: IntGaugeVec,
    expected: IntGaugeVec,
}

impl Copies {
    fn new(r: &Registry) -> Self {
        let gauge = |name: &str, help: &str| {
            let labels = &["pipeline", "table"];
            register(r, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        Self {
            rows: gauge("wasmgate_snapshot_rows", "Existing rows read, by the last snapshot."),
            expected: gauge(
                "wasmgate_snapshot_rows_expected",
                "Rows that the server believes the table has; -1 unknown.",
            ),
        }
    }
}

impl Families {
    pub(crate) fn new(r: &Registry) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(r, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let float = |name, help| register(r, GaugeVec::new(Opts::new(name, help), &["pipeline"]));
        let gauge = |name: &str, help: &str| {
            register(r, IntGaugeVec::new(Opts::new(name, help), &["pipeline"]))
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
            register(r, HistogramVec::new(opts, labels))
        };
        let p = &["pipeline"][..];
        Self {
            records_in: counter("wasmgate_records_in_total", "Records read.", p),
            records_out: counter("wasmgate_records_out_total", "Records durable in a sink.", p),
            bytes_out: counter("wasmgate_bytes_out_total", "Bytes durable in a sink.", p),
            batches: counter("wasmgate_batches_total", "Batches processed.", p),
            dropped: counter(
                "wasmgate_records_dropped_total",
                "Records dropped on purpose, by stage.",
                &["pipeline", "stage"],
            ),
            dead_letters: counter(
                "wasmgate_dead_letters_total",
                "Records dead-lettered, by the stage and code that decided.",
                &["pipeline", "stage", "code"],
            ),
            retries: counter("wasmgate_sink_retries_total", "Writes tried again.", p),
            policy_retries: counter("wasmgate_policy_retries_total", "Records tried again.", p),
            sink_writes: counter("wasmgate_sink_writes_total", "Gathered writes taken.", p),
            sink_rows: counter("wasmgate_sink_rows_total", "Rows of gathered writes.", p),
            sink_bytes: counter("wasmgate_sink_bytes_total", "Encoded bytes of them.", p),
            sink_spacing: float(
                "wasmgate_sink_spacing_seconds",
                "Time between gathered writes; more than configured while the server is behind.",
            ),
            restarts: counter(
                "wasmgate_pipeline_restarts_total",
                "Times the pipeline was opened again from its checkpoint, by fault.",
                &["pipeline", "fault"],
            ),
            swaps: counter("wasmgate_module_swaps_total", "Modules swapped.", p),
            checkpoints: counter("wasmgate_checkpoints_total", "Checkpoints written.", p),
            in_flight: gauge("wasmgate_in_flight_records", "Records read and not settled."),
            lag_seconds: float("wasmgate_source_lag_seconds", "Event's age; -1 unknown."),
            retained_bytes: gauge("wasmgate_source_retained_bytes", "Log kept for us; -1 unknown."),
            safe_bytes: float(
                "wasmgate_source_safe_bytes",
                "Log that may be written before our place is lost; +Inf no bound.",
            ),
            place_health: gauge(
                "wasmgate_source_place_health",
                "Our place in the log: 0 kept, 1 beyond the usual, 2 in danger, 3 lost; -1 unknown.",
            ),
            quarantined: gauge("wasmgate_quarantined_tables", "Tables held back alone."),
            running: gauge("wasmgate_pipeline_running", "1 while running, else 0."),
            copies: Copies::new(r),
            stages: stage::Families::new(
                histogram(
                    "wasmgate_stage_seconds",
                    "Time of one call of a stage.",
                    &["pipeline", "stage"],
                ),
                r,
            ),
            checkpoint_seconds: histogram("wasmgate_checkpoint_seconds", "Time of one save.", p),
        }
    }
}

/// The handles of one pipeline.
pub struct PipelineMetrics {
    pipeline: String,
    dropped: IntCounterVec,
    dead_letters: IntCounterVec,
    restarts: IntCounterVec,
    copies: Copies,
    stages: stage::Families,
    versions: Mutex<HashMap<String, String>>,
    codes: Mutex<HashSet<(String, String)>>,
    pub records_in: IntCounter,
    pub records_out: IntCounter,
    pub bytes_out: IntCounter,
    pub batches: IntCounter,
    pub retries: IntCounter,
    pub policy_retries: IntCounter,
    pub sink_writes: IntCounter,
    pub sink_rows: IntCounter,
    pub sink_bytes: IntCounter,
    pub sink_spacing: Gauge,
    pub swaps: IntCounter,
    pub checkpoints: IntCounter,
    pub in_flight: IntGauge,
    pub lag_seconds: Gauge,
    pub retained_bytes: IntGauge,
    pub safe_bytes: Gauge,
    pub place_health: IntGauge,
    pub quarantined: IntGauge,
    pub running: IntGauge,
    pub checkpoint_seconds: Histogram,
    /// Dropped and dead-lettered in all, for the status page.
    pub dropped_all: IntCounter,
    pub dead_letters_all: IntCounter,
}

impl PipelineMetrics {
    pub(crate) fn new(f: &Families, name: &str) -> Self {
        let p = &[name];
        let unlisted = |name: &str| {
            #[expect(clippy::expect_used, reason = "the name is a constant")]
            IntCounter::new(name, "Not exported.").expect("metric definition")
        };
        Self {
            pipeline: name.to_owned(),
            dropped: f.dropped.clone(),
            dead_letters: f.dead_letters.clone(),
            restarts: f.restarts.clone(),
            copies: f.copies.clone(),
            stages: f.stages.clone(),
            versions: Mutex::default(),
            codes: Mutex::default(),
            records_in: f.records_in.with_label_values(p),
            records_out: f.records_out.with_label_values(p),
            bytes_out: f.bytes_out.with_label_values(p),
            batches: f.batches.with_label_values(p),
            retries: f.retries.with_label_values(p),
            policy_retries: f.policy_retries.with_label_values(p),
            sink_writes: f.sink_writes.with_label_values(p),
            sink_rows: f.sink_rows.with_label_values(p),
            sink_bytes: f.sink_bytes.with_label_values(p),
            sink_spacing: f.sink_spacing.with_label_values(p),
            swaps: f.swaps.with_label_values(p),
            checkpoints: f.checkpoints.with_label_values(p),
            in_flight: f.in_flight.with_label_values(p),
            lag_seconds: f.lag_seconds.with_label_values(p),
            retained_bytes: f.retained_bytes.with_label_values(p),
            safe_bytes: f.safe_bytes.with_label_values(p),
            quarantined: f.quarantined.with_label_values(p),
            place_health: f.place_health.with_label_values(p),
            running: f.running.with_label_values(p),
            checkpoint_seconds: f.checkpoint_seconds.with_label_values(p),
            dropped_all: unlisted("dropped"),
            dead_letters_all: unlisted("dead_letters"),
        }
    }

    /// Counts records that a stage dropped.
    pub fn dropped(&self, stage: &str, records: u64) {
        self.dropped.with_label_values(&[self.pipeline.as_str(), stage]).inc_by(records);
        self.dropped_all.inc_by(records);
    }

    /// Counts dead letters. Codes come from modules, so their number is bounded here.
    pub fn dead_letter(&self, stage: &str, code: &str, records: u64) {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (stage.to_owned(), code.to_owned());
        let known = codes.contains(&pair) || (codes.len() < CODES_MAX && codes.insert(pair));
        let code = if known { code } else { "other" };
        self.dead_letters.with_label_values(&[self.pipeline.as_str(), stage, code]).inc_by(records);
        self.dead_letters_all.inc_by(records);
    }

    /// How far the snapshot of a table is: rows, and how many it is believed to have (-1: unknown).
    pub fn copied(&self, table: &str, rows: u64, expected: i64) {
        let labels = &[self.pipeline.as_str(), table];
        self.copies.rows.with_label_values(labels).set(i64::try_from(rows).unwrap_or(i64::MAX));
        self.copies.expected.with_label_values(labels).set(expected);
    }

    /// Counts a restart of the pipeline.
    pub fn restart(&self, fault: &str) {
        self.restarts.with_label_values(&[self.pipeline.as_str(), fault]).inc();
    }

    /// From now on a stage's costs are those of this version; the series of the one before go.
    pub fn version(&self, stage: &str, version: &str) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let before = versions.insert(stage.to_owned(), version.to_owned());
        if let Some(before) = before.filter(|before| before != version) {
            self.stages.remove(&self.pipeline, stage, &before);
        }
    }

    /// Handles of one stage. Costs of a version that is not the current one are counted nowhere:
    /// it may have batches in flight, and no series of its own.
    #[must_use]
    pub fn stage(&self, stage: &str, version: &str) -> StageMetrics {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let current = versions.entry(stage.to_owned()).or_insert_with(|| version.to_owned());
        self.stages.stage(&self.pipeline, stage, version, current == version)
    }
}
