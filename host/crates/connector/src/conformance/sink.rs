//! Sinks: order, subsets, tombstones, null keys, refusals, opening again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmgate_model::{Batch, Column, Delivery, Kind, Schema};

use super::soon;
use crate::fakes;
use crate::sink::{RowSet, Sink, SinkConnector, WriteRequest, Written};

/// A record at the sink: key and value as bytes, `None` for null.
pub type Record = (Option<Vec<u8>>, Option<Vec<u8>>);

/// What the kit has to know about a sink.
pub struct SinkKit<'a> {
    pub connector: &'a dyn SinkConnector,
    /// The kit writes to topics `<prefix>-<case>`; they are empty or do not exist yet.
    pub topic_prefix: &'a str,
    /// A topic and value that the sink must refuse while it takes the neighbours; `None` where
    /// the sink takes everything.
    pub unacceptable: Option<(String, Vec<u8>)>,
}

/// Runs the kit. `read_back` answers the records of a topic, in order, as a reader of the sink's
/// server sees them. Values are JSON documents.
///
/// # Panics
/// The sink does not do what [`Sink`] says.
pub async fn sink(kit: &SinkKit<'_>, read_back: impl AsyncFn(&str) -> Vec<Record>) {
    let found = kit.connector.check().await;
    assert!(found.iter().all(|f| f.ok), "the check finds fault with a sink that works: {found:?}");
    shapes(kit, &read_back).await;
    nothing(kit).await;
    subsets(kit, &read_back).await;
    refusals(kit, &read_back).await;
    order_over_requests(kit, &read_back).await;
    opening_again(kit, &read_back).await;
}

/// Schemas of the kit have ids of their own, as those of sources have.
fn schema(topic: &str) -> Arc<Schema> {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 40);
    Arc::new(Schema::open(NEXT.fetch_add(1, Ordering::Relaxed), topic.into(), false))
}

fn key(n: u64) -> Vec<u8> {
    format!("{{\"id\":{n}}}").into_bytes()
}

fn value(n: u64) -> Vec<u8> {
    format!("{{\"n\":{n}}}").into_bytes()
}

fn batch(topic: &str, from: u64, records: &[Record]) -> Batch {
    let borrowed: Vec<_> = records.iter().map(|(k, v)| (k.as_deref(), v.as_deref())).collect();
    fakes::documents(&schema(topic), from, &borrowed)
}

fn all(batches: Vec<Batch>) -> WriteRequest {
    request(fakes::delivery("kit", 0, batches), RowSet::All)
}

fn request(delivery: Delivery, rows: RowSet) -> WriteRequest {
    WriteRequest { delivery: Arc::new(delivery), rows }
}

async fn open(kit: &SinkKit<'_>) -> Box<dyn Sink> {
    match soon("opening the sink", kit.connector.open()).await {
        Ok(sink) => sink,
        Err(fault) => panic!("opening the sink: {}", fault.chain()),
    }
}

/// Writes and waits until it is durable.
async fn write(case: &str, sink: &mut Box<dyn Sink>, request: WriteRequest) -> Written {
    let durable = match soon(case, sink.write(request)).await {
        Ok(durable) => durable,
        Err(fault) => panic!("{case}: the write failed: {}", fault.chain()),
    };
    match soon(case, durable).await {
        Ok(written) => written,
        Err(fault) => panic!("{case}: the write did not become durable: {}", fault.chain()),
    }
}

/// Topics with what has to be in them.
async fn expect(
    case: &str,
    read_back: &impl AsyncFn(&str) -> Vec<Record>,
    topic: &str,
    want: &[Record],
) {
    let found = read_back(topic).await;
    let show = |records: &[Record]| {
        let text = |b: &Option<Vec<u8>>| {
            b.as_ref().map_or("null".into(), |b| String::from_utf8_lossy(b).into_owned())
        };
        records.iter().map(|(k, v)| format!("{}={}", text(k), text(v))).collect::<Vec<_>>()
    };
    assert_eq!(show(&found), show(want), "{case}: topic {topic}");
}

