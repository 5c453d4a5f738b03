//! A lane: one OS thread that runs the whole chain for the partitions that belong to it.

use std::collections::HashMap;
use std::mem;
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
    /// Bindings that every instance follows, by schema.
    bound: HashMap<u64, Arc<Bound>>,
}

struct Instance {
    name: Arc<str>,
    identity: Arc<ModuleIdentity>,
    stage: Box<dyn Stage>,
    seconds: wasmgate_telemetry::Seconds,
    scratch: Scratch,
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
                scratch: Scratch::default(),
            })
        };
        let stages = specs.iter().map(open).collect::<Result<_, Fault>>()?;
        Ok(Self { version, stages, bound: HashMap::new() })
    }

    fn bind(&mut self, bound: &Arc<Bound>) -> Result<(), Fault> {
        for (at, instance) in self.stages.iter_mut().enumerate() {
            if let Some(Some(planned)) = bound.stages.get(at) {
                let projection = instance.stage.bind(&planned.view)?;
                bound.confirm(at, &instance.name, projection.as_ref())?;
            }
        }
        self.bound.insert(bound.schema.id, Arc::clone(bound));
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
}

impl LaneChain {
    /// A lane's own instances are opened with the first batch.
    #[must_use]
    pub fn new(chain: Arc<Chain>, metrics: Arc<PipelineMetrics>) -> Self {
        Self { chain, metrics, instances: None, emissions: Emissions::default() }
    }

    /// The instances that run what the batch was planned with, and its binding. They are put back
    /// unless the chain fails.
    fn instances(&mut self, batch: &Batch) -> Result<(Instances, Arc<Bound>), Fault> {
        let current = self.instances.take().filter(|i| i.version == batch.plan.chain);
        let known = current.as_ref().and_then(|i| i.bound.get(&batch.schema.id)).map(Arc::clone);
        let mut instances = match (current, known) {
            (Some(instances), Some(bound)) => return Ok((instances, bound)),
            (Some(instances), None) => instances,
            (None, _) => {
                let (specs, _) = self.chain.bound(&batch.plan, &batch.schema)?;
                Instances::open(batch.plan.chain, &specs, &self.metrics)?
            }
        };
        let (_, bound) = self.chain.bound(&batch.plan, &batch.schema)?;
        instances.bind(&bound)?;
        Ok((instances, bound))
    }

    /// Runs every stage on the rows in play; returns the batches that stages emitted beside them.
    /// A batch runs wholly on the version of the chain that it was planned with.
    ///
    /// # Errors
    /// The pipeline cannot go on: a fault that is not one record's.
    pub fn process(&mut self, batch: &mut Batch) -> Result<Vec<Batch>, Fault> {
        let mut emissions = mem::take(&mut self.emissions);
        let (mut instances, bound) = self.instances(batch)?;
        let mut slots: Vec<Option<Column>> = vec![None; bound.slots.len()];
        let mut extra = Vec::new();
        let mut begun = Instant::now();
        for (instance, stage) in instances.stages.iter_mut().zip(&bound.stages) {
            let Some(stage) = stage else { continue };
            let (seconds, given) = &instance.seconds;
            given.inc_by(batch.sel.len() as u64);
            let mut run = StageRun {
                identity: &instance.identity,
                name: &instance.name,
                stage: &mut *instance.stage,
                bound: stage,
            };
            let (emitted, rows) = run.run(batch, &mut slots, &mut instance.scratch)?;
            for emission in emitted {
                extra.push(emissions.batch(emission, &rows, batch));
            }
            let done = Instant::now();
            seconds.observe((done - begun).as_secs_f64());
            begun = done;
        }
        finish(batch, &bound, slots);
        self.emissions = emissions;
        self.instances = Some(instances);
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
