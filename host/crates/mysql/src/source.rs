//! The connector's face: [`MySqlSource`] opens into a reader, fed by the reading task. There is
//! nothing to acknowledge but commands: the server keeps its log by its own rules, and the place in
//! it is ours.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use wasmgate_connector::{
    Finding, Source, SourceAcker, SourceContext, SourceEvent, SourceHalves, SourceReader,
    SourceStatus,
};
use wasmgate_model::{Checkpoint, Fault, FaultKind};
use wasmgate_replication::{Answers, Work};

use crate::assemble::partition;
use crate::check::check;
use crate::connect::Connector;
use crate::driver::Driver;
use crate::prepare::{Start, prepare};
use crate::quarantine::Held;
use crate::settings::Settings;
use crate::state::State;

/// Deliveries that wait for the consumer. One: it is processed while the next is filled.
const AHEAD: usize = 1;

/// Change capture from one MySQL or MariaDB server through its binary log.
#[derive(Debug, Clone)]
pub struct MySqlSource {
    settings: Arc<Settings>,
}

impl MySqlSource {
    /// A source with these settings. Nothing is connected yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

#[async_trait]
impl Source for MySqlSource {
    fn kind(&self) -> &'static str {
        "mysql"
    }

    async fn check(&self) -> Vec<Finding> {
        check(&self.settings).await
    }

    async fn open(&self, context: SourceContext) -> Result<SourceHalves, Fault> {
        let status = Arc::clone(&context.status);
        status.phase("connecting");
        status.connected.store(false, Ordering::Relaxed);
        for unknown in [&status.lag_ms, &status.lag_records, &status.retained_bytes] {
            unknown.store(-1, Ordering::Relaxed);
        }
        let connector = Connector::new(&self.settings);
        let stored = context.checkpoint.get(&partition());
        let stored = stored.map(|(at, state)| (at, state.and_then(|s| State::parse(s))));
        let prepared = Box::pin(prepare(&connector, &self.settings, stored)).await?;
        status.connected.store(true, Ordering::Relaxed);
        let held: &[Held] = match &prepared.start {
            Start::Stream { state, .. } => &state.quarantine,
            Start::Snapshot(_) | Start::Completed => &[],
        };
        status.quarantine(held.iter().map(Held::shown).collect());

        let (commands, taken) = (context.commands.receive(), Answers::default());
        let (events, receiver) = mpsc::channel(AHEAD);
        let settings = Arc::clone(&self.settings);
        let waiting = taken.clone();
        let driver = Driver { settings, connector, context, events, commands, taken: waiting };
        let task = tokio::spawn(driver.run(prepared)).abort_handle();
        let reader = Reader { events: receiver, status, task };
        Ok((Box::new(reader), Box::new(Acker { taken })))
    }
}

/// Dropping it ends the reading task.
struct Reader {
    events: mpsc::Receiver<Result<SourceEvent, Fault>>,
    status: Arc<SourceStatus>,
    task: AbortHandle,
}

#[async_trait]
impl SourceReader for Reader {
    async fn next(&mut self) -> Result<SourceEvent, Fault> {
        match self.events.recv().await {
            Some(Ok(event)) => Ok(event),
            Some(Err(fault)) => {
                self.status.connected.store(false, Ordering::Relaxed);
                Err(fault)
            }
            None => Err(Fault::new(FaultKind::Stopped, "the source is closed")),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
        self.status.connected.store(false, Ordering::Relaxed);
    }
}

struct Acker {
    /// Commands that wait for their place in the checkpoint.
    taken: Answers,
}

#[async_trait]
impl SourceAcker for Acker {
    async fn settled(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        if let Some((_, state)) = checkpoint.get(&partition())
            && !self.taken.is_empty()
        {
            let state = state.and_then(|state| State::parse(state));
            let work = state.and_then(|state| Work::parse(state.work.as_ref()));
            self.taken.stored(work.map_or(0, |work| work.commands));
        }
        Ok(())
    }
}
