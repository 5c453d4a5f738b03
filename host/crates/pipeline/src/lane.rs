//! A lane: one OS thread that runs the whole chain for the partitions that belong to it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use wasmgate_connector::{ModuleIdentity, Stage};
use wasmgate_model::{Batch, Column, Fault, WrittenColumn};
use wasmgate_telemetry::PipelineMetrics;

use crate::binding::Bound;
use crate::chain::{Chain, Specs};
use crate::emission::Emissions;
use crate::rules::Target;
use crate::stage_run::{Scratch, StageRun};

/// Open instances of one version of the chain.
struct Instances {
    version: u64,
    stages: Vec<Instance>,
    /// Schemas that every instance has bound.
    bound: HashSet<u64>,
}

struct Instance {
    name: Arc<str>,
    identity: Arc<ModuleIdentity>,
    stage: Box<dyn Stage>,
    seconds: wasmgate_telemetry::Seconds,
}

impl Instances {
    fn open(version: u64, specs: &Specs, metrics: &PipelineMetrics) -> Result<Self, Fault> {
        let open = |spec: &crate::StageSpec| {
            let identity = Arc::clone(spec.module.identity());
            Ok(Instance {
                name: identity.name.as_str().into(),
                stage: spec.module.open(&spec.config)?,
                seconds: metrics.stage(&identity.name),
                identity,
            })
        };
        let stages = specs.iter().map(open).collect::<Result<_, Fault>>()?;
        Ok(Self { version, stages, bound: HashSet::new() })
    }

    fn bind(&mut self, bound: &Bound) -> Result<(), Fault> {
        if !self.bound.insert(bound.schema.id) {
            return Ok(());
        }
        for (at, instance) in self.stages.iter_mut().enumerate() {
            if let Some(Some(planned)) = bound.stages.get(at) {
                let projection = instance.stage.bind(&planned.view)?;
                bound.confirm(at, &instance.name, projection.as_ref())?;
            }
        }
        Ok(())
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        for instance in &mut self.stages {
            instance.stage.close();
        }
    }
}

/// The chain as one lane runs it.
pub struct LaneChain {
    chain: Arc<Chain>,
    metrics: Arc<PipelineMetrics>,
    instances: Option<Instances>,
    emissions: Emissions,
    scratch: Scratch,
}

impl LaneChain {
    /// A lane's own instances are opened with the first batch.
    #[must_use]
    pub fn new(chain: Arc<Chain>, metrics: Arc<PipelineMetrics>) -> Self {
        Self {
            chain,
            metrics,
            instances: None,
            emissions: Emissions::default(),
            scratch: Scratch::default(),
        }
    }

    /// Runs every stage on the rows in play; returns the batches that stages emitted beside them.
    /// A batch runs wholly on the version of the chain that it was planned with.
    ///
    /// # Errors
    /// The pipeline cannot go on: a fault that is not one record's.
    pub fn process(&mut self, batch: &mut Batch) -> Result<Vec<Batch>, Fault> {
        let (specs, bound) = self.chain.bound(&batch.plan, &batch.schema)?;
        if self.instances.as_ref().is_none_or(|i| i.version != batch.plan.chain) {
            self.instances = Some(Instances::open(batch.plan.chain, &specs, &self.metrics)?);
        }
        let Some(instances) = &mut self.instances else {
            return Ok(Vec::new());
        };
        instances.bind(&bound)?;
        let mut slots: Vec<Option<Column>> = vec![None; bound.slots.len()];
        let mut extra = Vec::new();
        for (instance, stage) in instances.stages.iter_mut().zip(&bound.stages) {
            let Some(stage) = stage else { continue };
            let (seconds, given) = &instance.seconds;
            given.inc_by(batch.sel.len() as u64);
            let started = Instant::now();
            let mut run = StageRun {
                identity: &instance.identity,
                name: &instance.name,
                stage: &mut *instance.stage,
                bound: stage,
            };
            let (output, rows) = run.run(batch, &mut slots, &mut self.scratch)?;
            seconds.observe(started.elapsed().as_secs_f64());
            for emission in output.extra {
                extra.push(self.emissions.batch(emission, &rows, batch));
            }
        }
        finish(batch, &bound, slots);
        Ok(extra)
    }
}

/// Moves what was written into the batch's edits.
fn finish(batch: &mut Batch, bound: &Bound, slots: Vec<Option<Column>>) {
    batch.rejects.sort_by_key(|r| r.row);
    let edits = &mut batch.edits;
    edits.removals.sort_by_key(|r| r.row);
    edits.removals.dedup_by(|later, kept| {
        let same = later.row == kept.row;
        if same {
            kept.fields.append(&mut later.fields);
        }
        same
    });
    edits.shape = bound.shape;
    edits.removed.clone_from(&bound.removed);
    edits.renamed.clone_from(&bound.renamed);
    edits.key_removed.clone_from(&bound.key_removed);
    for (slot, column) in bound.slots.iter().zip(slots) {
        let Some(column) = column else { continue };
        match &slot.target {
            Target::Field if slot.removed => {}
            Target::Field => edits.written.push(WrittenColumn {
                name: Arc::clone(&slot.name),
                kind: slot.kind,
                column,
            }),
            Target::Topic => edits.topic = Some(column),
            Target::Key => edits.key = Some(column),
            Target::Partition => edits.partition = Some(column),
            Target::Tombstone => edits.tombstone = Some(column),
            Target::Header(name) => edits.headers.push((name.as_str().into(), column)),
        }
    }
}
