//! One run of a pipeline from its checkpoint: the parts, and the channels between them.
//!
//! reader → lane queues → lanes → writer → settler → progress → checkpoint, acker. Each part ends
//! when the one before it has ended, so stopping the reader drains the rest. A fault in one ends
//! all; what was not settled is read again.

mod lanes;
mod progress;
mod reader;
mod totals;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use wasmgate_connector::{
    BatchPool, Commands, DeadLetterContext, IN_FLIGHT, Policy, Sink, SinkHealth, SourceContext,
    SourceHalves, SourceStatus,
};
use wasmgate_model::{Checkpoint, Fault, FaultKind};
use wasmgate_telemetry::PipelineMetrics;

use self::lanes::{Queued, lanes};
pub(crate) use self::progress::Progress;
use self::totals::SinkTotals;
use crate::chain::Chain;
use crate::decisions::Again;
use crate::pipeline::Command;
use crate::settler::Settler;
use crate::spec::PipelineSpec;
use crate::status::State;
use crate::tracker::Tracker;
use crate::writer::{Routes, Writer};

/// Payload in flight, from the reader to settled, at most; a larger delivery travels alone.
pub(crate) const IN_FLIGHT_KIB: usize = 32 << 10;
/// Deliveries waiting before a lane, and before the writer.
const QUEUE: usize = 4;

/// What the parts of a session share with the handle.
pub(crate) struct Shared {
    pub(crate) metrics: Arc<PipelineMetrics>,
    pub(crate) source: Arc<SourceStatus>,
    pub(crate) commands: Arc<Commands>,
    state: Mutex<(State, Option<String>)>,
    /// Of the fault that the state comes from.
    code: Mutex<Option<&'static str>>,
    pub(crate) checkpoint: Mutex<Checkpoint>,
    tracker: Mutex<Tracker>,
    sinks: Mutex<Vec<Arc<SinkHealth>>>,
    /// What was counted of them so far.
    counted: Mutex<SinkTotals>,
    hold: Mutex<Option<Hold>>,
    pub(crate) again: Again,
    pub(crate) changed: tokio::sync::Notify,
}

/// The pipeline pauses by itself: a module cannot go on.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) reason: String,
    /// Label of the fault.
    pub(crate) fault: &'static str,
    /// Version of the chain that it was about.
    pub(crate) chain: u64,
    /// Somebody wants another try.
    pub(crate) released: bool,
}

impl Shared {
    pub(crate) fn new(metrics: Arc<PipelineMetrics>) -> Self {
        Self {
            metrics,
            source: Arc::default(),
            commands: Arc::default(),
            state: Mutex::new((State::Starting, None)),
            code: Mutex::default(),
            checkpoint: Mutex::default(),
            tracker: Mutex::default(),
            sinks: Mutex::default(),
            counted: Mutex::default(),
            hold: Mutex::default(),
            again: Again::default(),
            changed: tokio::sync::Notify::new(),
        }
    }

    pub(crate) fn set(&self, state: State, reason: Option<String>) {
        self.metrics.running.set(i64::from(state == State::Running));
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = (state, reason);
        self.changed.notify_waiters();
    }

