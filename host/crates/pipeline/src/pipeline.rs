//! The handle of a running pipeline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::sync::{Notify, watch};
use wasmgate_connector::{Module, Refusal};
use wasmgate_model::Fault;

use crate::chain::Chain;
use crate::engine::Engine;
use crate::session::Shared;
use crate::spec::PipelineSpec;
use crate::status::{CopyStatus, PipelineStatus, State};

/// How long a source may take to answer a command.
const COMMAND_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Pause,
    Stop,
}

/// A pipeline, running on the tokio runtime it was started on.
pub struct Pipeline {
    name: Arc<str>,
    source: &'static str,
    sinks: Vec<&'static str>,
    chain: Arc<Chain>,
    shared: Arc<Shared>,
    command: watch::Sender<Command>,
    restart: Arc<Notify>,
    /// No session was begun yet, as nobody said so.
    waits: Arc<AtomicBool>,
}

impl Pipeline {
    /// Opens the chain once to see that its configuration is accepted, then starts to run.
    ///
    /// # Errors
    /// A module refuses its configuration.
    pub fn start(spec: PipelineSpec) -> Result<Arc<Self>, Fault> {
        Self::start_with(spec, Command::Run, false)
    }

    /// As [`Pipeline::start`], paused: nothing is read before somebody resumes it.
    ///
    /// # Errors
    /// A module refuses its configuration.
    pub fn start_paused(spec: PipelineSpec) -> Result<Arc<Self>, Fault> {
        Self::start_with(spec, Command::Pause, false)
    }

    /// As [`Pipeline::start_paused`], and nothing is opened or bound before: for a chain with a
    /// stand-in, with which no schema can be planned.
    ///
    /// # Errors
    /// A module refuses its configuration.
    pub fn start_waiting(spec: PipelineSpec) -> Result<Arc<Self>, Fault> {
        Self::start_with(spec, Command::Pause, true)
    }

    fn start_with(spec: PipelineSpec, command: Command, waits: bool) -> Result<Arc<Self>, Fault> {
        let chain = Arc::new(Chain::guarded(spec.stages.clone(), &spec.guards)?);
        for stage in chain.stages() {
            spec.metrics.version(&stage.name, &stage.version);
        }
        if let Some(policy) = &spec.policy {
            drop(policy.module.open(&policy.config)?);
        }
        let shared = Arc::new(Shared::new(Arc::clone(&spec.metrics)));
        let waits = Arc::new(AtomicBool::new(waits));
        let (command, commands) = watch::channel(command);
        let restart = Arc::new(Notify::new());
        let pipeline = Arc::new(Self {
            name: Arc::clone(&spec.name),
            source: spec.source.kind(),
            sinks: spec.sinks.iter().map(|s| s.connector.kind()).collect(),
            chain: Arc::clone(&chain),
            shared: Arc::clone(&shared),
            command,
            restart: Arc::clone(&restart),
            waits: Arc::clone(&waits),
        });
        let engine = Engine { spec, chain, shared, command: commands, restart, waits };
        tokio::spawn(Box::pin(engine.run()));
        Ok(pipeline)
    }

    /// The pipeline's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Brings up to date what is counted outside the pipeline: before metrics are rendered.
    pub fn count(&self) {
        self.shared.count_sinks();
    }

