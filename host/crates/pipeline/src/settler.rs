//! The settler: a delivery is settled when every sink says durable and its dead letters are
//! durable too. Then the watermark may move.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use wasmgate_connector::{
    BatchPool, DeadLetter, DeadLetterContext, DeadLetters, Decision, Policy, RecordEncoder,
    RefusedRow, Written,
};
use wasmgate_model::{Delivery, Fault, FaultKind, Retry};

use crate::backoff::Backoff;
use crate::letters::{failure, halted};
use crate::session::{Progress, Shared};
use crate::writer::Accepted;

/// What the settler needs.
pub(crate) struct Settler {
    pub(crate) dead_letters: Box<dyn DeadLetters>,
    pub(crate) context: DeadLetterContext,
    pub(crate) policy: Option<Box<dyn Policy>>,
    pub(crate) encoder: Arc<dyn RecordEncoder>,
    pub(crate) pool: Arc<BatchPool>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) progress: mpsc::UnboundedSender<Progress>,
}

/// A delivery whose rows are durable or refused.
struct Durably {
    accepted: Accepted,
    written: Written,
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
        let Durably { accepted, written } = done;
        let Accepted { ticket, delivery, mut letters, records, permit, .. } = accepted;
        if !written.refused.is_empty() {
            letters.extend(self.refused(&delivery, written.refused).await?);
        }
        if !letters.is_empty() {
            self.bury(&delivery, &letters).await?;
        }
        let metrics = &self.shared.metrics;
        metrics.records_out.inc_by(written.records);
        metrics.bytes_out.inc_by(written.bytes);
        metrics.in_flight.sub(records as i64);
        let deltas = self.shared.tracker().settle(&delivery.partition, ticket);
        for delta in deltas {
            // The other end is gone only when the session ends.
            if self.progress.send(Progress::Settled(delta)).is_err() {
                break;
            }
        }
        drop(permit);
        if let Ok(delivery) = Arc::try_unwrap(delivery) {
            delivery.batches.into_iter().for_each(|b| self.pool.give(b));
        }
        Ok(())
    }

    /// What becomes of rows that a sink refused. A sink has tried what trying helps, so a policy's
    /// retry means dead letter here.
    async fn refused(
        &mut self,
        delivery: &Delivery,
        refused: Vec<RefusedRow>,
    ) -> Result<Vec<DeadLetter>, Fault> {
        let rows: Vec<(usize, u32, RefusedRow)> = refused
            .into_iter()
            .filter_map(|r| {
                let row = *delivery.batches.get(r.batch)?.sel.get(r.index as usize)?;
                Some((r.batch, row, r))
            })
            .collect();
        let failures = rows.iter().filter_map(|(batch, row, r)| {
            let batch = delivery.batches.get(*batch)?;
            Some(failure(&*self.encoder, batch, *row, &r.cause, 1, 0))
        });
        let failures: Vec<_> = failures.collect();
        let decisions = self.decide(failures).await?;
        let mut letters = Vec::new();
        for ((batch, row, refused), decision) in rows.into_iter().zip(decisions) {
            let cause = refused.cause;
            let topic = match decision {
                Decision::Drop => {
                    self.shared.metrics.dropped("policy", 1);
                    continue;
                }
                Decision::Halt => return Err(halted(&cause)),
                Decision::DeadLetter(topic) => topic,
                Decision::Retry(_) => None,
            };
            letters.push(DeadLetter { batch, row, cause, attempts: 1, topic });
        }
        Ok(letters)
    }

    async fn decide(
        &mut self,
        failures: Vec<wasmgate_connector::Failure>,
    ) -> Result<Vec<Decision>, Fault> {
        let dead = vec![Decision::DeadLetter(None); failures.len()];
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

    async fn bury(&mut self, delivery: &Delivery, letters: &[DeadLetter]) -> Result<(), Fault> {
        let mut backoff = Backoff::default();
        loop {
            match self.dead_letters.write(&self.context, delivery, letters).await {
                Ok(()) => break,
                Err(fault) if fault.retry() == Retry::Timed => {
                    let pause = backoff.next(fault.kind);
                    self.shared.retrying(&fault);
                    tokio::time::sleep(pause).await;
                }
                Err(fault) => return Err(fault),
            }
        }
        self.shared.working();
        for letter in letters {
            self.shared.metrics.dead_letter(&letter.cause.stage, &letter.cause.code, 1);
        }
        Ok(())
    }
}

async fn durable(mut accepted: Accepted) -> Result<Durably, Fault> {
    let mut written = Written::default();
    for durable in std::mem::take(&mut accepted.durables) {
        let part = durable.await?;
        written.records += part.records;
        written.bytes += part.bytes;
        written.refused.extend(part.refused);
    }
    Ok(Durably { accepted, written })
}
