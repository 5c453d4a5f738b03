//! Both halves of an open source, with the checkpoint that they move.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use wasmgate_connector::{
    BatchLimits, BatchPool, Commands, Planner, Source, SourceAcker, SourceContext, SourceEvent,
    SourceReader, SourceStatus,
};
use wasmgate_model::{Checkpoint, Delivery, Delta, Fault, Partition, Position};

use crate::PATIENCE;
use crate::event::{Event, events};

/// An open source in a pipeline that settles what it reads.
pub struct Run {
    pub reader: Box<dyn SourceReader>,
    pub acker: Box<dyn SourceAcker>,
    pub checkpoint: Checkpoint,
    pub status: Arc<SourceStatus>,
    pub commands: Arc<Commands>,
    /// Positions that the source assigned by itself.
    pub assigned: Vec<Position>,
    pub completed: bool,
}

impl Run {
    /// Opens a source for a chain. `rows`: of a delivery, at most.
    ///
    /// # Errors
    /// The source cannot be opened.
    pub async fn open(
        source: &dyn Source,
        rows: usize,
        checkpoint: Checkpoint,
        planner: Arc<dyn Planner>,
    ) -> Result<Self, Fault> {
        let status = Arc::new(SourceStatus::default());
        let commands = Arc::<Commands>::default();
        let context = SourceContext {
            pipeline: "test".into(),
            checkpoint: checkpoint.clone(),
            planner,
            pool: Arc::new(BatchPool::default()),
            limits: BatchLimits { rows, ..BatchLimits::default() },
            status: Arc::clone(&status),
            commands: Arc::clone(&commands),
        };
        let (reader, acker) = source.open(context).await?;
        let (assigned, completed) = (Vec::new(), false);
        Ok(Self { reader, acker, checkpoint, status, commands, assigned, completed })
    }

    /// Reads on until the source assigned a place: what the test writes from then on comes by the
    /// stream.
    ///
    /// # Errors
    /// The source fails before.
    pub async fn until_assigned(&mut self) -> Result<(), Fault> {
        while self.assigned.is_empty() {
            let event = self.reader.next().await?;
            let SourceEvent::Assigned { partition, at, state } = event else {
                panic!("no place is assigned: {event:?}");
            };
            self.assign(partition, at, state);
        }
        Ok(())
    }

    fn assign(&mut self, partition: Partition, at: Position, state: Option<Arc<[u8]>>) {
        // Before it knows where it begins, a source has no place yet.
        if at != Position::default() {
            self.assigned.push(at);
        }
        self.checkpoint.assign(partition, at, state);
    }

    /// The next delivery, not settled. `None`: the source is completed.
    ///
    /// # Errors
    /// The source fails.
    pub async fn next(&mut self) -> Result<Option<Delivery>, Fault> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.reader.next()).await;
            match next.expect("nothing came in time")? {
                SourceEvent::Delivery(delivery) => return Ok(Some(delivery)),
                SourceEvent::Assigned { partition, at, state } => {
                    self.assign(partition, at, state);
                }
                SourceEvent::Completed => {
                    self.completed = true;
                    return Ok(None);
                }
                SourceEvent::Revoked { .. } => panic!("a log is never taken away politely"),
            }
        }
    }

    /// Settles a delivery; panics on a gap.
    pub async fn settle(&mut self, delivery: &Delivery) {
        let Delivery { partition, from, to, state, .. } = delivery;
        let delta =
            Delta { partition: partition.clone(), from: *from, to: *to, state: state.clone() };
        assert!(self.checkpoint.apply(&delta).unwrap());
        self.acker.settled(&self.checkpoint).await.unwrap();
    }

    /// Reads and settles until something is answered; nothing has to come for that.
    pub async fn while_asked<T>(&mut self, asked: &JoinHandle<T>) -> Vec<Event> {
        let mut all = Vec::new();
        while !asked.is_finished() {
            let short = Duration::from_millis(100);
            let Ok(next) = tokio::time::timeout(short, self.reader.next()).await else { continue };
            match next.unwrap() {
                SourceEvent::Delivery(delivery) => {
                    all.extend(events(&delivery));
                    self.settle(&delivery).await;
                }
                other => panic!("{other:?}"),
            }
        }
        all
    }

    /// Reads and settles until the events satisfy `done`, or the source is completed.
    pub async fn until(&mut self, done: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let mut all = Vec::new();
        while !done(&all) {
            let Some(delivery) = self.next().await.unwrap() else { break };
            all.extend(events(&delivery));
            self.settle(&delivery).await;
        }
        all
    }

    /// Reads and settles until the snapshot is over.
    pub async fn streaming(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while *self.status.phase.lock().unwrap() != "streaming" {
            let soon = Duration::from_millis(20);
            if let Ok(delivery) = tokio::time::timeout(soon, self.next()).await {
                let Some(delivery) = delivery.unwrap() else { break };
                all.extend(events(&delivery));
                self.settle(&delivery).await;
            }
        }
        all
    }

    /// The events of the next delivery that has any, settled.
    pub async fn count_some(&mut self) -> Vec<Event> {
        self.until(|all| !all.is_empty()).await
    }

    /// The next events, `n` of them.
    pub async fn count(&mut self, n: usize) -> Vec<Event> {
        let all = self.until(|all| all.len() >= n).await;
        assert_eq!(all.len(), n, "{all:#?}");
        all
    }
}
