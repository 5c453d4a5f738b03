//! A module that fails again and again: what its breaker does, and what is lost by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wasmgate_connector::fakes::{FnModule, Step, delivery, fn_module, number_schema, numbers};
use wasmgate_connector::{Projection, StageOutput};
use wasmgate_model::{Fault, FaultKind, Kind, Position};
use wasmgate_pipeline::{GuardSpec, Pipeline, State, Then};

use super::rig::{Rig, module, rows, script};
use super::stages::reads;

/// Traps on calls with a row that `poison` names, and counts its calls.
fn touchy(calls: &Arc<AtomicU32>, poison: fn(i64) -> bool) -> FnModule {
    let calls = Arc::clone(calls);
    let projection =
        Projection { reads: vec![reads("id", Kind::Integer)], ..Projection::default() };
    fn_module("touchy", projection, move |input| {
        calls.fetch_add(1, Ordering::Relaxed);
        let mut ids = (0..input.rows as usize).filter_map(|i| input.columns[0].int(i));
        match ids.any(poison) {
            true => Err(Fault::new(FaultKind::ModuleTrap, "unreachable executed")),
            false => Ok(StageOutput::default()),
        }
    })
}

fn guard(then: Then) -> GuardSpec {
    GuardSpec { failures: 3, then, ..GuardSpec::default() }
}

async fn until(pipeline: &Pipeline, state: State) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    while pipeline.status().state != state {
        assert!(tokio::time::Instant::now() < patience, "{:?}", pipeline.status());
        tokio::task::yield_now().await;
    }
}

fn sorted(mut rows: Vec<u64>) -> Vec<u64> {
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn a_pause_loses_and_doubles_nothing_and_names_the_module() {
    let calls = Arc::default();
    let poison = |id| (50..100).contains(&id);
    let rig = Rig::new(script(20, 10)).stage(touchy(&calls, poison)).guard(guard(Then::Pause));
    let pipeline = rig.start();
    let reason = pipeline.finished().await.unwrap_err();
    for part in ["module touchy 1.0.0", "3 records within 60s", "unreachable executed"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    let status = pipeline.status();
    assert_eq!((status.state, status.in_flight), (State::Paused, 0));
    assert_eq!(status.reason.as_deref(), Some(&*reason));
    let breaker = &status.stages[0].breaker;
    assert!(breaker.open && breaker.failures == 3, "{breaker:?}");
    // Everything before the culprit's delivery is settled, nothing after it was begun.
    assert_eq!(rig.durable_rows(), (1..=50).collect::<Vec<_>>());
    assert_eq!(rig.store.look(|log| log.at("p", "one")), Some(Position::new(50, 0)));
    assert_eq!(rig.letters.look(|l| l.letters.len()), 0);
    // A batch of ten costs a few calls, not one for each of its rows and their groups.
    assert!(calls.load(Ordering::Relaxed) < 5 + 10, "{calls:?}");

    // Resumed, it fails again; swapped, it goes on by itself.
    pipeline.resume();
    rig.source.wait_until(|log| log.opens == 2).await;
    until(&pipeline, State::Paused).await;
    assert_eq!(rig.durable_rows().len(), 50);
    pipeline.swap_module(&module(touchy(&calls, |_| false).version("1.0.1"))).unwrap();
    rig.sink.wait_until(|log| log.durable.len() == 200).await;
    until(&pipeline, State::Completed).await;
    assert_eq!(rig.durable_rows(), (1..=200).collect::<Vec<_>>());
    assert!(!pipeline.status().stages[0].breaker.open);
    let metrics = rig.telemetry.render(&[]);
    for line in [
        "wasmgate_stage_breaker_open{pipeline=\"p\",stage=\"touchy\"} 0",
        "wasmgate_stage_breaker_trips_total{pipeline=\"p\",stage=\"touchy\"} 2",
        "wasmgate_pipeline_restarts_total{fault=\"module-refused\",pipeline=\"p\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let old = metrics.lines().filter(|l| l.contains("version=\"1.0.0\"")).count();
    assert_eq!(old, 0, "series of the version that was replaced");
    assert!(
        metrics.contains("wasmgate_rule_records_total{pipeline=\"p\",stage=\"touchy\",version")
    );
}

#[tokio::test]
async fn failures_below_the_count_never_open_the_breaker() {
    let calls = Arc::default();
    let rig = Rig::new(script(5, 20)).stage(touchy(&calls, |id| [7, 70].contains(&id)));
    let rig = rig.guard(guard(Then::Pause));
    let pipeline = rig.run().await;
    assert_eq!(rig.letters.look(|l| l.letters.len()), 2);
    assert_eq!(pipeline.status().stages[0].breaker.failures, 2);
    let text = rig.telemetry.render(&[]);
    let traps = "wasmgate_rule_failures_total{fault=\"module-trap\",pipeline=\"p\"";
    assert!(text.lines().any(|l| l.starts_with(traps) && !l.ends_with(" 0")), "{text}");
}

#[tokio::test]
async fn dead_letters_are_made_without_calls_until_a_version_works() {
    let calls = Arc::default();
    let mut steps = script(10, 10);
    steps.insert(5, Step::Gate);
    let rig = Rig::new(steps).stage(touchy(&calls, |id| id >= 10)).guard(guard(Then::DeadLetter));
    let pipeline = rig.start();
    rig.letters.wait_until(|l| l.letters.len() == 40).await;
    let made = calls.load(Ordering::Relaxed);
    assert!(made < 1 + 10, "{made} calls");
    assert!(pipeline.status().stages[0].breaker.open);
    pipeline.swap_module(&module(touchy(&calls, |_| false).version("2"))).unwrap();
    rig.source.release();
    pipeline.finished().await.unwrap();
    assert_eq!(sorted(rig.durable_rows()), (1..=10).chain(51..=100).collect::<Vec<_>>());
    let letters = rig.letters.look(|l| l.letters.clone());
    let count = |code: &str| letters.iter().filter(|l| &*l.cause.code == code).count();
    assert_eq!((count("module-trap"), count("breaker-open")), (3, 37));
    let shut = letters.iter().find(|l| &*l.cause.code == "breaker-open").unwrap();
    assert!(shut.cause.message.contains("unreachable executed"), "{}", shut.cause.message);
    assert_eq!(shut.cause.module.as_ref().unwrap().1, "1.0.0");
}

#[tokio::test]
async fn a_probe_after_the_window_closes_the_breaker() {
    let calls = Arc::default();
    let spec = GuardSpec { window: Duration::ZERO, ..guard(Then::DeadLetter) };
    let rig = Rig::new(script(4, 10)).stage(touchy(&calls, |id| id < 20)).guard(spec);
    let pipeline = rig.run().await;
    // The first batch opens it, the second is a probe that fails as a whole, the third closes it.
    assert_eq!(rig.durable_rows(), (21..=40).collect::<Vec<_>>());
    assert_eq!(rig.letters.look(|l| l.letters.len()), 20);
    assert!(!pipeline.status().stages[0].breaker.open);
}

#[tokio::test]
async fn bypass_lets_records_pass_as_they_are_and_counts_them() {
    let calls = Arc::default();
    let rig = Rig::new(script(4, 10)).stage(touchy(&calls, |id| id >= 10));
    let rig = rig.guard(guard(Then::Bypass));
    rig.run().await;
    assert_eq!(rig.durable_rows(), (1..=40).collect::<Vec<_>>());
    assert_eq!(rig.letters.look(|l| l.letters.len()), 0);
    let line = "wasmgate_stage_bypassed_records_total{pipeline=\"p\",stage=\"touchy\"} 30";
    assert!(rig.telemetry.render(&[]).contains(line));
}

#[tokio::test]
async fn a_lane_that_cannot_open_a_module_pauses_the_pipeline() {
    let opens = AtomicU32::new(0);
    let broken = touchy(&Arc::default(), |_| false).opening(move |_| {
        // The chain's own instance opens, those of the lanes do not.
        match opens.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(Fault::new(FaultKind::ModuleTrap, "trap in open")),
        }
    });
    let rig = Rig::new(script(2, 5)).stage(broken);
    let pipeline = rig.start();
    assert!(pipeline.finished().await.unwrap_err().contains("trap in open"));
    assert_eq!(pipeline.status().state, State::Paused);
    pipeline.swap_module(&module(touchy(&Arc::default(), |_| false))).unwrap();
    rig.sink.wait_until(|log| log.durable.len() == 10).await;
}

