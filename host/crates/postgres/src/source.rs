//! The connector's face: [`PostgresSource`] opens into a reader, fed by the reading task, and an
//! acker, which tells the socket task what is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
use crate::catalog::{Catalog, quote};
use crate::changes::Told;
use crate::check::check;
use crate::connect::Connector;
use crate::driver::Driver;
use crate::incremental::Work;
use crate::prepare::prepare;
use crate::publication::found::look;
use crate::publication::named_tables;
use crate::quarantine::Held;
use crate::quarantine::kept::Released;
use crate::replication::Confirmed;
use crate::settings::{Settings, WireFormat};
use crate::slot::{drop_slot, slot};
use crate::slot_watch::SlotWatch;
use crate::state::State;
use wasmgate_replication::Answers;

/// Deliveries that wait for the consumer. One: it is processed while the next is filled.
const AHEAD: usize = 1;
/// How long the server may take to let go at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Change capture from one Postgres database through one replication slot.
#[derive(Debug, Clone)]
pub struct PostgresSource {
    settings: Arc<Settings>,
    /// Changes of tables that it stopped over.
    told: Told,
    /// Values met that cannot be read in binary.
    text_only: Arc<AtomicBool>,
}

impl PostgresSource {
    /// A source with these settings. Nothing is connected yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), told: Told::default(), text_only: Arc::default() }
    }

    /// The replication slot as the server has it; `None`: there is none.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn slot(&self) -> Result<Option<SlotState>, Fault> {
        let mut catalog = Catalog::new(Connector::new(&self.settings)?);
        let found = slot(&mut catalog, &self.settings.slot).await?;
        Ok(found.map(|found| SlotState {
            name: self.settings.slot.clone(),
            reader: found.active_pid,
            confirmed: found.confirmed.map(|at| at.to_string()),
            retained_bytes: found.retained,
            safe_bytes: found.safe,
            health: found.health.word(),
        }))
    }

    /// Drops the slot, and ends whoever reads it; with `publication` that goes too. Answers what
    /// was dropped. What was not read is lost to this pipeline.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn drop_slot(&self, publication: bool) -> Result<Vec<String>, Fault> {
        let mut catalog = Catalog::new(Connector::new(&self.settings)?);
        let mut dropped = Vec::new();
        if drop_slot(&mut catalog, &self.settings.slot).await? {
            dropped.push(format!("slot {}", self.settings.slot));
        }
        let name = &self.settings.publication;
        if publication && look(&mut catalog, name).await?.is_some() {
            let sql = format!("DROP PUBLICATION {}", quote(name));
            catalog.query("cannot drop the publication", &sql).await?;
            dropped.push(format!("publication {name}"));
        }
        Ok(dropped)
    }
}

/// A replication slot, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotState {
    pub name: String,
    /// Server process that reads it.
    pub reader: Option<u32>,
    /// What is settled.
    pub confirmed: Option<String>,
    /// Bytes of log kept for it; -1 while unknown.
    pub retained_bytes: i64,
    /// Bytes that may be written before it is in danger; `None`: no bound.
    pub safe_bytes: Option<i64>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub health: &'static str,
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
        let unknown =
            [&status.lag_ms, &status.lag_records, &status.retained_bytes, &status.place_health];
        for unknown in unknown {
            unknown.store(-1, Ordering::Relaxed);
        }
        named_tables(&self.settings)?;
        let connector = Connector::new(&self.settings)?;
        let stored = context.checkpoint.get(&partition());
        let stored = stored.map(|(at, state)| (at, state.and_then(|s| State::parse(s))));
        let prepared = Box::pin(prepare(&connector, &self.settings, stored)).await?;
        status.connected.store(true, Ordering::Relaxed);
        status.quarantine(prepared.state.quarantine.iter().map(Held::shown).collect());

        let (commands, taken) = (context.commands.receive(), Answers::default());
        let released = Released::default();
        let (events, receiver) = mpsc::channel(AHEAD);
        let (closer, closing) = mpsc::channel(1);
        let confirmed = Arc::new(Confirmed::default());
        let (alarm, alarms) = mpsc::channel(1);
        let mut settings = Arc::clone(&self.settings);
        if self.text_only.load(Ordering::Relaxed) {
            Arc::make_mut(&mut settings).wire_format = WireFormat::Text;
        }
        let watched = (connector.clone(), Arc::clone(&status));
        tokio::spawn(SlotWatch::new(Arc::clone(&settings), watched.0, watched.1, alarm).run());
        let dropping = self.settings.slot_care.drop_on_stop.then(|| connector.clone());
        let driver = Driver {
            settings,
            connector,
            context,
            events,
            confirmed: Arc::clone(&confirmed),
            closing,
            commands,
            taken: taken.clone(),
            told: self.told.clone(),
            released: released.clone(),
            text_only: Arc::clone(&self.text_only),
        };
        let task = tokio::spawn(driver.run(prepared)).abort_handle();
        let reader = Reader {
            events: receiver,
            alarms,
            status: Arc::clone(&status),
            confirmed: Arc::clone(&confirmed),
            assigned: false,
            task,
        };
        let acker = Acker { confirmed, closer, status, dropping, taken, released };
        Ok((Box::new(reader), Box::new(acker)))
    }
}

