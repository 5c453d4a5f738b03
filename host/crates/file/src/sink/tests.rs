#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use wasmgate_codec::encode::JsonOptions;
use wasmgate_connector::conformance::{self, Record, SinkKit};
use wasmgate_connector::{RowSet, WriteRequest, Written, fakes};
use wasmgate_model::{Delivery, FaultKind, Position, Schema};

use super::*;
use crate::disk::file_name;
use crate::input;
use crate::worker::{Encoder as _, Output as _};

fn sink(target: Target) -> FileSink {
    FileSink::new(FileSinkSettings { target, json: JsonOptions::default() })
}

/// The records of a topic in a file, as the file source reads them.
fn records(path: &Path, topic: &str) -> Vec<Record> {
    let text = std::fs::read(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with(b"\n"), "whole lines only");
    let own = |b: Option<std::borrow::Cow<'_, [u8]>>| b.map(std::borrow::Cow::into_owned);
    text.split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| input::parse(line, wasmgate_codec::document::Format::Json).unwrap())
        .filter(|record| record.topic == topic)
        .map(|record| (own(record.key), own(record.value)))
        .collect()
}

#[tokio::test]
async fn a_directory_passes_the_kit() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("not/there/yet");
    let sink = sink(Target::Dir(dir.clone()));
    let unacceptable = Some((String::new(), b"{}".to_vec()));
    let kit = SinkKit { connector: &sink, topic_prefix: "kit", unacceptable };
    let read = async |topic: &str| records(&dir.join(file_name(topic).unwrap()), topic);
    conformance::sink(&kit, read).await;
}

#[tokio::test]
async fn one_file_passes_the_kit() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("all.jsonl");
    let sink = sink(Target::Path(path.clone()));
    let kit = SinkKit { connector: &sink, topic_prefix: "kit", unacceptable: None };
    conformance::sink(&kit, async |topic: &str| records(&path, topic)).await;
}

fn delivery(topics: &[(u64, &str)]) -> Arc<Delivery> {
    let mut batches = Vec::new();
    for (n, (topic_number, topic)) in topics.iter().enumerate() {
        let schema = Arc::new(Schema::open(*topic_number, (*topic).into(), false));
        let value = format!("{{\"n\":{n}}}");
        let records = [(None, Some(value.as_bytes())), (None, Some(value.as_bytes()))];
        let mut batch = fakes::documents(&schema, 0, &records);
        // The batches interleave: one takes the even positions, the other the odd ones.
        let at = |row: u64| Position::new(row * topics.len() as u64 + n as u64 + 1, 0);
        batch.positions = vec![at(0), at(1)];
        batches.push(batch);
    }
    Arc::new(fakes::delivery("p", 0, batches))
}

async fn write(sink: &mut Box<dyn Sink>, delivery: Arc<Delivery>) -> Result<Written, Fault> {
    sink.write(WriteRequest { delivery, rows: RowSet::All }).await.unwrap().await
}

#[tokio::test]
async fn one_file_keeps_the_order_of_the_source() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("all.jsonl");
    let mut open = sink(Target::Path(path.clone())).open().await.unwrap();
    assert_eq!(write(&mut open, delivery(&[(1, "a"), (2, "b")])).await.unwrap().records, 4);
    let text = std::fs::read_to_string(&path).unwrap();
    let topics: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap().get("topic").cloned().unwrap())
        .collect();
    assert_eq!(topics, ["a", "b", "a", "b"]);
}

#[tokio::test]
async fn a_line_has_every_part_of_the_record() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("all.jsonl");
    let mut open = sink(Target::Path(path.clone())).open().await.unwrap();
    let schema = Arc::new(Schema::open(1, "t".into(), false));
    let mut batch = fakes::documents(&schema, 0, &[(Some(b"k"), Some(b"{\"a\": 1.0}"))]);
    batch.times_us = vec![1_700_000_000_123_999];
    batch.headers.push("h", Some(b"text"));
    batch.headers.push("n", None);
    batch.headers.end_row(0);
    batch.partitions = vec![3];
    write(&mut open, Arc::new(fakes::delivery("p", 0, vec![batch]))).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let want = "{\"topic\":\"t\",\"key\":{\"$bytes\":\"aw==\"},\"value\":{\"a\": 1.0},\
                \"headers\":[[\"h\",\"text\"],[\"n\",null]],\"timestamp\":1700000000123,\
                \"partition\":3}\n";
    assert_eq!(text, want);
}

