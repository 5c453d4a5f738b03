//! What fails, and what is lost then: nothing.

use wasmgate_connector::fakes::{FakeSink, Step, fn_module};
use wasmgate_connector::{Decision, Projection, Refusal, StageOutput, StageReject, StageVerdict};
use wasmgate_model::{FaultKind, Kind, Partition, Position};
use wasmgate_pipeline::{Pipeline, State};

use super::rig::{Rig, rows, script};
use super::stages::reads;

fn all(n: u64) -> Vec<u64> {
    (1..=n).collect()
}

#[tokio::test]
async fn everything_arrives_in_order_and_is_acknowledged_after_the_save() {
    let rig = Rig::new(script(20, 10));
    let pipeline = rig.run().await;
    assert_eq!(rig.durable_rows(), all(200));
    assert_eq!(rig.source.look(|log| log.settled_to("one")), Some(Position::new(200, 0)));
    assert_eq!(rig.store.look(|log| log.at("p", "one")), Some(Position::new(200, 0)));
    assert_eq!((pipeline.status().state, pipeline.status().in_flight), (State::Completed, 0));
    assert_eq!((rig.source.look(|l| l.closed), rig.sink.look(|l| l.closed)), (1, 1));
}

#[tokio::test]
async fn nothing_is_acknowledged_before_the_sink_is_durable() {
    let rig = Rig::new(script(3, 5));
    rig.sink.hold_durables();
    let pipeline = rig.start();
    rig.sink.wait_until(|log| log.accepted.len() == 15).await;
    assert_eq!(rig.store.look(|log| log.saves), 0);
    assert!(rig.source.look(|log| log.settled.is_empty()));
    assert_eq!(pipeline.status().in_flight, 15);
    rig.sink.release();
    pipeline.finished().await.unwrap();
    let mut rows = rig.durable_rows();
    rows.sort_unstable();
    assert_eq!(rows, all(15));
}

#[tokio::test]
async fn a_sink_that_is_down_holds_the_source_back() {
    let rig = Rig::new(script(500, 4));
    rig.sink.hold_writes();
    let pipeline = rig.start();
    // One in the writer's hands, one in the lane's, one on the way, two queues of four.
    rig.source.wait_until(|log| log.delivered >= 10).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(rig.source.look(|log| log.delivered) < 16);
    rig.sink.release();
    pipeline.finished().await.unwrap();
    assert_eq!(rig.durable_rows(), all(2000));
}

#[tokio::test]
async fn writes_that_fail_for_a_while_are_tried_again_in_order() {
    let rig = Rig::new(script(4, 5));
    rig.sink.fail_writes(3, FaultKind::SinkUnavailable);
    rig.letters.fail(1, FaultKind::SinkUnavailable);
    rig.run().await;
    assert_eq!(rig.durable_rows(), all(20));
    assert_eq!(rig.source.look(|log| log.opens), 1);
    assert!(rig.telemetry.render(&[]).contains("wasmgate_sink_retries_total{pipeline=\"p\"} 3"));
}

#[tokio::test]
async fn a_lost_durable_means_reading_again_from_the_checkpoint() {
    let rig = Rig::new(script(6, 5));
    rig.sink.fail_durables(1, FaultKind::SinkUnavailable);
    rig.run().await;
    let mut rows = rig.durable_rows();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows, all(30), "nothing is missing");
    assert_eq!(rig.source.look(|log| log.opens), 2);
}

#[tokio::test]
async fn a_source_that_fails_is_opened_again_where_it_was() {
    let mut steps = script(4, 5);
    steps.insert(2, Step::Fail(FaultKind::SourceUnavailable, "connection reset"));
    let rig = Rig::new(steps);
    rig.run().await;
    let mut rows = rig.durable_rows();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows, all(20));
}

