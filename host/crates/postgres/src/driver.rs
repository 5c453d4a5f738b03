//! The reading task of an open source: the snapshot, then the stream, into deliveries. It runs
//! beside the consumer, so that decoding and processing overlap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use wasmgate_connector::{SourceCommand, SourceContext, SourceEvent, SourceStatus, random_id};
use wasmgate_model::{Fault, FaultKind, Position};

use crate::assemble::{Assembler, partition};
use crate::catalog::{TableName, quote};
use crate::changes::Told;
use crate::connect::{Connector, Purpose};
use crate::incremental::{Beside, Item, Parts, TableItem, Work};
use crate::prepare::{Prepared, Start, export};
use crate::protocol::Protocol;
use crate::pump::Pump;
use crate::quarantine::kept::{Keeper, Released};
use crate::replication::{Closing, Confirmed, Pace, Receiver};
use crate::session::{Session, number};
use crate::settings::{Settings, Snapshot as Mode};
use crate::snapshot::copied::Stamp;
use crate::snapshot::{self, Copy, Events, Export, Planner, hand_over};
use crate::state::State;
use crate::stream::{Stream, wanted};
use crate::table::{Naming, document_schema};
use crate::transactions::Transactions;
use crate::wire::READ;
use crate::wire_format::{self, TEXT_ONLY};
use wasmgate_replication::{About, Answers, Notifier, no_numbers};

/// What the reading task needs beside the prepared server.
pub(crate) struct Driver {
    pub settings: Arc<Settings>,
    pub connector: Connector,
    pub context: SourceContext,
    pub events: Events,
    pub confirmed: Arc<Confirmed>,
    pub closing: Closing,
    pub commands: mpsc::Receiver<SourceCommand>,
    pub taken: Answers,
    pub told: Told,
    pub released: Released,
    /// Set where values have to come as text when the source opens again.
    pub text_only: Arc<AtomicBool>,
}

