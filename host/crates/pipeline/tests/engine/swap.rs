//! Modules swapped under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use wasmgate_connector::fakes::{FnModule, Step, delivery, fn_module, number_schema, numbers};
use wasmgate_connector::{
    Module, ModuleIdentity, Projection, Stage, StageInput, StageOutput, StageReject, StageVerdict,
};
use wasmgate_model::{Column, Fault, Kind, Schema};
use wasmgate_pipeline::{GuardSpec, StageSpec};

use super::rig::{Rig, module, rows, script};
use super::stages::{reads, writes};

/// Writes its version into every row.
fn stamp(version: &'static str) -> FnModule {
    let projection = Projection { writes: vec![writes("v", Kind::Text)], ..Projection::default() };
    fn_module("stamp", projection, move |input| {
        let mut column = Column::new(Kind::Text);
        (0..input.rows).for_each(|_| column.push_bytes(version.as_bytes()));
        Ok(StageOutput { columns: vec![column], ..StageOutput::default() })
    })
    .version(version)
}

#[tokio::test]
async fn a_swap_loses_nothing_and_splits_no_batch() {
    let mut steps = Vec::new();
    for n in 0..10 {
        steps.push(Step::Deliver(rows(n * 10..(n + 1) * 10)));
        steps.push(Step::Gate);
    }
    steps.push(Step::Completed);
    let rig = Rig::new(steps).stage(stamp("1"));
    let pipeline = rig.start();
    for n in 0..10 {
        let version = if n % 2 == 0 { "2" } else { "1" };
        let next = module(stamp(version));
        pipeline.check_module(&next).unwrap();
        pipeline.swap_module(&next).unwrap();
        rig.source.release();
    }
    pipeline.finished().await.unwrap();
    assert_eq!(rig.durable_rows(), (1..=100).collect::<Vec<_>>());
    rig.sink.look(|log| {
        for batch in log.durable.chunks(10) {
            let stamps: Vec<_> = batch.iter().map(|r| r.written[0].1.as_deref().unwrap()).collect();
            assert!(stamps.iter().all(|s| s == &stamps[0]), "{stamps:?}");
        }
    });
    assert_eq!(pipeline.status().stages[0].version, "1");
}

#[tokio::test]
async fn a_version_that_does_not_fit_the_schemas_in_use_is_refused() {
    let mut steps = script(1, 5);
    steps.pop();
    let rig = Rig::new(steps).stage(stamp("1"));
    let pipeline = rig.start();
    rig.sink.wait_until(|log| log.durable.len() == 5).await;
    let projection =
        Projection { reads: vec![reads("amount", Kind::Float)], ..Projection::default() };
    let next: Arc<_> = module(fn_module("stamp", projection, |_| Ok(StageOutput::default())));
    let fault = pipeline.check_module(&next).unwrap_err();
    let text = fault.chain();
    assert!(text.contains("\"amount\"") && text.contains("id, name"), "{text}");
    assert_eq!(pipeline.status().stages[0].version, "1");
    pipeline.stop().await;
}

#[tokio::test]
async fn a_schema_that_a_stage_cannot_work_on_pauses_the_pipeline_with_the_field() {
    let projection =
        Projection { reads: vec![reads("name", Kind::Integer)], ..Projection::default() };
    let rig =
        Rig::new(script(1, 5)).stage(fn_module("sum", projection, |_| Ok(StageOutput::default())));
    let pipeline = rig.start();
    let reason = pipeline.finished().await.unwrap_err();
    assert!(
        reason.contains("module sum reads field \"name\" of t as integer; it is text"),
        "{reason}"
    );
    assert!(rig.source.look(|log| log.settled.is_empty()));
}

/// A module that counts its open instances.
struct Counted {
    inner: FnModule,
    open: Arc<AtomicI32>,
}

struct CountedStage {
    inner: Box<dyn Stage>,
    open: Arc<AtomicI32>,
}

impl Module for Counted {
    fn identity(&self) -> &Arc<ModuleIdentity> {
        self.inner.identity()
    }

    fn open(&self, config: &str) -> Result<Box<dyn Stage>, Fault> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(CountedStage { inner: self.inner.open(config)?, open: Arc::clone(&self.open) }))
    }
}

