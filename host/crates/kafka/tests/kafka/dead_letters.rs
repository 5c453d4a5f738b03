//! Dead letters of a Kafka source: Connect's headers, ours, and the untouched record.

use wasmgate_connector::{DeadLetter, DeadLetterConnector as _, DeadLetterContext};
use wasmgate_kafka::{DeadLetterSettings, Format, KafkaDeadLetters};
use wasmgate_model::{Checkpoint, DeadLetterCause, FaultKind, Verdict};

use crate::broker::{self, Record};
use crate::pipe::{Pipe, properties, settings};

fn letters(servers: &str, topic: &str, extra: &[(&str, &str)]) -> KafkaDeadLetters {
    KafkaDeadLetters::new(DeadLetterSettings {
        bootstrap_servers: servers.to_owned(),
        topic: topic.to_owned(),
        properties: properties(extra),
    })
    .unwrap()
}

fn cause(code: &str) -> DeadLetterCause {
    let module = ("rule".to_owned(), "1.2.3".to_owned(), "ab12".to_owned());
    DeadLetterCause {
        stage: "quality-check".into(),
        code: code.into(),
        message: "amount is missing".to_owned(),
        module: Some(module.into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_record_arrives_whole_with_its_reason() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "undecodable", 3, &[]).await;
    broker::create(&servers, "undecodable.dlq", 1, &[]).await;
    let mut broken = Record::new(2, Some("k"), Some("amount: 12"));
    broken.headers = vec![("trace".to_owned(), Some(vec![0xff, 0])), ("none".to_owned(), None)];
    let good = Record::new(2, Some("k"), Some("{\"amount\": 13}"));
    broker::produce(&servers, "undecodable", &[good.clone(), broken.clone(), good]);
    let mut from = settings(&servers, "undecodable", "undecodable");
    from.format = Format::DebeziumJson { bare_envelopes: false };
    let mut pipe = Pipe::open(from, Checkpoint::default()).await;
    let deliveries = pipe.until(3).await;
    let mut letters = letters(&servers, "undecodable.dlq", &[]).open().await.unwrap();
    let context = DeadLetterContext { pipeline: "orders".into(), source: "kafka" };
    let mut passed = 0;
    for delivery in &deliveries {
        passed += delivery.batches.iter().map(|b| b.sel.len()).sum::<usize>();
        let mut dead = Vec::new();
        for (number, batch) in delivery.batches.iter().enumerate() {
            assert_eq!(batch.source_partition, 2);
            for reject in &batch.rejects {
                let Verdict::DeadLetter(cause) = &reject.verdict else { panic!("{reject:?}") };
                assert_eq!((&*cause.stage, &*cause.code), ("decode", "invalid-json"));
                let (row, cause) = (reject.row, (**cause).clone());
                dead.push(DeadLetter { batch: number, row, cause, attempts: 2, topic: None });
            }
        }
        letters.write(&context, delivery, &dead).await.unwrap();
    }
    pipe.close().await;
    assert_eq!(passed, 2, "the neighbours go on");
    let [found] = &broker::read(&servers, "undecodable.dlq")[..] else { panic!("one letter") };
    assert_eq!((&found.key, &found.value, found.time), (&broken.key, &broken.value, broken.time));
    assert_eq!(found.headers[..2], broken.headers);
    let wanted = [
        ("__connect.errors.topic", "undecodable"),
        ("__connect.errors.partition", "2"),
        ("__connect.errors.offset", "1"),
        ("__connect.errors.connector.name", "orders"),
        ("__connect.errors.task.id", "0"),
        ("__connect.errors.stage", "VALUE_CONVERTER"),
        ("__connect.errors.class.name", "decode"),
        ("__connect.errors.exception.class.name", "invalid-json"),
        ("wasmgate.pipeline", "orders"),
        ("wasmgate.stage", "decode"),
        ("wasmgate.code", "invalid-json"),
        ("wasmgate.attempts", "2"),
    ];
    for (name, value) in wanted {
        assert_eq!(found.header(name).as_deref(), Some(value), "{name}");
    }
    assert!(found.header("__connect.errors.exception.message").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_go_where_the_policy_says_and_a_missing_topic_is_a_fault() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "chosen", 1, &[]).await;
    broker::create(&servers, "chosen.special", 1, &[]).await;
    broker::produce(&servers, "chosen", &[Record::new(0, Some("k"), Some("{}"))]);
    let mut pipe = Pipe::open(settings(&servers, "chosen", "chosen"), Checkpoint::default()).await;
    let deliveries = pipe.until(1).await;
    let context = DeadLetterContext { pipeline: "orders".into(), source: "kafka" };
    let letter = |topic: &str| DeadLetter {
        batch: 0,
        row: 0,
        cause: cause("missing-field"),
        attempts: 1,
        topic: Some(topic.to_owned()),
    };
    let place = letters(
        &servers,
        "chosen.dlq",
        &[("allow.auto.create.topics", "false"), ("topic.metadata.propagation.max.ms", "500")],
    );
    let mut open = place.open().await.unwrap();
    open.write(&context, &deliveries[0], &[letter("chosen.special")]).await.unwrap();
    let [found] = &broker::read(&servers, "chosen.special")[..] else { panic!("one letter") };
    assert_eq!(found.header("__connect.errors.stage").as_deref(), Some("TRANSFORMATION"));
    assert_eq!(found.header("__connect.errors.class.name").as_deref(), Some("rule"));
    assert_eq!(found.header("wasmgate.module.sha256").as_deref(), Some("ab12"));
    let fault = open.write(&context, &deliveries[0], &[letter("not a topic")]).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::SinkRefused, "{}", fault.chain());
    pipe.close().await;
}
