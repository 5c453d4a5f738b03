//! The far end: a broker shared by the tests that run at the same time, and plain clients that
//! know nothing of the connector.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wasmgate_services::kafka::{Kafka, missing};

/// How long anything may take that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a real Kafka can be started here. In CI it must be.
fn is_there() -> bool {
    let Some(reason) = missing() else { return true };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
    eprintln!("SKIPPED, {reason}");
    false
}

/// The broker that tests share; it ends with the last of them. `None`: skip.
pub(crate) fn shared() -> Option<Arc<Kafka>> {
    static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
    if !is_there() {
        return None;
    }
    let mut held = SHARED.lock().unwrap();
    Some(held.upgrade().unwrap_or_else(|| {
        let started = Arc::new(Kafka::start(1).unwrap());
        *held = Arc::downgrade(&started);
        started
    }))
}

/// A broker for one test, to be killed. `None`: skip.
pub(crate) fn own() -> Option<Kafka> {
    is_there().then(|| Kafka::start(1).unwrap())
}

/// A record as plain clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970.
    pub(crate) time: i64,
}

impl Record {
    pub(crate) fn new(partition: i32, key: Option<&str>, value: Option<&str>) -> Self {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let (key, value) = (key.map(bytes), value.map(bytes));
        Self { partition, key, value, headers: Vec::new(), time: 1_700_000_000_123 }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(n, _)| n == name)?;
        Some(String::from_utf8(found.1.clone()?).unwrap())
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

pub(crate) async fn create(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let made = admin.create_topics(&[new], &AdminOptions::new()).await.unwrap();
    made.into_iter().for_each(|one| drop(one.unwrap()));
}

/// Deletes the records before an offset.
pub(crate) async fn delete_before(bootstrap: &str, topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
}

/// Writes records and waits until they are durable. A partition of -1 leaves it to the client.
pub(crate) fn produce(bootstrap: &str, topic: &str, records: &[Record]) {
    let producer: BaseProducer =
        client(bootstrap).set("acks", "all").set("linger.ms", "0").create().unwrap();
    for record in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let outgoing = BaseRecord::<[u8], [u8]> {
            topic,
            partition: Some(record.partition).filter(|p| *p >= 0),
            payload: record.value.as_deref(),
            key: record.key.as_deref(),
            timestamp: Some(record.time),
            headers: (!record.headers.is_empty()).then_some(headers),
            delivery_opaque: (),
        };
        producer.send(outgoing).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Every record of a topic, partition by partition.
pub(crate) fn read(bootstrap: &str, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let mut records = Vec::new();
    for partition in metadata.topics()[0].partitions().iter().map(|p| p.id()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
        consumer.assign(&list).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut next = low;
        while next < high {
            assert!(Instant::now() < deadline, "{topic}-{partition}: {next} of {high} read");
            let Some(polled) = consumer.poll(Duration::from_millis(100)) else { continue };
            let Ok(message) = polled else { continue };
            next = message.offset() + 1;
            let headers = message.headers().into_iter().flat_map(|h| h.iter());
            records.push(Record {
                partition,
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
                time: message.timestamp().to_millis().unwrap(),
            });
        }
    }
    records
}

/// What a group committed for a partition.
pub(crate) fn committed(bootstrap: &str, group: &str, topic: &str, partition: i32) -> Option<i64> {
    let consumer: BaseConsumer = client(bootstrap).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let answer = consumer.committed_offsets(list, PATIENCE).unwrap();
    match answer.find_partition(topic, partition).unwrap().offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