#[tokio::test]
async fn a_torn_line_is_cut_off_before_the_next_record() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("t.jsonl");
    let target = Target::Dir(root.path().into());
    let mut first = sink(target.clone()).open().await.unwrap();
    write(&mut first, delivery(&[(1, "t")])).await.unwrap();
    first.close().await;
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{{\"topic\":\"t\",\"key\":nu")).unwrap();
    let mut second = sink(target).open().await.unwrap();
    write(&mut second, delivery(&[(1, "t")])).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), whole.repeat(2));
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    for target in [Target::Dir(file.clone()), Target::Path(file.join("below"))] {
        let sink = sink(target.clone());
        assert!(!sink.check().await.iter().all(|f| f.ok), "{target:?}");
        let Err(fault) = sink.open().await else { panic!("{target:?} was opened") };
        assert_eq!(fault.kind, FaultKind::SinkRefused);
        assert!(fault.to_string().contains("name another place"), "{fault}");
    }
}

/// A file system of 64 KiB; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(dir.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(std::process::Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
async fn a_full_disk_is_waited_for_and_leaves_whole_lines() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: mounting a small file system needs root");
        return;
    };
    let path = disk.0.path().join("t.jsonl");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 40 << 10]).unwrap();
    let sink = sink(Target::Dir(disk.0.path().into()));
    let mut open = sink.open().await.unwrap();
    let large = {
        let schema = Arc::new(Schema::open(1, "t".into(), false));
        let value = format!("\"{}\"", "x".repeat(5000));
        let batch = fakes::documents(&schema, 0, &[(None, Some(value.as_bytes()))]);
        Arc::new(fakes::delivery("p", 0, vec![batch]))
    };
    let mut durable = 0;
    let fault = loop {
        match write(&mut open, Arc::clone(&large)).await {
            Ok(written) => durable += written.records,
            Err(fault) => break fault,
        }
        assert!(durable < 20, "the disk never fills");
    };
    assert_eq!(fault.retry(), wasmgate_model::Retry::Timed, "{}", fault.chain());
    assert!(fault.to_string().contains("free space"), "{fault}");
    // What comes later must not overtake what is missing, not even when it would fit.
    std::fs::remove_file(&ballast).unwrap();
    assert!(write(&mut open, delivery(&[(1, "t")])).await.is_err());
    open.close().await;
    let mut again = sink.open().await.unwrap();
    write(&mut again, Arc::clone(&large)).await.unwrap();
    assert_eq!(records(&path, "t").len() as u64, durable + 1);
}

#[test]
fn open_files_are_bounded_within_one_request_and_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut encoder = PerTopic::new(JsonOptions::default());
    let (mut files, mut lines) = (Topics::open(root.path().into()).unwrap(), Default::default());
    let names: Vec<String> = (0..2 * OPEN_FILES + 10).map(|n| format!("t{n}")).collect();
    let topics: Vec<(u64, &str)> = names.iter().map(|name| (1, name.as_str())).collect();
    let request = WriteRequest { delivery: delivery(&topics), rows: RowSet::All };
    for times in 1..=2 {
        assert_eq!(encoder.encode(&request, &mut lines).records, 2 * names.len() as u64);
        files.write(&mut lines).unwrap();
        let fds = std::fs::read_dir("/proc/self/fd").unwrap();
        let ours = |fd: &std::fs::DirEntry| {
            std::fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(root.path()))
        };
        let open = fds.filter(|fd| fd.as_ref().is_ok_and(ours)).count();
        assert!(open <= OPEN_FILES, "{open} files are open");
        assert!(files.flush().unwrap().len() <= OPEN_FILES);
        for name in &names {
            let text = std::fs::read_to_string(root.path().join(format!("{name}.jsonl"))).unwrap();
            assert_eq!(text.lines().count(), 2 * times, "{name}");
        }
    }
}

#[tokio::test]
async fn more_topics_than_files_become_durable() {
    let root = tempfile::tempdir().unwrap();
    let mut open = sink(Target::Dir(root.path().into())).open().await.unwrap();
    for round in 0..3_usize {
        let names: Vec<String> = (0..OPEN_FILES).map(|n| format!("r{round}-{n}")).collect();
        let topics: Vec<(u64, &str)> = names.iter().map(|name| (1, name.as_str())).collect();
        assert_eq!(write(&mut open, delivery(&topics)).await.unwrap().records, 512);
    }
    open.close().await;
}
