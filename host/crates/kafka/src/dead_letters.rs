//! Dead letters in a Kafka topic: the record's original key, value, headers and timestamp, and
//! why it is dead in headers: Kafka Connect's names (`__connect.errors.*`), and ours.

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use wasmgate_codec::encode;
use wasmgate_connector::{
    DeadLetter, DeadLetterConnector, DeadLetterContext, DeadLetters, Finding,
};
use wasmgate_model::{Batch, Delivery, Fault, FaultKind};

use crate::fault::Side;
use crate::settings::DeadLetterSettings;
use crate::sink::producer::{Outgoing, Producer, Sent};
use crate::{check, client};

/// A configured dead-letter topic.
#[derive(Debug)]
pub struct KafkaDeadLetters {
    settings: Arc<DeadLetterSettings>,
    config: ClientConfig,
}

impl KafkaDeadLetters {
    /// A dead-letter topic with these settings.
    ///
    /// # Errors
    /// See [`DeadLetterSettings::validate`].
    pub fn new(settings: DeadLetterSettings) -> Result<Self, Fault> {
        settings.validate()?;
        let config = client::producer(&settings.producer())?;
        Ok(Self { settings: Arc::new(settings), config })
    }
}

#[async_trait]
impl DeadLetterConnector for KafkaDeadLetters {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    async fn check(&self) -> Vec<Finding> {
        check::topics(self.config.clone(), vec![self.settings.topic.clone()], Side::Sink).await
    }

    async fn open(&self) -> Result<Box<dyn DeadLetters>, Fault> {
        let producer = Producer::connect(self.config.clone()).await?;
        Ok(Box::new(Writer { producer, settings: Arc::clone(&self.settings) }))
    }
}

struct Writer {
    producer: Producer,
    settings: Arc<DeadLetterSettings>,
}

#[async_trait]
impl DeadLetters for Writer {
    async fn write(
        &mut self,
        context: &DeadLetterContext,
        delivery: &Delivery,
        letters: &[DeadLetter],
    ) -> Result<(), Fault> {
        self.producer.alive()?;
        let (entry, answered) = self.producer.open().await;
        let mut fault = None;
        for (ordinal, letter) in letters.iter().enumerate() {
            let Some(batch) = delivery.batches.get(letter.batch) else { continue };
            let topic = letter.topic.as_deref().unwrap_or(&self.settings.topic);
            let (key, value) = encode::original(batch, letter.row as usize);
            let sent = loop {
                let record = Outgoing {
                    topic,
                    key: key.as_deref(),
                    value: value.as_deref(),
                    headers: Some(headers(context, batch, letter)),
                    partition: None,
                    time_us: batch.times_us.get(letter.row as usize).copied().unwrap_or(0),
                };
                match self.producer.send(&entry, ordinal as u32, record) {
                    Sent::Full => self.producer.ledger().wait_for_room().await,
                    sent => break sent,
                }
            };
            if let Sent::Refused(code) = sent {
                fault = Some(not_taken(code, topic));
                break;
            }
        }
        self.producer.ledger().seal(entry);
        let failures = answered.await.map_err(|_| closed())?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let Some((ordinal, code)) = failures.first().copied() else { return Ok(()) };
        let topic = letters.get(ordinal as usize).and_then(|letter| letter.topic.as_deref());
        Err(not_taken(code, topic.unwrap_or(&self.settings.topic)))
    }
}

/// The record's own headers, then why it is dead.
fn headers(context: &DeadLetterContext, batch: &Batch, letter: &DeadLetter) -> OwnedHeaders {
    let row = letter.row as usize;
    let mut list = OwnedHeaders::new_with_capacity(24);
    for (key, value) in batch.headers.row(row) {
        list = list.insert(Header { key, value });
    }
    let position = batch.positions.get(row).copied().unwrap_or_default();
    let offset = match context.source {
        "kafka" => position.major.saturating_sub(1).to_string(),
        _ => position.to_string(),
    };
    let cause = &letter.cause;
    let module = cause.module.as_deref();
    let class = module.map_or(&*cause.stage, |(name, _, _)| name);
    let connect = [
        ("topic", &*batch.schema.topic),
        ("partition", &batch.source_partition.max(0).to_string()),
        ("offset", &offset),
        ("connector.name", &context.pipeline),
        ("task.id", "0"),
        ("stage", connect_stage(&cause.stage)),
        ("class.name", class),
        ("exception.class.name", &cause.code),
        ("exception.message", &cause.message),
    ];
    for (name, value) in connect {
        let key = format!("__connect.errors.{name}");
        list = list.insert(Header { key: &key, value: Some(value) });
    }
    let attempts = letter.attempts.to_string();
    let pipeline = &*context.pipeline;
    let ours = [("pipeline", pipeline), ("stage", &cause.stage), ("code", &cause.code)];
    let modules = module.map(|(name, version, sha256)| {
        [("module", &**name), ("module.version", version), ("module.sha256", sha256)]
    });
    let all = ours.into_iter().chain([("attempts", &*attempts)]);
    for (name, value) in all.chain(modules.into_iter().flatten()) {
        let key = format!("wasmgate.{name}");
        list = list.insert(Header { key: &key, value: Some(value) });
    }
    list
}

/// The word Kafka Connect uses for a stage; stages of the chain are its transformations.
fn connect_stage(stage: &str) -> &'static str {
    match stage {
        "decode" | "convert" | "encode" => "VALUE_CONVERTER",
        "sink" => "TASK_PUT",
        _ => "TRANSFORMATION",
    }
}

fn not_taken(code: rdkafka::error::RDKafkaErrorCode, topic: &str) -> Fault {
    if crate::fault::record_code(code).is_some() {
        let message = format!(
            "dead-letter topic {topic} refuses a record; create it, or raise message.max.bytes \
             and the topic's max.message.bytes"
        );
        return Fault::new(FaultKind::SinkRefused, message).because(code);
    }
    Side::Sink.fault(code, format!("dead-letter topic {topic} did not take a record"))
}

fn closed() -> Fault {
    Fault::new(FaultKind::SinkUnavailable, "the producer was closed before every acknowledgement")
}
