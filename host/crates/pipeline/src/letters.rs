//! What becomes of rows that left the chain: counted as dropped, dead-lettered, tried again or
//! reason to stop, as the policy says. Runs in the lane, so that a row that is tried again is
//! still ahead of the later ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmgate_connector::{DeadLetter, Decision, Failure, Policy, RecordEncoder};
use wasmgate_model::{Batch, DeadLetterCause, Delivery, Fault, FaultKind, Op, Reject, Verdict};
use wasmgate_telemetry::PipelineMetrics;

use crate::lane::LaneChain;
use crate::stop::Stop;

/// Longest piece of a pause between looks at the stop flag.
const PAUSE_STEP: Duration = Duration::from_millis(20);

/// Decides about failed rows.
pub(crate) struct Judge {
    pub(crate) policy: Option<Box<dyn Policy>>,
    pub(crate) encoder: Arc<dyn RecordEncoder>,
    pub(crate) metrics: Arc<PipelineMetrics>,
    pub(crate) stop: Arc<AtomicBool>,
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
            let rejects = std::mem::take(&mut batch.rejects);
            let failed = self.failed(rejects);
            let decisions = self.decide(batch, &failed, attempt, first)?;
            let mut again: Vec<u32> = Vec::new();
            let mut pause = 0;
            for ((row, cause), decision) in failed.into_iter().zip(decisions) {
                match decision {
                    Decision::Retry(ms) => {
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
            if !again.is_empty() {
                self.pause(Duration::from_millis(u64::from(pause)))?;
                let mut retry = batch.clone();
                retry.sel = again;
                retry.edits = wasmgate_model::Edits::default();
                let version = retry.plan.chain;
                let extra = chain.process(&mut retry).map_err(|f| Stop::of_chain(f, version))?;
                delivery.batches.push(retry);
                attempts.push(attempt + 1);
                attempts.resize(attempts.len() + extra.len(), 1);
                delivery.batches.extend(extra);
            }
            n += 1;
        }
        Ok(letters)
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
        first: Instant,
    ) -> Result<Vec<Decision>, Fault> {
        let dead = || vec![Decision::DeadLetter(None); failed.len()];
        let Some(policy) = self.policy.as_mut().filter(|_| !failed.is_empty()) else {
            return Ok(dead());
        };
        let age_ms = first.elapsed().as_millis() as u64;
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

    fn pause(&self, pause: Duration) -> Result<(), Fault> {
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Fault::new(FaultKind::Stopped, "stopped while a record was retried"));
            }
            std::thread::sleep(left.min(PAUSE_STEP));
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
