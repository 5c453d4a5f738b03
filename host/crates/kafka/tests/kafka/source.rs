//! The source: resuming, the group, a pipeline that does not read, topics that are not there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use wasmgate_connector::{BatchLimits, Source as _};
use wasmgate_kafka::{Format, KafkaSource, SourceSettings, Start};
use wasmgate_model::{Checkpoint, FaultKind, Position};

use crate::broker::{self, Record};
use crate::pipe::{Pipe, context, settings};

/// Numbered records, spread over the partitions.
fn numbered(numbers: std::ops::Range<u64>, partitions: u64) -> Vec<Record> {
    let record =
        |n: u64| Record::new((n % partitions) as i32, Some("k"), Some(&format!("{{\"n\":{n}}}")));
    numbers.map(record).collect()
}

/// The distinct values that several gateways got, and how many came twice.
fn together(pipes: &[&Pipe]) -> (usize, usize) {
    let all: Vec<_> = pipes.iter().flat_map(|pipe| &pipe.rows).collect();
    let distinct: BTreeSet<_> = all.iter().map(|(partition, at, _)| (partition, at)).collect();
    (distinct.len(), all.len() - distinct.len())
}

/// Both read until they have so many distinct records together.
async fn read_on(one: &mut Pipe, two: &mut Pipe, records: usize) {
    let deadline = Instant::now() + broker::PATIENCE;
    while together(&[one, two]).0 < records {
        let found = (together(&[one, two]), &one.owned, &two.owned);
        assert!(Instant::now() < deadline, "{found:?} of {records}");
        one.step_if_any().await;
        two.step_if_any().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_checkpoint_resumes_where_the_group_committed() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "resume", 1, &[]).await;
    broker::produce(&servers, "resume", &numbered(0..50, 1));
    let from = settings(&servers, "resume", "resume");
    let mut pipe = Pipe::open(from.clone(), Checkpoint::default()).await;
    pipe.until(50).await;
    let checkpoint = pipe.close().await;
    assert_eq!(broker::committed(&servers, "resume", "resume", 0), Some(50));
    broker::produce(&servers, "resume", &numbered(50..60, 1));
    let mut pipe = Pipe::open(from.clone(), Checkpoint::default()).await;
    pipe.until(10).await;
    assert_eq!(pipe.rows[0].2, b"{\"n\":50}");
    pipe.close().await;
    // The group is ahead of an old checkpoint.
    broker::produce(&servers, "resume", &numbered(60..61, 1));
    let mut pipe = Pipe::open(from, checkpoint).await;
    pipe.until(1).await;
    assert_eq!(pipe.rows[0].2, b"{\"n\":60}");
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_counts_unless_the_log_is_another() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "places", 1, &[]).await;
    broker::produce(&servers, "places", &numbered(0..20, 1));
    let at = |offset: u64| {
        let mut checkpoint = Checkpoint::default();
        let partition = wasmgate_model::Partition("places-0".into());
        checkpoint.assign(partition, Position::new(offset, 0), None);
        checkpoint
    };
    let cases = [
        (Checkpoint::default(), Start::Earliest, 0),
        (at(7), Start::Latest, 7),
        (at(20), Start::Earliest, 20),
        (at(21), Start::Latest, 0),
        (Checkpoint::default(), Start::Latest, 20),
    ];
    for (number, (checkpoint, start, first)) in cases.into_iter().enumerate() {
        let mut from = settings(&servers, "places", &format!("places-{number}"));
        from.start = start;
        let mut pipe = Pipe::open(from, checkpoint).await;
        while pipe.owned.is_empty() {
            pipe.step().await;
        }
        let assigned: Vec<u64> = pipe.owned.values().map(|at| at.major).collect();
        assert_eq!(assigned, [first], "case {number}");
        let rest = 20 - first as usize;
        pipe.until(rest).await;
        assert_eq!(pipe.rows.len(), rest, "case {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_took_are_passed_over_at_the_next_start() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "expired", 1, &[]).await;
    broker::produce(&servers, "expired", &numbered(0..20, 1));
    let from = settings(&servers, "expired", "expired");
    let mut pipe = Pipe::open(from.clone(), Checkpoint::default()).await;
    pipe.until(20).await;
    pipe.close().await;
    broker::produce(&servers, "expired", &numbered(20..40, 1));
    broker::delete_before(&servers, "expired", 0, 30).await;
    let mut pipe = Pipe::open(from, Checkpoint::default()).await;
    pipe.until(10).await;
    assert_eq!(pipe.rows[0].1, 31);
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_move_between_two_gateways_without_loss_or_repeat() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "moving", 4, &[]).await;
    broker::produce(&servers, "moving", &numbered(0..400, 4));
    let mut one = Pipe::open(settings(&servers, "moving", "moving"), Checkpoint::default()).await;
    one.until(400).await;
    assert_eq!(one.owned.len(), 4);
    let mut two = Pipe::open(settings(&servers, "moving", "moving"), Checkpoint::default()).await;
    let mut next = 400;
    let deadline = Instant::now() + broker::PATIENCE;
    while two.owned.len() < 2 {
        assert!(Instant::now() < deadline, "one {:?}, two {:?}", one.owned, two.owned);
        broker::produce(&servers, "moving", &numbered(next..next + 4, 4));
        next += 4;
        one.step_if_any().await;
        two.step_if_any().await;
    }
    assert_eq!(one.revoked, 2, "cooperative: the partitions that stay are not touched");
    broker::produce(&servers, "moving", &numbered(next..next + 40, 4));
    next += 40;
    read_on(&mut one, &mut two, next as usize).await;
    assert_eq!(together(&[&one, &two]), (next as usize, 0));
    // The second leaves: what it had comes back, from where it stood.
    let gone = two.rows.len();
    two.close().await;
    broker::produce(&servers, "moving", &numbered(next..next + 40, 4));
    one.until(next as usize + 40 - gone).await;
    assert_eq!(one.owned.len(), 4);
    one.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_does_not_read_does_not_hold_up_the_group() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "slow", 2, &[]).await;
    broker::produce(&servers, "slow", &numbered(0..2000, 2));
    let mut from = settings(&servers, "slow", "slow");
    from.revoke_timeout = Duration::from_millis(500);
    let limits = BatchLimits { rows: 10, bytes: 100, wait: Duration::from_millis(5) };
    let mut stuck = Pipe::open_with(from.clone(), Checkpoint::default(), limits).await;
    stuck.until(1).await;
    let mut other = Pipe::open(from, Checkpoint::default()).await;
    while other.owned.is_empty() {
        other.step().await;
    }
    // It wakes up and reads on where it was, without a gap; what it lost, the other reads.
    read_on(&mut stuck, &mut other, 2000).await;
    assert_eq!(stuck.revoked, 1);
    stuck.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envelopes_and_bare_documents_of_a_topic_share_a_delivery() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    broker::create(&servers, "mixed", 1, &[]).await;
    let wrapped = "{\"schema\":{\"name\":\"a.b.Envelope\"},\"payload\":{\"before\":null,\"after\":{\"id\":1},\
                   \"source\":{},\"op\":\"c\"}}";
    let records =
        [Some(wrapped), Some("{\"id\":2}"), None].map(|value| Record::new(0, Some("{}"), value));
    broker::produce(&servers, "mixed", &records);
    let format = Format::DebeziumJson { bare_envelopes: false };
    let from = SourceSettings::new(&servers, vec!["mixed".to_owned()], "mixed", format);
    let mut pipe = Pipe::open(from, Checkpoint::default()).await;
    let deliveries = pipe.until(3).await;
    let mut forms = Vec::new();
    for delivery in &deliveries {
        for batch in &delivery.batches {
            let ops = batch.ops.iter();
            forms.extend(ops.map(|op| (batch.positions[0].major, batch.schema.envelope, *op)));
        }
    }
    let rows: usize = deliveries.iter().map(|d| d.rows()).sum();
    assert_eq!(rows, 3);
    assert!(forms.iter().any(|(_, envelope, _)| *envelope), "{forms:?}");
    assert!(forms.iter().any(|(_, envelope, _)| !envelope), "{forms:?}");
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let Some(kafka) = broker::shared() else { return };
    let servers = kafka.bootstrap();
    let cases = [
        (servers.as_str(), FaultKind::SourceRefused, "no-such-topic"),
        ("127.0.0.1:1", FaultKind::SourceUnavailable, "127.0.0.1:1"),
    ];
    for (servers, kind, named) in cases {
        let source = KafkaSource::new(settings(servers, "no-such-topic", "g")).unwrap();
        let opened = source.open(context(Checkpoint::default(), BatchLimits::default())).await;
        let fault = opened.err().unwrap();
        assert_eq!(fault.kind, kind, "{}", fault.chain());
        assert!(fault.chain().contains(named), "{}", fault.chain());
        let findings = source.check().await;
        assert!(findings.iter().any(|f| !f.ok && f.what.contains(named)), "{findings:?}");
    }
}
