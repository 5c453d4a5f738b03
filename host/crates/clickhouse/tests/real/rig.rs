//! Rows of an orders table as a source makes them, and a sink that writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmgate_clickhouse::{ClickHouseSink, Compression, LedgerPlace, SinkSettings, TableSettings};
use wasmgate_connector::fakes::{MemoryStore, delivery};
use wasmgate_connector::{CheckpointStore, RowSet, Sink, SinkConnector, WriteRequest, Written};
use wasmgate_model::{
    Batch, Checkpoint, Column, Delivery, Fault, Field, Kind, Logical, Op, Partition, Payload, Plan,
    Position, Schema, Values,
};
use wasmgate_services::clickhouse::ClickHouse;

pub(crate) fn settings(url: &str) -> SinkSettings {
    SinkSettings {
        hosts: vec![url.to_owned()],
        user: None,
        password: None,
        token: None,
        ca_file: None,
        database: "default".to_owned(),
        table: TableSettings::default(),
        tables: Vec::new(),
        batch: Default::default(),
        parallel: 4,
        compression: Compression::Lz4,
        async_insert: false,
        timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(5),
    }
}

pub(crate) async fn open(settings: SinkSettings) -> Box<dyn Sink> {
    ClickHouseSink::new(settings, None)
        .unwrap()
        .open()
        .await
        .unwrap_or_else(|f| panic!("{}", f.chain()))
}

/// A sink that keeps notes in this store.
pub(crate) async fn open_noting(settings: SinkSettings, store: &MemoryStore) -> Box<dyn Sink> {
    let place = LedgerPlace { store: Arc::new(store.clone()), pipeline: "p".into(), number: 0 };
    ClickHouseSink::new(settings, Some(place))
        .unwrap()
        .open()
        .await
        .unwrap_or_else(|f| panic!("{}", f.chain()))
}

pub(crate) fn field(name: &str, kind: Kind, logical: Logical, nullable: bool) -> Field {
    Field::new(name, kind, logical, nullable)
}

/// `id` (int4, key), `name` (text), `amount` (numeric(8,2), nullable).
pub(crate) fn orders(topic: &str) -> Arc<Schema> {
    let decimal = Logical::Decimal { precision: 8, scale: 2 };
    with_fields(
        topic,
        vec![
            field("id", Kind::Integer, Logical::Bits(32), false),
            field("name", Kind::Text, Logical::Plain, false),
            field("amount", Kind::Decimal, decimal, true),
        ],
    )
}

pub(crate) fn with_fields(topic: &str, fields: Vec<Field>) -> Arc<Schema> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Arc::new(Schema {
        open: false,
        envelope: true,
        fields,
        key: vec!["id".into()],
        ..Schema::open(NEXT.fetch_add(1, Ordering::Relaxed), topic.into(), true)
    })
}

/// A row: operation, position, values as text (`None`: NULL, `"\0"`: not sent).
pub(crate) type Row<'a> = (Op, u64, &'a [Option<&'a str>]);

pub(crate) const ABSENT: Option<&str> = Some("\0");

pub(crate) fn batch(schema: &Arc<Schema>, rows: &[Row<'_>]) -> Batch {
    let mut batch = Batch::rows(Arc::clone(schema), Arc::new(Plan::default()), Vec::new());
    for (op, at, values) in rows {
        if let Payload::Rows(rows) = &mut batch.payload {
            for (column, value) in rows.current.iter_mut().zip(*values) {
                push(column, *value);
            }
        }
        batch.ops.push(*op);
        batch.times_us.push(*at as i64);
        batch.positions.push(Position::new(*at, 0));
    }
    batch.select_all();
    batch
}

pub(crate) fn push(column: &mut Column, value: Option<&str>) {
    match value {
        None => column.push_null(),
        ABSENT => column.push_absent(),
        Some(text) => match &mut column.values {
            Values::Booleans(v) => v.push(text == "true"),
            Values::Ints(v) => v.push(text.parse().unwrap()),
            Values::Floats(v) => v.push(text.parse().unwrap()),
            Values::Texts(b) | Values::Blobs(b) => b.push(text.as_bytes()),
        },
    }
}

pub(crate) fn request(from: u64, batches: Vec<Batch>) -> WriteRequest {
    WriteRequest { delivery: Arc::new(delivery("kit", from, batches)), rows: RowSet::All }
}

/// Writes, asks for it to go at once, and waits.
pub(crate) async fn write(
    sink: &mut Box<dyn Sink>,
    request: WriteRequest,
) -> Result<Written, Fault> {
    let durable = sink.write(request).await?;
    sink.flush().await;
    tokio::time::timeout(Duration::from_secs(60), durable).await.unwrap()
}

pub(crate) async fn written(sink: &mut Box<dyn Sink>, request: WriteRequest) -> Written {
    write(sink, request).await.unwrap_or_else(|f| panic!("{}", f.chain()))
}

/// Codes of refused rows, by place.
pub(crate) fn refused(written: &Written) -> Vec<(u32, &str)> {
    written.refused.iter().map(|r| (r.index, &*r.cause.code)).collect()
}

/// Rows of a query as lines.
pub(crate) fn lines(engine: &ClickHouse, sql: &str) -> Vec<String> {
    engine.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}")).lines().map(str::to_owned).collect()
}

/// The pipeline's checkpoint.
pub(crate) fn settle(store: &MemoryStore, to: u64) {
    let mut checkpoint = Checkpoint::default();
    checkpoint.assign(Partition("kit".into()), Position::new(to, 0), None);
    store.save("p", &checkpoint).unwrap();
}

/// A delivery of rows (`from`, `to`] of an append table: `id` = position.
pub(crate) fn numbered(schema: &Arc<Schema>, from: u64, to: u64) -> Delivery {
    let ids: Vec<String> = (from + 1..=to).map(|n| n.to_string()).collect();
    let values: Vec<[Option<&str>; 3]> =
        ids.iter().map(|id| [Some(id.as_str()), Some("n"), None]).collect();
    let rows: Vec<Row<'_>> =
        values.iter().zip(from + 1..).map(|(v, at)| (Op::Create, at, &v[..])).collect();
    delivery("kit", from, vec![batch(schema, &rows)])
}

pub(crate) fn all(delivery: Delivery) -> WriteRequest {
    WriteRequest { delivery: Arc::new(delivery), rows: RowSet::All }
}

/// Looks until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let held = async {
        while !holds() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), held).await.unwrap_or_else(|_| panic!("{what}"));
}
