//! Signals from elsewhere: a topic or a file is read by a source like any other, and its records
//! become commands of a pipeline. A signal counts as read once the pipeline's source has it in its
//! checkpoint, so none is lost; one may come twice after a crash.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use wasmgate_codec::encode::original;
use wasmgate_connector::{
    BatchLimits, BatchPool, CheckpointStore, PassThrough, Refusal, Source, SourceAcker,
    SourceContext, SourceEvent, SourceReader, random_id,
};
use wasmgate_model::{Checkpoint, Delivery, Delta, Fault, FaultKind};
use wasmgate_pipeline::Pipeline;

/// Pause before a channel that failed is opened again, or a signal is offered again.
const AGAIN: Duration = Duration::from_secs(2);

/// Where signals come from.
pub(crate) struct Channel {
    /// Names its place in the store.
    pub(crate) name: String,
    pub(crate) source: Arc<dyn Source>,
    /// Only records with this key are signals for the pipeline.
    pub(crate) key: Option<String>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) store: Arc<dyn CheckpointStore>,
}

#[derive(Deserialize)]
struct Signal {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

impl Channel {
    /// Reads signals for ever.
    pub(crate) async fn run(self) {
        let mut told = String::new();
        loop {
            let Err(fault) = Box::pin(self.read()).await;
            let reason = fault.chain();
            // A broker that is away for hours is told once.
            if reason != told {
                tracing::warn!(channel = self.name, error = reason, "signals cannot be read");
                told = reason;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn read(&self) -> Result<std::convert::Infallible, Fault> {
        let mut checkpoint = self.load().await?;
        let context = SourceContext {
            pipeline: self.name.as_str().into(),
            checkpoint: checkpoint.clone(),
            planner: Arc::new(PassThrough),
            pool: Arc::new(BatchPool::default()),
            limits: BatchLimits::default(),
            status: Arc::default(),
            commands: Arc::default(),
        };
        let (mut reader, mut acker) = self.source.open(context).await?;
        loop {
            self.take(&mut *reader, &mut *acker, &mut checkpoint).await?;
        }
    }

    async fn take(
        &self,
        reader: &mut dyn SourceReader,
        acker: &mut dyn SourceAcker,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), Fault> {
        match reader.next().await? {
            SourceEvent::Delivery(delivery) => {
                for (key, value) in records(&delivery) {
                    self.offer(key.as_deref(), &value).await;
                }
                let Delivery { partition, from, to, state, .. } = delivery;
                let moved = checkpoint.apply(&Delta { partition, from, to, state });
                let what = "the signals' records do not follow each other";
                moved.map_err(|e| Fault::new(FaultKind::Internal, what).because(e))?;
            }
            SourceEvent::Assigned { partition, at, state } => {
                checkpoint.assign(partition, at, state);
            }
            SourceEvent::Revoked { done, .. } => {
                drop(done);
                return Ok(());
            }
            SourceEvent::Completed => return std::future::pending().await,
        }
        self.save(checkpoint.clone()).await?;
        acker.settled(checkpoint).await
    }

    /// Hands a signal on, as often as it takes; what is no signal is told by the log.
    async fn offer(&self, key: Option<&[u8]>, value: &[u8]) {
        if self.key.as_ref().is_some_and(|wanted| key.is_none_or(|key| !same(key, wanted))) {
            return;
        }
        let signal: Signal = match serde_json::from_slice(value) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::warn!(channel = self.name, %error, "a record is no signal");
                return;
            }
        };
        let id = match signal.id {
            Some(id) => id,
            None => random_id().unwrap_or_else(|_| self.name.clone()),
        };
        let data = match signal.data {
            Value::Null => "{}".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        loop {
            let sent = self.pipeline.command(id.clone(), signal.kind.clone(), data.clone());
            match sent.await {
                Ok(()) => return,
                Err(Refusal::NotRunning | Refusal::Busy | Refusal::Late) => {
                    tokio::time::sleep(AGAIN).await;
                }
                // What does not fit now stands in nobody's way: it is asked for again.
                Err(refusal) => {
                    tracing::warn!(channel = self.name, id, %refusal, "a signal is passed over");
                    return;
                }
            }
        }
    }

    async fn load(&self) -> Result<Checkpoint, Fault> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        tokio::task::spawn_blocking(move || store.load(&name)).await.map_err(ended)?
    }

    async fn save(&self, checkpoint: Checkpoint) -> Result<(), Fault> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        tokio::task::spawn_blocking(move || store.save(&name, &checkpoint)).await.map_err(ended)?
    }
}

fn ended(error: tokio::task::JoinError) -> Fault {
    Fault::new(FaultKind::Internal, "the store's thread ended").because(error)
}

/// Keys and values of a delivery, in order. Tombstones are none.
fn records(delivery: &Delivery) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
    let batches = delivery.batches.iter();
    let each = batches.flat_map(|batch| batch.sel.iter().map(move |row| (batch, *row as usize)));
    each.filter_map(|(batch, row)| {
        let (key, value) = original(batch, row);
        Some((key, value?))
    })
    .collect()
}

/// A key as bare text or as a JSON string.
fn same(key: &[u8], wanted: &str) -> bool {
    key == wanted.as_bytes() || serde_json::from_slice::<String>(key).is_ok_and(|key| key == wanted)
}
