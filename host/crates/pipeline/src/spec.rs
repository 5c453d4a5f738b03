//! What a pipeline is made of; the binary introduces the parts.

use std::sync::Arc;
use std::time::Duration;

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

/// What becomes of a stage's records once it failed too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Then {
    /// The pipeline pauses; nothing is settled that was not processed.
    #[default]
    Pause,
    /// They become dead letters without a call.
    DeadLetter,
    /// They pass without a call.
    Bypass,
}

impl Then {
    /// A lowercase word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::DeadLetter => "dead-letter",
            Self::Bypass => "bypass",
        }
    }
}

/// What becomes of records whose schema a stage cannot be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMisfit {
    /// The pipeline pauses until a version that fits is swapped in, or somebody resumes it.
    #[default]
    Pause,
    /// They become dead letters; other topics run on.
    DeadLetter,
}

/// How a stage's failures are met, whichever version of the module runs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSpec {
    /// Records on which the stage may fail (trap, deadline, limit, `err`, broken answer) within
    /// `window`, or within one batch, before `then`. At least 1.
    pub failures: u32,
    /// After so long a stage that is not called is probed with one batch.
    pub window: Duration,
    pub then: Then,
    pub on_misfit: OnMisfit,
    /// Every record that the stage touched gets a header `wasmgate.module.NAME` with version and
    /// digest.
    pub stamp: bool,
}

impl Default for GuardSpec {
    fn default() -> Self {
        Self {
            failures: 10,
            window: Duration::from_secs(60),
            then: Then::Pause,
            on_misfit: OnMisfit::Pause,
            stamp: false,
        }
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
    /// Follow `stages`; a stage without one has the default.
    pub guards: Vec<GuardSpec>,
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
