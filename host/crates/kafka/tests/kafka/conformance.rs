//! The contract's kits on a real broker.

use wasmgate_connector::conformance::{self, ReadLetter, SinkKit, SourceKit};
use wasmgate_kafka::{DeadLetterSettings, KafkaDeadLetters, KafkaSink, KafkaSource, SinkSettings};

use crate::broker::{self, Record};
use crate::pipe::{properties, settings};

#[tokio::test(flavor = "multi_thread")]
async fn source() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "kit-source", 2, &[]).await;
    let source = KafkaSource::new(settings(&servers, "kit-source", "kit")).unwrap();
    let kit = SourceKit { source: &source, live: true, field: "n" };
    conformance::source(&kit, async |numbers| {
        let record = |n: u64| {
            Record::new((n % 2) as i32, Some(&n.to_string()), Some(&format!("{{\"n\":{n}}}")))
        };
        broker::produce(&servers, "kit-source", &numbers.map(record).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sink() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    let sink = KafkaSink::new(SinkSettings::new(&servers)).unwrap();
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(2_000_000));
    let kit = SinkKit {
        connector: &sink,
        topic_prefix: "kit-sink",
        unacceptable: Some(("kit-sink-refusals".to_owned(), large.into_bytes())),
    };
    conformance::sink(&kit, async |topic| {
        broker::read(&servers, topic).into_iter().map(|r| (r.key, r.value)).collect()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "kit-dead", 1, &[]).await;
    let letters = KafkaDeadLetters::new(DeadLetterSettings {
        bootstrap_servers: servers.clone(),
        topic: "kit-dead".to_owned(),
        properties: properties(&[]),
    })
    .unwrap();
    conformance::dead_letters(&letters, async || {
        broker::read(&servers, "kit-dead").iter().map(letter).collect()
    })
    .await;
}

fn letter(record: &Record) -> ReadLetter {
    let header = |name: &str| record.header(name);
    let module = |name: &str| header(&format!("wasmgate.module{name}"));
    ReadLetter {
        topic: header("__connect.errors.topic").unwrap(),
        key: record.key.clone(),
        value: record.value.clone(),
        stage: header("wasmgate.stage").unwrap(),
        code: header("wasmgate.code").unwrap(),
        message: header("__connect.errors.exception.message").unwrap(),
        module: module("")
            .map(|name| (name, module(".version").unwrap(), module(".sha256").unwrap())),
    }
}
