//! Modules and policies that would take memory, threads or time without bound.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wasmgate_connector::fakes::{
    FakePolicy, FakeSink, FnModule, Step, delivery, fn_module, number_schema, numbers,
};
use wasmgate_connector::{
    Decision, Emission, Projection, Read, RecordEncoder, StageOutput, StageReject, StageVerdict,
    Write,
};
use wasmgate_model::{Batch, Block, Column, Fault, FaultKind, Kind, Payload, Values};
use wasmgate_pipeline::GuardSpec;

use super::rig::{Rig, script};

fn reads() -> Projection {
    let read = Read { name: "id".into(), kind: Kind::Integer, optional: false };
    Projection { reads: vec![read], ..Projection::default() }
}

fn text(name: &str) -> Write {
    Write { name: name.into(), kind: Kind::Text, nullable: true }
}

/// Dead-letters every record.
fn refuses_all() -> FnModule {
    fn_module("strict", reads(), |input| {
        let dead = || StageVerdict::DeadLetter { code: "bad".into(), message: "no".into() };
        let rejects = (0..input.rows).map(|row| StageReject { row, verdict: dead() });
        Ok(StageOutput { rejects: rejects.collect(), ..StageOutput::default() })
    })
}

/// Set when the thread that was marked has ended.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

thread_local!(static MARK: RefCell<Option<Ended>> = const { RefCell::new(None) });

/// Marks the thread that comes here first; true on the marked one.
fn mark_first(first: &AtomicBool, ended: &Arc<AtomicBool>) -> bool {
    if !first.swap(true, Ordering::SeqCst) {
        MARK.set(Some(Ended(Arc::clone(ended))));
    }
    MARK.with_borrow(Option::is_some)
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Notes where the payloads of failed records are.
#[derive(Default)]
struct Places(Mutex<HashSet<usize>>);

impl RecordEncoder for Places {
    fn original(&self, batch: &Batch, _row: usize) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        if let Payload::Rows(rows) = &batch.payload
            && let Some(Values::Ints(ids)) = rows.current.first().map(|c| &c.values)
        {
            self.0.lock().unwrap().insert(ids.as_ptr() as usize);
        }
        (None, None)
    }
}