#[tokio::test]
async fn a_fault_that_time_does_not_heal_waits_for_a_person() {
    let mut steps = script(2, 5);
    steps.insert(1, Step::Fail(FaultKind::SourceLost, "the slot is gone"));
    let rig = Rig::new(steps);
    let pipeline = rig.start();
    assert_eq!(pipeline.finished().await.unwrap_err(), "the slot is gone");
    assert_eq!(pipeline.status().state, State::Failed);
    pipeline.resume();
    rig.sink.wait_until(|log| log.durable.iter().any(|r| r.position.major == 10)).await;
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_saved_is_not_acknowledged() {
    let rig = Rig::new(script(1, 5));
    rig.store.fail_saves(1, FaultKind::Disk);
    let pipeline = rig.start();
    assert!(pipeline.finished().await.is_err());
    assert!(rig.source.look(|log| log.settled.is_empty()));
}

#[tokio::test]
async fn refused_rows_and_rows_without_a_sink_become_dead_letters() {
    let mut rig = Rig::new(script(2, 5));
    rig.sink = FakeSink::new().refusing(|row| row.row == 2);
    rig.run().await;
    assert_eq!(rig.durable_rows().len(), 8);
    assert_eq!(rig.letters.look(|l| l.letters.len()), 2);

    let mut rig = Rig::new(script(1, 5));
    rig.sink_topics = "elsewhere";
    rig.run().await;
    rig.letters.look(|l| assert!(l.letters.iter().all(|l| &*l.cause.code == "no-sink")));
    assert_eq!(rig.letters.look(|l| l.letters.len()), 5);
}

#[tokio::test]
async fn halt_stops_before_the_record_is_acknowledged() {
    let projection =
        Projection { reads: vec![reads("id", Kind::Integer)], ..Projection::default() };
    let mut rig = Rig::new(script(3, 5)).stage(fn_module("strict", projection, |input| {
        let mut output = StageOutput::default();
        if input.columns[0].int(0) == Some(5) {
            let (code, message) = ("bad".into(), String::new());
            let verdict = StageVerdict::DeadLetter { code, message };
            output.rejects.push(StageReject { row: 0, verdict });
        }
        Ok(output)
    }));
    rig.policy = Some(wasmgate_connector::fakes::FakePolicy::new(|_| Decision::Halt));
    let pipeline = rig.start();
    assert!(pipeline.finished().await.unwrap_err().contains("policy halts"));
    let settled = rig.source.look(|log| log.settled_to("one")).map_or(0, |p| p.major);
    assert!(settled <= 5, "{settled}");
    assert_eq!(rig.letters.look(|l| l.letters.len()), 0);
}

#[tokio::test]
async fn stop_settles_what_is_in_flight() {
    let mut steps = script(5, 5);
    steps.pop();
    let rig = Rig::new(steps);
    let pipeline = rig.start();
    rig.source.wait_until(|log| log.exhausted).await;
    pipeline.stop().await;
    assert_eq!(rig.durable_rows(), all(25));
    assert_eq!(rig.store.look(|log| log.at("p", "one")), Some(Position::new(25, 0)));
    assert_eq!(pipeline.status().state, State::Stopped);
}

/// A stand-in cannot be bound: a source that asks for a plan would take that for a misfit.
#[tokio::test]
async fn a_pipeline_that_waits_opens_nothing_before_it_is_resumed() {
    let rig = Rig::new(script(2, 5));
    let waiting = Pipeline::start_waiting(rig.spec()).unwrap();
    assert_eq!(waiting.status().state, State::Paused);
    let paused = Pipeline::start_paused(rig.spec()).unwrap();
    // The other one opens its source; this one had as much time.
    rig.source.wait_until(|log| log.opens > 0).await;
    assert_eq!((rig.source.look(|log| log.opens), waiting.status().state), (1, State::Paused));
    paused.stop().await;
    waiting.resume();
    waiting.finished().await.unwrap();
    assert_eq!(rig.durable_rows(), all(10));
    let stopped = Pipeline::start_waiting(rig.spec()).unwrap();
    stopped.stop().await;
    assert_eq!(stopped.status().state, State::Stopped);
}

#[tokio::test]
async fn a_pause_stops_reading_and_a_resume_goes_on() {
    let mut steps = script(4, 5);
    steps.insert(2, Step::Gate);
    let rig = Rig::new(steps);
    let pipeline = rig.start();
    rig.sink.wait_until(|log| log.durable.len() == 10).await;
    pipeline.pause();
    rig.source.release();
    assert_eq!(pipeline.status().state, State::Paused);
    pipeline.resume();
    pipeline.finished().await.unwrap();
    assert_eq!(rig.durable_rows(), all(20));
}

#[tokio::test]
async fn a_revoked_partition_is_let_go_when_it_is_settled() {
    let one = Partition("one".into());
    let rig = Rig::new(vec![
        Step::Assigned(one.clone(), Position::new(0, 0)),
        Step::Deliver(rows(0..5)),
        Step::Revoked(one.clone()),
        Step::Assigned(one.clone(), Position::new(5, 0)),
        Step::Deliver(rows(5..10)),
        Step::Completed,
    ]);
    rig.sink.hold_durables();
    let pipeline = rig.start();
    rig.sink.wait_until(|log| log.accepted.len() == 5).await;
    assert!(rig.source.look(|log| log.let_go.is_empty()));
    rig.sink.release();
    pipeline.finished().await.unwrap();
    assert_eq!(rig.source.look(|log| log.let_go.clone()), [one]);
    assert_eq!(rig.durable_rows(), all(10));
}

#[tokio::test]
async fn a_refused_row_is_written_again_as_often_as_the_policy_says() {
    let refusals = std::sync::atomic::AtomicU32::new(0);
    let mut rig = Rig::new(script(2, 5));
    rig.sink = FakeSink::new().refusing(move |row| {
        let first = refusals.load(std::sync::atomic::Ordering::Relaxed) < 2;
        let refuse = row.position.major == 8 || (row.position.major == 3 && first);
        refusals
            .fetch_add(u32::from(row.position.major == 3), std::sync::atomic::Ordering::Relaxed);
        refuse
    });
    rig.policy = Some(wasmgate_connector::fakes::FakePolicy::new(|f| match f.attempt {
        1..4 => Decision::Retry(1),
        _ => Decision::DeadLetter(None),
    }));
    rig.run().await;
    let mut rows = rig.durable_rows();
    rows.sort_unstable();
    assert_eq!(rows, [1, 2, 3, 4, 5, 6, 7, 9, 10]);
    let letters = rig.letters.look(|l| l.letters.clone());
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].position.major, letters[0].attempts), (8, 4));
}

