//! A lane: one OS thread that runs the whole chain for the partitions that belong to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use wasmgate_connector::Stage;
use wasmgate_model::{
    Batch, Column, DeadLetterCause, Fault, FaultKind, Reject, Verdict, WrittenColumn,
};
use wasmgate_telemetry::{PipelineMetrics, StageMetrics};

use crate::binding::{Bound, BoundStage};
use crate::chain::{Chain, Place};
use crate::decisions::fits_topic;
use crate::emission::Emissions;
use crate::guard::Guard;
use crate::rules::Target;
use crate::stage_run::{Ran, Scratch, StageRun, keep_rows};
use crate::stamp::Stamp;
use crate::watch::Watch;

/// Open instances of one version of the chain.
struct Instances {
    version: u64,
    stages: Vec<Instance>,
    /// Bindings that every instance follows, by schema.
    bound: HashMap<u64, Arc<Bound>>,
}

struct Instance {
    name: Arc<str>,
    stage: Box<dyn Stage>,
    guard: Arc<Guard>,
    metrics: StageMetrics,
    stamp: Option<Stamp>,
    /// It had rows of the batch that is being processed.
    touched: bool,
    scratch: Scratch,
}

impl Instance {
    fn open(place: &Place, metrics: &PipelineMetrics) -> Result<Self, Fault> {
        let identity = place.spec.module.identity();
        let stage = place.spec.module.open(&place.spec.config)?;
        let metrics = metrics.stage(&identity.name, &identity.version);
        place.guard.show(&metrics);
        Ok(Self {
            name: identity.name.as_str().into(),
            stage,
            guard: Arc::clone(&place.guard),
            metrics,
            stamp: place.guard.spec.stamp.then(|| Stamp::new(identity)),
            touched: false,
            scratch: Scratch::default(),
        })
    }
}

impl Instances {
    fn open(version: u64, places: &[Place], metrics: &PipelineMetrics) -> Result<Self, Fault> {
        let stages = places.iter().map(|place| Instance::open(place, metrics));
        let stages = stages.collect::<Result<_, Fault>>()?;
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
    pub(crate) watch: Watch,
}

impl LaneChain {
    /// A lane's own instances are opened with the first batch.
    #[must_use]
    pub fn new(chain: Arc<Chain>, metrics: Arc<PipelineMetrics>) -> Self {
        let (emissions, watch) = (Emissions::default(), Watch::default());
        Self { chain, metrics, instances: None, emissions, watch }
    }

    /// The binding that the batch was planned with. The instances that follow it are open then,
    /// unless a stage does not fit.
    fn bound(&mut self, batch: &Batch) -> Result<Arc<Bound>, Fault> {
        let version = batch.plan.chain;
        let current = self.instances.take().filter(|i| i.version == version);
        if let Some(bound) = current.as_ref().and_then(|i| i.bound.get(&batch.schema.id)) {
            let bound = Arc::clone(bound);
            self.instances = current;
            return Ok(bound);
        }
        let (places, bound) = self.chain.bound(&batch.plan, &batch.schema)?;
        if bound.misfit.is_some() {
            self.instances = current;
            return Ok(bound);
        }
        let mut instances = match current {
            Some(instances) => instances,
            None => Instances::open(version, &places, &self.metrics)?,
        };
        instances.bind(&bound)?;
        self.instances = Some(instances);
        Ok(bound)
    }

    /// Runs every stage on the rows in play; returns the batches that stages emitted beside them.
    /// A batch runs wholly on the version of the chain that it was planned with.
    ///
    /// # Errors
    /// The pipeline cannot go on: a fault that is not one record's. One of the guest's means that
    /// this version of the chain cannot.
    pub fn process(&mut self, batch: &mut Batch) -> Result<Vec<Batch>, Fault> {
        self.watch.begin();
        self.run(batch)
    }

    /// As [`LaneChain::process`], for a batch of the delivery that is being watched.
    pub(crate) fn run(&mut self, batch: &mut Batch) -> Result<Vec<Batch>, Fault> {
        // All of them were rejected by the source: there is nothing to bind for.
        if batch.sel.is_empty() && !batch.rejects.is_empty() {
            return Ok(Vec::new());
        }
        let bound = self.bound(batch)?;
        if let Some(misfit) = &bound.misfit {
            misfit.meet(batch)?;
            return Ok(Vec::new());
        }
        // They are put back unless the chain fails.
        let Some(mut instances) = self.instances.take() else {
            return Err(Fault::new(FaultKind::Internal, "a lane has no instances"));
        };
        let mut slots: Vec<Option<Column>> = vec![None; bound.slots.len()];
        let mut extra = Vec::new();
        let mut begun = Instant::now();
        for (instance, stage) in instances.stages.iter_mut().zip(&bound.stages) {
            instance.touched = false;
            let Some(stage) = stage else { continue };
            let mut run = StageRun {
                name: &instance.name,
                stage: &mut *instance.stage,
                bound: stage,
                guard: &instance.guard,
                metrics: &instance.metrics,
                watch: &mut self.watch,
            };
            let Ran { emitted, rows, touched } =
                run.run(batch, &mut slots, &mut instance.scratch)?;
            for emission in emitted {
                let mut emitted = self.emissions.batch(emission, &rows, batch);
                if let Some(stamp) = &mut instance.stamp {
                    emitted.edits.headers.push(stamp.header(emitted.sel.len()));
                }
                extra.push(emitted);
            }
            instance.touched = touched;
            let done = Instant::now();
            instance.metrics.took(done - begun);
            begun = done;
        }
        refuse_topics(batch, &bound, &mut slots, &instances.stages);
        finish(batch, &bound, slots);
        for instance in instances.stages.iter_mut().filter(|i| i.touched) {
            if let Some(stamp) = &mut instance.stamp {
                batch.edits.headers.push(stamp.header(batch.sel.len()));
            }
        }
        self.instances = Some(instances);
        Ok(extra)
    }
}

/// Dead-letters rows whose written topic can be none. Costs nothing where no stage writes topics.
fn refuse_topics(
    batch: &mut Batch,
    bound: &Bound,
    slots: &mut [Option<Column>],
    stages: &[Instance],
) {
    let Some(slot) = bound.slots.iter().position(|slot| slot.target == Target::Topic) else {
        return;
    };
    let Some(Some(topics)) = slots.get(slot) else { return };
    let wrong = |at: usize| topics.text(at).filter(|topic| !fits_topic(topic)).map(str::len);
    let (mut keep, mut refused) = (Vec::new(), Vec::new());
    if !(0..topics.len()).any(|at| wrong(at).is_some()) {
        return;
    }
    let writes = |bound: &Option<BoundStage>| {
        bound.as_ref().is_some_and(|stage| stage.writes.contains(&slot))
    };
    let writer = stages.iter().zip(&bound.stages).rfind(|(_, bound)| writes(bound));
    for (at, &row) in batch.sel.iter().enumerate() {
        let Some(bytes) = wrong(at) else {
            keep.push(at as u32);
            continue;
        };
        let cause = DeadLetterCause {
            stage: writer.map_or_else(|| "sink".into(), |(stage, _)| Arc::clone(&stage.name)),
            code: "topic-name".into(),
            message: format!(
                "the written topic has {bytes} bytes, expected 1 to 249 without control characters"
            ),
            module: writer.map(|(stage, _)| Arc::clone(&stage.guard.module)),
        };
        refused.push(Reject { row, verdict: Verdict::DeadLetter(Box::new(cause)) });
    }
    batch.rejects.append(&mut refused);
    keep_rows(batch, slots, &keep);
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
