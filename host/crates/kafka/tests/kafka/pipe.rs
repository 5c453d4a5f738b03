//! What a pipeline does with the connector, in a few lines: reads, gives batches back, settles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::timeout;
use wasmgate_connector::{
    BatchLimits, BatchPool, PassThrough, RowSet, Sink, Source as _, SourceAcker, SourceContext,
    SourceEvent, SourceReader, SourceStatus, WriteRequest, Written,
};
use wasmgate_kafka::{Format, KafkaSource, Properties, SourceSettings};
use wasmgate_model::{Batch, Checkpoint, Delivery, Delta, Fault, Partition, Payload, Position};

use crate::broker::PATIENCE;

pub(crate) fn properties(all: &[(&str, &str)]) -> Properties {
    all.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
}

pub(crate) fn settings(bootstrap: &str, topic: &str, group: &str) -> SourceSettings {
    SourceSettings::new(bootstrap, vec![topic.to_owned()], group, Format::Json)
}

pub(crate) fn context(checkpoint: Checkpoint, limits: BatchLimits) -> SourceContext {
    SourceContext {
        pipeline: "test".into(),
        checkpoint,
        planner: Arc::new(PassThrough),
        pool: Arc::new(BatchPool::default()),
        limits,
        status: Arc::new(SourceStatus::default()),
        commands: Arc::default(),
    }
}

/// An open source and what became of it.
pub(crate) struct Pipe {
    pub(crate) reader: Box<dyn SourceReader>,
    pub(crate) acker: Box<dyn SourceAcker>,
    pub(crate) checkpoint: Checkpoint,
    /// Where each owned partition stands.
    pub(crate) owned: BTreeMap<Partition, Position>,
    /// (partition, position, value) of every row, in the order of arrival.
    pub(crate) rows: Vec<(Partition, u64, Vec<u8>)>,
    pub(crate) revoked: usize,
}

impl Pipe {
    pub(crate) async fn open(settings: SourceSettings, checkpoint: Checkpoint) -> Self {
        Self::open_with(settings, checkpoint, BatchLimits::default()).await
    }

    pub(crate) async fn open_with(
        settings: SourceSettings,
        checkpoint: Checkpoint,
        limits: BatchLimits,
    ) -> Self {
        let context = context(checkpoint.clone(), limits);
        let (reader, acker) = KafkaSource::new(settings).unwrap().open(context).await.unwrap();
        let (owned, rows) = (BTreeMap::new(), Vec::new());
        Self { reader, acker, checkpoint, owned, rows, revoked: 0 }
    }

    /// Takes the next event, settles it, and gives the delivery back if it was one.
    pub(crate) async fn step(&mut self) -> Option<Delivery> {
        let event = timeout(PATIENCE, self.reader.next()).await;
        let event = event.unwrap_or_else(|_| {
            panic!("no event after {} rows; owned {:?}", self.rows.len(), self.owned)
        });
        let event = event.unwrap();
        self.take(event).await
    }

    /// Takes the next event if one comes within a moment.
    pub(crate) async fn step_if_any(&mut self) {
        if let Ok(event) = timeout(Duration::from_millis(20), self.reader.next()).await {
            self.take(event.unwrap()).await;
        }
    }

    async fn take(&mut self, event: SourceEvent) -> Option<Delivery> {
        match event {
            SourceEvent::Delivery(delivery) => {
                self.settle(&delivery).await;
                Some(delivery)
            }
            SourceEvent::Assigned { partition, at, state } => {
                self.checkpoint.assign(partition.clone(), at, state);
                self.owned.insert(partition, at);
                None
            }
            SourceEvent::Revoked { partition, done } => {
                self.owned.remove(&partition);
                self.revoked += 1;
                drop(done);
                None
            }
            SourceEvent::Completed => panic!("a topic has no end"),
        }
    }

    /// Checks that the delivery fits, notes its rows and settles it.
    async fn settle(&mut self, delivery: &Delivery) {
        let owned = self.owned.get_mut(&delivery.partition).expect("an assigned partition");
        assert_eq!(*owned, delivery.from, "{}: no gap, no overlap", delivery.partition);
        *owned = delivery.to;
        for batch in &delivery.batches {
            for row in 0..batch.len() {
                let at = batch.positions[row].major;
                self.rows.push((delivery.partition.clone(), at, value(batch, row).to_vec()));
            }
        }
        let Delivery { partition, from, to, state, .. } = delivery;
        let (partition, state) = (partition.clone(), state.clone());
        self.checkpoint.apply(&Delta { partition, from: *from, to: *to, state }).unwrap();
        self.acker.settled(&self.checkpoint).await.unwrap();
    }

    /// Goes on until so many rows came.
    pub(crate) async fn until(&mut self, rows: usize) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while self.rows.len() < rows {
            deliveries.extend(self.step().await);
        }
        deliveries
    }

    pub(crate) async fn close(mut self) -> Checkpoint {
        timeout(PATIENCE, self.acker.close()).await.expect("closing");
        self.checkpoint
    }
}

pub(crate) fn value(batch: &Batch, row: usize) -> &[u8] {
    match &batch.payload {
        Payload::Documents(documents) => documents.values.get(row),
        Payload::Rows(_) => panic!("kafka sources make documents"),
    }
}

pub(crate) fn all(delivery: Delivery) -> WriteRequest {
    WriteRequest { delivery: Arc::new(delivery), rows: RowSet::All }
}

/// Writes a request and waits until it is durable.
pub(crate) async fn write(sink: &mut dyn Sink, request: WriteRequest) -> Result<Written, Fault> {
    let durable = timeout(PATIENCE, sink.write(request)).await.expect("accepted")?;
    timeout(PATIENCE, durable).await.expect("durable")
}
