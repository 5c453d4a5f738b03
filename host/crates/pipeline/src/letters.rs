//! What becomes of rows that left the chain: counted as dropped, dead-lettered, tried again or
//! reason to stop, as the policy says. Runs in the lane, so that a row that is tried again is
//! still ahead of the later ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmgate_connector::{DeadLetter, Decision, Failure, Policy, RecordEncoder};
use wasmgate_model::{Batch, DeadLetterCause, Delivery, Fault, FaultKind, Op, Reject, Verdict};
use wasmgate_telemetry::PipelineMetrics;

use crate::decisions::{self, give_up};
use crate::lane::LaneChain;
use crate::session::Shared;
use crate::stop::Stop;

/// Longest piece of a pause between looks at the stop flag.
const PAUSE_STEP: Duration = Duration::from_millis(20);

/// Decides about failed rows.
pub(crate) struct Judge {
    pub(crate) policy: Option<Box<dyn Policy>>,
    pub(crate) encoder: Arc<dyn RecordEncoder>,
    pub(crate) metrics: Arc<PipelineMetrics>,
    pub(crate) shared: Arc<Shared>,
}

impl Judge {
    /// Goes through the rejects of every batch. Rows tried again become batches of their own at
    /// the end of the delivery. Returns the dead letters.
    pub(crate) fn judge(
        &mut self,
        delivery: &mut Delivery,
        chain: &mut LaneChain,
    ) -> Result<Vec<DeadLetter>, Stop> {
        let mut letters = Vec::new();
        let mut attempts = vec![1_u32; delivery.batches.len()];
        let first = Instant::now();
        let mut n = 0;
        while n < delivery.batches.len() {
            let attempt = attempts.get(n).copied().unwrap_or(1);
            let Some(batch) = delivery.batches.get_mut(n) else {
                break;
            };
            let judged = self.sort(batch, (n, attempt), first.elapsed(), &mut letters, chain)?;
            let Some((again, pause)) = judged else {
                n += 1;
                continue;
            };
            self.pause(decisions::pause(pause, attempt, first.elapsed()), chain)?;
            self.metrics.policy_retries.inc_by(again.len() as u64);
            let mut extra = if batch.sel.is_empty() {
                // None of it passed: tries follow each other in place and take no memory.
                let extra = self.again(batch, again, chain)?;
                if let Some(attempt) = attempts.get_mut(n) {
                    *attempt += 1;
                }
                extra
            } else {
                let mut retry = batch.clone();
                let extra = self.again(&mut retry, again, chain)?;
                delivery.batches.push(retry);
                attempts.push(attempt + 1);
                n += 1;
                extra
            };
            attempts.resize(attempts.len() + extra.len(), 1);
            delivery.batches.append(&mut extra);
        }
        if attempts.iter().any(|attempt| *attempt > 1) {
            self.shared.again.done();
        }
        Ok(letters)
    }

    /// Does as the policy says with a batch's rejects. Returns those to be tried again, and the
    /// longest pause asked for.
    fn sort(
        &mut self,
        batch: &mut Batch,
        (n, attempt): (usize, u32),
        age: Duration,
        letters: &mut Vec<DeadLetter>,
        chain: &mut LaneChain,
    ) -> Result<Option<(Vec<u32>, u32)>, Stop> {
        let rejects = std::mem::take(&mut batch.rejects);
        let mut failed = self.failed(rejects);
        let mut decisions = self.decide(batch, &failed, attempt, age)?;
        for (decision, (_, cause)) in decisions.iter_mut().zip(&mut failed) {
            decisions::hold(decision, cause, attempt, age);
        }
        let retries = |decision: &Decision| matches!(decision, Decision::Retry(_));
        // Some passed and some are tried again: these take a copy of the batch with them.
        let copies = !batch.sel.is_empty() && decisions.iter().any(retries);
        if copies && !chain.watch.takes(batch.weight()) && attempt > 1 {
            for (decision, (_, cause)) in decisions.iter_mut().zip(&mut failed) {
                if retries(decision) {
                    give_up(decision, cause, "has no room for another copy of its batch");
                }
            }
        }
        let (mut again, mut pause) = (Vec::new(), 0);
        for ((row, cause), decision) in failed.into_iter().zip(decisions) {
            match decision {
                Decision::Retry(ms) => {
                    if again.is_empty() {
                        self.shared.again.tell(attempt, &cause);
                    }
                    again.push(row);
                    pause = pause.max(ms);
                }
                Decision::DeadLetter(topic) => {
                    letters.push(DeadLetter { batch: n, row, cause, attempts: attempt, topic });
                }
                Decision::Drop => self.metrics.dropped("policy", 1),
                Decision::Halt => return Err(halted(&cause).into()),
            }
        }
        Ok((!again.is_empty()).then_some((again, pause)))
    }

