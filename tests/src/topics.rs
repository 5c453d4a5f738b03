//! Topics of a real broker, written and read back.

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
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

/// A record to write.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// A key and a value, without headers.
    #[must_use]
    pub fn new(key: &str, value: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
    }
}

/// Writes records and waits for the broker.
///
/// # Panics
/// The broker does not take them.
pub fn produce(bootstrap: &str, topic: &str, records: &[Record]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    for Record { key, value, headers } in records {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        record.key = key.as_deref();
        record.payload = value.as_deref();
        let header = |list: OwnedHeaders, (key, value): &(String, String)| {
            list.insert(Header { key, value: Some(value) })
        };
        record.headers =
            (!headers.is_empty()).then(|| headers.iter().fold(OwnedHeaders::new(), header));
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Names of the topics that there are.
///
/// # Panics
/// The broker does not answer.
#[must_use]
pub fn names(bootstrap: &str) -> BTreeSet<String> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
    metadata.topics().iter().map(|t| t.name().to_owned()).collect()
}

/// Reads one topic as it grows. Keeps what it has read, so that looking again costs what is new.
pub struct Reader {
    consumer: BaseConsumer,
    topic: String,
    /// Next offset of each partition.
    next: BTreeMap<i32, i64>,
    records: Vec<Stored>,
}

impl Reader {
    /// A reader from the start of a topic, which need not exist yet.
    ///
    /// # Panics
    /// The client cannot be made.
    #[must_use]
    pub fn open(bootstrap: &str, topic: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "read-back")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "10")
            .create()
            .unwrap();
        Self { consumer, topic: topic.to_owned(), next: BTreeMap::new(), records: Vec::new() }
    }

    /// Everything that lies in the topic now, partition by partition.
    ///
    /// # Panics
    /// The broker does not answer.
    pub fn all(&mut self) -> &[Stored] {
        // The topic may be growing: its end is where it was when this began.
        let ends = self.ends();
        let started = Instant::now();
        while ends.iter().any(|(partition, end)| self.next[partition] < *end) {
            assert!(started.elapsed() < PATIENCE, "{}: the end did not come", self.topic);
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(200)) {
                self.next.insert(message.partition(), message.offset() + 1);
                self.records.push(keep(&message));
            }
        }
        self.records.sort_by_key(|s| (s.partition, s.offset));
        &self.records
    }

    /// Ends of the partitions, each of which is assigned when it is first seen.
    fn ends(&mut self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        for partition in partitions(&self.consumer, &self.topic) {
            let marks = self.consumer.fetch_watermarks(&self.topic, partition, PATIENCE);
            let Ok((low, high)) = marks else { continue };
            ends.insert(partition, high);
            if let Entry::Vacant(new) = self.next.entry(partition) {
                new.insert(low);
                let mut wanted = TopicPartitionList::new();
                let at = Offset::Offset(low);
                wanted.add_partition_offset(&self.topic, partition, at).unwrap();
                self.consumer.incremental_assign(&wanted).unwrap();
            }
        }
        ends
    }

    /// Waits until the topic holds at least so many records.
    ///
    /// # Panics
    /// It does not in time.
    pub fn wait(&mut self, count: usize, log: impl Fn() -> String) -> Vec<Stored> {
        let (topic, what) = (self.topic.clone(), format!("{count} records in {}", self.topic));
        let seen = Cell::new(0);
        crate::wait_for(
            &what,
            || {
                let records = self.all();
                seen.set(records.len());
                (records.len() >= count).then(|| records.to_vec())
            },
            || format!("{topic} has {}\n{}", seen.get(), log()),
        )
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), PATIENCE) else { return Vec::new() };
    metadata.topics().iter().flat_map(|t| t.partitions().iter().map(|p| p.id())).collect()
}

/// Everything that lies in a topic now, partition by partition. Empty where there is no topic.
///
/// # Panics
/// The broker does not answer.
#[must_use]
pub fn read_all(bootstrap: &str, topic: &str) -> Vec<Stored> {
    let mut reader = Reader::open(bootstrap, topic);
    reader.all();
    reader.records
}

fn keep(message: &impl Message) -> Stored {
    let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
    let headers = message
        .headers()
        .map(|headers| headers.iter().map(|h| (h.key.to_owned(), h.value.map(text))).collect());
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
pub fn wait_count(
    bootstrap: &str,
    topic: &str,
    count: usize,
    log: impl Fn() -> String,
) -> Vec<Stored> {
    Reader::open(bootstrap, topic).wait(count, log)
}
