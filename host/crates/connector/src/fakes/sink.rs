//! A sink that remembers what it got and fails on demand.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use wasmgate_model::{Batch, Column, DeadLetterCause, Fault, FaultKind, Op, Payload, Position};
use wasmgate_model::{Partition, Values};

use super::logbook::Logbook;
use crate::sink::{Durable, RefusedRow, Sink, SinkConnector, WriteRequest, Written};
use crate::source::Finding;

/// A row as the sink saw it: not encoded, there is no codec here.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkRow {
    pub partition: Partition,
    pub topic: String,
    pub position: Position,
    /// Number of the payload row.
    pub row: u32,
    pub op: Op,
    pub key: Option<Vec<u8>>,
    /// The original bytes of a document.
    pub document: Option<Vec<u8>>,
    /// Fields that stages wrote, as text; null and absent ones are `None`.
    pub written: Vec<(Arc<str>, Option<String>)>,
    /// Headers that stages wrote; null and absent ones are `None`.
    pub headers: Vec<(Arc<str>, Option<String>)>,
}

/// What happened to a fake sink.
#[derive(Debug, Default)]
pub struct SinkLog {
    pub opens: usize,
    pub closed: usize,
    /// Calls of `write`, with those that failed.
    pub writes: usize,
    /// Rows that were accepted, in order.
    pub accepted: Vec<SinkRow>,
    /// Rows that became durable, in order.
    pub durable: Vec<SinkRow>,
    /// Rows that were refused.
    pub refused: Vec<SinkRow>,
    fail_writes: VecDeque<FaultKind>,
    fail_durables: VecDeque<FaultKind>,
    hold_writes: bool,
    hold_durables: bool,
}

type Refusal = dyn Fn(&SinkRow) -> bool + Send + Sync;

/// A sink that remembers; clones share the log.
#[derive(Clone, Default)]
pub struct FakeSink {
    log: Logbook<SinkLog>,
    refuse: Option<Arc<Refusal>>,
}

impl FakeSink {
    /// A sink that takes everything at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses the rows that fulfil a condition, with code `refused`.
    #[must_use]
    pub fn refusing(
        mut self,
        condition: impl Fn(&SinkRow) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.refuse = Some(Arc::new(condition));
        self
    }

    /// The next `times` writes fail, accepting nothing.
    pub fn fail_writes(&self, times: usize, kind: FaultKind) {
        self.log.note(|log| log.fail_writes.extend(std::iter::repeat_n(kind, times)));
    }

    /// The next `times` durables fail: nothing of those writes is there.
    pub fn fail_durables(&self, times: usize, kind: FaultKind) {
        self.log.note(|log| log.fail_durables.extend(std::iter::repeat_n(kind, times)));
    }

    /// Writes hang from now on: a full queue.
    pub fn hold_writes(&self) {
        self.log.note(|log| log.hold_writes = true);
    }

    /// Accepted rows do not become durable from now on: a server that does not answer.
    pub fn hold_durables(&self) {
        self.log.note(|log| log.hold_durables = true);
    }

    /// What hangs goes on.
    pub fn release(&self) {
        self.log.note(|log| (log.hold_writes, log.hold_durables) = (false, false));
    }

    /// Looks at the log.
    pub fn look<R>(&self, look: impl FnOnce(&SinkLog) -> R) -> R {
        self.log.look(look)
    }

    /// Waits until the log fulfils a condition.
    ///
    /// # Panics
    /// It does not within [`super::PATIENCE`].
    pub async fn wait_until(&self, condition: impl FnMut(&SinkLog) -> bool) {
        self.log.wait_until(condition).await;
    }
}

#[async_trait]
impl SinkConnector for FakeSink {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn check(&self) -> Vec<Finding> {
        vec![Finding { ok: true, what: "a fake sink is always there".into(), fix: None }]
    }

    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        self.log.note(|log| log.opens += 1);
        Ok(Box::new(OpenFake(self.clone())))
    }
}

struct OpenFake(FakeSink);

impl OpenFake {
    /// The rows of a request, and which of them are refused.
    fn sort(&self, request: &WriteRequest) -> (Vec<SinkRow>, Vec<SinkRow>, Vec<RefusedRow>) {
        let (mut taken, mut refused, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        request.for_each(|number, batch, index| {
            let row = seen(&request.delivery.partition, batch, index);
            if self.0.refuse.as_ref().is_some_and(|refuse| refuse(&row)) {
                let cause = DeadLetterCause {
                    stage: "sink".into(),
                    code: "refused".into(),
                    message: "the fake sink was told to refuse this row".into(),
                    module: None,
                };
                answers.push(RefusedRow { batch: number, index: index as u32, cause });
                refused.push(row);
            } else {
                taken.push(row);
            }
        });
        (taken, refused, answers)
    }
}

#[async_trait]
impl Sink for OpenFake {
    async fn write(&mut self, request: WriteRequest) -> Result<Durable, Fault> {
        let log = self.0.log.clone();
        log.until(|log| !log.hold_writes).await;
        if let Some(kind) = log.note(|log| {
            log.writes += 1;
            log.fail_writes.pop_front()
        }) {
            return Err(Fault::new(kind, "the fake sink was told to refuse this write"));
        }
        let (taken, refused, answers) = self.sort(&request);
        let failure = log.note(|log| {
            log.accepted.extend(taken.iter().cloned());
            log.fail_durables.pop_front()
        });
        Ok(Box::pin(async move {
            log.until(|log| !log.hold_durables).await;
            if let Some(kind) = failure {
                return Err(Fault::new(kind, "the fake sink was told to lose this write"));
            }
            let records = taken.len() as u64;
            log.note(|log| {
                log.durable.extend(taken);
                log.refused.extend(refused);
            });
            Ok(Written { records, bytes: 0, refused: answers })
        }))
    }

    async fn close(&mut self) {
        self.0.log.note(|log| log.closed += 1);
    }
}

fn seen(partition: &Partition, batch: &Batch, index: usize) -> SinkRow {
    let row = batch.sel.get(index).copied().unwrap_or(u32::MAX);
    let at = row as usize;
    let written = |c: &Column| text(c, index);
    SinkRow {
        partition: partition.clone(),
        topic: batch.topic(index).to_owned(),
        position: batch.positions.get(at).copied().unwrap_or_default(),
        row,
        op: batch.ops.get(at).copied().unwrap_or(Op::Append),
        key: batch.key_bytes(at).map(<[u8]>::to_vec),
        document: match &batch.payload {
            Payload::Documents(documents) => Some(documents.values.get(at).to_vec()),
            Payload::Rows(_) => None,
        },
        written: batch
            .edits
            .written
            .iter()
            .map(|w| (Arc::clone(&w.name), written(&w.column)))
            .collect(),
        headers: batch
            .edits
            .headers
            .iter()
            .map(|(name, column)| (Arc::clone(name), written(column)))
            .collect(),
    }
}

fn text(column: &Column, row: usize) -> Option<String> {
    match &column.values {
        Values::Booleans(_) => column.boolean(row).map(|v| v.to_string()),
        Values::Ints(_) => column.int(row).map(|v| v.to_string()),
        Values::Floats(_) => column.float(row).map(|v| v.to_string()),
        Values::Texts(_) => column.text(row).map(str::to_owned),
        Values::Blobs(_) => column.bytes(row).map(|v| format!("{v:?}")),
    }
}
