//! Modules swapped under load.

use std::sync::Arc;

use wasmgate_connector::fakes::{FnModule, Step, fn_module};
use wasmgate_connector::{Projection, StageOutput};
use wasmgate_model::{Column, Kind};

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
async fn a_schema_that_a_stage_cannot_work_on_fails_the_pipeline_with_the_field() {
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
