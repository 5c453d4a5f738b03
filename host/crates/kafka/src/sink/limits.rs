//! Telling a record that is too large from its neighbours.
//!
//! A broker refuses a whole record batch when the batch is larger than the topic allows, and
//! librdkafka then fails every record in it. Only where batches are no larger than the topic's
//! limit is a refused batch sure to hold one record. So at the first such refusal the topic's
//! limit is asked for; if batches were larger, the producer is made again with smaller ones.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use wasmgate_model::{Fault, FaultKind};

/// librdkafka's default for `batch.size`, bytes.
const BATCH: usize = 1_000_000;
/// Bound on the question to the broker.
const ASK: Duration = Duration::from_secs(10);

/// What is known of the topics' limits; outlives the producers.
#[derive(Debug)]
pub(super) struct Limits {
    config: ClientConfig,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// `batch.size` of the next producer, bytes.
    batch: usize,
    /// `max.message.bytes` by topic.
    topics: BTreeMap<String, usize>,
}

impl Limits {
    pub(super) fn new(config: ClientConfig) -> Self {
        let batch = config.get("batch.size").and_then(|size| size.parse().ok()).unwrap_or(BATCH);
        Self { config, known: Mutex::new(Known { batch, topics: BTreeMap::new() }) }
    }

    /// The configuration of the next producer.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = self.config.clone();
        config.set("batch.size", self.known().batch.to_string());
        config
    }

    /// Whether a batch that `topic` found too large held only one record.
    ///
    /// # Errors
    /// It may have held more. The next producer makes smaller batches: open the sink again.
    pub(super) async fn alone(&self, topic: &str) -> Result<(), Fault> {
        let known = self.known().topics.get(topic).copied();
        let limit = match known {
            Some(limit) => limit,
            // A batch size of 1 puts every record into a batch of its own: slow, but right.
            None => self.ask(topic).await.unwrap_or(1),
        };
        let mut known = self.known();
        known.topics.insert(topic.to_owned(), limit);
        if known.batch <= limit {
            return Ok(());
        }
        known.batch = limit;
        let message = format!(
            "topic {topic} takes batches up to {limit} bytes; opening again with smaller ones"
        );
        Err(Fault::new(FaultKind::SinkUnavailable, message))
    }

    async fn ask(&self, topic: &str) -> Option<usize> {
        let admin: AdminClient<DefaultClientContext> = self.config.create().ok()?;
        let options = AdminOptions::new().request_timeout(Some(ASK));
        let asked = [ResourceSpecifier::Topic(topic)];
        let answer = admin.describe_configs(&asked, &options).await.ok()?;
        let resource = answer.into_iter().next()?.ok()?;
        resource.get("max.message.bytes")?.value.as_deref()?.parse().ok()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