/// Values, tombstones and null keys arrive as they are, in two topics of one delivery.
async fn shapes(kit: &SinkKit<'_>, read_back: &impl AsyncFn(&str) -> Vec<Record>) {
    let topic = |name: &str| format!("{}-shapes-{name}", kit.topic_prefix);
    let first: Vec<Record> = vec![
        (Some(key(1)), Some(value(1))),
        (Some(key(1)), None),
        (None, Some(value(2))),
        (None, None),
    ];
    let second: Vec<Record> = vec![(Some(key(9)), Some(value(9)))];
    let mut sink = open(kit).await;
    let batches = vec![batch(&topic("a"), 0, &first), batch(&topic("b"), 4, &second)];
    let written = write("shapes", &mut sink, all(batches)).await;
    assert_eq!((written.records, written.refused), (5, vec![]), "shapes: what became durable");
    expect("shapes", read_back, &topic("a"), &first).await;
    expect("shapes", read_back, &topic("b"), &second).await;
    sink.close().await;
}

/// A request without rows is durable at once.
async fn nothing(kit: &SinkKit<'_>) {
    let topic = format!("{}-nothing", kit.topic_prefix);
    let mut sink = open(kit).await;
    let full = batch(&topic, 0, &[(Some(key(1)), Some(value(1)))]);
    let mut deselected = full.clone();
    deselected.sel.clear();
    let empty = [
        ("no batch", all(vec![])),
        ("no row in play", all(vec![deselected])),
        (
            "no row meant",
            request(fakes::delivery("kit", 0, vec![full]), RowSet::Some(vec![vec![]])),
        ),
    ];
    for (case, request) in empty {
        let written = write(case, &mut sink, request).await;
        assert_eq!((written.records, written.refused), (0, vec![]), "{case}");
    }
    sink.close().await;
}

/// Only rows in play, and of those only the ones that are meant; topics written by stages hold.
async fn subsets(kit: &SinkKit<'_>, read_back: &impl AsyncFn(&str) -> Vec<Record>) {
    let topic = format!("{}-subsets", kit.topic_prefix);
    let moved = format!("{}-subsets-moved", kit.topic_prefix);
    let records: Vec<Record> = (0..6).map(|n| (Some(key(n)), Some(value(n)))).collect();
    let mut batch = batch(&topic, 0, &records);
    batch.sel = vec![0, 2, 3, 5];
    let mut topics = Column::new(Kind::Text);
    (0..3).for_each(|_| topics.push_null());
    topics.push_bytes(moved.as_bytes());
    batch.edits.topic = Some(topics);
    let mut sink = open(kit).await;
    let meant = RowSet::Some(vec![vec![1, 2, 3]]);
    let written =
        write("subsets", &mut sink, request(fakes::delivery("kit", 0, vec![batch]), meant)).await;
    assert_eq!(written.records, 3, "subsets: what became durable");
    let row = |n: u64| (Some(key(n)), Some(value(n)));
    expect("rows meant", read_back, &topic, &[row(2), row(3)]).await;
    expect("a topic written by a stage", read_back, &moved, &[row(5)]).await;
    sink.close().await;
}

/// A row that the sink never takes is named, and its neighbours are written.
async fn refusals(kit: &SinkKit<'_>, read_back: &impl AsyncFn(&str) -> Vec<Record>) {
    let Some((bad_topic, bad_value)) = &kit.unacceptable else {
        return;
    };
    let topic = format!("{}-refusals", kit.topic_prefix);
    let good: Vec<Record> = (0..3).map(|n| (Some(key(n)), Some(value(n)))).collect();
    let mut records = good.clone();
    records.insert(1, (Some(key(9)), Some(bad_value.clone())));
    let mut batch = batch(&topic, 0, &records);
    let mut topics = Column::new(Kind::Text);
    for row in 0..4 {
        if row == 1 && !bad_topic.eq(&topic) {
            topics.push_bytes(bad_topic.as_bytes());
        } else {
            topics.push_null();
        }
    }
    batch.edits.topic = Some(topics);
    let mut sink = open(kit).await;
    let written = write("refusals", &mut sink, all(vec![batch])).await;
    let places: Vec<_> = written.refused.iter().map(|r| (r.batch, r.index)).collect();
    assert_eq!((written.records, places), (3, vec![(0, 1)]), "refusals: what was refused");
    for refused in &written.refused {
        let stage = &*refused.cause.stage;
        assert!(matches!(stage, "sink" | "encode"), "refusals: {:?}", refused.cause);
        assert!(!refused.cause.code.is_empty(), "refusals: a cause has a code");
        assert!(!refused.cause.message.is_empty(), "refusals: a cause has a message");
    }
    expect("neighbours of a refused row", read_back, &topic, &good).await;
    sink.close().await;
}

