//! What the gateway is held against on Kafka: a program that reads, and writes with the same
//! promises (idempotent, all replicas, offsets committed after the acknowledgement), either the
//! bytes as they are or through the same rules written by hand on typed serde structs.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde::{Deserialize, Serialize};

use crate::Problem;

/// Records between two commits.
const COMMIT: u64 = 50_000;
/// It also returns, without a record, when the group moves partitions.
const POLL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// A call detail record.
#[derive(Serialize, Deserialize)]
struct Call<'a> {
    call_id: &'a str,
    customer_id: &'a str,
    caller_number: &'a str,
    callee_number: &'a str,
    call_type: &'a str,
    call_start_ms: i64,
    call_end_ms: i64,
    call_duration_seconds: i64,
    imei: &'a str,
    plan_type: &'a str,
    payment_method: &'a str,
    monthly_spending: f64,
    credit_score: i64,
    monthly_call_duration: i64,
    avg_payment_delay: i64,
    credit_limit: i64,
    cell_id: &'a str,
    network_type: &'a str,
    roaming: bool,
    termination_reason: &'a str,
    #[serde(skip_deserializing)]
    is_fraud: bool,
}

/// Quality, fraud and route as a person would write them; the topic to send to.
fn rules<'t>(
    value: &[u8],
    to: &'t str,
    prepaid: &'t str,
    out: &mut Vec<u8>,
) -> Result<&'t str, Problem> {
    let mut call: Call<'_> = serde_json::from_slice(value)?;
    let good = !call.call_id.is_empty()
        && !call.customer_id.is_empty()
        && call.call_duration_seconds >= 0
        && call.monthly_spending >= 0.0
        && ["4G", "5G"].contains(&call.network_type);
    if !good {
        return Err("a record of bad quality".into());
    }
    call.is_fraud = call.monthly_spending > 400.0
        && call.credit_score < 600
        && call.monthly_call_duration > 500;
    out.clear();
    serde_json::to_writer(out, &call)?;
    Ok(if call.payment_method == "prepaid" { prepaid } else { to })
}

fn consumer(bootstrap: &str, group: &str) -> Result<BaseConsumer, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        // The default of 1000 makes the next fetch wait a second whenever the queue was full.
        .set("fetch.queue.backoff.ms", "5")
        .create()
}

fn producer(bootstrap: &str) -> Result<BaseProducer, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .create()
}

/// Sends a record; a full queue is waited for.
fn send(producer: &BaseProducer, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), KafkaError> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Moves `records` records from topic `from` to topic `to`; `kind` is `copy` or `by-hand`.
pub(crate) fn run(
    kind: &str,
    bootstrap: &str,
    from: &str,
    to: &str,
    records: u64,
) -> Result<(), Problem> {
    let by_hand = kind == "by-hand";
    let consumer = consumer(bootstrap, to)?;
    let producer = producer(bootstrap)?;
    consumer.subscribe(&[from])?;
    let (prepaid, mut buffer) = (format!("{to}.prepaid"), Vec::new());
    let (mut done, mut last) = (0, Instant::now());
    while done < records {
        let Some(message) = consumer.poll(POLL) else {
            if last.elapsed() > PATIENCE {
                return Err(format!("no record for {PATIENCE:?}, after {done}").into());
            }
            continue;
        };
        let message = message?;
        last = Instant::now();
        let value = message.payload().unwrap_or_default();
        let (topic, payload) = match by_hand {
            true => (rules(value, to, &prepaid, &mut buffer)?, buffer.as_slice()),
            false => (to, value),
        };
        let mut record = BaseRecord::to(topic).payload(payload);
        record.key = message.key();
        record.timestamp = message.timestamp().to_millis();
        send(&producer, record)?;
        done += 1;
        if done % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
        if done % COMMIT == 0 || done == records {
            producer.flush(PATIENCE)?;
            consumer.commit_consumer_state(CommitMode::Async)?;
        }
    }
    consumer.unassign()?;
    Ok(())
}