    /// Runs these rows of a batch through the chain once more; returns what was emitted.
    fn again(
        &self,
        batch: &mut Batch,
        rows: Vec<u32>,
        chain: &mut LaneChain,
    ) -> Result<Vec<Batch>, Stop> {
        batch.sel = rows;
        batch.edits = wasmgate_model::Edits::default();
        let version = batch.plan.chain;
        chain.run(batch).map_err(|fault| Stop::of_chain(fault, version))
    }

    fn failed(&self, rejects: Vec<Reject>) -> Vec<(u32, DeadLetterCause)> {
        let mut failed = Vec::new();
        for Reject { row, verdict } in rejects {
            match verdict {
                Verdict::Drop { stage } => self.metrics.dropped(&stage, 1),
                Verdict::DeadLetter(cause) => failed.push((row, *cause)),
            }
        }
        failed
    }

    fn decide(
        &mut self,
        batch: &Batch,
        failed: &[(u32, DeadLetterCause)],
        attempt: u32,
        age: Duration,
    ) -> Result<Vec<Decision>, Fault> {
        let dead = || vec![Decision::DeadLetter(None); failed.len()];
        let Some(policy) = self.policy.as_mut().filter(|_| !failed.is_empty()) else {
            return Ok(dead());
        };
        let age_ms = age.as_millis() as u64;
        let failures: Vec<Failure> = failed
            .iter()
            .map(|(row, cause)| failure(&*self.encoder, batch, *row, cause, attempt, age_ms))
            .collect();
        let mut decisions = match policy.decide(&failures) {
            Ok(decisions) if decisions.len() == failed.len() => decisions,
            Ok(_) => dead(),
            Err(fault) => {
                tracing::warn!(fault = %fault.chain(), "policy failed; its records are dead-lettered");
                dead()
            }
        };
        for (decision, (_, cause)) in decisions.iter_mut().zip(failed) {
            let undecoded = matches!(&*cause.stage, "decode" | "convert" | "quarantine");
            if undecoded && matches!(decision, Decision::Retry(_)) {
                *decision = Decision::DeadLetter(None);
            }
        }
        Ok(decisions)
    }

    /// Waits, at least for a look at whether the session is over.
    fn pause(&self, pause: Duration, chain: &LaneChain) -> Result<(), Fault> {
        let until = Instant::now() + pause;
        chain.watch.go_on()?;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::sleep(left.min(PAUSE_STEP));
            chain.watch.go_on()?;
        }
        Ok(())
    }
}

/// The policy said stop.
pub(crate) fn halted(cause: &DeadLetterCause) -> Fault {
    let what = format!(
        "the policy halts the pipeline: stage {}, code {}; fix the cause, then resume",
        cause.stage, cause.code
    );
    Fault::new(FaultKind::ModuleRefused, what)
}

/// A failed row as policies see it.
pub(crate) fn failure(
    encoder: &dyn RecordEncoder,
    batch: &Batch,
    row: u32,
    cause: &DeadLetterCause,
    attempt: u32,
    age_ms: u64,
) -> Failure {
    let (key, value) = encoder.original(batch, row as usize);
    Failure {
        stage: cause.stage.to_string(),
        code: cause.code.to_string(),
        message: cause.message.clone(),
        attempt,
        age_ms,
        topic: batch.schema.topic.to_string(),
        partition: batch.source_partition,
        op: batch.ops.get(row as usize).copied().unwrap_or(Op::Append),
        key,
        value,
    }
}
