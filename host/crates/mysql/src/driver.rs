//! The reading task of an open source: the snapshot, then the stream, into deliveries. It runs
//! beside the consumer, so that decoding and processing overlap.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use wasmgate_connector::{SourceCommand, SourceContext, SourceEvent, SourceStatus, random_id};
use wasmgate_model::{Fault, FaultKind, Position};
use wasmgate_replication::{About, Answers, Item, Notifier, TableItem, Work, no_numbers};

use crate::assemble::{Assembler, now_us, partition};
use crate::catalog::Server;
use crate::connect::{Connector, Session};
use crate::dump::{Dump, raw};
use crate::fault::protocol;
use crate::gtid::GtidSet;
use crate::heartbeat::{Heartbeat, tick};
use crate::history::History;
use crate::incremental::{Beside, Parts};
use crate::prepare::{Prepared, Start, fresh_history};
use crate::schema_topic::{Beginning, SchemaTopic, tell_tables};
use crate::settings::{Settings, Snapshot as Mode};
use crate::snapshot::{Copy, Events, begin, hand_over, plan};
use crate::state::{Place, State};
use crate::stream::Stream;
use crate::table::{Naming, document_schema};

/// What the reading task needs beside the prepared server.
pub(crate) struct Driver {
    pub settings: Arc<Settings>,
    pub connector: Connector,
    pub context: SourceContext,
    pub events: Events,
    pub commands: mpsc::Receiver<SourceCommand>,
    pub taken: Answers,
}

