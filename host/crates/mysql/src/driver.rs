//! The reading task of an open source: the snapshot, then the stream, into deliveries. It runs
//! beside the consumer, so that decoding and processing overlap.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use wasmgate_connector::{SourceContext, SourceEvent, SourceStatus};
use wasmgate_model::{Fault, FaultKind, Position};

use crate::assemble::{Assembler, now_us, partition};
use crate::connect::{Connector, Session};
use crate::dump::{Dump, raw};
use crate::heartbeat::{Heartbeat, tick};
use crate::history::History;
use crate::prepare::{Prepared, Start, fresh_history};
use crate::schema_topic::{Beginning, SchemaTopic, tell_tables};
use crate::settings::{Settings, Snapshot as Mode};
use crate::snapshot::{Events, Snapshot, begin, hand_over};
use crate::state::State;
use crate::stream::Stream;
use crate::table::Naming;

/// What the reading task needs beside the prepared server.
pub(crate) struct Driver {
    pub settings: Arc<Settings>,
    pub connector: Connector,
    pub context: SourceContext,
    pub events: Events,
}

/// Where the stream begins.
struct From {
    at: Position,
    state: State,
    dump: Box<Dump>,
    history: History,
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
        let start = std::mem::replace(&mut prepared.start, Start::Completed);
        let (from, out) = match start {
            Start::Completed => return self.send(SourceEvent::Completed).await,
            Start::Stream { at, state, dump, history, assigned } => {
                if assigned {
                    self.assign(at, &state).await?;
                }
                (From { at, state, dump, history }, Assembler::new(self.context.clone(), at))
            }
            Start::Snapshot(at) => {
                let read = Box::pin(self.snapshot(&mut prepared, &mut naming, at)).await?;
                let (state, history, out) = read;
                if self.settings.snapshot == Mode::InitialOnly {
                    return self.send(SourceEvent::Completed).await;
                }
                let dump = Box::new(Dump::start(&self.connector, &state).await?);
                (From { at: Position::new(at.major + 1, 0), state, dump, history }, out)
            }
        };
        self.status().snapshot_done.store(true, Ordering::Relaxed);
        self.stream(prepared.session, naming, from, out).await
    }

    async fn snapshot(
        &self,
        prepared: &mut Prepared,
        naming: &mut Naming,
        at: Position,
    ) -> Result<(State, History, Assembler), Fault> {
        self.status().phase("snapshot");
        self.status().snapshot_rows.store(0, Ordering::Relaxed);
        let mut state = begin(&mut prepared.session, &prepared.server).await?;
        // Stored before the first row: a crash from here on takes the snapshot again.
        self.assign(at, &state).await?;
        let session = &mut prepared.session;
        let history = fresh_history(session, &prepared.server, &self.settings, at).await?;
        let mut out = Assembler::new(self.context.clone(), at);
        // Debezium tells whole milliseconds.
        let time_us = now_us() / 1000 * 1000;
        let at = match SchemaTopic::new(&self.settings, naming.maria) {
            None => at,
            Some(topic) => {
                let (history, state, events) = (&history, &state, &self.events);
                let beginning = Beginning { history, state, events, at, time_us };
                tell_tables(&topic, session, &mut out, beginning).await?
            }
        };
        let snapshot = Snapshot {
            session,
            naming,
            history: &history,
            out: &mut out,
            events: &self.events,
            status: self.status(),
            state: &state,
            at,
            time_us,
        };
        snapshot.read().await?;
        // With the last rows goes the word that there are no more.
        state.snapshot_done = true;
        out.reached(Position::new(at.major + 1, 0));
        hand_over(&mut out, state.to_bytes(), &self.events).await?;
        Ok((state, history, out))
    }

    async fn stream(
        self,
        session: Session,
        naming: Naming,
        from: From,
        mut out: Assembler,
    ) -> Result<(), Fault> {
        let Self { settings, connector, context, events } = self;
        let status = Arc::clone(&context.status);
        status.phase("streaming");
        let From { at, state, mut dump, history } = from;
        let mut signs = Heartbeat::new(&settings, &connector);
        let mut stream = Stream::new((connector, session), naming, history, at, state);
        let period = settings.heartbeat;
        let mut beat = interval_at(Instant::now() + period, period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                    hand_over(&mut out, stream.state(), &events).await?;
                },
                () = tick(&mut signs) => {}
                event = dump.next() => {
                    stream.event(raw(&event?), &mut out).await?;
                    if out.is_full() {
                        hand_over(&mut out, stream.state(), &events).await?;
                        tell_lag(&stream, &status);
                    } else if !out.has_rows() && !stream.in_transaction() {
                        status.lag_ms.store(0, Ordering::Relaxed);
                    }
                }
                permit = events.reserve(), if rows && due => {
                    let Ok(permit) = permit else { return Ok(()) };
                    permit.send(Ok(SourceEvent::Delivery(out.take(stream.state()))));
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
