//! Schemas that a running module cannot be bound to.

use std::sync::Arc;

use wasmgate_connector::fakes::{FnModule, Step, delivery, fn_module, number_schema, numbers};
use wasmgate_connector::{Projection, StageOutput};
use wasmgate_model::{Kind, Schema};
use wasmgate_pipeline::{GuardSpec, OnMisfit, State};

use super::rig::{Rig, module};
use super::stages::{reads, writes};

/// Reads a field and writes `seen`.
fn sum(field: &'static str, version: &str) -> FnModule {
    let projection =
        Projection { reads: vec![reads(field, Kind::Integer)], ..Projection::default() };
    fn_module("sum", projection, |_| Ok(StageOutput::default())).version(version)
}

/// Topic `topic` after its `id` was renamed to `number`.
fn renamed(id: u64, topic: &str) -> Arc<Schema> {
    let mut schema = (*number_schema(id, topic)).clone();
    schema.fields[0].name = "number".into();
    schema.key = vec!["number".into()];
    Arc::new(schema)
}

/// Ten rows of "t", ten of it with another schema, ten of "other".
fn change() -> Vec<Step> {
    let steps = [number_schema(1, "t"), renamed(2, "t"), number_schema(3, "other")];
    let deliver = |(n, schema): (usize, &Arc<Schema>)| {
        let from = n as u64 * 10;
        Step::Deliver(delivery("one", from, vec![numbers(schema, from..from + 10)]))
    };
    let mut steps: Vec<Step> = steps.iter().enumerate().map(deliver).collect();
    steps.push(Step::Completed);
    steps
}

#[tokio::test]
async fn the_pipeline_pauses_until_a_version_fits() {
    let rig = Rig::new(change()).stage(sum("id", "1.0.0"));
    let pipeline = rig.start();
    let reason = pipeline.finished().await.unwrap_err();
    for part in ["module sum 1.0.0", "topic t", "\"id\"", "number, name"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!(pipeline.status().state, State::Paused);
    assert_eq!(rig.durable_rows(), (1..=10).collect::<Vec<_>>());
    assert_eq!(pipeline.status().misfits.len(), 1);

    // What does not fit the schema in use now is refused, though it fits the one before.
    let fault = pipeline.check_module(&module(sum("name", "1.0.1"))).unwrap_err();
    assert!(fault.chain().contains("\"name\""), "{}", fault.chain());
    let both = sum("id", "2.0.0").binding(|schema| {
        let field = if schema.field("id").is_some() { "id" } else { "number" };
        let reads = vec![reads(field, Kind::Integer)];
        Ok(Some(Projection { reads, ..Projection::default() }))
    });
    let both = module(both);
    pipeline.check_module(&both).unwrap();
    pipeline.swap_module(&both).unwrap();
    rig.sink.wait_until(|log| log.durable.len() == 30).await;
    assert_eq!(rig.durable_rows(), (1..=30).collect::<Vec<_>>());
    assert_eq!(rig.letters.look(|l| l.letters.len()), 0);
    assert!(pipeline.status().misfits.is_empty());
}

#[tokio::test]
async fn rows_that_do_not_fit_are_dead_letters_and_other_topics_go_on() {
    let guard = GuardSpec { on_misfit: OnMisfit::DeadLetter, ..GuardSpec::default() };
    let rig = Rig::new(change()).stage(sum("id", "1.0.0")).guard(guard);
    let pipeline = rig.run().await;
    assert_eq!(rig.durable_rows(), (1..=10).chain(21..=30).collect::<Vec<_>>());
    let letters = rig.letters.look(|l| l.letters.clone());
    assert_eq!(letters.len(), 10);
    assert!(letters.iter().all(|l| &*l.cause.code == "schema-misfit" && &*l.cause.stage == "sum"));
    assert!(letters[0].cause.message.contains("\"id\""), "{}", letters[0].cause.message);
    assert_eq!(pipeline.status().misfits[0].0, "t");
}

#[tokio::test]
async fn a_stage_that_fits_already_not_is_no_reason_to_refuse_another() {
    let guard = GuardSpec { on_misfit: OnMisfit::DeadLetter, ..GuardSpec::default() };
    let other = |version| {
        let projection =
            Projection { writes: vec![writes("w", Kind::Text)], ..Projection::default() };
        fn_module("other", projection, |input| {
            let column = wasmgate_model::Column::all_absent(Kind::Text, input.rows as usize);
            Ok(StageOutput { columns: vec![column], ..StageOutput::default() })
        })
        .version(version)
    };
    let rig = Rig::new(change()).stage(sum("id", "1")).stage(other("1")).guard(guard);
    let pipeline = rig.run().await;
    pipeline.check_module(&module(other("2"))).unwrap();
    pipeline.check_module(&module(sum("id", "2"))).unwrap_err();
}

#[tokio::test]
async fn lineage_says_what_each_stage_does_to_fields_of_a_topic() {
    let projection = Projection {
        reads: vec![reads("id", Kind::Integer)],
        writes: vec![writes("big", Kind::Boolean)],
        removes: vec!["name".into()],
        renames: vec![("id".into(), "number".into())],
        ..Projection::default()
    };
    let mut steps = change();
    steps.remove(1);
    let rig = Rig::new(vec![steps[0].clone()]).stage(fn_module("mark", projection, |input| {
        let mut column = wasmgate_model::Column::new(Kind::Boolean);
        (0..input.rows).for_each(|_| column.push_bool(true));
        Ok(StageOutput { columns: vec![column], ..StageOutput::default() })
    }));
    let pipeline = rig.start();
    rig.sink.wait_until(|log| log.durable.len() == 10).await;
    let fields = pipeline.status().fields;
    assert_eq!(fields[0].0, "t");
    let stage = &fields[0].1[0];
    assert_eq!((&*stage.reads[0], stage.read_kinds[0]), ("id", "integer"));
    assert_eq!((&*stage.writes[0], stage.write_kinds[0]), ("big", "boolean"));
    assert_eq!(stage.removes, ["name"]);
    assert_eq!(stage.renames, [("id".to_owned(), "number".to_owned())]);
    pipeline.stop().await;
}
