//! The reading task of an open source: the snapshot, then the stream, into deliveries. It runs
//! beside the consumer, so that decoding and processing overlap.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use wasmgate_connector::{SourceContext, SourceEvent, SourceStatus};
use wasmgate_model::{Fault, FaultKind, Position};

use crate::assemble::{Assembler, partition};
use crate::catalog::quote;
use crate::connect::{Connector, Purpose};
use crate::notify::{About, Notifier};
use crate::prepare::{Prepared, Start};
use crate::protocol::Protocol;
use crate::pump::Pump;
use crate::replication::{Closing, Confirmed, Pace, Receiver};
use crate::session::{Session, number};
use crate::settings::{Settings, Snapshot as Mode};
use crate::snapshot::copied::Stamp;
use crate::snapshot::{self, Copy, Events, Export, Planner, hand_over};
use crate::state::State;
use crate::stream::{Stream, wanted};
use crate::table::Naming;
use crate::transactions::Transactions;
use crate::wire::READ;

/// What the reading task needs beside the prepared server.
pub(crate) struct Driver {
    pub settings: Arc<Settings>,
    pub connector: Connector,
    pub context: SourceContext,
    pub events: Events,
    pub confirmed: Arc<Confirmed>,
    pub closing: Closing,
}

impl Driver {
    /// Runs until the reader is gone, the source is completed or something fails.
    pub(crate) async fn run(self, prepared: Prepared) {
        let events = self.events.clone();
        if let Err(fault) = Box::pin(self.read(prepared)).await
            && fault.kind != FaultKind::Stopped
        {
            drop(events.send(Err(fault)).await);
        }
    }

    fn status(&self) -> &SourceStatus {
        &self.context.status
    }

    async fn send(&self, event: SourceEvent) -> Result<(), Fault> {
        let sent = self.events.send(Ok(event)).await;
        sent.map_err(|_| Fault::new(FaultKind::Stopped, "the reader is gone"))
    }

    async fn assign(&self, at: Position, state: &State) -> Result<(), Fault> {
        let state = Some(state.to_bytes());
        self.send(SourceEvent::Assigned { partition: partition(), at, state }).await
    }

    async fn read(self, mut prepared: Prepared) -> Result<(), Fault> {
        let start = std::mem::replace(&mut prepared.start, Start::Completed);
        let (at, assembler) = match start {
            Start::Completed => return self.send(SourceEvent::Completed).await,
            Start::Stream { at, assigned } => {
                if assigned {
                    self.assign(at, &prepared.state).await?;
                }
                let mut out = Assembler::new(self.context.clone(), prepared.state.clone(), at);
                let mut notifier = Notifier::new(&self.settings);
                notifier.tell((About::Initial, None, "SKIPPED"), &[], &mut out)?;
                (at, out)
            }
            Start::Snapshot(export) => {
                // Stored before the first row: a crash from here on takes the snapshot again.
                self.assign(export.start(), &prepared.state).await?;
                let assembler = Box::pin(self.snapshot(&mut prepared, &export)).await?;
                if self.settings.snapshot == Mode::InitialOnly {
                    return self.send(SourceEvent::Completed).await;
                }
                (Position::new(export.consistent_point, 0), assembler)
            }
        };
        self.status().snapshot_done.store(true, Ordering::Relaxed);
        self.stream(prepared, at, assembler).await
    }

    async fn snapshot(&self, prepared: &mut Prepared, export: &Export) -> Result<Assembler, Fault> {
        self.status().phase("snapshot");
        self.status().snapshot_rows.store(0, Ordering::Relaxed);
        let (settings, naming) = (&*self.settings, Naming::new(&self.settings));
        let mut out = Assembler::new(self.context.clone(), prepared.state.clone(), export.start());
        let mut session = self.connector.connect(Purpose::Query).await?;
        snapshot::begin(&mut session, &export.name).await?;
        let (catalog, status) = (&mut prepared.catalog, self.status());
        let mut planner =
            Planner { session: &mut session, catalog, naming: &naming, settings, status };
        let mut tables = Vec::new();
        for table in &prepared.tables {
            if settings.snapshots.includes(&table.name.to_string()) {
                tables.push(planner.table(table, &[]).await?);
            }
        }
        let stamp = Stamp::ask(&mut session, export.consistent_point).await?;
        let pieces: usize = tables.iter().map(|t| t.pieces.len()).sum();
        let mut sessions = vec![session];
        while sessions.len() < settings.snapshots.threads.min(pieces) {
            let mut session = self.connector.connect(Purpose::Query).await?;
            snapshot::begin(&mut session, &export.name).await?;
            sessions.push(session);
        }
        if let Some(slot) = &export.temporary_slot {
            let sql = format!("DROP_REPLICATION_SLOT {}", quote(slot));
            prepared.replication.query("cannot drop the temporary slot", &sql).await?;
        }
        let mut notifier = Notifier::new(settings);
        let (events, notifier) = (&self.events, &mut notifier);
        Copy { sessions, tables, stamp, out: &mut out, events, notifier }.run().await?;
        // With the last rows goes the word that there are no more.
        out.state().snapshot_done = true;
        out.reached(Position::new(export.consistent_point, 0));
        hand_over(&mut out, &self.events).await?;
        Ok(out)
    }

    async fn stream(self, prepared: Prepared, at: Position, out: Assembler) -> Result<(), Fault> {
        let Self { settings, connector, context, events, confirmed, closing } = self;
        context.status.phase("streaming");
        let Prepared { mut replication, catalog, tables, .. } = prepared;
        let server = Server::ask(&mut replication, &settings).await?;
        let protocol = Protocol::choose(&settings.stream, server.version)?;
        let dir = settings.stream.dir.clone();
        let limits = settings.stream.limits;
        let mut transactions = Transactions::new(dir, limits, Arc::clone(&confirmed))?;
        if settings.stream.two_phase {
            transactions.resume_prepared(at.major);
        }
        let wire = replication.replicate(&protocol.start(&settings, at)).await?;
        confirmed.advance(at.major);
        let pace = server.pace;
        let (sender, chunks) = mpsc::channel((settings.read_ahead / READ).max(1));
        tokio::spawn(Receiver::new(wire, connector.who, sender, confirmed, closing, pace).run());
        let wanted = wanted(&tables, &settings);
        let naming = Naming::new(&settings);
        let stream = Stream::new(Arc::clone(&settings), naming, catalog, wanted, at, transactions);
        Pump { settings, status: context.status, events, chunks, stream, out }.run().await
    }
}

/// What the stream has to know of the server.
struct Server {
    version: u32,
    pace: Pace,
}

impl Server {
    /// The server cuts us off after its `wal_sender_timeout` without a word: it hears of us three
    /// times as often.
    async fn ask(replication: &mut Session, settings: &Settings) -> Result<Self, Fault> {
        let sql = "SELECT setting, current_setting('server_version_num') \
                   FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
        let rows = replication.query("cannot read the server's settings", sql).await?;
        let timeout = rows.first().map_or(0, |row| number::<u64>(row, 0));
        let version = rows.first().map_or(0, |row| number(row, 1));
        let bound = Duration::from_millis(timeout / 3);
        let status = settings.status_interval;
        let status = if timeout == 0 { status } else { status.min(bound) };
        let ask = settings.heartbeat.unwrap_or(settings.status_interval);
        Ok(Self { version, pace: Pace { status: status.max(Duration::from_millis(10)), ask } })
    }
}
