//! The connector's face: [`PostgresSource`] opens into a reader, fed by the reading task, and an
//! acker, which tells the socket task what is settled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use wasmgate_connector::{
    Finding, Source, SourceAcker, SourceContext, SourceEvent, SourceHalves, SourceReader,
    SourceStatus,
};
use wasmgate_model::{Checkpoint, Fault, FaultKind};

use crate::assemble::partition;
use crate::check::check;
use crate::connect::Connector;
use crate::driver::Driver;
use crate::prepare::prepare;
use crate::publication::named_tables;
use crate::replication::Confirmed;
use crate::settings::Settings;
use crate::state::State;

/// Deliveries that wait for the consumer. One: it is processed while the next is filled.
const AHEAD: usize = 1;
/// How long the server may take to let go at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Change capture from one Postgres database through one replication slot.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    settings: Arc<Settings>,
}

impl PostgresSource {
    /// A source with these settings. Nothing is connected yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

#[async_trait]
impl Source for PostgresSource {
    fn kind(&self) -> &'static str {
        "postgres"
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
        named_tables(&self.settings)?;
        let connector = Connector::new(&self.settings)?;
        let stored = context.checkpoint.get(&partition());
        let stored = stored.map(|(at, state)| (at, state.and_then(|s| State::parse(s))));
        let prepared = Box::pin(prepare(&connector, &self.settings, stored)).await?;
        status.connected.store(true, Ordering::Relaxed);

        let (events, receiver) = mpsc::channel(AHEAD);
        let (closer, closing) = mpsc::channel(1);
        let confirmed = Arc::new(Confirmed::default());
        let driver = Driver {
            settings: Arc::clone(&self.settings),
            connector,
            context,
            events,
            confirmed: Arc::clone(&confirmed),
            closing,
        };
        let task = tokio::spawn(driver.run(prepared)).abort_handle();
        let reader = Reader { events: receiver, status: Arc::clone(&status), task };
        Ok((Box::new(reader), Box::new(Acker { confirmed, closer, status })))
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
    confirmed: Arc<Confirmed>,
    closer: mpsc::Sender<oneshot::Sender<()>>,
    status: Arc<SourceStatus>,
}

#[async_trait]
impl SourceAcker for Acker {
    async fn settled(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        if let Some((at, _)) = checkpoint.get(&partition()) {
            self.confirmed.advance(at.major);
        }
        Ok(())
    }

    async fn close(&mut self) {
        // While the snapshot runs there is no stream to end: the reader's end is enough.
        if !self.status.snapshot_done.load(Ordering::Relaxed) {
            return;
        }
        let (done, closed) = oneshot::channel();
        if self.closer.send(done).await.is_ok() {
            drop(tokio::time::timeout(GOODBYE, closed).await);
        }
    }
}
