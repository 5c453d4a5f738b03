//! Added latency at a steady rate. Every record carries the microsecond it was made; consumers
//! note when it arrives. Kafka to Kafka the same records are read from the topic they were
//! written to and from the gateway's: the difference is what the gateway adds. From Postgres it
//! is the time from the statement to the consumer, its commit included.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wasmgate_bench_servers::records::document;
use wasmgate_services::kafka::Kafka;
use wasmgate_services::postgres::{Options, Postgres};

use crate::Problem;
use crate::gateway::Gateway;
use crate::kafka::pipeline;
use crate::startup::warm_up;

const SECONDS: u64 = 20;
/// Records at the start that are not counted: connections, first fetches.
const WARM_UP: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The number behind `"sent_us":`, by which records are told apart, too.
fn sent_us(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let rest = text.split_once("\"sent_us\":")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// When each record of a topic of one partition arrived, by when it was sent.
type Arrivals = HashMap<u64, u64>;

/// Reads a topic until `records` have come.
fn watch(bootstrap: &str, topic: &str, records: u64) -> Result<JoinHandle<Arrivals>, Problem> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "latency")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    Ok(std::thread::spawn(move || {
        let mut arrivals = Arrivals::new();
        let mut last = Instant::now();
        while (arrivals.len() as u64) < records && last.elapsed() < PATIENCE {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
            last = Instant::now();
            if let Some(sent) = message.payload().and_then(sent_us) {
                arrivals.insert(sent, now_us());
            }
        }
        arrivals
    }))
}

/// Calls `send` `rate` times a second, evenly, with a number and the time, which no two share.
pub(crate) fn pace(
    rate: u64,
    mut send: impl FnMut(u64, u64) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let (started, mut last) = (Instant::now(), 0);
    for n in 0..rate * SECONDS {
        let due = Duration::from_micros(n * 1_000_000 / rate);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        last = now_us().max(last + 1);
        send(n, last)?;
    }
    Ok(())
}

pub(crate) fn print(what: &str, mut micros: Vec<u64>) {
    micros.sort_unstable();
    let at = |share: f64| {
        let place = (micros.len() as f64 * share) as usize;
        micros.get(place.min(micros.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    println!(
        "  {what:<42} p50 {:>5.1} ms  p99 {:>5.1} ms  max {:>5.1} ms  ({} records)",
        at(0.5) as f64 / 1e3,
        at(0.99) as f64 / 1e3,
        at(1.0) as f64 / 1e3,
        micros.len()
    );
}

/// Latencies of what was sent after the warm-up.
fn counted(arrivals: &Arrivals, since: &Arrivals) -> Vec<u64> {
    let first = since.keys().min().copied().unwrap_or_default();
    let from = first + WARM_UP.as_micros() as u64;
    let kept = arrivals.iter().filter(|(sent, _)| **sent >= from);
    kept.filter_map(|(sent, at)| Some(at.saturating_sub(*since.get(sent)?))).collect()
}

/// Every record's own time of sending, as if it had arrived then.
fn sent(arrivals: &Arrivals) -> Arrivals {
    arrivals.keys().map(|sent| (*sent, *sent)).collect()
}

fn kafka_to_kafka(dir: &Path, kafka: &Kafka, name: &str, sink: &str) -> Result<(), Problem> {
    const RATE: u64 = 1000;
    let (from, servers) = (format!("{name}-in"), kafka.bootstrap());
    kafka.create_topic(&from, 1, &[])?;
    kafka.create_topic(name, 1, &[])?;
    let mut gateway = Gateway::start(dir, &pipeline(&servers, &from, name, sink))?;
    gateway.ready()?;
    let direct = watch(&servers, &from, RATE * SECONDS)?;
    let through = watch(&servers, name, RATE * SECONDS)?;
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &servers).set("linger.ms", "0").create()?;
    pace(RATE, |n, now| {
        let value = document(n as usize).replacen('{', &format!("{{\"sent_us\":{now},"), 1);
        let key = format!("CUST{n:06}");
        let sent = producer.send(BaseRecord::to(&from).key(&key).payload(&value));
        producer.poll(Duration::ZERO);
        Ok(sent.map_err(|(error, _)| error)?)
    })?;
    producer.flush(PATIENCE)?;
    let lost = |_| "a consumer failed";
    let (direct, through) = (direct.join().map_err(lost)?, through.join().map_err(lost)?);
    gateway.stop()?;
    print("without the gateway", counted(&direct, &sent(&direct)));
    print("with it", counted(&through, &sent(&through)));
    print("added", counted(&through, &direct));
    Ok(())
}

fn postgres_to_kafka(dir: &Path, kafka: &Kafka, name: &str, sink: &str) -> Result<(), Problem> {
    const RATE: u64 = 200;
    let server = Postgres::start(&Options::default())?;
    server.psql(
        "postgres",
        "create table events(id bigint primary key, sent_us bigint, amount int, note text)",
    )?;
    let servers = kafka.bootstrap();
    kafka.create_topic(name, 1, &[])?;
    let text = format!(
        "  {name}:
    source:
      postgres:
        {{ host: 127.0.0.1, port: {}, database: postgres, user: postgres, topic_prefix: bench,
          tables: [public.events], slot: {slot}, publication: {slot}, snapshot: never }}
    transforms:
      - {{ module: unwrap, config: {{}} }}
      - {{ module: quality-check, config: {{\"required\":[\"id\"]}} }}
      - {{ module: route, config: {{\"default\":\"{name}\"}} }}
    sinks:
      - {{ topics: '.*', kafka: {{ bootstrap_servers: \"{servers}\"{sink} }} }}
",
        server.port(),
        slot = name.replace('-', "_"),
    );
    let mut gateway = Gateway::start(dir, &text)?;
    gateway.ready()?;
    let arrivals = watch(&servers, name, RATE * SECONDS)?;
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-h", "127.0.0.1", "-p", &server.port().to_string()])
        .args(["-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = psql.stdin.take().ok_or("psql has no input")?;
    pace(RATE, |n, now| {
        let sql = format!("insert into events values ({n}, {now}, 17, 'a row');\n");
        Ok(input.write_all(sql.as_bytes())?)
    })?;
    drop(input);
    if !psql.wait()?.success() {
        return Err("psql failed".into());
    }
    let arrivals = arrivals.join().map_err(|_| "a consumer failed")?;
    gateway.stop()?;
    print("statement to consumer", counted(&arrivals, &sent(&arrivals)));
    Ok(())
}

/// Both paths, with the sink's usual linger and without.
pub(crate) fn run() -> Result<(), Problem> {
    let kafka = Kafka::start(1)?;
    let dir = tempfile::tempdir()?;
    warm_up(dir.path())?;
    for (label, suffix, sink) in
        [("linger 5ms (default)", "linger", ""), ("linger 0ms", "at-once", ", linger: 0ms")]
    {
        println!("latency, kafka to kafka through three rules, 1000/s, {label}");
        kafka_to_kafka(dir.path(), &kafka, &format!("kk-{suffix}"), sink)?;
        println!("latency, postgres to kafka through three modules, 200/s, {label}");
        postgres_to_kafka(dir.path(), &kafka, &format!("pk-{suffix}"), sink)?;
    }
    Ok(())
}
