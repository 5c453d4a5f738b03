//! The sink: bytes, placement, order under back-pressure, refusals, a broker that is killed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use tokio::time::timeout;
use wasmgate_connector::{SinkConnector as _, fakes};
use wasmgate_kafka::{KafkaSink, SinkSettings};
use wasmgate_model::{Checkpoint, Column, Delivery, FaultKind, Kind, Retry, Schema};

use crate::broker::{self, PATIENCE, Record};
use crate::pipe::{Pipe, all, properties, settings, write};

type KeyValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

fn delivery(topic: &str, from: u64, records: &[KeyValue<'_>]) -> Delivery {
    let schema = Arc::new(Schema::open(1 << 42, topic.into(), false));
    fakes::delivery("test", from, vec![fakes::documents(&schema, from, records)])
}

/// Numbered records, all with the same key.
fn numbered(topic: &str, numbers: std::ops::Range<u64>) -> Delivery {
    let values: Vec<String> = numbers.clone().map(|n| format!("{{\"n\":{n}}}")).collect();
    let records: Vec<KeyValue<'_>> =
        values.iter().map(|v| (Some(&b"k"[..]), Some(v.as_bytes()))).collect();
    delivery(topic, numbers.start, &records)
}

fn values(records: &[Record]) -> Vec<String> {
    let text = |r: &Record| String::from_utf8(r.value.clone().unwrap_or_default()).unwrap();
    records.iter().map(text).collect()
}

fn sequence(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("{{\"n\":{n}}}")).collect()
}

/// A mock cluster with one topic, on a broker of its own.
fn mock(
    topic: &str,
    partitions: i32,
) -> MockCluster<'static, rdkafka::producer::DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(topic, partitions, 1).unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn records_pass_from_topic_to_topic_unchanged() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "round.in", 1, &[]).await;
    broker::create(&servers, "round.out", 1, &[]).await;
    let mut records = vec![
        Record::new(0, Some("{\"id\": 1}"), Some("{\"a\":  1.50, \"a\": 2}")),
        Record::new(0, Some("{\"id\": 1}"), None),
        Record::new(0, None, Some("{}")),
        Record::new(0, None, None),
        Record::new(0, Some(""), Some("[1]")),
    ];
    records[0].headers = vec![
        ("a".to_owned(), Some(b"1".to_vec())),
        ("a".to_owned(), Some(Vec::new())),
        ("b".to_owned(), None),
    ];
    records[1].headers = vec![("on a tombstone".to_owned(), Some(vec![0xff]))];
    records[3].time = 1;
    broker::produce(&servers, "round.in", &records);
    let mut pipe = Pipe::open(settings(&servers, "round.in", "round"), Checkpoint::default()).await;
    let mut to = SinkSettings::new(&servers);
    to.topic = Some("round.out".to_owned());
    let mut sink = KafkaSink::new(to).unwrap().open().await.unwrap();
    let mut written = 0;
    for delivery in pipe.until(records.len()).await {
        written += write(sink.as_mut(), all(delivery)).await.unwrap().records;
    }
    assert_eq!(written, records.len() as u64);
    assert_eq!(broker::read(&servers, "round.out"), records);
    sink.close().await;
    pipe.close().await;
}

