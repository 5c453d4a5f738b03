#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wasmgate_codec::document::Format;
use wasmgate_connector::conformance::{self, SourceKit};
use wasmgate_connector::{BatchLimits, BatchPool, PassThrough, SourceStatus};
use wasmgate_model::{Batch, Delivery, Op, Payload, Position, Verdict};

use super::*;

const DEBEZIUM: Format = Format::DebeziumJson { bare_envelopes: true };

fn file(content: &str) -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("in.jsonl");
    std::fs::write(&path, content).unwrap();
    (root, path)
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn context(checkpoint: Checkpoint) -> SourceContext {
    SourceContext {
        pipeline: "p".into(),
        checkpoint,
        planner: Arc::new(PassThrough),
        pool: Arc::new(BatchPool::default()),
        limits: BatchLimits::default(),
        status: Arc::new(SourceStatus::default()),
        commands: Arc::default(),
    }
}

fn at(path: &Path, byte: u64) -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    let partition = Partition(path.to_string_lossy().into());
    checkpoint.assign(partition, Position::new(byte, 0), None);
    checkpoint
}

/// Everything of a file that is not followed.
async fn read(settings: FileSourceSettings) -> Vec<Delivery> {
    let source = FileSource::new(settings);
    let (mut reader, _acker) = source.open(context(Checkpoint::default())).await.unwrap();
    let mut deliveries = Vec::new();
    while let SourceEvent::Delivery(delivery) = reader.next().await.unwrap() {
        deliveries.push(delivery);
    }
    deliveries
}

fn value(batch: &Batch, row: usize) -> String {
    let Payload::Documents(documents) = &batch.payload else { panic!("expected documents") };
    String::from_utf8_lossy(documents.values.get(row)).into_owned()
}

/// (topic, envelope, values) of every batch.
fn shape(deliveries: &[Delivery]) -> Vec<(String, bool, Vec<String>)> {
    let batches = deliveries.iter().flat_map(|d| &d.batches);
    batches
        .map(|b| {
            let values = (0..b.len()).map(|row| value(b, row)).collect();
            (b.schema.topic.to_string(), b.schema.envelope, values)
        })
        .collect()
}

async fn passes_the_kit(follow: bool, bare: bool) {
    let (_root, path) = file("");
    let mut settings = FileSourceSettings::new(&path, Format::Json);
    settings.follow = follow;
    settings.topic = bare.then(|| "t".into());
    let source = FileSource::new(settings);
    let kit = SourceKit { source: &source, live: follow, field: "n" };
    conformance::source(&kit, async |numbers: std::ops::Range<u64>| {
        for n in numbers {
            let document = format!("{{\"n\":{n}}}");
            // Blank lines and several topics on the way.
            let topic = n % 3;
            let line = match bare {
                true => format!("{document}\r\n\n"),
                false => format!("{{\"topic\":\"t{topic}\",\"value\":{document}}}\n"),
            };
            append(&path, &line);
        }
    })
    .await;
}

#[tokio::test]
async fn a_whole_file_passes_the_kit() {
    passes_the_kit(false, false).await;
    passes_the_kit(false, true).await;
}

#[tokio::test]
async fn a_followed_file_passes_the_kit() {
    passes_the_kit(true, false).await;
}

