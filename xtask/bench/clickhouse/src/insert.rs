//! The sink against posts of prepared data, in turns, into tables of the same form: one insert, and
//! several, one after the other; and the memory of this process with 20 tables.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wasmgate_clickhouse::{ClickHouseSink, Compression, SinkSettings, TableSettings};
use wasmgate_connector::{RowSet, Sink, SinkConnector as _, WriteRequest, fakes};
use wasmgate_model::Schema;
use wasmgate_services::clickhouse::ClickHouse;

use crate::{Problem, encode, rows};

const ROUNDS: usize = 7;
/// Rows of one delivery, about what pipelines have. A delivery is never cut: a divisor of what an
/// insert holds makes inserts of just that size.
const DELIVERY: u64 = 1000;
const TABLES: u64 = 20;
/// Inserts of one run of several.
const INSERTS: u64 = 10;
/// Inserts' worth of rows in flight meanwhile: below what makes the sink write early.
const AHEAD: usize = 3;

fn settings(url: String, rows: usize) -> SinkSettings {
    let mut settings = SinkSettings {
        hosts: vec![url],
        user: None,
        password: None,
        token: None,
        ca_file: None,
        database: "default".to_owned(),
        table: TableSettings::default(),
        tables: Vec::new(),
        batch: Default::default(),
        parallel: 4,
        compression: Compression::default(),
        async_insert: false,
        timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(5),
    };
    settings.batch.rows = rows;
    settings.batch.bytes = 64 << 20;
    settings
}

pub(crate) async fn run(count: usize) -> Result<(), Problem> {
    let engine = ClickHouse::start()?;
    // Makes the table.
    let schema = rows::schema(2, "bench.public.sunk");
    let mut sink = ClickHouseSink::new(settings(engine.url(), count), None)?.open().await?;
    pour(&mut sink, &schema, 0, 1024).await?;
    drop(sink);
    engine.query("CREATE TABLE taken AS sunk ENGINE = Null")?;
    println!("  into the table that the sink makes");
    compare(&engine, (2, "sunk"), count).await?;
    println!(
        "  into a table that keeps nothing: what taking the rows in costs, without writing parts"
    );
    compare(&engine, (4, "taken"), count).await?;
    several(&engine, count as u64 / 5).await?;
    memory(&engine).await
}

/// One insert of `count` rows: of a prepared block, of prepared lines, and of the sink.
async fn compare(
    engine: &ClickHouse,
    (id, table): (u64, &str),
    count: usize,
) -> Result<(), Problem> {
    let schema = rows::schema(id, &format!("bench.public.{table}"));
    let connector = ClickHouseSink::new(settings(engine.url(), count), None)?;
    let mut sink = connector.open().await?;
    pour(&mut sink, &schema, 0, 1024).await?;
    for copy in ["native", "json"] {
        engine.query(&format!("CREATE TABLE {table}_{copy} AS {table}"))?;
    }
    let block = encode::block(&rows::batch(&schema, 0, count as u64)).concat();
    let lines = rows::json_lines(0, count as u64);
    let names: Vec<&str> = rows::types().iter().map(|(name, _)| *name).collect();
    let native =
        format!("/?query=INSERT%20INTO%20{table}_native%20({})%20FORMAT%20Native", names.join(","));
    let json = format!("/?query=INSERT%20INTO%20{table}_json%20FORMAT%20JSONEachRow");
    let mut best = [f64::INFINITY; 3];
    let mut from = 1024;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        engine.post(&native, &block)?;
        let first = started.elapsed();
        let started = Instant::now();
        engine.post(&json, lines.as_bytes())?;
        let second = started.elapsed();
        let third = pour(&mut sink, &schema, from, from + count as u64).await?;
        from += count as u64;
        for (best, spent) in best.iter_mut().zip([first, second, third]) {
            *best = best.min(spent.as_secs_f64());
        }
    }
    let [native, json, sink_s] = best.map(|seconds| count as f64 / seconds);
    println!("  prepared Native block        {native:>9.0} rows/s");
    println!("  prepared JSON lines          {json:>9.0} rows/s");
    println!(
        "  the sink, from columns       {sink_s:>9.0} rows/s  {:.2}x of Native, {:.2}x of JSON lines",
        sink_s / native,
        sink_s / json
    );
    Ok(())
}

/// Writes rows in deliveries, and waits for all; the time from the first write to the last answer.
/// Making the deliveries is not counted.
async fn pour(
    sink: &mut Box<dyn Sink>,
    schema: &Arc<Schema>,
    from: u64,
    to: u64,
) -> Result<Duration, Problem> {
    let requests = requests(schema, (from, to), DELIVERY);
    let started = Instant::now();
    let mut durables = Vec::with_capacity(requests.len());
    for request in requests {
        durables.push(sink.write(request).await?);
    }
    sink.flush().await;
    for durable in durables {
        durable.await?;
    }
    Ok(started.elapsed())
}