/// Dropping it ends the reading task.
struct Reader {
    events: mpsc::Receiver<Result<SourceEvent, Fault>>,
    /// What ends the source whatever the stream brings.
    alarms: mpsc::Receiver<Fault>,
    status: Arc<SourceStatus>,
    confirmed: Arc<Confirmed>,
    /// The last event was an assignment: whoever asks for the next has stored it.
    assigned: bool,
    task: AbortHandle,
}

#[async_trait]
impl SourceReader for Reader {
    async fn next(&mut self) -> Result<SourceEvent, Fault> {
        if std::mem::take(&mut self.assigned) {
            self.confirmed.assigned();
        }
        let next = tokio::select! {
            biased;
            Some(fault) = self.alarms.recv() => Some(Err(fault)),
            next = self.events.recv() => next,
        };
        match next {
            Some(Ok(event)) => {
                self.assigned = matches!(event, SourceEvent::Assigned { .. });
                Ok(event)
            }
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
    /// The slot goes at the end.
    dropping: Option<Connector>,
    taken: Answers,
    /// Files of tables that went on.
    released: Released,
}

impl Acker {
    /// Tells the socket task to confirm and say goodbye.
    async fn goodbye(&self) {
        let (done, closed) = oneshot::channel();
        if self.closer.send(done).await.is_ok() {
            drop(tokio::time::timeout(GOODBYE, closed).await);
        }
    }
}

#[async_trait]
impl SourceAcker for Acker {
    async fn settled(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        if let Some((at, state)) = checkpoint.get(&partition()) {
            self.confirmed.advance(at.major);
            if !self.taken.is_empty() || !self.released.is_empty() {
                let state = state.and_then(|state| State::parse(state));
                if let Some(state) = &state {
                    self.released.stored(at, &state.quarantine);
                }
                let work = state.and_then(|state| Work::parse(state.work.as_ref()));
                self.taken.stored(work.map_or(0, |work| work.commands));
            }
        }
        Ok(())
    }

    async fn close(&mut self) {
        // While the snapshot runs there is no stream to end: the reader's end is enough.
        if self.status.snapshot_done.load(Ordering::Relaxed) {
            self.goodbye().await;
        }
        let Some(connector) = self.dropping.take() else { return };
        let slot = connector.who.slot.clone();
        let mut catalog = Catalog::new(connector);
        match tokio::time::timeout(GOODBYE * 2, drop_slot(&mut catalog, &slot)).await {
            Ok(Ok(_)) => tracing::info!(slot, "the slot was dropped, as `drop_on_stop` says"),
            Ok(Err(fault)) => tracing::error!(slot, error = fault.chain(), "the slot stays"),
            Err(_) => tracing::error!(slot, "the slot stays: the server does not answer"),
        }
    }
}