    /// A snapshot of the pipeline.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        let (mut state, reason) = self.shared.shown();
        let goes_on = state == State::Running || self.waits.load(Ordering::SeqCst);
        if goes_on && *self.command.borrow() == Command::Pause {
            state = State::Paused;
        }
        let m = &self.shared.metrics;
        let checkpoint = self.shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let phase = self.shared.source.phase.lock().unwrap_or_else(PoisonError::into_inner);
        PipelineStatus {
            name: self.name.to_string(),
            state,
            code: reason.is_some().then(|| self.shared.code()).flatten(),
            reason,
            source: self.source,
            sinks: self.sinks.clone(),
            phase: phase.clone(),
            records_in: m.records_in.get(),
            records_out: m.records_out.get(),
            dropped: m.dropped_all.get(),
            dead_letters: m.dead_letters_all.get(),
            in_flight: u64::try_from(m.in_flight.get()).unwrap_or(0),
            quarantined: self.shared.source.quarantined(),
            copies: self.shared.source.copies().iter().map(|t| CopyStatus::of(t)).collect(),
            lag_ms: self.shared.source.lag_ms.load(std::sync::atomic::Ordering::Relaxed),
            checkpoint: checkpoint
                .iter()
                .map(|(partition, at, _)| (partition.to_string(), at.to_string()))
                .collect(),
            stages: self.chain.stages(),
            fields: self.chain.fields(),
            misfits: self.chain.misfits(),
        }
    }

    /// Stops reading; what is in flight settles. Connections stay open.
    pub fn pause(&self) {
        self.command.send_if_modified(|c| {
            let run = *c == Command::Run;
            if run {
                *c = Command::Pause;
            }
            run
        });
    }

    /// Reads on after a pause, tries again after a failure or a pause over a module; breakers
    /// close.
    pub fn resume(&self) {
        self.command.send_if_modified(|c| {
            let paused = *c == Command::Pause;
            if paused {
                *c = Command::Run;
            }
            paused
        });
        if !self.shared.release() {
            self.chain.close_breakers();
        }
        if matches!(self.shared.state().0, State::Failed | State::Retrying) {
            self.restart.notify_one();
        }
    }

    /// Opens everything again from the checkpoint; what is in flight is read again.
    pub fn restart(&self) {
        self.restart.notify_one();
    }

    /// Hands a command to the source and waits for its answer, at most half a minute. `data` is
    /// JSON text; what the source understands is the source's.
    ///
    /// # Errors
    /// The pipeline does not run, or the source does not take it.
    pub async fn command(&self, id: String, kind: String, data: String) -> Result<(), Refusal> {
        if self.shared.state().0 != State::Running {
            return Err(Refusal::NotRunning);
        }
        let answer = self.shared.commands.send(id, kind, data);
        let answer = tokio::time::timeout(COMMAND_TIME_MAX, answer).await;
        answer.unwrap_or(Err(Refusal::Late))
    }

    /// Stops reading, settles what is in flight, writes the checkpoint, closes.
    pub async fn stop(&self) {
        self.command.send_replace(Command::Stop);
        self.wait(|s| matches!(s, State::Stopped | State::Completed)).await;
    }

    /// Waits until the source had an end and everything is settled, or the pipeline failed or
    /// paused over a module.
    ///
    /// # Errors
    /// Why it failed or paused.
    pub async fn finished(&self) -> Result<(), String> {
        // What somebody pauses is not shown in this state.
        let done =
            |s| matches!(s, State::Completed | State::Failed | State::Stopped | State::Paused);
        match self.wait(done).await {
            (State::Failed | State::Paused, reason) => Err(reason.unwrap_or_default()),
            _ => Ok(()),
        }
    }

    async fn wait(&self, done: impl Fn(State) -> bool) -> (State, Option<String>) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a change in between is not missed.
            changed.as_mut().enable();
            let state = self.shared.state();
            if done(state.0) {
                return state;
            }
            changed.await;
        }
    }

    /// Whether a stage runs the module of this name.
    #[must_use]
    pub fn uses(&self, module: &str) -> bool {
        self.chain.uses(module)
    }

    /// Whether another version of a module fits: opens it with this pipeline's configuration and
    /// binds the whole chain to the schemas in use. Changes nothing.
    ///
    /// # Errors
    /// The module refuses, or a field does not fit; the message says which.
    pub fn check_module(&self, candidate: &Arc<dyn Module>) -> Result<(), Fault> {
        self.chain.check(candidate)
    }

    /// Runs another version of a module (by its name) from the next planned batch on. A pipeline
    /// that paused over a module tries again.
    ///
    /// # Errors
    /// It does not open; the old version runs on.
    pub fn swap_module(&self, module: &Arc<dyn Module>) -> Result<(), Fault> {
        self.chain.swap(module)?;
        let identity = module.identity();
        self.shared.metrics.version(&identity.name, &identity.version);
        self.shared.metrics.swaps.inc();
        self.shared.release();
        Ok(())
    }
}