#[tokio::test]
async fn a_line_becomes_a_record_with_all_its_parts() {
    let line = "{\"topic\":\"t\",\"key\":{\"id\": 1},\"value\":{\"a\": 1.0},\
                \"headers\":[[\"h\",\"x\"],[\"n\",null]],\"timestamp\":1700000000123,\
                \"partition\":3}";
    let plain = "{\"topic\":\"t\",\"key\":null,\"value\":null}";
    let (_root, path) = file(&format!("{line}\n{plain}\n"));
    let deliveries = read(FileSourceSettings::new(&path, Format::Json)).await;
    let [Delivery { batches, from, to, .. }] = deliveries.as_slice() else {
        panic!("expected one delivery, found {deliveries:?}")
    };
    let end = line.len() as u64 + 1;
    let file_end = std::fs::metadata(&path).unwrap().len();
    assert_eq!((*from, *to), (Position::default(), Position::new(file_end, 0)));
    let [batch] = batches.as_slice() else { panic!("expected one batch") };
    assert_eq!(batch.key_bytes(0), Some(&b"{\"id\": 1}"[..]));
    assert_eq!(batch.key_bytes(1), None);
    assert_eq!(value(batch, 0), "{\"a\": 1.0}");
    assert_eq!(batch.ops, [Op::Append, Op::Tombstone]);
    assert_eq!(batch.positions, [Position::new(end, 0), Position::new(file_end, 0)]);
    let headers: Vec<_> = batch.headers.row(0).collect();
    assert_eq!(headers, [("h", Some(&b"x"[..])), ("n", None)]);
    assert_eq!(batch.headers.row(1).count(), 0);
    assert_eq!(batch.times_us.first(), Some(&1_700_000_000_123_000));
    assert_eq!(batch.times_us.get(1), Some(&batch.received_us), "no timestamp: when it came");
    assert_eq!(batch.partitions, [3, -1]);
}

#[tokio::test]
async fn debezium_records_lose_their_wrapper_and_keep_their_tombstones() {
    let schema = "{\"type\":\"struct\",\"name\":\"a.Envelope\"}";
    let event = "{\"before\":null,\"after\":{\"id\":1},\"source\":{},\"op\":\"c\"}";
    let record = |value: &str| {
        let key = "{\"schema\":{},\"payload\":{\"id\":1}}";
        format!("{{\"topic\":\"t\",\"key\":{key},\"value\":{value}}}\n")
    };
    let wrapped = format!("{{\"schema\":{schema},\"payload\":{event}}}");
    let flat = "{\"id\":2}";
    let text = [&*wrapped, event, "null", flat].map(record).concat();
    let (_root, path) = file(&text);
    let deliveries = read(FileSourceSettings::new(&path, DEBEZIUM)).await;
    let values = |v: &[&str]| v.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
    let want = [
        ("t".to_owned(), true, values(&[event, event, ""])),
        ("t".to_owned(), false, values(&[flat])),
    ];
    assert_eq!(shape(&deliveries), want);
    let batch = deliveries.first().unwrap().batches.first().unwrap();
    assert_eq!(batch.ops, [Op::Create, Op::Create, Op::Tombstone]);
    assert_eq!(batch.key_bytes(0), Some(&b"{\"id\":1}"[..]));
}

#[tokio::test]
async fn what_is_no_record_is_a_dead_letter_with_its_bytes() {
    let good = "{\"topic\":\"t\",\"value\":{\"a\":1}}";
    let long = format!("{{\"topic\":\"t\",\"value\":\"{}\"}}", "x".repeat(300));
    let cases = [
        ("{\"topic\":\"t\",\"val", "invalid-json", None),
        ("\u{0}\u{1}", "invalid-json", None),
        ("{\"id\":1}", "invalid-record", None),
        (&*long, "line-too-long", long.get(..200)),
    ];
    for (line, code, kept) in cases {
        let (_root, path) = file(&format!("{good}\n{line}\n{good}"));
        let mut settings = FileSourceSettings::new(&path, Format::Json);
        settings.max_line = 200;
        let deliveries = read(settings).await;
        let want = |topic: &str, values: &[&str]| {
            (topic.to_owned(), false, values.iter().map(|v| (*v).to_owned()).collect())
        };
        let values = ["{\"a\":1}", "{\"a\":1}"];
        let shapes = [want("t", &values), want("in.jsonl", &[kept.unwrap_or(line)])];
        assert_eq!(shape(&deliveries), shapes, "{line}");
        let batch = deliveries.first().unwrap().batches.get(1).unwrap();
        assert!(batch.sel.is_empty(), "{line}");
        let [reject] = batch.rejects.as_slice() else { panic!("{line}: {:?}", batch.rejects) };
        let Verdict::DeadLetter(cause) = &reject.verdict else { panic!("{line}: {reject:?}") };
        assert_eq!((&*cause.stage, &*cause.code), ("decode", code), "{line}");
    }
}

