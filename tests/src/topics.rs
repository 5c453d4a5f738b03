//! Topics of a real broker, written and read back.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::PATIENCE;

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<String>)>,
}

impl Stored {
    /// The value as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        self.value.as_ref().map_or(serde_json::Value::Null, |v| serde_json::from_slice(v).unwrap())
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|h| h.0 == name)?.1.as_deref()
    }
}

/// Writes records (key, value) and waits for the broker.
///
/// # Panics
/// The broker does not take them.
pub fn produce(bootstrap: &str, topic: &str, records: &[(Option<String>, Option<String>)]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    for (key, value) in records {
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(topic);
        record.key = key.as_deref();
        record.payload = value.as_deref();
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Everything that lies in a topic now, partition by partition. Empty where there is no topic.
///
/// # Panics
/// The broker does not answer.
#[must_use]
pub fn read_all(bootstrap: &str, topic: &str) -> Vec<Stored> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "read-back")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .unwrap();
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), PATIENCE) else { return Vec::new() };
    let partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|t| t.partitions().iter().map(|p| p.id())).collect();
    let mut wanted = TopicPartitionList::new();
    let mut open = 0;
    for partition in partitions {
        let Ok((low, high)) = consumer.fetch_watermarks(topic, partition, PATIENCE) else { continue };
        if high > low {
            wanted.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
            open += 1;
        }
    }
    consumer.assign(&wanted).unwrap();
    let mut stored = Vec::new();
    let started = Instant::now();
    while open > 0 {
        assert!(started.elapsed() < PATIENCE, "{topic}: the end did not come");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => stored.push(keep(&message)),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => open -= 1,
            _ => {}
        }
    }
    stored.sort_by_key(|s| (s.partition, s.offset));
    stored
}

fn keep(message: &impl Message) -> Stored {
    let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
    let headers = message.headers().map(|headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.map(text))).collect()
    });
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}

/// Waits until a topic holds at least so many records.
///
/// # Panics
/// It does not in time.
#[must_use]
pub fn wait_count(bootstrap: &str, topic: &str, count: usize, log: impl Fn() -> String) -> Vec<Stored> {
    crate::wait_for(
        &format!("{count} records in {topic}"),
        || Some(read_all(bootstrap, topic)).filter(|r| r.len() >= count),
        || format!("{} records\n{}", read_all(bootstrap, topic).len(), log()),
    )
}