#[tokio::test]
async fn a_record_that_is_tried_again_takes_no_memory_per_try() {
    let places = Arc::<Places>::default();
    let mut steps = script(1, 5);
    steps.insert(1, Step::Gate);
    let mut rig = Rig::new(steps).stage(refuses_all());
    rig.encoder = Arc::clone(&places) as Arc<dyn RecordEncoder>;
    rig.policy = Some(FakePolicy::new(|failure| match failure.attempt {
        1..15 => Decision::Retry(0),
        _ => Decision::DeadLetter(None),
    }));
    let pipeline = rig.start();
    let told = || pipeline.status().reason.is_some_and(|r| r.contains("tries records again"));
    until("the status never says that records are tried again", told).await;
    until("the status says so for ever", || pipeline.status().reason.is_none()).await;
    rig.source.release();
    pipeline.finished().await.unwrap();
    let letters = rig.letters.look(|l| l.letters.clone());
    assert_eq!(letters.iter().map(|l| l.attempts).collect::<Vec<_>>(), [15; 5]);
    assert_eq!(places.0.lock().unwrap().len(), 1, "the batch was copied");
    assert_eq!(rig.telemetry.pipeline("p").policy_retries.get(), 14 * 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_tries_again_for_ever_ends_with_its_session() {
    let ended = Arc::<AtomicBool>::default();
    let mut rig = Rig::new(script(1, 5)).stage(refuses_all());
    let mark = Arc::clone(&ended);
    let first = AtomicBool::new(false);
    rig.policy = Some(FakePolicy::new(move |_| {
        mark_first(&first, &mark);
        Decision::Retry(0)
    }));
    let pipeline = rig.start();
    let asked = |times: usize| rig.policy.as_ref().unwrap().look(|f| f.len() >= times);
    until("the policy is not asked", || asked(10)).await;
    pipeline.restart();
    until("the lane of the session before goes on", || ended.load(Ordering::SeqCst)).await;
}

/// A policy may ask for a pause of weeks.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_waits_for_the_next_try_ends_with_its_session() {
    let ended = Arc::<AtomicBool>::default();
    let mut rig = Rig::new(script(1, 5)).stage(refuses_all());
    let mark = Arc::clone(&ended);
    let first = AtomicBool::new(false);
    rig.policy = Some(FakePolicy::new(move |_| {
        mark_first(&first, &mark);
        Decision::Retry(u32::MAX)
    }));
    let pipeline = rig.start();
    let asked = || rig.policy.as_ref().unwrap().look(|f| !f.is_empty());
    until("the policy is not asked", asked).await;
    pipeline.restart();
    until("the lane of the session before waits on", || ended.load(Ordering::SeqCst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_splits_a_batch_ends_with_its_session() {
    let (ended, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let go = Arc::<AtomicBool>::default();
    let (mark, counted, gate) = (Arc::clone(&ended), Arc::clone(&calls), Arc::clone(&go));
    let first = AtomicBool::new(false);
    let slow = fn_module("slow", reads(), move |_| {
        let old = mark_first(&first, &mark);
        counted.fetch_add(usize::from(old), Ordering::SeqCst);
        while !gate.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Err(Fault::new(FaultKind::ModuleDeadline, "ran longer than it may"))
    });
    let guard = GuardSpec { failures: 1_000, ..GuardSpec::default() };
    let rig = Rig::new(script(1, 16)).stage(slow).guard(guard);
    let pipeline = rig.start();
    until("the stage is not called", || calls.load(Ordering::SeqCst) == 1).await;
    pipeline.restart();
    until("no new session", || rig.source.look(|log| log.opens) > 1).await;
    go.store(true, Ordering::SeqCst);
    until("the lane goes on", || ended.load(Ordering::SeqCst)).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1, "the batch was split for nobody");
}

/// Emits so many bytes per record.
fn emits(bytes: usize, calls: &Arc<AtomicUsize>) -> FnModule {
    let calls = Arc::clone(calls);
    fn_module("loud", reads(), move |input| {
        calls.fetch_add(1, Ordering::SeqCst);
        let extra = (0..input.rows).map(|row| {
            let mut value = Block::default();
            value.push(&vec![b'x'; bytes]);
            let values = Values::Texts(value);
            Emission {
                topic: "more".into(),
                parents: vec![row],
                fields: vec![text("value")],
                columns: vec![Column { values, nulls: vec![], absent: vec![] }],
            }
        });
        Ok(StageOutput { extra: extra.collect(), ..StageOutput::default() })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_modules_make_is_bounded_while_a_sink_does_not_read() {
    let calls = Arc::<AtomicUsize>::default();
    let rig = Rig::new(script(30, 1)).stage(emits(8 << 20, &calls));
    rig.sink.hold_durables();
    let pipeline = rig.start();
    // Three have room; the next was made and waits for its own.
    until("too few calls", || calls.load(Ordering::SeqCst) == 4).await;
    let more = async {
        while calls.load(Ordering::SeqCst) == 4 {
            tokio::task::yield_now().await;
        }
    };
    let more = tokio::time::timeout(Duration::from_millis(500), more).await;
    assert!(more.is_err(), "{} calls", calls.load(Ordering::SeqCst));
    rig.sink.release();
    pipeline.finished().await.unwrap();
    assert_eq!(rig.durable_rows().len(), 60);
}

#[tokio::test]
async fn what_modules_make_of_one_delivery_is_bounded() {
    let calls = Arc::<AtomicUsize>::default();
    let rig = Rig::new(script(1, 2)).stage(emits(40 << 20, &calls));
    rig.run().await;
    let letters = rig.letters.look(|l| l.letters.clone());
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].position.major, &*letters[0].cause.code), (2, "module-limit"));
    assert_eq!(rig.durable_rows(), [1, 1]);
}

/// Of every try some records pass and the others are tried again, which takes a copy of the batch.
#[tokio::test]
async fn a_batch_that_is_tried_again_is_copied_within_bounds() {
    let schema = number_schema(1, "t");
    let mut batch = numbers(&schema, 1..17);
    let Payload::Rows(payload) = &mut batch.payload else { panic!("numbers are rows") };
    let mut wide = Block::default();
    (0..16).for_each(|_| wide.push(&vec![b'x'; 1 << 20]));
    // Beside the columns that the plan reads: a large value that nobody looks at.
    let wide = Column { values: Values::Texts(wide), nulls: vec![], absent: vec![] };
    payload.current.push(wide);
    let delivery = delivery("one", 1, vec![batch]);
    let passes_one = fn_module("one", reads(), |input| {
        let dead = || StageVerdict::DeadLetter { code: "bad".into(), message: "no".into() };
        let rejects = (1..input.rows).map(|row| StageReject { row, verdict: dead() });
        Ok(StageOutput { rejects: rejects.collect(), ..StageOutput::default() })
    });
    let mut rig = Rig::new(vec![Step::Deliver(delivery), Step::Completed]).stage(passes_one);
    rig.policy = Some(FakePolicy::new(|_| Decision::Retry(0)));
    rig.run().await;
    let letters = rig.letters.look(|l| l.letters.clone());
    let passed = rig.durable_rows().len();
    assert!((3..6).contains(&passed) && passed + letters.len() == 16, "{passed} passed");
    for letter in letters {
        let message = &letter.cause.message;
        assert!(message.contains("no room for another copy"), "{message}");
    }
}

/// A policy is held to the same bounds where a sink refuses a row.
#[tokio::test]
async fn a_refused_row_that_is_tried_again_shows_and_ends_where_it_may() {
    let mut rig = Rig::new(script(1, 2));
    rig.sink = FakeSink::new().refusing(|row| row.position.major == 2);
    rig.policy = Some(FakePolicy::new(|failure| match failure.attempt {
        1..12 => Decision::Retry(0),
        _ => Decision::DeadLetter(Some("t".repeat(300))),
    }));
    let pipeline = rig.start();
    let told = || pipeline.status().reason.is_some_and(|r| r.contains("tries records again"));
    until("the status never says that records are tried again", told).await;
    pipeline.finished().await.unwrap();
    let letters = rig.letters.look(|l| l.letters.clone());
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].position.major, letters[0].attempts), (2, 12));
    let message = &letters[0].cause.message;
    assert!(letters[0].chosen.is_none() && message.contains("has 300 bytes"), "{message}");
    assert_eq!(pipeline.status().reason, None);
}

#[tokio::test]
async fn a_written_topic_that_can_be_none_is_a_dead_letter() {
    let projection = Projection { writes: vec![text("$topic")], ..reads() };
    let routes = fn_module("routes", projection, |input| {
        let mut topics = Column::new(Kind::Text);
        for row in 0..input.rows as usize {
            match input.columns[0].int(row) {
                Some(2) => topics.push_bytes(b"a\nb"),
                Some(3) => topics.push_bytes(b""),
                Some(4) => topics.push_bytes(&[b't'; 250]),
                Some(5) => topics.push_null(),
                _ => topics.push_bytes(&[b't'; 249]),
            }
        }
        Ok(StageOutput { columns: vec![topics], ..StageOutput::default() })
    });
    let rig = Rig::new(script(1, 8)).stage(routes);
    rig.run().await;
    let letters = rig.letters.look(|l| l.letters.clone());
    assert_eq!(letters.len(), 3);
    for letter in letters {
        let cause = &letter.cause;
        assert_eq!((&*cause.stage, &*cause.code), ("routes", "topic-name"));
        assert!(cause.message.contains("expected 1 to 249"), "{}", cause.message);
    }
    assert_eq!(rig.durable_rows().len(), 5);
}

#[tokio::test]
async fn a_dead_letter_topic_that_is_not_taken_falls_back_to_the_default() {
    let long = "t".repeat(300);
    for (topic, failures, says) in [(&*long, 0, "has 300 bytes"), ("own", 1, "\"own\"")] {
        let mut rig = Rig::new(script(1, 1)).stage(refuses_all());
        let chosen = topic.to_owned();
        rig.policy = Some(FakePolicy::new(move |_| Decision::DeadLetter(Some(chosen.clone()))));
        rig.letters.fail(failures, FaultKind::Config);
        rig.run().await;
        let letters = rig.letters.look(|l| l.letters.clone());
        assert_eq!((letters.len(), &letters[0].chosen), (1, &None));
        let message = &letters[0].cause.message;
        assert!(message.starts_with("no (") && message.contains(says), "{message}");
    }
}