/// Many requests on their way at once: nothing missing, and order per key.
async fn order_over_requests(kit: &SinkKit<'_>, read_back: &impl AsyncFn(&str) -> Vec<Record>) {
    const REQUESTS: u64 = 60;
    const ROWS: u64 = 20;
    let topics = ["even", "odd"].map(|name| format!("{}-order-{name}", kit.topic_prefix));
    let mut want: BTreeMap<(usize, Vec<u8>), Vec<Vec<u8>>> = BTreeMap::new();
    let mut durables = Vec::new();
    let mut sink = open(kit).await;
    for r in 0..REQUESTS {
        let mut rows: [Vec<Record>; 2] = [Vec::new(), Vec::new()];
        for n in r * ROWS..(r + 1) * ROWS {
            let side = (n % 2) as usize;
            want.entry((side, key(n % 7))).or_default().push(value(n));
            if let Some(rows) = rows.get_mut(side) {
                rows.push((Some(key(n % 7)), Some(value(n))));
            }
        }
        let batches = topics.iter().zip(&rows).map(|(t, rows)| batch(t, r * ROWS, rows)).collect();
        match soon("one of many writes", sink.write(all(batches))).await {
            Ok(durable) => durables.push(durable),
            Err(fault) => panic!("write {r} of {REQUESTS}: {}", fault.chain()),
        }
    }
    for (r, durable) in durables.into_iter().enumerate() {
        match soon("one of many durables", durable).await {
            Ok(written) => assert_eq!(written.records, ROWS, "durable {r} of {REQUESTS}"),
            Err(fault) => panic!("durable {r} of {REQUESTS}: {}", fault.chain()),
        }
    }
    for (side, topic) in topics.iter().enumerate() {
        let mut found: BTreeMap<(usize, Vec<u8>), Vec<Vec<u8>>> = BTreeMap::new();
        for (key, value) in read_back(topic).await {
            let values = found.entry((side, key.unwrap_or_default())).or_default();
            values.extend(value);
        }
        let want: BTreeMap<_, _> = want.range((side, vec![])..(side + 1, vec![])).collect();
        assert_eq!(found.iter().collect::<BTreeMap<_, _>>(), want, "order per key in {topic}");
    }
    sink.close().await;
}

/// Two opens after each other write after each other.
async fn opening_again(kit: &SinkKit<'_>, read_back: &impl AsyncFn(&str) -> Vec<Record>) {
    let topic = format!("{}-again", kit.topic_prefix);
    let records: Vec<Record> = (0..2).map(|n| (Some(key(n)), Some(value(n)))).collect();
    for record in &records {
        let mut sink = open(kit).await;
        let one = batch(&topic, 0, std::slice::from_ref(record));
        assert_eq!(write("opening again", &mut sink, all(vec![one])).await.records, 1);
        sink.close().await;
    }
    let mut dropped = open(kit).await;
    let third: Record = (Some(key(2)), Some(value(2)));
    let one = batch(&topic, 0, std::slice::from_ref(&third));
    write("dropped without close", &mut dropped, all(vec![one])).await;
    drop(dropped);
    let want: Vec<Record> = records.into_iter().chain([third]).collect();
    expect("opening again", read_back, &topic, &want).await;
}
