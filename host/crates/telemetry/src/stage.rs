//! Families labelled by stage: what a rule costs, by the version that runs, and its breaker.

use std::time::Duration;

use prometheus::{
    Counter, CounterVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use crate::pipeline::register;

/// Labels of the faults that a module can make.
const FAULTS: [&str; 6] = [
    "module-trap",
    "module-deadline",
    "module-limit",
    "module-error",
    "module-output",
    "module-refused",
];

#[derive(Clone)]
pub(crate) struct Families {
    seconds: HistogramVec,
    records: IntCounterVec,
    bypassed: IntCounterVec,
    breaker_trips: IntCounterVec,
    breaker_open: IntGaugeVec,
    rule_seconds: CounterVec,
    rule_records: IntCounterVec,
    rule_bytes: IntCounterVec,
    rule_failures: IntCounterVec,
}

impl Families {
    pub(crate) fn new(seconds: HistogramVec, r: &Registry) -> Self {
        let stage = &["pipeline", "stage"][..];
        let rule = &["pipeline", "stage", "version"][..];
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(r, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let open = Opts::new("wasmgate_stage_breaker_open", "1: failed too often, not called.");
        let cost = Opts::new("wasmgate_rule_cpu_seconds_total", "Time in a stage, by version.");
        Self {
            seconds,
            records: counter("wasmgate_stage_records_total", "Records given to a stage.", stage),
            bypassed: counter(
                "wasmgate_stage_bypassed_records_total",
                "Records that passed a stage without a call, its breaker being open.",
                stage,
            ),
            breaker_trips: counter(
                "wasmgate_stage_breaker_trips_total",
                "Times a stage's breaker opened.",
                stage,
            ),
            breaker_open: register(r, IntGaugeVec::new(open, stage)),
            rule_seconds: register(r, CounterVec::new(cost, rule)),
            rule_records: counter("wasmgate_rule_records_total", "Records given to it.", rule),
            rule_bytes: counter("wasmgate_rule_bytes_total", "Bytes of what it reads.", rule),
            rule_failures: counter(
                "wasmgate_rule_failures_total",
                "Calls that failed, by fault.",
                &["pipeline", "stage", "version", "fault"],
            ),
        }
    }

    /// Handles; `listed`: the costs are shown.
    pub(crate) fn stage(
        &self,
        pipeline: &str,
        stage: &str,
        version: &str,
        listed: bool,
    ) -> StageMetrics {
        let labels = &[pipeline, stage];
        let rule = &[pipeline, stage, version];
        let counter = |family: &IntCounterVec, labels: &[&str]| match listed {
            true => family.with_label_values(labels),
            false => unlisted(IntCounter::new("unlisted", "Not exported.")),
        };
        let failures =
            FAULTS.map(|f| (f, counter(&self.rule_failures, &[pipeline, stage, version, f])));
        StageMetrics {
            seconds: self.seconds.with_label_values(labels),
            records: self.records.with_label_values(labels),
            bypassed: self.bypassed.with_label_values(labels),
            breaker_trips: self.breaker_trips.with_label_values(labels),
            breaker_open: self.breaker_open.with_label_values(labels),
            rule_seconds: match listed {
                true => self.rule_seconds.with_label_values(rule),
                false => unlisted(Counter::new("unlisted", "Not exported.")),
            },
            rule_records: counter(&self.rule_records, rule),
            rule_bytes: counter(&self.rule_bytes, rule),
            failures,
        }
    }

    /// Removes what is labelled by a version.
    pub(crate) fn remove(&self, pipeline: &str, stage: &str, version: &str) {
        let rule = &[pipeline, stage, version];
        // A version that never ran has no series.
        self.rule_seconds.remove_label_values(rule).ok();
        self.rule_records.remove_label_values(rule).ok();
        self.rule_bytes.remove_label_values(rule).ok();
        for fault in FAULTS {
            let labels = &[pipeline, stage, version, fault];
            self.rule_failures.remove_label_values(labels).ok();
        }
    }
}

fn unlisted<T>(metric: prometheus::Result<T>) -> T {
    #[expect(clippy::expect_used, reason = "the name is a constant")]
    metric.expect("metric definition")
}

/// The handles of one stage.
#[derive(Clone)]
pub struct StageMetrics {
    seconds: Histogram,
    records: IntCounter,
    rule_seconds: Counter,
    rule_records: IntCounter,
    rule_bytes: IntCounter,
    failures: [(&'static str, IntCounter); FAULTS.len()],
    /// Records that passed without a call.
    pub bypassed: IntCounter,
    /// Times the breaker opened.
    pub breaker_trips: IntCounter,
    /// 1 while the stage is not called.
    pub breaker_open: IntGauge,
}

impl StageMetrics {
    /// A call is about to be made.
    pub fn given(&self, records: u64, bytes: u64) {
        self.records.inc_by(records);
        self.rule_records.inc_by(records);
        self.rule_bytes.inc_by(bytes);
    }

    /// So long did the stage take for a batch.
    pub fn took(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.seconds.observe(seconds);
        self.rule_seconds.inc_by(seconds);
    }

    /// A call failed with the fault of this label.
    pub fn failed(&self, fault: &str) {
        if let Some((_, counter)) = self.failures.iter().find(|(label, _)| *label == fault) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Telemetry;

    #[test]
    fn only_the_current_version_has_series() {
        let telemetry = Telemetry::new();
        let pipeline = telemetry.pipeline("p");
        for n in 0..50 {
            let version = format!("1.0.{n}");
            pipeline.version("s", &version);
            let stage = pipeline.stage("s", &version);
            stage.given(3, 24);
            stage.failed("module-trap");
            // A batch in flight that finishes on the version before.
            pipeline.stage("s", "1.0.0").given(1, 8);
        }
        let text = telemetry.render(&[]);
        let series: Vec<&str> = text.lines().filter(|l| l.contains("version=\"1.0.")).collect();
        assert!(series.iter().all(|l| l.contains("version=\"1.0.49\"")), "{series:#?}");
        let labels = "pipeline=\"p\",stage=\"s\",version=\"1.0.49\"}";
        for line in [
            format!("wasmgate_rule_records_total{{{labels} 3"),
            format!("wasmgate_rule_bytes_total{{{labels} 24"),
            format!("wasmgate_rule_failures_total{{fault=\"module-trap\",{labels} 1"),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }
}
