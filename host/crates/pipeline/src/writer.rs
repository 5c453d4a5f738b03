//! The writer: gives processed deliveries to the sinks, in order, and their durables to the
//! settler. A sink that is down is tried again here: that is the back-pressure.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use wasmgate_connector::{DeadLetter, Durable, RowSet, Sink, WriteRequest};
use wasmgate_model::{Batch, DeadLetterCause, Delivery, Fault, FaultKind, Retry};

use crate::backoff::Backoff;
use crate::session::Shared;
use crate::spec::SinkSpec;

/// A delivery that went through the chain.
pub(crate) struct Processed {
    pub(crate) ticket: u64,
    pub(crate) delivery: Delivery,
    pub(crate) letters: Vec<DeadLetter>,
    /// Records that came in.
    pub(crate) records: u64,
    pub(crate) room: Room,
}

/// A delivery that every sink accepted.
pub(crate) struct Accepted {
    pub(crate) ticket: u64,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) letters: Vec<DeadLetter>,
    pub(crate) records: u64,
    /// With the number of the sink.
    pub(crate) durables: Vec<(usize, Durable)>,
    /// Held until the delivery is settled: bounds what is in flight.
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) room: Room,
}

/// A delivery's shares of what may be in flight: what was read, and what modules made of it.
pub(crate) type Room = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// A row that a sink refused, to be written once more.
pub(crate) struct Rewrite {
    pub(crate) sink: usize,
    pub(crate) request: WriteRequest,
    pub(crate) answer: oneshot::Sender<Durable>,
}

pub(crate) struct Writer {
    pub(crate) specs: Vec<SinkSpec>,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) routes: Routes,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) shared: Arc<Shared>,
}

impl Writer {
    /// Writes until the lanes are done and everything is settled, then closes the sinks.
    pub(crate) async fn run(
        mut self,
        mut processed: mpsc::Receiver<Processed>,
        mut rewrites: mpsc::Receiver<Rewrite>,
        accepted: mpsc::Sender<Accepted>,
    ) -> Result<(), Fault> {
        loop {
            tokio::select! {
                biased;
                Some(again) = rewrites.recv() => self.rewrite(again).await?,
                next = processed.recv() => match next {
                    Some(next) => {
                        let Some(permit) = self.permit(&mut rewrites).await? else { break };
                        let sent = self.accept(next, permit).await?;
                        if accepted.send(sent).await.is_err() {
                            break;
                        }
                    }
                    None => break,
                },
            }
        }
        drop(accepted);
        for sink in &mut self.sinks {
            sink.flush().await;
        }
        // The settler has awaited every durable when it lets go of its end.
        while let Some(again) = rewrites.recv().await {
            self.rewrite(again).await?;
        }
        for sink in &mut self.sinks {
            sink.close().await;
        }
        Ok(())
    }

    /// Room for one more delivery in flight. The settler may need a rewrite to make it.
    async fn permit(
        &mut self,
        rewrites: &mut mpsc::Receiver<Rewrite>,
    ) -> Result<Option<OwnedSemaphorePermit>, Fault> {
        loop {
            let permits = Arc::clone(&self.permits);
            tokio::select! {
                biased;
                permit = permits.acquire_owned() => return Ok(permit.ok()),
                Some(again) = rewrites.recv() => self.rewrite(again).await?,
            }
        }
    }

    async fn accept(
        &mut self,
        next: Processed,
        permit: OwnedSemaphorePermit,
    ) -> Result<Accepted, Fault> {
        let Processed { ticket, delivery, mut letters, records, room } = next;
        let delivery = Arc::new(delivery);
        let sets = self.routes.split(&self.specs, &delivery, &mut letters);
        let mut durables = Vec::with_capacity(sets.len());
        for (sink, rows) in sets {
            let request = WriteRequest { delivery: Arc::clone(&delivery), rows };
            durables.push((sink, self.write(sink, request).await?));
        }
        Ok(Accepted { ticket, delivery, letters, records, durables, permit, room })
    }

