//! The sink: rows in source order into librdkafka's queue, acknowledged by all replicas.
//!
//! *Accepted*: librdkafka holds the rows of a request, in order; a full queue makes
//! [`Sink::write`] wait. *Durable*: every row was acknowledged, or refused for a reason that lies
//! in the row. A broker that is down fails nothing: the producer tries for ever.

mod ledger;
mod limits;
pub(crate) mod producer;

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, OwnedHeaders};
use tokio::sync::oneshot;
use wasmgate_codec::encode::{BatchWriter, EncodeError, ValueWriter};
use wasmgate_connector::{
    Durable, Finding, RefusedRow, Sink, SinkConnector, SinkHealth, WriteRequest, Written,
};
use wasmgate_model::{DeadLetterCause, Fault, FaultKind};

use crate::fault::{Side, record_code};
use crate::settings::SinkSettings;
use crate::{check, client};
use ledger::{Entry, Failures};
use limits::Limits;
use producer::{Outgoing, Producer, Sent};

/// A configured Kafka sink.
#[derive(Debug)]
pub struct KafkaSink {
    settings: Arc<SinkSettings>,
    limits: Arc<Limits>,
}

impl KafkaSink {
    /// A sink with these settings.
    ///
    /// # Errors
    /// See [`SinkSettings::validate`].
    pub fn new(settings: SinkSettings) -> Result<Self, Fault> {
        settings.validate()?;
        let limits = Arc::new(Limits::new(client::producer(&settings)?));
        Ok(Self { settings: Arc::new(settings), limits })
    }
}

#[async_trait]
impl SinkConnector for KafkaSink {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    async fn check(&self) -> Vec<Finding> {
        let topics = self.settings.topic.iter().cloned().collect();
        match client::producer(&self.settings) {
            Ok(config) => check::topics(config, topics, Side::Sink).await,
            Err(fault) => vec![Finding { ok: false, what: fault.chain(), fix: None }],
        }
    }

    async fn open(&self) -> Result<Box<dyn Sink>, Fault> {
        let producer = Producer::connect(self.limits.config()).await?;
        Ok(Box::new(Writer {
            producer: Some(Arc::new(producer)),
            settings: Arc::clone(&self.settings),
            limits: Arc::clone(&self.limits),
            writers: Vec::new(),
            buffers: Buffers::default(),
        }))
    }
}

/// Bytes of the record being written; kept for the next.
#[derive(Debug, Default)]
struct Buffers {
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A row as the request names it: (number of the batch, place in its `sel`).
type Row = (usize, usize);

/// An open sink.
struct Writer {
    /// Taken by `close`.
    producer: Option<Arc<Producer>>,
    settings: Arc<SinkSettings>,
    limits: Arc<Limits>,
    /// One per batch of a delivery: rows of several topics interleave.
    writers: Vec<ValueWriter>,
    buffers: Buffers,
}

/// A request on its way into the queue.
#[derive(Default)]
struct Progress {
    /// Rows that librdkafka took or that were refused.
    through: usize,
    refused: Vec<RefusedRow>,
    bytes: u64,
    /// Why the rest was not written: the whole request fails.
    fault: Option<Fault>,
}

#[async_trait]
impl Sink for Writer {
    async fn write(&mut self, request: WriteRequest) -> Result<Durable, Fault> {
        let Some(producer) = self.producer.as_ref().map(Arc::clone) else {
            return Err(Fault::new(FaultKind::Stopped, "the sink was closed"));
        };
        self.write_to(&producer, request).await
    }

    fn health(&self) -> Arc<SinkHealth> {
        self.producer.as_ref().map(|producer| producer.health()).unwrap_or_default()
    }

    async fn close(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        // Ends a thread: not on the async threads.
        drop(tokio::task::spawn_blocking(move || drop(producer)).await);
    }
}

impl Writer {
    async fn write_to(
        &mut self,
        producer: &Producer,
        request: WriteRequest,
    ) -> Result<Durable, Fault> {
        producer.alive()?;
        let rows = request.in_source_order();
        let (entry, answered) = producer.open().await;
        let mut progress = Progress::default();
        while progress.through < rows.len() && progress.fault.is_none() {
            if self.fill(producer, &entry, &request, &rows, &mut progress) == Sent::Full {
                producer.ledger().wait_for_room().await;
                progress.fault = producer.alive().err();
            }
        }
        producer.ledger().seal(entry);
        let limits = Arc::clone(&self.limits);
        let topic = self.settings.topic.clone();
        Ok(Box::pin(settle(Settling { request, rows, progress, topic, limits }, answered)))
    }

