//! What a pipeline is made of; the binary introduces the parts.

use std::sync::Arc;

use regex::Regex;
use wasmgate_connector::{
    BatchLimits, CheckpointStore, DeadLetterConnector, Module, PolicyModule, RecordEncoder,
    SinkConnector, Source,
};
use wasmgate_telemetry::PipelineMetrics;

/// One stage of the chain.
#[derive(Clone)]
pub struct StageSpec {
    pub module: Arc<dyn Module>,
    /// JSON that fits the module's config schema.
    pub config: String,
    /// The stage sees records whose source topic matches one of these; `None`: all. Whoever makes
    /// the expressions anchors them at both ends.
    pub topics: Option<Arc<[Regex]>>,
}

impl StageSpec {
    /// Whether the stage applies to records from this topic.
    #[must_use]
    pub fn applies(&self, topic: &str) -> bool {
        self.topics.as_ref().is_none_or(|list| list.iter().any(|r| r.is_match(topic)))
    }
}

/// A sink and the topics it takes.
#[derive(Clone)]
pub struct SinkSpec {
    /// Matches the record's final topic; anchored at both ends by whoever makes it.
    pub topics: Regex,
    pub connector: Arc<dyn SinkConnector>,
}

/// The policy that decides about failed records.
#[derive(Clone)]
pub struct PolicySpec {
    pub module: Arc<dyn PolicyModule>,
    pub config: String,
}

/// Everything a pipeline needs.
pub struct PipelineSpec {
    pub name: Arc<str>,
    pub source: Arc<dyn Source>,
    pub stages: Vec<StageSpec>,
    /// The first whose `topics` match takes the record.
    pub sinks: Vec<SinkSpec>,
    pub dead_letters: Arc<dyn DeadLetterConnector>,
    pub policy: Option<PolicySpec>,
    pub limits: BatchLimits,
    /// OS threads that run the chain; a partition belongs to one. At least 1.
    pub lanes: usize,
    pub encoder: Arc<dyn RecordEncoder>,
    pub store: Arc<dyn CheckpointStore>,
    pub metrics: Arc<PipelineMetrics>,
}
