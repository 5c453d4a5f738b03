//! The settler: a delivery is settled when every sink says durable and its dead letters are
//! durable too. Then the watermark may move.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use wasmgate_connector::{
    BatchPool, DeadLetter, DeadLetterContext, DeadLetters, Decision, Failure, Policy,
    RecordEncoder, RefusedRow, RowSet, WriteRequest,
};
use wasmgate_model::{Delivery, Fault, FaultKind, Retry};

use crate::backoff::Backoff;
use crate::decisions;
use crate::letters::{failure, halted};
use crate::session::{Progress, Shared};
use crate::writer::{Accepted, Rewrite};

/// What the settler needs.
pub(crate) struct Settler {
    pub(crate) dead_letters: Box<dyn DeadLetters>,
    pub(crate) context: DeadLetterContext,
    pub(crate) policy: Option<Box<dyn Policy>>,
    pub(crate) encoder: Arc<dyn RecordEncoder>,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) progress: mpsc::UnboundedSender<Progress>,
    /// To the writer, which owns the sinks.
    pub(crate) rewrites: mpsc::Sender<Rewrite>,
}

/// A delivery whose rows are durable or refused.
struct Durably {
    accepted: Accepted,
    records: u64,
    bytes: u64,
    refused: Vec<Refused>,
}

/// A row that the sink of this number refused.
struct Refused {
    sink: usize,
    row: RefusedRow,
}

impl Refused {
    fn payload_row(&self, delivery: &Delivery) -> u32 {
        let batch = delivery.batches.get(self.row.batch);
        batch.and_then(|b| b.sel.get(self.row.index as usize)).copied().unwrap_or_default()
    }

    fn letter(self, delivery: &Delivery, attempts: u32, topic: Option<String>) -> DeadLetter {
        let row = self.payload_row(delivery);
        DeadLetter { batch: self.row.batch, row, cause: self.row.cause, attempts, topic }
    }
}

impl Settler {
    /// Settles until the writer is done and everything in flight is settled.
    pub(crate) async fn run(mut self, mut accepted: mpsc::Receiver<Accepted>) -> Result<(), Fault> {
        let mut waiting: FuturesUnordered<BoxFuture<'static, Result<Durably, Fault>>> =
            FuturesUnordered::new();
        let mut open = true;
        while open || !waiting.is_empty() {
            tokio::select! {
                next = accepted.recv(), if open => match next {
                    Some(next) => waiting.push(Box::pin(durable(next))),
                    None => open = false,
                },
                Some(done) = waiting.next(), if !waiting.is_empty() => {
                    self.settle(done?).await?;
                }
            }
        }
        Ok(())
    }

    async fn settle(&mut self, done: Durably) -> Result<(), Fault> {
        let Durably { accepted, records: written, bytes, refused } = done;
        let Accepted { ticket, delivery, mut letters, records, permit, room, .. } = accepted;
        if !refused.is_empty() {
            letters.extend(self.refused(&delivery, refused).await?);
        }
        if !letters.is_empty() {
            self.bury(&delivery, letters).await?;
        }
        let metrics = &self.shared.metrics;
        metrics.records_out.inc_by(written);
        metrics.bytes_out.inc_by(bytes);
        metrics.in_flight.sub(records as i64);
        let deltas = self.shared.tracker().settle(&delivery.partition, ticket);
        for delta in deltas {
            // The other end is gone only when the session ends.
            if self.progress.send(Progress::Settled(delta)).is_err() {
                break;
            }
        }
        drop((permit, room));
        if let Ok(delivery) = Arc::try_unwrap(delivery) {
            delivery.batches.into_iter().for_each(|b| self.pool.give(b));
        }
        Ok(())
    }