    /// Produces rows from where the request stands until it is through or the queue is full.
    fn fill(
        &mut self,
        producer: &Producer,
        entry: &Entry,
        request: &WriteRequest,
        rows: &[Row],
        progress: &mut Progress,
    ) -> Sent {
        let batches = &request.delivery.batches;
        if self.writers.len() < batches.len() {
            let json = self.settings.json;
            self.writers.resize_with(batches.len(), || ValueWriter::with(json));
        }
        let mut writers: Vec<BatchWriter<'_>> =
            self.writers.iter_mut().zip(batches).map(|(w, batch)| w.begin(batch)).collect();
        while let Some(&(number, index)) = rows.get(progress.through) {
            let (Some(batch), Some(writer)) = (batches.get(number), writers.get_mut(number)) else {
                break;
            };
            let topic = self.settings.topic.as_deref().unwrap_or_else(|| batch.topic(index));
            let cause = match encode(writer, index, topic, &mut self.buffers) {
                Ok(record) => {
                    let size =
                        record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
                    match producer.send(entry, progress.through as u32, record) {
                        Sent::Full => return Sent::Full,
                        Sent::Taken => {
                            progress.bytes += size as u64;
                            None
                        }
                        Sent::Refused(code) => match refusal(code, topic) {
                            Some(cause) => Some(cause),
                            None => {
                                progress.fault = Some(not_taken(code, topic));
                                return Sent::Refused(code);
                            }
                        },
                    }
                }
                Err(cause) => Some(cause),
            };
            let refused = |cause| RefusedRow { batch: number, index: index as u32, cause };
            progress.refused.extend(cause.map(refused));
            progress.through += 1;
        }
        Sent::Taken
    }
}

/// Writes one row into the buffers.
fn encode<'a>(
    writer: &mut BatchWriter<'_>,
    index: usize,
    topic: &'a str,
    buffers: &'a mut Buffers,
) -> Result<Outgoing<'a>, DeadLetterCause> {
    buffers.key.clear();
    buffers.value.clear();
    let has_key = writer.key(index, &mut buffers.key);
    let has_value = writer.value(index, &mut buffers.value).map_err(|error| DeadLetterCause {
        stage: "encode".into(),
        code: error.code().into(),
        message: reason(&error),
        module: None,
    })?;
    let mut headers: Option<OwnedHeaders> = None;
    writer.headers(index, &mut |key, value| {
        let list = headers.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(8));
        headers = Some(list.insert(Header { key, value }));
    });
    Ok(Outgoing {
        topic,
        key: has_key.then_some(buffers.key.as_slice()),
        value: has_value.then_some(buffers.value.as_slice()),
        headers,
        partition: writer.partition(index).filter(|partition| *partition >= 0),
        time_us: writer.time_us(index),
    })
}

/// An error with its cause, for people.
fn reason(error: &EncodeError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// What is needed to say what became of a request.
struct Settling {
    request: WriteRequest,
    rows: Vec<Row>,
    progress: Progress,
    topic: Option<String>,
    limits: Arc<Limits>,
}

/// Waits for every acknowledgement and says what became of the rows.
async fn settle(held: Settling, answered: oneshot::Receiver<Failures>) -> Result<Written, Fault> {
    let Settling { request, rows, progress, topic, limits } = held;
    let failures = answered.await.map_err(|_| gone())?;
    if let Some(fault) = progress.fault {
        return Err(fault);
    }
    let mut refused = progress.refused;
    for (ordinal, code) in failures {
        let Some(&(number, index)) = rows.get(ordinal as usize) else { continue };
        let batch = request.delivery.batches.get(number);
        let topic = topic.as_deref().or_else(|| Some(batch?.topic(index))).unwrap_or_default();
        if code == Code::MessageSizeTooLarge {
            limits.alone(topic).await?;
        }
        let cause = refusal(code, topic).ok_or_else(|| not_taken(code, topic))?;
        refused.push(RefusedRow { batch: number, index: index as u32, cause });
    }
    let records = (rows.len() - refused.len()) as u64;
    Ok(Written { records, bytes: progress.bytes, refused })
}

/// Why a row is refused, if the reason lies in the row.
fn refusal(code: Code, topic: &str) -> Option<DeadLetterCause> {
    let label = record_code(code)?;
    let message = match code {
        Code::MessageSizeTooLarge => format!(
            "the record is larger than the producer (message.max.bytes) or topic {topic} \
             (max.message.bytes) allows; raise both to let it pass"
        ),
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            format!("topic {topic} does not exist and the brokers do not create it; create it")
        }
        _ => format!("topic {topic} refuses the record: {code}"),
    };
    Some(DeadLetterCause { stage: "sink".into(), code: label.into(), message, module: None })
}

fn not_taken(code: Code, topic: &str) -> Fault {
    match code {
        Code::PurgeQueue | Code::PurgeInflight => gone(),
        Code::TopicAuthorizationFailed => Side::Sink.fault(
            code,
            format!("no right to write topic {topic}; grant it (ACL WRITE, DESCRIBE)"),
        ),
        _ => Side::Sink.fault(code, format!("topic {topic} did not take a record")),
    }
}

fn gone() -> Fault {
    Fault::new(FaultKind::SinkUnavailable, "the producer was closed before every acknowledgement")
}
