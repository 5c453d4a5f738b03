//! The contract's kit: topics are logs with key and operation, as `engine: append` makes them.

use wasmgate_clickhouse::ClickHouseSink;
use wasmgate_connector::conformance::{self, SinkKit};

use super::engine::engine;
use super::rig::settings;

#[tokio::test(flavor = "multi_thread")]
async fn sink() {
    let Some(engine) = engine() else { return };
    for case in [
        "shapes-a",
        "shapes-b",
        "nothing",
        "subsets",
        "subsets-moved",
        "refusals",
        "order-even",
        "order-odd",
        "again",
    ] {
        engine
            .query(&format!(
                "CREATE TABLE `kit-{case}` (n Nullable(UInt64), _op LowCardinality(String), _version UInt128, \
                 _key Nullable(String), _synced_at DateTime64(9) DEFAULT now64(9)) ENGINE = MergeTree ORDER BY tuple()"
            ))
            .unwrap();
    }
    let mut settings = settings(&engine.url());
    settings.table.name = "{topic}".to_owned();
    // Keys are not fields of these documents.
    settings.table.exclude = vec!["id".to_owned()];
    let sink = ClickHouseSink::new(settings, None).unwrap();
    let kit = SinkKit {
        connector: &sink,
        topic_prefix: "kit",
        unacceptable: Some(("kit-refusals".to_owned(), b"{\"n\":-1}".to_vec())),
    };
    conformance::sink(&kit, async |topic| {
        let text = engine.query(&format!(
            "SELECT _key, _op = 'd' ? NULL : concat('{{\"n\":', toString(n), '}}') FROM `{topic}` \
             ORDER BY _synced_at, _version FORMAT JSONCompactEachRow"
        ));
        let bytes = |value: &serde_json::Value| value.as_str().map(|text| text.as_bytes().to_vec());
        let rows = text.unwrap();
        rows.lines()
            .map(|line| {
                let row: Vec<serde_json::Value> = serde_json::from_str(line).unwrap();
                (bytes(&row[0]), bytes(&row[1]))
            })
            .collect()
    })
    .await;
}