impl Driver {
    /// Runs until the reader is gone, the source is completed or something fails.
    pub(crate) async fn run(self, prepared: Prepared) {
        let (events, text_only) = (self.events.clone(), Arc::clone(&self.text_only));
        if let Err(fault) = Box::pin(self.read(prepared)).await
            && fault.kind != FaultKind::Stopped
        {
            let text_only = fault.code() == TEXT_ONLY && text_only.swap(true, Ordering::Relaxed);
            // Asking for text again would change nothing.
            let fault = match text_only {
                true => Fault::new(FaultKind::SourceRefused, "values come as text already")
                    .because(fault),
                false => fault,
            };
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

    /// A first start says that it will read before it makes a slot: a slot without a checkpoint is
    /// taken for another reader's, and a start may be cut short between the two.
    async fn announce(&self, state: &State) -> Result<(), Fault> {
        if self.context.checkpoint.get(&partition()).is_some() {
            return Ok(());
        }
        self.assign(Position::default(), state).await?;
        tokio::select! {
            () = self.confirmed.until_assigned() => Ok(()),
            () = self.events.closed() => Err(Fault::new(FaultKind::Stopped, "the reader is gone")),
        }
    }

    async fn read(self, mut prepared: Prepared) -> Result<(), Fault> {
        let start = std::mem::replace(&mut prepared.start, Start::Completed);
        if let Start::Snapshot(_) = start {
            // Whatever was held back is read now.
            prepared.state.quarantine.clear();
        }
        let (settings, released) = (&self.settings.quarantine, self.released.clone());
        let keeper = Keeper::open(settings, released, &mut prepared.state.quarantine).await?;
        let (to, prefix) = (&self.settings.notifications, &self.settings.topic_prefix);
        let mut notifier = Notifier::new(to, prefix, document_schema);
        let (at, assembler) = match start {
            Start::Completed => return self.send(SourceEvent::Completed).await,
            Start::Stream { at, assigned } => {
                if assigned {
                    self.assign(at, &prepared.state).await?;
                }
                let context = self.context.clone();
                let mut out = Assembler::new(context, prepared.state.clone(), keeper, at);
                notifier.tell((About::Initial, None, "SKIPPED"), &[], &mut out)?;
                (at, out)
            }
            Start::Snapshot(slot) => {
                self.status().quarantine(Vec::new());
                self.announce(&prepared.state).await?;
                let (replication, version) = (&mut prepared.replication, prepared.version);
                let export = export(replication, &self.settings, version, slot).await?;
                // Stored before the first row: a crash from here on takes the snapshot again.
                self.assign(export.start(), &prepared.state).await?;
                let copy = self.snapshot(&mut prepared, &export, keeper, &mut notifier);
                let assembler = Box::pin(copy).await?;
                if self.settings.snapshot == Mode::InitialOnly {
                    return self.send(SourceEvent::Completed).await;
                }
                (Position::new(export.consistent_point, 0), assembler)
            }
        };
        self.status().snapshot_done.store(true, Ordering::Relaxed);
        self.stream(prepared, at, assembler, notifier).await
    }

    async fn snapshot(
        &self,
        prepared: &mut Prepared,
        export: &Export,
        keeper: Keeper,
        notifier: &mut Notifier,
    ) -> Result<Assembler, Fault> {
        self.status().phase("snapshot");
        self.status().snapshot_rows.store(0, Ordering::Relaxed);
        let (settings, naming) = (&*self.settings, Naming::new(&self.settings));
        let (context, state) = (self.context.clone(), prepared.state.clone());
        let mut out = Assembler::new(context, state, keeper, export.start());
        let mut session = self.connector.connect(Purpose::Query).await?;
        snapshot::begin(&mut session, &export.name).await?;
        let (catalog, status) = (&mut prepared.catalog, self.status());
        let mut planner =
            Planner { session: &mut session, catalog, naming: &naming, settings, status };
        let (mut tables, mut later) = (Vec::new(), Vec::new());
        for table in prepared.tables.iter().filter(|t| copied_first(settings, &t.name)) {
            if settings.snapshot != Mode::InitialOnly && planner.is_for_chunks(table).await? {
                later.push(TableItem::of(&table.name));
            } else {
                let planned = planner.table(table, None).await?;
                if !out.hold_misfit(&planned.table, export.start())? {
                    tables.push(planned);
                }
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
        let events = &self.events;
        Copy { sessions, tables, stamp, out: &mut out, events, notifier }.run().await?;
        // With the last rows goes the word that there are no more.
        out.state().snapshot_done = true;
        if !later.is_empty() {
            let id = random_id().map_err(no_numbers)?;
            let work = Work { queue: vec![Item::of(&id, later)], ..Work::default() };
            out.state().work = work.stored();
        }
        out.reached(Position::new(export.consistent_point, 0));
        hand_over(&mut out, &self.events).await?;
        Ok(out)
    }

    async fn stream(
        self,
        prepared: Prepared,
        at: Position,
        out: Assembler,
        notifier: Notifier,
    ) -> Result<(), Fault> {
        let Self { settings, connector, context, events, confirmed, closing, told, .. } = self;
        context.status.phase("streaming");
        let Prepared { mut replication, mut catalog, tables, .. } = prepared;
        let server = Server::ask(&mut replication, &settings).await?;
        let binary = wire_format::is_binary(&mut catalog, &settings).await?;
        let protocol = Protocol::choose(&settings.stream, server.version, binary)?;
        let dir = settings.stream.dir.clone();
        let limits = settings.stream.limits;
        let mut transactions = Transactions::new(dir, limits, Arc::clone(&confirmed))?;
        if settings.stream.two_phase {
            transactions.resume_prepared(at.major);
        }
        let wire = replication.replicate(&protocol.start(&settings, at)).await?;
        confirmed.advance(at.major);
        let beside = Beside::new(Parts {
            settings: Arc::clone(&settings),
            naming: Naming::new(&settings),
            connector: connector.clone(),
            status: Arc::clone(&context.status),
            confirmed: Arc::clone(&confirmed),
            notifier,
            work: Work::parse(out.work()).unwrap_or_default(),
            commands: self.commands,
            taken: self.taken,
        });
        let pace = server.pace;
        let (sender, chunks) = mpsc::channel((settings.read_ahead / READ).max(1));
        tokio::spawn(Receiver::new(wire, connector.who, sender, confirmed, closing, pace).run());
        let wanted = wanted(&tables, &settings);
        let naming = Naming::new(&settings);
        let mut stream =
            Stream::new(Arc::clone(&settings), naming, catalog, wanted, at, transactions);
        stream.told = told;
        stream.binary = binary;
        stream.remembers = out.keeps();
        stream.watch.signal_table = settings.signals.table();
        Pump { settings, status: context.status, events, chunks, stream, out, beside }.run().await
    }
}

/// Whether the first snapshot reads a table. The signal table is not a table of the user's, unless
/// it is named as one.
fn copied_first(settings: &Settings, name: &TableName) -> bool {
    let text = name.to_string();
    let signals = settings.signals.table().as_ref() == Some(name);
    let named = settings.tables.is_empty() || settings.tables.contains(&text);
    settings.snapshots.includes(&text) && (named || !signals)
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