/// From the tests of Kafka's own `Utils.murmur2`.
const JAVA: [(&[u8], i32); 6] = [
    (b"21", -973_932_308),
    (b"foobar", -790_332_482),
    (b"a-little-bit-long-string", -985_981_536),
    (b"a-little-bit-longer-string", -1_486_304_829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    (b"abc", 479_470_107),
];

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_to_the_partition_where_java_puts_them() {
    let cluster = mock("placed", 100);
    let servers = cluster.bootstrap_servers();
    let mut sink = KafkaSink::new(SinkSettings::new(&servers)).unwrap().open().await.unwrap();
    let records: Vec<KeyValue<'_>> = JAVA.iter().map(|(key, _)| (Some(*key), Some(*key))).collect();
    let mut delivery = delivery("placed", 0, &records);
    // A partition that a stage asked for wins.
    let mut wished = Column::new(Kind::Integer);
    (1..JAVA.len()).for_each(|_| wished.push_null());
    wished.push_int(77);
    delivery.batches[0].edits.partition = Some(wished);
    assert_eq!(write(sink.as_mut(), all(delivery)).await.unwrap().records, 6);
    let found = broker::read(&servers, "placed");
    for (place, (key, hash)) in JAVA.iter().enumerate() {
        let record = found.iter().find(|r| r.key.as_deref() == Some(key)).unwrap();
        let java = if place == 5 { 77 } else { (hash & 0x7fff_ffff) % 100 };
        assert_eq!(record.partition, java, "{}", String::from_utf8_lossy(key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_the_writer_wait_and_keeps_order() {
    let cluster = mock("narrow", 1);
    cluster.broker_round_trip_time(1, Duration::from_millis(5)).unwrap();
    let servers = cluster.bootstrap_servers();
    let mut to = SinkSettings::new(&servers);
    to.properties = properties(&[("queue.buffering.max.messages", "7")]);
    let mut sink = KafkaSink::new(to).unwrap().open().await.unwrap();
    let mut durables = Vec::new();
    for from in (0..400).step_by(100) {
        let request = all(numbered("narrow", from..from + 100));
        durables.push(timeout(PATIENCE, sink.write(request)).await.unwrap().unwrap());
    }
    for durable in durables {
        assert_eq!(timeout(PATIENCE, durable).await.unwrap().unwrap().records, 100);
    }
    assert_eq!(values(&broker::read(&servers, "narrow")), sequence(0..400));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_is_back_pressure_and_nothing_is_lost() {
    let Some(kafka) = broker::own() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "killed", 1, &[]).await;
    let mut to = SinkSettings::new(&servers);
    to.properties = properties(&[("queue.buffering.max.messages", "100")]);
    let mut sink = KafkaSink::new(to).unwrap().open().await.unwrap();
    write(sink.as_mut(), all(numbered("killed", 0..10))).await.unwrap();
    kafka.kill().unwrap();
    let mut durables = Vec::new();
    for from in (10..110).step_by(10) {
        // Room for all: accepted although nobody is there.
        let request = all(numbered("killed", from..from + 10));
        durables.push(timeout(PATIENCE, sink.write(request)).await.unwrap().unwrap());
    }
    let mut waiting = Box::pin(sink.write(all(numbered("killed", 110..150))));
    let early = timeout(Duration::from_millis(500), &mut waiting).await;
    assert!(early.is_err(), "a full queue makes the writer wait while the broker is down");
    for durable in &mut durables {
        let early = timeout(Duration::ZERO, durable.as_mut()).await;
        assert!(early.is_err(), "nothing is durable while the broker is down");
    }
    kafka.start_again().unwrap();
    durables.push(timeout(PATIENCE, waiting).await.unwrap().unwrap());
    let mut records = 0;
    for durable in durables {
        records += timeout(PATIENCE, durable).await.unwrap().unwrap().records;
    }
    assert_eq!(records, 140);
    assert_eq!(values(&broker::read(&servers, "killed")), sequence(0..150));
    sink.close().await;
}

/// The topic's limit is far below the producer's: the broker refuses whole batches, and the sink
/// has to find out which record it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_above_the_topics_limit_is_refused_alone() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "small", 1, &[("max.message.bytes", "10000")]).await;
    let random = |n: u32| {
        // Random digits: compression does not help.
        let mut state = n + 1;
        let digit = std::iter::from_fn(move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            Some(char::from(b'0' + (state % 10) as u8))
        });
        move |length: usize| format!("\"{}\"", digit.take(length).collect::<String>())
    };
    let texts: Vec<String> =
        (0..60).map(|n| random(n)(if n == 31 { 40_000 } else { 500 })).collect();
    let records: Vec<KeyValue<'_>> =
        texts.iter().map(|text| (Some(&b"k"[..]), Some(text.as_bytes()))).collect();
    let connector = KafkaSink::new(SinkSettings::new(&servers)).unwrap();
    // As the pipeline does: a fault that time heals opens the sink again and repeats.
    let mut opened = 0;
    let written = loop {
        opened += 1;
        assert!(opened < 4, "opening again does not help");
        let mut sink = connector.open().await.unwrap();
        match write(sink.as_mut(), all(delivery("small", 0, &records))).await {
            Ok(written) => break written,
            Err(fault) => assert_eq!(fault.retry(), Retry::Timed, "{}", fault.chain()),
        }
        sink.close().await;
    };
    assert_eq!(written.records, 59);
    let [refused] = &written.refused[..] else { panic!("{:?}", written.refused) };
    assert_eq!((refused.batch, refused.index), (0, 31));
    assert_eq!(&*refused.cause.code, "record-too-large");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for value in values(&broker::read(&servers, "small")) {
        *seen.entry(value).or_default() += 1;
    }
    let missing: Vec<_> = (0..60).filter(|n| !seen.contains_key(&texts[*n])).collect();
    assert_eq!(missing, [31]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_refuses_the_record() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "there", 1, &[]).await;
    let mut to = SinkSettings::new(&servers);
    to.properties = properties(&[("topic.metadata.propagation.max.ms", "500")]);
    let mut sink = KafkaSink::new(to).unwrap().open().await.unwrap();
    for (topic, code) in [("not a topic", "invalid-topic")] {
        let mut delivery = numbered("there", 0..3);
        let mut topics = Column::new(Kind::Text);
        topics.push_null();
        topics.push_bytes(topic.as_bytes());
        topics.push_null();
        delivery.batches[0].edits.topic = Some(topics);
        let written = write(sink.as_mut(), all(delivery)).await.unwrap();
        assert_eq!(written.records, 2);
        let codes: Vec<_> = written.refused.iter().map(|r| (r.index, &*r.cause.code)).collect();
        assert_eq!(codes, [(1, code)]);
    }
    let mut delivery = numbered("there", 3..4);
    let mut wished = Column::new(Kind::Integer);
    wished.push_int(9);
    delivery.batches[0].edits.partition = Some(wished);
    let written = write(sink.as_mut(), all(delivery)).await.unwrap();
    assert_eq!(&*written.refused[0].cause.code, "unknown-partition");
    sink.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_names_the_servers() {
    let mut to = SinkSettings::new("127.0.0.1:1");
    to.properties = properties(&[("socket.connection.setup.timeout.ms", "1000")]);
    let sink = KafkaSink::new(to).unwrap();
    let fault = sink.open().await.err().unwrap();
    assert_eq!(fault.kind, FaultKind::SinkUnavailable);
    assert!(fault.chain().contains("127.0.0.1:1"), "{}", fault.chain());
    let findings = sink.check().await;
    assert!(findings.iter().any(|f| !f.ok && f.what.contains("127.0.0.1:1")), "{findings:?}");
}
