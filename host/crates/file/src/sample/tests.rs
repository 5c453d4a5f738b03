#![expect(clippy::unwrap_used, reason = "tests")]

use std::num::NonZeroU32;

use serde_json::Value;
use wasmgate_connector::{BatchLimits, BatchPool, PassThrough, SourceStatus};
use wasmgate_model::{Batch, Checkpoint, Delivery, Op, Payload};

use super::*;

fn context(checkpoint: Checkpoint) -> SourceContext {
    SourceContext {
        pipeline: "p".into(),
        checkpoint,
        planner: Arc::new(PassThrough),
        pool: Arc::new(BatchPool::default()),
        limits: BatchLimits { rows: 10, ..BatchLimits::default() },
        status: Arc::new(SourceStatus::default()),
        commands: Arc::default(),
    }
}

/// Everything up to the end.
async fn read(source: &SampleSource, checkpoint: Checkpoint) -> Vec<Delivery> {
    let (mut reader, _acker) = source.open(context(checkpoint)).await.unwrap();
    let mut deliveries = Vec::new();
    while let SourceEvent::Delivery(delivery) = reader.next().await.unwrap() {
        deliveries.push(delivery);
    }
    deliveries
}

fn rows(batch: &Batch) -> Vec<(String, String)> {
    let Payload::Documents(documents) = &batch.payload else { panic!("expected documents") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (0..batch.len())
        .map(|row| (text(batch.key_bytes(row).unwrap()), text(documents.values.get(row))))
        .collect()
}

fn records(deliveries: &[Delivery]) -> Vec<(String, String)> {
    deliveries.iter().flat_map(|d| &d.batches).flat_map(rows).collect()
}

fn settings(system: SampleSystem) -> SampleSettings {
    SampleSettings { system, rows: Some(64), seed: 7, ..SampleSettings::default() }
}

#[tokio::test]
async fn the_same_seed_makes_the_same_records_from_anywhere() {
    for system in [SampleSystem::Orders, SampleSystem::Telecom] {
        let source = SampleSource::new(settings(system));
        let all = read(&source, Checkpoint::default()).await;
        assert_eq!(records(&all).len(), 64);
        let mut checkpoint = Checkpoint::default();
        let third = all.get(2).unwrap();
        checkpoint.assign(third.partition.clone(), third.to, None);
        let rest = read(&source, checkpoint).await;
        assert_eq!(rest.first().unwrap().from, third.to);
        assert_eq!(records(&rest), records(&all).split_off(30));
        let other = SampleSource::new(SampleSettings { seed: 8, ..settings(system) });
        assert_ne!(records(&read(&other, Checkpoint::default()).await), records(&all));
    }
}

#[tokio::test]
async fn orders_are_envelopes_that_tell_one_story() {
    let prefix = Some("shop".to_owned());
    let settings = SampleSettings { topic_prefix: prefix, ..settings(SampleSystem::Orders) };
    let deliveries = read(&SampleSource::new(settings), Checkpoint::default()).await;
    let mut table = std::collections::BTreeMap::<String, Value>::new();
    for batch in deliveries.iter().flat_map(|d| &d.batches) {
        assert_eq!(&*batch.schema.topic, "shop.public.orders");
        assert!(batch.schema.envelope);
        assert!(batch.rejects.is_empty(), "{:?}", batch.rejects);
        for (row, (key, value)) in rows(batch).into_iter().enumerate() {
            if value.is_empty() {
                assert_eq!(batch.ops.get(row), Some(&Op::Tombstone));
                assert!(!table.contains_key(&key), "a tombstone follows the delete");
                continue;
            }
            let value: Value = serde_json::from_str(&value).unwrap();
            let image = |name: &str| value.get(name).filter(|v| !v.is_null()).cloned();
            assert_eq!(table.get(&key).cloned(), image("before"), "before is what was there");
            let op = value.get("op").and_then(Value::as_str);
            assert_eq!(batch.ops.get(row).and_then(|o| o.letter()), op);
            match image("after") {
                Some(after) => drop(table.insert(key, after)),
                None => drop(table.remove(&key)),
            }
        }
    }
    assert_eq!(table.len(), 24, "three of four orders stay");
}

#[tokio::test]
async fn call_records_have_the_reference_systems_fields() {
    let settings = SampleSettings { rows: Some(2000), ..settings(SampleSystem::Telecom) };
    let deliveries = read(&SampleSource::new(settings), Checkpoint::default()).await;
    let mut fraud = 0;
    for (key, value) in records(&deliveries) {
        assert!((500..700).contains(&value.len()), "{} bytes: {value}", value.len());
        let value: Value = serde_json::from_str(&value).unwrap();
        let fields = value.as_object().unwrap();
        assert_eq!(fields.len(), 20, "{fields:?}");
        let key: Value = serde_json::from_str(&key).unwrap();
        assert_eq!(key.get("customer_id"), fields.get("customer_id"));
        let number = |name: &str| fields.get(name).unwrap().as_f64().unwrap();
        let hit = number("monthly_spending") > 400.0
            && number("credit_score") < 600.0
            && number("monthly_call_duration") > 500.0;
        fraud += u32::from(hit);
    }
    assert!((20..600).contains(&fraud), "{fraud} of 2000 calls fulfil the fraud rule");
}

#[tokio::test]
async fn a_rate_holds_records_back() {
    let rate = NonZeroU32::new(200);
    let settings = SampleSettings { rate, rows: Some(20), ..settings(SampleSystem::Telecom) };
    let started = Instant::now();
    let deliveries = read(&SampleSource::new(settings), Checkpoint::default()).await;
    assert_eq!(records(&deliveries).len(), 20);
    // The last one is due after 19 intervals of 5 ms; nothing is said about how much later.
    assert!(started.elapsed() >= Duration::from_millis(95));
}

#[tokio::test]
async fn a_dropped_reader_stops_the_source() {
    let endless = SampleSettings { rows: None, ..settings(SampleSystem::Orders) };
    let (mut reader, _acker) =
        SampleSource::new(endless).open(context(Checkpoint::default())).await.unwrap();
    let status = reader.next().await.unwrap();
    assert!(matches!(status, SourceEvent::Delivery(_)));
    drop(reader);
}
