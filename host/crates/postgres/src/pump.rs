//! The loop between socket and consumer: takes what arrived, decodes it, and hands deliveries
//! over. A busy consumer gets fuller deliveries, an idle one gets them at the end of each
//! transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use wasmgate_connector::{SourceEvent, SourceStatus};
use wasmgate_model::Fault;

use crate::assemble::{Assembler, now_us};
use crate::heartbeat::Heartbeat;
use crate::incremental::Beside;
use crate::replication::Chunk;
use crate::settings::Settings;
use crate::snapshot::{Events, hand_over};
use crate::stream::Stream;
use crate::transactions::Decided;
use crate::wire::bodies;

/// Decodes the stream into deliveries.
pub(crate) struct Pump {
    pub settings: Arc<Settings>,
    pub status: Arc<SourceStatus>,
    pub events: Events,
    pub chunks: mpsc::Receiver<Chunk>,
    pub stream: Stream,
    pub out: Assembler,
    pub beside: Beside,
}

/// Ticks from one period on, never in a rush.
pub(crate) fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits for ever where there is no interval.
pub(crate) async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

impl Pump {
    /// Runs until the reader is gone or the stream fails.
    pub(crate) async fn run(mut self) -> Result<(), Fault> {
        let mut beat = every(self.settings.heartbeat.unwrap_or(self.settings.status_interval));
        let catalog = self.stream.catalog().another();
        let mut heartbeat = Heartbeat::new(&self.settings, catalog);
        let mut strike = heartbeat.interval.map(every);
        let events = self.events.clone();
        self.beside.step(&mut self.stream, &mut self.out, &events).await?;
        let mut overdue = false;
        loop {
            heartbeat.flush(&mut self.out)?;
            let rows = self.out.has_rows();
            let deadline = self.out.deadline().unwrap_or_else(Instant::now);
            let due = overdue || !self.stream.in_transaction();
            tokio::select! {
                biased;
                // An idle or foreign log moves on too, so that the server can forget it.
                _ = beat.tick(), if !rows => {
                    if self.out.has_moved() {
                        hand_over(&mut self.out, &self.events).await?;
                    }
                    heartbeat.received(self.stream.received());
                }
                () = tick(&mut strike) => heartbeat.strike(),
                event = self.beside.next() => {
                    self.beside.take(event, &mut self.stream, &mut self.out, &events).await?;
                }
                chunk = self.chunks.recv() => match chunk {
                    Some(run) => self.take(run?).await?,
                    None => return Ok(()),
                },
                permit = events.reserve(), if rows && due => {
                    let Ok(permit) = permit else { return Ok(()) };
                    self.out.seal().await?;
                    permit.send(Ok(SourceEvent::Delivery(self.out.take())));
                    overdue = false;
                    self.tell_lag();
                }
                () = sleep_until(deadline), if rows && !due => overdue = true,
                () = events.closed() => return Ok(()),
            }
        }
    }

    async fn take(&mut self, run: Bytes) -> Result<(), Fault> {
        for body in bodies(&run) {
            if self.stream.row(body, &mut self.out)? {
                if self.out.is_full() {
                    self.hand_over_full().await?;
                }
                continue;
            }
            if let Some(decided) = self.stream.message(body, &mut self.out).await? {
                self.replay(*decided).await?;
            }
            if !self.stream.in_transaction() && self.beside.is_due(&self.stream, &self.out) {
                self.beside.step(&mut self.stream, &mut self.out, &self.events).await?;
            }
            self.hand_over_full().await?;
        }
        if !self.out.has_rows() && !self.stream.in_transaction() {
            self.status.lag_ms.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Turns a transaction that was sent before it was decided into records. The socket is
    /// answered meanwhile, however long it takes.
    async fn replay(&mut self, mut decided: Decided) -> Result<(), Fault> {
        self.stream.begin_decided(&decided, &self.out);
        let streamed = decided.records.streamed;
        while let Some(kept) = decided.records.next()? {
            self.stream.replay(kept, streamed, &mut self.out).await?;
            self.hand_over_full().await?;
        }
        self.stream.end_decided(decided.end_lsn, &mut self.out)
    }

    async fn hand_over_full(&mut self) -> Result<(), Fault> {
        if self.out.is_full() {
            hand_over(&mut self.out, &self.events).await?;
            self.tell_lag();
        }
        Ok(())
    }

    fn tell_lag(&self) {
        if let Some(commit_us) = self.stream.last_commit_us {
            let lag = now_us().saturating_sub(commit_us).max(0) / 1000;
            self.status.lag_ms.store(lag, Ordering::Relaxed);
        }
    }
}