impl Stage for CountedStage {
    fn bind(&mut self, schema: &Schema) -> Result<Option<Projection>, Fault> {
        self.inner.bind(schema)
    }

    fn process(&mut self, input: &StageInput<'_>) -> Result<StageOutput, Fault> {
        self.inner.process(input)
    }

    fn close(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn batches_in_flight_finish_on_their_version_and_its_instances_are_closed() {
    let mut steps = Vec::new();
    for n in 0..6 {
        steps.push(Step::Deliver(rows(n * 10..(n + 1) * 10)));
    }
    steps.extend([Step::Gate, Step::Deliver(rows(60..70)), Step::Completed]);
    let mut rig = Rig::new(steps);
    let open = Arc::new(AtomicI32::new(0));
    let old = Arc::new(Counted { inner: stamp("1"), open: Arc::clone(&open) });
    rig.stages.push(StageSpec {
        module: Arc::<Counted>::clone(&old),
        config: "{}".into(),
        topics: None,
    });
    rig.sink.hold_writes();
    let pipeline = rig.start();
    rig.source.wait_until(|log| log.delivered == 6).await;
    pipeline.swap_module(&module(stamp("2"))).unwrap();
    rig.source.release();
    rig.sink.release();
    pipeline.finished().await.unwrap();
    rig.sink.look(|log| {
        let versions = log.durable.iter().map(|r| r.written[0].1.as_deref().unwrap());
        let versions: Vec<&str> = versions.collect();
        assert_eq!((versions.len(), &versions[..60]), (70, &["1"; 60][..]));
        assert!(versions[60..].iter().all(|v| *v == "2"), "{versions:?}");
    });
    assert_eq!(open.load(Ordering::Relaxed), 0, "open instances of the old version");

    // Going back is a swap.
    let back: Arc<dyn Module> = old;
    pipeline.check_module(&back).unwrap();
    pipeline.swap_module(&back).unwrap();
    assert_eq!(pipeline.status().stages[0].version, "1");
}

#[tokio::test]
async fn a_hundred_swaps_do_not_lose_a_version_that_is_in_flight() {
    // A schema each: no lane has bound it when its batch comes.
    let deliver = |n: u64| {
        let batch = numbers(&number_schema(n, &format!("t{n}")), n * 10..(n + 1) * 10);
        Step::Deliver(delivery("one", n * 10, vec![batch]))
    };
    let mut steps: Vec<Step> = (0..20).map(deliver).collect();
    steps.push(Step::Completed);
    let rig = Rig::new(steps).stage(stamp("1"));
    rig.sink.hold_writes();
    let pipeline = rig.start();
    rig.source.wait_until(|log| log.delivered >= 10).await;
    for n in 0..100 {
        pipeline.swap_module(&module(stamp(if n % 2 == 0 { "2" } else { "1" }))).unwrap();
    }
    rig.sink.release();
    pipeline.finished().await.unwrap();
    assert_eq!(rig.durable_rows(), (1..=200).collect::<Vec<_>>());
    assert_eq!(rig.source.look(|log| log.opens), 1, "nothing was read again");
}

#[tokio::test]
async fn records_that_a_stage_touched_carry_its_version_if_asked() {
    let projection =
        Projection { reads: vec![reads("id", Kind::Integer)], ..Projection::default() };
    let halves = fn_module("halves", projection, |input| {
        let odd =
            (0..input.rows).filter(|row| input.columns[0].int(*row as usize).unwrap() % 2 == 1);
        let rejects = odd.map(|row| StageReject { row, verdict: StageVerdict::Drop }).collect();
        Ok(StageOutput { rejects, ..StageOutput::default() })
    });
    let mut rig = Rig::new(script(3, 10)).stage(stamp("1.2.3")).stage(halves);
    rig.guards = vec![GuardSpec { stamp: true, ..GuardSpec::default() }];
    rig.run().await;
    rig.sink.look(|log| {
        assert_eq!(log.durable.len(), 15);
        for row in &log.durable {
            let stamped = ("wasmgate.module.stamp".into(), Some("1.2.3".to_owned()));
            assert_eq!(row.headers, [stamped], "none for a stage that was not asked");
        }
    });
}
