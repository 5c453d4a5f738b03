//! A source that follows a script.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use wasmgate_model::{Checkpoint, Delivery, Fault, FaultKind, Partition, Position};

use super::logbook::Logbook;
use super::rows::project;
use crate::command::{Refusal, SourceCommand};
use crate::source::{
    Finding, Source, SourceAcker, SourceContext, SourceEvent, SourceHalves, SourceReader,
};

/// One step of the script.
#[derive(Debug, Clone)]
pub enum Step {
    /// Hands the delivery over, planned by the pipeline's planner; skipped on a later open where
    /// the checkpoint already covers it.
    Deliver(Delivery),
    /// Says that the partition is owned from here on.
    Assigned(Partition, Position),
    /// Says that the partition is about to be lost, and goes on when the pipeline has let go.
    Revoked(Partition),
    /// Fails once, over all opens.
    Fail(FaultKind, &'static str),
    /// Goes on when [`FakeSource::release`] was called once for it; stays open then.
    Gate,
    /// There is nothing more.
    Completed,
}

/// What happened to a fake source.
#[derive(Debug, Default)]
pub struct SourceLog {
    pub opens: usize,
    /// Where each open was told to resume.
    pub resumed: Vec<Checkpoint>,
    /// Deliveries handed over, over all opens.
    pub delivered: usize,
    /// What was told to be settled, in order.
    pub settled: Vec<Checkpoint>,
    /// Partitions whose revocation was answered.
    pub let_go: Vec<Partition>,
    /// Ackers that were closed.
    pub closed: usize,
    /// The last event came: the reader has nothing left but to wait.
    pub exhausted: bool,
    /// (id, kind, data) of the commands that were taken.
    pub commands: Vec<[String; 3]>,
    released: usize,
    passed: BTreeSet<usize>,
    failed: BTreeSet<usize>,
}

impl SourceLog {
    /// How far a partition is settled.
    #[must_use]
    pub fn settled_to(&self, partition: &str) -> Option<Position> {
        self.settled.last()?.get(&Partition(partition.into())).map(|(at, _)| at)
    }
}

/// A source that follows a script; clones share script and log. After the last step it has
/// nothing to say, as a quiet server.
#[derive(Debug, Clone)]
pub struct FakeSource {
    script: Arc<[Step]>,
    log: Logbook<SourceLog>,
    commanded: bool,
}

impl FakeSource {
    /// A source with this script, which every open follows from its start.
    #[must_use]
    pub fn new(script: Vec<Step>) -> Self {
        Self { script: script.into(), log: Logbook::default(), commanded: false }
    }

    /// It takes commands, and refuses those of the kind `refuse` as invalid.
    #[must_use]
    pub fn commanded(mut self) -> Self {
        self.commanded = true;
        self
    }

    /// Opens one [`Step::Gate`].
    pub fn release(&self) {
        self.log.note(|log| log.released += 1);
    }

    /// Looks at the log.
    pub fn look<R>(&self, look: impl FnOnce(&SourceLog) -> R) -> R {
        self.log.look(look)
    }

    /// Waits until the log fulfils a condition.
    ///
    /// # Panics
    /// It does not within [`super::PATIENCE`].
    pub async fn wait_until(&self, condition: impl FnMut(&SourceLog) -> bool) {
        self.log.wait_until(condition).await;
    }
}

#[async_trait]
impl Source for FakeSource {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn check(&self) -> Vec<Finding> {
        vec![Finding { ok: true, what: "a fake source is always there".into(), fix: None }]
    }