    /// A state that a fault brought about.
    pub(crate) fn fault(&self, state: State, fault: &Fault) {
        self.set(state, Some(fault.chain()));
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault.code());
    }

    /// The stable word for why the pipeline failed or is tried again.
    pub(crate) fn code(&self) -> Option<&'static str> {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> (State, Option<String>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold_lock(&self) -> MutexGuard<'_, Option<Hold>> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lanes stop at their next batch border, what was processed settles, and the session ends.
    fn hold(&self, fault: &Fault, chain: u64) {
        let hold =
            Hold { reason: fault.chain(), fault: fault.kind.label(), chain, released: false };
        self.hold_lock().get_or_insert(hold);
        self.changed.notify_waiters();
    }

    pub(crate) fn held(&self) -> Option<Hold> {
        self.hold_lock().clone()
    }

    fn is_held(&self) -> bool {
        self.hold_lock().is_some()
    }

    /// A pipeline that paused by itself may try again. False: it did not pause by itself.
    pub(crate) fn release(&self) -> bool {
        let held = match self.hold_lock().as_mut() {
            Some(hold) => {
                hold.released = true;
                true
            }
            None => false,
        };
        self.changed.notify_waiters();
        held
    }

    /// Waits for [`Shared::hold`].
    async fn until_held(&self) {
        self.until(|hold| hold.is_some()).await;
    }

    /// Waits for [`Shared::release`].
    pub(crate) async fn until_released(&self) {
        self.until(|hold| hold.is_some_and(|h| h.released)).await;
    }

    async fn until(&self, done: impl Fn(Option<&Hold>) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a change in between is not missed.
            changed.as_mut().enable();
            if done(self.hold_lock().as_ref()) {
                return;
            }
            changed.await;
        }
    }

    /// The state as an operator sees it: a sink that waits for its server is being retried.
    pub(crate) fn shown(&self) -> (State, Option<String>) {
        if let Some(hold) = self.held().filter(|_| self.state().0 == State::Running) {
            return (State::Paused, Some(hold.reason));
        }
        let (state, reason) = self.state();
        let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        match sinks.iter().find_map(|s| s.reason()).filter(|_| state == State::Running) {
            Some(trouble) => (State::Retrying, Some(trouble)),
            None if state == State::Running => (state, reason.or_else(|| self.again.reason())),
            None => (state, reason),
        }
    }

    /// Brings the metrics of gathered writes up to date.
    pub(crate) fn count_sinks(&self) {
        let sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SinkTotals::of(&sinks);
        let mut before = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        now.count(&before, &self.metrics);
        *before = now;
    }

    fn opening(&self, what: &str) {
        self.set(State::Starting, Some(format!("opening {what}")));
    }

    /// A write is being tried again.
    pub(crate) fn retrying(&self, fault: &Fault) {
        let reason = fault.chain();
        if self.state().0 != State::Retrying {
            tracing::warn!(fault = reason, "trying again");
        }
        self.fault(State::Retrying, fault);
    }

    /// A write went through.
    pub(crate) fn working(&self) {
        if self.state().0 == State::Retrying {
            tracing::info!("working again");
            self.set(State::Running, None);
        }
    }

    pub(crate) fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a session ended without a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Stopped,
    /// The pipeline paused by itself; see [`Shared::held`].
    Held,
}

/// What a session is made of.
pub(crate) struct Parts<'a> {
    pub(crate) spec: &'a PipelineSpec,
    pub(crate) chain: &'a Arc<Chain>,
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) command: watch::Receiver<Command>,
}

/// Opens everything and runs until the source ends, a stop is asked for, or something fails.
pub(crate) async fn run(parts: Parts<'_>) -> Result<End, Fault> {
    let shared = parts.shared;
    *shared.hold_lock() = None;
    let end = run_parts(parts).await?;
    if !shared.is_held() {
        return Ok(end);
    }
    shared.metrics.in_flight.set(0);
    Ok(End::Held)
}

async fn run_parts(parts: Parts<'_>) -> Result<End, Fault> {
    let Parts { spec, chain, shared, command } = parts;
    let checkpoint = load(spec).await?;
    shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&checkpoint);
    *shared.tracker() = Tracker::default();
    shared.metrics.in_flight.set(0);
    let sinks = open_sinks(spec, shared).await?;
    shared.opening(spec.dead_letters.kind());
    let dead_letters = spec.dead_letters.open().await?;
    let pool = Arc::new(BatchPool::default());
    let context = SourceContext {
        pipeline: Arc::clone(&spec.name),
        checkpoint: checkpoint.clone(),
        planner: Arc::<Chain>::clone(chain),
        pool: Arc::clone(&pool),
        limits: spec.limits,
        status: Arc::clone(&shared.source),
        commands: Arc::clone(&shared.commands),
    };
    shared.opening(spec.source.kind());
    let (reader, acker): SourceHalves = spec.source.open(context).await?;
    shared.set(State::Running, None);

    shared.again.done();
    let over = Over::new();
    let (processed_in, processed) = mpsc::channel(QUEUE);
    // Room for all in flight: the writer never waits here while the settler waits for it.
    let (accepted_in, accepted) = mpsc::channel(in_flight(&sinks));
    let (rewrites_in, rewrites) = mpsc::channel(1);
    let (progress_in, progress) = mpsc::unbounded_channel();
    let (fault_in, mut faults) = mpsc::channel(1);
    let lanes = lanes(spec, chain, shared, &over, &processed_in, &fault_in)?;
    drop(processed_in);
    drop(fault_in);

    let writer = Writer {
        specs: spec.sinks.clone(),
        permits: Arc::new(Semaphore::new(in_flight(&sinks))),
        sinks,
        routes: Routes::default(),
        shared: Arc::clone(shared),
    };
    let settler = Settler {
        dead_letters,
        context: DeadLetterContext { pipeline: Arc::clone(&spec.name), source: spec.source.kind() },
        policy: open_policy(spec)?,
        encoder: Arc::clone(&spec.encoder),
        pool,
        shared: Arc::clone(shared),
        progress: progress_in.clone(),
        rewrites: rewrites_in,
    };
    let checkpoints = progress::Checkpoints {
        pipeline: Arc::clone(&spec.name),
        store: Arc::clone(&spec.store),
        acker,
        checkpoint,
        shared: Arc::clone(shared),
        assigned: Vec::new(),
    };
    let lanes = reader::LaneQueues::new(lanes, Arc::clone(shared));
    let reader = reader::Reading { reader, lanes, progress: progress_in, command };

    let mut tasks: JoinSet<Result<Option<End>, Fault>> = JoinSet::new();
    tasks.spawn(async move { reader.run().await.map(Some) });
    tasks.spawn(async move { writer.run(processed, rewrites, accepted_in).await.map(|()| None) });
    tasks.spawn(async move { settler.run(accepted).await.map(|()| None) });
    tasks.spawn(async move { checkpoints.run(progress).await.map(|()| None) });
    join(&mut tasks, &mut faults).await
}

