//! Kafka to Kafka: 600-byte JSON through three rules, against a bare copy and against the same
//! rules written by hand. All read the same topic; what each wrote is counted at the broker.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use wasmgate_bench_servers::records::{FRAUD, QUALITY, ROUTE, document};
use wasmgate_services::kafka::Kafka;

use crate::Problem;
use crate::gateway::{Gateway, stage};
use crate::measure::{Usage, best, wait};
use crate::startup::warm_up;

const SOURCE: &str = "cdr-in";
const PARTITIONS: u16 = 4;
const ROUNDS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// The three rules as YAML, to topics `to` and `to.prepaid`.
pub(crate) fn three_rules(to: &str) -> String {
    let route = ROUTE.replace("\"cdr", &format!("\"{to}"));
    stage("quality-check", QUALITY) + &stage("fraud-rule", FRAUD) + &stage("route", &route)
}

/// A pipeline between two topics of a broker.
pub(crate) fn pipeline(bootstrap: &str, from: &str, to: &str, sink: &str) -> String {
    format!(
        "  {to}:
    source:
      kafka: {{ bootstrap_servers: \"{bootstrap}\", topics: [{from}], group: {to} }}
    transforms:
{}    sinks:
      - {{ topics: '.*', kafka: {{ bootstrap_servers: \"{bootstrap}\"{sink} }} }}
",
        three_rules(to)
    )
}

fn fill(kafka: &Kafka, records: u64) -> Result<(), Problem> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("partitioner", "murmur2_random")
        .create()?;
    for n in 0..records {
        let (key, value) = (format!("CUST{:06}", n % 100_000), document(n as usize));
        let mut record = BaseRecord::to(SOURCE).key(&key).payload(&value);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(10));
            record = back;
        }
    }
    Ok(producer.flush(PATIENCE)?)
}

/// Records of a topic, as its offsets tell.
fn count(kafka: &Kafka, topic: &str) -> Result<u64, Problem> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create()?;
    let ends = (0..i32::from(PARTITIONS)).map(|p| consumer.fetch_watermarks(topic, p, PATIENCE));
    let sum: i64 = ends.map(|e| e.map(|(low, high)| high - low)).sum::<Result<_, _>>()?;
    Ok(sum.unsigned_abs())
}

fn baseline(kafka: &Kafka, kind: &str, to: &str, records: u64) -> Result<Usage, Problem> {
    let started = Instant::now();
    let child = Command::new(std::env::current_exe()?)
        .args(["baseline", kind, &kafka.bootstrap(), SOURCE, to, &records.to_string()])
        .stdin(Stdio::null())
        .spawn()?;
    wait(child, started)
}

fn gateway(dir: &std::path::Path, kafka: &Kafka, to: &str, records: u64) -> Result<Usage, Problem> {
    let mut gateway = Gateway::start(dir, &pipeline(&kafka.bootstrap(), SOURCE, to, ""))?;
    let usage = gateway.finish(to, records)?;
    gateway.stop()?;
    Ok(usage)
}

/// Runs copy, by hand and the gateway in turns; prints each and the ratios of the best.
pub(crate) fn run(records: u64) -> Result<(), Problem> {
    let kafka = Kafka::start(1)?;
    let dir = tempfile::tempdir()?;
    kafka.create_topic(SOURCE, PARTITIONS, &["compression.type=producer"])?;
    fill(&kafka, records)?;
    warm_up(dir.path())?;
    println!("kafka: {records} JSON records of 20 fields, {} bytes", document(1).len());
    let kinds = ["copy", "by-hand", "wasmgate"];
    let mut runs: [Vec<Usage>; 3] = Default::default();
    for round in 0..ROUNDS {
        for (kind, runs) in kinds.iter().zip(&mut runs) {
            let to = format!("{kind}-{round}");
            kafka.create_topic(&to, PARTITIONS, &[])?;
            let usage = match *kind {
                "wasmgate" => gateway(dir.path(), &kafka, &to, records)?,
                kind => baseline(&kafka, kind, &to, records)?,
            };
            let written = count(&kafka, &to)?;
            if written != records {
                return Err(format!("{kind} wrote {written} of {records} records").into());
            }
            usage.print(kind, records);
            runs.push(usage);
        }
    }
    let [copy, by_hand, ours] = runs.map(|r| best(&r));
    println!(
        "  records per CPU second: {:.2}x of the copy (by hand {:.2}x), {:.2}x of by hand",
        copy.cpu_s / ours.cpu_s,
        copy.cpu_s / by_hand.cpu_s,
        by_hand.cpu_s / ours.cpu_s,
    );
    Ok(())
}
