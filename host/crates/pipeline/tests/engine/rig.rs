//! A pipeline of fakes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use wasmgate_connector::fakes::{
    FakeDeadLetters, FakePolicy, FakeSink, FakeSource, FnModule, MemoryStore, Step, delivery,
    number_schema, numbers,
};
use wasmgate_connector::{BatchLimits, Module, RecordEncoder};
use wasmgate_model::{Batch, Delivery};
use wasmgate_pipeline::{GuardSpec, Pipeline, PipelineSpec, PolicySpec, SinkSpec, StageSpec};
use wasmgate_telemetry::Telemetry;

struct NoBytes;

impl RecordEncoder for NoBytes {
    fn original(&self, _batch: &Batch, _row: usize) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (None, None)
    }
}

/// The parts of a pipeline, to be changed before it starts and looked at afterwards.
pub(crate) struct Rig {
    pub(crate) source: FakeSource,
    pub(crate) sink: FakeSink,
    pub(crate) letters: FakeDeadLetters,
    pub(crate) store: MemoryStore,
    pub(crate) stages: Vec<StageSpec>,
    pub(crate) guards: Vec<GuardSpec>,
    pub(crate) policy: Option<FakePolicy>,
    pub(crate) sink_topics: &'static str,
    pub(crate) encoder: Arc<dyn RecordEncoder>,
    pub(crate) telemetry: Telemetry,
}

impl Rig {
    pub(crate) fn new(script: Vec<Step>) -> Self {
        Self {
            source: FakeSource::new(script),
            sink: FakeSink::new(),
            letters: FakeDeadLetters::new(),
            store: MemoryStore::new(),
            stages: Vec::new(),
            guards: Vec::new(),
            policy: None,
            sink_topics: ".*",
            encoder: Arc::new(NoBytes),
            telemetry: Telemetry::new(),
        }
    }

    pub(crate) fn stage(mut self, module: FnModule) -> Self {
        self.stages.push(StageSpec { module: Arc::new(module), config: "{}".into(), topics: None });
        self
    }

    /// Every stage fails as this says.
    pub(crate) fn guard(mut self, guard: GuardSpec) -> Self {
        self.guards = vec![guard; self.stages.len()];
        self
    }

    pub(crate) fn start(&self) -> Arc<Pipeline> {
        Pipeline::start(self.spec()).unwrap()
    }

    pub(crate) fn spec(&self) -> PipelineSpec {
        let policy =
            self.policy.clone().map(|p| PolicySpec { module: Arc::new(p), config: "{}".into() });
        PipelineSpec {
            name: "p".into(),
            source: Arc::new(self.source.clone()),
            stages: self.stages.clone(),
            guards: self.guards.clone(),
            sinks: vec![SinkSpec {
                topics: Regex::new(self.sink_topics).unwrap(),
                connector: Arc::new(self.sink.clone()),
            }],
            dead_letters: Arc::new(self.letters.clone()),
            policy,
            limits: BatchLimits { rows: 16, bytes: 1 << 16, wait: Duration::from_millis(1) },
            lanes: 2,
            encoder: Arc::clone(&self.encoder),
            store: Arc::new(self.store.clone()),
            metrics: self.telemetry.pipeline("p"),
        }
    }

    /// Runs until everything is settled.
    pub(crate) async fn run(&self) -> Arc<Pipeline> {
        let pipeline = self.start();
        pipeline.finished().await.unwrap();
        pipeline
    }

    pub(crate) fn durable_rows(&self) -> Vec<u64> {
        self.sink.look(|log| log.durable.iter().map(|r| r.position.major).collect())
    }
}

/// Rows `ids` of topic "t" as one delivery of partition "one".
pub(crate) fn rows(ids: Range<u64>) -> Delivery {
    delivery("one", ids.start, vec![numbers(&number_schema(1, "t"), ids)])
}

/// `count` deliveries of `size` rows each, then the end.
pub(crate) fn script(count: u64, size: u64) -> Vec<Step> {
    let mut steps: Vec<_> =
        (0..count).map(|n| Step::Deliver(rows(n * size..(n + 1) * size))).collect();
    steps.push(Step::Completed);
    steps
}

pub(crate) fn module(m: FnModule) -> Arc<dyn Module> {
    Arc::new(m)
}