#[tokio::test]
async fn a_paused_pipeline_stops() {
    let rig = Rig::new(vec![Step::Deliver(rows(0..10))]).stage(touchy(&Arc::default(), |_| true));
    let pipeline = rig.guard(guard(Then::Pause)).start();
    pipeline.finished().await.unwrap_err();
    pipeline.stop().await;
    assert_eq!(pipeline.status().state, State::Stopped);
}

#[tokio::test]
async fn a_lane_that_pauses_stops_the_others_without_loss() {
    let poison = |id| id == 1035;
    let mut steps = Vec::new();
    for n in 0..20 {
        for (partition, base) in [("one", 0), ("two", 1000), ("three", 2000)] {
            let from = base + n * 10;
            let batch = numbers(&number_schema(1, "t"), from..from + 10);
            steps.push(Step::Deliver(delivery(partition, from, vec![batch])));
        }
    }
    steps.push(Step::Completed);
    let calls = Arc::default();
    let spec = GuardSpec { failures: 1, ..GuardSpec::default() };
    let rig = Rig::new(steps).stage(touchy(&calls, poison)).guard(spec);
    let pipeline = rig.start();
    pipeline.finished().await.unwrap_err();
    let two = rig.store.look(|log| log.at("p", "two"));
    assert_eq!(two, Some(Position::new(1030, 0)));
    pipeline.swap_module(&module(touchy(&calls, |_| false))).unwrap();
    rig.sink.wait_until(|log| log.durable.len() >= 600).await;
    until(&pipeline, State::Completed).await;
    let all = (1..=200).chain(1001..=1200).chain(2001..=2200);
    assert_eq!(sorted(rig.durable_rows()), all.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_resume_calls_a_dead_lettering_stage_again() {
    let calls = Arc::default();
    let mut steps = script(6, 10);
    steps.insert(3, Step::Gate);
    let rig = Rig::new(steps).stage(touchy(&calls, |id| id < 30)).guard(guard(Then::DeadLetter));
    let pipeline = rig.start();
    rig.letters.wait_until(|l| l.letters.len() == 30).await;
    pipeline.resume();
    assert!(!pipeline.status().stages[0].breaker.open);
    rig.source.release();
    pipeline.finished().await.unwrap();
    assert_eq!(rig.durable_rows(), (31..=60).collect::<Vec<_>>());
    assert_eq!(rig.source.look(|log| log.opens), 1);
}
