//! A producer with its polling thread and its ledger: what the sink and the dead letters share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::oneshot;
use wasmgate_connector::SinkHealth;
use wasmgate_model::{Fault, FaultKind};

use super::ledger::{Entry, Failures, Ledger};
use crate::client::{self, LastError};
use crate::fault::{self, Side};

/// Bound on the first contact with the brokers.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the polling thread sleeps when nothing happens; it wakes at once when something does.
const POLL: Duration = Duration::from_millis(100);

/// librdkafka's callbacks.
pub(crate) struct Context {
    ledger: Ledger,
    last: LastError,
    pub(crate) health: Arc<SinkHealth>,
    /// A fatal error: this producer sends nothing any more.
    dead: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if fault::code(&error) == Code::Fatal {
            self.dead.store(true, Ordering::Relaxed);
        }
        // librdkafka repeats itself many times a second while brokers are away.
        if self.health.trouble(reason) {
            tracing::warn!(reason, "the producer reports an error");
        } else {
            tracing::debug!(reason, "the producer reports an error");
        }
        self.last.keep(&error, reason);
    }
}

impl ProducerContext for Context {
    /// See [`Ledger`].
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        if result.is_ok() && self.health.well() {
            tracing::info!("the producer delivers again");
        }
        self.ledger.answer(ticket, result.as_ref().err().map(|(error, _)| fault::code(error)));
    }
}

/// A record on its way out, borrowed from the caller's buffers.
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) key: Option<&'a [u8]>,
    /// `None` is a tombstone; an empty value is a value.
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Option<OwnedHeaders>,
    pub(crate) partition: Option<i32>,
    pub(crate) time_us: i64,
}

/// What librdkafka did with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It will be answered through the ledger.
    Taken,
    /// The queue is full: wait for room, send again.
    Full,
    /// Never; nothing will be answered.
    Refused(Code),
}

/// A connected producer. Dropping it gives up what is not acknowledged.
pub(crate) struct Producer {
    inner: Arc<BaseProducer<Context>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Producer {
    /// Connects: returns when the brokers answered.
    ///
    /// # Errors
    /// No broker answers in time, or they refuse us.
    pub(crate) async fn connect(config: ClientConfig) -> Result<Self, Fault> {
        let connected = tokio::task::spawn_blocking(move || Self::connect_blocking(&config)).await;
        connected.unwrap_or_else(|error| {
            Err(Fault::new(FaultKind::Internal, "the connecting thread ended").because(error))
        })
    }

    fn connect_blocking(config: &ClientConfig) -> Result<Self, Fault> {
        let context = Context {
            ledger: Ledger::new(),
            last: LastError::default(),
            health: Arc::default(),
            dead: AtomicBool::new(false),
        };
        let inner: BaseProducer<Context> = config
            .create_with_context(context)
            .map_err(|error| fault::config("cannot create a producer").because(error))?;
        let producer = Self::start(Arc::new(inner))?;
        match producer.inner.client().fetch_metadata(None, CONNECT) {
            Ok(_) => {
                producer.inner.context().health.well();
                Ok(producer)
            }
            Err(error) => Err(producer.unreachable(config, &error)),
        }
    }

    fn start(inner: Arc<BaseProducer<Context>>) -> Result<Self, Fault> {
        let stop = Arc::new(AtomicBool::new(false));
        let (polled, told) = (Arc::clone(&inner), Arc::clone(&stop));
        let thread =
            std::thread::Builder::new().name("kafka-producer".to_owned()).spawn(move || {
                while !told.load(Ordering::Relaxed) {
                    polled.poll(POLL);
                }
            });
        match thread {
            Ok(thread) => Ok(Self { inner, stop, thread: Some(thread) }),
            Err(error) => {
                Err(Fault::new(FaultKind::Internal, "cannot start a thread").because(error))
            }
        }
    }

    /// What it tells about its brokers.
    pub(crate) fn health(&self) -> Arc<SinkHealth> {
        Arc::clone(&self.inner.context().health)
    }

    /// The callback's last error says more than the time-out of the call.
    fn unreachable(&self, config: &ClientConfig, error: &KafkaError) -> Fault {
        let servers = config.get("bootstrap.servers").unwrap_or_default();
        match self.inner.context().last.take() {
            Some((code, reason)) => {
                Side::Sink.fault(code, format!("no answer from kafka at {servers} ({reason})"))
            }
            None => Side::Sink.fault(
                fault::code(error),
                format!("no answer from kafka at {servers}; check bootstrap_servers"),
            ),
        }
    }

    /// Opens a request in the ledger; waits while too many are in flight.
    pub(crate) async fn open(&self) -> (Entry, oneshot::Receiver<Failures>) {
        self.ledger().open().await
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.context().ledger
    }

    /// Hands a record over, without waiting.
    pub(crate) fn send(&self, entry: &Entry, ordinal: u32, record: Outgoing<'_>) -> Sent {
        self.ledger().expect(entry);
        let ticket = entry.ticket(ordinal);
        let outgoing = BaseRecord::<[u8], [u8], usize> {
            topic: record.topic,
            partition: record.partition,
            payload: record.value,
            key: record.key,
            timestamp: Some(record.time_us.div_euclid(1000)),
            headers: record.headers,
            delivery_opaque: ticket,
        };
        let Err((error, _)) = self.inner.send(outgoing) else { return Sent::Taken };
        self.ledger().answer(ticket, None);
        match fault::code(&error) {
            Code::QueueFull => Sent::Full,
            code => Sent::Refused(code),
        }
    }

    /// After a fatal error nothing is sent any more: the sink has to be opened again.
    pub(crate) fn alive(&self) -> Result<(), Fault> {
        if !self.inner.context().dead.load(Ordering::Relaxed) {
            return Ok(());
        }
        let message = match self.inner.client().fatal_error() {
            Some((code, reason)) => format!("the producer ended with {code}: {reason}"),
            None => "the producer ended with a fatal error".to_owned(),
        };
        Err(Fault::new(FaultKind::SinkUnavailable, message))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in the callbacks was reported by the panic hook; nothing is left to do.
            drop(thread.join());
        }
    }
}