/// Where the stream begins.
struct From {
    at: Position,
    state: State,
    dump: Box<Dump>,
    history: History,
    server: Server,
    session: Session,
    notifier: Notifier,
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
        let mut naming = Naming {
            settings: Arc::clone(&self.settings),
            maria: prepared.server.maria,
            lower_names: prepared.server.lower_names,
            charsets: std::mem::take(&mut prepared.charsets),
        };
        let (to, prefix) = (&self.settings.notifications, &self.settings.topic_prefix);
        let mut notifier = Notifier::new(to, prefix, document_schema);
        let start = std::mem::replace(&mut prepared.start, Start::Completed);
        let (from, out) = match start {
            Start::Completed => return self.send(SourceEvent::Completed).await,
            Start::Stream { at, mut state, dump, history, assigned } => {
                if assigned {
                    self.assign(at, &state).await?;
                }
                let Prepared { server, session, .. } = prepared;
                // With GTIDs another server of the topology may go on; its files are its own.
                if state.server != server.identity && state.executed != GtidSet::None {
                    state.server.clone_from(&server.identity);
                    state.place = Place::default();
                }
                let held = std::mem::take(&mut state.quarantine);
                let mut out = Assembler::new(self.context.clone(), at, held, prefix);
                notifier.tell((About::Initial, None, "SKIPPED"), &[], &mut out)?;
                (From { at, state: *state, dump, history, server, session, notifier }, out)
            }
            Start::Snapshot(at) => {
                let server = prepared.server.clone();
                let read = self.snapshot(prepared, &mut naming, &mut notifier, at);
                let (state, history, out) = Box::pin(read).await?;
                if self.settings.snapshot == Mode::InitialOnly {
                    return self.send(SourceEvent::Completed).await;
                }
                let dump = Box::new(Dump::start(&self.connector, &state).await?);
                let session = self.connector.connect().await?;
                let at = out.place();
                (From { at, state, dump, history, server, session, notifier }, out)
            }
        };
        self.status().snapshot_done.store(true, Ordering::Relaxed);
        self.stream(naming, from, out).await
    }

    /// Reads the tables; also answers what is read in chunks beside the stream.
    async fn snapshot(
        &self,
        prepared: Prepared,
        naming: &mut Naming,
        notifier: &mut Notifier,
        at: Position,
    ) -> Result<(State, History, Assembler), Fault> {
        let Prepared { session, server, .. } = prepared;
        let (settings, status) = (&*self.settings, self.status());
        status.phase("snapshot");
        status.snapshot_rows.store(0, Ordering::Relaxed);
        let mut sessions = vec![session];
        let mut state = begin(&mut sessions, settings, &self.connector, &server).await?;
        // Stored before the first row: a crash from here on takes the snapshot again.
        self.assign(at, &state).await?;
        // Whatever was held back is read now.
        let prefix = &settings.topic_prefix;
        let mut out = Assembler::new(self.context.clone(), at, Vec::new(), prefix);
        let threads = sessions.len();
        let session = sessions.first_mut().ok_or_else(|| protocol("no connection"))?;
        let history = fresh_history(session, &server, settings, at).await?;
        // Debezium tells whole milliseconds.
        let time_us = now_us() / 1000 * 1000;
        if let Some(topic) = SchemaTopic::new(settings, naming.maria) {
            let (history, state, events) = (&history, &state, &self.events);
            let beginning = Beginning { history, state, events, at, time_us };
            tell_tables(&topic, session, &mut out, beginning).await?;
        }
        let (mut tables, later) =
            plan((session, threads), &server, naming, &history, status).await?;
        let mut held = Vec::new();
        for planned in &tables {
            held.push(out.holds(&planned.table, at)?);
        }
        let mut held = held.into_iter();
        tables.retain(|_| !held.next().unwrap_or_default());
        sessions.truncate(tables.iter().map(|t| t.pieces.len()).sum::<usize>().max(1));
        let (stored, place) = (state.to_bytes(), &state.place);
        let out_ = (&mut out, &self.events, stored);
        Copy { sessions, tables, place, time_us, out: out_, status, notifier }.run().await?;
        // With the last rows goes the word that there are no more.
        state.snapshot_done = true;
        state.quarantine = out.held().to_vec();
        if !later.is_empty() {
            let id = random_id().map_err(no_numbers)?;
            let name = |(schema, table)| TableItem { schema, table, ..TableItem::default() };
            let later = later.into_iter().map(name).collect();
            let work = Work { queue: vec![Item::of(&id, later)], ..Work::default() };
            state.work = work.stored();
        }
        out.reached(Position::new(out.place().major + 1, 0));
        hand_over(&mut out, state.to_bytes(), &self.events).await?;
        Ok((state, history, out))
    }

    async fn stream(self, naming: Naming, from: From, mut out: Assembler) -> Result<(), Fault> {
        let Self { settings, connector, context, events, commands, taken } = self;
        let status = Arc::clone(&context.status);
        status.phase("streaming");
        let From { at, state, mut dump, history, server, session, notifier } = from;
        let mut signs = Heartbeat::new(&settings, &connector);
        let mut beside = Beside::new(Parts {
            settings: Arc::clone(&settings),
            server: Arc::new(server),
            naming: naming.clone(),
            connector: connector.clone(),
            status: Arc::clone(&status),
            notifier,
            work: Work::parse(state.work.as_ref()).unwrap_or_default(),
            commands,
            taken,
        });
        let mut stream = Stream::new((connector, session), naming, history, at, state);
        let period = settings.heartbeat;
        let mut beat = interval_at(Instant::now() + period, period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beside.step(&mut stream, &mut out, &events).await?;
        let mut overdue = false;
        loop {
            if let Some(signs) = &mut signs {
                signs.flush(stream.between(&out), &mut out)?;
            }
            let rows = out.has_rows();
            let deadline = out.deadline().unwrap_or_else(Instant::now);
            let due = overdue || !stream.in_transaction();
            tokio::select! {
                biased;
                // An idle or foreign log moves on too, so that a restart begins near its end.
                _ = beat.tick(), if !rows => if out.has_moved() {
                    let state = stream.state(&out);
                    hand_over(&mut out, state, &events).await?;
                },
                event = beside.next() => {
                    beside.take(event, &mut stream, &mut out, &events).await?;
                }
                () = tick(&mut signs) => {}
                event = dump.next() => {
                    stream.event(raw(&event?), &mut out).await?;
                    if !stream.in_transaction() && beside.is_due(&stream, &out) {
                        beside.step(&mut stream, &mut out, &events).await?;
                    }
                    if out.is_full() {
                        let state = stream.state(&out);
                    hand_over(&mut out, state, &events).await?;
                        tell_lag(&stream, &status);
                    } else if !out.has_rows() && !stream.in_transaction() {
                        status.lag_ms.store(0, Ordering::Relaxed);
                    }
                }
                permit = events.reserve(), if rows && due => {
                    let Ok(permit) = permit else { return Ok(()) };
                    let state = stream.state(&out);
                    permit.send(Ok(SourceEvent::Delivery(out.take(state))));
                    overdue = false;
                    tell_lag(&stream, &status);
                }
                () = sleep_until(deadline), if rows && !due => overdue = true,
                () = events.closed() => return Ok(()),
            }
        }
    }
}

fn tell_lag(stream: &Stream, status: &SourceStatus) {
    if let Some(commit_us) = stream.last_commit_us {
        let lag = now_us().saturating_sub(commit_us).max(0) / 1000;
        status.lag_ms.store(lag, Ordering::Relaxed);
    }
}
