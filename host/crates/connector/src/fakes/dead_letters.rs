//! Dead letters in memory.

use std::collections::VecDeque;

use async_trait::async_trait;
use wasmgate_model::{DeadLetterCause, Delivery, Fault, FaultKind, Position};

use super::logbook::Logbook;
use crate::sink::{DeadLetter, DeadLetterConnector, DeadLetterContext, DeadLetters};
use crate::source::Finding;

/// A dead letter as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLetter {
    pub pipeline: String,
    /// The record's own topic.
    pub topic: String,
    pub position: Position,
    pub row: u32,
    pub cause: DeadLetterCause,
    pub attempts: u32,
    /// The topic that the policy chose.
    pub chosen: Option<String>,
}

/// What happened to fake dead letters.
#[derive(Debug, Default)]
pub struct LetterLog {
    pub opens: usize,
    /// Calls of `write`, with those that failed.
    pub writes: usize,
    pub letters: Vec<SeenLetter>,
    fail: VecDeque<FaultKind>,
    hold: bool,
}

/// Dead letters in memory; clones share the log.
#[derive(Debug, Clone, Default)]
pub struct FakeDeadLetters {
    log: Logbook<LetterLog>,
}

impl FakeDeadLetters {
    /// A place that takes every letter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next `times` writes fail.
    pub fn fail(&self, times: usize, kind: FaultKind) {
        self.log.note(|log| log.fail.extend(std::iter::repeat_n(kind, times)));
    }

    /// Writes hang from now on.
    pub fn hold(&self) {
        self.log.note(|log| log.hold = true);
    }

    /// What hangs goes on.
    pub fn release(&self) {
        self.log.note(|log| log.hold = false);
    }

    /// Looks at the log.
    pub fn look<R>(&self, look: impl FnOnce(&LetterLog) -> R) -> R {
        self.log.look(look)
    }

    /// Waits until the log fulfils a condition.
    ///
    /// # Panics
    /// It does not within [`super::PATIENCE`].
    pub async fn wait_until(&self, condition: impl FnMut(&LetterLog) -> bool) {
        self.log.wait_until(condition).await;
    }
}

#[async_trait]
impl DeadLetterConnector for FakeDeadLetters {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn check(&self) -> Vec<Finding> {
        vec![Finding { ok: true, what: "fake dead letters are always there".into(), fix: None }]
    }

    async fn open(&self) -> Result<Box<dyn DeadLetters>, Fault> {
        self.log.note(|log| log.opens += 1);
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl DeadLetters for FakeDeadLetters {
    async fn write(
        &mut self,
        context: &DeadLetterContext,
        delivery: &Delivery,
        letters: &[DeadLetter],
    ) -> Result<(), Fault> {
        self.log.until(|log| !log.hold).await;
        let failure = self.log.note(|log| {
            log.writes += 1;
            log.fail.pop_front()
        });
        if let Some(kind) = failure {
            return Err(Fault::new(kind, "the fake dead letters were told to fail"));
        }
        let seen: Vec<_> = letters.iter().map(|letter| see(context, delivery, letter)).collect();
        self.log.note(|log| log.letters.extend(seen));
        Ok(())
    }
}

fn see(context: &DeadLetterContext, delivery: &Delivery, letter: &DeadLetter) -> SeenLetter {
    let batch = delivery.batches.get(letter.batch);
    SeenLetter {
        pipeline: context.pipeline.to_string(),
        topic: batch.map(|b| b.schema.topic.to_string()).unwrap_or_default(),
        position: batch
            .and_then(|b| b.positions.get(letter.row as usize).copied())
            .unwrap_or_default(),
        row: letter.row,
        cause: letter.cause.clone(),
        attempts: letter.attempts,
        chosen: letter.topic.clone(),
    }
}