/// Deliveries accepted by sinks and not settled, at most.
fn in_flight(sinks: &[Box<dyn Sink>]) -> usize {
    sinks.iter().map(|sink| sink.in_flight()).max().unwrap_or(IN_FLIGHT).max(1)
}

async fn open_sinks(spec: &PipelineSpec, shared: &Shared) -> Result<Vec<Box<dyn Sink>>, Fault> {
    let mut sinks: Vec<Box<dyn Sink>> = Vec::with_capacity(spec.sinks.len());
    for sink in &spec.sinks {
        shared.opening(sink.connector.kind());
        sinks.push(sink.connector.open().await?);
    }
    let health = sinks.iter().map(|s| s.health()).collect();
    shared.count_sinks();
    *shared.sinks.lock().unwrap_or_else(PoisonError::into_inner) = health;
    *shared.counted.lock().unwrap_or_else(PoisonError::into_inner) = SinkTotals::default();
    Ok(sinks)
}

/// Waits for every part; the first fault ends all (the rest is aborted when `tasks` is dropped).
async fn join(
    tasks: &mut JoinSet<Result<Option<End>, Fault>>,
    faults: &mut mpsc::Receiver<Fault>,
) -> Result<End, Fault> {
    let mut end = End::Stopped;
    let mut lanes = true;
    loop {
        tokio::select! {
            biased;
            fault = faults.recv(), if lanes => match fault {
                Some(fault) => return Err(fault),
                None => lanes = false,
            },
            done = tasks.join_next() => match done {
                None => return Ok(end),
                Some(Ok(Ok(found))) => end = found.unwrap_or(end),
                Some(Ok(Err(fault))) => return Err(fault),
                Some(Err(error)) => {
                    let what = "a part of the pipeline panicked; please report it";
                    return Err(Fault::new(FaultKind::Internal, what).because(error));
                }
            },
        }
    }
}

/// Tells the lanes, which have threads of their own, that the session is over: when it is dropped.
struct Over {
    stop: Arc<AtomicBool>,
    /// Room for what modules make, in KiB. Closed then, so that no lane waits for it.
    made: Arc<Semaphore>,
}

impl Over {
    fn new() -> Self {
        Self { stop: Arc::default(), made: Arc::new(Semaphore::new(IN_FLIGHT_KIB)) }
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.made.close();
    }
}

async fn load(spec: &PipelineSpec) -> Result<Checkpoint, Fault> {
    let (store, name) = (Arc::clone(&spec.store), Arc::clone(&spec.name));
    tokio::task::spawn_blocking(move || store.load(&name))
        .await
        .map_err(|e| Fault::new(FaultKind::Internal, "the store's thread ended").because(e))?
}

fn open_policy(spec: &PipelineSpec) -> Result<Option<Box<dyn Policy>>, Fault> {
    spec.policy.as_ref().map(|p| p.module.open(&p.config)).transpose()
}