#[tokio::test]
async fn an_assignment_is_saved_before_the_first_record_is_read() {
    let one = Partition("one".into());
    let rig = Rig::new(vec![Step::Assigned(one, Position::new(7, 0)), Step::Gate]);
    let pipeline = rig.start();
    rig.store.wait_until(|log| log.at("p", "one") == Some(Position::new(7, 0))).await;
    assert_eq!(rig.source.look(|log| log.delivered), 0);
    rig.source.release();
    pipeline.stop().await;
}

#[tokio::test]
async fn what_is_in_flight_is_bounded_in_bytes() {
    let schema = std::sync::Arc::new(wasmgate_model::Schema::open(1, "t".into(), false));
    let value = vec![b'x'; 40 << 20];
    let giant = |n: u64| {
        let batch = wasmgate_connector::fakes::documents(&schema, n, &[(None, Some(&value))]);
        Step::Deliver(wasmgate_connector::fakes::delivery("one", n, vec![batch]))
    };
    let rig = Rig::new(vec![giant(0), giant(1), giant(2), Step::Completed]);
    rig.sink.hold_durables();
    let pipeline = rig.start();
    rig.sink.wait_until(|log| log.accepted.len() == 1).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.sink.look(|log| log.accepted.len()), 1, "the second waits for room");
    rig.sink.release();
    pipeline.finished().await.unwrap();
    assert_eq!(rig.durable_rows(), all(3));
}

#[tokio::test]
async fn commands_reach_a_source_that_takes_them_and_are_refused_otherwise() {
    let send = async |rig: &Rig, kind: &str| {
        let opens = rig.source.look(|log| log.opens);
        let pipeline = rig.start();
        rig.source.wait_until(|log| log.opens > opens && log.exhausted).await;
        let answer = pipeline.command("7".into(), kind.into(), "{}".into()).await;
        pipeline.stop().await;
        let stopped = pipeline.command("8".into(), kind.into(), "{}".into()).await;
        (answer, stopped)
    };
    let mut rig = Rig::new(Vec::new());
    assert_eq!(send(&rig, "log").await, (Err(Refusal::NotSupported), Err(Refusal::NotRunning)));
    rig.source = rig.source.commanded();
    assert_eq!(send(&rig, "log").await, (Ok(()), Err(Refusal::NotRunning)));
    let (refused, _) = send(&rig, "refuse").await;
    assert_eq!(refused, Err(Refusal::Invalid("refused".into())));
    let taken = rig.source.look(|log| log.commands.clone());
    assert_eq!(taken, [["7", "log", "{}"].map(str::to_owned)]);
}
