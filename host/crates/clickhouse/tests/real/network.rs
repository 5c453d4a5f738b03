//! The network between sink and engine breaks in every way; nothing is lost, nothing is twice.

use std::time::Duration;

use wasmgate_clickhouse::{Engine, SinkSettings};
use wasmgate_connector::Sink;
use wasmgate_connector::fakes::MemoryStore;
use wasmgate_services::clickhouse::ClickHouse;
use wasmgate_services::proxy::{Proxy, Weather};

use super::engine::{engine, unique};
use super::rig::*;

fn through(proxy: &Proxy) -> SinkSettings {
    let mut settings = settings(&format!("http://127.0.0.1:{}", proxy.port()));
    settings.table.engine = Engine::Append;
    settings.timeout = Duration::from_secs(1);
    settings.connect_timeout = Duration::from_secs(1);
    settings
}

/// Writes deliveries (`from`, `to`] of five rows each and waits for all.
async fn pour(
    sink: &mut Box<dyn Sink>,
    schema: &std::sync::Arc<wasmgate_model::Schema>,
    from: u64,
    to: u64,
) {
    let mut durables = Vec::new();
    for from in (from..to).step_by(5) {
        durables.push(sink.write(all(numbered(schema, from, from + 5))).await.unwrap());
    }
    sink.flush().await;
    for durable in durables {
        tokio::time::timeout(Duration::from_secs(60), durable).await.unwrap().unwrap();
    }
}

fn counted(engine: &ClickHouse, table: &str, rows: u64) {
    let found = lines(engine, &format!("SELECT count(), uniqExact(id) FROM {table}"));
    assert_eq!(found, [format!("{rows}\t{rows}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_resets_silence_and_drips() {
    let Some(engine) = engine() else { return };
    let proxy = Proxy::start(engine.port()).unwrap();
    let table = unique("weather");
    let schema = orders(&format!("db.public.{table}"));
    let mut sink = open_noting(through(&proxy), &MemoryStore::new()).await;
    pour(&mut sink, &schema, 0, 10).await;
    let mut rows = 10;
    // The answer is cut after so many bytes: the insert was taken, nobody says so.
    for bytes in [0, 1, 17, 60] {
        proxy.cut_after(bytes);
        pour(&mut sink, &schema, rows, rows + 10).await;
        assert!(!proxy.cut_is_due(), "the answer was longer than {bytes} bytes");
        rows += 10;
        counted(&engine, &table, rows);
    }
    for weather in [
        Weather::Silent,
        Weather::Resetting,
        Weather::Drip(40),
        Weather::Slow(Duration::from_millis(20)),
    ] {
        proxy.set(weather);
        let passing = matches!(weather, Weather::Drip(_) | Weather::Slow(_));
        let health = sink.health();
        let (mut durables, accepted, passed) = (Vec::new(), proxy.accepted(), proxy.passed());
        if matches!(weather, Weather::Resetting) {
            proxy.reset();
        }
        for from in (rows..rows + 10).step_by(5) {
            durables.push(sink.write(all(numbered(&schema, from, from + 5))).await.unwrap());
        }
        sink.flush().await;
        if passing {
            until("an answer that begins", || proxy.passed() > passed).await;
        } else {
            until("a reason", || health.reason().is_some()).await;
            until("another try", || proxy.accepted() > accepted).await;
        }
        if !matches!(weather, Weather::Slow(_)) {
            proxy.set(Weather::Fair);
        }
        for durable in durables {
            tokio::time::timeout(Duration::from_secs(60), durable).await.unwrap().unwrap();
        }
        rows += 10;
        counted(&engine, &table, rows);
        proxy.set(Weather::Fair);
    }
}

/// A large insert is cut somewhere in its body: nothing of it is there until it is whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_leaves_nothing_behind() {
    let Some(engine) = engine() else { return };
    let proxy = Proxy::start(engine.port()).unwrap();
    let table = unique("body");
    let schema = orders(&format!("db.public.{table}"));
    let mut own = through(&proxy);
    own.compression = wasmgate_clickhouse::Compression::None;
    own.timeout = Duration::from_secs(10);
    let mut sink = open_noting(own, &MemoryStore::new()).await;
    pour(&mut sink, &schema, 0, 5).await;
    proxy.set(Weather::Slow(Duration::from_millis(5)));
    let brought = proxy.brought();
    let durable = sink.write(all(numbered(&schema, 5, 60_005))).await.unwrap();
    sink.flush().await;
    until("a part of the body", || proxy.brought() > brought + 100_000).await;
    let accepted = proxy.accepted();
    proxy.cut();
    proxy.set(Weather::Fair);
    durable.await.unwrap();
    assert!(proxy.accepted() > accepted, "it was sent on another connection");
    counted(&engine, &table, 60_005);
}