    async fn open(&self, context: SourceContext) -> Result<SourceHalves, Fault> {
        self.log.note(|log| {
            log.opens += 1;
            log.resumed.push(context.checkpoint.clone());
            log.exhausted = false;
        });
        context.status.connected.store(true, Ordering::Relaxed);
        context.status.phase("streaming");
        if self.commanded {
            tokio::spawn(obey(context.commands.receive(), self.log.clone()));
        }
        let reader = FakeReader { fake: self.clone(), context, at: 0, revoking: None };
        Ok((Box::new(reader), Box::new(FakeAcker(self.log.clone()))))
    }
}

/// Takes commands until another open does.
async fn obey(mut commands: mpsc::Receiver<SourceCommand>, log: Logbook<SourceLog>) {
    while let Some(command) = commands.recv().await {
        let SourceCommand { id, kind, data, answer } = command;
        let refused = kind == "refuse";
        if !refused {
            log.note(|log| log.commands.push([id, kind, data]));
        }
        let said = if refused { Err(Refusal::Invalid("refused".into())) } else { Ok(()) };
        // Who asked may have gone meanwhile.
        answer.send(said).ok();
    }
}

struct FakeReader {
    fake: FakeSource,
    context: SourceContext,
    at: usize,
    /// The answer that is awaited; kept here so that a dropped call loses nothing.
    revoking: Option<(Partition, oneshot::Receiver<()>)>,
}

impl FakeReader {
    fn covered(&self, delivery: &Delivery) -> bool {
        let at = self.context.checkpoint.get(&delivery.partition);
        at.is_some_and(|(at, _)| at >= delivery.to)
    }

    fn deliver(&mut self, mut delivery: Delivery) -> Result<SourceEvent, Fault> {
        for batch in &mut delivery.batches {
            batch.plan = self.context.planner.plan(&batch.schema)?;
            project(batch);
        }
        self.at += 1;
        self.fake.log.note(|log| log.delivered += 1);
        Ok(SourceEvent::Delivery(delivery))
    }

    async fn answered(&mut self) {
        if let Some((_, answer)) = &mut self.revoking {
            // Sent or dropped: both mean that the pipeline has let go.
            answer.await.ok();
        }
        if let Some((partition, _)) = self.revoking.take() {
            self.fake.log.note(|log| log.let_go.push(partition));
        }
    }

    /// A gate that was passed once stays open for later opens.
    async fn pass_gate(&self) {
        let open =
            |log: &SourceLog| log.passed.contains(&self.at) || log.released > log.passed.len();
        self.fake.log.until(open).await;
        self.fake.log.note(|log| log.passed.insert(self.at));
    }

    /// Whether the failure at this step is still to come.
    fn fails(&self) -> bool {
        let at = self.at;
        self.fake.log.note(|log| log.failed.insert(at))
    }
}

#[async_trait]
impl SourceReader for FakeReader {
    async fn next(&mut self) -> Result<SourceEvent, Fault> {
        loop {
            self.answered().await;
            let Some(step) = self.fake.script.get(self.at).cloned() else {
                self.fake.log.note(|log| log.exhausted = true);
                std::future::pending::<()>().await;
                continue;
            };
            match step {
                Step::Deliver(delivery) if self.covered(&delivery) => self.at += 1,
                Step::Deliver(delivery) => return self.deliver(delivery),
                Step::Assigned(partition, at) => {
                    self.at += 1;
                    return Ok(SourceEvent::Assigned { partition, at, state: None });
                }
                Step::Revoked(partition) => {
                    self.at += 1;
                    let (done, answer) = oneshot::channel();
                    self.revoking = Some((partition.clone(), answer));
                    return Ok(SourceEvent::Revoked { partition, done });
                }
                Step::Fail(kind, message) if self.fails() => return Err(Fault::new(kind, message)),
                Step::Fail(..) => self.at += 1,
                Step::Gate => {
                    self.pass_gate().await;
                    self.at += 1;
                }
                Step::Completed => {
                    self.fake.log.note(|log| log.exhausted = true);
                    return Ok(SourceEvent::Completed);
                }
            }
        }
    }
}

struct FakeAcker(Logbook<SourceLog>);

#[async_trait]
impl SourceAcker for FakeAcker {
    async fn settled(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        self.0.note(|log| log.settled.push(checkpoint.clone()));
        Ok(())
    }

    async fn close(&mut self) {
        self.0.note(|log| log.closed += 1);
    }
}
