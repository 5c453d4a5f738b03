//! Opens sessions again: after a fault that time may heal, after a pause; after any other, when
//! somebody says resume or restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, watch};
use wasmgate_connector::Planner as _;
use wasmgate_model::{Fault, Retry};

use crate::backoff::Backoff;
use crate::chain::Chain;
use crate::pipeline::Command;
use crate::session::{self, End, Parts, Shared};
use crate::spec::PipelineSpec;
use crate::status::State;

/// How long a stop waits for what is in flight.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(20);

/// A session that held so long was no failed try: the next pause is a short one again.
const STEADY: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) struct Engine {
    pub(crate) spec: PipelineSpec,
    pub(crate) chain: Arc<Chain>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) command: watch::Receiver<Command>,
    pub(crate) restart: Arc<Notify>,
    /// The first session begins when somebody says so.
    pub(crate) waits: Arc<AtomicBool>,
}

/// What to do after a session.
enum Next {
    Again,
    End,
}

impl Engine {
    /// Runs until the source is completed or a stop is asked for.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        if self.waits.load(Ordering::SeqCst) {
            let begin = self.told_to_begin().await;
            self.waits.store(false, Ordering::SeqCst);
            if !begin {
                return self.shared.set(State::Stopped, None);
            }
        }
        loop {
            let started = std::time::Instant::now();
            let ended = self.session().await;
            if started.elapsed() > STEADY {
                backoff.reset();
            }
            let next = match ended {
                Some(Ok(End::Completed)) => {
                    self.shared.set(State::Completed, None);
                    Next::End
                }
                Some(Ok(End::Stopped)) | None if self.stopping() => {
                    self.shared.set(State::Stopped, None);
                    Next::End
                }
                Some(Ok(End::Stopped)) | None => Next::Again,
                Some(Ok(End::Held)) => self.held().await,
                Some(Err(fault)) => self.failed(fault, &mut backoff).await,
            };
            match next {
                Next::Again => {}
                Next::End => return,
            }
        }
    }

    /// Waits for the first resume or restart. False: a stop came instead.
    async fn told_to_begin(&mut self) -> bool {
        loop {
            let command = *self.command.borrow_and_update();
            match command {
                Command::Run => return true,
                Command::Stop => return false,
                Command::Pause => {}
            }
            tokio::select! {
                () = self.restart.notified() => return true,
                changed = self.command.changed() => if changed.is_err() {
                    return false;
                },
            }
        }
    }

    fn stopping(&self) -> bool {
        *self.command.borrow() == Command::Stop
    }

    /// One session; `None` if it was cut short by a restart or a stop that took too long.
    async fn session(&mut self) -> Option<Result<End, Fault>> {
        self.shared.set(State::Starting, None);
        let parts = Parts {
            spec: &self.spec,
            chain: &self.chain,
            shared: &self.shared,
            command: self.command.clone(),
        };
        let started = std::time::Instant::now();
        let mut command = self.command.clone();
        let run = session::run(parts);
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => Some(ended),
            () = self.restart.notified() => {
                tracing::info!(pipeline = %self.spec.name, "restarting from the checkpoint");
                None
            }
            () = overdue(&mut command) => {
                tracing::warn!(pipeline = %self.spec.name, "not everything could be settled; it will be read again");
                None
            }
        };
        tracing::debug!(pipeline = %self.spec.name, seconds = started.elapsed().as_secs(), "session ended");
        ended
    }

    /// A module cannot go on: waits until somebody swaps in another version, resumes or restarts.
    async fn held(&mut self) -> Next {
        let Some(hold) = self.shared.held() else { return Next::Again };
        self.shared.metrics.restart(hold.fault);
        let next = if hold.chain < self.chain.version() && !self.stopping() {
            // Another version came while this one was draining.
            Next::Again
        } else {
            tracing::error!(pipeline = %self.spec.name, reason = hold.reason, "pipeline paused");
            self.shared.set(State::Paused, Some(hold.reason));
            if self.stopping() { self.stopped() } else { self.wait(None).await }
        };
        self.chain.close_breakers();
        self.chain.forget_misfits();
        next
    }

    fn stopped(&self) -> Next {
        let (_, reason) = self.shared.state();
        self.shared.set(State::Stopped, reason);
        Next::End
    }

    async fn failed(&mut self, fault: Fault, backoff: &mut Backoff) -> Next {
        let reason = fault.chain();
        self.shared.metrics.restart(fault.code());
        if self.stopping() {
            self.shared.fault(State::Stopped, &fault);
            return Next::End;
        }
        let timed = fault.retry() == Retry::Timed;
        if timed {
            let pause = backoff.next(fault.kind);
            tracing::warn!(pipeline = %self.spec.name, fault = reason, ?pause, "pipeline will be opened again");
            self.shared.fault(State::Retrying, &fault);
            self.wait(Some(pause)).await
        } else {
            let code = fault.code();
            tracing::error!(pipeline = %self.spec.name, code, fault = reason, "pipeline failed");
            self.shared.fault(State::Failed, &fault);
            let next = self.wait(None).await;
            backoff.reset();
            next
        }
    }

    /// Waits for the pause to pass, a restart or a stop.
    async fn wait(&mut self, pause: Option<std::time::Duration>) -> Next {
        let timer = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timer);
        loop {
            tokio::select! {
                () = &mut timer => return Next::Again,
                () = self.restart.notified() => return Next::Again,
                () = self.shared.until_released() => return Next::Again,
                changed = self.command.changed() => {
                    if changed.is_err() || self.stopping() {
                        return self.stopped();
                    }
                }
            }
        }
    }
}

/// Returns a while after a stop was asked for.
async fn overdue(command: &mut watch::Receiver<Command>) {
    if command.wait_for(|c| *c == Command::Stop).await.is_err() {
        return std::future::pending().await;
    }
    tokio::time::sleep(DRAIN).await;
}