    /// What becomes of rows that a sink refused: the policy decides, as often as it says retry.
    async fn refused(
        &mut self,
        delivery: &Arc<Delivery>,
        mut refused: Vec<Refused>,
    ) -> Result<Vec<DeadLetter>, Fault> {
        let mut letters = Vec::new();
        let (started, mut attempt) = (Instant::now(), 1);
        while !refused.is_empty() {
            let age = started.elapsed();
            let age_ms = age.as_millis() as u64;
            let failures = refused.iter().filter_map(|r| {
                let batch = delivery.batches.get(r.row.batch)?;
                let row = r.payload_row(delivery);
                Some(failure(&*self.encoder, batch, row, &r.row.cause, attempt, age_ms))
            });
            let failures = failures.collect();
            let decisions = self.decide(failures, refused.len()).await?;
            let (mut again, mut pause) = (Vec::new(), 0);
            for (mut refused, mut decision) in refused.into_iter().zip(decisions) {
                decisions::hold(&mut decision, &mut refused.row.cause, attempt, age);
                match decision {
                    Decision::Drop => self.shared.metrics.dropped("policy", 1),
                    Decision::Halt => return Err(halted(&refused.row.cause)),
                    Decision::DeadLetter(topic) => {
                        letters.push(refused.letter(delivery, attempt, topic));
                    }
                    Decision::Retry(ms) => {
                        if again.is_empty() {
                            self.shared.again.tell(attempt, &refused.row.cause);
                        }
                        pause = pause.max(ms);
                        again.push(refused);
                    }
                }
            }
            if !again.is_empty() {
                tokio::time::sleep(decisions::pause(pause, attempt, age)).await;
                self.shared.metrics.policy_retries.inc_by(again.len() as u64);
            }
            refused = Vec::new();
            for row in again {
                refused.extend(self.rewrite(delivery, row).await?);
            }
            attempt += 1;
        }
        if attempt > 2 {
            self.shared.again.done();
        }
        Ok(letters)
    }

    /// Writes a row once more; what is refused again is returned.
    async fn rewrite(
        &mut self,
        delivery: &Arc<Delivery>,
        refused: Refused,
    ) -> Result<Vec<Refused>, Fault> {
        let mut rows = vec![Vec::new(); delivery.batches.len()];
        if let Some(rows) = rows.get_mut(refused.row.batch) {
            rows.push(refused.row.index);
        }
        let request = WriteRequest { delivery: Arc::clone(delivery), rows: RowSet::Some(rows) };
        let (answer, durable) = oneshot::channel();
        let stopped = || Fault::new(FaultKind::Stopped, "the sink was closed before a retry");
        let sink = refused.sink;
        let rewrite = Rewrite { sink, request, answer };
        self.rewrites.send(rewrite).await.map_err(|_| stopped())?;
        let written = durable.await.map_err(|_| stopped())?.await?;
        self.shared.metrics.retries.inc();
        self.shared.metrics.records_out.inc_by(written.records);
        self.shared.metrics.bytes_out.inc_by(written.bytes);
        Ok(written.refused.into_iter().map(|row| Refused { sink, row }).collect())
    }

    async fn decide(
        &mut self,
        failures: Vec<Failure>,
        count: usize,
    ) -> Result<Vec<Decision>, Fault> {
        let dead = vec![Decision::DeadLetter(None); count];
        let Some(mut policy) = self.policy.take() else {
            return Ok(dead);
        };
        // Modules run on threads that may block.
        let decided = tokio::task::spawn_blocking(move || {
            let decisions = policy.decide(&failures);
            (policy, decisions)
        });
        let (policy, decisions) = decided
            .await
            .map_err(|e| Fault::new(FaultKind::Internal, "the policy's thread ended").because(e))?;
        self.policy = Some(policy);
        Ok(decisions.ok().filter(|d| d.len() == dead.len()).unwrap_or(dead))
    }

    async fn bury(
        &mut self,
        delivery: &Delivery,
        mut letters: Vec<DeadLetter>,
    ) -> Result<(), Fault> {
        let mut backoff = Backoff::default();
        loop {
            match self.dead_letters.write(&self.context, delivery, &letters).await {
                Ok(()) => break,
                Err(fault) if fault.retry() == Retry::Timed => {
                    let pause = backoff.next(fault.kind);
                    self.shared.retrying(&fault);
                    tokio::time::sleep(pause).await;
                }
                Err(fault) if to_default(&mut letters, &fault) => {}
                Err(fault) => return Err(fault),
            }
        }
        self.shared.working();
        for letter in &letters {
            self.shared.metrics.dead_letter(&letter.cause.stage, &letter.cause.code, 1);
        }
        Ok(())
    }
}

/// Letters with topics that the policy chose go to the default place: one of these topics may be
/// why they were not taken. False: there are none.
fn to_default(letters: &mut [DeadLetter], fault: &Fault) -> bool {
    let mut some = false;
    for letter in letters {
        if let Some(topic) = letter.topic.take() {
            let what = format!("the policy's dead-letter topic {topic:?}: {}", fault.chain());
            decisions::note(&mut letter.cause, &what);
            some = true;
        }
    }
    some
}

async fn durable(mut accepted: Accepted) -> Result<Durably, Fault> {
    let (mut records, mut bytes, mut refused) = (0, 0, Vec::new());
    for (sink, durable) in std::mem::take(&mut accepted.durables) {
        let part = durable.await?;
        records += part.records;
        bytes += part.bytes;
        refused.extend(part.refused.into_iter().map(|row| Refused { sink, row }));
    }
    Ok(Durably { accepted, records, bytes, refused })
}
