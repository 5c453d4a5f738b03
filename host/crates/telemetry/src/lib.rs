//! F1: every metric and label name of the gateway, once. Handles are made when a pipeline starts
//! and counted per batch: nothing looks a label up per record.

mod module;
mod pipeline;
mod process;
mod stage;

use std::sync::Arc;

use prometheus::{Encoder, Registry, TextEncoder};

pub use module::{ModuleSample, OwnMetric};
pub use pipeline::PipelineMetrics;
pub use process::ProcessMetrics;
pub use stage::StageMetrics;

/// All metrics of the process.
pub struct Telemetry {
    registry: Registry,
    families: pipeline::Families,
    process: ProcessMetrics,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// A fresh registry with every family in it.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = pipeline::Families::new(&registry);
        let process = ProcessMetrics::new(&registry);
        Self { registry, families, process }
    }

    /// The handles of one pipeline.
    #[must_use]
    pub fn pipeline(&self, name: &str) -> Arc<PipelineMetrics> {
        Arc::new(PipelineMetrics::new(&self.families, name))
    }

    /// What is counted once per process.
    #[must_use]
    pub fn process(&self) -> &ProcessMetrics {
        &self.process
    }

    /// Prometheus text exposition, format 0.0.4, with these modules as they stand.
    #[must_use]
    pub fn render(&self, modules: &[ModuleSample]) -> String {
        self.process.refresh();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        let mut text = String::from_utf8(text).unwrap_or_default();
        module::write(modules, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_shows_in_the_exposition() {
        let telemetry = Telemetry::new();
        let p = telemetry.pipeline("orders");
        p.records_in.inc_by(3);
        p.dead_letter("quality-check", "missing-field", 2);
        let text = telemetry.render(&[]);
        for line in [
            "wasmgate_records_in_total{pipeline=\"orders\"} 3",
            "wasmgate_dead_letters_total{code=\"missing-field\",pipeline=\"orders\",stage=\"quality-check\"} 2",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn codes_without_end_do_not_make_labels_without_end() {
        let telemetry = Telemetry::new();
        let p = telemetry.pipeline("p");
        for i in 0..1000 {
            p.dead_letter("s", &format!("code-{i}"), 1);
        }
        let lines =
            telemetry.render(&[]).lines().filter(|l| l.contains("dead_letters_total{")).count();
        assert!(lines < 100, "{lines} series");
        assert!(telemetry.render(&[]).contains("code=\"other\""));
    }
}