/// Rows `from` to `to` in deliveries of so many.
fn requests(schema: &Arc<Schema>, (from, to): (u64, u64), rows: u64) -> Vec<WriteRequest> {
    let pieces = (from..to).step_by(rows.max(1) as usize).map(|from| {
        let batch = rows::batch(schema, from, (from + rows).min(to));
        let delivery = Arc::new(fakes::delivery("bench", from, vec![batch]));
        WriteRequest { delivery, rows: RowSet::All }
    });
    pieces.collect()
}

/// Several inserts of `rows`, one after the other: what the sink does while one travels shows here.
async fn several(engine: &ClickHouse, rows: u64) -> Result<(), Problem> {
    let schema = rows::schema(3, "bench.public.sunk_several");
    let connector = ClickHouseSink::new(settings(engine.url(), rows as usize), None)?;
    let mut sink = connector.open().await?;
    pour(&mut sink, &schema, 0, 1024).await?;
    for copy in ["native", "json"] {
        engine.query(&format!("CREATE TABLE {copy}_several AS sunk_several"))?;
    }
    let names: Vec<&str> = rows::types().iter().map(|(name, _)| *name).collect();
    let native =
        format!("/?query=INSERT%20INTO%20native_several%20({})%20FORMAT%20Native", names.join(","));
    let json = "/?query=INSERT%20INTO%20json_several%20FORMAT%20JSONEachRow";
    let (mut best, mut from) = ([f64::INFINITY; 3], 1024);
    for _ in 0..ROUNDS {
        let bounds = |n| (from + n * rows, from + (n + 1) * rows);
        let block = |(from, to)| encode::block(&rows::batch(&schema, from, to)).concat();
        let blocks: Vec<Vec<u8>> = (0..INSERTS).map(bounds).map(block).collect();
        let prepared = in_turn(engine, &native, &blocks)?;
        let lines = |(from, to)| rows::json_lines(from, to).into_bytes();
        let lines: Vec<Vec<u8>> = (0..INSERTS).map(bounds).map(lines).collect();
        let json = in_turn(engine, json, &lines)?;
        let to = from + INSERTS * rows;
        // A delivery is never cut: fifths of an insert make inserts of just that size.
        let requests = requests(&schema, (from, to), rows.div_ceil(5));
        let before = sink.health().counts.writes.load(Ordering::Relaxed);
        let started = Instant::now();
        let mut durables = VecDeque::new();
        for request in requests {
            durables.push_back(sink.write(request).await?);
            if durables.len() > 5 * AHEAD
                && let Some(durable) = durables.pop_front()
            {
                durable.await?;
            }
        }
        sink.flush().await;
        for durable in durables {
            durable.await?;
        }
        let sunk = started.elapsed();
        let writes = sink.health().counts.writes.load(Ordering::Relaxed) - before;
        if writes != INSERTS {
            return Err(format!("{writes} inserts instead of {INSERTS}").into());
        }
        from = to;
        for (best, spent) in best.iter_mut().zip([prepared, json, sunk]) {
            *best = best.min(spent.as_secs_f64());
        }
    }
    let [native, json, sink_s] = best.map(|seconds| (INSERTS * rows) as f64 / seconds);
    println!("  {INSERTS} prepared blocks in turn   {native:>9.0} rows/s");
    println!("  {INSERTS} posts of JSON lines       {json:>9.0} rows/s");
    println!(
        "  {INSERTS} inserts of the sink       {sink_s:>9.0} rows/s  {:.2}x of Native, {:.2}x of JSON lines  ({rows} rows each)",
        sink_s / native,
        sink_s / json
    );
    Ok(())
}

fn in_turn(engine: &ClickHouse, path: &str, bodies: &[Vec<u8>]) -> Result<Duration, Problem> {
    let started = Instant::now();
    for body in bodies {
        engine.post(path, body)?;
    }
    Ok(started.elapsed())
}

/// 20 tables, each written in turn for a while.
async fn memory(engine: &ClickHouse) -> Result<(), Problem> {
    let mut own = settings(engine.url(), 50_000);
    own.batch = Default::default();
    let mut sink = ClickHouseSink::new(own, None)?.open().await?;
    let schemas: Vec<_> =
        (0..TABLES).map(|n| rows::schema(100 + n, &format!("bench.public.t{n}"))).collect();
    for round in 0..10 {
        let mut durables = Vec::new();
        for schema in &schemas {
            let bounds = (round * DELIVERY, (round + 1) * DELIVERY);
            for request in requests(schema, bounds, DELIVERY) {
                durables.push(sink.write(request).await?);
            }
        }
        sink.flush().await;
        for durable in durables {
            durable.await?;
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = peak.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    println!("  {TABLES} tables, this process      {:>9} MiB at most", kib >> 10);
    Ok(())
}
