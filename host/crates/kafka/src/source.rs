//! The source: a member of a consumer group on a thread of its own.
//!
//! The reader half takes events from the thread's queue; the acker half leaves the settled
//! checkpoint for the thread to commit. The group's committed offsets only follow the checkpoint:
//! where the two differ at an assignment, the later one within the log counts ([`place`]).

mod context;
mod filling;
mod handover;
mod offsets;
mod place;
mod schemas;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::sync::Notify;
use wasmgate_connector::{
    Finding, Source, SourceAcker, SourceContext, SourceEvent, SourceHalves, SourceReader,
};
use wasmgate_model::{Checkpoint, Fault, FaultKind};

use crate::check;
use crate::client;
use crate::fault::{self, Side};
use crate::settings::SourceSettings;
use context::Context;
use handover::Handover;
use worker::Worker;

/// Deliveries of so many times `limits.bytes` wait for the pipeline at most.
const AHEAD: usize = 8;
/// Bound on leaving the group at close.
const LEAVE: Duration = Duration::from_secs(10);

/// A configured Kafka source.
#[derive(Debug)]
pub struct KafkaSource {
    settings: Arc<SourceSettings>,
}

impl KafkaSource {
    /// A source with these settings.
    ///
    /// # Errors
    /// See [`SourceSettings::validate`].
    pub fn new(settings: SourceSettings) -> Result<Self, Fault> {
        settings.validate()?;
        Ok(Self { settings: Arc::new(settings) })
    }
}

#[async_trait]
impl Source for KafkaSource {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    async fn check(&self) -> Vec<Finding> {
        match client::consumer(&self.settings) {
            Ok(config) => check::topics(config, self.settings.topics.clone(), Side::Source).await,
            Err(fault) => vec![Finding { ok: false, what: fault.chain(), fix: None }],
        }
    }

    async fn open(&self, context: SourceContext) -> Result<SourceHalves, Fault> {
        context.status.phase("connecting");
        let settings = Arc::clone(&self.settings);
        let opened = tokio::task::spawn_blocking(move || open_blocking(settings, context)).await;
        let shared = opened.unwrap_or_else(|error| {
            Err(Fault::new(FaultKind::Internal, "the connecting thread ended").because(error))
        })?;
        let reader = Reader { shared: Arc::clone(&shared) };
        Ok((Box::new(reader), Box::new(Acker { shared })))
    }
}

/// What the two halves and the thread share.
struct Shared {
    handover: Handover,
    /// The newest checkpoint that the thread has not seen.
    settled: Mutex<Option<Checkpoint>>,
    stop: AtomicBool,
    /// The thread has left the group.
    finished: Notify,
}

impl Shared {
    fn take_settled(&self) -> Option<Checkpoint> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Looks for the topics, joins the group and starts the thread.
fn open_blocking(
    settings: Arc<SourceSettings>,
    context: SourceContext,
) -> Result<Arc<Shared>, Fault> {
    let mut config = client::consumer(&settings)?;
    for topic in settings.topics.iter().filter(|topic| !topic.starts_with('^')) {
        known(&config, topic)?;
    }
    context.status.connected.store(true, Ordering::Relaxed);
    context.status.phase("joining the group");
    if config.get("statistics.interval.ms").is_none() {
        config.set("statistics.interval.ms", "5000");
    }
    let consumer: BaseConsumer<Context> = config
        .create_with_context(Context::new(Arc::clone(&context.status)))
        .map_err(|error| fault::config("cannot create a consumer").because(error))?;
    let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
    consumer
        .subscribe(&topics)
        .map_err(|error| fault::config("topics: cannot be subscribed to").because(error))?;
    let shared = Arc::new(Shared {
        handover: Handover::new(context.limits.bytes.saturating_mul(AHEAD)),
        settled: Mutex::default(),
        stop: AtomicBool::new(false),
        finished: Notify::new(),
    });
    let worker = Worker::new(consumer, Arc::clone(&shared), settings, context);
    std::thread::Builder::new()
        .name("kafka-consumer".to_owned())
        .spawn(move || worker.run())
        .map_err(|error| Fault::new(FaultKind::Internal, "cannot start a thread").because(error))?;
    Ok(shared)
}

/// Whether the brokers know a topic; a subscription to an unknown one would just wait.
fn known(config: &ClientConfig, topic: &str) -> Result<(), Fault> {
    let metadata = check::metadata(config, Some(topic), Side::Source)?;
    if check::is_unknown(&metadata, topic) {
        let message = format!("topic {topic} does not exist; create it: {}", check::create(topic));
        return Err(Fault::new(FaultKind::SourceRefused, message));
    }
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    match found.and_then(|found| found.error()).map(Code::from) {
        Some(code) => {
            let message = format!("topic {topic} cannot be read (ACL READ, DESCRIBE)");
            Err(Side::Source.fault(code, message))
        }
        None => Ok(()),
    }
}

/// The reading half. Dropping it ends the thread.
struct Reader {
    shared: Arc<Shared>,
}

#[async_trait]
impl SourceReader for Reader {
    async fn next(&mut self) -> Result<SourceEvent, Fault> {
        self.shared.handover.next().await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// The half that is told what is settled.
struct Acker {
    shared: Arc<Shared>,
}

#[async_trait]
impl SourceAcker for Acker {
    async fn settled(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let mut settled = self.shared.settled.lock().unwrap_or_else(PoisonError::into_inner);
        *settled = Some(checkpoint.clone());
        Ok(())
    }

    async fn close(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if tokio::time::timeout(LEAVE, self.shared.finished.notified()).await.is_err() {
            tracing::warn!("the consumer did not leave its group in time; left behind");
        }
    }
}