    async fn rewrite(&mut self, again: Rewrite) -> Result<(), Fault> {
        let durable = self.write(again.sink, again.request).await?;
        // A settler that is gone has told its fault.
        drop(again.answer.send(durable));
        Ok(())
    }

    async fn write(&mut self, sink: usize, request: WriteRequest) -> Result<Durable, Fault> {
        let mut backoff = Backoff::default();
        loop {
            let Some(target) = self.sinks.get_mut(sink) else {
                return Err(Fault::new(FaultKind::Internal, "a route leads to no sink"));
            };
            match target.write(request.clone()).await {
                Ok(durable) => {
                    self.shared.working();
                    return Ok(durable);
                }
                Err(fault) if fault.retry() == Retry::Timed => {
                    let pause = backoff.next(fault.kind);
                    self.shared.metrics.retries.inc();
                    self.shared.retrying(&fault);
                    tokio::time::sleep(pause).await;
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}

/// Topics remembered at most: a rule may make one per record.
const TOPICS_MAX: usize = 10_000;

/// Which sink a topic goes to; remembered.
#[derive(Default)]
pub(crate) struct Routes {
    known: HashMap<String, Option<usize>>,
}

impl Routes {
    fn find(&mut self, specs: &[SinkSpec], topic: &str) -> Option<usize> {
        if let Some(found) = self.known.get(topic) {
            return *found;
        }
        let found = specs.iter().position(|s| s.topics.is_match(topic));
        if self.known.len() >= TOPICS_MAX {
            self.known.clear();
        }
        self.known.insert(topic.to_owned(), found);
        found
    }

    /// Splits a delivery's rows among the sinks; rows without one become dead letters.
    pub(crate) fn split(
        &mut self,
        specs: &[SinkSpec],
        delivery: &Delivery,
        letters: &mut Vec<DeadLetter>,
    ) -> Vec<(usize, RowSet)> {
        if let Some(sink) = self.single(specs, delivery) {
            return vec![(sink, RowSet::All)];
        }
        let batches = delivery.batches.len();
        let mut sets: Vec<Option<Vec<Vec<u32>>>> = vec![None; specs.len()];
        for (n, batch) in delivery.batches.iter().enumerate() {
            for i in 0..batch.sel.len() {
                let Some(sink) = self.find(specs, batch.topic(i)) else {
                    letters.push(no_sink(n, batch, i));
                    continue;
                };
                let set =
                    sets.get_mut(sink).map(|s| s.get_or_insert_with(|| vec![Vec::new(); batches]));
                if let Some(rows) = set.and_then(|s| s.get_mut(n)) {
                    rows.push(i as u32);
                }
            }
        }
        let chosen = sets.into_iter().enumerate();
        chosen.filter_map(|(sink, rows)| Some((sink, RowSet::Some(rows?)))).collect()
    }

    /// The sink that takes every row: it takes all topics, or no row changes its topic.
    fn single(&mut self, specs: &[SinkSpec], delivery: &Delivery) -> Option<usize> {
        if specs.first().is_some_and(|s| matches!(s.topics.as_str(), ".*" | r"\A(?:.*)\z")) {
            return Some(0);
        }
        let mut chosen = None;
        for batch in delivery.batches.iter().filter(|b| !b.sel.is_empty()) {
            if batch.edits.topic.is_some() {
                return None;
            }
            let sink = self.find(specs, &batch.schema.topic)?;
            if *chosen.get_or_insert(sink) != sink {
                return None;
            }
        }
        chosen
    }
}

fn no_sink(n: usize, batch: &Batch, i: usize) -> DeadLetter {
    let topic = batch.topic(i);
    let message = format!("no sink takes topic {topic}; add one whose `topics` matches it");
    let (stage, code) = ("sink".into(), "no-sink".into());
    let cause = DeadLetterCause { stage, code, message, module: None };
    let row = batch.sel.get(i).copied().unwrap_or_default();
    DeadLetter { batch: n, row, cause, attempts: 1, topic: None }
}