#[tokio::test]
async fn a_value_that_the_format_refuses_keeps_its_key_and_neighbours() {
    let line = |value: &str| format!("{{\"topic\":\"t\",\"key\":1,\"value\":{value}}}\n");
    let (_root, path) = file(&["{\"id\":1}", "[7]", "{\"id\":2}"].map(line).concat());
    let deliveries = read(FileSourceSettings::new(&path, DEBEZIUM)).await;
    let batch = deliveries.first().unwrap().batches.first().unwrap();
    assert_eq!(batch.sel, [0, 2]);
    assert_eq!(batch.rejects.first().map(|r| r.row), Some(1));
    assert_eq!((value(batch, 1).as_str(), batch.key_bytes(1)), ("[7]", Some(&b"1"[..])));
}

#[tokio::test]
async fn a_file_that_lost_its_place_is_not_read_from_another() {
    let line = "{\"topic\":\"t\",\"value\":1}\n";
    let cases = [
        ("shorter than what is settled", line.to_owned(), 2 * line.len() as u64),
        ("other lines", format!("{}\n", "x".repeat(100)), line.len() as u64),
    ];
    for (case, content, settled) in cases {
        let (_root, path) = file(&content);
        let source = FileSource::new(FileSourceSettings::new(&path, Format::Json));
        let Err(fault) = source.open(context(at(&path, settled))).await else {
            panic!("{case}: opened")
        };
        assert_eq!(fault.kind, FaultKind::SourceLost, "{case}: {fault}");
        assert!(fault.to_string().contains("remove the pipeline's checkpoint"), "{case}: {fault}");
    }
}

#[tokio::test]
async fn a_last_line_that_got_its_end_later_is_read_once() {
    let line = "{\"topic\":\"t\",\"value\":1}";
    let (_root, path) = file(line);
    append(&path, &format!("\n{line}\n"));
    let source = FileSource::new(FileSourceSettings::new(&path, Format::Json));
    let settled = at(&path, line.len() as u64);
    let (mut reader, _acker) = source.open(context(settled)).await.unwrap();
    let SourceEvent::Delivery(delivery) = reader.next().await.unwrap() else {
        panic!("expected a delivery")
    };
    assert_eq!(delivery.rows(), 1);
    assert!(matches!(reader.next().await.unwrap(), SourceEvent::Completed));
}

/// What somebody does to a file that is followed.
type Mishap = fn(&Path);

#[tokio::test]
async fn a_followed_file_that_is_cut_or_moved_away_is_an_error() {
    let line = "{\"topic\":\"t\",\"value\":1}\n";
    let cases: [(&str, Mishap); 3] = [
        ("truncated", |path| std::fs::write(path, "").unwrap()),
        ("moved away", |path| std::fs::rename(path, path.with_extension("old")).unwrap()),
        ("rotated", |path| {
            std::fs::rename(path, path.with_extension("old")).unwrap();
            std::fs::write(path, "{\"topic\":\"t\",\"value\":2}\n").unwrap();
        }),
    ];
    for (case, mishap) in cases {
        let (_root, path) = file(line);
        let mut settings = FileSourceSettings::new(&path, Format::Json);
        settings.follow = true;
        let source = FileSource::new(settings);
        let (mut reader, _acker) = source.open(context(Checkpoint::default())).await.unwrap();
        assert!(matches!(reader.next().await.unwrap(), SourceEvent::Delivery(_)), "{case}");
        mishap(&path);
        let fault = reader.next().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::SourceLost, "{case}: {fault}");
        assert!(fault.to_string().contains("truncated, replaced or rotated"), "{case}: {fault}");
    }
}

#[tokio::test]
async fn what_is_not_there_says_so_at_check_and_open() {
    let source = FileSource::new(FileSourceSettings::new("/nowhere/in.jsonl", Format::Json));
    assert!(source.check().await.iter().any(|f| !f.ok && f.fix.is_some()));
    let Err(fault) = source.open(context(Checkpoint::default())).await else {
        panic!("opened nothing")
    };
    assert_eq!(fault.kind, FaultKind::SourceRefused);
}
